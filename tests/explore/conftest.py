"""A release of two configs with odd strings, and a release of lesion pairs with masks."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from covid_synth_data import schema
from covid_synth_data.files.encoding import encode_image
from covid_synth_data.importing import Stated, import_images
from covid_synth_data.release import building, manifest, writing
from tests import chromium
from tests.support import film

ODD = '</script><img src=x onerror=alert(1)>&amp; " $x'
"""A string that would be markup where it is not escaped."""


def write_table(folder: Path, count: int, first: int, **more: str) -> Path:
    """Films of 32 px with metadata.csv; labels alternate, two images share each real film."""
    records = []
    for number in range(count):
        film(folder / f"{number}.png", first + number, side=32)
        records.append(
            {
                "file_name": f"{number}.png",
                "label": schema.LABELS[number % 3],
                "image_id": f"id-{number}",
                "source_dataset": "some-set",
                "source_id": f"film-{number // 2}",
                "source_license": ("CC BY 4.0", "CC0 1.0")[number % 2],
                **more,
            }
        )
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    return folder


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configs `one` (30 images) and `two` (250 images, one with odd strings)."""
    folder = tmp_path_factory.mktemp("explore")
    out = folder / "release"
    import_images(write_table(folder / "one", 30, 0, variant=ODD), out, "one", Stated(generator=ODD))
    import_images(write_table(folder / "two", 250, 100), out, "two", Stated(generator="other"))
    return out


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pairs: a normal film, and the same with a lesion in its upper left quarter."""
    folder = tmp_path_factory.mktemp("pairs") / "release"
    rows = []
    for number in range(8):
        grey = np.full((64, 64), 60 + 10 * (number // 2), np.uint8)
        grey[:, ::7] = 20
        mask = np.zeros((64, 64), np.uint8)
        if number % 2:
            mask[:32, :32] = 255
            grey[:32, :32] += 90
        cells = {
            name: {"bytes": encode_image(picture, "png", 0), "path": f"{name}-{number}.png"}
            for name, picture in (("image", grey), ("mask", mask))
        }
        text = {name: "" for name in schema.PAIR_COLUMNS if name not in ("image", "mask")}
        rows.append(
            {
                **text,
                **cells,
                "label": 2 * (number % 2),
                "image_id": f"pairs-{number}",
                "subset": "pairs",
                "seed": number,
                "pair_id": f"pair-{number // 2}",
                "pattern": "covid-19" if number % 2 else "",
                "extent": 0.2 * (number % 2),
            }
        )
    columns = schema.PAIR_COLUMNS
    paths = building.write_shards(
        folder, "pairs", 8, lambda start, stop: rows[start:stop], lambda done, total: None, columns
    )
    empty = manifest.Learned(films=[], patients=[])
    subset = manifest.Subset(
        rows=8,
        generator="lesions",
        sources={},
        learned_from=empty,
        licences=["CC0 1.0"],
        code_version="0",
        git="",
        libraries={},
    )
    files = [writing.entry(folder, path, "pairs") for path in paths]
    listed = manifest.Manifest(
        format=1, name="covid-synth-cxr", version="1.0.0", subsets={"pairs": subset}, files=files
    )
    manifest.write(folder, listed)
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[chromium.Browser]:
    chromium.need()
    with chromium.running() as found:
        yield found
