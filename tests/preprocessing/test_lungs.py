"""Preprocessing of the kind lungs: the network, its masks and its weights."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from covid_synth_data.errors import WeightsError
from covid_synth_data.preprocessing import films as preprocessing
from covid_synth_data.preprocessing import harmonise, lung_shapes, lung_weights, lungs
from covid_synth_data.sources import phantom
from tests.preprocessing.sizes import SIDE


def alike(mask, other):
    """The Dice coefficient of two masks."""
    return 2 * (mask & other).sum() / (mask.sum() + other.sum())


def test_a_film_without_a_frame_keeps_its_lungs():
    for i in range(8):
        mask = phantom.lung_mask("normal", 128, 5, i, 1) > 0.5
        left, top, right, bottom = map(int, harmonise.without_frame(phantom.draw("normal", 128, 5, i, 1)))
        assert mask[top:bottom, left:right].sum() == mask.sum()


# --- lungs ------------------------------------------------------------------------------------------------


def test_outside_the_lungs_nothing_is_left(monkeypatch, film):
    truth = Image.fromarray(phantom.lung_mask("normal", SIDE, 3, 0, 1) > 0.5)
    mask = np.asarray(truth.resize((128, 128)))
    monkeypatch.setattr(lungs, "find", lambda grey, weights: lung_shapes.Fields(mask, True))
    pixels, found = preprocessing.prepare(film, 96, "lungs")
    assert found
    seen = pixels != lungs.OUTSIDE
    rows, columns = np.nonzero(seen)
    # The box of the lungs fills the square but for its margin.
    assert max(rows.min(), columns.min(), 95 - rows.max(), 95 - columns.max()) <= 6
    left, top, right, bottom = (round(128 * share) for share in lungs.box(mask))
    there = np.asarray(Image.fromarray(mask[top:bottom, left:right]).resize((96, 96)))
    assert alike(seen, there) > 0.95
    # What is beyond the box has no influence at all.
    left, top, right, bottom = (round(SIDE * share) for share in lungs.box(mask))
    other = np.random.default_rng(0).integers(0, 256, film.shape, dtype=np.uint8)
    other[top - 2 : bottom + 2, left - 2 : right + 2] = film[top - 2 : bottom + 2, left - 2 : right + 2]
    assert np.array_equal(preprocessing.prepare(other, 96, "lungs").pixels, pixels)


def test_lungs_are_found_on_phantoms():
    agree = []
    for i in range(6):
        label = ("normal", "covid-19", "pneumonia")[i % 3]
        mask, found = lungs.find(phantom.draw(label, 160, 77, i, 1))
        truth = np.asarray(Image.fromarray(phantom.lung_mask(label, 160, 77, i, 1)).resize((128, 128))) > 0.5
        agree.append(alike(mask, truth))
        assert found
    assert min(agree) > 0.85


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        (np.zeros((128, 128), bool), "none"),
        (np.ones((128, 128), bool), "everything"),
        (np.pad(np.ones((60, 60), bool), 34), "one region"),
        (np.pad(np.ones((20, 20), bool), ((54, 54), (10, 98))) | np.eye(128, dtype=bool)[::-1], "a crumb"),
        (abs(np.arange(128)[None, :].repeat(128, 0) - 64) > 8, "two regions, too large"),
        (
            np.pad(np.ones((90, 40), bool), ((20, 18), (10, 78))) | np.pad(np.ones((20, 20), bool), 54),
            "one of them too small",
        ),
        (abs(np.arange(128)[:, None].repeat(128, 1) - 64) % 40 > 20, "one above the other"),
    ],
)
def test_what_cannot_be_lungs_is_replaced_by_the_ellipse(mask, why):
    believed, found = lung_shapes.believed(mask)
    assert not found, why
    assert np.array_equal(believed, lung_shapes.ellipse(128))
    assert 0.4 < believed.mean() < 0.6


def test_a_higher_threshold_parts_lungs_that_touch():
    likely = np.zeros((128, 128), np.float32)
    likely[20:100, 15:110] = 0.6
    likely[20:100, 15:55] = likely[20:100, 70:110] = 0.8
    believed, found = lung_shapes.believed(likely)
    assert found
    assert alike(believed, likely > 0.7) > 0.99


def test_two_lungs_are_kept_and_crumbs_bridges_and_holes_are_not():
    mask = np.zeros((128, 128), bool)
    mask[20:100, 15:55] = mask[20:100, 70:110] = True
    wanted = mask.copy()
    mask[50:55, 30:35] = False
    mask[2:5, 2:5] = True
    mask[60:62, 55:70] = True  # a thin bridge between them
    believed, found = lung_shapes.believed(mask)
    assert found
    assert alike(believed, wanted) > 0.99


def test_a_film_without_lungs_is_counted():
    y, x = np.mgrid[:100, :120]
    blob = (255 * np.exp(-((x - 60) ** 2 + (y - 50) ** 2) / 600)).astype(np.uint8)
    pixels, found = preprocessing.prepare_batch([blob, np.full((50, 40), 7, np.uint8)], 64, "lungs")
    assert found.tolist() == [False, False]
    assert (pixels[0, 0] == lungs.OUTSIDE).any()
    assert (pixels[1] == lungs.OUTSIDE).all()


def test_the_network_names_what_it_learned_from():
    card = lung_weights.read_card()
    assert card.mask_licence == "CC BY 4.0"
    assert set(card.film_licences) <= {"CC BY 3.0", "CC BY 4.0"}
    assert len(card.films) >= len(card.patients) > 20
    network = lungs.load()
    assert sum(value.numel() for value in network.parameters()) == card.parameters
    assert lung_weights.WEIGHTS.stat().st_size < 1_000_000
    assert card.dice["external"]["network"]["mean"] > card.dice["external"]["otsu"]["mean"]


def test_versions_need_no_torch_without_lungs():
    code = (
        "import sys; from covid_synth_data.preprocessing import films as p;"
        "p.version('plain'), p.version('harmonised'); print('torch' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "False"


def test_missing_and_damaged_weights_are_refused(tmp_path, film):
    missing = tmp_path / "lung-fields.safetensors"
    with pytest.raises(WeightsError, match="card lung-fields.json"):
        lungs.find(film, missing)
    card = lung_weights.WEIGHTS.with_suffix(".json").read_text()
    missing.with_suffix(".json").write_text(card)
    with pytest.raises(WeightsError, match="cannot be read"):
        lungs.find(film, missing)
    missing.write_bytes(b"\0" * 64)
    with pytest.raises(WeightsError, match="not the file that its card describes"):
        lungs.find(film, missing)


def test_weights_of_another_network_are_refused(tmp_path, film):
    path = tmp_path / "narrow.safetensors"
    path.write_bytes(lung_weights.WEIGHTS.read_bytes())
    card = json.loads(lung_weights.WEIGHTS.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(card | {"widths": [8, 16, 32, 48]}))
    with pytest.raises(WeightsError, match="does not fit the network"):
        lungs.find(film, path)
