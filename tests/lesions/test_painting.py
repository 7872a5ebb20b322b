"""Painted films: what changes, what does not, and what it depends on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from covid_synth_data import lesions
from covid_synth_data.errors import BadImage, ConfigError, UnknownName
from covid_synth_data.lesions import controls, painting, priors

from .conftest import Films, draw

PATTERNS = sorted(priors.load().patterns)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_is_brighter_in_the_lungs_and_leaves_the_rest(normals: Films, pattern: str) -> None:
    painted = lesions.paint(normals.films, 3, pattern, normals.lungs)
    assert painted.films.dtype == painted.maps.dtype == np.uint8
    assert np.array_equal(painted.films[~normals.lungs], normals.films[~normals.lungs])
    assert not painted.maps[~normals.lungs].any()
    assert {record.pattern for record in painted.records} == {pattern}
    rise = painted.films.astype(float) - normals.films
    for film, soft, record in zip(rise, painted.maps, painted.records, strict=True):
        assert film[soft >= 128].mean() > 2
        assert record.contrast == pytest.approx(film[soft >= 128].mean(), abs=0.5)
    assert not painted.skipped


def test_a_film_depends_on_seed_epoch_and_index_alone(normals: Films) -> None:
    whole = lesions.paint(normals.films, 7, "covid-19", normals.lungs)
    order = [5, 0, 11]
    some = lesions.paint(normals.films[order], 7, "covid-19", normals.lungs[order], indices=order)
    assert np.array_equal(some.films, whole.films[order])
    assert np.array_equal(some.maps, whole.maps[order])
    assert some.records == tuple(whole.records[i] for i in order)
    for change in ({"seed": 8}, {"epoch": 1}, {"indices": range(1, 13)}):
        other = lesions.paint(normals.films, **{"seed": 7, "lungs": normals.lungs} | change)
        assert not any(np.array_equal(a, b) for a, b in zip(other.maps, whole.maps, strict=True))


def test_records_say_where_and_how_much(normals: Films) -> None:
    painted = lesions.paint(normals.films, 1, "covid-19", normals.lungs)
    for lungs, soft, record in zip(normals.lungs, painted.maps, painted.records, strict=True):
        assert record.extent == pytest.approx((soft >= 128).sum() / lungs.sum(), abs=0.01)
        half = soft.shape[1] // 2
        halves = {"right": soft[:, :half], "left": soft[:, half:]}
        sides = [name for name, part in halves.items() if (part >= 128).any()]
        assert record.side == ("both" if len(sides) == 2 else sides[0])
        assert set(record.zones) <= set(painting.ZONES)
        assert record.zones
        assert record.control == record.reason == ""


def test_covid_lies_lower_and_in_both_lungs_more_often_than_focal_pneumonia() -> None:
    many = draw(60, 64)
    covid = lesions.paint(many.films, 0, "multifocal", many.lungs).records
    focal = lesions.paint(many.films, 0, "focal", many.lungs).records
    assert sum(record.side == "both" for record in covid) > 35
    assert sum(record.side == "both" for record in focal) < 25
    assert sum("lower" in record.zones for record in covid) > sum("upper" in record.zones for record in covid)


def test_extents_are_those_that_were_drawn(normals: Films) -> None:
    known = priors.load()
    narrow = priors.Extent(a=1.0, b=1.0, low=0.3, high=0.3)
    pattern = known.patterns["confluent"].model_copy(update={"extent": narrow, "both": 1.0})
    chosen = known.model_copy(update={"patterns": {**known.patterns, "confluent": pattern}})
    painted = lesions.paint(normals.films, 0, "confluent", normals.lungs, distributions=chosen)
    assert np.mean([record.extent for record in painted.records]) == pytest.approx(0.3, abs=0.05)


def test_the_same_lesion_at_another_size() -> None:
    small, large = draw(4, 128), draw(4, 256)
    coarse = lesions.paint(small.films, 2, "multifocal", small.lungs)
    fine = lesions.paint(large.films, 2, "multifocal", large.lungs)
    for a, b in zip(coarse.maps, fine.maps, strict=True):
        shrunk = b.reshape(128, 2, 128, 2).mean(axis=(1, 3))
        assert np.corrcoef(a.ravel(), shrunk.ravel())[0, 1] > 0.9


def test_a_film_without_two_lungs_is_counted_and_never_painted(normals: Films) -> None:
    lungs = normals.lungs.copy()
    lungs[2] = False
    lungs[4, :, 64:] = False
    painted = lesions.paint(normals.films, 0, lungs=lungs)
    assert painted.skipped == {painting.NO_LUNGS: 2}
    assert np.array_equal(painted.films[[2, 4]], normals.films[[2, 4]])
    assert not painted.maps[[2, 4]].any()
    assert [record.reason for record in painted.records].count("") == 10


@pytest.mark.parametrize("kind", [controls.NEUTRAL, controls.DARK])
def test_controls_in_the_lungs_leave_the_rest_and_do_not_brighten(normals: Films, kind: str) -> None:
    painted = lesions.paint(normals.films, 0, "covid-19", normals.lungs, kind)
    assert np.array_equal(painted.films[~normals.lungs], normals.films[~normals.lungs])
    assert (painted.films != normals.films).any(axis=(1, 2)).all()
    assert not painted.maps.any()
    rise = (painted.films.astype(float) - normals.films)[normals.lungs].mean()
    real = lesions.paint(normals.films, 0, "covid-19", normals.lungs).films.astype(float) - normals.films
    assert abs(rise) < 0.1 * real[normals.lungs].mean() if kind == controls.NEUTRAL else rise < 0
    assert {record.control for record in painted.records} == {kind}


def test_an_outside_control_leaves_the_lungs(normals: Films) -> None:
    painted = lesions.paint(normals.films, 0, "covid-19", normals.lungs, controls.OUTSIDE)
    assert np.array_equal(painted.films[normals.lungs], normals.films[normals.lungs])
    assert (painted.films != normals.films).any(axis=(1, 2)).mean() > 0.7
    assert not painted.maps.any()


def test_discs_are_as_bright_and_as_large_as_the_lesion_with_sharp_borders(normals: Films) -> None:
    """The total rise is that of the lesion within a third; between neighbours it jumps, a lesion fades."""
    rises = {}
    for kind in (None, controls.DISCS):
        painted = lesions.paint(normals.films, 0, "covid-19", normals.lungs, kind)
        assert np.array_equal(painted.films[~normals.lungs], normals.films[~normals.lungs])
        assert painted.maps.any() == (kind is None)
        rises[kind] = painted.films.astype(float) - normals.films
    lesion, disc = (np.abs(rise).mean() for rise in rises.values())
    assert 0.67 < disc / lesion < 1.5
    lesion, disc = (np.quantile(np.abs(np.diff(rise, axis=2)), 0.999) for rise in rises.values())
    assert disc > 1.3 * lesion


def path_traces(films: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """What painting could leave beside brightness: how rough neighbouring pixels are in the lungs and around,
    how often they are equal, and how even grey levels are. The borders of the lungs are left out: opacities
    take their contrast, as they should."""
    rows = []
    for film, lung in zip(films.astype(float), lungs, strict=True):
        rough = np.abs(film[:, 2:] - 2 * film[:, 1:-1] + film[:, :-2])
        inside = ndimage.binary_erosion(lung, iterations=4)[:, 1:-1]
        outside = ~ndimage.binary_dilation(lung, iterations=4)[:, 1:-1]
        equal = (rough[inside] == 0).mean()
        rows.append([rough[inside].mean(), rough[outside].mean(), equal, (film[lung] % 2).mean()])
    return np.array(rows)


def separation(first: np.ndarray, second: np.ndarray) -> float:
    labels = np.repeat([0, 1], [len(first), len(second)])
    model = make_pipeline(StandardScaler(), LogisticRegression())
    scores = cross_val_predict(
        model, np.concatenate([first, second]), labels, cv=4, method="decision_function"
    )
    return float(roc_auc_score(labels, scores))


def test_traces_of_the_path_do_not_tell_controls_from_lesions() -> None:
    """The detector sees how the traces of a film changed, and detail is hidden strongly. It finds out lesions
    among films that were painted without hiding any, and does not among controls."""
    many = draw(80, 96, 11)
    known = priors.load()

    def traces(detail: tuple[float, float], seed: int, control: str | None) -> np.ndarray:
        weak = {"detail": detail, "density": (0.1, 0.2), "core": (0.0, 0.0)}
        patterns = {name: pattern.model_copy(update=weak) for name, pattern in known.patterns.items()}
        chosen = known.model_copy(update={"patterns": patterns})
        painted = lesions.paint(many.films, seed, "confluent", many.lungs, control, distributions=chosen)
        return path_traces(painted.films, many.lungs) - path_traces(many.films, many.lungs)

    lesion = traces((0.9, 0.95), 0, None)
    assert separation(traces((0.0, 0.0), 1, controls.NEUTRAL), lesion) > 0.75
    assert separation(traces((0.9, 0.95), 1, controls.NEUTRAL), lesion) < 0.65


def test_bad_films(normals: Films) -> None:
    films, lungs = normals
    with pytest.raises(BadImage, match=r"wrong kind.*uint16"):
        lesions.paint(films.astype(np.uint16), lungs=lungs)
    with pytest.raises(BadImage, match="8-bit grey"):
        lesions.paint(np.repeat(films[..., None], 3, -1), lungs=lungs)
    with pytest.raises(BadImage, match="at least 64"):
        lesions.paint(films[:, :60], lungs=lungs[:, :60])
    with pytest.raises(BadImage, match=r"do not fit.*\(12, 128, 128\)"):
        lesions.paint(films, lungs=lungs[:, :100])
    with pytest.raises(BadImage, match="do not fit"):
        lesions.paint(films, lungs=lungs.astype(np.uint8))


def test_bad_arguments(normals: Films) -> None:
    with pytest.raises(UnknownName, match="did you mean 'covid-19'"):
        lesions.paint(normals.films, pattern="covid19", lungs=normals.lungs)
    with pytest.raises(UnknownName, match="did you mean 'neutral'"):
        lesions.paint(normals.films, lungs=normals.lungs, control="neutrl")
    with pytest.raises(ConfigError, match="negative seed"):
        lesions.paint(normals.films, -1, lungs=normals.lungs)
    with pytest.raises(ConfigError, match="indices that do not fit"):
        lesions.paint(normals.films, lungs=normals.lungs, indices=[1])


def test_no_films(normals: Films) -> None:
    none = lesions.paint(normals.films[:0], lungs=normals.lungs[:0])
    assert none.films.shape == none.maps.shape == (0, 128, 128)
    assert none.records == ()


def test_other_shapes_than_squares(normals: Films) -> None:
    films, lungs = normals.films[:3, 4:-2], normals.lungs[:3, 4:-2]
    painted = lesions.paint(films, 0, lungs=lungs)
    assert painted.films.shape == films.shape
    assert np.array_equal(painted.films[~lungs], films[~lungs])
    assert dataclasses.asdict(painted.records[0])["pattern"] in PATTERNS
