"""A miniature bench: a suite, a task and a release of 24 x 24 films, made on the spot."""

from __future__ import annotations

import io
import json
import types
from collections.abc import Callable
from functools import cache
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from covid_synth_data import tasks
from covid_synth_data.benchmark.suite import ClassificationSuite
from covid_synth_data.errors import ReleaseError
from covid_synth_data.release import loading
from covid_synth_data.schema import COVID, REAL_COLUMNS, SYNTHETIC_COLUMNS, features
from tests.support import fake_subset, write_weights

SIDE = 24


def film(seed: int, positive: bool) -> bytes:
    """A noisy grey PNG, brighter in its lower half where `positive`."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(110, 25, (SIDE, SIDE))
    pixels[SIDE // 2 :] += 35 * positive
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@cache
def real(name: str, negatives: int, positives: int, seed: int) -> datasets.Dataset:
    """Real films of patients with two films each."""
    labels = [0] * negatives + [COVID] * positives
    rows = {column: ["" for _ in labels] for column in REAL_COLUMNS}
    rows["image"] = [
        {"bytes": film(seed * 1000 + n, bool(label)), "path": None} for n, label in enumerate(labels)
    ]
    rows["label"] = labels
    rows["image_id"] = [f"phantom/{name}-{n}" for n in range(len(labels))]
    rows["patient_id"] = [f"phantom:{name}-{label}-{n // 2}" for n, label in enumerate(labels)]
    rows["source_dataset"] = ["phantom"] * len(labels)
    rows["source_id"] = [f"{name}-{n}" for n in range(len(labels))]
    return datasets.Dataset.from_dict(rows, features=features(REAL_COLUMNS))


@cache
def synthetic(subset: str, count: int, seed: int) -> datasets.Dataset:
    """Synthetic positives, all translated from training films."""
    rows = {column: ["" for _ in range(count)] for column in SYNTHETIC_COLUMNS}
    rows["image"] = [{"bytes": film(seed * 1000 + n, True), "path": None} for n in range(count)]
    rows["label"] = [COVID] * count
    rows["image_id"] = [f"{subset}-{n:05d}" for n in range(count)]
    rows["subset"] = [subset] * count
    rows["seed"] = list(range(count))
    rows["source_dataset"] = ["phantom"] * count
    rows["source_id"] = [f"train-{n % 20}" for n in range(count)]
    return datasets.Dataset.from_dict(rows, features=features(SYNTHETIC_COLUMNS))


SUITE = {
    "name": "miniature",
    "version": "1.0.0",
    "title": "A miniature",
    "tasks": ["normal-vs-covid"],
    "image_size": SIDE,
    "augment_views": 2,
    "training": {
        "optimizer": "adam",
        "learning_rate": 0.01,
        "batch_size": 16,
        "max_epochs": 3,
        "patience": 2,
    },
    "regimes": {
        "real": {"title": "Real", "mix": "real"},
        "real+gnc": {"title": "Both", "mix": "add", "synthetic": ["gnc"]},
        "real+gnc+gpc": {"title": "All", "mix": "add", "synthetic": ["gnc", "gpc"]},
        "skewed": {"title": "Skew 2", "mix": "skew", "skew": 2.0, "synthetic": ["gnc"]},
        "synthetic-only": {"title": "Synthetic", "mix": "synthetic-only", "synthetic": ["gnc"]},
        "balanced": {"title": "Balanced", "mix": "real", "sampling": "class-balanced"},
        "weighted": {"title": "Weighted", "mix": "real", "loss": "class-weighted"},
        "augmented": {"title": "Augmented", "mix": "real", "augment": "plain"},
    },
    "models": {"small-cnn": {"weights": "none"}, "lite0-frozen": {}, "lite0-bgt": {}, "lite0-logistic": {}},
    "profiles": {"quick": {"models": ["small-cnn"], "seeds": 1}},
}


@pytest.fixture
def suite():
    return ClassificationSuite.model_validate(SUITE)


def write_manifest(release: Path, films: list[str], patients: list[str]) -> None:
    """A manifest whose generator learned from these, and the card of its weights."""
    learned_from = {"films": films, "patients": patients}
    subset = fake_subset(learned_from)
    files = write_weights(release, learned_from)
    content = {"format": 1, "name": "covid-synth-cxr", "version": "0.1.0", "files": files}
    (release / "manifest.json").write_text(json.dumps({**content, "subsets": {"gnc": subset, "gpc": subset}}))


def prepare(folder: Path, patch: Callable[[object, str, object], None]) -> types.SimpleNamespace:
    """Arguments for `run` below `folder`, and the fakes behind it: the splits, the configs of the release."""
    splits = datasets.DatasetDict(
        train=real("train", 20, 6, 1), validation=real("validation", 8, 4, 2), test=real("test", 12, 6, 3)
    )
    configs = {"gnc": synthetic("gnc", 12, 4)}
    release = folder / "release"
    release.mkdir(exist_ok=True)
    write_manifest(release, films=["phantom/train-3"], patients=["phantom:train-0-1"])

    def load_dataset(name, config, split="train", version=None, root=None):
        if config not in configs:
            raise ReleaseError(f"{root} does not hold the config {config!r}")
        return configs[config]

    patch(loading, "load_dataset", load_dataset)
    left_out = pd.DataFrame(
        {"source_dataset": ["phantom"] * 3, "reason": ["lateral", "lateral", "unreadable image"]}
    )
    notes = ("phantoms are drawn", "left out: cannot decode /somewhere/film.png")
    classes = ("normal", "covid-19")
    plan = types.SimpleNamespace(left_out=left_out, notes=notes, classes=classes)
    patch(tasks, "plan_task", lambda *_args, **_options: plan)
    patch(tasks, "to_splits", lambda _plan: datasets.DatasetDict(splits))
    arguments = {"out": folder / "out", "release": release, "cache_dir": folder / "cache", "device": "cpu"}
    suite = ClassificationSuite.model_validate(SUITE)
    return types.SimpleNamespace(splits=splits, configs=configs, arguments=arguments, suite=suite)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    return prepare(tmp_path, monkeypatch.setattr)
