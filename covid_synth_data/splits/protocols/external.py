"""The protocol `external`: trained on one collection of COVID-19 films, tested on another's."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from covid_synth_data.errors import MissingSource
from covid_synth_data.sources import read_source, table
from covid_synth_data.splits.protocols import joining
from covid_synth_data.splits.protocols.clean import NO_PATIENTS, split_films
from covid_synth_data.splits.protocols.joining import Joined
from covid_synth_data.splits.protocols.request import Outcome, Request, check_fixed_sources

COVID: Final = "covid-19"
HOME: Final = "covid-chestxray"
AWAY: Final = "radiography"
KNOWN: Final = ("covid-chestxray", "covid-19-image-repository")
"""Sets that no tested COVID-19 film may look like, used or not, since generators may be trained on them."""

SHARED: Final = 1900
"""Up to this number the COVID files of radiography mix collections, `KNOWN` among them, often cropped.

Checked on the files, all films of `KNOWN` whole and in 81 crops each: hundreds have a match above
`SAME_PATIENT` up to number 1,821, and dozens more are crops that no threshold tells from films of other
patients; above it the best match is at 0.80.
"""

_NUMBER: Final = re.compile(r"^COVID-([0-9]+)$", re.IGNORECASE)


def external(request: Request) -> Outcome:
    """Train and validate on covid-chestxray's COVID-19 films and RSNA normals, test on radiography's.

    Normals are those of `clean` with the same seed, in the same parts: what learned from the training films
    of `clean` has seen no normal that is tested on. Of covid-chestxray the patients who validate in `clean`
    do so here, all others train. Of radiography those COVID-19 films are tested on, each once, whose number
    is above `SHARED` and that look like no film and no patient (`duplicates.SAME_PATIENT`) of
    covid-chestxray or covid-19-image-repository, whatever these show, and like no normal in use. Those that
    look alike carry one `patient_id`. With phantoms, the tested patients of `clean` play the other
    collection. `sources` is None, or ["phantom"]. Raises `MissingSource`.
    """
    check_fixed_sources(request, "external")
    frame, joined, notes = split_films(replace(request, classes=("normal", COVID)))
    covid = frame["class"] == COVID
    others: list[pd.DataFrame] = []
    if request.wants_phantoms:
        away = covid & (frame["split"] == "test")
    else:
        away = covid & (frame["source_dataset"] == AWAY)
        _need(bool(away.any()), f"COVID-19 films of {AWAY}, to test on")
        frame.loc[away & (frame["reason"] == NO_PATIENTS), "reason"] = ""
        _leave_out_shared(frame, away)
        _choose_home(frame, joined)
        _choose_normals(frame)
        others = [_all_films(name, request) for name in KNOWN]
        notes.append("the tested COVID-19 films have no patient ids: those that look alike count as one's")
    _test_on(frame, away, others, notes, request)
    if request.licences == "permissive":
        joining.refuse_licences(frame)
    return Outcome(frame, notes)


def _leave_out_shared(frame: pd.DataFrame, away: pd.Series) -> None:
    """Leave out films of radiography whose number does not rule out that they are copies of `KNOWN`."""
    numbers = frame["source_id"].map(lambda name: (_NUMBER.match(name) or [0, 0])[1]).astype(int)
    candidate = away & (frame["reason"] == "")
    frame.loc[candidate & (numbers == 0), "reason"] = "file name does not tell where the film is from"
    frame.loc[candidate & (numbers > 0) & (numbers <= SHARED), "reason"] = (
        f"numbered up to {SHARED:,}, among copies of films of {' and '.join(KNOWN)}"
    )


def _choose_home(frame: pd.DataFrame, joined: Joined) -> None:
    """Bring covid-chestxray's COVID-19 films into train and validation, each film once.

    That includes copies of films that `clean` keeps from covid-19-image-repository, which is not used here.
    """
    parts = pd.DataFrame(
        {
            "at": joined.used,
            "film": joined.films,
            "patient": joined.patients,
            "split": frame["split"].iloc[joined.used].to_numpy(),
            "label": frame["class"].iloc[joined.used].to_numpy(),
            "source": frame["source_dataset"].iloc[joined.used].to_numpy(),
            "reason": frame["reason"].iloc[joined.used].to_numpy(),
        }
    )
    validates = set(parts.loc[parts["split"] == "validation", "patient"])
    rows = parts[(parts["label"] == COVID) & parts["reason"].isin(["", *_kept_from(KNOWN)])]
    _need(bool((rows["source"] == HOME).any()), f"frontal COVID-19 films of {HOME}, to train on")
    elsewhere, mine = rows[rows["source"] != HOME], rows[rows["source"] == HOME]
    repeated = mine["film"].duplicated()
    frame.loc[elsewhere["at"], ["split", "reason"]] = "", f"external trains on {HOME} alone"
    frame.loc[mine.loc[repeated, "at"], ["split", "reason"]] = "", _kept_from((HOME,))[0]
    kept = mine[~repeated]
    frame.loc[kept["at"], "split"] = np.where(kept["patient"].isin(validates), "validation", "train")
    frame.loc[kept["at"], "reason"] = ""


def _kept_from(sources: tuple[str, ...]) -> list[str]:
    return [f"same film as one kept from {source}" for source in sources]


def _choose_normals(frame: pd.DataFrame) -> None:
    """Leave out normals that are not the RSNA's. Raises `MissingSource` where none is."""
    normal = frame["class"] == "normal"
    adult = (frame["source_dataset"] == "rsna") | (
        (frame["source_dataset"] == AWAY) & (frame["origin"] == "rsna")
    )
    other = normal & ~adult & (frame["reason"] == "")
    frame.loc[other, ["split", "reason"]] = "", "external takes normals of the RSNA alone"
    _need(
        bool((normal & adult & (frame["split"] != "")).any()), f"normals of the RSNA (rsna, or {AWAY}/Normal)"
    )


def _need(present: bool, what: str) -> None:
    """Raise `MissingSource` unless `present`."""
    if not present:
        raise MissingSource(
            "the protocol external cannot be made from this root",
            found="none",
            expected=what,
            hint="covid-synth sources says how to get each set",
        )


def _all_films(source: str, request: Request) -> pd.DataFrame:
    """Every film of a source that has a file, whatever it shows; no row where the source is not there."""
    try:
        frame = read_source(source, request.root)
    except MissingSource:
        # The gathering of `clean` has told of it, and raised for a set that is there and damaged.
        return pd.DataFrame()
    return frame[(frame["path"] != "") & (frame["excluded"] != table.CT)]


def _test_on(
    frame: pd.DataFrame, away: pd.Series, others: list[pd.DataFrame], notes: list[str], request: Request
) -> None:
    """Test on the rows `away` that are copies neither of used films nor of `others`, each film once."""
    requested = away & (frame["reason"] == "")
    used = (frame["split"] != "") & ~away
    others = [films for films in others if len(films)]
    every = pd.concat([*others, frame[used], frame[requested]], ignore_index=True)
    every["reason"] = ""
    every["at"] = (
        [-1] * sum(map(len, others)) + np.flatnonzero(used).tolist() + np.flatnonzero(requested).tolist()
    )
    joined = joining.join(every, [], request.progress, request.search)
    tested = np.zeros(len(frame), bool)
    tested[np.flatnonzero(requested)] = True
    at = every["at"].to_numpy()[joined.used]
    candidate = (at >= 0) & tested[at]
    sources = every["source_dataset"].to_numpy()[joined.used]
    known = dict(zip(joined.patients[~candidate][::-1].tolist(), sources[~candidate][::-1], strict=True))
    kept: set[int] = set()
    named: dict[int, str] = {}
    frame.loc[requested, "reason"] = "unreadable image"
    at, patients = at[candidate], joined.patients[candidate]
    # Columns are changed once: every change of a cell would copy a column of text.
    reasons: list[str] = []
    for film, patient, source in zip(
        joined.films[candidate].tolist(), patients.tolist(), sources[candidate], strict=True
    ):
        if patient in known:
            reasons.append(f"looks like a film of {known[patient]}")
        else:
            reasons.append(f"same film as one kept from {source}" if film in kept else "")
        kept.add(film)
    for patient, name in zip(patients.tolist(), frame["patient_id"].iloc[at].astype(str), strict=True):
        named.setdefault(patient, name)
    frame.loc[at, "split"] = ["" if reason else "test" for reason in reasons]
    frame.loc[at, "reason"] = reasons
    frame.loc[at, "patient_id"] = [named[patient] for patient in patients.tolist()]
