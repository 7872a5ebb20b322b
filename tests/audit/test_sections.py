"""The sections of an audit on films whose answers are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from covid_synth_data.audit import contrast, copies, fidelity, privacy, probes, sections, shortcuts
from covid_synth_data.audit.contract import OTHER_HALF, Context, Encoding
from covid_synth_data.errors import MetricError, UnknownName
from covid_synth_data.metrics import diversity
from tests.audit.conftest import film_set, material, noise, values


@pytest.fixture
def few_pairs(monkeypatch):
    """Fewer pairs and parts: the test of both is elsewhere."""
    monkeypatch.setattr(diversity, "pair_similarity", lambda images, seed: np.full(4, 0.5))
    monkeypatch.setattr(fidelity, "PARTS", 2)


@pytest.fixture(scope="module")
def real():
    films = noise(240, 1)
    return {
        "training": film_set("training films", films[:120], "t"),
        "held_out": film_set("held-out films", films[120:], "h"),
        "elsewhere": film_set("other films", noise(40, 2), "e", dataset="set-b"),
    }


@pytest.mark.usefixtures("few_pairs")
def test_fidelity_of_films_of_the_same_kind_and_of_other_films(context, real):
    near = fidelity.measure(context(material(film_set("made", noise(120, 3), "s"), **real)))
    flat = [np.clip(noise(1, 6)[0].astype(int) + i % 3, 0, 255).astype(np.uint8) for i in range(120)]
    far = fidelity.measure(context(material(film_set("made", flat, "s"), **real)))
    for found, close in ((near, True), (far, False)):
        frechet, kernel = values(found, "frechet"), values(found, "kernel")
        half = frechet[OTHER_HALF]
        assert (frechet["synthetic"].value < 1.5 * half.value) == close
        assert (kernel["synthetic"].low < kernel[OTHER_HALF].high) == close
    assert values(far, "coverage")["synthetic"].value < 0.1
    assert values(far, "vendi")["synthetic"].value < values(near, "vendi")["synthetic"].value / 5
    assert values(near, "frechet")["real, blurred"].yardstick
    assert [missing.what for missing in near.missing] == ["source films"]


@pytest.mark.usefixtures("few_pairs")
def test_a_smaller_yardstick_has_a_protocol_of_its_own_with_synthetic_films_beside_it(context, real):
    found = fidelity.measure(context(material(film_set("made", noise(120, 3), "s"), **real)))
    sizes = {(value.subject, value.protocol.n) for value in found.values if value.key == "frechet"}
    assert {("synthetic", 120), ("synthetic", 40), ("real, another hospital", 40)} <= sizes


def test_too_few_films_say_how_many_are_needed(context, real):
    with pytest.raises(MetricError, match="too few films to audit: made; found 24; expected at least 25"):
        fidelity.measure(context(material(film_set("made", noise(24, 3), "s"), **real)))


def test_planted_copies_are_all_found(context, real):
    copied = [film.copy() for film in noise(240, 1)[:40]]
    made = film_set("made", [*copied, *noise(80, 4)], "s")
    found = copies.measure(context(material(made, **real)))
    assert values(found, "planted-found")["planted copies"].value == 1
    share = values(found, "beyond-likeness")["synthetic"]
    assert share.value == pytest.approx(1 / 3, abs=0.05)
    assert share.chance == pytest.approx(0.01)
    assert values(found, "authentic")["synthetic"].value < values(found, "authentic")["real, held out"].value
    assert values(found, "ct")["planted copies"].value < -5
    worst = found.shown[0]
    assert worst.beside == worst.image_id.replace("s/", "t/")
    assert len(found.shown) == 12


def test_planted_copies_are_found_by_an_approximate_search_too(context, real):
    pytest.importorskip("faiss")
    made = material(film_set("made", [*noise(240, 1)[:40], *noise(80, 4)], "s"), **real)
    exact, near = (
        copies.measure(replace(context(made), search=search)) for search in ("exact", "approximate")
    )
    assert values(near, "planted-found")["planted copies"].value == 1
    assert [shown.beside for shown in near.shown] == [shown.beside for shown in exact.shown]
    # Of a hundred films all walks end at the nearest one.
    assert [value.value for value in near.values] == [value.value for value in exact.values]


def test_fresh_films_are_no_copies(context, real):
    found = copies.measure(context(material(film_set("made", noise(120, 5), "s"), **real)))
    assert values(found, "beyond-likeness")["synthetic"].low <= 0.01
    assert abs(values(found, "ct")["synthetic"].value) < 3


def test_translations_give_their_source_away_and_unrelated_films_do_not(context, real):
    sources = film_set("sources", noise(60, 7), "o", each=2)
    origins = list(sources.ids[:40])
    faint = [np.clip(f.astype(int) + 15, 0, 255).astype(np.uint8) for f in noise(60, 7)[:40]]
    for films, expected in ((faint, 1.0), (noise(40, 8), 0.2)):
        made = film_set("made", films, "s", origins=origins, groups=sources.groups[:40])
        found = privacy.measure(context(material(made, sources=sources, **real)))
        top = values(found, "film-top1-features")
        assert top["source film before translation"].value == 1
        assert top["translated"].chance == pytest.approx(1 / 60)
        assert (top["translated"].value == 1) if expected == 1 else (top["translated"].value < expected)
        assert values(found, "patient-top10-pixels")["translated"].chance == pytest.approx(10 / 59)
        assert found.notes[0] == privacy.TRANSLATED


def test_tone_and_crops_do_not_hide_the_source_from_local_contrast(context, real):
    """Images that are blurred shades of their source elsewhere keep where its details are."""
    films = [film.astype(float) for film in noise(60, 7)]
    sources = film_set("sources", noise(60, 7), "o")
    shade = np.linspace(0, 90, 64)[:, None]
    toned = [
        np.clip(0.3 * (film if i % 2 else film[::-1]) + (shade if i % 3 else shade.T), 0, 255)
        for i, film in enumerate(films)
    ]
    cropped = [np.asarray(Image.fromarray(film.astype(np.uint8)[2:, :62]).resize((64, 64))) for film in toned]
    made = film_set("made", cropped, "s", origins=sources.ids, groups=sources.groups)
    found = privacy.measure(context(material(made, sources=sources, **real)))
    contrasted = values(found, "film-top1-local-contrast")
    # Every second image is upside down, and its source is not found.
    assert contrasted["translated"].value == pytest.approx(0.5, abs=0.08)
    assert contrasted["source film before translation"].value == 1
    assert contrasted["translated"].chance == pytest.approx(1 / 60)
    assert values(found, "film-top1-pixels")["translated"].value < contrasted["translated"].value


def test_likeness_of_local_contrast_is_one_for_the_film_and_its_crops(monkeypatch):
    films = np.stack(noise(5, 3))
    np.testing.assert_allclose(np.diag(contrast.likeness(films, films)), 1, atol=1e-5)
    cropped = np.stack(
        [
            np.asarray(Image.fromarray(film[:62, 2:]).resize((64, 64), Image.Resampling.BILINEAR))
            for film in films
        ]
    )
    alike = contrast.likeness(cropped, films)
    monkeypatch.setattr(contrast, "_AT_ONCE", 2)
    np.testing.assert_allclose(contrast.likeness(cropped, films), alike, atol=1e-5)
    assert np.diag(alike).min() > 0.95
    assert np.abs(alike - np.diag(np.diag(alike))).max() < 0.3


def test_membership_is_a_guess_without_copying_and_not_with_it(context, real):
    for films, separable in ((noise(100, 11), False), (noise(240, 1)[:100], True)):
        found = privacy.measure(context(material(film_set("made", films, "s"), **real)))
        score = values(found, "membership-nearest-features")["synthetic"]
        assert score.value > 0.75 if separable else score.value < 0.65
    assert [missing.what for missing in found.missing] == ["re-identification of sources"]
    assert any("control" in subject for subject in values(found, "membership-nearest-pixels"))


def test_an_approximate_search_leaves_out_the_attack_that_counts(context, real):
    pytest.importorskip("faiss")
    films = replace(
        context(material(film_set("made", noise(240, 1)[:100], "s"), **real)), search="approximate"
    )
    found = privacy.measure(films)
    assert values(found, "membership-nearest-features")["synthetic"].value > 0.75
    assert not values(found, "membership-count-features")
    assert "membership inference by the count within a radius" in [missing.what for missing in found.missing]


def test_unknown_training_films_are_no_members(context, real):
    found = privacy.measure(context(material(film_set("made", noise(30, 9), "s"), **real, known=False)))
    assert not found.values
    assert found.missing[-1].what == "membership inference"


def test_an_image_is_like_its_source_film_and_not_like_another(context, real):
    sources = film_set("sources", noise(60, 7), "o")
    faint = [np.clip(film.astype(int) + 15, 0, 255).astype(np.uint8) for film in noise(60, 7)]
    for films, same in ((faint, 1.0), (noise(60, 8), 0.0)):
        made = film_set("made", films, "s", origins=sources.ids, groups=sources.groups)
        found = copies.measure(context(material(made, sources=sources, **real)))
        taken = values(found, "own-source-same")
        assert taken["synthetic"].value == same
        other = taken["the source film of another image in its place"]
        assert (other.value, other.n, other.yardstick) == (0, 60, True)
        assert found.notes[0] == copies.OWN_SOURCE


def test_images_that_nobody_learned_for_say_so(context, real):
    made = material(film_set("made", noise(30, 5), "s"), **real, known=False)
    for films, text in (
        (made, "Nobody says which films"),
        (replace(made, untrained=True), "made by rules, without a network"),
    ):
        assert any(text in note for note in copies.measure(context(films)).notes)
    missing = privacy.measure(context(replace(made, untrained=True))).missing
    assert missing[-1].why == "no film was learned from"


# Shortcuts look for lungs, so these films are phantoms.


def test_a_marker_in_the_border_tells_the_source(context, drawn):
    marked = [film.copy() for film in drawn[30:]]
    for film in marked:
        film[:5, :5] = 255
    real = film_set("training films", drawn[:30], "t"), film_set("held-out", marked, "h", dataset="set-b")
    found = shortcuts.measure(context(material(film_set("made", drawn[:3], "s"), *real)))
    by_border = values(found, "source-borders")["set-a told from set-b"]
    assert by_border.value > 0.95
    inside = values(found, "source-inside-the-lungs")["set-a told from set-b"]
    assert inside.low < 0.75
    mixed = values(found, "source-8-x-8-thumbnails")["shuffled labels"]
    assert mixed.low < 0.5 < mixed.high
    assert any("real told from other" in m.what or "synthetic told" in m.what for m in found.missing)


def test_a_marker_in_the_lungs_is_told_from_inside_them(context, drawn):
    descriptors = context(
        material(film_set("m", drawn, "s"), film_set("t", [], "t"), film_set("h", [], "h"))
    ).descriptors
    seen = descriptors.lungs(film_set("films", drawn, "t"))
    assert seen.with_lungs.mean() > 0.5
    made = [np.where(mask, 255 - film, film) for film, mask in zip(drawn, seen.masks, strict=True)]
    found = shortcuts.measure(
        context(
            material(
                film_set("made", made[30:], "s"),
                film_set("training", drawn[:15], "t"),
                film_set("held-out", drawn[15:30], "h"),
            )
        )
    )
    assert values(found, "synthetic-inside-the-lungs")["synthetic told from real"].value > 0.9
    half = values(found, "synthetic-borders")["real half told from the other half"]
    assert half.yardstick


def test_what_the_generator_did_is_told_apart_from_what_the_sources_were(context, drawn):
    """Sources that are darker than the real films, images with a mark that their sources lack."""
    sources = film_set("sources", [film // 2 for film in drawn[:30]], "o")
    marked = [film // 2 for film in drawn[:30]]
    for film in marked:
        film[:6, :6] = 255
    films = material(
        film_set("made", marked, "s", origins=sources.ids, groups=sources.groups),
        film_set("training", drawn[30:45], "t"),
        film_set("held-out", drawn[45:], "h"),
        sources=sources,
    )
    found = shortcuts.measure(context(replace(films, encoding=Encoding("webp", 90))))
    border, inside = values(found, "synthetic-borders"), values(found, "synthetic-inside-the-lungs")
    assert inside["source films told from real"].value > 0.95
    assert inside["synthetic told from their source films"].low < 0.6
    assert border["synthetic told from their source films"].value > 0.95
    assert border["synthetic told from their source films in the same encoding"].value > 0.95
    assert border["source films in that encoding told from the same without it"].low < 0.6
    assert not border["synthetic told from their source films"].yardstick


def test_probes_leave_patients_whole():
    random = np.random.default_rng(0)
    people = [f"p{i // 4}" for i in range(80)]
    marks = np.repeat(random.normal(size=(20, 30)), 4, axis=0)
    labels = probes.shuffled(np.arange(80) // 4 % 2, people, 1)
    assert all(len(set(labels[i : i + 4])) == 1 for i in range(0, 80, 4))
    found = probes.auc(marks, labels, people)
    assert found.low < 0.6
    with pytest.raises(MetricError, match="too few patients for a probe; found 4"):
        probes.auc(marks[:16], labels[:16] * 0 + np.arange(16) % 2, people[:16])


def test_the_table_of_sections():
    assert [section.name for section in sections.load()] == list(sections.SECTIONS)
    assert [section.name for section in sections.load(["privacy", "fidelity"])] == ["fidelity", "privacy"]
    with pytest.raises(UnknownName, match="did you mean 'privacy'"):
        sections.load(["privac"])


def test_rows_are_kept_by_content(context, extractor):
    films = film_set("films", noise(10, 1), "t")
    first: Context = context(material(films, films, films))
    rows = first.descriptors.features(films)
    assert extractor.seen == 10
    renamed = film_set("others", noise(12, 1), "u")
    np.testing.assert_array_equal(
        context(material(films, films, films)).descriptors.features(renamed)[:10], rows
    )
    assert extractor.seen == 12


def test_features_that_are_not_finite(context, extractor):
    films = film_set("films", noise(3, 1), "t")
    made = context(material(films, films, films))
    made.descriptors.extractor = lambda batch: np.full((len(batch), 64), np.nan, np.float32)
    for name in ("name", "width", "sha256"):
        setattr(made.descriptors.extractor, name, getattr(extractor, name))
    with pytest.raises(MetricError, match="tiny gives no finite features; found t/0"):
        made.descriptors.features(films)


def test_held_out_films_that_are_training_films_do_not_hide_copies(context, real):
    films = noise(240, 1)
    twice = film_set("held-out films", [*films[:3], *films[120:]], "h")
    sets = {**real, "held_out": twice}
    found = copies.measure(context(material(film_set("made", films[:30], "s"), **sets)))
    assert values(found, "planted-found")["planted copies"].value == 1
    assert found.notes[0].startswith("3 of 123 held-out films are training films under another name")
