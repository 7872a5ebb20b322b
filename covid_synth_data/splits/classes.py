"""The classes of tasks: the labels of `schema.LABELS`, and finer or wider ones.

What a film is in a task follows from its label, its source and what the source states (`source_class`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from covid_synth_data.schema import LABELS

POSITIVE: Final = "covid-19"
"""The class of interest of every task; a task names it last."""

OPACITY: Final = "opacity"
"""The class that joins pneumonia and COVID-19."""

CLASSES: Final = {
    "normal": "no finding, or no lung opacity",
    "pneumonia": "an infection of the lung other than COVID-19, or an opacity that suggests one",
    "bacterial-pneumonia": "pneumonia that its source states to be bacterial",
    "viral-pneumonia": "pneumonia that its source states to be viral, COVID-19 aside",
    "lung-opacity": "an opacity that suggests pneumonia, of no stated cause (RSNA)",
    "other-finding": "a stated finding other than COVID-19, 'No Finding' included (covid-chestxray)",
    "opacity": "pneumonia or COVID-19: an opacity of the lungs of any cause",
    "covid-19": "COVID-19, whatever is stated besides",
}
"""Name to meaning, in the order in which tasks name them."""

FINER: Final = {
    ("pneumonia", "kermany", "PNEUMONIA-bacteria"): "bacterial-pneumonia",
    ("pneumonia", "kermany", "PNEUMONIA-virus"): "viral-pneumonia",
    ("pneumonia", "radiography", "Viral Pneumonia"): "viral-pneumonia",
    ("pneumonia", "radiography", "Lung_Opacity"): "lung-opacity",
    ("pneumonia", "rsna", "Target=1"): "lung-opacity",
}
"""(label, source_dataset, source_class) to the finer class."""

_OTHER: Final = "other-finding"
_SILENT: Final = ("", "todo", "unknown")
"""Findings of covid-chestxray that say nothing of the film."""


def of(frame: pd.DataFrame, classes: Sequence[str]) -> pd.Series:
    """The class of each row of a source's frame among `classes`, "" where it is of none; index as `frame`.

    A label that is itself among `classes` decides; otherwise the finer class, otherwise `other-finding`.
    Phantoms state no finer class: those with pneumonia are dealt out, patient by patient, to the kinds of
    pneumonia among `classes`.
    """
    kinds = [name for name in classes if name in CLASSES and name not in (*LABELS, _OTHER, OPACITY)]
    cells = zip(
        frame["label"], frame["source_dataset"], frame["source_class"], frame["patient_id"], strict=True
    )
    return pd.Series([_one(cell, classes, kinds) for cell in cells], frame.index, dtype=object)


def _one(cell: tuple[str, str, str, str], classes: Sequence[str], kinds: Sequence[str]) -> str:
    label, source, stated, patient = cell
    if label in classes:
        return label
    if OPACITY in classes and label in LABELS[1:]:
        return OPACITY
    if source == "phantom" and label == "pneumonia" and kinds:
        return kinds[int(patient.rsplit("-", 1)[1]) % len(kinds)]
    finer = FINER.get((label, source, stated), "")
    if finer in classes:
        return finer
    other = source == "phantom" or (source == "covid-chestxray" and stated.lower() not in _SILENT)
    return _OTHER if _OTHER in classes and other else ""
