"""The protocol `own`: the films of one source that the user declared, by the source's parts or by patient."""

from __future__ import annotations

import pandas as pd

from covid_synth_data.errors import ConfigError, LeakError
from covid_synth_data.sources import read_source
from covid_synth_data.splits.protocols import clean, joining
from covid_synth_data.splits.protocols.joining import Joined
from covid_synth_data.splits.protocols.request import Outcome, Request

NO_PART = "the table states no part for this film"


def own(request: Request) -> Outcome:
    """Frontal films without duplicates; parts as stated, else 70 / 10 / 20 % of patients as in `clean`.

    Films that look like one patient's are joined; of films that are the same one is kept. Raises `LeakError`
    where the stated parts share a patient, `ConfigError` without exactly one source.
    """
    if request.sources is None or len(request.sources) != 1:
        raise ConfigError("the protocol own takes one source", expected="the task of a declared source")
    notes: list[str] = []
    frame = read_source(request.sources[0], request.root)
    frame["class"] = frame["label"].where(frame["label"].isin(request.classes), "")
    frame = frame[(frame["class"] != "") | (frame["excluded"] != "")].reset_index(drop=True)
    frame["split"], frame["reason"] = "", frame["excluded"]
    if not frame["patient_known"].all():
        unknown = int((~frame["patient_known"]).sum())
        notes.append(
            f"{unknown} films state no patient: each counts as a patient of its own, joined only"
            " where two films look alike"
        )
    joined = joining.join(frame, notes, request.progress, request.search)
    joining.drop_repeats(frame, joined)
    _note_joined(frame, joined, notes)
    if (frame["stated_split"] != "").any():
        _as_stated(frame, joined)
        notes.append("parts are those that the source states")
    else:
        strata = frame["source_dataset"] + "/" + frame["label"]
        clean.split_patients(frame, joined, request.seed, strata, clean.TEST_SHARE, clean.VALIDATION_SHARE)
    if request.licences == "permissive":
        joining.refuse_licences(frame)
    return Outcome(frame, notes)


def _note_joined(frame: pd.DataFrame, joined: Joined, notes: list[str]) -> None:
    """Say how many patients are one because films look alike; a split by patient moves them together."""
    kept = (frame["reason"].iloc[joined.used] == "").to_numpy()
    stated = frame["patient_id"].iloc[joined.used[kept]].nunique()
    groups = pd.Series(joined.patients[kept]).value_counts()
    if len(groups) < stated:
        notes.append(
            f"films of several of the {stated} patients look alike: they count as {len(groups)} patients, the"
            f" largest with {groups.iloc[0]} films"
        )


def _as_stated(frame: pd.DataFrame, joined: Joined) -> None:
    """Give each film the part that is stated for it. Raises `LeakError`."""
    used = frame["reason"] == ""
    frame.loc[used & (frame["stated_split"] == ""), "reason"] = NO_PART
    frame.loc[used, "split"] = frame.loc[used, "stated_split"]
    patients = pd.Series(joined.patients, index=frame.index[joined.used])
    rows = frame.loc[patients.index].assign(who=patients)
    rows = rows[(rows["reason"] == "") & (rows["split"] != "")]
    spread = rows.groupby("who")["split"].nunique()
    if (spread > 1).any():
        both = rows[rows["who"] == spread.index[spread > 1][0]].drop_duplicates("split")["image_id"].tolist()
        raise LeakError(
            f"{int((spread > 1).sum())} patients are in several of the stated parts",
            found=f"{both[0]} and {both[1]} are of one patient, or look alike",
            expected="each patient in one part",
            hint="mend the column, or leave the split out of the declaration",
        )
