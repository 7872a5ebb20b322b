"""Anatomy of phantoms whose bodies are plausible, and of the same bodies mirrored."""

from __future__ import annotations

from covid_synth_data.audit import anatomy
from tests.audit.conftest import film_set, material, values


def test_bodies_of_one_kind_are_plausible_and_mirrored_ones_are_not(context, drawn, monkeypatch):
    monkeypatch.setattr(anatomy, "LEAST", 15)
    real = film_set("training films", drawn[:30], "t"), film_set("held-out", drawn[30:], "h")
    mirrored = [film[:, ::-1] for film in drawn[:30]]
    found = anatomy.measure(context(material(film_set("made", mirrored, "s"), *real)))
    wrong = values(found, "heart-right")
    assert wrong["synthetic"].value > wrong["real, other half of the patients"].value + 0.4
    assert values(found, "heart-side-outside")["synthetic"].value > 0.3
    assert found.shown
    assert found.shown[0].score >= found.shown[-1].score > 0


def test_too_few_lungs_say_how_many_are_needed(context, drawn):
    real = film_set("training films", drawn[:10], "t"), film_set("held-out", drawn[10:20], "h")
    found = anatomy.measure(context(material(film_set("made", drawn[:3], "s"), *real)))
    assert not found.values
    assert "100 are needed" in found.missing[0].why
