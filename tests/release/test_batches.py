"""Batches from a dataset: order, labels, sizes, the errors."""

from __future__ import annotations

import numpy as np
import pytest

import covid_synth_data as csd
from covid_synth_data.errors import BadImage, ConfigError
from covid_synth_data.release.batches import batches


@pytest.fixture(scope="module")
def films():
    return csd.load_task("normal-vs-covid", sources=["phantom"], phantom={"size": 32, "patients": 12})[
        "train"
    ]


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 2), (7, 2), (7, 0), (1000, 1), (1000, 0)])
def test_batches_are_the_rows_in_order(films, batch_size, workers):
    parts = list(batches(films, batch_size, workers=workers))
    images = np.concatenate([images for images, _ in parts])
    assert np.array_equal(np.concatenate([labels for _, labels in parts]), films["label"][:])
    assert images.shape == (len(films), 32, 32)
    assert np.array_equal(images[5], np.asarray(films[5]["image"]))
    assert all(len(images) == batch_size for images, _ in parts[:-1])


def test_a_selection_and_another_size(films):
    images, _ = next(iter(batches(films.select([4, 2]), size=48)))
    assert images.shape == (2, 48, 48)


def test_errors(films, tmp_path):
    with pytest.raises(ConfigError, match="batch_size 0"):
        next(batches(films, 0))
    with pytest.raises(ConfigError, match="workers -1; expected .*0 or more workers"):
        next(batches(films, workers=-1))
    import datasets

    sizes = datasets.concatenate_datasets(
        [
            films,
            csd.load_task("normal-vs-covid", sources=["phantom"], phantom={"size": 48, "patients": 12})[
                "train"
            ],
        ]
    )
    for workers in (0, 2):
        with pytest.raises(ConfigError, match="several sizes"):
            list(batches(sizes, 1000, workers=workers))
    (tmp_path / "film.png").write_text("no image")
    bad = datasets.Dataset.from_dict(
        {"image": [str(tmp_path / "film.png")], "label": [0]},
        features=datasets.Features({"image": datasets.Image(), "label": films.features["label"]}),
    )
    with pytest.raises(BadImage, match="film.png"):
        list(batches(bad))
