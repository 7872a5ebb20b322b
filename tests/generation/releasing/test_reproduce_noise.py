"""Rows that were made from noise are made again without any film."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from covid_synth_data.errors import CorruptRelease
from covid_synth_data.generators import build, weights
from covid_synth_data.release import manifest, verification, writing
from generation.kinds.kind import maker_of
from generation.recipe import family
from generation.releasing import build as releases
from generation.releasing.reproduce import reproduce

RECIPE = {
    "name": "tiny",
    "family": "wgan",
    "seed": 4,
    "data": {"tasks": ["normal-vs-covid"], "classes": ["covid-19"], "size": 96},
    "network": {"width": 4, "critic_width": 2},
    "training": {"steps": 1, "batch_size": 4},
    "release": {
        "dataset": "covid-synth-cxr",
        "version": "0.0.1",
        "subset": "wgan",
        "folder": "wgan",
        "count": 40,
        "shard_rows": 18,
        "codec": "png",
    },
}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 samples in three shards, whose borders lie within the blocks that samples are made in."""
    folder = tmp_path_factory.mktemp("noise")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        tensors = build("wgan", width=4).state_dict()
    card = {
        "name": "wgan.tiny",
        "kind": "sampler",
        "architecture": "wgan",
        "options": {"width": 4},
        "size": 96,
        "target_class": "covid-19",
        "licences": ["CC0 1.0"],
        "package_version": "0",
        "training": {
            "learned_from": {"films": [], "patients": []},
            "sources": [],
            "recipe": RECIPE,
            "steps": 1,
            "films": {"covid-19": 4},
            "fingerprints": {"covid-19": "0"},
            "permissive": True,
            "torch": "0",
        },
    }
    weights.save(folder / "tiny.safetensors", tensors, card)
    recipe = family("wgan").Recipe.model_validate(RECIPE)
    maker = maker_of(recipe, None, folder / "tiny.safetensors", "cpu")
    return releases.release(recipe, maker, folder / "release", None, lambda *_: None)


def test_every_pixel_is_the_same(released):
    report = reproduce(released, None, 30, 0, "cpu", lambda *_: None)
    assert report.exact
    assert report.passed
    assert len(report.rows) == 30
    assert {row.verdict for row in report.rows} == {"exact"}


def _with_first_row(released: Path, out: Path, **changes: object) -> Path:
    """A copy of the release whose first row is another, and which says so in its manifest."""
    out.mkdir()
    for path in released.rglob("*"):
        if path.is_file():
            (out / path.relative_to(released)).parent.mkdir(parents=True, exist_ok=True)
            (out / path.relative_to(released)).write_bytes(path.read_bytes())
    shard = "wgan/wgan-00000-of-00003.parquet"
    table = pq.read_table(out / shard)
    rows = table.to_pylist()
    rows[0] |= changes
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), out / shard)
    listed = manifest.read(out)
    files = [writing.entry(out, shard, "wgan") if file.path == shard else file for file in listed.files]
    manifest.write(out, listed.model_copy(update={"files": files}))
    assert verification.verify(out).whole
    return out


def test_a_row_that_is_not_what_it_says_is_found(released, tmp_path):
    other = _with_first_row(released, tmp_path / "other", variant="noise:1")
    report = reproduce(other, None, 40, 0, "cpu", lambda *_: None)
    assert [row.image_id for row in report.rows if row.verdict == "differs"] == ["wgan-00000"]


@pytest.mark.parametrize("variant", ["noise:", "noise:-1", "noise:x", "noise:99999999999", "noise:900"])
def test_a_row_without_lineage_is_one_line(released, tmp_path, variant):
    other = _with_first_row(released, tmp_path / "other", variant=variant)
    with pytest.raises(CorruptRelease, match="no lineage|not made together"):
        reproduce(other, None, 40, 0, "cpu", lambda *_: None)
