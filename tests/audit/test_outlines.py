"""The numbers of a drawn outline are those of its drawing."""

from __future__ import annotations

import numpy as np
import pytest

from covid_synth_data.audit import outlines


def test_measures_of_a_drawn_outline():
    mask = np.zeros((100, 100), bool)
    mask[20:80, 10:40] = True
    mask[20:80, 55:90] = True
    film = np.full((100, 100), 51, np.float32)
    film[50:80, 50:66] = 102
    numbers = dict(zip(outlines.ANATOMY, outlines.measured(mask, film), strict=True))
    assert numbers["lung-area"] == pytest.approx((60 * 30 + 60 * 35) / 1e4)
    assert numbers["left-right-ratio"] == pytest.approx(1800 / 2100)
    assert numbers["height"] == pytest.approx(0.6)
    assert numbers["width"] == pytest.approx(0.8)
    assert numbers["heart-side"] == pytest.approx(0.2 * 11 / 12)
    assert outlines.measured(mask[:, ::-1], film[:, ::-1])[-1] == pytest.approx(-0.2 * 11 / 12)
