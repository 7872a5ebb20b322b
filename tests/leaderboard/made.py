"""Result files of trainings that never were: sound to the last digit, made in a moment."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from covid_synth_data import tasks
from covid_synth_data.benchmark.results import Dataset, write_result
from covid_synth_data.benchmark.results import classification as results
from covid_synth_data.benchmark.suite import ClassificationSuite, load_classifiers
from covid_synth_data.machine import Code, Hardware

DATASET = Dataset(name="covid-synth-cxr", version="1.0.0", manifest_sha256="a" * 64)
SEEDS = 10
"""Of the one block that gets verdicts."""

VALIDATION_AUC = {"real": 0.7, "real-balanced": 0.8, "real-augmented": 0.9}
"""Of the baselines; the best of them here is not the best on the test films."""

Rows = list[tuple[str, str, int]]
"""Image id, patient id, class of each test film."""


def films(classes: int, fold: int | None = None) -> Rows:
    """Two films of each patient; every class has some."""
    rows = []
    for patient in range(24 if fold is None else 8):
        name = f"phantom:p{patient}" if fold is None else f"phantom:f{fold}-p{patient}"
        rows += [(f"phantom/{name[8:]}-{film}", name, patient % classes) for film in range(2)]
    return rows


def probabilities(rows: Rows, classes: int, skill: float, seed: int) -> np.ndarray:
    """Stated probabilities (films, classes) of a classifier that is better the higher its `skill`."""
    rng = np.random.default_rng([7, seed, round(100 * skill)])
    # What is hard about a film is the same for every classifier.
    scores = np.random.default_rng(3).normal(0, 1, (len(rows), classes)) + rng.normal(
        0, 0.3, (len(rows), classes)
    )
    scores[np.arange(len(rows)), [label for _, _, label in rows]] += skill
    weights = np.exp(scores)
    return weights / weights.sum(axis=1, keepdims=True)


def made(
    suite: str = "quickstart",
    regime: str = "real",
    seed: int = 0,
    *,
    skill: float = 1.0,
    model: str | None = None,
    preprocessing: str = "plain",
    fold: int | None = None,
    rows: Rows | None = None,
    **changes: Any,
) -> results.ClassificationResult:
    """A result of that run; `changes` replace fields at the end."""
    known = load_classifiers(suite)
    task = known.tasks[0]
    classes = list(next(one for one in tasks.TASKS if one.name == task).classes)
    model = model or next(iter(known.models))
    rows = films(len(classes), fold=fold) if rows is None else rows
    stated = probabilities(rows, len(classes), skill, seed).tolist()
    predictions = [
        results.Prediction(image_id=image, patient_id=patient, label=label, probabilities=row)
        for (image, patient, label), row in zip(rows, stated, strict=True)
    ]
    rule = known.regimes[regime]
    composition = composed(known, regime, classes)
    in_folds = [] if fold is None else [f"fold {fold} of {known.folds}, counted from 0"]
    fields: dict[str, Any] = {
        "suite": suite,
        "suite_version": known.version,
        "task": task,
        "protocol": known.protocol,
        "classes": classes,
        "positive": known.positive,
        "image_size": known.image_size,
        "preprocessing": preprocessing,
        "model": model,
        "weights": results.Weights(name=known.models[model].weights),
        "regime": regime,
        "regime_rule": rule,
        "training": known.training_of(model),
        "seed": seed,
        "fold": fold,
        "folds": known.folds,
        "inputs": hashlib.sha256(f"{suite}{regime}{seed}{model}{preprocessing}{fold}".encode()).hexdigest(),
        "limit": None,
        "composition": composition,
        "validation": results.FilmCounts(
            negatives=6,
            positives=4,
            patients=6,
            classes=dict.fromkeys(classes[:-1], 6 // (len(classes) - 1)) | {classes[-1]: 4},
        ),
        "test": results.film_counts(predictions, classes, known.positive),
        "left_out": [results.LeftOut(source="phantom", reason="lateral view", films=3)],
        "notes": ["these films are drawn", *in_folds],
        "dataset": DATASET if rule.synthetic else None,
        "fitting": results.Fitting(
            epochs=5, best_epoch=3, validation_loss=0.4, validation_auc=VALIDATION_AUC.get(regime, 0.6)
        ),
        "metrics": results.measure(predictions, classes, known.positive),
        "code": Code(package="0.1.0", git="0" * 40, libraries={"numpy": "2"}),
        "hardware": Hardware(device="cpu", name="x86_64", threads=1),
        "seconds": 1.5,
        "predictions": predictions,
    }
    return results.ClassificationResult(**{**fields, **changes})


def composed(suite: ClassificationSuite, regime: str, classes: list[str]) -> results.Composition:
    """Counts that the regime allows: 30 real films of each other class and 10 of the positive one."""
    rule = suite.regimes[regime]
    negatives, positives = 30 * (len(classes) - 1), 0 if rule.mix == "synthetic-only" else 10
    wanted = rule.positives if rule.positives is not None else 30
    made_up = wanted - positives if rule.synthetic else 0
    counts = dict.fromkeys(classes[:-1], 30) | {classes[-1]: positives + made_up}
    share = {name: made_up // len(rule.synthetic) for name in rule.synthetic}
    return results.Composition(
        real_negatives=negatives,
        real_positives=positives,
        synthetic=share,
        negatives=negatives,
        positives=positives + made_up,
        skew=negatives / (positives + made_up),
        classes=counts,
    )


def write(folder: Path, *found: results.ClassificationResult) -> list[Path]:
    """Write results to their places below `folder`."""
    paths = []
    for result in found:
        path = folder / result.path
        write_result(path, result)
        paths.append(path)
    return paths


def regimes(folder: Path, suite: str, skills: dict[str, float], seeds: int = 3, **options: Any) -> list[Path]:
    """All seeds (and folds) of some regimes, with the skill of each."""
    folds = load_classifiers(suite).folds
    return write(
        folder,
        *(
            made(suite, regime, seed, skill=skill, fold=fold, **options)
            for regime, skill in skills.items()
            for seed in range(seeds)
            for fold in (range(folds) if folds > 1 else [None])
        ),
    )


def everything(folder: Path) -> Path:
    """A folder with two classes, four classes, folds, two models and two kinds of films."""
    regimes(folder, "quickstart", {"real": 1.0, "real-balanced": 1.2, "mixed": 1.1})
    regimes(
        folder,
        "zunair2021",
        {"real": 1.0, "real-balanced": 1.3, "real-augmented": 0.3, "real+gnc": 3.0, "synthetic-only": 0.2},
        seeds=SEEDS,
    )
    regimes(folder, "zunair2021", {"real": 0.8, "real+gnc": 0.9}, preprocessing="harmonised")
    regimes(folder, "zunair2021", {"real+gnc": 0.9}, model="resnet50")
    regimes(folder, "menon2020-four-class", {"real": 1.0, "real-weighted": 1.1, "mtt-gan": 1.4})
    regimes(folder, "source-matched", {"real": 0.3, "real-balanced": 0.4, "real+gnc": 0.35})
    return folder
