"""COVID-19 Radiography Database (Chowdhury, Rahman et al.): a compilation of other sets in four classes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd

from covid_synth_data.sources import disk, kermany, licences, table
from covid_synth_data.sources.info import SourceInfo

INFO: Final = SourceInfo(
    name="radiography",
    title="COVID-19 Radiography Database",
    classes=("normal", "pneumonia", "covid-19"),
    licence="per image",
    licence_note="A compilation. Normal and Viral Pneumonia films come from the Kermany set (CC BY 4.0) and"
    " from the RSNA challenge (NIH films, no restrictions on use); the COVID films come from many places"
    " and their licences are not stated per image.",
    citation="Chowdhury et al. 2020, Can AI Help in Screening Viral and COVID-19 Pneumonia?, IEEE Access"
    " 8:132665; Rahman et al. 2021, Exploring the effect of image enhancement techniques on COVID-19"
    " detection using chest X-ray images, Computers in Biology and Medicine 132:104319",
    homepage="https://www.kaggle.com/datasets/tawsifurrahman/covid19-radiography-database",
    how_to_obtain="unpack the archive as COVID-19_Radiography_Dataset/ (COVID/, Normal/, Lung_Opacity/,"
    " 'Viral Pneumonia'/)",
    folders=(
        *("COVID-19_Radiography_Dataset", "COVID-19_Radiography_Database", "radiography"),
        *("COVID-19 Radiography Database", "COVID-19 Radiography Dataset", "covid19-radiography-database"),
    ),
    expected_images=21_165,
    markers=("COVID", "Normal"),
    other_markers=("COVID-19", "NORMAL"),
)

EXTRA: Final = ("origin",)
"""Further column: "kermany" (children), "rsna" (adults) or "mixed" (several sources, or not known)."""


class _Class(NamedTuple):
    label: str
    origin: str
    folders: tuple[str, ...]


_CLASSES: Final = {
    "COVID": _Class("covid-19", "mixed", ("COVID", "COVID-19")),
    "Normal": _Class("normal", "", ("Normal", "NORMAL")),
    "Lung_Opacity": _Class("pneumonia", "rsna", ("Lung_Opacity", "Lung Opacity")),
    "Viral Pneumonia": _Class("pneumonia", "kermany", ("Viral Pneumonia", "Viral_Pneumonia")),
}
_LICENCES: Final = {"kermany": kermany.INFO.licence, "rsna": licences.NIH, "mixed": licences.UNKNOWN}
_KNOWN: Final = re.compile(
    r"^(covid(-?19)?|normal|lung[_ ]opacity|viral[_ ]pneumonia) ?(-[0-9]+|[(][0-9]+[)])[.]", re.IGNORECASE
)
"""Names of all releases: COVID-1.png, or COVID-19 (1).png in those of 2020."""
_NORMAL: Final = re.compile(r"^Normal-([0-9]+)\.", re.IGNORECASE)
_CHILDREN: Final = range(63, 1404)
"""Numbers of the Normal files that are the 1,341 train/NORMAL films of the Kermany set. Checked on the files:
each of these has a film there with a thumbnail correlation above 0.9999, no other is above 0.95."""


def read(root: Path) -> pd.DataFrame:
    """All image files, by class and name in natural order. Raises `MissingSource`.

    A file with a name of no known form is excluded; raises `SourceError` where no file has a known name.
    The set has no patients and no views; all films are meant to be frontal, so the view "" excludes nothing.
    Lung_Opacity films are RSNA films with an opacity that suggests pneumonia, as `rsna` labels them.
    """
    folder = disk.locate(INFO, root)
    files = [(name, path) for name, kind in _CLASSES.items() for path in _files(folder, kind.folders)]
    if not files:
        raise disk.missing(INFO, f"no images below {folder}")
    ids = table.unique_ids([path.name for _, path in files])
    rows = [_row(name, path, identity) for (name, path), identity in zip(files, ids, strict=True)]
    disk.check_layout(INFO, folder, [row["excluded"] == table.UNKNOWN_NAME for row in rows], files[0][1].name)
    return table.build(INFO.name, rows, EXTRA)


def origin(name: str, file: str) -> str:
    """Where a film of class `name` came from, by the numbering of the 2021 and later releases."""
    if name != "Normal":
        return _CLASSES[name].origin
    number = _NORMAL.match(file)
    if number is None:
        return "mixed"
    return "kermany" if int(number[1]) in _CHILDREN else "rsna"


def _files(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """The images of a class: in images/ beside the masks, and directly in the folder as in older releases."""
    classes = disk.class_folders(folder, names)
    places = [place for here in classes for place in (*disk.class_folders(here, ("images",)), here)]
    return [place / file for place in places for file in disk.list_images(place)]


def _row(name: str, path: Path, identity: str) -> dict[str, Any]:
    source = origin(name, path.name)
    return {
        "source_id": identity,
        "label": _CLASSES[name].label,
        "view": "AP" if source == "kermany" else "",
        "source_class": name,
        "source_license": _LICENCES[source],
        "path": str(path),
        "origin": source,
        "excluded": "" if _KNOWN.match(path.name) else table.UNKNOWN_NAME,
    }
