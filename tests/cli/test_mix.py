"""`covid-synth mix`: what it writes, and the numbers that a mix is made by."""

from __future__ import annotations

import datasets
import numpy as np

import covid_synth_data as csd
from tests.support import tree


def mix(shell, world, *more):
    return shell("mix", "normal-vs-covid", "--root", world.root, "--release", world.release, *more)


def test_mix_writes_parquet_that_needs_no_other_file(shell, world, tmp_path):
    out = tmp_path / "out"
    done = mix(shell, world, "-o", out)
    assert (done.code, done.err) == (0, "")
    assert "skew 1.0000" in done.out
    assert list(tree(out)) == ["train.parquet"]
    (world.root / "chest_xray").rename(world.root / "away")
    rows = datasets.load_dataset("parquet", data_files=str(out / "train.parquet"), split="train")
    labels = np.asarray(rows["label"])
    assert (labels == 1).sum() == (labels == 0).sum() > 5
    assert rows.features["label"].names == ["normal", "covid-19"]
    assert {image.size for image in rows["image"]} == {(64, 64), (32, 32)}
    assert str(tmp_path).encode() not in (out / "train.parquet").read_bytes()
    cells = rows.cast_column("image", datasets.Image(decode=False))["image"]
    assert all("/" not in cell["path"] for cell in cells)


def test_mix_is_seeded_and_takes_a_file_name(shell, world, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert mix(shell, world, "-o", tmp_path / f"{name}.parquet", "--seed", seed).code == 0
    a, b, c = (
        datasets.load_dataset("parquet", data_files=str(tmp_path / f"{n}.parquet"), split="train")
        for n in "abc"
    )
    assert a["image_id"][:] == b["image_id"][:]
    assert a["image_id"][:] != c["image_id"][:]


def test_mix_by_each_number(shell, world, tmp_path):
    """The counts of the result, and that the real rows are what the number says."""
    real = csd.load_task("normal-vs-covid", world.root)["train"]
    positives = sum(real["label"])
    expected = {
        ("--count", "5"): (5, len(real)),
        ("--fraction", "0.5"): (len(real), len(real)),
        ("--replace", "0.5"): (round(positives / 2), len(real) - round(positives / 2)),
        ("--extend", "0.25"): (round(len(real) / 4), len(real)),
    }
    for number, (option, counts) in enumerate(expected.items()):
        out = tmp_path / f"{number}.parquet"
        assert mix(shell, world, *option, "-o", out).code == 0
        subsets = datasets.Dataset.from_parquet(str(out))["subset"][:]
        assert (subsets.count("gnc"), subsets.count(None)) == counts, option
    mix(shell, world, "--skew", "1", "--count", "5").error("found --skew 1, --count 5", "one of them")


def test_mix_writes_all_parts(shell, world, tmp_path):
    out = tmp_path / "out"
    done = mix(shell, world, "-o", out, "--all-parts")
    assert done.code == 0
    splits = csd.load_task("normal-vs-covid", world.root)
    for part in ("validation", "test"):
        rows = datasets.Dataset.from_parquet(str(out / f"{part}.parquet"))
        assert rows["image_id"][:] == splits[part]["image_id"][:]
        assert rows[0]["image"].mode == "L"
    assert sorted(tree(out)) == ["test.parquet", "train.parquet", "validation.parquet"]
    for arguments in (("-o", tmp_path / "x.parquet"), ()):
        mix(shell, world, "--all-parts", *arguments).error("all parts need a folder", "-o FOLDER")


def test_mix_without_out_only_counts(shell, world):
    before = tree(world.folder)
    done = mix(shell, world, "--skew", "2")
    assert done.code == 0
    assert "mixed" in done.out
    assert tree(world.folder) == before
