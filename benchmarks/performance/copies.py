"""How many copies of films are found, and how many films of different patients are taken for copies.

    python benchmarks/performance/copies.py ROOT [--films 300]
    python benchmarks/performance/copies.py ROOT --search 2000 [--as before]

Reads the real sets in ROOT (see `covid-synth sources`). Copies are made of films drawn from all sets by seed;
the rate of a change is the share of them that the search finds among all drawn films and copies. Known pairs
are those that covid-chestxray itself names as films of covid-19-image-repository. False finds are counted
between films of sets that share no patient: covid-19-image-repository, kermany, and the RSNA part of
radiography. Writes results/copies.json beside this file, and prints the table.

With --search, the two steps of the search are timed instead, in seconds of the processor, on so many films of
all sets. The result lies in results/copies_search.json under the name that --as gives it, so that two
versions of the code can stand beside each other, each with the digest of the pairs that it finds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from machine import describe
from PIL import Image, ImageOps

from covid_synth_data.files.pixels import load_grey
from covid_synth_data.sources import read_source, table
from covid_synth_data.splits import copies
from covid_synth_data.splits.duplicates import SAME_FILM, SAME_PATIENT, fingerprints

SETS: Final = ("covid-19-image-repository", "covid-chestxray", "kermany", "radiography")
SEED: Final = 20
THRESHOLDS: Final = (copies.FLOOR, SAME_PATIENT, SAME_FILM)
APART: Final = ("covid-19-image-repository", "kermany", "radiography-rsna")


def crop(image: Image.Image, share: float, random: np.random.Generator) -> Image.Image:
    """A part of the film with this share of each side, at a random place."""
    wide, high = round(share * image.width), round(share * image.height)
    left, top = (int(random.integers(0, left + 1)) for left in (image.width - wide, image.height - high))
    return image.crop((left, top, left + wide, top + high))


def gamma(image: Image.Image, power: float) -> Image.Image:
    """Grey levels raised to a power."""
    return image.point([round(255 * (grey / 255) ** power) for grey in range(256)])


def border(image: Image.Image, grey: int) -> Image.Image:
    """A frame of a tenth of the side."""
    return ImageOps.expand(image, image.width // 10, grey)


CHANGES: Final[dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]]] = {
    "negative": lambda image, _: ImageOps.invert(image),
    "crop 95 %": lambda image, random: crop(image, 0.95, random),
    "crop 90 %": lambda image, random: crop(image, 0.9, random),
    "crop 85 %": lambda image, random: crop(image, 0.85, random),
    "crop 80 %": lambda image, random: crop(image, 0.8, random),
    "black border": lambda image, _: border(image, 0),
    "white border": lambda image, _: border(image, 255),
    "gamma 0.5": lambda image, _: gamma(image, 0.5),
    "gamma 2": lambda image, _: gamma(image, 2.0),
    "half the size": lambda image, _: image.resize((image.width // 2, image.height // 2)),
    "negative crop 85 %": lambda image, random: ImageOps.invert(crop(image, 0.85, random)),
}


def films(root: Path) -> pd.DataFrame:
    """All films with a file: `image_id`, `path`, `same_film` and the `group` they are counted in."""
    frames = [read_source(name, root) for name in SETS]
    frame = pd.concat(frames, ignore_index=True)
    frame = frame[(frame["path"] != "") & (frame["excluded"] != table.CT)].reset_index(drop=True)
    rsna = (frame["source_class"] == "Normal") & (frame["origin"] == "rsna")
    frame["group"] = frame["source_dataset"].mask(rsna, "radiography-rsna")
    return frame[["image_id", "path", "same_film", "group"]]


def thumb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """The thumbnail of an image in memory, as of its file."""
    side = copies.READ_SIDE
    return copies.thumbnail(np.asarray(image.convert("L").resize((side, side), Image.Resampling.BILINEAR)))


def read(paths: list[str]) -> npt.NDArray[np.uint8]:
    """The thumbnails of files."""
    return np.stack([copies.thumbnail(load_grey(path, copies.READ_SIDE)) for path in paths])


def made(frame: pd.DataFrame, count: int) -> dict[str, dict[str, float]]:
    """Per change the share of the copies that is found, by threshold."""
    random = np.random.default_rng([SEED, 0])
    rows = frame.iloc[np.sort(random.choice(len(frame), count, replace=False))]
    originals = [Image.fromarray(load_grey(path)) for path in rows["path"]]
    parts = [np.stack([thumb(image) for image in originals])]
    parts += [np.stack([thumb(change(image, random)) for image in originals]) for change in CHANGES.values()]
    rates = {}
    for name, changed in zip(CHANGES, parts[1:], strict=True):
        pairs, alike = copies.search(np.concatenate([parts[0], changed]))
        own = alike[pairs[:, 1] - pairs[:, 0] == count]
        rates[name] = {f"{threshold:g}": float((own >= threshold).sum() / count) for threshold in THRESHOLDS}
    return rates


def known(frame: pd.DataFrame) -> dict[str, float]:
    """How many of the pairs that covid-chestxray names are found."""
    rows = frame[frame["group"].isin(SETS[:2])].reset_index(drop=True)
    at = {name: row for row, name in enumerate(rows["image_id"])}
    named = {
        tuple(sorted((row, at[other])))
        for row, other in enumerate(rows["same_film"])
        if isinstance(other, str) and other in at
    }
    pairs, alike = copies.search(read(rows["path"].tolist()))
    values = np.array([a for pair, a in zip(pairs.tolist(), alike, strict=True) if tuple(pair) in named])
    found = {f"{threshold:g}": int((values >= threshold).sum()) for threshold in THRESHOLDS}
    return {"pairs": len(named), **found}


def apart(frame: pd.DataFrame, count: int) -> dict[str, Any]:
    """Pairs of films of different sets that share no patient, and how many of them are found."""
    random = np.random.default_rng([SEED, 1])
    rows = []
    for group in APART:
        here = np.flatnonzero(frame["group"] == group)
        rows.append(random.choice(here, min(4 * count, len(here)), replace=False))
    owner = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
    pairs, alike = copies.search(read(frame["path"].iloc[np.concatenate(rows)].tolist()))
    values = alike[owner[pairs[:, 0]] != owner[pairs[:, 1]]]
    sizes = [len(part) for part in rows]
    total = sum(a * b for i, a in enumerate(sizes) for b in sizes[i + 1 :])
    found = {f"{threshold:g}": int((values >= threshold).sum()) for threshold in THRESHOLDS}
    return {"films": dict(zip(APART, sizes, strict=True)), "pairs": total, **found}


def search_times(frame: pd.DataFrame, count: int) -> dict[str, Any]:
    """Processor seconds of both steps on films drawn by seed, and what they find."""
    rows = np.sort(np.random.default_rng([SEED, 2]).choice(len(frame), count, replace=False))
    paths = frame["path"].iloc[rows].tolist()
    thumbs = fingerprints(paths, [None] * count).thumbs
    copies.search(thumbs[:64])
    start = time.process_time()
    first, second, box = copies._candidates(thumbs, copies.quiet)
    candidates = time.process_time() - start
    start = time.process_time()
    alike = copies.likeness(thumbs, first, second, copies._BOXES[box])
    aligned = time.process_time() - start
    result: dict[str, Any] = {"films": count, "candidates_s": candidates, "likeness_s": aligned}
    result["candidates"] = len(first)
    for threshold in THRESHOLDS:
        found = np.sort(np.stack([first, second], axis=1)[alike >= threshold], axis=1)
        digest = hashlib.sha256(np.unique(found, axis=0).tobytes()).hexdigest()
        result[f"at {threshold:g}"] = {"pairs": len(np.unique(found, axis=0)), "sha256": digest}
    return result


def main() -> None:
    """Measure, print, and write results/copies.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("--films", type=int, default=300)
    parser.add_argument("--search", type=int, help="time the search on so many films, and nothing else")
    parser.add_argument("--as", dest="name", default="now", help="the name of that result")
    asked = parser.parse_args()
    frame = films(asked.root)
    if asked.search:
        place = Path(__file__).parent / "results" / "copies_search.json"
        kept = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
        kept[asked.name] = {"machine": describe(), **search_times(frame, asked.search)}
        place.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(kept, indent=1))
        return
    start = time.process_time()
    result: dict[str, Any] = {
        "films": asked.films,
        "seed": SEED,
        "found": made(frame, asked.films),
        "known": known(frame),
        "apart": apart(frame, asked.films),
    }
    result["processor_seconds"] = round(time.process_time() - start, 1)
    place = Path(__file__).parent / "results" / "copies.json"
    place.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
