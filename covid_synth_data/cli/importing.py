"""`covid-synth import`: images of any generator become a release that every suite takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covid_synth_data.cli.common import Ray, Search, progress_bar, say

app = typer.Typer()


@app.command("import")
def import_set(
    path: Annotated[
        Path,
        typer.Argument(help="a folder, a .csv or .parquet table, a Hugging Face dataset folder, or .npz"),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="the release folder")],
    config: Annotated[str, typer.Option(help="what the set is called in suites and tables")],
    label: Annotated[
        str | None, typer.Option(help="the label of all images; else folders or a column say it")
    ] = None,
    generator: Annotated[str, typer.Option(help="the name of what made the images")] = "unknown",
    licence: Annotated[
        str, typer.Option(help="the licence of the images, where rows state none")
    ] = "unknown",
    learned_from: Annotated[
        str | None,
        typer.Option(
            help="none, or a CSV with image_id and patient_id of the films that the generator learned from"
        ),
    ] = None,
    size: Annotated[int | None, typer.Option(min=16, max=4096, help="resize all images to this side")] = None,
    root: Annotated[
        Path | None, typer.Option(help="refuse images that are copies of real films in this folder")
    ] = None,
    search: Search = "exact",
    ray: Ray = None,
) -> None:
    """Bring synthetic images into a release folder; the same command goes on after a stop."""
    from covid_synth_data.importing import Stated, import_images
    from covid_synth_data.splits import copies

    stated = Stated(label, generator, licence, learned_from)
    with progress_bar("importing") as tick:
        listed = import_images(
            path, out, config, stated, size=size, root=root, progress=tick, ray=ray, search=search
        )
    subset = listed.subsets[config]
    say(f"{subset.rows:,} images in the config {config!r} of {out}, version {listed.version}")
    if search != "exact":
        say(f"copies of real films may have been missed; search: {copies.settings(search)}")
    unknown = [
        what
        for what, missing in (
            ("the licence", "unknown" in subset.licences),
            ("the generator", subset.generator == "unknown"),
            ("what the generator learned from", learned_from is None),
        )
        if missing
    ]
    if unknown:
        say(f"not stated: {', '.join(unknown)}; written as unknown")
    say(f"next: covid-synth benchmark run SUITE --config {config} --release {out}")
