"""Result files of a made-up suite, sound in every respect, for cards to be rendered from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.results.classification import result_path

NEGATIVES, POSITIVES = 30, 20


def benchmark(
    folder: Path, regime: str, seed: int, version: str | None = "0.0.1", model: str = "small-cnn"
) -> Path:
    """A result file of one training; `version` is that of the dataset, None for real films alone."""
    random = np.random.default_rng([seed, len(regime), len(model)])
    labels = [0] * NEGATIVES + [1] * POSITIVES
    chances = np.clip(random.normal(0.35 + 0.3 * np.array(labels), 0.2), 0.001, 0.999).round(6).tolist()
    predictions = [
        {
            "image_id": f"phantom/test-{i}",
            "patient_id": f"phantom:{i // 2}",
            "label": a,
            "probabilities": [1 - p, p],
        }
        for i, (a, p) in enumerate(zip(labels, chances, strict=True))
    ]
    classes = ["normal", "covid-19"]
    rows = [results.Prediction(**row) for row in predictions]
    metrics = results.measure(rows, classes, "covid-19")
    synthetic = {"gnc": 24} if version else {}
    dataset = {"name": "covid-synth-cxr", "version": version, "manifest_sha256": None} if version else None
    positives = 8 + sum(synthetic.values())
    content = {
        "format": 2,
        "suite": "miniature",
        "suite_version": "1.0.0",
        "task": "normal-vs-covid",
        "protocol": "clean",
        "classes": classes,
        "positive": "covid-19",
        "image_size": 32,
        "preprocessing": "plain",
        "model": model,
        "fold": None,
        "folds": 1,
        "weights": {"name": "none"},
        "regime": regime,
        "regime_rule": {
            "title": regime,
            "mix": "add" if version else "real",
            "synthetic": list(synthetic),
            "tasks": ["normal-vs-covid"],
        },
        "training": {
            "optimizer": "adam",
            "learning_rate": 0.01,
            "batch_size": 16,
            "max_epochs": 3,
            "patience": 2,
        },
        "seed": seed,
        "inputs": "0" * 64,
        "limit": None,
        "composition": {
            "real_negatives": 40,
            "real_positives": 8,
            "synthetic": synthetic,
            "negatives": 40,
            "positives": positives,
            "skew": 40 / positives,
            "classes": {"normal": 40, "covid-19": positives},
        },
        "validation": {
            "negatives": 4,
            "positives": 4,
            "patients": 8,
            "classes": {"normal": 4, "covid-19": 4},
        },
        "test": {
            "negatives": NEGATIVES,
            "positives": POSITIVES,
            "patients": (NEGATIVES + POSITIVES) // 2,
            "classes": {"normal": NEGATIVES, "covid-19": POSITIVES},
        },
        "left_out": [],
        "notes": ["phantoms are drawn"],
        "dataset": dataset,
        "fitting": {"epochs": 3, "best_epoch": 2, "validation_loss": 0.5},
        "metrics": metrics.model_dump(),
        "code": {"package": "0.1.0", "git": None, "libraries": {}},
        "hardware": {"device": "cpu", "name": "x", "threads": 1},
        "seconds": 1.0,
        "predictions": predictions,
    }
    path = folder / result_path("miniature", "normal-vs-covid", "plain", model, regime, seed, None)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    results.validate_result(path)
    return path


def measured(folder: Path, kind: str, value: float, version: str = "0.0.1") -> Path:
    """A result file of a property of the images."""
    content = {
        "format": 1,
        "kind": kind,
        "subset": "gnc",
        "notes": [],
        "dataset": {"name": "covid-synth-cxr", "version": version, "manifest_sha256": None},
        "metrics": [{"name": "a distance", "value": value, "low": value - 1, "high": value + 1, "n": 24}],
        "code": {"package": "0.1.0", "git": None, "libraries": {}},
    }
    path = folder / kind / "one.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
