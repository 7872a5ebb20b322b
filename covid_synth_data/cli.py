"""`covid-synth`: a thin layer over the public functions; errors of ours are one line and exit code 2."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from covid_synth_data.errors import BadImage, ConfigError, CorruptRelease, CovidSynthError, UnknownName

if TYPE_CHECKING:
    import datasets

app = typer.Typer(
    help="Synthetic COVID-19 chest X-rays: load, mix with real films, measure whether they help.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
)  # fmt: skip

Root = Annotated[
    Path | None,
    typer.Option(help="the folder that holds the real sets", envvar="COVID_SYNTH_SOURCES", show_envvar=True),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for a script")]
Release = Annotated[Path | None, typer.Option(help="a release folder")]
Seed = Annotated[int, typer.Option(min=0, help="another seed gives another draw")]


def say(text: str) -> None:
    """Print to standard output, as it is."""
    typer.echo(text)


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table whose cells wrap instead of being cut."""
    import rich.box
    import rich.console
    import rich.table

    drawn = rich.table.Table(*columns, title=title, title_justify="left", box=rich.box.SIMPLE_HEAD)
    for row in rows:
        drawn.add_row(*row)
    rich.console.Console().print(drawn, markup=False)


@contextlib.contextmanager
def progress_bar(text: str) -> Iterator[Callable[..., None]]:
    """A bar on standard error; yields a function of (done, all) or (done, all, a short text).

    Where standard error is no terminal, a plain line is printed every half minute instead.
    """
    import time

    import rich.console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = rich.console.Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=None)
        printed = time.monotonic()

        def tick(done: int, total: int, more: str = "") -> None:
            nonlocal printed
            bar.update(task, completed=done, total=total, description=f"{text} {more}".rstrip())
            if not console.is_terminal and time.monotonic() - printed > 30:
                printed = time.monotonic()
                typer.echo(f"{text} {done}/{total} {more}".rstrip(), err=True)

        yield tick


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
    except OSError as error:
        _fail(
            CovidSynthError(
                f"cannot use {error.filename or 'a file'}", found=(error.strerror or str(error)).lower(),
                expected="a file or folder that can be read, or written where it is an output",
                hint="check the path, its permissions and the room on the disk",
            )
        )  # fmt: skip
    except (KeyboardInterrupt, SystemExit) as stop:
        # Typer turns Ctrl-C within a command into exit code 130 and says nothing.
        if isinstance(stop, SystemExit) and stop.code != 130:
            raise
        typer.echo("stopped; the same command goes on from here", err=True)
        raise SystemExit(130) from None


def _fail(error: CovidSynthError) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    raise SystemExit(2) from None


@app.command()
def info(as_json: AsJson = False) -> None:
    """What is released: datasets, configs, counts."""
    from dataclasses import asdict

    from covid_synth_data import __version__, list_datasets

    entries = list_datasets()
    if as_json:
        say(json.dumps({"version": __version__, "datasets": [asdict(entry) for entry in entries]}, indent=1))
        return
    say(f"covid-synth-data {__version__}")
    for name in dict.fromkeys(entry.dataset for entry in entries):
        say(f"\n{name}")
        for e in (entry for entry in entries if entry.dataset == name):
            default = " (default)" if e.default else ""
            say(f"  {e.config:<14}{e.count:>7,} images of {e.size} px, {e.generator}, {e.paper}{default}")
            say(f"  {'':<14}{e.description}")


@app.command()
def sources(root: Root = None, as_json: AsJson = False) -> None:
    """Each real set: licence, citation, how to get it, and how much of it --root has."""
    from dataclasses import asdict

    from covid_synth_data.sources import list_sources, source_status

    found = [(entry, source_status(entry.name, root)) for entry in list_sources()]
    if as_json:
        content = [{**asdict(entry), "status": asdict(status)} for entry, status in found]
        say(json.dumps(content, indent=1, default=str))
        return
    for entry, status in found:
        say(f"{entry.name}: {entry.title}")
        for key, value in (
            ("here", status.summary), ("licence", f"{entry.licence}. {entry.licence_note}"),
            ("cite", entry.citation), ("home", entry.homepage), ("get", entry.how_to_obtain),
        ):  # fmt: skip
            say(f"  {key:<8} {value}")
        say("")


@app.command()
def tasks(
    name: Annotated[str | None, typer.Argument(help="a task; without it all are listed")] = None,
    root: Root = None,
    protocol: Annotated[str, typer.Option(help="clean, zunair2021 or menon2020")] = "clean",
    licences: Annotated[str, typer.Option(help="any or permissive")] = "any",
    seed: Seed = 0,
) -> None:
    """List the tasks, or plan one: films and patients per part, and what was left out and why."""
    from covid_synth_data.tasks import list_tasks, plan_task

    if name is None:
        rows = [[t.name, t.negative, t.positive, t.description] for t in list_tasks()]
        table("tasks", ["task", "negative", "positive", ""], rows)
        return
    say(plan_task(name, root, protocol=protocol, seed=seed, licences=licences).report())


@app.command()
def verify(folder: Annotated[Path, typer.Argument(help="a release folder")], as_json: AsJson = False) -> None:
    """Check every byte and count of a release against its manifest."""
    from dataclasses import asdict

    from covid_synth_data.hub import verify as check

    with progress_bar("verifying") as tick:
        report = check(folder, tick)
    if as_json:
        say(json.dumps({**asdict(report), "whole": report.whole}, indent=1))
    else:
        counts = ", ".join(f"{name} {rows:,} rows" for name, rows in report.rows.items())
        say(f"{folder}: {report.files} files, {report.size / 1e6:,.1f} MB, {counts}")
        for problem in report.problems:
            say(f"  {problem}")
    if not report.whole:
        raise CorruptRelease(
            f"{folder} is not as released",
            found=f"{len(report.problems)} problems, the first is {report.problems[0]}",
            expected="every byte and count as its manifest says", hint="fetch the release again",
        )  # fmt: skip
    if not as_json:
        say("whole: every byte and every count is as the manifest says")


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="a release folder, or ORG/NAME@v1.0.0")],
    new: Annotated[str, typer.Argument(help="a release folder, or ORG/NAME@v1.1.0")],
    as_json: AsJson = False,
) -> None:
    """What changed from OLD to NEW: rows, columns, configs, weights, recipe, licences."""
    from covid_synth_data import versions

    with progress_bar("comparing") as tick:
        found = versions.diff(old, new, tick)
    say(found.json() if as_json else found.text())


@app.command()
def mix(
    task: Annotated[str, typer.Argument(help="a task, see covid-synth tasks")],
    root: Root = None,
    synthetic: Annotated[str, typer.Option(help="configs to mix in, with commas: gnc,gpc")] = "gnc",
    release: Release = None,
    skew: Annotated[float, typer.Option(help="negatives / positives of the result")] = 1.0,
    protocol: Annotated[str, typer.Option(help="clean, zunair2021 or menon2020")] = "clean",
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="write the mixed set as parquet here")
    ] = None,
) -> None:
    """Mix a task's training part with synthetic films to the asked skew."""
    import covid_synth_data as csd

    real = csd.load_task(task, root, protocol=protocol, seed=seed)["train"]
    parts = [csd.load_dataset("covid-synth-cxr", name.strip(), root=release) for name in synthetic.split(",")]
    mixed = csd.mix(real, parts, skew=skew, seed=seed)
    say(
        f"real {len(real):,} films, skew {csd.skew(real):.2f};"
        f" mixed {len(mixed):,}, skew {csd.skew(mixed):.4f}"
    )
    if out is not None:
        path = out / "train.parquet" if out.suffix != ".parquet" else out
        with progress_bar("writing") as tick:
            _write_parquet(mixed, path, tick)
        say(f"written {path}")


def _write_parquet(rows: datasets.Dataset, path: Path, tick: Callable[[int, int], None]) -> None:
    """Write rows with the bytes of their images, so that the file needs no other. Raises `BadImage`."""
    import pyarrow.parquet as pq
    from datasets.table import embed_table_storage

    from covid_synth_data.atomic import replacing

    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, rows.features.arrow_schema) as writer,
    ):
        done = 0
        for batch in rows.with_format("arrow").iter(256):
            try:
                whole = embed_table_storage(batch)
            except OSError as error:
                raise BadImage(
                    f"cannot read {error.filename}", found=(error.strerror or str(error)).lower(),
                    expected="an image of the source", hint="download that part of the source again",
                ) from error  # fmt: skip
            writer.write_table(whole)
            done += len(batch)
            tick(done, len(rows))


@app.command()
def sample(
    name: Annotated[str, typer.Argument(help="a trained generator, e.g. cyclegan-unet.nc")],
    out: Annotated[Path, typer.Option("-o", "--out", help="where the images go")],
    count: Annotated[int, typer.Option("-n", min=1, help="how many images")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="of the noise; image i depends on (seed, i) alone")] = 0,
    label: Annotated[
        str | None, typer.Option(help="the class that a class-conditional generator makes")
    ] = None,
    films: Annotated[
        Path | None, typer.Option("--from", help="a folder of films, for a generator that translates")
    ] = None,
    kind: Annotated[str, typer.Option("--format", help="png, or release: parquet, card, manifest")] = "png",
    release: Release = None,
    device: str = "auto",
) -> None:
    """Images of a trained generator: from noise, or translated from films."""
    from covid_synth_data import sampling
    from covid_synth_data.generators.trained import Sampler, Translator, load_file, locate

    if kind not in ("png", "release"):
        raise UnknownName("format", kind, ["png", "release"])
    weights = locate(name, release)
    generator = load_file(weights, device)
    if isinstance(generator, Translator):
        if films is None:
            raise ConfigError(f"{name} translates films", expected="--from FOLDER", hint="give it films")
        say(f"{sampling.translate(generator, films, count, out)} films in {out}")
        return
    if not isinstance(generator, Sampler):
        raise ConfigError(
            f"{name} draws CT slices from label maps", expected="a generator from noise or from films",
            hint=f"give them in Python: generators.load({name!r}).translate(label_maps)",
        )  # fmt: skip
    if films is not None:
        raise ConfigError(f"{name} starts from noise", found=f"--from {films}", hint="leave --from out")
    with progress_bar("sampling") as tick:
        if kind == "png":
            sampling.write_png(generator, count, seed, label, out, tick)
        else:
            sampling.write_release(generator, weights, count, seed, label, out, tick)
    say(f"{count} images in {out}")


bench = typer.Typer(help="Run suites and print their tables.", no_args_is_help=True)
app.add_typer(bench, name="benchmark")


@bench.command("list")
def benchmark_list(as_json: AsJson = False) -> None:
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


@bench.command("run")
def benchmark_run(
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


@bench.command("report")
def benchmark_report(
    results: Annotated[Path, typer.Option(help="the folder of the result files")] = Path(
        "benchmarks/results"
    ),
) -> None:
    """Print the table of all result files, each validated against its own predictions."""
    from covid_synth_data.benchmark import report

    say(report(results))


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option(help="where everything goes")] = Path("quickstart"),
) -> None:
    """The whole path on phantoms, from training to a page with films and the table."""
    from covid_synth_data import quickstart as path

    path.run(out, say, progress_bar)


def main() -> None:
    """Entry point of the command `covid-synth`."""
    guarded(app)


if __name__ == "__main__":
    main()
