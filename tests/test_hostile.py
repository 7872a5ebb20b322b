"""Releases made to harm: whatever they try, the answer is one line, exit code 2, and nothing is touched.

Where a manifest could tell, it is made to agree with the attack: a forger writes checksums too.
"""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import covid_synth_data as csd
from covid_synth_data.errors import BadImage, CorruptRelease, ReleaseError
from covid_synth_data.files import pixels
from covid_synth_data.release import batches, card_yaml, manifest, verification
from tests.support import tree

Attack = Callable[[Path], None]
SECRET = "root:x:0:0"


@pytest.fixture
def release(world) -> Path:
    (world.folder / "secret").mkdir()
    (world.folder / "secret/passwd").write_text(SECRET)
    return world.release


def shard_of(release: Path) -> Path:
    return min((release / "cyclegan").iterdir())


def edit(release: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = release / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def agree(release: Path, path: Path, **more: object) -> None:
    """Let the manifest list `path` as it is now."""
    raw = path.read_bytes()
    entry = {"sha256": hashlib.sha256(raw).hexdigest(), "size": len(raw), **more}
    name = path.relative_to(release).as_posix()
    edit(release, lambda content: next(f for f in content["files"] if f["path"] == name).update(entry))


@pytest.fixture
def refused(shell, maintain, release):
    """Every command that reads a release refuses it: one line, exit code 2, nothing on disk changes."""

    def check(*says: str, commands: str = "verify load diff reproduce") -> None:
        before = tree(release)
        ran = {
            "verify": lambda: shell("verify", release).error(*says),
            "load": lambda: load_error(release, *says),
            "diff": lambda: shell("diff", release, release).error(*says),
            "reproduce": lambda: maintain("reproduce", release, "--rows", 24).error(*says),
        }
        for command in commands.split():
            started = time.monotonic()
            line = ran[command]()
            assert SECRET not in line
            assert time.monotonic() - started < 20, command
        assert tree(release) == before

    return check


def load_error(release: Path, *says: str) -> str:
    with pytest.raises(ReleaseError) as caught:
        csd.load_dataset("covid-synth-cxr", "gnc", root=release)
    line = str(caught.value)
    assert "\n" not in line
    for part in says:
        assert part in line, line
    return line


# The manifest.

PATHS = (
    "../secret/passwd",
    "/etc/passwd",
    "a/../../secret/passwd",
    "./cyclegan/x",
    "cyclegan//x",
    "..",
    "a\0b",
    "a\\b",
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("index", [0, 1])
def test_paths_that_leave_the_folder(release, refused, path, index):
    edit(release, lambda content: content["files"][index].update(path=path))
    refused("manifest.json cannot be read", f"files.{index}.path")


@pytest.mark.parametrize("rows", [10**18, 10**400, -1, manifest.MAX_ROWS + 1, 1e9, "24", True])
def test_absurd_row_counts(release, refused, rows):
    edit(release, lambda content: content["files"][-1].update(rows=rows))
    refused("manifest.json cannot be read")


def test_a_row_count_that_the_shard_does_not_have(release, refused):
    path = shard_of(release).relative_to(release).as_posix()

    def change(content: dict[str, Any]) -> None:
        next(f for f in content["files"] if f["path"] == path)["rows"] = 9_999_900
        content["subsets"]["gnc"]["rows"] = 9_999_900 + 12

    edit(release, change)
    refused("found 12 rows", "9999900")


def test_shards_of_a_config_that_the_manifest_does_not_describe(release, refused):
    """`verify` called a release whole whose manifest had lost a config and kept its shards."""
    edit(release, lambda content: content.update(subsets={"other": {**content["subsets"]["gnc"], "rows": 0}}))
    refused("gnc: found 24 rows, expected what the manifest says of them", commands="verify")


def test_one_path_twice(release, refused):
    edit(release, lambda content: content["files"].append({**content["files"][0], "sha256": "0" * 64}))
    refused("manifest.json cannot be read", "each path once")


def test_a_manifest_nested_beyond_reason(release, refused):
    (release / "manifest.json").write_text('{"subsets":' * 50_000 + "1" + "}" * 50_000)
    refused("manifest.json cannot be read")


def test_an_enormous_manifest_is_not_read(release, refused):
    with (release / "manifest.json").open("r+b") as file:
        file.truncate(8 * 2**30)  # sparse
    check = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        line = load_error(release, "at most")
        assert "8,589,934,592 bytes" in line
    finally:
        (release / "manifest.json").unlink()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - check < 500_000


def test_a_linked_manifest(release, refused):
    shutil.move(release / "manifest.json", release.parent / "secret/manifest.json")
    (release / "manifest.json").symlink_to(release.parent / "secret/manifest.json")
    refused("a symbolic link")


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_links_out_of_the_release(release, refused, linked):
    target = shard_of(release) if linked == "file" else release / "cyclegan"
    elsewhere = release.parent / "elsewhere"
    shutil.move(target, elsewhere)
    target.symlink_to(elsewhere)
    refused("a symbolic link")


def test_linked_weights_and_card(release, refused):
    for name, commands in (
        ("weights/tiny.safetensors", "verify reproduce"),
        ("README.md", "verify load diff"),
    ):
        path = release / name
        elsewhere = release.parent / path.name
        shutil.move(path, elsewhere)
        path.symlink_to(elsewhere)
        refused("a symbolic link", commands=commands)
        path.unlink()
        shutil.move(elsewhere, path)


def test_a_snapshot_of_the_hubs_cache_is_no_attack(release, tmp_path):
    """There every file is a link, to the blobs beside the snapshots."""
    blobs, snapshot = tmp_path / "repo/blobs", tmp_path / "repo/snapshots/abc"
    blobs.mkdir(parents=True)
    for path in [path for path in release.rglob("*") if path.is_file()]:
        name = path.relative_to(release)
        blob = blobs / hashlib.sha256(str(name).encode()).hexdigest()
        shutil.copy(path, blob)
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(blob)
    assert csd.verify(snapshot).whole
    assert csd.diff(snapshot, release).same
    (snapshot / "README.md").unlink()
    (snapshot / "README.md").symlink_to(tmp_path / "repo/README.md")
    (tmp_path / "repo/README.md").write_text("x")
    assert csd.verify(snapshot).problems == [
        "README.md: found a symbolic link, expected a file of the release"
    ]


# The card.


def bomb(levels: int = 30) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join([*lines, f"configs: *a{levels - 1}"])


CONFIG = "configs:\n- config_name: gnc\n  data_files:\n  - split: train\n    path: {}\n"
YAML = {
    "an object": "configs: !!python/object/apply:os.system ['touch ran']",
    "a module": "configs: !!python/name:os.system",
    "any tag": "configs: !thing 1",
    "a bomb of anchors": bomb(),
    "a loop": "configs: &a [*a]",
    "nesting": "configs: " + "[" * 30_000,
    "no mapping": "- 1\n- 2",
    "a text": "configs",
    "configs of another form": "configs: [1, 2]",
    "configs without files": "configs: [{config_name: gnc}]",
    "no end of a quote": 'configs: "',
    "a tab": "\tconfigs: []",
    "another config": CONFIG.format("cyclegan/gnc-*.parquet").replace("gnc\n", "other\n", 1),
    "an absolute path": CONFIG.format("/etc/*"),
    "a path above": CONFIG.format("../secret/*"),
    "an address": CONFIG.format("https://example.org/x.parquet"),
    "the hub": CONFIG.format("hf://datasets/a/b/x.parquet"),
    "fewer shards": CONFIG.format("cyclegan/gnc-00000-*.parquet"),
    "other files": CONFIG.format("weights/*"),
    "every file": CONFIG.format("'**'"),
    "home": CONFIG.format("~/x"),
}


@pytest.mark.parametrize("text", YAML.values(), ids=YAML.keys())
def test_cards_with_tricks(release, refused, text, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = release / "README.md"
    path.write_text(f"---\n{text}\n---\n\n# Card\n")
    agree(release, path)
    refused("README.md cannot be trusted", commands="load")
    assert list(tmp_path.glob("ran")) == []


def test_a_card_too_large_to_be_one(release, refused):
    path = release / "README.md"
    with path.open("r+b") as file:
        file.truncate(card_yaml.MAX_BYTES + 1)
    agree(release, path)
    refused("README.md cannot be trusted", "4,194,305 bytes", commands="load diff")


def test_diff_reads_cards_as_carefully(shell, release):
    for text in (YAML["an object"], YAML["a bomb of anchors"], YAML["a path above"], YAML["nesting"]):
        (release / "README.md").write_text(f"---\n{text}\n---\n")
        shell("diff", release, release).error("README.md cannot be trusted")


# Shards.


def rewrite(release: Path, table: pa.Table, **options: object) -> None:
    path = shard_of(release)
    pq.write_table(table, path, **options)
    agree(release, path, rows=table.num_rows)
    total = sum(pq.read_metadata(one).num_rows for one in (release / "cyclegan").iterdir())
    edit(release, lambda content: content["subsets"]["gnc"].update(rows=total))


def column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, values)


SCHEMAS: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "nothing of ours": (lambda t: pa.table({"x": [1] * len(t)}), "found columns x"),
    "no image": (lambda t: t.drop_columns(["image"]), "expected image, image_id, subset among them"),
    "no names": (lambda t: t.drop_columns(["image_id"]), "among them"),
    "images as text": (
        lambda t: column(t, "image", pa.array(["x"] * len(t))),
        "the column image of type string",
    ),
    "images as paths": (
        lambda t: column(t, "image", pa.array([{"path": "/etc/passwd"}] * len(t))),
        "the column image",
    ),
    "names as numbers": (
        lambda t: column(t, "image_id", pa.array(range(len(t)))),
        "the column image_id of type int64",
    ),
}


@pytest.mark.parametrize(("change", "says"), SCHEMAS.values(), ids=SCHEMAS.keys())
def test_shards_of_another_schema(release, refused, change, says):
    rewrite(release, change(pq.read_table(shard_of(release))))
    refused(says)


def test_columns_that_the_card_does_not_promise(release, refused):
    table = pq.read_table(shard_of(release))
    rewrite(release, column(table, "seed", pa.array(["x"] * len(table))))
    refused("cannot be read", commands="load")
    refused("other columns than the shards before it", commands="diff")


@pytest.mark.parametrize("what", ["image", "source_id"])
def test_a_row_group_that_unpacks_to_far_more_than_it_is(release, refused, what):
    """60 MB of zeros in some kilobytes."""
    table = pq.read_table(shard_of(release)).slice(0, 3)
    zeros = b"\0" * 20_000_000
    values = (
        pa.array([{"bytes": zeros, "path": None}] * 3, table.schema.field("image").type)
        if what == "image"
        else pa.array([zeros.decode()] * 3)
    )
    rewrite(release, column(table, what, values), compression="zstd", use_dictionary=False)
    del table, values, zeros
    assert shard_of(release).stat().st_size < 100_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused("a row group that unpacks from")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


def test_millions_of_rows_that_take_no_room(release, refused, monkeypatch):
    monkeypatch.setattr(manifest, "MAX_ROWS", 1_000)
    table = pq.read_table(shard_of(release)).slice(0, 1)
    many = pa.concat_tables([table] * 2_000)
    path = shard_of(release)
    pq.write_table(many, path)
    agree(release, path, rows=2_000)
    edit(release, lambda content: content["subsets"]["gnc"].update(rows=2_012))
    refused("found 2000 rows", "at most 1000")


def huge_png(side: int) -> bytes:
    """A PNG of some kilobytes that unpacks to `side` x `side` pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * (side + 1) * 8)
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


@pytest.mark.parametrize("side", [9_500, 20_000, 60_000])
def test_an_image_bomb_in_a_shard(release, refused, shell, maintain, side):
    """Verifying and comparing read no pixels; whoever decodes refuses by the size in the header."""
    assert side**2 > pixels.MAX_PIXELS
    table = pq.read_table(shard_of(release))
    cells = table.column("image").to_pylist()
    cells[5]["bytes"] = huge_png(side)
    rewrite(release, column(table, "image", pa.array(cells, table.schema.field("image").type)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    maintain("reproduce", release, "--rows", 24).error("gnc-00005", "not a plausible X-ray")
    rows = csd.load_dataset("covid-synth-cxr", "gnc", root=release)
    with pytest.raises(BadImage, match="not a plausible X-ray"):
        list(batches.batches(rows, batch_size=4))
    assert csd.verify(release).whole
    assert shell("diff", release, release).code == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", None], ids=repr)
def test_what_is_no_image(release, maintain, content):
    table = pq.read_table(shard_of(release))
    cells = table.column("image").to_pylist()
    cells[5]["bytes"] = content
    rewrite(release, column(table, "image", pa.array(cells, table.schema.field("image").type)))
    maintain("reproduce", release, "--rows", 24).error("gnc-00005")


def test_a_release_cannot_name_an_image_on_this_machine(release, maintain):
    """An undecoded cell may name a file instead of holding bytes; a release must hold them."""
    (release.parent / "film.png").write_bytes(huge_png(64))
    table = pq.read_table(shard_of(release))
    cells = table.column("image").to_pylist()
    cells[5] = {"bytes": None, "path": str(release.parent / "film.png")}
    rewrite(release, column(table, "image", pa.array(cells, table.schema.field("image").type)))
    maintain("reproduce", release, "--rows", 24).error("gnc-00005", "no bytes")


def test_the_checks_let_a_sound_release_pass(release, shell, maintain):
    assert shell("verify", release).code == 0
    assert shell("diff", release, release).code == 0
    assert maintain("reproduce", release, "--rows", 8).code == 0
    assert len(csd.load_dataset("covid-synth-cxr", "gnc", root=release)) == 24
    assert not [file for file in manifest.read(release).files if verification.difference(release, file)]
    assert card_yaml.configs(release) == {"gnc": ["cyclegan/gnc-*.parquet"]}
    assert datasets.load_dataset(str(release), "gnc", split="train").num_rows == 24
    with pytest.raises(CorruptRelease):
        card_yaml.check(release, manifest.read(release), "gpc", ("gpc",))
