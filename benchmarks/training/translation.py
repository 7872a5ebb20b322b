"""Are translated films nearer to real COVID-19 films of held-out patients than their source films?

    python benchmarks/training/translation.py --root DIR [--release releases/covid-synth-cxr]

The reference are the COVID-19 films of the validation and test parts of the task's split: no generator saw
these patients. Compared with it are films of the release, the source films of exactly these rows, and real
COVID-19 films of the training part as a yardstick. The Frechet distance depends on the number of films, so
each set is drawn to the size of the reference, 20 times. The kernel distance is unbiased and uses all rows.
One JSON file per config goes to `benchmarks/training/NAME-tone/frechet.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image

import covid_synth_data as csd
from covid_synth_data.classifiers.extractor import Extractor
from covid_synth_data.files.pixels import load_grey
from covid_synth_data.metrics import fidelity

CONFIGS = {
    "gnc": ("normal-vs-covid", "normal", "nc-tone"),
    "gpc": ("pneumonia-vs-covid", "pneumonia", "pc-tone"),
}
ROWS, DRAWS = 1000, 20


def features(extractor: Extractor, cells: list[Any]) -> np.ndarray:
    """Features float32 (n, width) of undecoded films."""
    films = np.stack([load_grey(at_256(cell), 224) for cell in cells])
    return np.concatenate([extractor(films[i : i + 32]) for i in range(0, len(films), 32)])


def at_256(cell: Any) -> Any:
    """Every film at 256 x 256 first, the size at which the generator sees it."""
    return Image.fromarray(load_grey(cell, 256))


def distances(reference: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """Both distances of `other` to the reference: features (n, width)."""
    n = len(reference)
    chosen = [rng.choice(len(other), n, replace=False) for _ in range(DRAWS)]
    drawn = [fidelity.frechet_distance(reference, other[rows]) for rows in chosen]
    kernel = fidelity.kernel_distance(reference, other, seed=0, size=n)
    return {
        "films": len(other),
        "frechet": round(float(np.mean(drawn)), 2),
        "frechet_sd_of_draws": round(float(np.std(drawn, ddof=1)), 2),
        "kernel": round(kernel.value, 4),
        "kernel_sd_of_subsets": round(kernel.spread, 4),
    }


def measure(config: str, root: Path, release: Path, extractor: Extractor) -> dict[str, Any]:
    """The distances of one config."""
    task, _, _ = CONFIGS[config]
    splits = csd.load_task(task, root, protocol="clean", licences="permissive")
    splits = splits.cast_column("image", datasets.Image(decode=False))
    names = splits["train"].features["label"].names
    covid = names.index("covid-19")
    rng = np.random.default_rng(0)

    made = csd.load_dataset("covid-synth-cxr", config, root=release)
    made = made.cast_column("image", datasets.Image(decode=False))
    train = splits["train"]
    place = {name: i for i, name in enumerate(train["image_id"])}
    whole = [i for i, variant in enumerate(made["variant"]) if variant == "full"]
    rows = made.select(rng.choice(whole, min(ROWS, len(whole)), replace=False))
    sources = train.select(
        [
            place[f"{source}/{name}"]
            for source, name in zip(rows["source_dataset"], rows["source_id"], strict=True)
        ]
    )
    held_out = datasets.concatenate_datasets([splits["validation"], splits["test"]])
    held_out = held_out.select([i for i, label in enumerate(held_out["label"]) if label == covid])
    real = train.select([i for i, label in enumerate(train["label"]) if label == covid])

    reference = features(extractor, held_out["image"][:])
    found = {
        "translated films": features(extractor, rows["image"][:]),
        "their source films": features(extractor, sources["image"][:]),
        "real COVID-19 films of training patients": features(extractor, real["image"][:]),
    }
    return {
        "config": config,
        "extractor": "efficientnet-lite0, pooled features, 224 x 224",
        "reference": {"what": "COVID-19 films of the validation and test parts", "films": len(reference)},
        "draws": DRAWS,
        "distances": {name: distances(reference, rows, rng) for name, rows in found.items()},
    }


def main() -> None:
    """Measure both configs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--release", type=Path, default=Path("releases/covid-synth-cxr"))
    parser.add_argument("--name", default="frechet", help="of the JSON files")
    options = parser.parse_args()
    for config, (_, _, name) in CONFIGS.items():
        result = measure(config, options.root, options.release, Extractor())
        out = Path(__file__).parent / name / f"{options.name}.json"
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8", newline="\n")
        sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
