"""classes: what a film is in a task, from its label, its source and what the source states."""

from __future__ import annotations

import pandas as pd
import pytest

from covid_synth_data import list_tasks, schema
from covid_synth_data.sources import covid_chestxray, kermany, radiography, rsna
from covid_synth_data.splits import classes

TASKS = {task.name: task.classes for task in list_tasks()}


def of(label: str, source: str, stated: str, names: tuple[str, ...], patient: str = "a:1") -> str:
    row = {"label": label, "source_dataset": source, "source_class": stated, "patient_id": patient}
    (found,) = classes.of(pd.DataFrame([row]), names)
    return str(found)


@pytest.mark.parametrize(
    ("label", "source", "stated", "menon", "hussain", "other"),
    [
        ("normal", "kermany", "NORMAL", "normal", "normal", ""),
        ("pneumonia", "kermany", "PNEUMONIA-bacteria", "bacterial-pneumonia", "", ""),
        ("pneumonia", "kermany", "PNEUMONIA-virus", "viral-pneumonia", "viral-pneumonia", ""),
        ("pneumonia", "kermany", "PNEUMONIA", "", "", ""),
        ("pneumonia", "radiography", "Viral Pneumonia", "viral-pneumonia", "viral-pneumonia", ""),
        ("pneumonia", "radiography", "Lung_Opacity", "", "lung-opacity", ""),
        ("pneumonia", "rsna", "Target=1", "", "lung-opacity", ""),
        ("covid-19", "covid-chestxray", "COVID-19, ARDS", "covid-19", "covid-19", "covid-19"),
        ("normal", "covid-chestxray", "No Finding", "normal", "normal", "other-finding"),
        ("pneumonia", "covid-chestxray", "Klebsiella", "", "", "other-finding"),
        ("", "covid-chestxray", "Tuberculosis", "", "", "other-finding"),
        ("", "covid-chestxray", "todo", "", "", ""),
        ("", "covid-chestxray", "Unknown", "", "", ""),
        ("", "covid-chestxray", "", "", "", ""),
        ("pneumonia", "phantom", "pneumonia", "bacterial-pneumonia", "lung-opacity", "other-finding"),
        ("normal", "phantom", "normal", "normal", "normal", "other-finding"),
    ],
)
def test_the_class_of_a_film(
    label: str, source: str, stated: str, menon: str, hussain: str, other: str
) -> None:
    patient = "phantom:pneumonia-0004"
    asked = [TASKS[name] for name in ("four-class-menon", "four-class-hussain", "covid-vs-other")]
    assert [of(label, source, stated, names, patient) for names in asked] == [menon, hussain, other]
    binary = ("normal", "pneumonia", "covid-19")
    assert of(label, source, stated, binary, patient) == label


def test_phantoms_are_dealt_out_patient_by_patient() -> None:
    kinds = [
        of("pneumonia", "phantom", "pneumonia", TASKS["four-class-menon"], f"phantom:pneumonia-{n:04d}")
        for n in (0, 1, 2, 3, 11)
    ]
    assert [kind.split("-")[0] for kind in kinds] == ["bacterial", "viral", "bacterial", "viral", "viral"]


def test_the_index_is_kept() -> None:
    rows = pd.DataFrame(
        {"label": ["normal", "covid-19"], "source_dataset": "rsna", "source_class": "", "patient_id": "a"},
        index=[7, 3],
    )
    assert classes.of(rows, ("normal", "covid-19")).to_dict() == {7: "normal", 3: "covid-19"}


def test_the_tables_name_what_there_is() -> None:
    known = {info.name: info for info in (m.INFO for m in (kermany, radiography, rsna, covid_chestxray))}
    for (label, source, _), finer in classes.FINER.items():
        assert label in known[source].classes
        assert finer in classes.CLASSES
        assert finer not in schema.LABELS
    assert set(schema.LABELS) <= set(classes.CLASSES)
    for names in TASKS.values():
        assert names[-1] in (classes.POSITIVE, classes.OPACITY)
        assert len(set(names)) == len(names) >= 2
        assert set(names) <= set(classes.CLASSES)
