"""`python -m generation ct`: what is made and measured of CT slices, beside training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covid_synth_data.cli import progress_bar, say

app = typer.Typer(help="CT slices: release, image quality, sheets.", no_args_is_help=True)

Weights = Annotated[list[Path], typer.Argument(help="weights of generators from label maps, ours first")]
Root = Annotated[
    Path | None,
    typer.Option(help="the folder that holds the real sets", envvar="COVID_SYNTH_SOURCES", show_envvar=True),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]


@app.command()
def release(
    weights: Annotated[Path, typer.Argument(help="weights of a generator from label maps")],
    out: Annotated[Path, typer.Option(help="the release folder")],
    root: Root = None,
    count: Annotated[int, typer.Option(min=1, help="how many slices")] = 1000,
    version: Annotated[str, typer.Option(help="of the release, X.Y.Z")] = "0.1.0",
    moved: Annotated[float, typer.Option(min=0, max=1, help="share with lesions of another patient")] = 0.5,
    parts: Annotated[str, typer.Option(help="whose label maps, e.g. train, or generation_test")] = "train",
    device: Device = "auto",
) -> None:
    """Draw slices of new label maps into a release folder; the same command goes on after a stop."""
    from generation.releasing import label_maps

    with progress_bar("releasing") as tick:
        label_maps.release(
            weights,
            root,
            out,
            count=count,
            version=version,
            moved=moved,
            parts=parts.split(","),
            device=device,
            progress=tick,
        )
    say(f"{count} slices in {out}")


@app.command()
def quality(
    weights: Weights,
    out: Annotated[Path, typer.Option(help="the folder of the result files")],
    root: Root = None,
    side: Annotated[
        int | None, typer.Option(min=16, help="at this side; default each generator's own")
    ] = None,
    device: Device = "auto",
) -> None:
    """Compare drawn test slices with the real ones (Table II): a JSON file per generator, and the table."""
    from covid_synth_data.classifiers.extractor import Extractor
    from generation.report import ct_quality

    features, results = Extractor(device), []
    with progress_bar("measuring") as tick:
        for number, one in enumerate(weights, 1):
            results.append(ct_quality.measure(one, root, side=side, device=device, features=features))
            ct_quality.write(results[-1], out / f"{results[-1].generator}.json")
            tick(number, len(weights))
    say(ct_quality.table(results))


@app.command()
def sheet(
    out: Annotated[Path, typer.Option("-o", "--out", help="the PNG file")],
    released: Annotated[Path | None, typer.Option("--release", help="the release folder to show")] = None,
    weights: Annotated[
        list[Path] | None, typer.Argument(help="weights of rivals; with --with-real of all")
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
