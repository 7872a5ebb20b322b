"""Phantoms: repeatable, anatomical, told apart by their disease and by nothing else."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from covid_synth_data.errors import ConfigError, UnknownName
from covid_synth_data.schema import LABELS
from covid_synth_data.sources import phantom, read_source, table

SIZE = 64


def digest(*arguments: object) -> str:
    return hashlib.sha256(phantom.draw(*arguments).tobytes()).hexdigest()


def test_a_film_is_a_function_of_its_arguments():
    film = phantom.draw("covid-19", SIZE, 1, 2, 3)
    assert film.dtype == np.uint8
    assert film.shape == (SIZE, SIZE)
    assert digest("covid-19", SIZE, 1, 2, 3) == digest("covid-19", SIZE, 1, 2, 3)
    others = {
        digest(*arguments)
        for arguments in [
            ("covid-19", SIZE, 1, 2, 3),
            ("covid-19", SIZE, 9, 2, 3),
            ("covid-19", SIZE, 1, 9, 3),
            ("covid-19", SIZE, 1, 2, 9),
            ("pneumonia", SIZE, 1, 2, 3),
        ]
    }
    assert len(others) == 5


@pytest.mark.parametrize("size", [32, 64, 100, 256, 512])
def test_any_size(size):
    film = phantom.draw("normal", size, 0, 0, 1)
    assert film.shape == (size, size)
    assert film.std() > 30


def test_films_of_a_patient_share_their_anatomy():
    def lungs(patient: int, film: int) -> np.ndarray:
        return phantom.lung_mask("normal", SIZE, 0, patient, film).ravel()

    same = [np.corrcoef(lungs(p, 1), lungs(p, 2))[0, 1] for p in range(12)]
    different = [np.corrcoef(lungs(p, 1), lungs(p + 1, 2))[0, 1] for p in range(12)]
    assert np.mean(same) > np.mean(different)


def test_the_heart_is_on_the_patients_left():
    """Standard display: the patient's left is the viewer's right; the heart makes that side brighter."""
    sides = []
    for patient in range(12):
        film = phantom.draw("normal", 128, 0, patient, 1).astype(float)
        low = film[70:86]
        sides.append(low[:, 66:86].mean() - low[:, 42:62].mean())
    assert np.mean(np.array(sides) > 0) > 0.9


def masks(label: str, count: int = 16) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (phantom.lesion_mask(label, SIZE, 0, p, 1), phantom.lung_mask(label, SIZE, 0, p, 1))
        for p in range(count)
    ]


def halves(mask: np.ndarray) -> tuple[float, float]:
    return float(mask[:, : SIZE // 2].sum()), float(mask[:, SIZE // 2 :].sum())


def test_lesions_are_in_the_lungs_and_where_they_belong():
    assert all(not lesion.any() for lesion, _ in masks("normal", 4))
    for lesion, _ in masks("pneumonia"):
        weak, strong = sorted(halves(lesion))
        assert strong > 1
        assert weak < 0.05 * strong
    basal = []
    for lesion, lung in masks("covid-19"):
        weak, strong = sorted(halves(lesion))
        assert weak > 0.05 * strong
        rows = np.arange(SIZE)[:, None]
        basal.append((lesion * rows).sum() / lesion.sum() - (lung * rows).sum() / lung.sum())
    assert np.mean(basal) > 0
    for label in ("pneumonia", "covid-19"):
        for lesion, lung in masks(label):
            assert (lesion <= lung + 1e-5).all()


def test_covid_is_peripheral():
    """Further from the midline, on average, than the lung that it lies in."""
    columns = np.abs(np.arange(SIZE) - SIZE / 2)[None]
    gain = [
        (lesion * columns).sum() / lesion.sum() - (lung * columns).sum() / lung.sum()
        for lesion, lung in masks("covid-19")
    ]
    assert np.mean(gain) > 0


def test_nothing_outside_the_lungs_tells_the_classes_apart():
    means = {}
    for label in LABELS:
        values = []
        for patient in range(30):
            film = phantom.draw(label, SIZE, 5, patient, 1).astype(float)
            outside = phantom.lung_mask(label, SIZE, 5, patient, 1) < 0.01
            values.append(film[outside].mean())
        means[label] = np.array(values)
    spread = np.concatenate(list(means.values())).std() * np.sqrt(2 / 30)
    for label in ("pneumonia", "covid-19"):
        assert abs(means[label].mean() - means["normal"].mean()) < 3.5 * spread


def test_what_is_read_is_what_is_drawn_also_the_second_time():
    for size, seed in ((64, 4), (64, 5), (32, 4), (64, 4), (160, 4)):
        frame = read_source("phantom", size=size, patients=1, seed=seed)
        for row in frame.itertuples():
            film = int(row.source_id.rpartition("-")[2])
            with Image.open(io.BytesIO(row.bytes)) as image:
                assert np.array_equal(np.asarray(image), phantom.draw(row.label, size, seed, 0, film))


def test_the_frame():
    frame = read_source("phantom", size=32, patients=5, seed=2)
    assert list(frame.columns) == list(table.COLUMNS)
    assert set(frame["label"]) == set(LABELS)
    assert frame.groupby("label")["patient_id"].nunique().tolist() == [5, 5, 5]
    films = frame.groupby("patient_id").size()
    assert films.between(1, phantom.FILMS_PER_PATIENT).all()
    assert films.max() > 1
    assert frame["image_id"].is_unique
    assert frame["patient_known"].all()
    rows = table.to_dataset(frame)
    assert rows[0]["image"].size == (32, 32)
    assert read_source("phantom", size=32, patients=5, seed=2)["bytes"].equals(frame["bytes"])


@pytest.mark.parametrize(
    "options", [{"size": 16}, {"size": 4096}, {"patients": 0}, {"seed": -1}, {"sise": 64}]
)
def test_wrong_options_are_one_line(options):
    with pytest.raises(ConfigError) as caught:
        read_source("phantom", **{"size": 32, "patients": 1, **options})
    assert "\n" not in str(caught.value)


def test_an_unknown_class():
    with pytest.raises(UnknownName, match="did you mean 'covid-19'"):
        phantom.draw("covid19", SIZE, 0, 0, 0)
