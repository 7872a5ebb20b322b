"""The path of a checkout: the released images, then a generator that is trained and its images released.

Training and releasing are the maintainers' side of the project, which is not in the pip package, so they run
as commands of their own.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from covid_synth_data.errors import CovidSynthError
from covid_synth_data.quickstart import walk as shared
from covid_synth_data.release import places

if TYPE_CHECKING:
    import datasets


def recipe() -> Path | None:
    """The recipe in the checkout that the package runs from; None where there is none."""
    spec = importlib.util.find_spec("generation")
    for folder in spec.submodule_search_locations or [] if spec else []:
        path = Path(folder) / "recipes" / "quickstart.toml"
        if path.is_file():
            return path
    return None


def walk_through(walk: shared.Walk, chosen: Path) -> None:
    """Do the steps with the recipe `chosen`. Raises their errors."""
    release, run = walk.out / "covid-synth-cxr", walk.out / "run"
    shown = f"generation/recipes/{chosen.name}"
    loaded: dict[str, datasets.Dataset] = {}
    if place := places.find("covid-synth-cxr", ("gnc", "gpc")):
        walk.step(
            "Load the released images of this checkout, and save a sheet of them",
            'covid_synth_data.load_dataset("covid-synth-cxr")',
            lambda: _released(walk, place.folder, walk.out / "released.png"),
            about="These images were made from real films whose licences allow it.",
        )
    walk.step(
        "Train a small CycleGAN, normal to COVID-19, on phantoms",
        f"python -m generation train {shown} --out {run}",
        lambda: _generation("train", str(chosen), "--out", str(run), "--device", "cpu"),
        about="The generator learns from unpaired films of both classes, training patients alone.",
        own=("python -m generation train RECIPE --root SETS  # a copy of one of generation/recipes",),
    )
    walk.step(
        "Release: translate the training patients' normal phantoms",
        f"python -m generation release {shown} --run {run} --out {release}",
        lambda: _generation(
            "release", str(chosen), "--run", str(run), "--out", str(release), "--device", "cpu"
        ),
        about="Shards, weights, card and manifest, with the source film of each image.",
        own=("python -m generation release RECIPE --root SETS",),
    )
    walk.step(
        "Verify every byte and count", f"covid-synth verify {release}", lambda: shared.verified(release)
    )
    walk.step(
        "Load it with the datasets library alone",
        f'datasets.load_dataset("{release}", "gnc", split="train")',
        lambda: shared.load_released(release, "gnc", loaded),
    )
    real, _ = shared.real_films()
    walk.step(
        "Mix with real phantoms to a skew of 1",
        "covid_synth_data.mix(real, synthetic, skew=1)",
        lambda: shared.mixed(real, loaded["synthetic"]),
    )
    _sheets(walk, real, loaded["synthetic"])
    if shared.can_benchmark():
        walk.step(
            "Benchmark real against mixed",
            f"covid-synth benchmark run {shared.SUITE} --release {release} --out {walk.results}",
            lambda: shared.run_benchmark(walk, release),
            about="The baselines of real films are those that were measured above.",
        )


def _released(walk: shared.Walk, folder: Path, out: Path) -> str:
    """Load the release, keep a row of it for the page, and save a sheet as a PNG file."""
    import covid_synth_data as csd

    rows = csd.load_dataset("covid-synth-cxr")
    shown = rows.select([len(rows) * place // shared.SHOWN for place in range(shared.SHOWN)])
    walk.sheet("Released images (covid-synth-cxr)", shown["image"])
    out.parent.mkdir(parents=True, exist_ok=True)
    _generation("sheet", str(folder), "gnc", "--out", str(out))
    return f"{len(rows):,} rows; the sheet is {out}"


def _generation(*arguments: str) -> str:
    """Run a command of the maintainers' side; its progress bar shows through."""
    # Networks this small gain little from a second thread, and two threads that wait for each other on a
    # machine that is busy otherwise can take many times as long as one.
    done = subprocess.run(
        [sys.executable, "-m", "generation", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        # The command has printed its own one-line error.
        raise CovidSynthError(
            f"the step {arguments[0]!r} of the quickstart failed",
            found=f"exit code {done.returncode}",
            hint="correct the error above and run the same command again",
        )
    return done.stdout.strip().splitlines()[0]


def _sheets(walk: shared.Walk, real: shared.Real, synthetic: datasets.Dataset) -> None:
    """Rows of films: sources and their translations."""
    films = synthetic.select(range(shared.SHOWN))
    where = {name: row for row, name in enumerate(real.train["source_id"])}
    sources = real.train.select([where[name] for name in films["source_id"]])
    walk.sheet("Normal phantoms that were translated (real, for this suite)", sources["image"])
    walk.sheet("The same films translated to COVID-19 by the CycleGAN (synthetic)", films["image"])
