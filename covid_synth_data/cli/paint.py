"""`covid-synth paint`: pairs of a film with and without opacities, from a folder of normal films."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covid_synth_data.cli.common import Ray, Seed, progress_bar, say
from covid_synth_data.errors import ConfigError, UnknownName

app = typer.Typer()


@app.command()
def paint(
    films: Annotated[
        Path, typer.Argument(help="a folder of normal films, or one whose metadata.csv names them")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="where the pairs go")],
    pattern: Annotated[
        str, typer.Option(help="covid-19, pneumonia, or one pattern, e.g. lobar")
    ] = "covid-19",
    seed: Seed = 0,
    control: Annotated[
        str | None, typer.Option(help="paint negatives by the same steps: neutral, dark, outside or discs")
    ] = None,
    lungs: Annotated[
        Path | None, typer.Option(help="a folder of lung masks; without it they are found")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=64, help="side of the pairs; default that of each film")
    ] = None,
    kind: Annotated[
        str, typer.Option("--format", help="png: files; release: a release folder that every suite takes")
    ] = "png",
    config: Annotated[str | None, typer.Option(help="of a release: what the set is called")] = None,
    licence: Annotated[
        str | None, typer.Option(help="of a release: the licence of films whose table states none")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="paint films that are positives already")] = False,
    ray: Ray = None,
) -> None:
    """Paint opacities into normal films: pairs, masks, a table; the same command goes on after a stop."""
    from collections import Counter

    from covid_synth_data.lesions import hosts, release
    from covid_synth_data.lesions.folder import Job, write_pairs

    if kind not in ("png", "release"):
        raise UnknownName("format", kind, ["png", "release"])
    if kind == "png" and (config is not None or licence is not None):
        raise ConfigError(
            "files have no config and no licence",
            found=f"--{'config' if config is not None else 'licence'}",
            expected="--format release with it",
            hint="add --format release, or leave the option out",
        )
    # Paint, into files or into a release.
    job = Job(films, out, seed, pattern, control, lungs, size, force)
    with progress_bar("painting") as tick:
        if kind == "png":
            records = write_pairs(job, tick, ray=ray)
        else:
            name = config or release.CONFIG
            listed, records = release.release_pairs(job, name, licence or "unknown", tick, ray)
    # Count the pairs, and name the reasons of films without one.
    skipped = Counter(record.reason for record in records if record.reason)
    if kind == "png":
        say(f"{len(records) - skipped.total()} pairs of {len(records)} films in {out}")
    else:
        subset = listed.subsets[name]
        say(f"{subset.rows // 2:,} pairs in the config {name!r} of {out}, version {listed.version}")
        _say_unknown(subset.licences, subset.imported.learned_from if subset.imported else "")
    for reason, count in skipped.items():
        say(f"{count} not painted: {reason}")
    for label, count in hosts.read(films).left_out.items():
        say(f"{count} left out: labelled {label or 'nothing'}")
    if kind == "release":
        say(f"next: covid-synth verify {out}; covid-synth explore {out} -o explore.html")


def _say_unknown(licences: list[str], learned_from: str) -> None:
    unknown = ["the licence"] if "unknown" in licences else []
    unknown += ["which real films these are"] if learned_from == "unknown" else []
    if unknown:
        say(f"not stated: {', '.join(unknown)}; written as unknown")
