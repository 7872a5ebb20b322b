"""The protocol `zunair2021`: a split by the order of the files, with the leak of the original."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from covid_synth_data.errors import ConfigError, TaskError
from covid_synth_data.sources import absent, read_source, require, rsna
from covid_synth_data.splits.protocols.request import Outcome, Request

TEST_SHARE: Final = 0.2
VALIDATION_SHARE: Final = 0.1


def zunair2021(request: Request) -> Outcome:
    """The split of zunair2021 (Sect. 4.2) as its code made it: the first 80 % of the rows in file order.

    Normals are RSNA rows with Target 0 (16,537 / 4,135 films), pneumonia the films of its rows with Target
    1 (4,758 / 1,254 of 7,644 / 1,911 rows), COVID-19 the X-rays of covid-chestxray as of 2020-04-19 (180 /
    46). Patient 166 is on both sides and 20 of the films are lateral, as in the original. The counts
    are of the metadata; films without a file are in their part with a reason. The paper has no validation
    part: 10 % of the training patients are marked "validation" besides, by the seed, and `published` keeps
    the paper's part.
    """
    if request.sources is not None:
        raise ConfigError(
            "the protocol zunair2021 fixes its sources",
            found=", ".join(request.sources),
            expected="no sources",
            hint="leave sources out, or use the protocol clean",
        )
    if request.licences != "any":
        raise ConfigError(
            "the protocol zunair2021 takes films of any licence",
            found=request.licences,
            expected="any",
            hint="use the protocol clean",
        )
    if absent(["covid-chestxray"], request.root):
        require(["covid-chestxray", "rsna"], request.root)
    # The films of the paper, in the order of their files.
    covid = read_source("covid-chestxray", request.root, metadata="2020-04-19")
    covid = covid[(covid["source_class"] == "COVID-19") & (covid["modality"] == "X-ray")].reset_index(
        drop=True
    )
    films = read_source("rsna", request.root)
    target = {"normal": 0, "pneumonia": 1}[request.negative]
    rows = rsna.label_rows()
    named = rows.loc[rows["Target"] == target, "patientId"].tolist()
    # The first 80 % of the rows are for training. Rows of RSNA are boxes: a film can have several.
    cut = int((1 - TEST_SHARE) * len(named))
    train, test = list(dict.fromkeys(named[:cut])), list(dict.fromkeys(named[cut:]))
    if set(train) & set(test):
        raise TaskError(
            "the RSNA labels are not those of the paper",
            found="a film in both parts",
            expected="30,227 rows in their published order",
            hint="reinstall torchxrayvision",
        )
    negatives = films.set_index("source_id", drop=False).loc[[*train, *test]].reset_index(drop=True)
    covid_cut = int((1 - TEST_SHARE) * len(covid))
    frame = pd.concat([negatives, covid], ignore_index=True)
    sizes = (len(train), len(test), covid_cut, len(covid) - covid_cut)
    frame["class"] = frame["label"]
    frame["published"] = np.repeat(["train", "test", "train", "test"], sizes).astype(object)
    frame["split"] = frame["published"]
    # Laterals are in the paper's set; only a missing file keeps a row out.
    frame["reason"] = np.where(frame["path"] == "", "image file missing", "")
    _carve_validation(frame, request.seed)
    # What the split shares with the original and what it does not.
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
