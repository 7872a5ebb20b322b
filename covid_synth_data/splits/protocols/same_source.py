"""The protocols `same-source` and `same-source-cv`: opacity against normal within one source.

No classifier learns from the opacities of the source, but for a ceiling. The source is covid-qu-ex, or
another with both classes from the same hospitals (`SOURCES`), or one that the user declared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from covid_synth_data.errors import ConfigError, MissingSource
from covid_synth_data.sources import own as own_sources
from covid_synth_data.sources import read_source, table
from covid_synth_data.splits.classes import OPACITY
from covid_synth_data.splits.protocols import joining, placing
from covid_synth_data.splits.protocols.clean import split_films
from covid_synth_data.splits.protocols.request import Outcome, Request, check_any_licence

SOURCE: Final = "covid-qu-ex"
"""What is tested on where no source is named."""

SOURCES: Final = (SOURCE, "siim-covid19", "bimcv-covid19", "covidgr")
"""Sources of this package with normal films and opacities from the same hospitals."""

HOME: Final = "covid-chestxray"
KNOWN: Final = ("covid-chestxray", "covid-19-image-repository", "kermany", "radiography")
"""Sets that no tested opacity may look like: the classifiers or a generator may have learned from them."""

SHARED: Final = f"COVID-19 films of {SOURCE} stand in other sets too"
NO_FINDING: Final = "COVID-19 by test, without an opacity that the set states"

VALIDATION: Final = 1 / 3
"""The share of this source's opacities that validates; the others are tested on."""

NORMALS: Final = (1 / 2, 1 / 6)
"""The shares of the normals that no other set places: those tested on, and those that validate."""

CV_VALIDATION: Final = 1 / 5
"""The share of the patients of the other folds that validates, where every fold is tested on."""

_PARTS: Final = ("test", "validation", "train")
_ELSEWHERE: Final = "tested on in another fold"


def same_source(request: Request) -> Outcome:
    """Fold `request.fold` of `request.folds` of one source is tested on; both classes come from it.

    The source is the one in `request.sources`, covid-qu-ex where it is None. Training positives are the
    frontal COVID-19 films of covid-chestxray that `clean` uses, of whatever part: none of them is tested on
    here. Training negatives are normals of the tested source. A normal that stands in
    radiography too goes where `clean` puts that film, so that a generator that learned from the training
    films of `clean` has seen no normal that is tested on; other normals are placed in the shares `NORMALS`.
    A third of the opacities validate, by a hash of the seed and the film (`placing`); the others are tested
    on. Those of the other folds are in the training part, for a ceiling that learns from them: a suite holds
    them back from all other regimes by their finding (`Data.held_findings`). Normals of other folds are left
    out. Opacities that look like a film of `KNOWN`, or like a training normal, are left out, and so are the
    COVID-19 films of covid-qu-ex, most of which stand in other sets. Films that look alike have one
    `patient_id`. Of other sources COVID-19 films are opacities like others, but for those that the source
    states to show none, and a film of a patient whose normals are trained on is left out. With phantoms,
    COVID-19 plays the other source. Raises `ConfigError`, `MissingSource`.
    """
    return _outcome(request, cross_validated=False)


def same_source_cv(request: Request) -> Outcome:
    """`same_source` with every patient of the source in one of the folds: over all folds every film that can
    be used is tested on once, normals too.

    Each class is dealt to `request.folds` folds by a hash of the seed and the patient (`placing`). Of the
    other folds the share `CV_VALIDATION` of the patients validates, drawn anew for each fold. The others
    train: their normals, and for a ceiling their opacities. Where `clean` puts a film does not matter here,
    so a generator that learned from the training films of `clean` may have seen tested normals; the leak
    check of the benchmark refuses such a generator. Films that are made from the training films of the fold,
    such as painted ones, leak nothing. Raises as `same_source` does.
    """
    return _outcome(request, cross_validated=True)


def _outcome(request: Request, *, cross_validated: bool) -> Outcome:
    """Read the sources, place the films of the tested one, and add the positives to train on."""
    source = tested(request)
    name = "same-source-cv" if cross_validated else "same-source"
    check_any_licence(request, name, "films that state no licence")
    notes: list[str] = []
    if request.wants_phantoms:
        own = read_source("phantom", None, **(request.phantom or {}))
        clean = own[own["label"] == "covid-19"].assign(split="train", reason=own["excluded"])
        own, known = own[own["label"] != "covid-19"], own[:0]
    else:
        own = read_source(source, request.root)
        clean, _, notes = split_films(replace(request, sources=None, classes=("normal", "covid-19")))
        known = pd.concat([_all_films(name, request) for name in KNOWN], ignore_index=True)
    own = own.assign(split="", reason=own["excluded"]).reset_index(drop=True)
    if source == SOURCE:
        own.loc[own["label"] == "covid-19", "reason"] = SHARED
    elif "no_finding" in own.columns:
        shown = (own["reason"] == "") & own["no_finding"].astype(bool)
        own.loc[shown & (own["label"] != "normal"), "reason"] = NO_FINDING
    home = clean[(clean["label"] == "covid-19") & (clean["reason"] == "")]
    home = home if request.wants_phantoms else home[home["source_dataset"] == HOME]
    if not len(home):
        raise MissingSource(
            f"the protocol {name} cannot be made from this root",
            found="none",
            expected=f"frontal COVID-19 films of {HOME}, to train on",
            hint="covid-synth sources says how to get each set",
        )
    _place(own, clean, known, request, notes, cross_validated=cross_validated)
    fold = request.fold or 0
    notes.append(
        f"fold {fold} of {request.folds}, counted from 0; over all folds each tested film is tested on once"
    )
    if not own["patient_known"].any():
        notes.append(
            "the films of the tested source have no patient ids: those that look alike count as one patient's"
        )
    frame = pd.concat([home.assign(split="train"), own], ignore_index=True)
    frame["class"] = np.where(frame["label"] == "normal", "normal", OPACITY)
    return Outcome(frame, notes)


def testable() -> tuple[str, ...]:
    """The sources that can be tested on: `SOURCES`, and those that the user declared."""
    return (*SOURCES, *own_sources.declared())


def tested(request: Request) -> str:
    """The source that is tested on. Raises `ConfigError` for a source without both classes, or several."""
    if request.sources is None:
        return SOURCE
    allowed = ("phantom", *testable())
    if len(request.sources) != 1 or request.sources[0] not in allowed:
        raise ConfigError(
            "the protocols same-source and same-source-cv fix their sources",
            found=", ".join(request.sources) or "an empty list",
            expected="one of " + ", ".join(allowed),
            hint="name one source that has both classes, or leave sources out",
        )
    return request.sources[0]


def _place(
    own: pd.DataFrame,
    clean: pd.DataFrame,
    known: pd.DataFrame,
    request: Request,
    notes: list[str],
    *,
    cross_validated: bool,
) -> None:
    """Give the rows of `own` their part, their reason and their patient, in place."""
    normals = clean[(clean["label"] == "normal") & (clean["split"] != "")]
    every = pd.concat([own, normals, known], ignore_index=True)
    every.loc[len(own) :, "reason"] = ""
    joined = joining.join(every, notes, request.progress, request.search)
    mine = joined.used < len(own)
    own["reason"] = every["reason"].iloc[: len(own)].to_numpy()
    at, patients = joined.used[mine], joined.patients[mine]
    # What else looks like each patient's films: the part of a normal in `clean`, or a film of another set.
    placed: dict[int, set[str]] = {}
    strange: dict[int, str] = {}
    theirs = every.iloc[joined.used[~mine]]
    for row, patient, part, source, split_too in zip(
        joined.used[~mine].tolist(),
        joined.patients[~mine].tolist(),
        theirs["split"].astype(str),
        theirs["source_dataset"].astype(str),
        _rsna_normals(theirs),
        strict=True,
    ):
        if row < len(own) + len(normals):
            placed.setdefault(patient, set()).add(part)
        elif not split_too:
            strange.setdefault(patient, source)
    films = _once(own, at, joined.films[mine])
    group = pd.DataFrame({"at": at, "patient": patients})[films]
    names = placing.names(own["patient_id"].iloc[at].tolist(), patients)
    # Columns are changed once: every change of a cell would copy a column of text.
    own.loc[group["at"], "patient_id"] = [names[patient] for patient in group["patient"]]
    odd = group[group["patient"].isin(strange)]
    own.loc[odd["at"], "reason"] = [f"looks like a film of {strange[patient]}" for patient in odd["patient"]]
    if cross_validated:
        _deal(own, group, names, request)
    else:
        _hold(own, group, names, placed, request)
    own.loc[own["reason"] != "", "split"] = ""


def _deal(own: pd.DataFrame, group: pd.DataFrame, names: dict[int, str], request: Request) -> None:
    """The part of each row of `group` where every patient is tested on in one fold, in place."""
    opacities = set(group["patient"][(own["label"].iloc[group["at"]] != "normal").to_numpy()])
    patients = sorted(set(group["patient"]))
    fold = request.fold or 0
    folds = _folds(patients, [str(patient in opacities) for patient in patients], names, request)
    others = [patient for patient in patients if folds[patient] != fold]
    numbers = [placing.number(request.seed, names[patient], f"validation {fold}") for patient in others]
    strata = [str(patient in opacities) for patient in others]
    places = placing.place(np.array(numbers, np.float64), strata, (CV_VALIDATION,))
    parts = dict(zip(others, np.where(places == 0, "validation", "train").tolist(), strict=True))
    own.loc[group["at"], "split"] = [parts.get(patient, "test") for patient in group["patient"]]


def _hold(
    own: pd.DataFrame,
    group: pd.DataFrame,
    names: dict[int, str],
    placed: dict[int, set[str]],
    request: Request,
) -> None:
    """The part, or the reason of each row of `group` where part of the patients is tested on in folds, in
    place."""
    parts = _parts(own, group, names, placed, request.seed)
    opacities = set(group["patient"][(own["label"].iloc[group["at"]] != "normal").to_numpy()])
    tested = [patient for patient, part in parts.items() if part == "test"]
    folds = _folds(tested, [str(patient in opacities) for patient in tested], names, request)
    free = group[(own["reason"].iloc[group["at"]] == "").to_numpy()]
    opacity = (own["label"].iloc[free["at"]] != "normal").to_numpy()
    part = free["patient"].map(parts).to_numpy()
    trained = opacity & (part == "train")
    other_fold = (part == "test") & (free["patient"].map(folds) != (request.fold or 0)).to_numpy()
    # Opacities of other folds are there for the ceiling alone.
    split = np.where(other_fold, np.where(opacity, "train", ""), np.where(trained, "", part))
    known = own["patient_known"].iloc[free["at"]].to_numpy(bool)
    why = np.where(
        known, "of a patient whose normals are trained on", "looks like a normal that is trained on"
    )
    reason = np.where(trained, why, np.where(other_fold & ~opacity, _ELSEWHERE, ""))
    own.loc[free["at"], "split"] = split
    own.loc[free["at"], "reason"] = reason


def _once(own: pd.DataFrame, at: Any, films: Any) -> npt.NDArray[np.bool_]:
    """Which of the rows `at` are the first of their film; the others, and rows of COVID-19, get a reason."""
    plays = (own["reason"].iloc[at] == "").to_numpy()
    repeated = pd.Series(np.where(plays, films, -1 - np.arange(len(at)))).duplicated().to_numpy()
    own.loc[at[repeated], "reason"] = f"same film as one kept from {own['source_dataset'].iat[0]}"
    return np.asarray(plays & ~repeated)


def _parts(
    own: pd.DataFrame, group: pd.DataFrame, names: dict[int, str], placed: dict[int, set[str]], seed: int
) -> dict[int, str]:
    """The part of each patient: that of `clean` for one with a normal there (train before validation before
    test), otherwise by the patient's number. An opacity never trains by itself."""
    parts: dict[int, str] = {}
    labels = own["label"].iloc[group["at"]].to_numpy()
    normal = set(group["patient"][labels == "normal"])
    for patients, shares in (
        (normal, NORMALS),
        (set(group["patient"]) - normal, (1 - VALIDATION, VALIDATION)),
    ):
        free = sorted(patient for patient in patients if not placed.get(patient))
        numbers = np.array([placing.number(seed, names[patient]) for patient in free], np.float64)
        places = placing.place(numbers, [""] * len(free), shares)
        parts |= {patient: _PARTS[min(place, 2)] for patient, place in zip(free, places, strict=True)}
        for patient in patients:
            if in_clean := placed.get(patient):
                parts[patient] = next(part for part in reversed(_PARTS) if part in in_clean)
    # Shares that sum to 1 leave nothing but a rounding error for the last part.
    only = set(group["patient"]) - normal
    return {
        patient: "test" if part == "train" and patient in only and not placed.get(patient) else part
        for patient, part in parts.items()
    }


def _folds(
    patients: Sequence[int], strata: Sequence[str], names: dict[int, str], request: Request
) -> dict[int, int]:
    """The fold of each patient, by a number of its own, in equal shares of each of the `strata`."""
    numbers = [placing.number(request.seed, names[patient], "fold") for patient in patients]
    shares = (1 / request.folds,) * (request.folds - 1)
    places = placing.place(np.array(numbers, np.float64), strata, shares)
    return dict(zip(patients, places.tolist(), strict=True))


def _rsna_normals(rows: pd.DataFrame) -> pd.Series:
    """Which films are RSNA normals of radiography, which `clean` splits; other sets have none here."""
    if "origin" not in rows.columns:
        return pd.Series(False, rows.index)
    return (
        (rows["source_dataset"] == "radiography") & (rows["label"] == "normal") & (rows["origin"] == "rsna")
    )


def _all_films(source: str, request: Request) -> pd.DataFrame:
    """Every film of a source that has a file; no row where the source is not there."""
    try:
        frame = read_source(source, request.root)
    except MissingSource:
        return pd.DataFrame()
    return frame[(frame["path"] != "") & (frame["excluded"] != table.CT)].assign(split="", reason="")
