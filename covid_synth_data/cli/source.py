"""`covid-synth source`: films of your own, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covid_synth_data.cli.common import say

app = typer.Typer(help="Declare films of your own.", no_args_is_help=True)


@app.command()
def add(
    path: Annotated[Path, typer.Argument(help="a .toml file, or a folder of images with metadata.csv")],
    name: Annotated[str | None, typer.Option(help="of a folder's source; else the folder's name")] = None,
) -> None:
    """Declare a source and its task; its films stay where they are."""
    from covid_synth_data.sources import list_sources, own, table
    from covid_synth_data.tasks import list_tasks

    mine = own.declared()
    taken = {info.name: "a source" for info in list_sources() if info.name not in mine}
    tasks = {declared.task.name for declared in mine.values() if declared.task}
    taken |= {task.name: "a task" for task in list_tasks() if task.name not in tasks}
    source, frame = own.add(path, taken, name)
    usable = frame[frame["excluded"] == ""]
    say(f"source {source.name}: {len(usable):,} usable films of {usable['patient_id'].nunique():,} patients")
    for reason, count in frame.loc[frame["excluded"] != "", "excluded"].value_counts().items():
        say(f"  {count:,} left out: {reason}")
        if reason == table.VIEW_UNKNOWN:
            say(f"    {own.VIEW_HINT}")
    if source.columns.patient is None:
        say("no column of patients is stated: each film counts as a patient of its own")
    if source.task is not None:
        say(f"next: covid-synth tasks {source.task.name}")


@app.command()
def remove(name: Annotated[str, typer.Argument(help="a source of your own")]) -> None:
    """Forget a declared source; its films stay."""
    from covid_synth_data.sources import own

    own.remove(name)
    say(f"forgotten: {name}")
