"""The Hub's formats for evaluation results, as its documentation defines them.

- `dataset/eval.yaml` registers a dataset repository as a benchmark: name, description, framework, tasks.
- `models/.../.eval_results/NAME.yaml` belongs into the repository of a classifier: a list of results, each a
  task of that benchmark and a value. The Hub shows them with the model and on the benchmark's leaderboard.
- `models/.../README.md` carries the same as `model-index`, the older format of model cards.

A task of the Hub has one value, so each task of ours becomes one for each of `METRICS`. What has no field
there (interval, seeds, composition, digest of the test set) stands in the notes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from covid_synth_data.benchmark.reporting.tables import Cell, Row
from covid_synth_data.catalog import DATASETS, REPOSITORIES
from covid_synth_data.leaderboard.boards import Board, Entry

FRAMEWORK: Final = "covid-synth-data"
"""The identifier of the evaluation framework; the Hub keeps a list of those that it shows."""

METRICS: Final[dict[str, tuple[str, Callable[[Row], Cell]]]] = {
    "auc": ("area under the ROC curve of COVID-19 against the rest", lambda row: row.auc),
    "sensitivity-at-specificity-0.90": (
        "sensitivity to COVID-19 at a specificity of 0.90",
        lambda row: row.sensitivity_at["0.90"],
    ),
}
"""Metric to (what it is, where it stands in a row)."""


def files(boards: Sequence[Board], out: Path) -> dict[Path, str]:
    """The paths below `out` and the text of each. Only boards of the suites as the package has them are
    exported: the Hub has no field for a version."""
    current = [board for board in boards if board.current]
    texts = {out / "dataset" / "eval.yaml": _yaml(benchmark(current))}
    for board in current:
        for entry in board.entries:
            row = entry.row
            folder = (
                out
                / "models"
                / board.suite
                / board.task
                / row.preprocessing
                / f"{row.model}-{row.weights}"
                / row.regime
            )
            name = _repository().rpartition("/")[2]
            texts[folder / ".eval_results" / f"{name}.yaml"] = _yaml(results(board, entry))
            texts[folder / "README.md"] = card(board, entry)
    return texts


def task_id(board: Board, row: Row, metric: str) -> str:
    """The name of a task on the Hub; safe in a path and a URL."""
    return f"{board.suite}-{board.version}_{board.task}_{row.preprocessing}_{metric}"


def benchmark(boards: Sequence[Board]) -> dict[str, Any]:
    """The content of eval.yaml."""
    tasks = [
        task_id(board, entry.row, metric) for board in boards for entry in board.entries for metric in METRICS
    ]
    config = next(entry.config for entry in DATASETS if entry.default)
    return {
        "name": "covid-synth-data",
        "description": "Does a synthetic set help a classifier find COVID-19 on chest X-rays? Trained with"
        " and without the synthetic films of this repository, tested on real films, which are not in it."
        " Values are means over the seeds, from 0 to 1, higher is better: "
        + "; ".join(f"{metric}: {what}" for metric, (what, _) in METRICS.items())
        + ".",
        "evaluation_framework": FRAMEWORK,
        "tasks": [{"id": name, "config": config, "split": "train"} for name in dict.fromkeys(tasks)],
    }


def results(board: Board, entry: Entry) -> list[dict[str, Any]]:
    """The content of a file of `.eval_results`."""
    return [
        {
            "dataset": {"id": _repository(), "task_id": task_id(board, entry.row, metric)},
            "value": round(value(entry.row).mean, 6),
            "notes": notes(board, entry, value(entry.row)),
        }
        for metric, (_, value) in METRICS.items()
    ]


def notes(board: Board, entry: Entry, value: Cell) -> str:
    """The facts that the Hub has no field for."""
    row = entry.row
    synthetic = ", ".join(f"{count} {name}" for name, count in row.synthetic.items()) or "none"
    return (
        f"{row.model} ({row.weights}), regime {row.regime}, seeds {', '.join(map(str, row.seeds))}, 95 %"
        f" interval of their mean {value.low:.3f} to {value.high:.3f}; trained on {row.real_negatives} real"
        f" negatives, {row.real_positives} real positives, synthetic: {synthetic}"
        f" ({row.dataset or 'no dataset'}); test set {board.digest[:16]}"
    )


def card(board: Board, entry: Entry) -> str:
    """A model card with the same results as `model-index`."""
    from huggingface_hub import EvalResult, ModelCardData

    row = entry.row
    evaluations = [
        EvalResult(
            task_type="image-classification",
            dataset_type=_repository(),
            dataset_name=f"{board.suite} {board.version}, {board.task}, {row.preprocessing} films",
            metric_type={"auc": "roc_auc"}.get(metric, "recall"),
            metric_name=metric,
            metric_value=round(value(row).mean, 6),
        )
        for metric, (_, value) in METRICS.items()
    ]
    name = f"{row.model}-{row.regime}"
    data = ModelCardData(
        model_name=name, eval_results=evaluations, library_name="pytorch", tags=["chest-x-ray"]
    )
    lines = [f"- {metric}: {notes(board, entry, value(row))}" for metric, (_, value) in METRICS.items()]
    caution = [f"**Caution.** {board.caution}", ""] if board.caution else []
    return "\n".join(["---", data.to_yaml().strip(), "---", f"# {name}", "", *caution, *lines, ""])


def _repository() -> str:
    return next(iter(REPOSITORIES.values()))


def _yaml(content: Any) -> str:
    import yaml

    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
