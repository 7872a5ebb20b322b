"""A release: whole, traceable, the same bytes after a stop, loaded by plain `datasets`."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import covid_synth_data as csd
from covid_synth_data.errors import BadImage, CorruptRelease, OutputError, ReleaseError, VersionExists
from covid_synth_data.files.encoding import encode_image
from covid_synth_data.generators.trained import load_file
from covid_synth_data.release import manifest
from covid_synth_data.release.crops import parse_variant
from generation.kinds import translation
from generation.kinds.kind import maker_of
from generation.kinds.maker import cut
from generation.releasing import build as releases
from generation.report import figures
from generation.training import loop


@pytest.fixture(scope="module")
def weights(recipe, films, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return loop.train(recipe, films, folder, loop.make_fabric(recipe, "cpu"), lambda *_: None).weights


def make(recipe, weights: Path, out: Path, progress=lambda *_: None) -> Path:
    return releases.release(recipe, maker_of(recipe, None, weights, "cpu"), out, None, progress)


@pytest.fixture(scope="module")
def released(recipe, weights, tmp_path_factory) -> Path:
    return make(recipe, weights, tmp_path_factory.mktemp("releases") / "covid-synth-cxr")


@pytest.fixture
def copy(released, tmp_path) -> Path:
    return Path(shutil.copytree(released, tmp_path / "copy"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_layout(released):
    assert sorted(digests(released)) == [
        "LICENSE.md",
        "README.md",
        "croissant.json",
        *(f"cyclegan/gnc-{i:05d}-of-00004.parquet" for i in range(4)),
        "manifest.json",
        "weights/tiny.json",
        "weights/tiny.md",
        "weights/tiny.safetensors",
    ]
    visible = [p.name for p in released.parent.iterdir() if p.suffix != ".lock"]
    assert visible == [released.name]


def test_plain_datasets_loads_it(released):
    plain = datasets.load_dataset(str(released), "gnc", split="train")
    assert len(plain) == 30
    assert tuple(plain.features) == csd.schema.SYNTHETIC_COLUMNS
    assert set(plain.unique("label")) == {csd.schema.COVID}
    assert plain.features["image"] == datasets.Image(mode="L")
    assert (plain[0]["image"].size, plain[0]["image"].mode) == ((32, 32), "L")
    assert len(set(plain["image_id"])) == 30
    streamed = datasets.load_dataset(str(released), "gnc", split="train", streaming=True)
    assert [row["image_id"] for row in streamed] == plain["image_id"][:]
    assert datasets.get_dataset_config_names(str(released)) == ["gnc"]


def test_our_loader_gives_the_same_rows(released):
    ours = csd.load_dataset("covid-synth-cxr", "gnc", version="0.0.1", root=released)
    plain = datasets.load_dataset(str(released), "gnc", split="train")
    assert ours["image_id"][:] == plain["image_id"][:]
    assert (
        csd.load_dataset("covid-synth-cxr", "gnc", root=released.parent)["image_id"][:] == ours["image_id"][:]
    )
    first = next(iter(csd.load_dataset("covid-synth-cxr", "gnc", root=released, streaming=True)))
    assert first["image_id"] == ours[0]["image_id"]


def test_every_image_can_be_made_again_from_its_row(released, recipe, weights):
    rows = csd.load_dataset("covid-synth-cxr", "gnc", root=released)
    sources = maker_of(recipe, None, weights, "cpu").images.films
    where = {(row["source_dataset"], row["source_id"]): row["image"] for row in sources}
    translator = load_file(released / "weights" / "tiny.safetensors", "cpu")
    variants = set()
    for row in rows:
        cell = where[row["source_dataset"], row["source_id"]]
        film = cut(cell, parse_variant(row["variant"]), recipe.data.size)
        again = translator.translate(film[None])[0]
        assert (
            np.abs(again.astype(int) - np.asarray(row["image"]).astype(int)).max() <= 1
        )  # rounding over batch sizes
        variants.add((row["source_id"], row["variant"]))
    assert len(variants) == len(rows)
    assert {row["source_class"] for row in rows} == {"normal"}


def test_test_films_are_never_translated(released, recipe):
    splits = csd.load_task("normal-vs-covid", sources=["phantom"], phantom=recipe.data.phantom)
    used = set(csd.load_dataset("covid-synth-cxr", "gnc", root=released)["source_id"])
    assert used
    assert used <= set(splits["train"]["source_id"])
    assert not used & set(splits["test"]["source_id"])


def test_crops_stay_within_five_percent(altered):
    settings = altered(release={"count": 500}).release
    made = translation.plan(settings, 20, seed=1)
    crops = np.array([parse_variant(row.variant) for row in made])
    assert (crops[:20] == 0).all()
    assert (crops[20:].max(axis=1) > 0).all()
    assert crops.max() <= 50
    assert [row.source for row in made[:40]] == [*range(20), *range(20)]
    assert translation.plan(settings, 20, seed=1) == made
    assert len({row.source for row in translation.plan(settings, 900, seed=1)}) == 500
    with pytest.raises(ValueError, match="no variant"):
        parse_variant("zoom:1,2,3,4")


class Stopped(Exception):
    pass


@pytest.mark.parametrize("stop", [3, 8, 13, 29, 30])
def test_stopped_and_continued_gives_the_same_bytes(recipe, weights, released, tmp_path, stop):
    def progress(done: int, total: int) -> None:
        if done >= stop:
            raise Stopped

    out = tmp_path / "covid-synth-cxr"
    with pytest.raises(Stopped):
        make(recipe, weights, out, progress)
    assert not (out / "manifest.json").exists()
    make(recipe, weights, out)
    assert digests(out) == digests(released)


def test_again_is_a_no_op_and_other_inputs_are_refused(recipe, altered, weights, copy):
    before = digests(copy)
    make(recipe, weights, copy)
    assert digests(copy) == before
    with pytest.raises(VersionExists, match="another recipe, weights or films"):
        make(altered(release={"count": 29}), weights, copy)
    with pytest.raises(VersionExists, match=r"found covid-synth-cxr 0\.0\.1"):
        make(altered(release={"version": "0.0.2"}), weights, copy)
    assert digests(copy) == before


def test_shards_of_unknown_origin_are_not_taken_over(altered, weights, copy):
    (copy / "manifest.json").unlink()
    with pytest.raises(ReleaseError, match="shards that are in no manifest"):
        make(altered(seed=4), weights, copy)
    assert not (copy / "manifest.json").exists()


@pytest.mark.parametrize("moved", [1, 4])
def test_a_stop_between_moving_shards_and_the_manifest(
    recipe, weights, released, tmp_path, monkeypatch, moved
):
    out, real, calls = tmp_path / "covid-synth-cxr", Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        if self.parent.name.endswith(".work") and Path(target).parent.name == "cyclegan":
            calls.append(1)
            if len(calls) > moved:
                raise Stopped
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    if moved < 4:
        with pytest.raises(Stopped):
            make(recipe, weights, out)
        monkeypatch.setattr(Path, "replace", real)
        assert not (out / "manifest.json").exists()
    make(recipe, weights, out)
    assert digests(out) == digests(released)
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".lock"] == [out.name]


def test_the_manifest_names_whom_the_generator_learned_from(released, films):
    learned = manifest.read(released).subsets["gnc"].learned_from
    assert set(learned.films) == {*films[0].image_ids, *films[1].image_ids}
    assert all(patient.startswith("phantom:") for patient in learned.patients)
    assert learned.patients


def test_a_second_subset_joins_the_release(altered, weights, copy):
    make(altered(release={"subset": "gpc", "count": 9}), weights, copy)
    assert csd.verify(copy).whole
    assert len(csd.load_dataset("covid-synth-cxr", root=copy)) == 39
    assert datasets.get_dataset_config_names(str(copy)) == ["cyclegan", "gnc", "gpc"]
    plain = datasets.load_dataset(str(copy), split="train")
    assert len(plain) == 39


def test_a_second_subset_of_a_later_version_makes_the_folder_that_version(altered, weights, copy):
    before = digests(copy)
    with pytest.raises(VersionExists, match=r"found covid-synth-cxr 0\.0\.1"):
        make(altered(release={"subset": "gpc", "version": "0.0.0"}), weights, copy)
    make(altered(release={"subset": "gpc", "version": "0.1.0"}), weights, copy)
    listed = manifest.read(copy)
    assert (listed.version, sorted(listed.subsets)) == ("0.1.0", ["gnc", "gpc"])
    assert csd.verify(copy).whole
    kept = {name: digest for name, digest in before.items() if "gnc-" in name}
    assert kept
    assert kept.items() <= digests(copy).items()


def test_verify_is_content_with_a_whole_release(released):
    report = csd.verify(released)
    assert report.whole
    assert report.rows == {"gnc": 30}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def edit_manifest(folder: Path, change) -> None:
    content = json.loads((folder / "manifest.json").read_text())
    change(content)
    (folder / "manifest.json").write_text(json.dumps(content))


def count_in_subset(manifest: dict) -> None:
    manifest["subsets"]["gnc"]["rows"] = 31


def count_in_shard(manifest: dict) -> None:
    next(file for file in manifest["files"] if file["path"] == SHARD)["rows"] = 9


SHARD = "cyclegan/gnc-00001-of-00004.parquet"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda d: flip(d / SHARD), f"{SHARD}: found sha256"),
        (lambda d: flip(d / "README.md"), "README.md: found sha256"),
        (lambda d: flip(d / "weights/tiny.safetensors"), "tiny.safetensors: found sha256"),
        (lambda d: (d / SHARD).unlink(), f"{SHARD}: found no file"),
        (lambda d: (d / SHARD).write_bytes((d / SHARD).read_bytes()[:-7]), "bytes, expected"),
        (lambda d: shutil.copy(d / SHARD, d / "cyclegan/gnc-00004-of-00004.parquet"), "not in the manifest"),
        (lambda d: edit_manifest(d, count_in_subset), "found 30 rows, expected 31"),
        (lambda d: edit_manifest(d, count_in_shard), "found 8 rows, expected 9"),
    ],
)
def test_verify_finds(copy, damage, says):
    damage(copy)
    report = csd.verify(copy)
    assert not report.whole
    assert any(says in problem for problem in report.problems), report.problems


def test_verify_does_not_follow_links(copy):
    target = copy.parent / "elsewhere.parquet"
    shutil.move(copy / SHARD, target)
    (copy / SHARD).symlink_to(target)
    assert csd.verify(copy).problems == [f"{SHARD}: found a symbolic link, expected a file of the release"]


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", "", "a\\b"])
def test_a_manifest_cannot_leave_its_folder(copy, path):
    edit_manifest(copy, lambda m: m["files"][0].update(path=path))
    with pytest.raises(CorruptRelease, match="inside the release"):
        csd.verify(copy)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 2}', "\x00"])
def test_a_bad_manifest_is_one_line(copy, text):
    (copy / "manifest.json").write_text(text)
    with pytest.raises(CorruptRelease, match="cannot be read"):
        csd.verify(copy)


def test_loading_says_what_is_missing(copy, tmp_path):
    with pytest.raises(ReleaseError, match="found subsets gnc; expected gpc"):
        csd.load_dataset("covid-synth-cxr", "gpc", root=copy)
    with pytest.raises(ReleaseError, match=r"found 0\.0\.1; expected 9\.9\.9"):
        csd.load_dataset("covid-synth-cxr", "gnc", version="9.9.9", root=copy)
    with pytest.raises(ReleaseError, match="is not a release"):
        csd.load_dataset("covid-synth-cxr", "gnc", root=tmp_path / "nowhere")
    with pytest.raises(csd.errors.UnknownName, match="did you mean 'cyclegan'"):
        csd.load_dataset("covid-synth-cxr", "cyclgan", root=copy)
    (copy / SHARD).write_bytes(b"PAR1")
    with pytest.raises(CorruptRelease, match="found 4 bytes"):
        csd.load_dataset("covid-synth-cxr", "gnc", root=copy)


def test_a_full_disk_leaves_no_half_shard(recipe, weights, released, tmp_path, monkeypatch):
    out = tmp_path / "covid-synth-cxr"
    real, calls = pq.ParquetWriter.write_table, []

    def full(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(OutputError, match="no space left"):
        make(recipe, weights, out)
    work = tmp_path / ".covid-synth-cxr-gnc.work"
    assert sorted(p.name for p in work.iterdir()) == ["gnc-00000-of-00004.parquet", "job"]
    assert not (out / "manifest.json").exists()
    make(recipe, weights, out)
    assert digests(out) == digests(released)


@pytest.mark.parametrize("codec", ["png", "jpeg", "webp"])
def test_codecs(codec):
    film = np.add.outer(np.arange(32), 2 * np.arange(32)).astype(np.uint8)
    back = np.asarray(Image.open(io.BytesIO(encode_image(film, codec, 95))).convert("L"))
    assert np.abs(back.astype(int) - film).max() <= (0 if codec == "png" else 8)


def test_sheet(released, tmp_path):
    figures.sheet(released, "covid-synth-cxr", "gnc", tmp_path / "sheet.png", rows=3, columns=4)
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.size == (4 * 34 + 2, 3 * 34 + 2)


def test_a_second_release_into_the_folder_is_refused_meanwhile(recipe, weights, tmp_path):
    out = tmp_path / "covid-synth-cxr"
    refused = []

    def progress(done: int, total: int) -> None:
        if not refused:
            with pytest.raises(OutputError, match=r"in use; found a release of 'gnc' by process \d+"):
                make(recipe, weights, out)
            refused.append(done)

    make(recipe, weights, out, progress)
    assert refused
    assert csd.verify(out).whole


def test_a_film_that_changes_after_its_fingerprint_stops_the_release(recipe, weights, tmp_path):
    maker = maker_of(recipe, None, weights, "cpu")
    maker.images.cells[maker.rows[0].source] = maker.images.cells[maker.rows[1].source]
    with pytest.raises(BadImage, match="changed while the release was made"):
        releases.release(recipe, maker, tmp_path / "out", None, lambda *_: None)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_cards_that_were_written_meanwhile_are_kept(recipe, weights, released, altered, tmp_path):
    """The manifest is read again before it is written."""
    out = Path(shutil.copytree(released, tmp_path / "covid-synth-cxr"))
    other = altered(release={"subset": "gpc", "count": 4})
    listed = manifest.read(out)

    def progress(done: int, total: int) -> None:
        (out / "extra.txt").write_text("more")
        extra = manifest.File(path="extra.txt", sha256=hashlib.sha256(b"more").hexdigest(), size=4)
        manifest.write(out, listed.model_copy(update={"files": [*listed.files, extra]}))

    make(other, weights, out, progress)
    assert "extra.txt" in {file.path for file in manifest.read(out).files}
    assert csd.verify(out).whole
