"""Suites of CT slices behind the same commands: `benchmark run jiang2020`, `list`, `report`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from covid_synth_data.cli.common import progress_bar, say
from covid_synth_data.errors import ConfigError

_TAKEN = ("root", "release", "version", "profile", "regimes", "seeds", "device", "out")
"""The options that mean the same for both kinds of suites."""


def knows(suite: str) -> bool:
    """Whether `suite` is a suite of CT slices that comes with the package."""
    from covid_synth_data.benchmark import segmentation

    return suite in segmentation.list_suites()


def run(suite: str, asked: dict[str, Any], protocol: str | None) -> None:
    """Run it. Raises `ConfigError` for an option that only suites of films have."""
    from covid_synth_data.benchmark import segmentation

    strange = [name for name, value in asked.items() if value and name not in _TAKEN]
    if strange:
        raise ConfigError(
            f"the suite {suite} of CT slices has no option {strange[0]!r}",
            expected=", ".join([*_TAKEN, "protocol"]),
            hint="leave it out",
        )
    given = {name: value for name, value in asked.items() if name in _TAKEN}
    with progress_bar("segmentation") as tick:
        paths = segmentation.run(suite, protocol=protocol, progress=tick, **given)
    say(f"{len(paths)} result files in {given['out']}")


def describe() -> None:
    """A paragraph for each suite of CT slices."""
    from covid_synth_data.benchmark import segmentation

    for name in segmentation.list_suites():
        suite = segmentation.load_suite(name)
        say(f"{suite.name} {suite.version}: {suite.title}")
        for kind, names in (
            ("protocols", suite.protocols),
            ("regimes", suite.regimes),
            ("profiles", suite.profiles),
        ):
            say(f"  {kind:<9} {', '.join(names)}")
        say("")


def report(folder: Path, films: Callable[[], str]) -> str:
    """The report of films and that of CT slices, of whichever there are results. Raises `ResultError`."""
    parts = []
    slices = folder.is_dir() and any(folder.rglob("segmentation-*.json"))
    if not slices or any(folder.rglob("seed-*.json")):
        parts.append(films())
    if slices:
        from covid_synth_data.benchmark import segmentation

        parts.append(segmentation.report(folder))
    return "\n".join(parts)
