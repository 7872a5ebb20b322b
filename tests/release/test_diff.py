"""What differs between two versions is found and counted, and nothing else is."""

from __future__ import annotations

import hashlib
import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import covid_synth_data as csd
from covid_synth_data import schema
from covid_synth_data.errors import CorruptRelease, ReleaseError
from covid_synth_data.release import diff, hub, manifest

Rows = list[dict[str, Any]]


@pytest.fixture
def old(made_release: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_release / "covid-synth-cxr", tmp_path / "old"))


@pytest.fixture
def new(old: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(old, tmp_path / "new"))


def relist(release: Path) -> None:
    """Let the manifest say what is there."""
    content = json.loads((release / "manifest.json").read_text())
    for file in content["files"]:
        raw = (release / file["path"]).read_bytes()
        file |= {"sha256": hashlib.sha256(raw).hexdigest(), "size": len(raw)}
        if "rows" in file:
            file["rows"] = pq.read_metadata(release / file["path"]).num_rows
    for name, subset in content["subsets"].items():
        subset["rows"] = sum(file["rows"] for file in content["files"] if file.get("subset") == name)
    (release / "manifest.json").write_text(json.dumps(content))


def rewrite(release: Path, edit: Callable[[Rows], Rows], shard: int = 0) -> None:
    path = sorted((release / "cyclegan").iterdir())[shard]
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(edit(table.to_pylist()), schema=table.schema), path)
    relist(release)


def edit_manifest(release: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads((release / "manifest.json").read_text())
    edit(content)
    (release / "manifest.json").write_text(json.dumps(content))


def test_nothing_changed(old, new):
    found = csd.diff(old, new)
    assert found.same
    assert found.rows == {"gnc": diff.RowChanges(24, 24, 0, 0, 0, {}, {})}
    assert all(getattr(found, kind) == [] for kind in diff.KINDS)


def test_the_same_rows_in_other_shards_and_another_order_are_the_same_rows(old, new):
    rewrite(new, lambda rows: rows[::-1])
    found = csd.diff(old, new)
    assert found.same_rows
    assert found.rows["gnc"].same


def test_rows_added_removed_and_changed(old, new):
    def edit(rows: Rows) -> Rows:
        rows[1]["image"]["bytes"] += b"\0"
        rows[2]["source_license"] = "CC BY 4.0"
        rows[3] |= {"source_license": "CC BY 4.0", "seed": 9}
        rows[4]["image"]["path"] = "another-name.png"
        return [*rows[1:], {**rows[1], "image_id": "gnc-90000"}, {**rows[1], "image_id": "gnc-90001"}]

    rewrite(new, edit)
    found = csd.diff(old, new)
    changes = found.rows["gnc"]
    assert (changes.old, changes.new, changes.added, changes.removed, changes.images) == (24, 25, 2, 1, 1)
    assert changes.columns == {"seed": 1, "source_license": 2}
    assert changes.examples == {
        "added": ["gnc-90000", "gnc-90001"],
        "removed": ["gnc-00000"],
        "changed": ["gnc-00001", "gnc-00002", "gnc-00003"],
    }
    assert not found.same
    assert found.recipe == found.weights == found.columns == []
    text = found.text()
    assert "gnc: 24 -> 25: 2 added, 1 removed, 1 with other images, 1 with another seed" in text
    assert "removed: gnc-00000" in text


def test_a_subset_that_is_new_or_gone(old, new, tmp_path):
    def without(content: dict[str, Any]) -> None:
        content["subsets"]["gpc"] = content["subsets"].pop("gnc")
        for file in content["files"]:
            if "subset" in file:
                file["subset"] = "gpc"

    edit_manifest(new, without)
    found = csd.diff(old, new).rows
    assert (found["gnc"].removed, found["gnc"].added) == (24, 0)
    assert (found["gpc"].removed, found["gpc"].added) == (0, 24)


def test_columns_configs_weights_recipe_sources_licences_code(old, new):
    for path in sorted((new / "cyclegan").iterdir()):
        table = pq.read_table(path).drop_columns(["seed"])
        extra = pa.array(["x"] * len(table))
        pq.write_table(table.append_column("view", extra), path)
    card = (new / "README.md").read_text()
    (new / "README.md").write_text(card.replace("gnc-*.parquet", "gnc-0*.parquet"))
    (new / "weights/tiny.safetensors").write_bytes(b"others")
    relist(new)

    def edit(content: dict[str, Any]) -> None:
        content["version"] = "0.1.0"
        subset = content["subsets"]["gnc"]
        subset["recipe"]["training"]["epochs"] = 7
        subset["recipe"]["data"]["phantom"] = {"size": 64, "patients": 8}
        del subset["recipe"]["release"]["quality"]
        subset["sources"]["phantom"]["films"] = 11
        subset |= {"licences": ["CC BY 4.0"], "code_version": "0.2.0", "device": "cuda X"}
        subset["libraries"]["torch"] = "9.9"

    edit_manifest(new, edit)
    found = csd.diff(old, new)
    assert (found.old, found.new) == ("covid-synth-cxr 0.0.1", "covid-synth-cxr 0.1.0")
    change = diff.Change
    assert found.columns == [change("gnc.seed", "int64", None), change("gnc.view", None, "string")]
    assert found.configs == [change("gnc", "cyclegan/gnc-*.parquet", "cyclegan/gnc-0*.parquet")]
    assert found.recipe == [
        change("gnc.data.phantom.size", "32", "64"),
        change("gnc.release.quality", "95", None),
        change("gnc.training.epochs", "1", "7"),
    ]
    assert [one.key for one in found.weights] == ["weights/tiny.safetensors"]
    assert [one.key for one in found.sources] == ["gnc.phantom"]
    assert found.licences == [change("gnc", "CC0 1.0", "CC BY 4.0")]
    assert {one.key for one in found.code} == {"gnc.code", "gnc.device", "gnc.torch"}
    assert {one.key for one in found.other_files} == {"README.md"}
    assert found.rows["gnc"].same
    assert json.loads(found.json())["recipe"][0]["key"] == "gnc.data.phantom.size"


def test_the_command(shell, world, tmp_path):
    new = Path(shutil.copytree(world.release, tmp_path / "new"))
    rewrite(new, lambda rows: rows[1:])
    done = shell("diff", world.release, new)
    assert done.code == 0
    assert "gnc: 24 -> 23: 1 removed" in done.out
    assert json.loads(shell("diff", world.release, new, "--json").out)["rows"]["gnc"]["removed"] == 1
    shell("diff", world.release, tmp_path / "nowhere").error("no release", "ORG/NAME@v1.0.0")


def test_versions_on_the_hub_are_fetched(old, new, monkeypatch):
    asked = []

    def fetch(repo: str, version: str, subsets: object = (), others: object = ()) -> hub.Snapshot:
        asked.append((repo, version, sorted(subsets), tuple(others)))
        return hub.Snapshot(new, manifest.read(new))

    monkeypatch.setattr(hub, "fetch", fetch)
    assert csd.diff(old, "org/name@v0.0.1").same
    assert asked[-1] == ("org/name", "0.0.1", ["gnc"], ("README.md",))
    for wrong in ("org/name", "org/name@", "name@v1.0.0", "org/name@v1.0.0/x", "../x@1.0.0"):
        with pytest.raises(ReleaseError, match="no release"):
            csd.diff(old, wrong)


def test_two_rows_of_one_name(old, new):
    rewrite(new, lambda rows: [*rows, rows[0]])
    with pytest.raises(CorruptRelease, match="two rows of one image_id"):
        csd.diff(old, new)


def test_control_characters_do_not_reach_the_terminal(old, new):
    rewrite(new, lambda rows: [{**rows[0], "image_id": "\x1b[2Jgone"}, *rows[1:]])
    assert "\x1b" not in csd.diff(old, new).text()


def big(folder: Path, template: Path, rows: int, size: int) -> Path:
    """A release of one shard with `rows` images of `size` random bytes."""
    shutil.copytree(template, folder)
    for path in (folder / "cyclegan").iterdir():
        path.unlink()
    random = np.random.default_rng([7, rows])
    kinds = schema.features(schema.SYNTHETIC_COLUMNS).arrow_schema
    path = folder / "cyclegan/gnc-00000-of-00001.parquet"
    with pq.ParquetWriter(path, kinds) as writer:
        for start in range(0, rows, 256):
            group = [
                {
                    "image": {"bytes": random.bytes(size), "path": None},
                    "label": 2,
                    "image_id": f"gnc-{i:05d}",
                    "subset": "gnc",
                }
                for i in range(start, min(start + 256, rows))
            ]
            writer.write_table(pa.Table.from_pylist(group, schema=kinds))
    entry = {"path": "cyclegan/gnc-00000-of-00001.parquet", "rows": rows, "subset": "gnc"}

    def edit(content: dict[str, Any]) -> None:
        content["files"] = [file for file in content["files"] if "subset" not in file] + [entry]

    edit_manifest(folder, edit)
    relist(folder)
    return folder


def test_memory_does_not_grow_with_the_images(old, tmp_path):
    """40 MB of images on each side; what stays in memory is a few batches and the digests."""
    folders = [big(tmp_path / name, old, 2048, 20_000) for name in ("one", "two")]
    before = pa.total_allocated_bytes()
    pool = pa.default_memory_pool()
    tracemalloc.start()
    peak_of_arrow = 0

    def tick(done: int, total: int) -> None:
        nonlocal peak_of_arrow
        peak_of_arrow = max(peak_of_arrow, pool.bytes_allocated() - before)

    found = diff.diff(*folders, tick)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.rows["gnc"].same
    assert found.rows["gnc"].new == 2048
    assert peak < 8e6
    assert peak_of_arrow < 16e6
