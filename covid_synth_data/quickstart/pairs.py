"""The path with lesion pairs: what the core install can do, and the table where the extra is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from covid_synth_data.quickstart import walk as shared

if TYPE_CHECKING:
    import datasets

CONFIG = "lesion-pairs"


def walk_through(walk: shared.Walk) -> None:
    """Do the steps. Raises their errors."""
    out = walk.out
    films, release, page = out / "films", out / "lesion-pairs", out / "explore.html"
    found: dict[str, shared.Real] = {}
    loaded: dict[str, datasets.Dataset] = {}
    walk.step(
        "Take real films, split by patient",
        'covid_synth_data.load_task("normal-vs-covid", sources=["phantom"], phantom={...})',
        lambda: _real(found, films),
        about="Phantoms are drawn chest films: they stand for the films of a hospital. No patient is in two"
        " parts. The normal training films are written as PNG files with a table, metadata.csv.",
        own=(
            "covid-synth source add FOLDER --name my-hospital",
            "covid-synth export --task my-hospital-normal-vs-covid --format imagefolder -o films",
        ),
    )
    walk.step(
        "Paint opacities into the normal films, and release the pairs",
        f"covid-synth paint {films / 'train'} -o {release} --format release",
        lambda: _painted(walk, films / "train", release),
        about="Each film gives a pair: as it was, and with the opacities of COVID-19 within the lungs. The"
        " release is a folder of parquet files with a card (README.md) and manifest.json, which names the"
        " films and the sha256 of each file.",
        own=(
            "covid-synth paint FILMS -o RELEASE --format release --licence TEXT",
            "covid-synth import IMAGES -o RELEASE --config NAME --label covid-19  # of any generator",
        ),
    )
    walk.step(
        "Verify every byte and count",
        f"covid-synth verify {release}",
        lambda: shared.verified(release),
        about="Compares each file with the manifest.",
        own=("covid-synth verify RELEASE",),
    )
    walk.step(
        "Load it with the datasets library alone",
        f'datasets.load_dataset("{release}", "{CONFIG}", split="train")',
        lambda: shared.load_released(release, CONFIG, loaded),
        about="A release is a plain Hugging Face dataset: no code of this package is needed to read it.",
        own=('datasets.load_dataset("RELEASE", "NAME", split="train")',),
    )
    walk.step(
        "Mix with real films to a skew of 1",
        "covid_synth_data.mix(real, synthetic, skew=1)",
        lambda: shared.mixed(found["real"], loaded["synthetic"]),
        about="The skew is negatives divided by positives. Real positives are rare at first; painted ones"
        " fill up the class.",
        own=("covid-synth mix TASK --root SETS --synthetic NAME --release RELEASE --skew 1 -o mixed",),
    )
    walk.step(
        "Make a page to look at the release",
        f"covid-synth explore {release} -o {page}",
        lambda: _explore(release, page),
        about="One file with all images, filters, pairs and masks, which opens without a network.",
        own=("covid-synth explore RELEASE -o explore.html",),
    )
    walk.explore = page.name
    _sheets(walk, found["real"], loaded["synthetic"])
    if not shared.can_benchmark():
        walk.note(
            'The benchmark table needs an extra: pip install "covid-synth-data[benchmark]", then run this'
            " again."
        )
        return
    walk.step(
        "Benchmark real films against real and painted ones",
        f"covid-synth benchmark run {shared.SUITE} --config {CONFIG} --release {release}"
        f" --out {walk.results}",
        lambda: shared.run_benchmark(walk, release, [CONFIG]),
        about="Small networks learn from each mixture and are tested on patients that none of them saw.",
        own=("covid-synth benchmark run external --config NAME --release RELEASE --root SETS --out results",),
    )


def _real(found: dict[str, shared.Real], films: Path) -> str:
    import covid_synth_data as csd

    found["real"], parts = shared.real_films()
    normals = found["real"].of("normal")
    if not films.exists():
        csd.write_image_folder(normals, films)
    sizes = ", ".join(f"{part} {count}" for part, count in parts.items())
    return f"{sizes}; {len(normals)} normal training films in {films}"


def _painted(walk: shared.Walk, films: Path, release: Path) -> str:
    from covid_synth_data.lesions.folder import Job
    from covid_synth_data.lesions.release import release_pairs

    with walk.progress("painting") as tick:
        listed, _ = release_pairs(Job(films, release), CONFIG, progress=tick)
    subset = listed.subsets[CONFIG]
    known = f"{len(subset.learned_from.films)} films of {len(subset.learned_from.patients)} patients named"
    return f"{subset.rows // 2} pairs; {known}; licence {', '.join(subset.licences)}"


def _explore(release: Path, page: Path) -> str:
    from covid_synth_data.explore import write_page

    count = write_page(release, page)
    return f"{count} images in {page}, {page.stat().st_size / 1e6:.1f} MB"


def _sheets(walk: shared.Walk, real: shared.Real, synthetic: datasets.Dataset) -> None:
    rows = synthetic[: 2 * shared.SHOWN]
    walk.sheet("Normal phantoms (real, for this suite)", rows["image"][::2])
    walk.sheet("The same films with painted opacities (synthetic)", rows["image"][1::2])
    walk.sheet("Where they were painted", rows["mask"][1::2])
    walk.sheet("COVID-19 phantoms (real, for this suite)", real.of("covid-19")[: shared.SHOWN]["image"])
