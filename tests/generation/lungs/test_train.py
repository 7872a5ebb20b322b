"""Training of the network that finds the lungs, on phantoms that stand in for real films."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from covid_synth_data.errors import ConfigError, DivergedError, EmptySplit, SourceError
from covid_synth_data.files.models import read_toml
from covid_synth_data.preprocessing import lung_shapes, lung_weights, lungs
from covid_synth_data.sources import licences, phantom
from generation.lungs import outlines, train
from generation.lungs import scores as lung_scores

RECIPE = Path(__file__).resolve().parents[3] / "generation" / "lungs" / "lung-fields.toml"
COLUMNS = ("patientid", "finding", "view", "modality", "folder", "filename", "license")


def tiny(**changes):
    settings = {"name": "tiny", "steps": 4, "batch_size": 2, "phantoms": 3, "looks": 2}
    return train.LungRecipe.model_validate(settings | changes)


@pytest.fixture(scope="module")
def parts():
    sizes = {"train": 4, "validation": 2, "test": 2, "external": 2}
    return {part: outlines.phantoms(count, 10 + i) for i, (part, count) in enumerate(sizes.items())}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """covid-chestxray with phantoms for films and masks: 10 patients under CC BY, 4 not, one under both."""
    folder = tmp_path / "covid-chestxray-dataset"
    (folder / "images").mkdir(parents=True)
    rows, archive = [], tmp_path / "masks.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for number in range(18):
            patient, licence = (number % 15, "CC BY 4.0" if number % 15 < 11 else "CC BY-NC-SA")
            if number == 15:  # the second film of patient 0
                licence = "unknown"
            name = f"film-{number}.png"
            rows.append((str(patient), "COVID-19", "PA", "X-ray", "images", name, licence))
            grey = np.pad(phantom.draw("covid-19", 64, 0, number, 1), ((8, 0), (0, 0)))
            Image.fromarray(grey).save(folder / "images" / name)
            mask = np.pad(phantom.lung_mask("covid-19", 64, 0, number, 1) > 0.5, ((8, 0), (0, 0)))
            buffer = io.BytesIO()
            larger = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).resize((128, 144))
            larger.save(buffer, "PNG")
            if number != 17:  # a film without a mask
                zipped.writestr(f"semantic_masks_v7labs_lungs/{name}", buffer.getvalue())
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    monkeypatch.setattr(outlines, "_archive", lambda: archive)
    return tmp_path


def read(root, seed=0):
    return outlines.read(root, seed, (0.2, 0.3), lambda done, total: None)


# --- films and masks --------------------------------------------------------------------------------------


def test_no_patient_is_in_two_parts_and_only_permissive_films_are_learned_from(root):
    parts = read(root)
    assert list(parts) == list(outlines.PARTS)
    patients = [set(part.patient_ids) for part in parts.values()]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 15
    assert [len(found) for found in patients] == [5, 2, 3, 5]
    for name in ("train", "validation", "test"):
        assert all(licences.is_permissive(licence) for licence in parts[name].licences)
    # Patient 0 has a film under CC BY and one whose licence is unknown.
    assert "covid-chestxray:0" in patients[3]
    assert not any("covid-chestxray/film-17" in part.image_ids for part in parts.values())


def test_another_seed_splits_otherwise_and_the_same_one_alike(root):
    first, again, other = (read(root, seed)["train"] for seed in (0, 0, 1))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()


def test_masks_follow_their_films_through_the_frame(root):
    """A black margin of 8 rows is cut off both; a mask of twice the size of its film still fits."""
    part = read(root)["external"]
    for name, mask in zip(part.image_ids, part.masks, strict=True):
        number = int(name.rsplit("-", 1)[1])
        truth = phantom.lung_mask("covid-19", 64, 0, number, 1) > 0.5
        wanted = np.asarray(Image.fromarray(truth).resize((outlines.SIDE,) * 2, Image.Resampling.NEAREST))
        got = mask == outlines.LUNG
        assert 2 * (got & wanted).sum() / (got.sum() + wanted.sum()) > 0.95


def test_too_few_patients_are_refused(root):
    with pytest.raises(EmptySplit, match="for validation"):
        outlines.read(root, 0, (0.0, 0.3), lambda done, total: None)


def test_a_wheel_without_masks_is_said(monkeypatch):
    monkeypatch.setattr(outlines, "ARCHIVE", "nothing.zip")
    with pytest.raises(SourceError, match="nothing.zip"):
        outlines._archive()


# --- examples ---------------------------------------------------------------------------------------------


def test_an_example_keeps_film_and_mask_together():
    """With the tone left alone, a film that is bright exactly where the mask is stays so under any turn."""
    mask = np.zeros((outlines.SIDE,) * 2, np.uint8)
    mask[40:150, 30:80] = outlines.LUNG
    film = np.where(mask > 0, 200, 60).astype(np.uint8)
    calm = train.Distortion(clouds=0, light=0.0, bars=0.0)
    for seed in range(5):
        shown, fields = train.example(film, mask, np.random.default_rng(seed), calm)
        lung = fields == outlines.LUNG
        assert np.corrcoef(shown.ravel(), lung.ravel())[0, 1] > 0.5
        assert np.corrcoef(shown[:, ::-1].ravel(), lung.ravel())[0, 1] < 0.3


def test_a_batch_is_a_function_of_its_step(parts):
    drawn = outlines.phantoms(2, 0)
    first, again, later = (train.batch(parts["train"], drawn, tiny(), step) for step in (0, 0, 1))
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], later[0])
    assert first[0].dtype == torch.float32
    assert first[0].shape == first[1].shape == (2, 1, 128, 128)
    assert -1 <= first[0].min() < first[0].max() <= 1


def test_pixels_to_ignore_count_neither_way():
    target = torch.zeros(1, 1, 8, 8)
    target[..., :4] = 1
    logits = torch.where(target > 0, 9.0, -9.0)
    best = train.loss(logits, target)
    logits[..., 0, 0] = -9.0
    assert train.loss(logits, target) > best + 0.05
    target[..., 0, 0] = -1
    assert train.loss(logits, target) == pytest.approx(float(best), abs=0.01)


# --- training ---------------------------------------------------------------------------------------------


def test_a_stopped_training_ends_at_the_same_weights(parts, tmp_path, monkeypatch):
    whole, curve = train.fit(tiny(), parts, tmp_path / "whole", lambda *_: None)
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", -1)

    class Stopped(Exception):
        pass

    def stop(done, total, text):
        if done == 3:
            raise Stopped

    with pytest.raises(Stopped):
        train.fit(tiny(), parts, tmp_path / "parts", stop)
    again, same = train.fit(tiny(), parts, tmp_path / "parts", lambda *_: None)
    assert curve == same
    assert [look["step"] for look in curve] == [2, 4]
    for key, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
    with pytest.raises(ConfigError, match="another recipe"):
        train.fit(tiny(seed=1), parts, tmp_path / "parts", lambda *_: None)
    with pytest.raises(ConfigError, match="other films"):
        train.fit(tiny(), parts | {"train": parts["test"]}, tmp_path / "parts", lambda *_: None)


def test_weights_are_saved_with_a_card_and_read_back(parts, tmp_path):
    network, _ = train.fit(tiny(steps=1, looks=1), parts, tmp_path, lambda *_: None)
    path = tmp_path / "tiny.safetensors"
    card = train.save(path, network, tiny(steps=1, looks=1), parts)
    assert lung_weights.read(path)[0] == card
    assert card.films == parts["train"].image_ids
    assert card.other_names == []
    assert set(card.dice) == {"validation", "test", "external"}
    read_back = lungs.load(path)
    for key, value in network.state_dict().items():
        assert torch.equal(read_back.state_dict()[key], value.half().float())


def test_a_loss_that_explodes_stops_the_training(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "loss", lambda logits, target: logits.sum() * float("nan"))
    with pytest.raises(DivergedError, match="step 0"):
        train.fit(tiny(), parts, tmp_path, lambda *_: None)


def test_the_shipped_recipe_is_that_of_the_shipped_weights():
    recipe = read_toml(RECIPE, train.LungRecipe)
    assert lung_weights.read_card().training["recipe_digest"] == recipe.digest()


# --- scores -----------------------------------------------------------------------------------------------


def test_dice_by_hand():
    outlined = np.zeros((4, 4), np.uint8)
    outlined[:, :2] = outlines.LUNG
    found = outlined > 0
    assert lung_scores.dice(found, outlined) == 1
    assert lung_scores.dice(~found, outlined) == 0
    found[0, 0] = False
    assert lung_scores.dice(found, outlined) == pytest.approx(2 * 7 / 15)
    outlined[0, 0] = outlines.IGNORE
    assert lung_scores.dice(found, outlined) == 1


def test_what_is_measured_is_per_film_and_drawn_by_patient(parts):
    truth = iter(outlines.at_side(parts["external"].masks) == outlines.LUNG)
    scores = lung_scores.measure(lambda film: lung_shapes.Fields(next(truth), True), parts["external"])
    assert (scores["films"], scores["found"], scores["mean"], scores["interval"]) == (2, 2, 1.0, [1.0, 1.0])
    fixed = lung_scores.measure(
        lambda film: lung_shapes.Fields(lung_shapes.ellipse(128), False), parts["external"]
    )
    assert fixed["found"] == 0
    assert fixed["mean_where_found"] is None
    assert 0.5 < fixed["interval"][0] <= fixed["mean"] <= fixed["interval"][1] < 0.95


def test_otsu_parts_two_levels_and_the_rule_finds_two_dark_regions():
    film = np.full((128, 128), 200, np.float32)
    film[30:100, 20:55] = film[30:100, 70:110] = 40
    film[50:60, 20:24] = 200  # a dent, which the hull fills
    film[:, :5] = 10  # dark, and at the border
    assert 40 < lung_scores.otsu(film) <= 200
    mask, found = lung_scores.classical(film)
    wanted = np.zeros((128, 128), bool)
    wanted[30:100, 20:55] = wanted[30:100, 70:110] = True
    assert found
    assert np.array_equal(mask, wanted)


def test_otsu_leaves_the_largest_variance_between_the_classes():
    film = np.random.default_rng(0).choice([20, 70, 90, 240], (64, 64), p=[0.2, 0.3, 0.4, 0.1])

    def between(threshold):
        dark = film < threshold
        return dark.mean() * (1 - dark.mean()) * (film[dark].mean() - film[~dark].mean()) ** 2

    found = lung_scores.otsu(film.astype(np.float32))
    assert between(found) == pytest.approx(max(between(threshold) for threshold in range(21, 241)))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_the_rule_finds_nothing_on_a_film_of_one_level(level):
    mask, found = lung_scores.classical(np.full((128, 128), level, np.float32))
    assert not found
    assert not mask.any()


def test_a_line_is_its_own_hull():
    mask = np.eye(12, dtype=bool)
    assert np.array_equal(lung_scores.hull(mask), mask)


# --- real films -------------------------------------------------------------------------------------------


@pytest.mark.real_data
@pytest.mark.skipif(not os.environ.get("COVID_SYNTH_SOURCES"), reason="COVID_SYNTH_SOURCES is not set")
def test_the_card_tells_the_truth_about_real_films():
    pytest.importorskip("torchxrayvision")
    card = json.loads(lung_weights.WEIGHTS.with_suffix(".json").read_text())
    recipe = train.LungRecipe.model_validate(card["training"]["recipe"])
    parts = outlines.read(None, recipe.seed, (recipe.validation, recipe.test), lambda done, total: None)
    assert parts["train"].image_ids == card["films"]
    assert parts["train"].fingerprint() == card["training"]["films"]
    measured = lung_scores.measure(train.by_network(lungs.load()), parts["test"])
    assert measured["mean"] == pytest.approx(card["dice"]["test"]["network"]["mean"], abs=0.005)
