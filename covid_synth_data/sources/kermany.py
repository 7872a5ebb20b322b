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
    folders=(
        *("chest_xray", "chest-xray-pneumonia", "kermany", "ChestXRay2017/chest_xray"),
        *("CellData/chest_xray", "ZhangLabData/CellData/chest_xray", "ChestXRay2017"),
    ),
    expected_images=5_856,
    markers=("train/NORMAL", "train/PNEUMONIA"),
)

EXTRA: Final = ("split",)
"""Further column: train, val or test of the original, which shares patient numbers between its parts."""

_SPLITS: Final = ("train", "val", "test")
_LABELS: Final = {"NORMAL": "normal", "PNEUMONIA": "pneumonia"}
_THIRD: Final = re.compile(r"^(VIRUS|BACTERIA|NORMAL)-([0-9]+)-([0-9]+)[.]", re.IGNORECASE)
"""Names of version 3 of the publication: kind, child, film."""
_PERSON: Final = re.compile(r"^person([0-9]+)_(bacteria|virus)_", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?:^|-)IM-([0-9]+)-", re.IGNORECASE)


def read(root: Path) -> pd.DataFrame:
    """All image files, by split, class and name in natural order. Raises `MissingSource`.

    Patients are the numbers in the file names, grouped conservatively: one number is one patient, although
    the set may have used a number twice (for a bacterial and a viral case, or for IM-... and NORMAL2-IM-...).
    In version 3 (VIRUS-9564688-0001.jpeg) the middle number is the child. A file with a name of no known form
    is excluded; raises `SourceError` where no file has a known name.
    `source_class` is NORMAL, PNEUMONIA-bacteria, PNEUMONIA-virus, or PNEUMONIA where the name does not say.
    The authors chose anteroposterior films, so `view` is AP.
    """
    folder = disk.locate(INFO, root)
    files = list(_files(folder))
    if not files:
        raise disk.missing(INFO, f"no images below {folder}")
    ids = table.unique_ids([path.name for _, _, path in files])
    rows = [_row(*file, identity) for file, identity in zip(files, ids, strict=True)]
    disk.check_layout(INFO, folder, [row["excluded"] == table.UNKNOWN_NAME for row in rows], files[0][2].name)
    return table.build(INFO.name, rows, EXTRA)


def _files(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Split, class folder and path of every image."""
    for split in _SPLITS:
        for name in _LABELS:
            for file in disk.list_images(folder / split / name):
                yield split, name, folder / split / name / file


def _row(split: str, folder: str, path: Path, identity: str) -> dict[str, Any]:
    patient, kind = _named(path.name)
    return {
        "source_id": identity,
        "label": _LABELS[folder],
        "patient": patient,
        "view": "AP",
        "source_class": f"{folder}-{kind}" if kind and folder == "PNEUMONIA" else folder,
        "source_license": INFO.licence,
        "path": str(path),
        "split": split,
        "excluded": "" if patient else table.UNKNOWN_NAME,
    }


def _named(name: str) -> tuple[str, str]:
    """The child and the kind of pneumonia ("bacteria", "virus" or "") that a file name says; ("", "") of a
    name of no known form."""
    if third := _THIRD.match(name):
        kind = third[1].lower()
        return f"child{int(third[2])}", "" if kind == "normal" else kind
    if person := _PERSON.match(name):
        return f"person{int(person[1])}", person[2].lower()
    number = _NUMBER.search(name)
    return (f"IM-{int(number[1]):04d}", "") if number else ("", "")
