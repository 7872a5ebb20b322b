"""Join rows of one film and rows of one patient, by statements of the sources and by likeness."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from covid_synth_data.metrics import approximate
from covid_synth_data.sources import licences
from covid_synth_data.splits import copies, duplicates
from covid_synth_data.splits.copies import Progress, quiet

Labels = npt.NDArray[Any]


@dataclass(frozen=True)
class Joined:
    """Of the rows `used` (m,) of a frame, by position: `films` (m,) and `patients` (m,), numbers that are
    equal where two rows are one film, or one patient's. The rows of a film have one patient."""

    used: Labels
    films: Labels
    patients: Labels


MISSED: Final = (
    "films that look alike may have been missed, so results do not compare with those of an exact search;"
    " search for copies: {}"
)

FLAT: Final = "shows nothing: all black, all white or one grey"


def join(
    frame: pd.DataFrame, notes: list[str], progress: Progress = quiet, search: str = approximate.EXACT
) -> Joined:
    """Join the rows of `frame` that have no `reason`; unreadable ones get theirs, and a note,
    and so do films that show nothing.

    Patients are joined where their names are equal, where a source says two rows are one film
    (`same_film`), and where films look like one patient's (`duplicates.SAME_PATIENT`). Phantoms are compared
    by their bytes and names alone. `search` is "exact" or "approximate", which may miss films that look alike
    and is noted. Raises `UnknownName`, `MissingExtra`.
    """
    used: Labels = np.flatnonzero((frame["reason"] == "").to_numpy())
    prints = duplicates.fingerprints(
        [str(frame["path"].iat[i]) for i in used], [_content(frame["bytes"].iat[i]) for i in used], progress
    )
    bad = np.array([bool(problem) for problem in prints.problems], bool)
    notes += [f"left out: {prints.problems[i]}" for i in np.flatnonzero(bad)[:3]]
    frame.loc[used[bad], "reason"] = "unreadable image"
    frame.loc[used[prints.flat], "reason"] = FLAT
    part = frame.iloc[used]
    # Films that show nothing may be equal to others' without being a copy.
    digests = ["" if flat else digest for digest, flat in zip(prints.digests, prints.flat, strict=True)]
    prints = replace(prints, digests=digests)
    # Phantoms are drawn with their patients known; likeness would only join what is drawn alike.
    if (part["source_dataset"] == "phantom").all():
        linked = alike = duplicates.equal_pairs(digests)
    else:
        compared = duplicates.compare(prints, progress, search=search)
        if search != approximate.EXACT:
            text = MISSED.format(copies.settings(search))
            notes += [text] if text not in notes else []
        linked = compared.at_least(duplicates.SAME_PATIENT)
        alike = compared.at_least(duplicates.SAME_FILM)
    stated = _stated(part)
    named = duplicates.equal_pairs(part["patient_id"].tolist())
    return Joined(
        used,
        films=duplicates.components(len(part), alike, stated),
        patients=duplicates.components(len(part), linked, stated, named),
    )


TWO_CLASSES: Final = "same film under two classes"


def drop_repeats(frame: pd.DataFrame, joined: Joined, by: str = "label") -> None:
    """Keep the first row of each film; none where its rows disagree about the class (the column `by`)."""
    frame.loc[contradictions(frame, joined, by), "reason"] = TWO_CLASSES
    rows = _repeated(frame, joined, by)
    kept = rows.groupby("film")["at"].transform("first")
    again = rows["at"] != kept
    # The column is changed once: every change of a cell would copy a column of text.
    sources = frame["source_dataset"].iloc[kept[again]]
    frame.loc[rows["at"][again], "reason"] = [f"same film as one kept from {source}" for source in sources]


def contradictions(frame: pd.DataFrame, joined: Joined, by: str) -> list[int]:
    """Positions of the rows of films whose rows disagree about the class (the column `by`)."""
    rows = _repeated(frame, joined, by)
    several = rows.groupby("film")["class"].transform("nunique") > 1
    return [int(at) for at in rows["at"][several]]


def _repeated(frame: pd.DataFrame, joined: Joined, by: str) -> pd.DataFrame:
    """Film, class, and position `at` of the rows of each film that takes part more than once."""
    part = frame.iloc[joined.used]
    table = pd.DataFrame({"film": joined.films, "class": part[by].to_numpy(), "at": joined.used})
    table = table[(part["reason"] == "").to_numpy()]
    return table[table["film"].duplicated(keep=False)]


def refuse_licences(frame: pd.DataFrame) -> None:
    """Remove films without a permissive licence from the splits.

    To be called after the split, so that the part of a patient does not depend on the choice of licences: a
    generator trained on permissive training films must not have seen another benchmark's test patient.
    """
    refused = ~frame["source_license"].map(licences.is_permissive) & (frame["reason"] == "")
    frame.loc[refused, "reason"] = "licence is not permissive"
    frame.loc[refused, "split"] = ""


def _stated(part: pd.DataFrame) -> Any:
    """Index pairs of rows that a source itself says are one film (column `same_film`)."""
    if "same_film" not in part.columns:
        return np.empty((0, 2), np.int64)
    where = {name: i for i, name in enumerate(part["image_id"])}
    pairs = [
        (i, where[other])
        for i, other in enumerate(part["same_film"])
        if isinstance(other, str) and other in where
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _content(cell: Any) -> bytes | None:
    """pandas may hold a missing value as NaN."""
    return cell if isinstance(cell, bytes) else None
