"""The leaderboard: build it from result files, check files before they are accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covid_synth_data.cli.common import AsJson, progress_bar, say

app = typer.Typer(help="Build the leaderboard; validate result files.", no_args_is_help=True)


@app.command()
def build(
    results: Annotated[Path, typer.Argument(help="the folder of the result files")] = Path(
        "benchmarks/results"
    ),
    out: Annotated[
        Path, typer.Option("-o", "--out", help="where LEADERBOARD.md and leaderboard.html go")
    ] = Path("benchmarks"),
    hub_format: Annotated[
        Path | None, typer.Option(help="write the Hub's evaluation results into this folder too")
    ] = None,
) -> None:
    """Write LEADERBOARD.md and one self-contained HTML page from result files."""
    from covid_synth_data import leaderboard

    with progress_bar("leaderboard:") as tick:
        paths = leaderboard.build(results, out, hub_format, tick)
    for path in paths:
        say(str(path))


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(help="result files, or folders of them")],
    against: Annotated[
        Path | None, typer.Option(help="the accepted results: their test sets are the right ones")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="the folder that holds the real sets: split the tasks again")
    ] = None,
    release: Annotated[
        Path | None, typer.Option(help="the release that was trained on: whom its generators learned from")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute every metric from the predictions; refuse what does not match, or does not belong."""
    from covid_synth_data import leaderboard

    with progress_bar("validating") as tick:
        report = leaderboard.validate(files, against=against, root=root, release=release, progress=tick)
    say(report.model_dump_json(indent=1) if as_json else report.text())
