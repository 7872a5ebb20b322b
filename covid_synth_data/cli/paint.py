"""`covid-synth paint`: pairs of a film with and without opacities, from a folder of normal films."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covid_synth_data.cli.common import Seed, progress_bar, say
from covid_synth_data.errors import ConfigError, UnknownName

app = typer.Typer()


@app.command()
def paint(
    films: Annotated[Path, typer.Argument(help="a folder of normal films")],
    out: Annotated[Path, typer.Option("-o", "--out", help="where the pairs go")],
    pattern: Annotated[
        str, typer.Option(help="covid-19, pneumonia, or one pattern, e.g. lobar")
    ] = "covid-19",
    seed: Seed = 0,
    control: Annotated[
        str | None, typer.Option(help="paint negatives by the same steps: neutral, dark or outside")
    ] = None,
    lungs: Annotated[
        Path | None, typer.Option(help="a folder of lung masks; without it they are found")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=64, help="side of the pairs; default that of each film")
    ] = None,
    kind: Annotated[str, typer.Option("--format", help="png")] = "png",
    force: Annotated[bool, typer.Option("--force", help="paint films that are positives already")] = False,
) -> None:
    """Paint opacities into normal films: pairs, masks, a table; the same command goes on after a stop."""
    from collections import Counter

    from covid_synth_data.lesions.folder import Job, write_pairs

    if kind == "release":
        raise ConfigError(
            "pairs cannot be written as a release yet",
            found="--format release",
            expected="--format png",
            hint="leave --format out",
        )
    if kind != "png":
        raise UnknownName("format", kind, ["png"])
    job = Job(films, out, seed, pattern, control, lungs, size, force)
    with progress_bar("painting") as tick:
        records = write_pairs(job, tick)
    skipped = Counter(record.reason for record in records if record.reason)
    say(f"{len(records) - skipped.total()} pairs of {len(records)} films in {out}")
    for reason, count in skipped.items():
        say(f"{count} not painted: {reason}")
