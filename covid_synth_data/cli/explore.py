"""`covid-synth explore`: a release as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covid_synth_data.cli.common import ReleaseFolder, progress_bar, say

app = typer.Typer()


@app.command()
def explore(
    release: ReleaseFolder,
    out: Annotated[Path, typer.Option("-o", "--out", help="the page")] = Path("explore.html"),
    config: Annotated[list[str] | None, typer.Option(help="a config; again for more; without it all")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="at most so many images, at even distances")
    ] = None,
) -> None:
    """Write one page with all images of a release: filters, lineage, pairs, masks, neighbours."""
    from covid_synth_data.explore import write_page

    with progress_bar("reading") as tick:
        count = write_page(release, out, config or (), limit, tick)
    say(f"{count:,} images in {out}, {out.stat().st_size / 1e6:.1f} MB; open it in a browser")
