"""`covid-synth sample`: PNG files and releases of a trained generator, whole, and the same after a stop."""

from __future__ import annotations

import io
import json
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

import covid_synth_data as csd
from covid_synth_data import generators, schema
from covid_synth_data.errors import OutputError, UnknownName, VersionExists
from covid_synth_data.generators import sampling, weights
from covid_synth_data.generators.trained import load_file
from covid_synth_data.release import manifest, writing
from tests.support import film, sampler_weights, tree


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A release folder with weights of one sampler of one class and one of three."""
    root = tmp_path_factory.mktemp("samplers")
    sampler_weights(root / "weights" / "dcgan.safetensors")
    sampler_weights(root / "weights" / "diffaug.safetensors", "diffaug-gan")
    return root


@pytest.fixture
def sample(shell, folder):
    """`covid-synth sample NAME ...` of the generators in `folder`, on the CPU."""
    return lambda name, *more: shell("sample", name, "--release", folder, "--device", "cpu", *more)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(sampling, "SHARD_ROWS", 20)


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def write(folder, out: Path, n=45, tick=lambda *_: None, *, name="dcgan", seed=7, label=None) -> Path:
    path = folder / "weights" / f"{name}.safetensors"
    return sampling.write_release(load_file(path, "cpu"), path, n, seed, label, out, tick)


@pytest.fixture(scope="module")
def written(folder, tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "SHARD_ROWS", 20)
        return write(folder, tmp_path_factory.mktemp("written") / "samples")


# --- PNG files ----------------------------------------------------------------------------------------


def test_png_files_are_the_images_of_the_sampler(sample, folder, tmp_path):
    done = sample("dcgan.test", "-n", 18, "--seed", 4, "-o", tmp_path / "out")
    assert (done.code, done.out.strip()) == (0, f"18 images in {tmp_path / 'out'}")
    files = tree(tmp_path / "out")
    assert list(files) == [f"dcgan.test-s4-{i:05d}.png" for i in range(18)]
    expected = generators.load("dcgan.test", root=folder, device="cpu").sample(18, seed=4)
    assert all(
        np.array_equal(pixels(content), image)
        for content, image in zip(files.values(), expected, strict=True)
    )
    more = sample("dcgan.test", "-n", 20, "--seed", 4, "-o", tmp_path / "more")
    assert more.code == 0
    assert files.items() <= tree(tmp_path / "more").items()  # image i whatever n


def test_png_files_of_a_class(sample, folder, tmp_path):
    assert sample("diffaug-gan.test", "-n", 3, "--label", "pneumonia", "-o", tmp_path / "out").code == 0
    sampler = generators.load("diffaug-gan.test", root=folder, device="cpu")
    made = [pixels(content) for content in tree(tmp_path / "out").values()]
    assert np.array_equal(np.stack(made), sampler.sample(3, label="pneumonia"))
    assert not np.array_equal(np.stack(made), sampler.sample(3))


def test_sixteen_images_by_default(sample, tmp_path):
    assert sample("diffaug-gan.test", "-o", tmp_path / "out").code == 0
    assert len(tree(tmp_path / "out")) == 16


def test_a_full_disk_leaves_whole_files(folder, tmp_path, monkeypatch):
    real, calls = Image.Image.save, []

    def full(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "save", full)
    sampler = load_file(folder / "weights" / "diffaug.safetensors", "cpu")
    with pytest.raises(OutputError, match="no space left"):
        sampling.write_png(sampler, 5, 0, None, tmp_path / "out", lambda *_: None)
    assert list(tree(tmp_path / "out")) == [f"diffaug-gan.test-s0-{i:05d}.png" for i in range(2)]


# --- what is refused ----------------------------------------------------------------------------------


def test_a_sampler_takes_no_films(sample, tmp_path):
    film(tmp_path / "films" / "a.png", 1)
    done = sample("dcgan.test", "--from", tmp_path / "films", "-o", tmp_path / "out")
    done.error("dcgan.test starts from noise", "--from")
    assert not (tmp_path / "out").exists()


def test_a_translator_needs_films(shell, tmp_path):
    card = {
        "name": "cyclegan-unet.test",
        "architecture": "cyclegan-unet",
        "options": {"width": 4},
        "size": 32,
        "licences": ["CC0 1.0"],
        "training": {},
        "package_version": "0",
    }
    network = generators.build("cyclegan-unet", width=4)
    weights.save(tmp_path / "translator.safetensors", network.state_dict(), card)
    done = shell("sample", "cyclegan-unet.test", "--release", tmp_path, "-o", tmp_path / "out")
    done.error("cyclegan-unet.test translates films", "--from FOLDER")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["dcgan.tset"], ["unknown trained generator 'dcgan.tset'", "did you mean 'dcgan.test'"]),
        (["dcgan.test", "--label", "normal"], ["class of dcgan.test 'normal'", "one of covid-19"]),
        (["diffaug-gan.test", "--label", "covid"], ["did you mean 'covid-19'"]),
        (["dcgan.test", "--format", "jpeg"], ["unknown format 'jpeg'", "one of png, release"]),
        (["dcgan.test", "--format", "release", "--label", "normal"], ["class of dcgan.test 'normal'"]),
        (["dcgan.test", "--device", "abacus"], ["'abacus'"]),
    ],
)
def test_one_line_says_what_is_wrong(sample, tmp_path, arguments, says):
    sample(*arguments, "-n", 2, "-o", tmp_path / "out").error(*says)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".png", ".parquet")]


@pytest.mark.parametrize("arguments", [["-n", 0], ["-n", -1], ["--seed", -1], ["-n", 1.5]])
def test_numbers_that_the_shell_refuses(sample, tmp_path, arguments):
    done = sample("dcgan.test", *arguments, "-o", tmp_path / "out")
    assert done.code == 2
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


# --- releases -----------------------------------------------------------------------------------------


def test_a_release_is_whole_and_plain_datasets_loads_it(sample, tmp_path, shell):
    out = tmp_path / "samples"
    done = sample("dcgan.test", "-n", 25, "--seed", 7, "--format", "release", "-o", out)
    assert (done.code, done.out.strip()) == (0, f"25 images in {out}")
    checked = shell("verify", out)
    assert checked.code == 0, checked.err
    assert "whole" in checked.out
    assert csd.verify(out).rows == {"dcgan": 25}
    plain = datasets.load_dataset(str(out), split="train")
    assert len(plain) == 25
    assert tuple(plain.features) == csd.schema.SYNTHETIC_COLUMNS
    assert datasets.get_dataset_config_names(str(out)) == ["dcgan"]
    assert generators.list(out) == ["dcgan.test"]


def test_the_rows_say_what_made_them(written, folder):
    rows = datasets.load_dataset("parquet", data_files=str(written / "dcgan" / "*.parquet"), split="train")
    rows = rows.cast(schema.features(schema.SYNTHETIC_COLUMNS))
    expected = generators.load("dcgan.test", root=folder, device="cpu").sample(45, seed=7)
    assert all(
        np.array_equal(np.asarray(image), film) for image, film in zip(rows["image"], expected, strict=True)
    )
    assert rows["variant"][:] == [f"noise:{i}" for i in range(45)]
    assert rows["image_id"][:] == [f"dcgan-s7-{i:05d}" for i in range(45)]
    assert {name: rows.unique(name) for name in ("label", "subset", "generator", "seed")} == {
        "label": [schema.COVID],
        "subset": ["dcgan"],
        "generator": ["dcgan.test"],
        "seed": [7],
    }
    for name in ("source_dataset", "source_id", "source_class"):
        assert rows.unique(name) == [None]
    assert rows.unique("source_license") == ["CC BY 4.0 AND CC0 1.0"]


def test_labels_are_those_that_the_images_show(folder, tmp_path):
    out = write(folder, tmp_path / "turns", 7, name="diffaug")
    assert datasets.load_dataset(str(out), split="train")["label"][:] == [0, 1, 2, 0, 1, 2, 0]
    out = write(folder, tmp_path / "one", 4, name="diffaug", label="pneumonia")
    assert datasets.load_dataset(str(out), split="train")["label"][:] == [1] * 4
    path = sampler_weights(tmp_path / "mixed.safetensors", target_class=None)
    mixed = load_file(path, "cpu")
    out = sampling.write_release(mixed, path, 2, 0, None, tmp_path / "mixed", lambda *_: None)
    assert datasets.load_dataset(str(out), split="train")["label"][:] == [None, None]


def test_the_manifest_says_whom_the_generator_learned_from(written):
    listed = manifest.read(written)
    assert (listed.name, listed.version) == ("dcgan.test-samples", "0.0.0")
    made = listed.subsets["dcgan"]
    assert made.learned_from.films == ["phantom/covid-19-0001-1"]
    assert made.learned_from.patients == ["phantom:covid-19-0001"]
    assert made.licences == ["CC BY 4.0", "CC0 1.0"]
    assert made.recipe["name"] == "test"
    assert {key: made.recipe["samples"][key] for key in ("seed", "label", "rows")} == {
        "seed": 7,
        "label": None,
        "rows": 45,
    }
    assert "synthetic" in (written / "README.md").read_text()
    assert {Path(file.path).parts[0] for file in listed.files} == {"README.md", "dcgan", "weights"}


class Stopped(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 20, 33, 45])
def test_stopped_and_continued_gives_the_same_bytes(folder, written, tmp_path, stop):
    def tick(done: int, total: int) -> None:
        assert total == 45
        if done >= stop:
            raise Stopped

    out = tmp_path / "samples"
    with pytest.raises(Stopped):
        write(folder, out, 45, tick)
    assert not (out / "manifest.json").exists()
    kept = {path: content for path, content in tree(out).items() if path.endswith(".parquet")}
    assert len(kept) == (stop - 1) // 20
    write(folder, out)
    assert tree(out) == tree(written)
    assert kept.items() <= tree(out).items()


def test_finished_shards_are_not_made_again(folder, written, tmp_path, monkeypatch):
    out = write(folder, tmp_path / "samples")
    monkeypatch.setattr(writing, "write", lambda *_: pytest.fail("made again"))
    write(folder, out)
    assert tree(out) == tree(written)
    assert csd.verify(out).whole


def test_a_folder_of_other_samples_or_files_is_refused(folder, written, tmp_path):
    before = tree(written)
    for other in ({"seed": 8}, {"n": 44}, {"label": "covid-19"}, {"name": "diffaug"}):
        with pytest.raises(VersionExists, match="is not empty.*choose another folder"):
            write(folder, written, **other)
    assert tree(written) == before
    film(tmp_path / "holiday" / "a.png", 1)
    with pytest.raises(VersionExists, match="is not empty"):
        write(folder, tmp_path / "holiday")
    assert list(tree(tmp_path / "holiday")) == ["a.png"]


def test_a_begun_folder_of_other_samples_is_refused(folder, tmp_path):
    def stop(*_: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        write(folder, tmp_path / "samples", tick=stop)
    with pytest.raises(VersionExists, match="is not empty"):
        write(folder, tmp_path / "samples", seed=8)
    assert json.loads((tmp_path / "samples" / sampling.MARK).read_text())["seed"] == 7


def test_an_unknown_class_leaves_an_empty_folder_usable(folder, tmp_path):
    with pytest.raises(UnknownName):
        write(folder, tmp_path / "samples", label="normal")
    assert csd.verify(write(folder, tmp_path / "samples", 3)).whole


def test_a_full_disk_leaves_no_half_shard(folder, written, tmp_path, monkeypatch):
    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(sampling, "encode_image", full)
        with pytest.raises(OutputError, match="no space left"):
            write(folder, tmp_path / "samples")
    assert not list((tmp_path / "samples").rglob("*.parquet"))
    write(folder, tmp_path / "samples")
    assert tree(tmp_path / "samples") == tree(written)
