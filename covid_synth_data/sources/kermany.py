"""Chest X-Ray Images (Pneumonia) (Kermany et al. 2018): 5,856 films of children, normal and pneumonia."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pandas as pd

from covid_synth_data.sources import disk, table
from covid_synth_data.sources.info import SourceInfo

INFO: Final = SourceInfo(
    name="kermany",
    title="Chest X-Ray Images (Pneumonia), children",
    classes=("normal", "pneumonia"),
    licence="CC BY 4.0",
    licence_note="Published under CC BY 4.0 by its authors; children of one to five years, one hospital.",
    citation="Kermany, Zhang, Goldbaum 2018, Labeled Optical Coherence Tomography (OCT) and Chest X-Ray"
    " Images for Classification, doi:10.17632/rscbjbr9sj.2; Kermany et al. 2018, Cell 172:1122-1131",
    homepage="https://data.mendeley.com/datasets/rscbjbr9sj/2",
    how_to_obtain="unpack ChestXRay2017 (or the copy on Kaggle, paultimothymooney/chest-xray-pneumonia) as"
    " chest_xray/ (train/, val/, test/ with NORMAL/ and PNEUMONIA/)",
    folders=("chest_xray", "chest-xray-pneumonia", "kermany"),
    expected_images=5_856,
    markers=("train/NORMAL", "train/PNEUMONIA"),
)

EXTRA: Final = ("split",)
"""Further column: train, val or test of the original, which shares patient numbers between its parts."""

_SPLITS: Final = ("train", "val", "test")
_LABELS: Final = {"NORMAL": "normal", "PNEUMONIA": "pneumonia"}
_PERSON: Final = re.compile(r"^person([0-9]+)_(bacteria|virus)_", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?:^|-)IM-([0-9]+)-", re.IGNORECASE)


def read(root: Path) -> pd.DataFrame:
    """All image files, by split, class and name in natural order. Raises `MissingSource`.

    Patients are the numbers in the file names, grouped conservatively: one number is one patient, although
    the set may have used a number twice (for a bacterial and a viral case, or for IM-... and NORMAL2-IM-...).
    `source_class` is NORMAL, PNEUMONIA-bacteria, PNEUMONIA-virus, or PNEUMONIA where the name does not say.
    The authors chose anteroposterior films, so `view` is AP.
    """
    folder = disk.locate(INFO, root)
    files = list(_files(folder))
    if not files:
        raise disk.missing(INFO, f"no images below {folder}")
    ids = table.unique_ids([path.name for _, _, path in files])
    rows = [_row(*file, identity) for file, identity in zip(files, ids, strict=True)]
    return table.build(INFO.name, rows, EXTRA)


def _files(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Split, class folder and path of every image."""
    for split in _SPLITS:
        for name in _LABELS:
            for file in disk.list_images(folder / split / name):
                yield split, name, folder / split / name / file


def _row(split: str, folder: str, path: Path, identity: str) -> dict[str, Any]:
    person, number = _PERSON.match(path.name), _NUMBER.search(path.name)
    return {
        "source_id": identity,
        "label": _LABELS[folder],
        "patient": f"person{int(person[1])}" if person else f"IM-{int(number[1]):04d}" if number else "",
        "view": "AP",
        "source_class": f"{folder}-{person[2].lower()}" if person and folder == "PNEUMONIA" else folder,
        "source_license": INFO.licence,
        "path": str(path),
        "split": split,
    }
