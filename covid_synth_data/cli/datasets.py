"""The commands over released datasets: what there is and where, and fetching it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covid_synth_data.cli.common import AsJson, say

if TYPE_CHECKING:
    from covid_synth_data.catalog import DatasetEntry

app = typer.Typer()


@app.command()
def info(as_json: AsJson = False) -> None:
    """The released sets: what is on this machine, where, in which version, and what can be made here."""
    from covid_synth_data import __version__, generators, list_datasets

    rows = [_status(entry) for entry in list_datasets()]
    made = generators.list()
    if as_json:
        say(json.dumps({"version": __version__, "datasets": rows, "generators": made}, indent=1))
        return
    say(f"covid-synth-data {__version__}")
    for name in dict.fromkeys(row["dataset"] for row in rows):
        say(f"\n{name}")
        for row in (row for row in rows if row["dataset"] == name):
            default = " (default)" if row["default"] else ""
            there = f"{row['here']['version']} in {row['here']['folder']}" if row["here"] else "not here"
            say(f"  {row['config']:<14}{row['count']:>7,} images of {row['size']} px, {there}{default}")
            say(f"  {'':<14}{row['description']} ({row['generator']}, {row['paper']})")
    say("\ngenerators whose weights are here: " + (", ".join(made) or "none"))
    say("  covid-synth sample NAME makes images; covid-synth paint FILMS needs no weights")


def _status(entry: DatasetEntry) -> dict[str, Any]:
    """The entry of the catalog, and where this machine has it (None: nowhere)."""
    from covid_synth_data.release import places

    place = places.find(entry.dataset, entry.subsets)
    here = None
    if place is not None:
        count = sum(place.listed.subsets[subset].rows for subset in entry.subsets)
        here = {
            "place": place.kind,
            "folder": str(place.folder),
            "version": place.listed.version,
            "rows": count,
        }
    return {**asdict(entry), "here": here}


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="a dataset, or a repository of it: ORG/NAME")],
    config: Annotated[str | None, typer.Option(help="one config; without it all of the release")] = None,
    version: Annotated[str | None, typer.Option(help="X.Y.Z; without it the newest published")] = None,
) -> None:
    """Bring a release from the Hub into the cache, where load_dataset finds it without a network."""
    from covid_synth_data.release import loading

    say(str(loading.fetch(name, config, version)))
