"""The machine that computes: which device, which hardware, which libraries, which commit of this package.

Importing this module is light; torch is loaded by the functions that need it.
"""

from __future__ import annotations

import contextlib
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from covid_synth_data._version import __version__
from covid_synth_data.errors import ConfigError
from covid_synth_data.files.fields import Line
from covid_synth_data.files.models import FrozenModel

if TYPE_CHECKING:
    import torch


class Code(FrozenModel):
    """The code that computed a result. `git` is a commit, with "-dirty" where files differed from it."""

    package: Line
    git: Line | None
    libraries: dict[Line, Line]


class Hardware(FrozenModel):
    """Where a result was computed. `threads` are those of the CPU."""

    device: Line
    name: Line
    threads: int


def pick_device(name: str = "auto") -> torch.device:
    """The device called `name`: "cpu", "cuda", "cuda:N", "mps", or "auto" for the first of cuda, mps and cpu
    that this machine has.

    Raises `ConfigError` for a device that this machine does not have.
    """
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, usable in available.items() if usable))
    kind, colon, number = name.partition(":")
    exists = available.get(kind, False)
    if exists and colon:
        exists = kind == "cuda" and number.isdecimal() and int(number) < torch.cuda.device_count()
    if not exists:
        usable = ", ".join(["auto", *(kind for kind, usable in available.items() if usable)])
        raise ConfigError(f"no device {name!r} on this machine", expected=f"one of {usable}", hint="use auto")
    return torch.device(name)


def device_kind(device: torch.device) -> str:
    """The part of the machine that decides how a network rounds: the GPU, or the processor's instructions."""
    import torch

    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    return f"{device.type} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def hardware(device: torch.device) -> Hardware:
    """The device, its name, and the threads that torch uses in this process."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return Hardware(device=device.type, name=name, threads=torch.get_num_threads())


def libraries(names: Sequence[str]) -> dict[str, str]:
    """The versions of Python and of those of `names` that are installed."""
    versions = {"python": platform.python_version()}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def code(names: Sequence[str]) -> Code:
    """The version and commit of this package, and the versions of the libraries in `names`."""
    return Code(package=__version__, git=commit(), libraries=libraries(names))


def commit() -> str | None:
    """The git commit of the checkout that this package runs from, with "-dirty" where files differ.

    None outside a checkout, and where git is not installed.
    """
    checkout = Path(__file__).parents[1]
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return None
    command = [git, "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes each operation with one thread; afterwards with as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
