"""Loading and verifying releases, beyond what the tests of making them cover."""

from __future__ import annotations

import json
import shutil

import huggingface_hub
import pytest

from covid_synth_data import catalog
from covid_synth_data.errors import CorruptRelease, HubError, OutputError, ReleaseError, UnknownName
from covid_synth_data.release import hub as remote
from covid_synth_data.release import loading, manifest, places, verification


def test_entries_by_name():
    assert loading.entry("covid-synth-cxr").config == "cyclegan"
    assert loading.entry("covid-synth-cxr", "gpc").count == 4758
    with pytest.raises(UnknownName, match="did you mean 'covid-synth-cxr'"):
        loading.entry("covid-synth-cx")
    with pytest.raises(UnknownName, match="config of covid-synth-cxr 'wgna'"):
        loading.entry("covid-synth-cxr", "wgna")
    with pytest.raises(UnknownName, match="unknown split 'test'; expected one of train"):
        loading.load_dataset("covid-synth-cxr", "gnc", split="test")


def test_names_of_repositories():
    assert loading.repository("covid-synth-cxr") == catalog.REPOSITORIES["covid-synth-cxr"]
    assert loading.repository("fork/covid-synth-cxr") == "fork/covid-synth-cxr"
    assert loading.entry("fork/covid-synth-cxr", "gpc").config == "gpc"


def test_without_a_network_one_line_names_every_place_that_was_tried(monkeypatch, tmp_path):
    monkeypatch.setattr(places, "CHECKOUT", tmp_path / "none")
    for version, said in (("1.0.0", "v1.0.0 cannot be fetched"), (None, "the versions of .* cannot be read")):
        with pytest.raises(HubError, match=rf"{said}; found HF_HUB_OFFLINE.*root=") as caught:
            loading.load_dataset("covid-synth-cxr", "gnc", version=version)
        text = str(caught.value)
        assert "\n" not in text
        for part in ("not in the cache", "no checkout", "COVID_SYNTH_RELEASES not set", "covid-synth fetch"):
            assert part in text, part


def test_places_are_searched_in_their_order(world, monkeypatch, tmp_path):
    """The checkout before the folders of the environment; the newest version where none is asked for."""
    monkeypatch.setattr(places, "CHECKOUT", tmp_path / "releases")
    monkeypatch.setenv(places.ENVIRONMENT, str(world.folder))
    assert places.find("covid-synth-cxr", ("gnc",)).kind == "environment"
    assert len(loading.load_dataset("covid-synth-cxr", "gnc")) == 24
    assert loading.release_folder("covid-synth-cxr") == world.release
    shutil.copytree(world.release, tmp_path / "releases" / "covid-synth-cxr")
    assert places.find("covid-synth-cxr", ("gnc",)).kind == "checkout"
    listed = manifest.read(world.release)
    manifest.write(world.release, listed.model_copy(update={"version": "0.0.2"}))
    assert places.find("covid-synth-cxr", ("gnc",)).kind == "environment"
    assert places.find("covid-synth-cxr", ("gnc",), "0.0.1").kind == "checkout"
    assert loading.release_manifest("covid-synth-cxr").version == "0.0.2"
    assert places.find("covid-synth-cxr", ("gpc",)) is None


def test_a_release_whose_shards_are_not_all_there_is_passed_over(world, monkeypatch, tmp_path):
    monkeypatch.setattr(places, "CHECKOUT", tmp_path / "none")
    monkeypatch.setenv(places.ENVIRONMENT, f"{tmp_path / 'empty'}:{world.release}")
    assert places.find("covid-synth-cxr", ("gnc",)) is not None
    next((world.release / "cyclegan").iterdir()).unlink()
    assert places.find("covid-synth-cxr", ("gnc",)) is None
    (world.release / manifest.NAME).write_text("{")
    assert places.here("covid-synth-cxr") == []


@pytest.fixture
def no_checkout(monkeypatch, tmp_path):
    """The release of this checkout is out of sight."""
    monkeypatch.setattr(places, "CHECKOUT", tmp_path / "none")


@pytest.mark.usefixtures("no_checkout")
@pytest.mark.parametrize("error", [OSError("offline"), ValueError("no such name\nmore"), ConnectionError()])
@pytest.mark.parametrize("streaming", [False, True])
def test_what_the_hub_answers_is_one_line(monkeypatch, error, streaming):
    def fail(*_args, **_options):
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(HubError, match=r"v1\.0\.0 cannot be fetched; found") as caught:
        loading.load_dataset("covid-synth-cxr", "gnc", version="1.0.0", streaming=streaming)
    assert "more" not in str(caught.value)


@pytest.mark.usefixtures("no_checkout")
def test_a_full_disk_under_the_cache_of_the_hub(monkeypatch):
    def fail(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(OutputError, match="no space left"):
        loading.load_dataset("covid-synth-cxr", "gnc", version="1.0.0")


def test_versions_are_ordered_as_numbers():
    assert remote.ascending(["v1.10.0", "v1.9.1", "1.2.3", "v2.0.0-rc1", "main", "v01.0.0"]) == [
        "1.9.1",
        "1.10.0",
    ]


@pytest.mark.parametrize("version", [None, "latest", "0.0.1"])
def test_a_folder_holds_one_version(world, version):
    assert len(loading.load_dataset("covid-synth-cxr", "gnc", version=version, root=world.release)) == 24
    assert loading.release_manifest("covid-synth-cxr", version, world.folder).version == "0.0.1"


@pytest.mark.parametrize(
    "card", ["", "---\nconfigs: [\n---\n", "---\nconfigs: 3\n---\n", "no front matter", "\udcff"]
)
def test_a_broken_card_is_a_corrupt_release(world, card):
    (world.release / "README.md").write_text(card, errors="surrogateescape")
    with pytest.raises(ReleaseError, match="covid-synth verify") as caught:
        loading.load_dataset("covid-synth-cxr", "gnc", root=world.release)
    assert "\n" not in str(caught.value)


def test_a_shard_of_the_right_size_that_is_no_parquet(world):
    shard = min((world.release / "cyclegan").iterdir())
    shard.write_bytes(b"\0" * shard.stat().st_size)
    with pytest.raises(CorruptRelease, match="expected a parquet file"):
        loading.load_dataset("covid-synth-cxr", "gnc", root=world.release)
    report = verification.verify(world.release)
    assert [problem.split(":")[0] for problem in report.problems] == [f"cyclegan/{shard.name}"]


def test_a_shard_that_matches_its_checksum_but_is_no_parquet(world):
    shard = min((world.release / "cyclegan").iterdir())
    shard.write_bytes(b"PAR1" * 5)
    listed = manifest.read(world.release)
    import hashlib

    digest = hashlib.sha256(shard.read_bytes()).hexdigest()
    files = [
        file.model_copy(update={"sha256": digest, "size": 20}) if file.path.endswith(shard.name) else file
        for file in listed.files
    ]
    manifest.write(world.release, listed.model_copy(update={"files": files}))
    assert "expected a parquet file" in verification.verify(world.release).problems[0]


def test_verify_reports_progress_in_bytes_and_skips_hidden_files(world):
    (world.release / ".cache").mkdir()
    (world.release / ".cache/x").write_text("x")
    seen: list[tuple[int, int]] = []
    report = verification.verify(world.release, lambda done, total: seen.append((done, total)))
    assert report.whole
    assert seen[-1][0] == seen[-1][1] == report.size
    assert len(seen) == report.files == len(json.loads((world.release / manifest.NAME).read_text())["files"])
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_reading_the_manifest_back_gives_the_same_bytes(world):
    before = (world.release / manifest.NAME).read_bytes()
    manifest.write(world.release, manifest.read(world.release))
    assert (world.release / manifest.NAME).read_bytes() == before
