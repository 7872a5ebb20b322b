"""Small fake trees in the layouts of the public sets, made from noise."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CHESTXRAY_HEADER = [
    "patientid",
    "age",
    "finding",
    "view",
    "modality",
    "folder",
    "filename",
    "url",
    "license",
    "",
]
ChestxrayTree = Callable[..., Path]


@pytest.fixture(autouse=True)
def _no_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_data" not in request.keywords:
        monkeypatch.delenv("COVID_SYNTH_SOURCES", raising=False)


def grey(path: Path, seed: int = 0, size: tuple[int, int] = (12, 10)) -> Path:
    """An 8-bit grey image of noise, in the format of the extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([7, seed]).integers(0, 256, size, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_csv(path: Path, header: list[str], rows: Iterable[Mapping[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([row.get(name, "") for name in header] for row in rows)


def xray(filename: str, **cells: str) -> dict[str, str]:
    """A row of covid-chestxray's metadata with the usual values."""
    usual = {"patientid": "1", "finding": "COVID-19", "view": "PA", "modality": "X-ray", "folder": "images"}
    return usual | {"filename": filename, "license": "CC BY 4.0"} | cells


@pytest.fixture
def chestxray(tmp_path: Path) -> ChestxrayTree:
    """Makes a covid-chestxray tree of `rows` with the image files `files`; returns the root."""

    def make(rows: list[dict[str, str]], files: Iterable[str] = (), name: str = "metadata.csv") -> Path:
        folder = tmp_path / "root" / "covid-chestxray-dataset"
        write_csv(folder / name, CHESTXRAY_HEADER, rows)
        (folder / "images").mkdir(exist_ok=True)
        for number, file in enumerate(files):
            grey(folder / "images" / file, number)
        return folder.parent

    return make
