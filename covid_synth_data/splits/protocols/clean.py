"""The protocol `clean`: by patient, each film once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from covid_synth_data.errors import MissingExtra, MissingSource
from covid_synth_data.sources import absent, disk, list_sources, read_source
from covid_synth_data.splits.protocols import joining, placing
from covid_synth_data.splits.protocols.joining import Joined
from covid_synth_data.splits.protocols.request import Outcome, Request

TEST_SHARE: Final = 0.2
VALIDATION_SHARE: Final = 0.1


@dataclass(frozen=True)
class Pool:
    """Films of one class from one source. `origin` narrows radiography; `note` is said when it is used."""

    source: str
    origin: str | None = None
    note: str = ""


CLEAN: Final[dict[str, tuple[tuple[Pool, ...], ...]]] = {
    "covid-19": ((Pool("covid-19-image-repository"),), (Pool("covid-chestxray"),)),
    "normal": (
        (
            Pool("rsna"),
            Pool(
                "radiography",
                "rsna",
                "normals are the RSNA part of radiography, which has no patient ids:"
                " each film counts as a patient of its own, joined only where two films look alike",
            ),
            Pool(
                "kermany",
                None,
                "normals are children (kermany), the COVID-19 films adults: age is a shortcut",
            ),
            Pool(
                "radiography",
                "kermany",
                "normals are children (kermany, by way of radiography): age is a shortcut",
            ),
        ),
        (Pool("covid-chestxray"),),
    ),
    "pneumonia": (
        (
            Pool("rsna"),
            Pool(
                "kermany",
                None,
                "pneumonia films are children's (kermany), the COVID-19 films adults': age is a shortcut",
            ),
            Pool("radiography", "kermany", "pneumonia films are children's (kermany, by way of radiography)"),
        ),
        (Pool("covid-chestxray"),),
    ),
}
"""For each class the groups of pools that are joined; of a group, the first pool with films is taken.

"""

NO_PATIENTS: Final = "no patient ids, and hundreds of these films are in covid-chestxray"
PASSED_OVER: Final = (
    (Pool("radiography"), "covid-19", NO_PATIENTS),
    (Pool("radiography", "mixed"), "normal", "file name does not tell where the film is from"),
    (Pool("radiography", "rsna"), "pneumonia", "an opacity of no stated cause, of a set without patients"),
)
"""Films that `clean` never uses, with the class and the reason; the plan lists them as left out."""


def clean(request: Request) -> Outcome:
    """Patient-disjoint, frontal, without duplicates, with a validation part: 70 / 10 / 20 % of patients.

    A patient's part follows from a hash of the seed and the patient's name (`placing`). It does not depend on
    other sources and patients, except for classes of a source with fewer than `placing.SMALL` patients.
    Patients are joined where a source says two rows are one film, and where films look like one patient's
    (`duplicates.SAME_PATIENT`); of films that are the same (`duplicates.SAME_FILM`) one is kept, that of the
    source listed first in `CLEAN`.
    """
    frame, _, notes = split_films(request)
    if request.licences == "permissive":
        joining.refuse_licences(frame)
    return Outcome(frame, notes)


def split_films(request: Request) -> tuple[pd.DataFrame, Joined, list[str]]:
    """The films of `clean`, split, of all licences; the joined films; notes."""
    notes: list[str] = []
    frame = _gather(request, notes)
    frame["class"] = frame["label"]
    frame["split"], frame["reason"] = "", frame["excluded"]
    joined = joining.join(frame, notes, request.progress, request.search)
    joining.drop_repeats(frame, joined)
    strata = frame["source_dataset"] + "/" + frame["label"]
    split_patients(frame, joined, request.seed, strata, TEST_SHARE, VALIDATION_SHARE)
    return frame, joined, notes


def _gather(request: Request, notes: list[str]) -> pd.DataFrame:
    """Rows of both classes from every used pool, and rows of unused pools with the reason."""
    if request.wants_phantoms:
        options: dict[str, Any] = dict(request.phantom or {})
        drawn = read_source("phantom", None, **options)
        return drawn[drawn["label"].isin(request.classes)].reset_index(drop=True)
    parts: list[pd.DataFrame] = []
    read: dict[str, pd.DataFrame | None] = {}
    for label in (request.positive, request.negative):
        for group in CLEAN[label]:
            taken: Pool | None = None
            for pool in group:
                rows = _pool_rows(pool, label, request, read, notes)
                if rows is None or not len(rows):
                    continue
                if taken is None and (rows["excluded"] == "").any():
                    taken = pool
                    notes += [pool.note] if pool.note else []
                elif taken is not None:
                    passed = rows["excluded"] == ""
                    rows.loc[passed, "excluded"] = f"{taken.source} is used for {label} instead"
                parts.append(rows)
    have_films = any((rows["path"] != "").any() for rows in parts)
    for pool, label, reason in PASSED_OVER:
        over = _pool_rows(pool, label, request, read, notes) if label in request.classes else None
        if over is not None:
            over.loc[over["excluded"] == "", "excluded"] = reason
            parts.append(over)
    if not have_films:
        names = sorted({pool.source for groups in CLEAN.values() for group in groups for pool in group})
        raise MissingSource(
            f"no source has films of {request.positive} or {request.negative}",
            found=_sources_present(request),
            expected="one of " + ", ".join(names),
            hint="get some of these; covid-synth sources says more",
            lines=absent(names, request.root),
        )
    return pd.concat(parts, ignore_index=True)


def _sources_present(request: Request) -> str:
    if request.sources is not None:
        return f"none of the sources asked for ({', '.join(request.sources) or 'an empty list'})"
    folder = disk.resolve_root(request.root)
    return f"{folder} without any of them" if folder else f"no root, and {disk.ENVIRONMENT} is not set"


def _pool_rows(
    pool: Pool, label: str, request: Request, read: dict[str, pd.DataFrame | None], notes: list[str]
) -> pd.DataFrame | None:
    """The rows of a pool; None where the source is not asked for or not there (said once in the notes).

    A source whose folder is there but is not complete enough to be read is an error: a half download must
    not quietly change who is trained on.
    """
    if request.sources is not None and pool.source not in request.sources:
        return None
    if pool.source not in read:
        try:
            read[pool.source] = read_source(pool.source, request.root)
        except (MissingSource, MissingExtra) as error:
            info = next(info for info in list_sources() if info.name == pool.source)
            folder = disk.resolve_root(request.root)
            if folder is not None and disk.find(info, folder) is not None:
                raise
            read[pool.source] = None
            extra = f" ({error})" if isinstance(error, MissingExtra) else ""
            notes.append(f"{pool.source} is not in the root{extra}")
    frame = read[pool.source]
    if frame is None:
        return None
    rows = frame[frame["label"] == label]
    if pool.origin is not None:
        rows = rows[rows["origin"] == pool.origin]
    return rows.reset_index(drop=True)


def split_patients(
    frame: pd.DataFrame, joined: Joined, seed: int, strata: pd.Series, test: float, validation: float
) -> None:
    """Give each patient to one part, in shares of patients within each of the `strata` (a value per row of
    `frame`); see `placing.place`. The row that names a patient says to which stratum it belongs."""
    part = frame.iloc[joined.used]
    names = placing.names(part["patient_id"].tolist(), joined.patients)
    table = pd.DataFrame(
        {
            "at": joined.used,
            "patient": joined.patients,
            "own": part["patient_id"].to_numpy(),
            "name": [names[patient] for patient in joined.patients.tolist()],
            "stratum": strata.iloc[joined.used].to_numpy(),
        }
    )
    table = table[(part["reason"] == "").to_numpy()]
    table["other"] = table["own"] != table["name"]
    first = table.sort_values(["name", "other", "at"], kind="stable").drop_duplicates("patient")
    numbers = np.array([placing.number(seed, name) for name in first["name"]], np.float64)
    places = placing.place(numbers, first["stratum"].tolist(), (test, validation))
    part_of = dict(zip(first["patient"].tolist(), places.tolist(), strict=True))
    parts = ("test", "validation", "train")
    frame.loc[table["at"].to_numpy(), "split"] = [parts[part_of[patient]] for patient in table["patient"]]
