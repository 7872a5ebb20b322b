"""CT slices of nine COVID-19 patients (MedSeg, Radiopaedia): 829 slices with lungs and infection outlined.

Two layouts are read into the same rows:

    rp_im/N.nii.gz, rp_msk/N.nii.gz, rp_lung_msk/N.nii.gz   volumes as published (extra `ct`)
    images/NAME.jpg, labels/NAME.png, slices.csv             a picture per slice, labels in one picture
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from covid_synth_data.errors import BadImage, ConfigError
from covid_synth_data.files import nifti, pixels
from covid_synth_data.sources import disk, slice_table, table
from covid_synth_data.sources.info import SourceInfo
from covid_synth_data.sources.slice_table import to_dataset

__all__ = ["INFO", "read", "to_dataset"]

INFO: Final = SourceInfo(
    name="covid-ct",
    title="COVID-19 CT slices of nine patients, MedSeg / Radiopaedia",
    classes=("covid-19",),
    licence="CC BY-NC-SA 3.0",
    licence_note="Radiopaedia's cases are under Creative Commons Attribution-NonCommercial-ShareAlike 3.0;"
    " what is derived from them keeps that licence. Nine patients; slices of one patient look alike.",
    citation="MedSeg, COVID-19 CT segmentation dataset no. 2, 13 April 2020, on cases of radiopaedia.org",
    homepage="https://medicalsegmentation.com/covid19/",
    how_to_obtain="unpack rp_im, rp_msk and rp_lung_msk as covid-ct/ (or, a picture per slice, as"
    " covid-19-ct-829/ with images/, labels/ and slices.csv)",
    folders=("covid-ct", "covid-19-ct-829"),
    expected_images=829,
    markers=("rp_im", "rp_msk"),
    other_markers=("images", "labels"),
)

VOLUMES: Final = ("rp_im", "rp_msk", "rp_lung_msk")
"""Folders of the volumes: images, infection, lungs."""

_TABLE: Final = "slices.csv"
_REQUIRED: Final = ("slice", "patient_id", "slice_index")
_NAME: Final = re.compile(r"^(?:patient)?([A-Za-z0-9-]+?)[_-](?:slice)?0*([0-9]{1,6})$", re.IGNORECASE)


def read(root: Path, *, check: bool = True, window: tuple[float, float] = nifti.WINDOW) -> pd.DataFrame:
    """All slices of the set, in either layout, as the frame of `slice_table`.

    With `check` every file is decoded once (some ten seconds for the whole set): a slice that is damaged,
    whose label map is of another size or place or has an unknown value, is excluded with the reason, and the
    pixel counts are those of the label maps. Without it, counts come from slices.csv and are null in the
    other layout, and nothing is decoded. `window` is (lower, upper) in Hounsfield units, for volumes alone:
    pictures are taken as they are. Raises `MissingSource`, `BadMetadata`, `ConfigError`, and `MissingExtra`
    for volumes without nibabel.
    """
    low, high = window
    if not (np.isfinite([low, high]).all() and low < high):
        raise ConfigError(
            "no such window", found=f"({low}, {high})", expected="(lower, upper) in Hounsfield units"
        )
    folder = disk.locate(INFO, root)
    if (folder / VOLUMES[0]).is_dir():
        nifti.require()
        rows = list(_volumes(folder, (float(low), float(high)), check))
    else:
        rows = list(_pictures(folder, check))
    if not rows:
        raise disk.missing(INFO, f"no volumes and no pictures below {folder}")
    return slice_table.build(INFO.name, rows)


def _pictures(folder: Path, check: bool) -> Iterator[dict[str, Any]]:
    """The rows of slices.csv, then slices that only have files; without the table, all that have files."""
    images = {table.stem(name): name for name in disk.list_images(folder / "images", disk.IMAGE_SUFFIXES)}
    masks = {table.stem(name): name for name in disk.list_images(folder / "labels", disk.IMAGE_SUFFIXES)}
    listed = (folder / _TABLE).is_file()
    records = disk.read_table(folder / _TABLE, _REQUIRED) if listed else []
    names = [table.stem(record.values.get("slice", "")) for record in records]
    extra = sorted((images.keys() | masks.keys()) - set(names), key=disk.natural)
    ids = table.unique_ids([name or f"row-{record.row}" for name, record in zip(names, records, strict=True)])
    seen: set[str] = set()
    for record, name, identity in zip(records, names, ids, strict=True):
        row = _listed(record, name, identity) | _files(folder, images.get(name, ""), masks.get(name, ""))
        yield _with_reason(
            row, check, broken=record.broken or not name or row["slice"] < 0, repeated=name in seen
        )
        seen.add(name)
    for name in extra:
        row = _unlisted(name) | _files(folder, images.get(name, ""), masks.get(name, ""))
        yield _with_reason(row, check, broken=not row["patient"], repeated=False)


def _listed(record: disk.Record, name: str, identity: str) -> dict[str, Any]:
    number = record.number("slice_index", 0, 100_000)
    counts = {column: record.number(column, 0, 1e9) for column in slice_table.PIXELS}
    return _row(identity, record.values.get("patient_id", ""), -1 if number is None else int(number)) | {
        column: None if value is None else int(value) for column, value in counts.items()
    }


def _unlisted(name: str) -> dict[str, Any]:
    """The row of a slice that only its file name tells of."""
    parts = _NAME.match(name)
    return _row(name, parts[1] if parts else "", int(parts[2]) if parts else -1)


def _row(identity: str, patient: str, number: int) -> dict[str, Any]:
    return {
        "source_id": identity,
        "patient": patient,
        "slice": number,
        "source_class": "COVID-19",
        "source_license": INFO.licence,
    }


def _files(folder: Path, image: str, mask: str) -> dict[str, Any]:
    return {
        "path": str(folder / "images" / image) if image else "",
        "mask_path": str(folder / "labels" / mask) if mask else "",
    }


def _with_reason(row: dict[str, Any], check: bool, *, broken: bool, repeated: bool) -> dict[str, Any]:
    """`row` with the reason why it is not used, and with true pixel counts where it was decoded."""
    reasons = (
        (table.MALFORMED, broken),
        (table.UNSAFE, not disk.safe_name(row["source_id"])),
        (table.DUPLICATE, repeated),
        (table.MISSING, not row["path"]),
        (slice_table.NO_MASK, not row["mask_path"]),
    )
    reason = next((reason for reason, applies in reasons if applies), "")
    if not reason and check:
        reason, counts = _decoded(row["path"], row["mask_path"])
        row = row | counts
    return row | {"excluded": reason or slice_table.reason(row)}


def _decoded(image: str, mask: str) -> tuple[str, dict[str, int]]:
    """Why a slice of two picture files cannot be used, or "", and its pixel counts."""
    try:
        size = pixels.open_image(image).size
    except BadImage:
        return slice_table.DAMAGED, {}
    try:
        values = slice_table.read_values(mask)
    except BadImage:
        return slice_table.DAMAGED_MASK, {}
    if values.shape != size[::-1]:
        return slice_table.OTHER_SIZE, {}
    if values.min() < 0 or values.max() > 3:
        return slice_table.UNKNOWN_LABEL, {}
    return "", {**slice_table.counts(values.astype(np.uint8, copy=False)), "effusion_pixels": 0}


def _volumes(folder: Path, window: nifti.Window, check: bool) -> Iterator[dict[str, Any]]:
    """The slices of every volume of images, then a row for each label volume that has no images."""
    files = [
        {table.stem(name): folder / kind / name for name in disk.list_images(folder / kind, nifti.SUFFIXES)}
        for kind in VOLUMES
    ]
    images, infections, lungs = files
    for name in sorted({*images, *infections, *lungs}, key=disk.natural):
        if name not in images:
            yield _row(f"patient{name}", name, 0) | {"excluded": table.MISSING}
            continue
        yield from _volume(name, images[name], infections.get(name), lungs.get(name), window, check)


def _volume(
    name: str, image: Path, infection: Path | None, lungs: Path | None, window: nifti.Window, check: bool
) -> Iterator[dict[str, Any]]:
    """A row per slice of one patient's volume; one row alone where its header cannot be read."""
    try:
        size = nifti.shape(image)
    except BadImage:
        yield _row(f"patient{name}", name, 0) | {"path": str(image), "excluded": slice_table.DAMAGED}
        return
    reason = _unusable(image, infection, lungs, size, window, check)
    maps = effusion = None
    if check and not reason and infection and lungs:
        maps, effusion = nifti.combined(str(infection), str(lungs))
    for number in range(1, size[2] + 1):
        row = _row(f"patient{name}_slice{number:03d}", name, number) | {
            "path": str(image),
            "excluded": reason,
        }
        if not reason and infection and lungs:
            row["bytes"] = nifti.reference(image, number, window)
            row["mask_path"] = str(infection)
            row["mask_bytes"] = nifti.reference(infection, number, lungs=lungs)
        if maps is not None and effusion is not None:
            row |= _counted(maps[number - 1], effusion[number - 1])
        yield row


def _counted(labels: slice_table.Mask, effusion: int) -> dict[str, Any]:
    if labels.max() > 3:
        return {"excluded": slice_table.UNKNOWN_LABEL}
    counts = slice_table.counts(labels)
    return {**counts, "effusion_pixels": effusion, "excluded": slice_table.reason(counts)}


def _unusable(
    image: Path,
    infection: Path | None,
    lungs: Path | None,
    size: tuple[int, int, int],
    window: nifti.Window,
    check: bool,
) -> str:
    """Why no slice of a volume can be used, or ""."""
    if infection is None or lungs is None:
        return slice_table.NO_MASK
    try:
        if any(nifti.has_colours(path) for path in (infection, lungs)):
            return slice_table.COLOUR_MASK
        if {nifti.shape(infection), nifti.shape(lungs)} != {size}:
            return slice_table.OTHER_SIZE
        if not (nifti.aligned(image, infection) and nifti.aligned(image, lungs)):
            return slice_table.OTHER_PLACE
        if check:
            nifti.combined(str(infection), str(lungs))
    except BadImage:
        return slice_table.DAMAGED_MASK
    if check:
        try:
            nifti.slices(str(image), window)
        except BadImage:
            return slice_table.DAMAGED
    return ""
