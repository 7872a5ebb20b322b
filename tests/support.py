"""Small films and folders for tests, and what is in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def film(path: Path, seed: int, side: int = 64) -> Path:
    """A film of coarse noise, unlike that of any other seed, in the format of the extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng([11, seed]).integers(0, 256, (16, 16), dtype=np.uint8)
    Image.fromarray(coarse).resize((side, side), Image.Resampling.NEAREST).save(path)
    return path


def write_root(root: Path, normals: int = 20, positives: int = 9) -> Path:
    """Two sets in their own layouts, enough for the task normal-vs-covid; returns `root`."""
    for number in range(normals):
        film(root / f"chest_xray/train/NORMAL/IM-{number:04d}-0001.jpeg", number)
    film(root / "chest_xray/train/PNEUMONIA/person1_virus_6.jpeg", 500)
    rows = [f"{number},film-{number},X-Ray,pa" for number in range(positives)]
    for number in range(positives):
        film(root / f"covid-19-image-repository/png/film-{number}.png", 1000 + number)
    text = "\n".join(["patient_id,image_id,modality,projection", *rows, ""])
    (root / "covid-19-image-repository/data.csv").write_text(text)
    return root


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below `folder` with the bytes of the file, None for a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
