"""`covid-synth`: a thin layer over the public functions; our errors are one line and exit code 2.

One file for each group of commands. Heavy imports wait until a command runs, so the help appears at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from covid_synth_data._version import __version__
from covid_synth_data.cli import (
    audit,
    data,
    datasets,
    explain,
    explore,
    exporting,
    importing,
    leaderboard,
    paint,
    reader_study,
    source,
)
from covid_synth_data.cli.common import guarded, progress_bar, say, table

__all__ = ["app", "guarded", "main", "progress_bar", "say", "table"]

app = typer.Typer(
    help="Synthetic COVID-19 chest X-rays: load, mix with real films, measure whether they help.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(datasets.app)
app.add_typer(data.app)
app.add_typer(audit.app)
app.add_typer(paint.app)
app.add_typer(importing.app)
app.add_typer(explore.app)
app.add_typer(exporting.app)
app.add_typer(explain.app, name="benchmark")
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(reader_study.app, name="reader-study")
app.add_typer(source.app, name="source")


def _print_version(asked: bool) -> None:
    if asked:
        say(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Synthetic COVID-19 chest X-rays: load, mix with real films, measure whether they help."""


def main() -> None:
    """Entry point of the command `covid-synth`."""
    guarded(app)
