"""The commands over suites: list, run, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covid_synth_data.cli.common import AsJson, Release, Root, need, progress_bar, say, table
from covid_synth_data.errors import UnknownName

if TYPE_CHECKING:
    from covid_synth_data.benchmark.running.dry_run import Line

app = typer.Typer(help="Run suites and print their tables.", no_args_is_help=True)

Suite = Annotated[str, typer.Argument(help="a suite, see covid-synth benchmark list")]
Regimes = Annotated[list[str] | None, typer.Option(help="a regime; again for more")]
Seeds = Annotated[int | None, typer.Option(min=1, help="how many seeds")]
Results = Annotated[Path, typer.Option(help="the folder of the result files")]
Preprocessing = Annotated[
    str | None, typer.Option(help="plain, re-encoded, harmonised or lungs, in place of the suite's")
]
HalfSamples = Annotated[
    bool,
    typer.Option(
        "--half-samples", help="each seed trains on its own half of the patients; SUITE@half-samples"
    ),
]

_RESULTS = Path("benchmarks/results")


@app.command("list")
def show(as_json: AsJson = False) -> None:
    """The suites, with their kinds, tasks, models, regimes and profiles."""
    from covid_synth_data.benchmark import list_suites, load_suite

    suites = [load_suite(name) for name in list_suites()]
    if as_json:
        say(json.dumps([suite.model_dump() for suite in suites], indent=1))
        return
    for suite in suites:
        say(f"{suite.name} {suite.version} ({suite.kind}): {suite.title}")
        for what, names in suite.lists().items():
            say(f"  {what:<9} {', '.join(names)}")
        say("")


@app.command("run")
def run_suite(
    suite: Suite,
    out: Results = _RESULTS,
    root: Root = None,
    release: Release = None,
    version: Annotated[str | None, typer.Option(help="of the dataset, where no --release is given")] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="of same-source and same-source-cv: another set with both classes; the suite SUITE@SOURCE"
        ),
    ] = None,
    half_samples: HalfSamples = False,
    task: Annotated[list[str] | None, typer.Option(help="a task; again for more")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="a model of the suite, timm:NAME, or your own MODULE:ATTRIBUTE; again for more"),
    ] = None,
    regime: Regimes = None,
    config: Annotated[
        list[str] | None,
        typer.Option(help="a synthetic config, e.g. an imported one; regimes are derived; again for more"),
    ] = None,
    profile: Annotated[str | None, typer.Option(help="models, seeds and regimes for a purpose")] = None,
    seeds: Seeds = None,
    weights: Annotated[str | None, typer.Option(help="initial weights: imagenet, xrv or none")] = None,
    preprocessing: Preprocessing = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="at most this many real negatives (CT: slices) to train on")
    ] = None,
    skip_missing: Annotated[
        bool, typer.Option(help="leave out regimes whose data the release lacks")
    ] = False,
    device: str = "auto",
    ray: Annotated[
        str | None,
        typer.Option(help="share the trainings out over the Ray cluster at this address, or local"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done and its cost")] = False,
    protocol: Annotated[str | None, typer.Option(help="of a suite of CT slices: patient or paper")] = None,
    size: Annotated[
        int | None, typer.Option(min=32, help="of films or CT slices, in pixels, in place of the suite's")
    ] = None,
    split_seed: Annotated[
        int | None, typer.Option(min=0, help="split the patients another way; the suite SUITE@split-N")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run SUITE, a name or a .toml file: one result file per training; run again, it goes on after a stop."""
    need("benchmark", "torch", "torchvision", "sklearn")
    from covid_synth_data import benchmark

    if weights not in (None, "imagenet", "xrv", "none"):
        raise UnknownName("choice of weights", weights, ["imagenet", "xrv", "none"])
    suite = suite if source is None else f"{suite}@{source}"
    options: dict[str, Any] = {
        "half_samples": half_samples,
        "split_seed": split_seed,
        "out": out,
        "root": root,
        "release": release,
        "version": version,
        "profile": profile,
        "tasks": task,
        "models": model,
        "protocol": protocol,
        "regimes": regime,
        "configs": config,
        "seeds": seeds,
        "weights": weights,
        "preprocessing": checked_preprocessing(preprocessing),
        "size": size,
        "limit": limit,
        "skip_missing": skip_missing,
        "device": device,
        "ray": ray,
    }
    with progress_bar("benchmark") as tick:
        if dry_run:
            lines = benchmark.dry_run(suite, **options, progress=tick)
        else:
            paths = benchmark.run(suite, **options, progress=tick)
    if dry_run:
        _print_plan(lines, as_json)
    elif as_json:
        say(json.dumps([str(path) for path in paths], indent=1))
    else:
        say(f"{len(paths)} result files in {out}")


def checked_preprocessing(name: str | None) -> Any:
    """A kind of preprocessing. Raises `UnknownName`."""
    if name is not None:
        from covid_synth_data.preprocessing import films as preprocessing

        preprocessing.check(name)
    return name


def _print_plan(lines: list[Line], as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        say(json.dumps([{**asdict(line), "seconds": line.seconds} for line in lines], indent=1))
        return
    rows = [
        [
            line.task,
            line.model,
            f"{line.runs:,}",
            f"{line.done:,}",
            f"{line.films:,}",
            f"{line.extraction / 60:,.1f}",
            f"{line.training / 60:,.1f}",
        ]
        for line in lines
    ]
    columns = [
        "task",
        "model",
        "trainings",
        "done",
        "films to read",
        "features, min",
        "training, min at most",
    ]
    table("what would be done", columns, rows)
    total = sum(line.seconds for line in lines) / 60
    say(
        f"at most {total:,.1f} minutes, from one batch of each network timed here; early stopping makes it"
        " less, and neither a dense layer on fixed features nor a classifier of your own is counted"
    )


@app.command("report")
def print_report(
    results: Results = _RESULTS,
    published: Annotated[bool, typer.Option(help="with the papers' numbers beside ours")] = True,
    figures: Annotated[
        Path | None, typer.Option(help="draw the figures into this folder and name them in the report")
    ] = None,
    suite: Annotated[str | None, typer.Option(help="one suite alone")] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="write the report into this file, with links from it")
    ] = None,
) -> None:
    """Print a summary and the tables of all result files, each validated against its own predictions."""
    from covid_synth_data.benchmark import report
    from covid_synth_data.files.atomic import write_text

    start = None if out is None else out.parent
    with progress_bar("report:") as tick:
        text = report(
            results, published=published, figures=figures, links_from=start, suite=suite, progress=tick
        )
    if out is None:
        say(text)
        return
    write_text(out, text)
    say(str(out))
