"""How long each step takes for a user with data of their own, by the commands of the how-to pages.

    python benchmarks/performance/bring_your_own.py ROOT --release RELEASE [--walk films] [--walk generator]
        [--cache DIR]

films: 150 + 150 real films of ROOT in a folder with metadata.csv become a source, a task and, by the suite on
docs/how-to/your-own-films.md, a row of a leaderboard. They are films of the test part of `external`, which no
generator of the release learned from, under names of their own. The two classes come from different places,
so no score of this walk says anything.

generator: 200 images of a released generator, as PNG files, become a config, results of `external` and rows
of a leaderboard (docs/how-to/your-own-generator.md).

Each step is a process of its own, with its wall clock and the processor time of all its threads. Without
--cache the caches are empty. Writes results/bring_your_own.json beside this file; --walk measures one path
anew and keeps the other.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))
from machine import RESULTS, write

from covid_synth_data.tasks import plan_task

ROOT: Final = Path(__file__).resolve().parents[2]
RESULT: Final = RESULTS / "bring_your_own.json"
PAGE: Final = ROOT / "docs/how-to/your-own-films.md"
FILMS: Final = 150
IMAGES: Final = 200
SEEDS: Final = 3
SEED: Final = 29
GENERATOR: Final = "diffaug-gan.cpu"
REGIMES: Final = ("real", "real-balanced", "real+mine")


class Walk:
    """Runs commands of the package in one folder, and keeps their times."""

    def __init__(self, folder: Path, cache: Path | None) -> None:
        self.folder = folder
        self.steps: list[dict[str, Any]] = []
        kept = {"COVID_SYNTH_CONFIG": f"{folder}/config", "COVID_SYNTH_CACHE": str(cache or folder / "cache")}
        self.environment = {**os.environ, **kept, "PYTHONPATH": str(ROOT)}
        self.environment.pop("COVID_SYNTH_SOURCES", None)

    def run(self, *words: object) -> str:
        """What `covid-synth WORDS` printed. Raises `SystemExit` with its error."""
        arguments = [str(word) for word in words]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "covid_synth_data.cli", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise SystemExit(f"covid-synth {' '.join(arguments)}: {done.stderr[-2000:]}")
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        shown = [word if not Path(word).is_absolute() else Path(word).name.upper() for word in arguments]
        step = {"command": f"covid-synth {' '.join(shown)}", "wall_seconds": wall, "cpu_seconds": spent}
        self.steps.append(step)
        print(json.dumps(step), flush=True)
        return done.stdout

    def rows(self) -> list[str]:
        """The regimes that the leaderboard of the folder has, each as its row begins."""
        text = (self.folder / "board/LEADERBOARD.md").read_text(encoding="utf-8")
        found = re.findall(r"^\| ([a-z+-]+)(?: \*)? +\|.* neg, ", text, re.MULTILINE)
        return sorted(set(found))

    def result(self, **facts: Any) -> dict[str, Any]:
        """The times of all steps and their sums."""
        sums = {key: sum(step[key] for step in self.steps) for key in ("wall_seconds", "cpu_seconds")}
        return {**facts, **sums, "steps": self.steps, "leaderboard": self.rows()}


def own_folder(root: Path, folder: Path) -> None:
    """An ImageFolder of films from the test part of `external`, under names that tell nothing of them."""
    used = plan_task("covid-external", root, "external").used
    tested = used[used["split"] == "test"]
    parts = [films.sample(FILMS, random_state=SEED) for _, films in tested.groupby("class")]
    drawn = pd.concat(parts).sample(frac=1, random_state=SEED)
    folder.mkdir()
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("file_name", "label", "patient", "view", "licence"))
        for number, film in enumerate(drawn.to_dict("records")):
            name = f"film-{number:03d}{Path(film['path']).suffix}"
            shutil.copyfile(film["path"], folder / name)
            # The set states no views; all of its films are meant to be frontal.
            view = film["view"] or "frontal"
            rows.writerow((name, film["class"], f"person-{number}", view, film["source_license"]))


def films(walk: Walk, root: Path, release: Path) -> dict[str, Any]:
    """An ImageFolder of own films becomes a row."""
    own_folder(root, walk.folder / "films")
    (suite,) = re.findall(r"```toml\n(# my-suite.toml\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    suite = suite.replace('"my-task"', '"my-hospital-normal-vs-covid"')
    (walk.folder / "my-suite.toml").write_text(suite, encoding="utf-8")
    walk.run("source", "add", "films", "--name", "my-hospital")
    walk.run("sources", "--root", root)
    walk.run("tasks")
    walk.run("tasks", "my-hospital-normal-vs-covid")
    where = ("--root", root, "--release", release, "--out", "results")
    walk.run("benchmark", "run", "my-suite.toml", *where, "--seeds", SEEDS)
    walk.run("benchmark", "report", "--results", "results")
    walk.run("leaderboard", "build", "results", "--out", "board")
    return walk.result(films=2 * FILMS, seeds=SEEDS)


def generator(walk: Walk, root: Path, release: Path) -> dict[str, Any]:
    """A folder of PNG files becomes rows."""
    walk.run("sample", GENERATOR, "-n", IMAGES, "--label", "covid-19", "-o", "samples", "--device", "cpu")
    named = ("--config", "mine", "--label", "covid-19", "--generator", GENERATOR)
    walk.run("import", "samples", "-o", "release", *named, "--root", root)
    where = ("--root", root, "--release", "release", "--out", "results", "--device", "cpu")
    chosen = [word for regime in REGIMES for word in ("--regime", regime)]
    model = ("--model", "lite0-frozen", "--seeds", SEEDS)
    walk.run("benchmark", "run", "external", "--config", "mine", *where, *model, *chosen)
    walk.run("benchmark", "report", "--results", "results")
    walk.run("leaderboard", "build", "results", "--out", "board")
    return walk.result(images=IMAGES, seeds=SEEDS)


WALKS: Final[dict[str, Callable[[Walk, Path, Path], dict[str, Any]]]] = {
    "films": films,
    "generator": generator,
}


def main() -> None:
    """Walk and write results/bring_your_own.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, help="the folder that holds the real sets")
    parser.add_argument("--release", type=Path, required=True, help="a release folder of covid-synth-cxr")
    parser.add_argument("--walk", choices=list(WALKS), action="append", help="one path alone")
    parser.add_argument("--cache", type=Path, help="what was kept of films before; else nothing is")
    asked = parser.parse_args()
    cache = asked.cache.resolve() if asked.cache else None
    for name in asked.walk or WALKS:
        with tempfile.TemporaryDirectory() as folder:
            walk = Walk(Path(folder), cache)
            found = WALKS[name](walk, asked.root.resolve(), asked.release.resolve())
        found["caches"] = "kept from before" if cache else "empty"
        kept = json.loads(RESULT.read_text(encoding="utf-8"))["walks"] if RESULT.is_file() else {}
        command = "python benchmarks/performance/bring_your_own.py ROOT --release RELEASE"
        write("bring_your_own", {"command": command, "walks": {**kept, name: found}})


if __name__ == "__main__":
    main()
