"""The release in this repository: whole, found without being told, and as its cards say."""

from __future__ import annotations

import collections
import importlib.util

import datasets
import numpy as np
import pytest

import covid_synth_data as csd
from covid_synth_data.release import places

RELEASE = places.CHECKOUT / "covid-synth-cxr"


def test_every_byte_is_as_the_manifest_says():
    report = csd.verify(RELEASE)
    assert report.problems == []
    assert report.rows == {"gnc": 16_537, "gpc": 4_758, "pairs": 4_000, "diffaug-gan": 2_000}


def test_it_is_found_without_being_told():
    rows = csd.load_dataset("covid-synth-cxr")
    assert collections.Counter(rows["subset"]) == {"gnc": 16_537, "gpc": 4_758}
    assert {rows.features["label"].int2str(label) for label in set(rows["label"])} == {"covid-19"}
    assert np.asarray(rows[0]["image"]).shape[:2] == (256, 256)


@pytest.mark.parametrize("config", ["gnc", "diffaug-gan"])
def test_plain_datasets_reads_one_channel(config, tmp_path):
    """The images are stored as lossy WebP, which Pillow decodes as RGB; the card states the mode."""
    rows = datasets.load_dataset(str(RELEASE), config, split="train", streaming=True, cache_dir=str(tmp_path))
    assert next(iter(rows))["image"].mode == "L"


@pytest.mark.parametrize("config", ["cyclegan", "pairs", "diffaug-gan"])
def test_images_are_grey_in_a_mix_too(config):
    rows = csd.load_dataset("covid-synth-cxr", config)
    streamed = csd.load_dataset("covid-synth-cxr", config, root=RELEASE, streaming=True)
    size = np.asarray(rows[0]["image"]).shape[0]
    real = csd.load_source("phantom", size=size, patients=6)
    mixed = csd.mix(real, rows.select(range(8)), synthetic_count=8)
    assert {row["image"].mode for row in [rows[0], next(iter(streamed)), *real, *mixed]} == {"L"}
    if importlib.util.find_spec("torch"):
        assert {tuple(film.shape) for film in mixed.with_format("torch")["image"][:]} == {(1, size, size)}


def test_images_from_noise_name_their_noise_and_the_licences_of_all_training_films():
    rows = csd.load_dataset("covid-synth-cxr", "diffaug-gan")
    assert list(rows["variant"]) == [f"noise:{number}" for number in range(2_000)]
    assert set(rows["generator"]) == {"diffaug-gan.cpu"}
    assert set(rows["source_license"]) == {"CC BY AND CC BY 3.0 AND CC BY 4.0 AND public domain (NIH)"}
    assert {np.asarray(row["image"]).shape for row in rows.select([0, 999, 1_999])} == {(128, 128)}


@pytest.mark.parametrize("config", ["cyclegan", "pairs"])
def test_every_row_has_a_source_and_a_licence_that_allows_it(config):
    rows = csd.load_dataset("covid-synth-cxr", config)
    assert all(rows["source_id"])
    allowed = {"public domain (NIH)"}
    if config == "cyclegan":
        allowed |= {"CC BY", "CC BY 3.0", "CC BY 4.0"}
    assert set(rows["source_license"]) <= allowed


def test_pairs_differ_inside_their_mask_alone():
    """As far as the codec lets one say: far from the mask both films of a pair are nearly the same."""
    rows = csd.load_dataset("covid-synth-cxr", "pairs")
    assert set(collections.Counter(rows["pair_id"]).values()) == {2}
    for first in range(0, 4_000, 500):
        films = rows[first : first + 2]
        painted = films["label"].index(rows.features["label"].str2int("covid-19"))
        pixels = [np.asarray(image).astype(float) for image in films["image"]]
        mask = np.asarray(films["mask"][painted].convert("L")) > 0
        change = np.abs(pixels[0] - pixels[1])
        assert change[mask].mean() > 2 * change[~mask].mean()
        assert change[~mask].mean() < 3
