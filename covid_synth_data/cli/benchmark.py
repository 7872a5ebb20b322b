"""The commands over suites: list, run, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from covid_synth_data.cli.common import AsJson, Release, Root, progress_bar, say
from covid_synth_data.errors import UnknownName

app = typer.Typer(help="Run suites and print their tables.", no_args_is_help=True)


@app.command("list")
def show(as_json: AsJson = False) -> None:
    """The suites, with their tasks, models, regimes and profiles."""
    from covid_synth_data.benchmark import list_suites, load_suite

    suites = [load_suite(name) for name in list_suites()]
    if as_json:
        say(json.dumps([suite.model_dump() for suite in suites], indent=1))
        return
    for suite in suites:
        say(f"{suite.name} {suite.version}: {suite.title}")
        for kind, names in (
            ("tasks", suite.tasks), ("models", suite.models),
            ("regimes", suite.regimes), ("profiles", suite.profiles),
        ):  # fmt: skip
            say(f"  {kind:<9} {', '.join(names)}")
        say("")


@app.command("run")
def run_suite(
    suite: Annotated[str, typer.Argument(help="a suite, see covid-synth benchmark list")],
    out: Annotated[Path, typer.Option(help="the folder of the result files")] = Path("benchmarks/results"),
    root: Root = None,
    release: Release = None,
    task: Annotated[list[str] | None, typer.Option(help="a task; again for more")] = None,
    model: Annotated[list[str] | None, typer.Option(help="a model; again for more")] = None,
    regime: Annotated[list[str] | None, typer.Option(help="a regime; again for more")] = None,
    profile: Annotated[str | None, typer.Option(help="models, seeds and regimes for a purpose")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="how many seeds")] = None,
    weights: Annotated[str | None, typer.Option(help="initial weights: imagenet or none")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="at most this many real negatives to train on")
    ] = None,
    skip_missing: Annotated[
        bool, typer.Option(help="leave out regimes whose data the release lacks")
    ] = False,
    device: str = "auto",
) -> None:
    """Run SUITE: one result file per task, model, regime and seed; the same command goes on after a stop."""
    from covid_synth_data.benchmark import run

    if weights not in (None, "imagenet", "none"):
        raise UnknownName("choice of weights", weights, ["imagenet", "none"])
    with progress_bar("benchmark") as tick:
        paths = run(
            suite, out=out, root=root, release=release, profile=profile, tasks=task, models=model,
            regimes=regime, seeds=seeds, weights=weights, limit=limit,  # type: ignore[arg-type]
            skip_missing=skip_missing, device=device, progress=tick,
        )  # fmt: skip
    say(f"{len(paths)} result files in {out}")


@app.command("report")
def print_report(
    results: Annotated[Path, typer.Option(help="the folder of the result files")] = Path(
        "benchmarks/results"
    ),
) -> None:
    """Print the table of all result files, each validated against its own predictions."""
    from covid_synth_data.benchmark import report

    say(report(results))
