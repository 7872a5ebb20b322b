"""The commands that show and measure what was trained and released."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covid_synth_data.cli.common import Root, progress_bar, say

app = typer.Typer(no_args_is_help=True)

Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Picture = Annotated[Path, typer.Option("-o", "--out", help="the PNG file")]


@app.command()
def curve(run: Annotated[Path, typer.Argument(help="the run's folder")], out: Picture) -> None:
    """Plot the losses of a run over its steps, and the Frechet distances of its evaluations."""
    from generation.report import figures

    figures.curve(run, out)
    say(f"written {out}")


@app.command()
def sheet(
    source: Annotated[Path, typer.Argument(help="a release folder, or weights that start from noise")],
    config: Annotated[str | None, typer.Argument(help="a config of the release, e.g. gnc")] = None,
    out: Picture = Path("sheet.png"),
    seed: Annotated[int, typer.Option(min=0, help="of the samples of weights")] = 0,
) -> None:
    """A grid of generated films, spread evenly over a config of a release, or sampled from weights."""
    from covid_synth_data.errors import ConfigError
    from covid_synth_data.release import manifest
    from generation.report import figures

    if source.suffix == ".safetensors":
        figures.samples(source, out, seed)
    elif config is None:
        raise ConfigError(
            f"no config of {source} named", expected="one, e.g. gnc", hint="name it after the folder"
        )
    else:
        figures.sheet(source, manifest.read(source).name, config, out)
    say(f"written {out}")


@app.command("ct-quality")
def ct_quality(
    weights: Annotated[list[Path], typer.Argument(help="weights of generators from label maps, ours first")],
    out: Annotated[Path, typer.Option(help="the folder of the result files")],
    root: Root = None,
    side: Annotated[
        int | None, typer.Option(min=16, help="at this side; default each generator's own")
    ] = None,
    device: Device = "auto",
) -> None:
    """Compare drawn test slices with the real ones (Table II): a JSON file per generator, and the table."""
    from covid_synth_data.classifiers.extractor import Extractor
    from generation.report import ct_quality as quality

    features, results = Extractor(device), []
    with progress_bar("measuring") as tick:
        for number, path in enumerate(weights, 1):
            results.append(quality.measure(path, root, side=side, device=device, features=features))
            quality.write(results[-1], out / f"{results[-1].generator}.json")
            tick(number, len(weights))
    say(quality.table(results))


@app.command("ct-copies")
def ct_copies(
    release: Annotated[Path, typer.Argument(help="the release folder")],
    out: Annotated[Path, typer.Option("-o", "--out", help="the JSON file")],
    root: Root = None,
    limit: Annotated[int | None, typer.Option(min=1, help="at most so many drawn slices")] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the squares")] = 0,
) -> None:
    """Compare squares of drawn lungs with those of the slices that the generator learned from."""
    from generation.report import ct_copies as copies

    with progress_bar("training slices") as tick:
        result = copies.measure(release, root, seed=seed, limit=limit, progress=tick)
    copies.write(result, out)
    say(copies.table(result))


@app.command("ct-sheet")
def ct_sheet(
    out: Picture,
    released: Annotated[Path | None, typer.Option("--release", help="the release folder to show")] = None,
    weights: Annotated[
        list[Path] | None, typer.Argument(help="weights of baselines; with --with-real of all")
    ] = None,
    root: Root = None,
    cases: Annotated[int, typer.Option(min=1, help="how many slices")] = 3,
    with_real: Annotated[
        bool,
        typer.Option("--with-real/--without-real", help="show real test slices: for your own eyes alone"),
    ] = False,
) -> None:
    """Label maps beside what generators draw for them, with a part enlarged (Fig. 6 and 7)."""
    from covid_synth_data.errors import ConfigError
    from generation.report import ct_figures

    if with_real and weights:
        ct_figures.of_real(out, weights, root, cases)
    elif not with_real and released is not None:
        ct_figures.of_release(out, released, weights or (), cases)
    else:
        raise ConfigError(
            "nothing to show",
            expected="--release FOLDER, or weights with --with-real",
            hint="name one of them",
        )
    say(f"written {out}")
