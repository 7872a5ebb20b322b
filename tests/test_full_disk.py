"""Full disks and outputs that cannot be written: one clear line, and nothing half written."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.asked import mix_of, sample_of
from tests.support import film, tree

FULL = OSError(28, "No space left on device")


def test_disk_full_while_mixing(refused, world, monkeypatch):
    out = world.folder / "m.parquet"
    out.write_bytes(b"earlier")

    def full(self, *_args, **_options):
        raise FULL

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    refused(*mix_of(world, "-o", out), says=["cannot write", "m.parquet", "no space left", "free some space"])


def test_disk_full_in_the_cache_of_datasets(refused, world, monkeypatch):
    import datasets.arrow_writer

    def full(self, *_args, **_options):
        raise FULL

    monkeypatch.setattr(datasets.arrow_writer.ArrowWriter, "write_table", full)
    refused(*mix_of(world, "-o", world.folder / "m"), says=["cache", "no space left", "HF_DATASETS_CACHE"])


def test_disk_full_while_sampling(shell, world, monkeypatch):
    save, count = Image.Image.save, []

    def full(self, file, *args, **options):
        save(self, file, *args, **options)
        count.append(file)
        if len(count) == 2:
            raise FULL

    out = world.folder / "out"
    film(out / "film-1.png", 1)
    earlier = (out / "film-1.png").read_bytes()
    monkeypatch.setattr(Image.Image, "save", full)
    count.clear()
    shell(*sample_of(world)).error("film-1.png", "no space left", "free some space")
    assert sorted(tree(out)) == ["film-0.png", "film-1.png"]
    assert (out / "film-1.png").read_bytes() == earlier


def test_disk_full_while_training(maintain, world, monkeypatch):
    import generation.training.checkpoint

    run = world.folder / "new"

    def full(tensors, path):
        path.write_bytes(b"half")
        raise FULL

    with monkeypatch.context() as patch:
        patch.setattr(generation.training.checkpoint, "save_file", full)
        maintain("train", world.recipe, "--out", run, "--device", "cpu").error("no space left", "step-")
    assert [name for name, content in tree(run).items() if content is not None] == []
    assert maintain("train", world.recipe, "--out", run, "--device", "cpu").code == 0
    assert (run / "tiny.safetensors").read_bytes() == (world.run / "tiny.safetensors").read_bytes()


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The operating system lets no file grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_true_limit_while_sampling(refused, world):
    (world.folder / "out").mkdir()
    with largest_file(300):
        refused(*sample_of(world), says=["cannot write", "file too large"])
    with largest_file(300):
        refused(*mix_of(world, "-o", world.folder / "m"), says=["cache", "file too large"])


@pytest.mark.parametrize("size", [2000, 300_000])
def test_a_true_limit_while_training(maintain, world, size):
    run = world.folder / "new"
    with largest_file(size):
        maintain("train", world.recipe, "--out", run, "--device", "cpu").error("cannot write", str(run))
    assert not [name for name in tree(run) if ".tmp" in name]
    assert maintain("train", world.recipe, "--out", run, "--device", "cpu").code == 0
    assert (run / "tiny.safetensors").read_bytes() == (world.run / "tiny.safetensors").read_bytes()


def test_a_path_too_long_for_any_disk(refused, world):
    refused("verify", "x" * 5000, says=["too long"])
    refused("benchmark", "report", "--results", "x" * 5000, says=["too long"])
