"""Maps of lesions beside those of real films: in the right zone, in the wrong one, and too few."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from covid_synth_data.audit import lesion_maps
from covid_synth_data.audit.contract import OTHER_HALF, Findings
from covid_synth_data.lesions import coordinates
from tests.audit.conftest import film_set, material, values


def mapped(films: list[np.ndarray], name: str, lower: bool, dataset: str = "set-a"):
    """Films with a map each: a spot of the lower or of the upper half of the right lung."""
    maps = []
    for film in films:
        part = np.zeros(film.shape, np.uint8)
        part[36:50, 12:24] = 255
        maps.append(part if lower else part[::-1].copy())
    contents = []
    for plane in maps:
        file = io.BytesIO()
        Image.fromarray(plane).save(file, "PNG")
        contents.append(file.getvalue())
    return replace(
        film_set("films", films, name, dataset=dataset),
        map_cell=lambda place: {"bytes": contents[place], "path": None},
    )


def test_lesions_in_the_wrong_zone_are_outside_the_real_distribution(context, drawn, monkeypatch):
    monkeypatch.setattr(lesion_maps, "LEAST", 10)
    reals = mapped(drawn, "r", True)
    for lower in (True, False):
        made = mapped(drawn[:30], "s", lower)
        films = material(made, film_set("t", drawn, "t"), film_set("h", [], "h"), mapped=reals)
        findings = Findings()
        lesion_maps.measure(findings, context(films))
        share = values(findings, "lesion-lower-mean")
        real = share[OTHER_HALF]
        assert (share["synthetic"].value > real.value - 0.1) == lower
        outside = values(findings, "lesion-lower-outside")
        assert (outside["synthetic"].value < 0.3) == lower
        assert outside["synthetic"].chance == 0.02
        assert bool(findings.shown) or lower
        assert "without a lesion" in findings.notes[0]


def test_the_numbers_of_a_map():
    lungs = np.zeros((64, 64), bool)
    lungs[10:55, 6:28] = lungs[10:55, 36:58] = True
    where = coordinates.locate(lungs)
    ill = np.zeros((64, 64), np.float32)
    ill[12:20, 8:12] = 1  # the upper third, near the wall, of the lung at the left of the picture
    ill[45:53, 38:42] = 1  # the lower third, near the hilum, of the other one
    ill[:5] = 1  # outside the lungs
    numbers = dict(zip(lesion_maps.MEASURES, lesion_maps.of_map(ill, where), strict=True))
    assert numbers["extent"] == pytest.approx(64 / lungs.sum(), rel=0.05)
    assert numbers["right"] == numbers["upper"] == numbers["lower"] == numbers["outer"] == 0.5
    assert numbers["pieces"] == 2
    assert lesion_maps.of_map(ill * 0, where) is None


def test_images_without_maps_and_too_few_real_maps(context, drawn):
    films = material(film_set("m", drawn[:30], "s"), film_set("t", [], "t"), film_set("h", [], "h"))
    for synthetic, why in (
        (films.synthetic, "no map of lesions"),
        (mapped(drawn[:30], "s", True), "100 are needed"),
    ):
        findings = Findings()
        lesion_maps.measure(findings, context(replace(films, synthetic=synthetic)))
        assert why in findings.missing[0].why
