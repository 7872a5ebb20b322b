"""Shared by all commands: options, tables, progress, and errors as one line with exit code 2."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from covid_synth_data import escaping
from covid_synth_data.errors import CovidSynthError, MissingExtra

Root = Annotated[
    Path | None,
    typer.Option(help="the folder that holds the real sets", envvar="COVID_SYNTH_SOURCES", show_envvar=True),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for a script")]
Release = Annotated[Path | None, typer.Option(help="a release folder")]
ReleaseFolder = Annotated[Path, typer.Argument(help="a release folder")]
Ray = Annotated[
    str | None, typer.Option(help="share the work out over the Ray cluster at this address, or local")
]
Search = Annotated[
    str,
    typer.Option(
        metavar="exact|approximate", help="the search for films that look alike; approximate may miss some"
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="another seed gives another draw")]


_EXTRAS: Final = {
    **dict.fromkeys(("gdcm", "pydicom", "pylibjpeg", "torchxrayvision"), "rsna"),
    **dict.fromkeys(("matplotlib", "safetensors", "sklearn", "timm", "torch", "torchvision"), "benchmark"),
    **dict.fromkeys(("monai", "nibabel", "torchmetrics"), "ct"),
    **dict.fromkeys(("captum", "umap"), "figures"),
    **dict.fromkeys(("lightning_fabric", "lightning"), "generation"),
    "faiss": "search",
    "ray": "ray",
}
"""Module to the extra that brings it; `covid_synth_data` without extras has none of them."""


def say(text: str) -> None:
    """Print to standard output; what a terminal would obey instead of showing it is escaped."""
    typer.echo(escaping.terminal_lines(text))


def need(extra: str, *modules: str) -> None:
    """Raise `MissingExtra` if a module that the extra brings is not installed; imports none of them.

    A command that loads data first should not fail for this after minutes.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingExtra(module, extra)


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table whose cells wrap instead of being cut."""
    import rich.box
    import rich.console
    import rich.table

    heads = [rich.table.Column(name, overflow="fold") for name in columns]
    drawn = rich.table.Table(*heads, title=title, title_justify="left", box=rich.box.SIMPLE_HEAD)
    for row in rows:
        drawn.add_row(*map(escaping.terminal_lines, row))
    rich.console.Console().print(drawn, markup=False)


@contextlib.contextmanager
def progress_bar(text: str, sizes: bool = False) -> Iterator[Callable[..., None]]:
    """A bar on standard error; yields a function of (done, all) or (done, all, a short text).

    With `sizes` both numbers are bytes and are shown in binary units (MiB). Where standard error is no
    terminal, a plain line is printed every half minute instead.
    """
    import time

    import rich.console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = rich.console.Console(stderr=True)
    described = TextColumn("{task.description}", markup=False)
    counted = DownloadColumn(binary_units=True) if sizes else MofNCompleteColumn()
    columns = (described, BarColumn(), counted, TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=None)
        printed = time.monotonic()

        def tick(done: int, total: int, more: str = "") -> None:
            nonlocal printed
            more = escaping.terminal(more)
            bar.update(task, completed=done, total=total, description=f"{text} {more}".rstrip())
            if not console.is_terminal and time.monotonic() - printed > 30:
                printed = time.monotonic()
                amount = f"{mib(done)} of {mib(total)}" if sizes else f"{done}/{total}"
                typer.echo(f"{text} {amount} {more}".rstrip(), err=True)

        yield tick


def mib(size: int) -> str:
    """A number of bytes in MiB."""
    return f"{size / 2**20:,.1f} MiB"


def guarded(run: Callable[[], Any]) -> None:
    """Run a Typer app; an error of ours, of the file system, or a stop by the user is one line, no traceback.

    Names of files need not be text that the terminal can show, so what it cannot is replaced.
    """
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        run()
    except CovidSynthError as error:
        _fail(error)
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _EXTRAS:
            raise
        _fail(MissingExtra(module, _EXTRAS[module]))
    except OSError as error:
        _fail(
            CovidSynthError(
                f"cannot use {error.filename or 'a file'}",
                found=(error.strerror or str(error)).lower(),
                expected="a file or folder that can be read, or written where it is an output",
                hint="check the path, its permissions and the room on the disk",
            )
        )
    except (KeyboardInterrupt, SystemExit) as stop:
        # Typer turns Ctrl-C within a command into exit code 130 and says nothing.
        if isinstance(stop, SystemExit) and stop.code != 130:
            raise
        typer.echo("stopped; the same command goes on from here", err=True)
        raise SystemExit(130) from None


def _fail(error: CovidSynthError) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    for line in error.lines:
        typer.echo(f"  {line}", err=True)
    raise SystemExit(2) from None
