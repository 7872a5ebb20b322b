"""The whole path on phantoms, as a new user would walk it, and a page that describes each step.

`pairs` is the part that the core install can do: paint, release, verify, load, mix, explore, and with the
extra [benchmark] the table. `cyclegan` is the part of a checkout: the released images, then training a
generator and releasing what it makes. `walk` counts and times the steps, `page` draws the page.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from covid_synth_data.files.atomic import write_text
from covid_synth_data.quickstart import cyclegan, page, pairs
from covid_synth_data.quickstart.walk import Walk

__all__ = ["run"]


def run(out: Path, say: Callable[[str], None], progress: Callable[[str], Any]) -> Path:
    """Do all steps below `out`, going on where an earlier call stopped; returns the path of the page.

    `say` prints a line, `progress` gives a context manager with a function of (done, all, text), as
    `cli.progress_bar` does. Raises the errors of the steps.
    """
    walk = Walk(out, say, progress)
    pairs.walk_through(walk)
    recipe = cyclegan.recipe()
    if recipe is None:
        walk.note("Training a generator needs a checkout of the repository: make quickstart goes on there.")
    else:
        cyclegan.walk_through(walk, recipe)
    if walk.results.is_dir():
        from covid_synth_data.benchmark import report
        from covid_synth_data.benchmark.reporting.tables import summarise

        say("\n" + report(walk.results))
        walk.rows = list(summarise(walk.results))
    path = out / "index.html"
    write_text(path, page.render(walk))
    say(f"\npage: {path}")
    return path
