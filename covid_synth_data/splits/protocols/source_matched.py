"""The protocol `source-matched`: COVID-19 against other findings of one collection, in folds of patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from covid_synth_data.sources import licences, read_source, table
from covid_synth_data.splits import classes
from covid_synth_data.splits.protocols import joining, placing
from covid_synth_data.splits.protocols.request import Outcome, Request, check_any_licence, check_fixed_sources

SOURCE: Final = "covid-chestxray"

VALIDATION_FOLDS: Final = 8
"""One of so many folds of the training patients validates: with five folds a tenth of all, as in `clean`."""

Ints = npt.NDArray[np.int64]


def source_matched(request: Request) -> Outcome:
    """Fold `request.fold` of `request.folds` of covid-chestxray's frontal films is tested on.

    Both classes come from one collection of figures of publications, so the source does not reveal the class.
    Other findings are all that the metadata state, "No Finding", ARDS alone and lipoid pneumonia included;
    films of which they say nothing ("todo", "Unknown") are left out. Patients and films are joined, and
    repeated films kept once, as by `clean`. Folds are of whole patients, in equal shares of the patients of
    each class, by a hash of the seed and the patient (`placing`): over all folds each film but those below is
    tested on once. One of eight such folds of the other patients validates. Patients with a permissively
    licensed film are trained on in every fold and never tested: a released generator may have learned from
    them. `sources` is None, or ["phantom"].
    """
    check_fixed_sources(request, "source-matched")
    check_any_licence(request, "source-matched", "films that are not permissively licensed")
    phantom = request.wants_phantoms
    frame = (
        read_source("phantom", None, **(request.phantom or {}))
        if phantom
        else read_source(SOURCE, request.root)
    )
    frame["class"] = classes.of(frame, request.classes)
    frame["split"], frame["reason"] = "", _reasons(frame)
    fold = request.fold if request.fold is not None else 0
    notes = [
        f"fold {fold} of {request.folds}, counted from 0; over all folds each tested film is tested on once"
    ]
    joined = joining.join(frame, notes, request.progress, request.search)
    joining.drop_repeats(frame, joined, "class")
    plays = (frame["reason"].iloc[joined.used] == "").to_numpy()
    at, patients = joined.used[plays], joined.patients[plays]
    names = placing.names(frame["patient_id"].iloc[joined.used].tolist(), joined.patients)
    own = [names[patient] for patient in patients.tolist()]
    kinds = frame["class"].iloc[at].tolist()
    free = np.flatnonzero(~_released(frame.iloc[at], patients, phantom))
    dealt = folds_of(own, kinds, free, request.folds, request.seed, "")
    tested = np.zeros(len(at), bool)
    tested[free[dealt == fold]] = True
    if len(free) < len(at):
        notes.append(
            f"{len(at) - len(free)} films of patients whose films a release may use are always trained on"
        )
    rest = free[dealt != fold]
    validates = rest[folds_of(own, kinds, rest, VALIDATION_FOLDS, request.seed, "validation") == 0]
    parts = np.where(tested, "test", "train").astype(object)
    parts[validates] = "validation"
    frame.loc[at, "split"] = parts
    return Outcome(frame, notes)


def _released(part: pd.DataFrame, patients: Ints, phantom: bool) -> npt.NDArray[np.bool_]:
    """Which films are of patients that a released generator may be trained on; none of phantoms."""
    if phantom:
        return np.zeros(len(part), bool)
    may = part["source_license"].map(licences.is_permissive).to_numpy(bool)
    return np.asarray(np.isin(patients, patients[may]))


def _reasons(frame: pd.DataFrame) -> Any:
    """Why rows take no part: as the source says, but a finding without a label of ours has a class here."""
    other = np.where(frame["path"] == "", table.MISSING, frame["view"].map(table.view_reason))
    classed = (frame["excluded"] == table.NO_LABEL) & (frame["class"] != "")
    return np.where(classed, other, frame["excluded"])


def folds_of(
    patients: Sequence[str], kinds: Sequence[str], rows: Ints, folds: int, seed: int, purpose: str
) -> Ints:
    """The fold of each of the `rows` (m,), positions in the names of the `patients` and the `kinds` of films.

    A patient's films share a fold, which `placing.place` gives by the patient's number, in equal shares of
    the patients of each kind. Patients with films of several kinds belong to the rarest of them.
    """
    table = pd.DataFrame({"patient": [patients[row] for row in rows], "kind": [kinds[row] for row in rows]})
    films = table["kind"].map(table["kind"].value_counts())
    first = table.assign(films=films).sort_values(["patient", "films", "kind"]).drop_duplicates("patient")
    numbers = np.array([placing.number(seed, name, purpose) for name in first["patient"]], np.float64)
    places = placing.place(numbers, first["kind"].tolist(), (1 / folds,) * (folds - 1))
    fold_of = dict(zip(first["patient"], places.tolist(), strict=True))
    return np.array([fold_of[name] for name in table["patient"]], np.int64)
