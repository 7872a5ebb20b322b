"""The protocol `hussain2022`: the radiography set in four classes, 80:20, what looks alike on one side."""

from __future__ import annotations

from typing import Final

import pandas as pd

from covid_synth_data.errors import MissingSource
from covid_synth_data.sources import read_source
from covid_synth_data.splits import classes
from covid_synth_data.splits.protocols import joining, placing
from covid_synth_data.splits.protocols.clean import split_patients
from covid_synth_data.splits.protocols.joining import Joined
from covid_synth_data.splits.protocols.request import Outcome, Request, check_fixed_sources

TEST_SHARE: Final = 0.2
"""Of the groups of films of each class (Sect. IV)."""

VALIDATION_SHARE: Final = 0.08
"""A tenth of the 80 % that are trained on; the paper has no validation part."""


def hussain2022(request: Request) -> Outcome:
    """The classes of the radiography set, 80:20 by class (hussain2022, Sect. IV).

    The set has no patients and hundreds of near-identical twins, which the paper's split put on both sides.
    Here films that look like one film or one patient (`duplicates.SAME_PATIENT`) form a group, carry the
    `patient_id` of one of them and stay on one side; none is dropped but those under two classes. A tenth of
    the training groups of each class validates. A class without a usable film is left out of the task,
    with a note; raises `MissingSource` where that is COVID-19, or where fewer than two are left. `sources`
    is None, or ["phantom"].
    """
    check_fixed_sources(request, "hussain2022")
    phantom = request.wants_phantoms
    frame = (
        read_source("phantom", None, **(request.phantom or {}))
        if phantom
        else read_source("radiography", request.root)
    )
    frame["class"] = classes.of(frame, request.classes)
    frame["split"], frame["reason"] = "", frame["excluded"]
    present, notes = _present_classes(frame, request)
    joined = joining.join(frame, notes, request.progress, request.search)
    frame.loc[joining.contradictions(frame, joined, "class"), "reason"] = joining.TWO_CLASSES
    _name_groups(frame, joined)
    split_patients(frame, joined, request.seed, frame["class"], TEST_SHARE, VALIDATION_SHARE)
    if request.licences == "permissive":
        joining.refuse_licences(frame)
    if not phantom:
        notes += [
            "the set has no patients: films that look alike count as one patient's",
            "COVID-19 films are of other hospitals than the rest, viral pneumonia and 1,341 normals are"
            " children's: source and age are shortcuts",
        ]
    return Outcome(frame, notes, present)


def _present_classes(frame: pd.DataFrame, request: Request) -> tuple[tuple[str, ...], list[str]]:
    """The classes of the task that have a usable film, and a note for each that has none."""
    usable = set(frame.loc[frame["reason"] == "", "class"])
    present = tuple(name for name in request.classes if name in usable)
    missing = [name for name in request.classes if name not in usable]
    if request.positive not in present or len(present) < 2:
        raise MissingSource(
            f"the radiography set has no usable {' and no '.join(missing)} film",
            found=", ".join(present) or "none of the classes",
            expected=f"{request.positive} and at least one other class",
            hint="unpack the whole archive; covid-synth sources says where it is found",
        )
    notes = [
        f"LEFT OUT: the class {name} has no usable film here, so the task has {len(present)} classes of"
        f" {len(request.classes)} and its numbers do not compare with the paper's"
        for name in missing
    ]
    return present, notes


def _name_groups(frame: pd.DataFrame, joined: Joined) -> None:
    """Give all films of a group the `patient_id` that names it, so that patients are counted right."""
    names = placing.names(frame["patient_id"].iloc[joined.used].tolist(), joined.patients)
    frame.loc[joined.used, "patient_id"] = [names[group] for group in joined.patients.tolist()]
