"""The frame that every source is read into, why a row is not used, and the way from a frame to a Dataset.

One row per film of the set's own metadata (or file listing). No row is dropped: what cannot be used says so
in `excluded`, so that a count can always be explained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from covid_synth_data import schema
from covid_synth_data.errors import MissingSource, SourceError
from covid_synth_data.files import films
from covid_synth_data.sources import patients, views

if TYPE_CHECKING:
    import datasets

COLUMNS: Final = (
    "image_id",
    "label",
    "patient_id",
    "patient_known",
    "view",
    "source_dataset",
    "source_id",
    "source_class",
    "source_license",
    "path",
    "bytes",
    "excluded",
)
"""The columns of every frame, in this order; a source may add its own (sex, age, offset, ...) after them.

`label` is one of `schema.LABELS` or ""; `view` is PA, AP, AP Supine, L, another value of the source, or "";
`path` is absolute or ""; `bytes` is None or an encoded image; `excluded` is "" or one of `EXCLUSIONS`.
"""

MALFORMED: Final = "malformed metadata row"
UNSAFE: Final = "unsafe file name"
DUPLICATE: Final = "duplicate metadata row"
CT: Final = "CT, not a radiograph"
NO_LABEL: Final = "no usable label"
UNKNOWN_NAME: Final = "unknown file name"
MISSING: Final = "image file missing"
INVERTED: Final = "stored inverted"
LATERAL: Final = "lateral view"
VIEW_UNKNOWN: Final = "view not stated"

EXCLUSIONS: Final = {
    MALFORMED: "the row of the metadata has too many or too few cells, control characters, or no file name",
    UNSAFE: "the file name is a path, or would leave the folder of the images",
    DUPLICATE: "an earlier row of the metadata names the same file",
    CT: "a slice or volume of computed tomography",
    NO_LABEL: "the finding is none of normal, pneumonia and COVID-19",
    UNKNOWN_NAME: "the file is named in no way that the set is known to use, so its patient is not known",
    MISSING: "the metadata names a file that is not there",
    INVERTED: "bone is dark in the picture file (MONOCHROME1), which only the file beside it says",
    LATERAL: "a lateral film; kept with views='all'",
    VIEW_UNKNOWN: "a set with mixed views does not say which this is; kept with views='all'",
}
"""Reason to what it means. A row has the first reason of this order that applies to it."""

VIEW_REASONS: Final = (LATERAL, VIEW_UNKNOWN)
"""The reasons that views="all" overrides; they come last, so such a row is usable otherwise."""


def build(source: str, rows: Iterable[Mapping[str, Any]], extra: Sequence[str] = ()) -> pd.DataFrame:
    """The frame of `source` from rows with at least `source_id`, `label`, `source_class`, `source_license`.

    Fills in `image_id` ("SOURCE/ID"), `source_dataset`, and the defaults of what a row leaves out. `patient`
    of a row is the source's own patient number or "", and is brought into one writing by
    `patients.canonical`; without one the film is its own patient
    ("SOURCE:film-ID") and `patient_known` is False. `extra` names the further columns, in order. Raises
    `SourceError` when two rows have the same id, which is a mistake in a reader, not in the data.
    """
    filled = []
    for row in rows:
        identity, patient = row["source_id"], patients.canonical(row.get("patient", ""))
        filled.append(
            {"view": "", "path": "", "bytes": None, "excluded": ""}
            | dict(row)
            | {
                "image_id": f"{source}/{identity}",
                "source_dataset": source,
                "patient_id": f"{source}:{patient or f'film-{identity}'}",
                "patient_known": bool(patient),
            }
        )
    frame = pd.DataFrame(filled, columns=[*COLUMNS, *extra])
    repeated = frame.loc[frame["image_id"].duplicated(), "image_id"]
    if len(repeated):
        raise SourceError(
            f"{source} has two rows of the same id", found=repeated.iloc[0], expected="unique ids"
        )
    return frame


def unique_ids(names: Sequence[str]) -> list[str]:
    """An id per file name: its stem, or the whole name where several files share the stem.

    What is still the same after that gets "#2", "#3", ... in the order of `names`. Depends on the names
    alone, not on which files were downloaded, as long as `names` comes from the metadata.
    """
    stems = [stem(name) for name in names]
    shared = Counter(stems)
    ids: list[str] = []
    seen: set[str] = set()
    for name, short in zip(names, stems, strict=True):
        identity = candidate = short if shared[short] == 1 else name
        number = 1
        while candidate in seen:
            number += 1
            candidate = f"{identity}#{number}"
        seen.add(candidate)
        ids.append(candidate)
    return ids


def stem(name: str) -> str:
    """The file name without its extension; ".nii.gz" counts as one."""
    return PurePosixPath(name.removesuffix(".gz") if name.endswith(".nii.gz") else name).stem or name


def is_frontal(view: str) -> bool:
    """Whether `view` is that of a frontal film (PA, AP, AP Supine, APS, ...); see `views`."""
    return views.kind(view) == "frontal"


def view_reason(view: str) -> str:
    """Why a film of this `view` is no frontal film, or ""."""
    return {"frontal": "", "lateral": LATERAL, "": VIEW_UNKNOWN}[views.kind(view)]


def usable(frame: pd.DataFrame, views: str = "frontal") -> pd.DataFrame:
    """The rows of `frame` that are not excluded; with views="all" laterals and unstated views stay in."""
    kept = ("", *VIEW_REASONS) if views == "all" else ("",)
    return frame[frame["excluded"].isin(kept)].reset_index(drop=True)


def to_dataset(frame: pd.DataFrame, labels: Sequence[str] = schema.LABELS) -> datasets.Dataset:
    """A Dataset with exactly `schema.REAL_COLUMNS` of all rows of `frame`, in their order.

    `labels` are the names that `label` is a `ClassLabel` of; a label of "" becomes null. Images stay
    references to files and are decoded when a row is read; headers are read here, and no pixels. A file that
    is not an 8-bit grey PNG or JPEG stands there by its address (`files.films`). Raises `MissingSource` when
    a row has neither a path nor bytes, `MissingExtra` when there are DICOM files and pydicom is not
    installed.
    """
    import datasets

    empty = frame.loc[(frame["path"] == "") & frame["bytes"].isna(), "image_id"]
    if len(empty):
        raise MissingSource(
            f"{len(empty)} of {len(frame)} rows have no image",
            found=f"{empty.iloc[0]} without a file",
            hint="download the rest of the set, or leave out rows that have a reason in 'excluded'",
        )
    columns: dict[str, list[Any]] = {name: frame[name].tolist() for name in schema.REAL_COLUMNS[2:]}
    columns["label"] = [list(labels).index(label) if label else None for label in frame["label"]]
    columns["image"] = [
        {"bytes": bytes(content) if present else None, "path": path or None}
        for content, present, path in zip(
            frame["bytes"], frame["bytes"].notna(), films.cells(frame["path"]), strict=True
        )
    ]
    features = schema.features(schema.REAL_COLUMNS)
    features["label"] = datasets.ClassLabel(names=list(labels))
    return datasets.Dataset.from_dict(
        {name: columns[name] for name in schema.REAL_COLUMNS}, features=features
    )
