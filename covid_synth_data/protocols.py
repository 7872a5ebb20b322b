"""How the films of a task are split: by the paper's file order, or by patient, clean of duplicates.

A protocol takes what was asked for and returns one frame with a row per film it considered: the columns of
`sources.table`, `split` ("train", "validation", "test" or "") and `reason` (why a row is in no part).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from covid_synth_data import duplicates
from covid_synth_data.errors import ConfigError, MissingExtra, MissingSource, TaskError
from covid_synth_data.sources import disk, licences, list_sources, read_source, rsna

SPLITS: Final = ("train", "validation", "test")
TEST_SHARE: Final = 0.2
VALIDATION_SHARE: Final = 0.1


@dataclass(frozen=True)
class Request:
    """What a task was asked for; see `tasks.plan_task`."""

    negative: str
    positive: str
    root: str | Path | None
    seed: int
    sources: Sequence[str] | None
    licences: str
    phantom: dict[str, int] | None


@dataclass
class Outcome:
    """What a protocol made of it: the frame described above, and notes for the reader of the plan."""

    frame: pd.DataFrame
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Pool:
    """Films of one class from one source. `origin` narrows radiography; `note` is said when it is used."""

    source: str
    origin: str | None = None
    note: str = ""


CLEAN: Final[dict[str, tuple[tuple[Pool, ...], ...]]] = {
    "covid-19": (
        (Pool("covid-19-image-repository"),),
        (Pool("covid-chestxray"),),
    ),
    "normal": (
        (
            Pool("rsna"),
            Pool("radiography", "rsna", "normals are the RSNA part of radiography, which has no patient ids:"
                 " each film counts as a patient of its own, joined only where two films look alike"),
            Pool("kermany", None, "normals are children (kermany), the COVID-19 films adults: age is a"
                 " shortcut"),
            Pool("radiography", "kermany", "normals are children (kermany, by way of radiography): age is a"
                 " shortcut"),
        ),
        (Pool("covid-chestxray"),),
    ),
    "pneumonia": (
        (
            Pool("rsna"),
            Pool("kermany", None, "pneumonia films are children's (kermany), the COVID-19 films adults': age"
                 " is a shortcut"),
            Pool("radiography", "kermany", "pneumonia films are children's (kermany, by way of radiography)"),
        ),
        (Pool("covid-chestxray"),),
    ),
}  # fmt: skip
"""For each class the groups of pools that are joined; of a group, the first pool with films is taken.

"""

PASSED_OVER: Final = (
    (Pool("radiography"), "covid-19", "no patient ids, and hundreds of these films are in covid-chestxray"),
)
"""Films that `clean` never takes, with the class and the reason; they stand in the plan as left out."""


def clean(request: Request) -> Outcome:
    """Patient-disjoint, frontal, without duplicates, with a validation part: 70 / 10 / 20 % of patients.

    Patients are split within each source and class by the seed. Patients are joined where a source says two
    rows are one film, and where films look like one patient's (`duplicates.SAME_PATIENT`); of films that
    are the same (`duplicates.SAME_FILM`) one is kept, that of the source listed first in `CLEAN`.
    """
    notes: list[str] = []
    frame = _gather(request, notes)
    frame["split"], frame["reason"] = "", frame["excluded"]
    used = _in_play(frame)
    found = duplicates.fingerprints(
        [str(frame["path"].iat[i]) for i in used], [_content(frame["bytes"].iat[i]) for i in used]
    )
    bad = np.array([bool(problem) for problem in found.problems], bool)
    notes += [f"left out: {found.problems[i]}" for i in np.flatnonzero(bad)[:3]]
    frame.loc[used[bad], "reason"] = "unreadable image"
    part = frame.iloc[used]
    # Phantoms are drawn with their patients known; likeness would only join what is drawn alike.
    real = not (part["source_dataset"] == "phantom").all()
    equal = duplicates.equal_pairs(found.digests)
    linked = duplicates.pairs(found, duplicates.SAME_PATIENT) if real else equal
    alike = duplicates.alike(found, linked, duplicates.SAME_FILM) if real else equal
    told = _told(part)
    films = duplicates.components(len(part), alike, told)
    patients = duplicates.components(
        len(part), linked, told, duplicates.equal_pairs(part["patient_id"].tolist())
    )
    _drop_repeats(frame, used, films)
    _split(frame, used, patients, request.seed)
    if request.licences == "permissive":
        # After the split, so that a patient is on the same side whatever licences were asked for: a generator
        # trained on permissive training films must not have seen another benchmark's test patient.
        refused = ~frame["source_license"].map(licences.is_permissive) & (frame["reason"] == "")
        frame.loc[refused, "reason"] = "licence is not permissive"
        frame.loc[refused, "split"] = ""
    return Outcome(frame, notes)


def _gather(request: Request, notes: list[str]) -> pd.DataFrame:
    """Rows of both classes from every pool that takes part, and of what was passed over, with the reason."""
    if request.sources is not None and "phantom" in request.sources:
        options: dict[str, Any] = dict(request.phantom or {})
        drawn = read_source("phantom", None, **options)
        return drawn[drawn["label"].isin([request.negative, request.positive])].reset_index(drop=True)
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
    there = any((rows["path"] != "").any() for rows in parts)
    for pool, label, reason in PASSED_OVER:
        over = _pool_rows(pool, label, request, read, notes) if label == request.positive else None
        if over is not None:
            over.loc[over["excluded"] == "", "excluded"] = reason
            parts.append(over)
    if not there:
        raise MissingSource(
            f"no source has films of {request.positive} or {request.negative}",
            found=_what_is_there(request),
            expected="one of " + ", ".join(sorted({p.source for g in CLEAN.values() for q in g for p in q})),
            hint="covid-synth sources says how to get them",
        )
    return pd.concat(parts, ignore_index=True)


def _what_is_there(request: Request) -> str:
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


def _told(part: pd.DataFrame) -> Any:
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


def _drop_repeats(frame: pd.DataFrame, used: Any, films: Any) -> None:
    """Keep the first row of each film; none where its rows disagree about the class."""
    part = frame.iloc[used]
    playing = part["reason"] == ""
    table = pd.DataFrame({"film": films, "label": part["label"].to_numpy(), "at": used})[playing.to_numpy()]
    table = table[table["film"].duplicated(keep=False)]
    for _, rows in table.groupby("film", sort=True):
        if rows["label"].nunique() > 1:
            frame.loc[rows["at"].to_numpy(), "reason"] = "same film under two classes"
        else:
            kept = frame["source_dataset"].iat[rows["at"].iat[0]]
            frame.loc[rows["at"].to_numpy()[1:], "reason"] = f"same film as one kept from {kept}"


def _split(frame: pd.DataFrame, used: Any, patients: Any, seed: int) -> None:
    """Give each patient to one part, in shares that hold within each source and class."""
    part = frame.iloc[used]
    strata = (part["source_dataset"] + "/" + part["label"]).to_numpy()
    table = pd.DataFrame({"at": used, "patient": patients, "stratum": strata})
    table = table[(part["reason"] == "").to_numpy()]
    first = table.drop_duplicates("patient")
    given: dict[int, str] = {}
    for stratum, rows in first.groupby("stratum", sort=True):
        random = np.random.default_rng([seed, *str(stratum).encode()])
        order = random.permutation(rows["patient"].to_numpy())
        tests = round(TEST_SHARE * len(order)) or min(len(order) // 3, 1)
        validations = round(VALIDATION_SHARE * len(order)) or min(len(order) // 3, 1)
        given |= dict.fromkeys(order[:tests].tolist(), "test")
        given |= dict.fromkeys(order[tests : tests + validations].tolist(), "validation")
        given |= dict.fromkeys(order[tests + validations :].tolist(), "train")
    frame.loc[table["at"].to_numpy(), "split"] = [given[patient] for patient in table["patient"]]


def zunair2021(request: Request) -> Outcome:
    """The split of zunair2021 (Sect. 4.2) as its code made it: the first 80 % of the rows in file order.

    Normals are RSNA rows with Target 0 (16,537 / 4,135 films), pneumonia the films of its rows with Target
    1 (4,758 / 1,254 of 7,644 / 1,911 rows), COVID-19 the X-rays of covid-chestxray as of 2020-04-19 (180 /
    46). Patient 166 stands on both sides and 20 of the films are lateral, as in the original. The counts
    are of the metadata; films without a file are in their part with a reason. The paper has no validation
    part: 10 % of the training patients are marked "validation" besides, by the seed, and `published` keeps
    the paper's part.
    """
    if request.sources is not None:
        raise ConfigError(
            "the protocol zunair2021 fixes its sources", found=", ".join(request.sources),
            expected="no sources", hint="leave sources out, or use the protocol clean",
        )  # fmt: skip
    if request.licences != "any":
        raise ConfigError(
            "the protocol zunair2021 takes films of any licence", found=request.licences, expected="any",
            hint="use the protocol clean",
        )  # fmt: skip
    covid = read_source("covid-chestxray", request.root, metadata="2020-04-19")
    covid = covid[(covid["source_class"] == "COVID-19") & (covid["modality"] == "X-ray")].reset_index(
        drop=True
    )
    films = read_source("rsna", request.root)
    target = {"normal": 0, "pneumonia": 1}[request.negative]
    rows = rsna.label_rows()
    named = rows.loc[rows["Target"] == target, "patientId"].tolist()
    cut = int((1 - TEST_SHARE) * len(named))
    train, test = list(dict.fromkeys(named[:cut])), list(dict.fromkeys(named[cut:]))
    if set(train) & set(test):
        raise TaskError(
            "the RSNA labels are not those of the paper", found="a film in both parts",
            expected="30,227 rows in their published order", hint="reinstall torchxrayvision",
        )  # fmt: skip
    negatives = films.set_index("source_id", drop=False).loc[[*train, *test]].reset_index(drop=True)
    covid_cut = int((1 - TEST_SHARE) * len(covid))
    frame = pd.concat([negatives, covid], ignore_index=True)
    sizes = (len(train), len(test), covid_cut, len(covid) - covid_cut)
    frame["published"] = np.repeat(["train", "test", "train", "test"], sizes).astype(object)
    frame["split"] = frame["published"]
    # Laterals are in the paper's set; only a missing file keeps a row out.
    frame["reason"] = np.where(frame["path"] == "", "image file missing", "")
    _carve_validation(frame, request.seed)
    patients = [set(covid["patient_id"][:covid_cut]), set(covid["patient_id"][covid_cut:])]
    notes = [
        *(
            f"leak of the original kept: {name.replace(':', ' patient ')} is in train and in test"
            for name in sorted(patients[0] & patients[1])
        ),
        f"laterals of the original kept: {int((covid['view'] == 'L').sum())} of {len(covid)} COVID-19 films",
        "validation is carved from the training patients; the paper stopped on its test set",
    ]
    return Outcome(frame, notes)


def _carve_validation(frame: pd.DataFrame, seed: int) -> None:
    """Mark 10 % of the training patients of each class, never one who is also in the test part."""
    tested = set(frame.loc[frame["split"] == "test", "patient_id"])
    for code, label in enumerate(sorted(frame["label"].unique())):
        training = frame[(frame["split"] == "train") & (frame["label"] == label)]
        patients = [p for p in dict.fromkeys(training["patient_id"]) if p not in tested]
        order = np.random.default_rng([seed, 1, code]).permutation(len(patients))
        chosen = {patients[i] for i in order[: round(VALIDATION_SHARE * len(patients))]}
        carved = (frame["split"] == "train") & (frame["label"] == label) & frame["patient_id"].isin(chosen)
        frame.loc[carved, "split"] = "validation"


def _content(cell: Any) -> bytes | None:
    """pandas may hold a missing value as NaN."""
    return cell if isinstance(cell, bytes) else None


def _in_play(frame: pd.DataFrame) -> Any:
    return np.flatnonzero((frame["reason"] == "").to_numpy())


PROTOCOLS: Final[dict[str, Callable[[Request], Outcome]]] = {"clean": clean, "zunair2021": zunair2021}
"""The table of protocols; the first is the default."""
