"""The file of distributions, and the fit to masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from covid_synth_data.errors import ConfigError
from covid_synth_data.lesions import priors
from generation.lesions import fit as lesion_priors

from .conftest import Films


def test_the_packaged_priors_are_complete() -> None:
    known = priors.load()
    assert set(known.mixtures) == {"covid-19", "pneumonia"}
    mixed = {name for mixture in known.mixtures.values() for name in mixture}
    assert mixed | {"ground-glass"} == set(known.patterns)  # that of the released pairs is in no mixture
    assert known.anatomy.films > 0


def test_scaled_priors() -> None:
    known = priors.load()
    assert priors.scaled(known, priors.Scale()) == known
    changed = priors.scaled(
        known, priors.Scale(extent=2, density=0.5, texture=0, detail=10, softness=3, anatomy=0)
    )
    before, after = known.patterns["confluent"], changed.patterns["confluent"]
    assert (after.extent.low, after.extent.high) == (1.0, 1.0)  # shares stay shares
    assert after.density == (before.density[0] / 2, before.density[1] / 2)
    assert (after.texture, after.detail, after.anatomy) == ((0, 0), (1.0, 1.0), 0)
    assert after.softness == (3 * before.softness[0], 3 * before.softness[1])
    assert (after.both, after.clouds, changed.mixtures) == (before.both, before.clouds, known.mixtures)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("density =", "densty =", "unknown key .*densty"),
        ('shape = "patches"', 'shape = "stars"', "shape"),
        ("multifocal = 0", "multifocl = 0", "multifocl"),
        ("both = 0", "both = 7.0 #", "both"),
    ],
)
def test_wrong_priors(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = priors.FILE.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "wrong.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=says):
        priors.load(tmp_path / "wrong.toml")


def test_the_fit_finds_what_the_masks_say(normals: Films) -> None:
    """Infection of the lower half of the right lung, and of all of the left one."""
    infections = []
    for lung in normals.lungs:
        infection = lung.copy()
        rows = np.flatnonzero(lung[:, :64].any(axis=1))
        infection[: (rows[0] + rows[-1]) // 2, :64] = False
        infections.append(infection)
    fit = lesion_priors.measure(infections, list(normals.lungs))
    assert fit.films == len(normals.lungs)
    assert fit.both == 1
    assert 0.65 < fit.extents.mean() < 0.9
    assert fit.table[0].max() < 0.7
    assert fit.table[-1].min() > 0.9


def test_beta_has_the_mean_of_the_values() -> None:
    values = np.random.default_rng(0).beta(2, 3, 4000).astype(np.float32) * 0.5 + 0.2
    fitted = lesion_priors.beta(values, 0.2, 0.7)
    assert fitted["a"] == pytest.approx(2, rel=0.1)
    assert fitted["b"] == pytest.approx(3, rel=0.1)


@pytest.mark.real_data
def test_the_packaged_numbers_are_those_of_the_masks(real_root: Path, tmp_path: Path, maintain) -> None:
    out = tmp_path / "priors.toml"
    assert maintain("lesions", "fit", "--root", real_root, "-o", out).code == 0
    assert priors.load(out) == priors.load()
