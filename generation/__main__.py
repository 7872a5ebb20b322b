"""`python -m generation`: train a generator, release what it makes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covid_synth_data.cli import guarded, progress_bar, say

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

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
    """Train the generator of RECIPE; the same command goes on after a stop."""
    from generation import films, lineage, trainer
    from generation.recipe import load_recipe

    loaded = load_recipe(recipe)
    folder = out or Path("runs") / loaded.name
    started_from = (start or folder.parent / loaded.start) if loaded.start else None
    lineage.origin(loaded, started_from)  # before any film is read, so that a missing run is said at once
    fabric = trainer.make_fabric(loaded, device, devices)
    fabric.launch()
    with progress_bar("reading films") as tick:
        classes = films.training_films(loaded, root, tick)
    counts = ", ".join(f"{len(side.image_ids)} {side.label}" for side in classes)
    schedule = loaded.training
    length = f"{schedule.steps} steps" if schedule.steps else f"{schedule.epochs} epochs"
    say(f"{loaded.name}: {counts} films of {loaded.data.size} px, {length}, {fabric.device}")
    with progress_bar("training") as tick:
        run = trainer.train(loaded, classes, folder, fabric, tick, started_from)
    say(f"weights  {run.weights}\nsamples  {folder / 'samples'}\nmetrics  {folder / 'metrics.jsonl'}")


@app.command()
def release(
    recipe: RecipePath,
    root: Root = None,
    run: Annotated[Path | None, typer.Option(help="the run's folder; default runs/NAME")] = None,
    weights: Annotated[Path | None, typer.Option(help="a weights file instead of the run's")] = None,
    out: Annotated[Path | None, typer.Option(help="the release folder; default build/DATASET")] = None,
    device: Device = "auto",
) -> None:
    """Make the images of RECIPE into a release folder; the same command goes on after a stop."""
    from covid_synth_data.errors import ConfigError, WeightsError
    from generation import release as releases
    from generation.recipe import load_recipe

    loaded = load_recipe(recipe)
    if loaded.release is None:
        raise ConfigError(
            f"{recipe} has no table [release]", found="a recipe for training alone",
            expected="what to make with the weights", hint="add the table, see generation/recipes/",
        )  # fmt: skip
    path = weights or (run or Path("runs") / loaded.name) / f"{loaded.name}.safetensors"
    if not path.is_file():
        raise WeightsError(
            f"no weights {path}", expected="the weights of a finished training",
            hint=f"python -m generation train {recipe}",
        )  # fmt: skip
    folder = out or Path("build") / loaded.release.dataset
    with progress_bar("releasing") as tick:
        releases.release(loaded, root, path, folder, device, tick)
    say(f"{loaded.release.count} images of {loaded.release.subset!r} in {folder}")


@app.command()
def curve(
    run: Annotated[Path, typer.Argument(help="the run's folder")],
    out: Annotated[Path, typer.Option("-o", "--out", help="the PNG file")],
) -> None:
    """Plot the losses of a run over its steps, and the Frechet distances of its looks."""
    from generation import figures

    figures.curve(run, out)
    say(f"written {out}")


@app.command()
def sheet(
    source: Annotated[Path, typer.Argument(help="a release folder, or weights that start from noise")],
    config: Annotated[str | None, typer.Argument(help="a config of the release, e.g. gnc")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="the PNG file")] = Path("sheet.png"),
    seed: Annotated[int, typer.Option(min=0, help="of the samples of weights")] = 0,
) -> None:
    """A grid of generated films, spread evenly over a config of a release, or sampled from weights."""
    from covid_synth_data import manifest
    from covid_synth_data.errors import ConfigError
    from generation import figures

    if source.suffix == ".safetensors":
        figures.samples(source, out, seed)
    elif config is None:
        raise ConfigError(
            f"no config of {source} named", expected="one, e.g. gnc", hint="name it after the folder"
        )
    else:
        figures.sheet(source, manifest.read(source).name, config, out)
    say(f"written {out}")


def main() -> None:
    """Entry point: errors of ours become one line and exit code 2."""
    guarded(app)


if __name__ == "__main__":
    main()
