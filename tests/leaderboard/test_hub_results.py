"""The Hub's formats, read by its own client."""

from __future__ import annotations

import re

import huggingface_hub
import pytest
import yaml

from covid_synth_data.leaderboard import hub_results


@pytest.fixture(scope="module")
def hub(built):
    return built / "hub"


def entries(path):
    return huggingface_hub.parse_eval_result_entries(yaml.safe_load(path.read_text()))


def test_every_result_is_a_task_of_the_benchmark(hub, rows):
    content = yaml.safe_load((hub / "dataset" / "eval.yaml").read_text())
    assert set(content) == {"name", "description", "evaluation_framework", "tasks"}
    tasks = [task["id"] for task in content["tasks"]]
    assert len(set(tasks)) == len(tasks)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in tasks)
    paths = sorted(hub.glob("models/**/.eval_results/*.yaml"))
    assert len(paths) == len(rows)
    used = {entry.task_id for path in paths for entry in entries(path)}
    assert used == set(tasks)


def test_values_are_those_of_the_table(hub, rows):
    for row in rows:
        folder = (
            hub
            / "models"
            / row.suite
            / row.task
            / row.preprocessing
            / f"{row.model}-{row.weights}"
            / row.regime
        )
        found = {
            entry.task_id.rpartition("_")[2]: entry
            for entry in entries(folder / ".eval_results" / "covid-synth-cxr.yaml")
        }
        assert set(found) == set(hub_results.METRICS)
        assert found["auc"].value == pytest.approx(row.auc.mean, abs=1e-6)
        assert found["sensitivity-at-specificity-0.90"].value == pytest.approx(
            row.sensitivity_at["0.90"].mean, abs=1e-6
        )
        assert {entry.dataset_id for entry in found.values()} == {"covid-synth-data/covid-synth-cxr"}
        assert f"{row.auc.low:.3f} to {row.auc.high:.3f}" in found["auc"].notes
        assert "seeds 0, 1, 2" in found["auc"].notes


def test_what_is_written_is_what_the_client_would_write(hub):
    for path in hub.glob("models/**/.eval_results/*.yaml"):
        found = entries(path)
        assert huggingface_hub.eval_result_entries_to_yaml(found) == yaml.safe_load(path.read_text())


def test_cards(hub):
    paths = sorted(hub.glob("models/**/README.md"))
    assert paths
    for path in paths:
        card = huggingface_hub.ModelCard.load(path)
        values = {one.metric_name: one.metric_value for one in card.data.eval_results}
        beside = {
            e.task_id.rpartition("_")[2]: e.value
            for e in entries(path.parent / ".eval_results" / "covid-synth-cxr.yaml")
        }
        assert values == beside
        assert "Caution" in card.text
