"""The reader study: make a page of pairs, score the answers that come back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covid_synth_data.cli.common import AsJson, Release, Root, Seed, progress_bar, say

app = typer.Typer(
    help="Can a person tell real films from synthetic ones? Make the page, score the answers.",
    no_args_is_help=True,
)


@app.command()
def make(
    real: Annotated[list[str], typer.Option(help="a folder of images, a task, or phantom; again for more")],
    synthetic: Annotated[str, typer.Option(help="a config of a release, or a folder of images")],
    out: Annotated[Path, typer.Option("-o", "--out", help="the page; the key is written beside it")],
    pairs: Annotated[int, typer.Option(min=1, help="how many pairs")] = 25,
    seed: Seed = 0,
    size: Annotated[
        int | None, typer.Option(help="side of all films in pixels; without it that of the synthetic ones")
    ] = None,
    label: Annotated[str, typer.Option(help="the class of both kinds of films")] = "covid-19",
    part: Annotated[str, typer.Option(help="of a task: test, validation, train or all")] = "test",
    title: Annotated[str, typer.Option(help="the heading of the page")] = "Which film is real?",
    root: Root = None,
    release: Release = None,
    version: Annotated[str | None, typer.Option(help="of a release on the Hub")] = None,
) -> None:
    """Write one HTML page of shuffled pairs, and the key that readers do not get."""
    from covid_synth_data import reader_study

    with progress_bar("films") as tick:
        page, key = reader_study.make(
            real,
            synthetic,
            out,
            pairs=pairs,
            seed=seed,
            size=size,
            label=label,
            part=part,
            root=root,
            release=release,
            version=version,
            title=title,
            progress=tick,
        )
    say(f"page for the readers: {page} ({page.stat().st_size / 1e6:.1f} MB)")
    say(f"key, to be kept from them: {key}")
    say("The page holds real films: keep it out of repositories and off public sites.")


@app.command()
def score(
    answers: Annotated[list[Path], typer.Argument(help="the files that readers exported")],
    key: Annotated[Path, typer.Option(help="the key that was made with the page")],
    as_json: AsJson = False,
) -> None:
    """Accuracy of each reader with its exact interval and p, of all together, and of each pair."""
    from covid_synth_data import reader_study
    from covid_synth_data.reader_study.scoring import text

    scores = reader_study.score(answers, key)
    say(scores.model_dump_json(indent=1) if as_json else text(scores))
