"""The whole cycle on phantoms: release, push, load, release again, push, load both, diff, reproduce."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hub.conftest import REPO


@pytest.fixture
def versions(made_release: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The release of the tests, and a next version of it: 30 images instead of 24, by the same weights."""
    from generation.kinds.kind import maker_of
    from generation.recipe import load_recipe
    from generation.releasing import build

    text = (made_release / "tiny.toml").read_text()
    (tmp_path / "next.toml").write_text(
        text.replace('"0.0.1"', '"0.1.0"').replace("count = 24", "count = 30")
    )
    recipe = load_recipe(tmp_path / "next.toml")
    weights = made_release / "run" / "tiny.safetensors"
    maker = maker_of(recipe, None, weights, "cpu")
    newer = build.release(recipe, maker, tmp_path / "covid-synth-cxr", None, lambda *_: None)
    return made_release / "covid-synth-cxr", newer


def loaded(client, version: str) -> list[str]:
    return client.python(
        "import json, covid_synth_data as csd\n"
        f"print(json.dumps(csd.load_dataset({REPO!r}, 'gnc', version={version!r})['image_id'][:]))"
    ).value


def test_two_versions_from_release_to_reproduction(hub, client, versions):
    old, new = versions
    client.generation("publish", old, "--repo", REPO, "--version", "0.0.1").ok()
    assert loaded(client, "0.0.1") == [f"gnc-{i:05d}" for i in range(24)]

    client.generation("publish", new, "--repo", REPO, "--version", "0.1.0").ok()
    assert loaded(client, "0.0.1") == [f"gnc-{i:05d}" for i in range(24)]
    assert loaded(client, "latest") == loaded(client, "0.1.0") == [f"gnc-{i:05d}" for i in range(30)]

    done = client.python(
        "import sys; from covid_synth_data.cli import main\n"
        f"sys.argv = ['covid-synth', 'diff', '{REPO}@v0.0.1', '{REPO}@v0.1.0', '--json']; main()"
    )
    found = json.loads(done.ok().out)
    rows = found["rows"]["gnc"]
    assert (rows["old"], rows["new"], rows["added"], rows["removed"], rows["images"]) == (24, 30, 6, 0, 0)
    assert found["weights"] == []
    assert not found["same"]

    done = client.generation("reproduce", f"{REPO}@v0.1.0", "--rows", 20, "--device", "cpu")
    assert "20" in done.ok().out
