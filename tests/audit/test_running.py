"""An audit from the shell to its files, its result file, its page, its part of a card."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covid_synth_data import audit
from covid_synth_data.audit import card, page, protocol, result, running, sections
from covid_synth_data.errors import ConfigError, ResultError
from covid_synth_data.release import manifest
from tests.audit.conftest import TinyExtractor, film_set, material, noise
from tests.hub import releases
from tests.support import film, write_root


@pytest.fixture(scope="module")
def films():
    real = noise(160, 1)
    origins = [f"o/{i}" for i in range(60)]
    return material(
        film_set("made", noise(60, 3), "s", origins=origins, groups=origins),
        film_set("training films", real[:80], "t"),
        film_set("held-out films", real[80:], "h"),
        sources=film_set("sources", noise(60, 4), "o"),
    )


@pytest.fixture(scope="module")
def found(films):
    return running.measure(films, sections.load(["fidelity", "copies", "privacy"]), TinyExtractor())


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(running, "_extractor", lambda named, device: TinyExtractor())


def test_a_result_file_comes_back_as_it_was(found, tmp_path):
    result.write(tmp_path / "gnc.json", found)
    assert result.read(tmp_path / "gnc.json") == found
    assert all(value.protocol.reference for section in found.sections for value in section.values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format"),
        ({"kind": "fidelity"}, "kind"),
        ({"more": 1}, "more"),
        ({"sections": []}, "sections"),
    ],
)
def test_files_that_are_no_audit(found, tmp_path, change, message):
    path = tmp_path / "gnc.json"
    path.write_text(json.dumps(json.loads(found.model_dump_json()) | change))
    with pytest.raises(ResultError, match=message):
        result.read(path)
    with pytest.raises(ResultError, match="no file"):
        result.read(tmp_path / "none.json")


def test_values_of_two_protocols_do_not_compare(found):
    rows = [value for value in found.sections[0].values if value.key == "frechet"]
    assert audit.difference(rows[0], rows[1]) == rows[0].value - rows[1].value
    for change in ({"n": 3}, {"extractor": "inception"}, {"seed": 5}, {"reference": "others"}):
        other = rows[1].model_copy(update={"protocol": rows[1].protocol.model_copy(update=change)})
        with pytest.raises(ResultError, match=f"do not compare; found {next(iter(change))}"):
            protocol.difference(rows[0], other)
    kernel = next(value for value in found.sections[0].values if value.key == "kernel")
    with pytest.raises(ResultError, match="found key"):
        protocol.difference(rows[0], kernel)


def test_the_page_needs_nothing_else_and_shows_no_real_film(found, films):
    text = page.render(found, films)
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    assert text.count("<section") == 3
    real = {page.picture(films.training, place) for place in range(len(films.training))}
    assert not any(one in text for one in real)
    nearest = found.sections[1].shown[0]
    assert f"{nearest.image_id}; nearest {nearest.beside}" in text
    with_real = page.render(found, films, real=True)
    assert page.picture(films.training, films.training.ids.index(nearest.beside)) in with_real
    assert "films of real people" in with_real


def test_names_on_the_page_are_escaped(found, films):
    subject = found.subject.model_copy(update={"config": "<script>"})
    assert "<script>" not in page.render(found.model_copy(update={"subject": subject}), films)


def test_the_card_has_each_number_and_what_is_missing(found):
    text = card.markdown(found)
    assert text.count("### ") == 3
    for section in found.sections:
        assert section.question in text
        assert all(missing.why.rstrip(".") in text for missing in section.missing)
    assert "| Frechet distance | **synthetic** |" in text
    assert "0.500 by chance" in text


def test_the_quality_of_ct_slices_goes_on_the_card_of_its_weights(tmp_path):
    from generation.releasing.documents import scorecard

    listed = manifest.read(releases.build(tmp_path / "rel"))
    digest = next(file.sha256 for file in listed.files if file.path == listed.subsets["gnc"].weights)
    average = {"mean": 0.5, "deviation": 0.1, "n": 9, "left_out": 0}
    quality = {"side": 64, "psnr": average, "ssim": average, "rmse": average, "fid": None}
    content = {"format": 1, "kind": "ct-quality", "weights_sha256": digest, "lung": quality}
    path = tmp_path / "ct-quality" / "one.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content | {"complemented": quality}))
    rows = scorecard.ct_quality(tmp_path, listed)
    assert [row.name for row in rows][:2] == ["PSNR, whole slice", "SSIM, whole slice"]
    assert {row.subset for row in rows} == {"gnc"}
    path.write_text(json.dumps(content | {"complemented": quality, "weights_sha256": "0"}))
    assert scorecard.ct_quality(tmp_path, listed) == ()
    path.write_text(json.dumps(content))
    with pytest.raises(ResultError, match="one.json"):
        scorecard.ct_quality(tmp_path, listed)


def test_the_scorecard_reads_what_an_audit_writes(found, tmp_path):
    from generation.releasing.documents import scorecard
    from generation.releasing.documents.measured import Measured

    result.write(tmp_path / "audit" / "gnc.json", found)
    listed = manifest.read(releases.build(tmp_path / "rel"))
    files = scorecard.read(tmp_path, listed)
    scores = scorecard.scores_of(tmp_path, files)
    assert [one.name for one in scores] == ["fidelity", "copies", "privacy"]
    shown = scorecard.added(Measured(), tmp_path, listed)
    assert len(shown.fidelity) == len(found.sections[0].values)
    assert len(shown.privacy) == len(found.sections[1].values) + len(found.sections[2].values)
    assert shown.privacy[0].evidence.path == "audit/gnc.json"
    assert scorecard.read(tmp_path, listed.model_copy(update={"name": "covid-synth-ct"})) == []
    assert scorecard.added(Measured(), None, listed) == Measured()


def test_a_card_reads_each_audit_once(found, tmp_path, monkeypatch):
    from generation.releasing.documents import scorecard
    from generation.releasing.documents.measured import Measured

    for name in ("gnc", "again"):
        result.write(tmp_path / "audit" / f"{name}.json", found)
    listed = manifest.read(releases.build(tmp_path / "rel"))
    opened = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: opened.append(path.name) or read_bytes(path))
    shown = scorecard.added(Measured(), tmp_path, listed)
    assert sorted(opened) == ["again.json", "gnc.json"]
    assert len(shown.audits) == 2
    assert shown.images is not None


# The shell, on a folder of images and a root of real sets


@pytest.fixture
def folders(tmp_path):
    write_root(tmp_path / "root", positives=60)
    for number in range(30):
        film(tmp_path / "made" / f"s-{number}.png", 5000 + number, side=40 + number)
    Image.fromarray(np.zeros((64, 64, 4), np.uint8)).save(tmp_path / "made" / "colour.png")
    return tmp_path


def test_a_folder_of_images_of_several_sizes_and_modes(shell, folders):
    out = folders / "audit"
    done = shell("audit", folders / "made", "--root", folders / "root", "--out", out, "--only", "copies")
    assert done.code == 0, done.err
    assert "planted copies found" in done.out
    found = result.read(out / "made.json")
    assert found.subject.version is None
    assert found.films["training"].films + found.films["held_out"].films == 60
    assert any("Nobody says" in note for note in found.sections[0].notes)
    assert (out / "made.html").read_text().startswith("<!doctype html>")


def test_a_page_with_real_films(shell, folders):
    local = folders / "local.html"
    done = shell(
        *("audit", folders / "made", "--root", folders / "root", "-o", folders / "a"),
        *("--only", "copies", "--local", local, "--json"),
    )
    assert done.code == 0, done.err
    assert json.loads(done.out)["kind"] == "audit"
    assert 'alt="real film' in local.read_text()


def test_a_page_with_real_films_is_refused_in_a_repository(folders):
    (folders / "repo" / ".git").mkdir(parents=True)
    with pytest.raises(ConfigError, match="does not belong in a repository"):
        running.run("gnc", local=folders / "repo" / "page.html")


def test_an_approximate_search_is_recorded_and_shown(shell, folders):
    pytest.importorskip("faiss")
    asked = ("audit", folders / "made", "--root", folders / "root", "--only", "copies", "-o")
    done = shell(*asked, folders / "near", "--search", "approximate")
    assert done.code == 0, done.err
    stated = "approximate, HNSW graph with 16 links"
    assert "no number compares with one of an exact search" in done.out
    assert stated in done.out
    near = result.read(folders / "near" / "made.json")
    page_text = (folders / "near" / "made.html").read_text()
    assert near.search.startswith(stated)
    assert "for copies approximate" in near.search
    assert "no number compares with one of an exact search" in page_text
    assert {value.protocol.search for value in near.sections[0].values} == {near.search}
    assert near.code.libraries["faiss-cpu"]
    # Beside an exact audit of the same films.
    done = shell(*asked, folders / "exact")
    assert "HNSW" not in done.out
    assert "HNSW" not in (folders / "exact" / "made.html").read_text()
    exact = result.read(folders / "exact" / "made.json")
    assert exact.search == "exact"
    first, second = (found.sections[0].values[0] for found in (exact, near))
    assert first.key == second.key
    with pytest.raises(ResultError, match="do not compare; found search 'exact' and 'approximate"):
        audit.difference(first, second)
    assert "search" not in str(first.protocol)
    assert near.search in str(second.protocol)


def test_an_audit_of_before_there_was_a_choice_was_exact(found, tmp_path):
    older = json.loads(found.model_dump_json())
    del older["search"]
    for section in older["sections"]:
        for value in section["values"]:
            del value["protocol"]["search"]
    (tmp_path / "gnc.json").write_text(json.dumps(older))
    assert result.read(tmp_path / "gnc.json") == found


def test_what_the_shell_says_of_bad_input(shell, folders):
    root = ("--root", folders / "root")
    shell("audit", "gnx", *root).error("unknown config", "did you mean 'gnc'")
    shell("audit", folders / "made").error("without real films", "--root")
    shell("audit", folders / "made", *root, "--only", "fidelty").error("did you mean 'fidelity'")
    shell("audit", folders / "made", *root, "--label", "flu").error("no real flu films")
    shell("audit", folders / "made", *root, "--search", "aproximate").error("did you mean 'approximate'")
    shell("audit", folders / "made", *root, "--limit", 5).error("found 5", "at least 20")
    (folders / "empty").mkdir()
    shell("audit", folders / "empty", *root).error("no images in")
    (folders / "made" / "broken.png").write_bytes(b"not an image")
    done = shell("audit", folders / "made", *root, "--only", "copies", "-o", folders / "a")
    done.error("broken.png", "download or copy that file again")


def test_an_approximate_search_without_its_library(shell, folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    root = ("--root", folders / "root")
    near = ("--search", "approximate")
    made = ("import", folders / "made", "-o", folders / "rel", "--config", "mine", "--label", "covid-19")
    for command in (("audit", folders / "made"), ("tasks", "normal-vs-covid"), made):
        done = shell(*command, *root, *near)
        done.error(
            "'faiss', which finds approximate neighbours, is not installed", "covid-synth-data[search]"
        )
    assert not (folders / "rel").exists()


def test_a_missing_extractor(monkeypatch):
    from covid_synth_data.classifiers.extractor import Extractor
    from covid_synth_data.errors import UnknownName

    with pytest.raises(UnknownName, match="did you mean 'resnet50'"):
        Extractor("cpu", network="resnet5")
