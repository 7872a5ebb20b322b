"""COVID-QU-Ex, infection segmentation part: films with masks of the lungs and of COVID-19 infection.

Two layouts are read into the same rows. CLASS is COVID-19, Non-COVID or Normal, PART is Train, Val or Test:

    PART/CLASS/{images,lung masks,infection masks}             as published
    Infection Segmentation Data/PART/CLASS/images,
    Lung Masks/PART/CLASS/lung masks,
    Infection Masks/PART/CLASS/infection masks                 masks in folders of their own
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from covid_synth_data import schema
from covid_synth_data.sources import disk, licences, table
from covid_synth_data.sources.info import SourceInfo

if TYPE_CHECKING:
    import datasets

INFO: Final = SourceInfo(
    name="covid-qu-ex",
    title="COVID-QU-Ex, films with lung and infection masks",
    classes=("normal", "pneumonia", "covid-19"),
    licence=licences.UNKNOWN,
    licence_note="A compilation that states no licence per image. Most COVID-19 films stand in the set"
    " radiography too, its normals are RSNA films that stand there as well: never train on one and test on"
    " the other unchecked. Infection masks are generous: half of the lung in the median.",
    citation="Tahir et al. 2021, COVID-19 infection localization and severity grading from chest X-ray"
    " images, Computers in Biology and Medicine 139:105002; infection masks: Degerli et al. 2021, COVID-19"
    " infection map generation and detection from chest X-ray images, Health Information Science and"
    " Systems 9:15",
    homepage="https://www.kaggle.com/datasets/anasmohammedtahir/covidqu",
    how_to_obtain="unpack the archive as COVID-QU-Ex/; the folder 'Infection Segmentation Data' is read",
    folders=("COVID-QU-Ex", "covidqu", "COVID-QU-Ex Dataset"),
    expected_images=5_826,
    markers=("Infection Segmentation Data",),
)

EXTRA: Final = ("part", "mask_path", "lung_path")
"""Further columns: Train, Val or Test of the original; the infection mask and the lung mask, "" for none."""

LABELS: Final = {"COVID-19": "covid-19", "Non-COVID": "pneumonia", "Normal": "normal"}
"""Class of the set to our label. Non-COVID films show an infection, or an opacity, other than COVID-19."""

PARTS: Final = ("Train", "Val", "Test")

_FILMS: Final = "Infection Segmentation Data"
_MASKS: Final = {
    "mask_path": ("infection masks", "Infection Masks"),
    "lung_path": ("lung masks", "Lung Masks"),
}
"""Column to the folder of the masks and the folder that holds those folders in the second layout."""


def read(root: Path) -> pd.DataFrame:
    """All image files of the infection part, by part, class and name in natural order. No pixel is read.

    The set has no patients and no views; all films are meant to be frontal, so the view "" excludes nothing.
    Raises `MissingSource`.
    """
    folder = disk.locate(INFO, root)
    films = list(_films(folder))
    if not films:
        raise disk.missing(INFO, f"no images below {folder / _FILMS}")
    ids = table.unique_ids([path.name for _, _, path, _ in films])
    rows = [
        {
            "source_id": identity,
            "label": LABELS[name],
            "source_class": name,
            "path": str(path),
            "source_license": licences.UNKNOWN,
            "part": part,
            **masks,
        }
        for (part, name, path, masks), identity in zip(films, ids, strict=True)
    ]
    return table.build(INFO.name, rows, EXTRA)


def to_dataset(frame: pd.DataFrame) -> datasets.Dataset:
    """A Dataset with exactly `schema.MASKED_COLUMNS` of all rows of `frame`, in their order.

    `mask` is the infection mask and `lungs` the lung mask: 0, and another value where the mask is; None where
    the set has none. Raises what `table.to_dataset` raises.
    """
    import datasets

    rows = table.to_dataset(frame)
    for column, paths in (("mask", frame["mask_path"]), ("lungs", frame["lung_path"])):
        cells = [{"bytes": None, "path": path} if path else None for path in paths]
        rows = rows.add_column(column, cells, feature=datasets.Image())
    return rows.select_columns(list(schema.MASKED_COLUMNS))


def _films(folder: Path) -> Iterator[tuple[str, str, Path, dict[str, str]]]:
    """(part, class, path, masks) of every image."""
    inner = folder / _FILMS / _FILMS
    base = inner if inner.is_dir() else folder / _FILMS
    for part in PARTS:
        for name in LABELS:
            here = base / part / name
            outlines = {
                column: _masks((here / kind, base.parent / apart / part / name / kind))
                for column, (kind, apart) in _MASKS.items()
            }
            for file in disk.list_images(here / "images", disk.IMAGE_SUFFIXES):
                masks = {column: outlines[column].get(table.stem(file), "") for column in outlines}
                yield part, name, here / "images" / file, masks


def _masks(folders: tuple[Path, ...]) -> dict[str, str]:
    """Stem to path of the masks in those of `folders` that exist; the first folder wins."""
    return {
        table.stem(file): str(folder / file)
        for folder in reversed(folders)
        for file in disk.list_images(folder, disk.IMAGE_SUFFIXES)
    }
