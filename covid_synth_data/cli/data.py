"""The commands over data: what there is, tasks, releases, mixing, sampling, and the quickstart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from covid_synth_data.cli.common import (
    AsJson,
    Release,
    ReleaseFolder,
    Root,
    Search,
    Seed,
    mib,
    need,
    progress_bar,
    say,
    table,
)
from covid_synth_data.errors import ConfigError, CorruptRelease, UnknownName

app = typer.Typer()

Protocol = Annotated[str | None, typer.Option(help="one of the task's; without it, its first")]


@app.command()
def sources(root: Root = None, as_json: AsJson = False) -> None:
    """Each real set: licence, citation, how to get it, and how much of it --root has."""
    from dataclasses import asdict

    from covid_synth_data.sources import list_sources, source_status

    known = [(entry, source_status(entry.name, root)) for entry in list_sources()]
    if as_json:
        content = [{**asdict(entry), "status": asdict(status)} for entry, status in known]
        say(json.dumps(content, indent=1, default=str))
        return
    for entry, status in known:
        say(f"{entry.name}: {entry.title}")
        for key, value in (
            ("here", status.summary),
            ("licence", f"{entry.licence}. {entry.licence_note}"),
            ("cite", entry.citation),
            ("home", entry.homepage),
            ("get", entry.how_to_obtain),
        ):
            say(f"  {key:<8} {value}")
        say("")


@app.command()
def tasks(
    name: Annotated[str | None, typer.Argument(help="a task; without it all are listed")] = None,
    root: Root = None,
    protocol: Protocol = None,
    licences: Annotated[str, typer.Option(help="any or permissive")] = "any",
    fold: Annotated[int | None, typer.Option(help="the fold of five that is tested on")] = None,
    search: Search = "exact",
    seed: Seed = 0,
) -> None:
    """List the tasks, or plan one: films and patients per part, and what was left out and why."""
    from covid_synth_data.tasks import list_tasks, plan_task

    if name is None:
        rows = [[t.name, "\n".join(t.classes), "\n".join(t.protocols), t.description] for t in list_tasks()]
        table("tasks", ["task", "classes", "protocols", ""], rows)
        return
    with progress_bar("task") as tick:
        plan = plan_task(
            name,
            root,
            protocol=protocol,
            seed=seed,
            licences=licences,
            fold=fold,
            progress=tick,
            search=search,
        )
    say(plan.report())


@app.command()
def verify(folder: ReleaseFolder, as_json: AsJson = False) -> None:
    """Check every byte and count of a release against its manifest."""
    from dataclasses import asdict

    from covid_synth_data.release.verification import verify as check

    with progress_bar("verifying", sizes=True) as tick:
        report = check(folder, tick)
    if as_json:
        say(json.dumps({**asdict(report), "whole": report.whole}, indent=1))
    else:
        counts = ", ".join(f"{name} {rows:,} rows" for name, rows in report.rows.items())
        say(f"{folder}: {report.files} files, {mib(report.size)}, {counts}")
        for problem in report.problems:
            say(f"  {problem}")
    if not report.whole:
        raise CorruptRelease(
            f"{folder} is not as released",
            found=f"{len(report.problems)} problems, the first is {report.problems[0]}",
            expected="every byte and count as its manifest says",
            hint="fetch the release again",
        )
    if not as_json:
        say("whole: every byte and every count is as the manifest says")


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="a release folder, or ORG/NAME@v1.0.0")],
    new: Annotated[str, typer.Argument(help="a release folder, or ORG/NAME@v1.1.0")],
    as_json: AsJson = False,
) -> None:
    """Show the changes from OLD to NEW: rows, columns, configs, weights, recipe, licences."""
    from covid_synth_data.release import diff as versions

    with progress_bar("comparing") as tick:
        difference = versions.diff(old, new, tick)
    say(difference.json() if as_json else difference.text())


@app.command()
def mix(
    task: Annotated[str, typer.Argument(help="a task, see covid-synth tasks")],
    root: Root = None,
    synthetic: Annotated[str, typer.Option(help="configs to mix in, with commas: gnc,gpc")] = "gnc",
    release: Release = None,
    skew: Annotated[
        float | None, typer.Option(help="negatives / positives of the result; 1 without any of these five")
    ] = None,
    count: Annotated[int | None, typer.Option(help="synthetic films beside all real ones")] = None,
    fraction: Annotated[
        float | None, typer.Option(help="share of the result that is synthetic, beside all real films")
    ] = None,
    replace: Annotated[
        float | None, typer.Option(help="share of the real positives that synthetic ones replace")
    ] = None,
    extend: Annotated[
        float | None, typer.Option(help="synthetic films beside all real ones, as a share of these")
    ] = None,
    protocol: Protocol = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="write the mixed set as parquet here")
    ] = None,
    all_parts: Annotated[
        bool, typer.Option("--all-parts", help="also write validation and test, as they are")
    ] = False,
) -> None:
    """Mix a task's training part with synthetic films to the asked composition."""
    import covid_synth_data as csd
    from covid_synth_data.files.films import write_parquet

    # What is asked for, refused before anything is read.
    asked = {"skew": skew, "count": count, "fraction": fraction, "replace": replace, "extend": extend}
    given = {name: value for name, value in asked.items() if value is not None}
    if len(given) > 1:
        raise ConfigError(
            "a mix is governed by one number",
            found=", ".join(f"--{name} {value:g}" for name, value in given.items()),
            expected="one of them",
            hint="leave the others out",
        )
    if all_parts and (out is None or out.suffix == ".parquet"):
        raise ConfigError(
            "all parts need a folder",
            found=f"-o {out}" if out else "no -o",
            expected="-o FOLDER",
            hint="train.parquet, validation.parquet and test.parquet go into it",
        )
    # The mix.
    with progress_bar("task") as tick:
        splits = csd.load_task(task, root, protocol=protocol, seed=seed, progress=tick)
    real = splits["train"]
    made = [csd.load_dataset("covid-synth-cxr", name.strip(), root=release) for name in synthetic.split(",")]
    if replace is not None:
        mixed = csd.replace(real, made, fraction=replace, seed=seed)
    elif extend is not None:
        mixed = csd.extend(real, made, fraction=extend, seed=seed)
    else:
        mixed = csd.mix(real, made, skew=skew, synthetic_count=count, synthetic_fraction=fraction, seed=seed)
    say(
        f"real {len(real):,} films, skew {csd.skew(real):.2f};"
        f" mixed {len(mixed):,}, skew {csd.skew(mixed):.4f}"
    )
    # Its files.
    if out is None:
        return
    parts = {**splits, "train": mixed} if all_parts else {"train": mixed}
    for part, rows in parts.items():
        path = out if out.suffix == ".parquet" else out / f"{part}.parquet"
        with progress_bar(f"writing {part}") as tick:
            write_parquet(rows, path, tick)
        say(f"written {path}")


@app.command()
def sample(
    name: Annotated[str, typer.Argument(help="a trained generator, e.g. cyclegan-unet.nc")],
    out: Annotated[Path, typer.Option("-o", "--out", help="where the images go")],
    count: Annotated[
        int | None, typer.Option("-n", min=1, help="how many images; without it 16, or all films of --from")
    ] = None,
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
    need("generation", "torch", "safetensors")
    from covid_synth_data.generators import sampling
    from covid_synth_data.generators.search import locate
    from covid_synth_data.generators.trained import Sampler, Translator, load_file

    if kind not in ("png", "release"):
        raise UnknownName("format", kind, ["png", "release"])
    weights = locate(name, release)
    generator = load_file(weights, device)
    if isinstance(generator, Translator):
        if films is None:
            raise ConfigError(f"{name} translates films", expected="--from FOLDER", hint="give it films")
        with progress_bar("translating") as tick:
            made, there = sampling.translate(generator, films.expanduser(), count, out, tick)
        summary = (
            f"{made} films in {out}" if made == there else f"{made} of {there} films in {out} (-n {count})"
        )
        say(
            summary
            + (f"; -n {count} asked for more than are there" if count is not None and count > there else "")
        )
        return
    if not isinstance(generator, Sampler):
        raise ConfigError(
            f"{name} draws CT slices from label maps",
            expected="a generator from noise or from films",
            hint=f"give them in Python: generators.load({name!r}).translate(label_maps)",
        )
    if films is not None:
        raise ConfigError(f"{name} starts from noise", found=f"--from {films}", hint="leave --from out")
    count = 16 if count is None else count
    with progress_bar("sampling") as tick:
        if kind == "png":
            sampling.write_png(generator, count, seed, label, out, tick)
        else:
            sampling.write_release(generator, weights, count, seed, label, out, tick)
    say(f"{count} images in {out}")


@app.command()
def quickstart(out: Annotated[Path, typer.Option(help="where everything goes")] = Path("quickstart")) -> None:
    """The whole path on phantoms in a minute, and a page that says how to do it with your own data."""
    from covid_synth_data import quickstart as path

    path.run(out, say, progress_bar)
