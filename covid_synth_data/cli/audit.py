"""The audit of a synthetic set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covid_synth_data.cli.common import AsJson, Ray, Release, Root, Search, Seed, progress_bar, say

app = typer.Typer()


@app.command()
def audit(
    config: Annotated[str, typer.Argument(help="a config of a release, or a folder of images")],
    root: Root = None,
    release: Release = None,
    version: Annotated[str | None, typer.Option(help="of the release")] = None,
    label: Annotated[
        str | None, typer.Option(help="the class to audit; without it covid-19, where the set has it")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="at most so many films of each set")] = None,
    seed: Seed = 0,
    only: Annotated[list[str] | None, typer.Option(help="a section; again for more; without it all")] = None,
    extractor: Annotated[
        str, typer.Option(help="the network whose features are compared")
    ] = "efficientnet-lite0",
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "auto",
    out: Annotated[
        Path, typer.Option("-o", "--out", help="the folder of the result file and the page")
    ] = Path("audit"),
    local: Annotated[
        Path | None, typer.Option(help="a second page that shows real films too, outside of repositories")
    ] = None,
    search: Search = "exact",
    ray: Ray = None,
    as_json: AsJson = False,
) -> None:
    """Measure fidelity, copies, privacy, shortcuts and anatomy of a set beside yardsticks."""
    from covid_synth_data.audit import card, running

    with progress_bar("auditing") as tick:
        result, files = running.run(
            config,
            root,
            release=release,
            version=version,
            label=label,
            limit=limit,
            seed=seed,
            only=only,
            extractor=extractor,
            device=device,
            out=out,
            local=local,
            progress=tick,
            ray=ray,
            search=search,
        )
    if as_json:
        say(result.model_dump_json(indent=1))
        return
    say(card.markdown(result))
    say(f"result: {files.result}")
    say(f"page: {files.page}")
    if files.local is not None:
        say(f"page with real films, not to be published: {files.local}")
