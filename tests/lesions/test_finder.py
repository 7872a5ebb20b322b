"""The lung finder without torch gives what the one with torch gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from covid_synth_data.errors import WeightsError
from covid_synth_data.lesions import finder
from covid_synth_data.preprocessing import harmonise, lungs
from covid_synth_data.sources import phantom

from .conftest import Films


def test_probabilities_agree_to_rounding(normals: Films) -> None:
    network = lungs.load()
    for film in normals.films[:4]:
        seen = harmonise.reduced(film, harmonise.without_frame(film))
        likely = finder.probabilities(seen)
        assert np.abs(likely - lungs.probabilities(network, seen)).max() < 1e-4


def test_masks_lie_where_the_lungs_are() -> None:
    film = np.pad(phantom.draw("normal", 160, 77, 3, 1), ((10, 0), (0, 20)))
    truth = np.pad(phantom.lung_mask("normal", 160, 77, 3, 1) >= 0.5, ((10, 0), (0, 20)))
    mask = finder.find(film)
    assert mask.shape == film.shape
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.8
    assert not finder.find(np.full((90, 80), 100, np.uint8)).any()


def test_damaged_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        finder.find(phantom.draw("normal", 96, 0, 0, 1), tmp_path / "gone.safetensors")


def test_painting_needs_no_torch() -> None:
    code = """
import sys
import numpy as np
from covid_synth_data import lesions
from covid_synth_data.sources import phantom
films = np.stack([phantom.draw("normal", 128, 5, i, 1) for i in range(2)])
painted = lesions.paint(films)
print(len(painted.skipped), "torch" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["0", "False"]
