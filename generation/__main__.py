"""`python -m generation`: train a generator, release what it makes, show and measure it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covid_synth_data.cli import guarded, progress_bar, say
from generation.lesions import fit
from generation.report import commands

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(commands.app)
app.add_typer(fit.app, name="lesions")

RecipePath = Annotated[Path, typer.Argument(help="a recipe, e.g. generation/recipes/cyclegan-nc.toml")]
Root = Annotated[
    Path | None,
    typer.Option(help="the folder that holds the real sets", envvar="COVID_SYNTH_SOURCES", show_envvar=True),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]


@app.command()
def train(
    recipe: RecipePath,
    root: Root = None,
    out: Annotated[Path | None, typer.Option(help="the run's folder; default runs/NAME")] = None,
    device: Device = "auto",
    devices: Annotated[int, typer.Option(min=1, help="how many devices share each batch")] = 1,
    start: Annotated[
        Path | None, typer.Option(help="the run that the recipe starts from; default beside the run's folder")
    ] = None,
) -> None:
    """Train the generator of RECIPE; the same command continues after a stop."""
    from covid_synth_data.errors import ConfigError
    from generation.recipe import TrainedRecipe, family, load_recipe
    from generation.training import engine, lineage, loop

    loaded = load_recipe(recipe)
    if not isinstance(loaded, TrainedRecipe):
        raise ConfigError(
            f"{loaded.name} needs no training",
            found=f"the family {loaded.family}",
            expected="a family that is trained",
            hint=f"python -m generation release {recipe}",
        )
    folder = out or Path("runs") / loaded.name
    started_from = (start or folder.parent / loaded.start) if loaded.start else None
    lineage.origin(loaded, started_from)  # before any film is read, so that a missing run is reported at once
    accelerator = loop.accelerator_of(device)
    with progress_bar("reading films") as tick:
        classes = family(loaded.family).read(loaded, root, tick)
    decided = engine.decide(loaded, classes, folder, accelerator)
    fabric = loop.make_fabric(loaded, device, devices, decided)
    fabric.launch()
    counts = ", ".join(f"{len(side.image_ids)} {side.label}" for side in classes)
    schedule = loaded.training
    length = f"{schedule.steps} steps" if schedule.steps else f"{schedule.epochs} epochs"
    say(f"{loaded.name}: {counts} films of {loaded.data.size} px, {length}, {fabric.device}")
    say(f"precision {decided.precision}, {decided.because}; recorded in {folder / engine.RECORD}")
    with progress_bar("training") as tick:
        run = loop.train(loaded, classes, folder, fabric, tick, started_from, decided)
    say(f"weights  {run.weights}\nsamples  {folder / 'samples'}\nmetrics  {folder / 'metrics.jsonl'}")


@app.command()
def release(
    recipe: RecipePath,
    root: Root = None,
    run: Annotated[Path | None, typer.Option(help="the run's folder; default runs/NAME")] = None,
    weights: Annotated[Path | None, typer.Option(help="a weights file instead of the run's")] = None,
    out: Annotated[Path | None, typer.Option(help="the release folder; default build/DATASET")] = None,
    device: Device = "auto",
    licences: Annotated[
        str, typer.Option("--licenses", help="permissive, or any: label the release as restricted")
    ] = "permissive",
) -> None:
    """Make the images of RECIPE into a release folder; the same command continues after a stop."""
    from generation.kinds.kind import maker_of
    from generation.recipe import TrainedRecipe, load_recipe
    from generation.releasing import build

    loaded = load_recipe(recipe)
    settings = build.table_of(loaded)
    if weights is None and isinstance(loaded, TrainedRecipe):
        weights = (run or Path("runs") / loaded.name) / f"{loaded.name}.safetensors"
    folder = out or Path("build") / settings.dataset
    with progress_bar("releasing") as tick:
        maker = maker_of(loaded, root, weights, device)
        build.release(loaded, maker, folder, root, tick, licences)
    say(f"{len(maker.rows)} images of {settings.subset!r} in {folder}")


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="the release folder")],
    repo: Annotated[str, typer.Option(help="the dataset repository, ORG/covid-synth-cxr")],
    version: Annotated[str | None, typer.Option(help="must be the version of the folder")] = None,
    private: Annotated[bool, typer.Option("--private", help="make the repository private")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print what would be sent; send nothing")
    ] = False,
    licences: Annotated[
        str, typer.Option("--licenses", help="permissive, or any: publish a restricted release too")
    ] = "permissive",
) -> None:
    """Publish a release folder on the Hub as the tag vX.Y.Z; the same command goes on after a stop."""
    from generation.releasing import publish as publishing

    with progress_bar("verifying") as tick:
        planned = publishing.plan(folder, repo, version, private, tick, licences)
    say(publishing.describe(planned))
    if dry_run or planned.tagged:
        return
    commit = publishing.carry_out(planned)
    say(f"published {planned.tag} as commit {commit}")


@app.command()
def card(
    folder: Annotated[Path, typer.Argument(help="a release folder that is not published yet")],
    results: Annotated[
        Path | None, typer.Option(help="a folder of result files, whose numbers go into the card")
    ] = None,
    sheets: Annotated[bool, typer.Option("--sheets", help="add a sheet of images of each config")] = False,
) -> None:
    """Write the cards of a release again, with what was measured since, and list them in its manifest."""
    from covid_synth_data.release import manifest
    from generation.releasing import documents
    from generation.releasing.documents.dataset import configs_of
    from generation.report import figures

    listed = manifest.read(folder).model_copy(update={"images": manifest.identity(folder)})
    for entry in configs_of(listed) if sheets else []:
        figures.sheet(folder, listed.name, entry.config, folder / "sheets" / f"{entry.config}.png")
    manifest.write(folder, documents.complete(folder, listed, results=results))
    say(f"written {folder / 'README.md'}, croissant.json and the cards of the weights")


@app.command()
def reproduce(
    release: Annotated[str, typer.Argument(help="a release folder, or ORG/NAME@v1.0.0")],
    root: Root = None,
    rows: Annotated[int, typer.Option(min=1, help="how many rows to make again")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="which rows")] = 0,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON for a script")] = False,
) -> None:
    """Make rows of a release again and compare them with the published pixels; exit code 1 if any differ."""
    from generation.releasing import reproduce as reproducing

    with progress_bar("making again") as tick:
        report = reproducing.reproduce(release, root, rows, seed, device, tick)
    say(report.json() if as_json else report.text())
    if not report.passed:
        raise typer.Exit(1)


def main() -> None:
    """Entry point: errors of the package become one line and exit code 2."""
    guarded(app)


if __name__ == "__main__":
    main()
