"""A path is a path: brackets, colons, a tilde, and folders named like something else."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import covid_synth_data as csd
from covid_synth_data.errors import ConfigError, ReleaseError, UnknownName
from covid_synth_data.files.cache import cache_folder
from covid_synth_data.release import loading, manifest

NAMES = ("x [v1]", "a::b", "100% *really*?", "hf:", "parquet", "csv", "train", "ä ö#ü", "{a,b}", "~")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("streaming", [False, True])
def test_a_root_of_any_name(world, tmp_path, name, streaming):
    root = tmp_path / "home" / name
    shutil.copytree(world.release, root / "covid-synth-cxr")
    for given in (root, root / "covid-synth-cxr"):
        rows = list(csd.load_dataset("covid-synth-cxr", "gnc", root=given, streaming=streaming))
        assert len(rows) == 24
        assert np.asarray(rows[3]["image"]).shape == (32, 32)
    assert csd.verify(root / "covid-synth-cxr").whole


@pytest.mark.parametrize("name", ["parquet", "csv", "json", "imagefolder", "x [v1]", "a::b"])
def test_a_root_in_the_working_directory(world, tmp_path, monkeypatch, name):
    """`datasets` has builders of these names."""
    shutil.copytree(world.release, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(csd.load_dataset("covid-synth-cxr", "gnc", root=name)) == 24
    assert len(list(csd.load_dataset("covid-synth-cxr", "gnc", root=name, streaming=True))) == 24


def test_the_path_in_place_of_the_name(world, tmp_path, monkeypatch):
    """As plain `datasets` has it; a path that leads nowhere is no repository."""
    shutil.copytree(world.release, tmp_path / "made" / "mine")
    monkeypatch.chdir(tmp_path)
    absolute = tmp_path / "made" / "mine"
    for name in (absolute, str(absolute), "made/mine", "./made/mine", Path("made/mine")):
        assert len(csd.load_dataset(name, "gnc")) == 24
        assert len(list(csd.load_dataset(name, "gnc", streaming=True))) == 24
        assert loading.release_manifest(name) == manifest.read(absolute)
        assert loading.folder_with_cards(name).resolve() == absolute
    for name in ("./made", Path("made"), absolute.parent, "~/no-such"):
        with pytest.raises(ReleaseError, match=r"is not a release; found no (manifest\.json|such folder)"):
            csd.load_dataset(name, "gnc")
    for name in ("made/x/y", "../mine", "a b/c"):
        with pytest.raises(ConfigError, match="is no repository; found .*; expected ORG/DATASET"):
            loading.fetch(name)
    with pytest.raises(UnknownName):
        csd.load_dataset("made/x/y", "gnc")


def test_the_home_folder(world, shell, monkeypatch):
    monkeypatch.setenv("HOME", str(world.folder))
    monkeypatch.setenv("USERPROFILE", str(world.folder))
    assert len(csd.load_dataset("covid-synth-cxr", "gnc", root="~")) == 24
    assert len(csd.load_dataset("covid-synth-cxr", "gnc", root="~/covid-synth-cxr")) == 24
    assert csd.verify("~/covid-synth-cxr").whole
    assert shell("verify", "~/covid-synth-cxr").code == 0
    assert csd.load_task("normal-vs-covid", "~/root")["train"].num_rows
    monkeypatch.setenv("COVID_SYNTH_CACHE", "~/kept")
    assert cache_folder() == world.folder / "kept"
    assert not Path("~").exists()


def test_a_changed_shard_is_not_read_from_the_copy(world):
    """The copy that `datasets` keeps is known by the hash of the manifest and the time of the file."""
    first = csd.load_dataset("covid-synth-cxr", "gnc", root=world.release)
    again = csd.load_dataset("covid-synth-cxr", "gnc", root=world.release)
    assert first.cache_files == again.cache_files
    shard = min((world.release / "cyclegan").iterdir())
    shard.touch()
    later = csd.load_dataset("covid-synth-cxr", "gnc", root=world.release)
    assert later.cache_files != first.cache_files


def test_sources_under_any_name(world, tmp_path):
    for name in ("x [v1]", "a::b", "*?"):
        root = Path(shutil.copytree(world.root, tmp_path / name))
        splits = csd.load_task("normal-vs-covid", root)
        assert np.asarray(splits["train"][0]["image"]).ndim == 2
        out = tmp_path / f"{name[0]}.parquet"
        csd.write_parquet(splits["train"], out)
        assert out.stat().st_size > 1000
