"""The protocol `menon2020`: 68 films of each class are held out, the same for all tasks."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from covid_synth_data.sources import read_source, require, table
from covid_synth_data.splits import classes
from covid_synth_data.splits.protocols import joining, placing
from covid_synth_data.splits.protocols.joining import Joined
from covid_synth_data.splits.protocols.request import Outcome, Request, check_fixed_sources

COVID_FILMS: Final = 227
"""Frontal COVID-19 films of covid-chestxray that the paper had (Sect. III)."""

TEST_FILMS: Final = 68
"""Films of each kind that are tested on (Sect. IV.A); at most a third of a kind, where a root has fewer."""

VALIDATION_SHARE: Final = 0.3
"""Of the training patients (Sect. V)."""

UNNAMED: Final = "bacterial or viral not stated"

_KINDS: Final = {"NORMAL": "normal", "PNEUMONIA-bacteria": "bacterial", "PNEUMONIA-virus": "viral"}
"""`source_class` of kermany to the paper's class."""


def menon2020(request: Request) -> Outcome:
    """The films and the hold-out of menon2020 (Sect. III, IV.A, V), held out by patient.

    Films: the first 227 frontal COVID-19 rows of covid-chestxray and all of kermany. Of COVID-19, normal,
    bacterial and viral pneumonia 68 films each are tested on; of the other patients of each, 30 % validate.
    A generator learns from train and validation.

    All classes are split at once, whatever the task, so that no film which is tested on in one task is
    trained on in another. (Phantoms with pneumonia have kinds in the task of four classes alone, and are
    split by them there.) Beyond the paper, whole patients are held out, patients and films are joined as by
    `clean`, and repeated films are kept once. `sources` is None, or ["phantom"].
    """
    check_fixed_sources(request, "menon2020")
    phantom = request.wants_phantoms
    frame = read_source("phantom", None, **(request.phantom or {})) if phantom else _films(request)
    frame["class"] = classes.of(frame, request.classes)
    frame["split"], frame["reason"] = "", frame["excluded"]
    notes: list[str] = []
    joined = joining.join(frame, notes, request.progress, request.search)
    contradictions = joining.contradictions(frame, joined, "class")
    joining.drop_repeats(frame, joined)
    kinds = frame["source_class"].map(_KINDS).where(frame["source_dataset"] == "kermany", frame["label"])
    if phantom:
        kinds = frame["class"].where(frame["class"] != "", frame["label"])
    _split(frame, joined, kinds, request.seed, notes)
    # After the split, which must not depend on the task: one label, but two kinds of pneumonia.
    frame.loc[contradictions, ["split", "reason"]] = "", joining.TWO_CLASSES
    if request.licences == "permissive":
        joining.refuse_licences(frame)
    if not phantom:
        notes.append(
            f"{' and '.join(request.negatives)} films are children's, the COVID-19 films adults': age is a"
            " shortcut"
        )
    # With kinds of pneumonia in the task, films that state none are told of and not dropped.
    nameless = frame["reason"].isin([UNNAMED, table.UNKNOWN_NAME]) & (len(request.classes) > 2)
    return Outcome(frame[(frame["class"] != "") | nameless].reset_index(drop=True), notes)


def _films(request: Request) -> pd.DataFrame:
    """The rows of both sources, in file order. Raises `MissingSource` where either is not there."""
    require(["covid-chestxray", "kermany"], request.root)
    covid = read_source("covid-chestxray", request.root)
    covid = covid[covid["label"] == "covid-19"].reset_index(drop=True)
    # Counted in the metadata, so that a film which was not downloaded lets no other in.
    missing = (covid["excluded"] == table.MISSING) & covid["view"].map(table.is_frontal)
    counted = ((covid["excluded"] == "") | missing).cumsum()
    covid.loc[(covid["excluded"] == "") & (counted > COVID_FILMS), "excluded"] = (
        f"after the {COVID_FILMS} COVID-19 films of the paper"
    )
    children = read_source("kermany", request.root)
    unnamed = (children["excluded"] == "") & ~children["source_class"].isin(list(_KINDS))
    children.loc[unnamed, "excluded"] = UNNAMED
    return pd.concat([covid, children], ignore_index=True)


def _split(frame: pd.DataFrame, joined: Joined, kinds: pd.Series, seed: int, notes: list[str]) -> None:
    """Give each patient to one part; `kinds` has the kind of each row of `frame`."""
    part = frame.iloc[joined.used]
    names = placing.names(part["patient_id"].tolist(), joined.patients)
    films = pd.DataFrame(
        {
            "at": joined.used,
            "patient": [names[number] for number in joined.patients.tolist()],
            "kind": kinds.iloc[joined.used].to_numpy(),
        },
        index=part.index,
    )[part["reason"] == ""]
    tested = _held_out(films, seed, notes)
    part_of = dict.fromkeys(tested, "test")
    rest = films[~films["patient"].isin(tested)].drop_duplicates("patient")
    numbers = np.array([placing.number(seed, name, "validation") for name in rest["patient"]], np.float64)
    places = placing.place(numbers, rest["kind"].tolist(), (VALIDATION_SHARE,))
    part_of |= {
        name: ("validation", "train")[place]
        for name, place in zip(rest["patient"], places.tolist(), strict=True)
    }
    frame.loc[films["at"].to_numpy(), "split"] = [part_of[patient] for patient in films["patient"]]


def _held_out(films: pd.DataFrame, seed: int, notes: list[str]) -> set[str]:
    """Patients with exactly `TEST_FILMS` films of each kind between them, taken kind by kind.

    Patients are taken in the order of their numbers (`placing.number`): exact counts need an order. A patient
    who is added or removed shifts only the end of it, and the patients whose films no longer fit. A patient
    with more films than are still wanted, of any kind, is passed over: it trains. Where that makes the number
    impossible a note says so.
    """
    order = films["patient"].drop_duplicates()
    counts = pd.crosstab(films["patient"], films["kind"]).loc[order]
    counts = counts.iloc[
        np.argsort([placing.number(seed, str(name)) for name in counts.index], kind="stable")
    ]
    target = np.minimum(TEST_FILMS, counts.sum().to_numpy() // 3)
    tested = np.zeros_like(target)
    chosen: set[str] = set()
    for column, kind in enumerate(counts.columns):
        for row in np.flatnonzero(counts[kind].to_numpy()).tolist():
            more = tested + counts.iloc[row].to_numpy()
            patient = counts.index[row]
            if patient not in chosen and (more <= target).all():
                chosen.add(patient)
                tested = more
        if tested[column] < target[column]:
            notes.append(
                f"{tested[column]} {kind} films are tested on, not {target[column]}: no whole patient fits"
            )
    return chosen
