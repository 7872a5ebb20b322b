"""Fixtures that the modules of this folder share."""

from __future__ import annotations

import pytest

from covid_synth_data.sources import phantom
from tests.preprocessing.sizes import PER_CLASS, SIDE


@pytest.fixture(scope="module")
def films():
    return [phantom.draw(label, SIDE, 3, i, 1) for label in ("normal", "covid-19") for i in range(PER_CLASS)]


@pytest.fixture(scope="module")
def film(films):
    return films[0]
