"""RSNA Pneumonia Detection Challenge 2018 (Shih et al. 2019): 26,684 NIH films of adults with boxes.

Labels and DICOM headers come from files inside the torchxrayvision package, which is not imported for that.
So the rows, and all that is counted from them, are there without any image.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from covid_synth_data.errors import BadMetadata, MissingExtra
from covid_synth_data.sources import disk, licences, table
from covid_synth_data.sources.info import SourceInfo

INFO: Final = SourceInfo(
    name="rsna",
    title="RSNA Pneumonia Detection Challenge (stage 2, training films)",
    classes=("normal", "pneumonia"),
    licence=licences.NIH,
    licence_note="The films are from NIH ChestX-ray8; the NIH states no restrictions on their use and asks"
    " for attribution. The labels are the challenge's own: see its rules.",
    citation="Shih et al. 2019, Augmenting the National Institutes of Health Chest Radiograph Dataset with"
    " Expert Annotations of Possible Pneumonia, Radiology: AI 1(1):e180041; Wang et al. 2017,"
    " ChestX-ray8, CVPR",
    homepage="https://www.rsna.org/rsnai/ai-image-challenge/rsna-pneumonia-detection-challenge-2018",
    how_to_obtain="unpack the challenge's archive as rsna-pneumonia-detection-challenge/"
    " (stage_2_train_images/ as DICOM, PNG or JPEG); labels come with the extra [rsna]",
    folders=("rsna-pneumonia-detection-challenge", "rsna-pneumonia", "rsna"),
    expected_images=26_684,
    markers=("stage_2_train_images",),
)

EXTRA: Final = ("sex", "age", "boxes")
"""Further columns; `age` in years, null where implausible. `boxes` are the readers' boxes around opacities, a
tuple of (left, top, width, height) in pixels of the 1024 x 1024 film."""

LABELS_FILE: Final = "kaggle_stage_2_train_labels.csv.zip"
HEADERS_FILE: Final = "kaggle_stage_2_train_images_dicom_headers.csv.gz"
MAPPING_FILE: Final = "pneumonia-challenge-dataset-mappings_2018.json"
"""Published by the RSNA beside the challenge: which NIH film, and so which NIH patient, each film is."""

Box = tuple[float, float, float, float]

_CLASSES: Final = {0: ("normal", "Target=0"), 1: ("pneumonia", "Target=1")}
_IMAGE_FOLDERS: Final = ("stage_2_train_images", "stage_2_train_images_png", "stage_2_train_images_jpg", "")


def label_rows() -> pd.DataFrame:
    """The label rows of the challenge in file order: `patientId` (text) and `Target` (0 or 1).

    30,227 rows: one per film without opacity, one per box otherwise. The split of zunair2021 is made by the
    order of these rows. Raises `MissingExtra` when torchxrayvision is not installed.
    """
    return _read_packaged(LABELS_FILE, ["patientId", "Target"]).astype({"Target": "int64"})


def read(root: Path | None) -> pd.DataFrame:
    """One row per film, in the order in which `label_rows` first names it; 26,684 rows.

    Without a root, or without images there, every row is excluded as "image file missing". `normal` means
    Target 0, "no lung opacity", which includes films that are abnormal otherwise; `pneumonia` means Target 1,
    an opacity that suggests pneumonia. The challenge's patientId names a film, not a person: patients are
    known only where the RSNA's mapping to NIH numbers lies in the set's folder. Raises `MissingExtra`,
    `BadMetadata`.
    """
    targets = label_rows().drop_duplicates("patientId")
    headers, boxes = _headers(), _boxes()
    folder = disk.find(INFO, root) if root is not None else None
    where, present = _images(folder)
    names = list(targets["patientId"])
    files = disk.match([f"{name}.dcm" for name in names], present)
    patients = _patients(folder)
    rows = [
        _row(
            name,
            target,
            headers.get(name, {}),
            str(where / file) if file and where else "",
            patients.get(name, ""),
            boxes.get(name, ()),
        )
        for name, target, file in zip(names, targets["Target"].tolist(), files, strict=True)
    ]
    return table.build(INFO.name, rows, EXTRA)


def _row(
    name: str, target: int, header: Mapping[str, str], path: str, patient: str, boxes: tuple[Box, ...]
) -> dict[str, Any]:
    label, source_class = _CLASSES[target]
    age = float(header.get("PatientAge", "nan"))
    view = header.get("ViewPosition", "")
    return {
        "source_id": name,
        "label": label,
        "patient": patient,
        "view": view,
        "source_class": source_class,
        "source_license": INFO.licence,
        "path": path,
        "sex": header.get("PatientSex", ""),
        "age": age if 0 <= age <= 120 else None,
        "boxes": boxes,
        "excluded": table.view_reason(view) if path else table.MISSING,
    }


def _headers() -> dict[str, dict[str, str]]:
    """PatientID to the fields of the DICOM header that are used here."""
    columns = ["PatientID", "PatientAge", "PatientSex", "ViewPosition"]
    frame = _read_packaged(HEADERS_FILE, columns).set_index("PatientID")
    return {
        str(name): {str(field): str(value) for field, value in fields.items()}
        for name, fields in frame.to_dict("index").items()
    }


def _boxes() -> dict[str, tuple[Box, ...]]:
    """Film to its boxes, in the order of the rows. Raises `BadMetadata` for a box that is no four numbers."""
    boxes: dict[str, tuple[Box, ...]] = {}
    columns = ["patientId", "x", "y", "width", "height"]
    rows = _read_packaged(LABELS_FILE, columns)
    for name, *cells in rows[rows["width"] != ""].itertuples(index=False):
        try:
            left, top, width, height = (float(cell) for cell in cells)
        except ValueError as error:
            raise BadMetadata(
                f"{LABELS_FILE}: a box of {name} is no four numbers",
                found=", ".join(map(str, cells))[:80],
                hint="install torchxrayvision again",
            ) from error
        boxes[name] = (*boxes.get(name, ()), (left, top, width, height))
    return boxes


def _images(folder: Path | None) -> tuple[Path | None, list[str]]:
    """The first folder of the set that holds images, and their names."""
    for name in _IMAGE_FOLDERS if folder is not None else ():
        here = folder / name if folder is not None else None
        names = disk.list_images(here) if here is not None else []
        if names:
            return here, names
    return None, []


def _patients(folder: Path | None) -> dict[str, str]:
    """Film to NIH patient ("nih-00000013"), from the RSNA's mapping where it lies in the folder; else {}."""
    path = folder / MAPPING_FILE if folder is not None else None
    if path is None or not path.is_file():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {entry["subset_img_id"]: f"nih-{entry['img_id'].split('_')[0]}" for entry in entries}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadMetadata(
            f"{path} is not the mapping of the challenge to NIH films",
            found=f"{type(error).__name__}: {error}",
            expected="a JSON list of entries with img_id and subset_img_id",
            hint="download it again, or remove it",
        ) from error


def _read_packaged(name: str, columns: list[str]) -> pd.DataFrame:
    """A table inside the torchxrayvision package, as text."""
    spec = importlib.util.find_spec("torchxrayvision")
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / "data" / name
        if path.is_file():
            return pd.read_csv(path, dtype=str, usecols=columns, keep_default_na=False)[columns]
    raise MissingExtra("torchxrayvision", "rsna")
