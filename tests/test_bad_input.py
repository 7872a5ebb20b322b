"""Whatever is wrong with the input: one line, exit code 2, nothing half-written, nothing earlier lost."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
import zlib
from pathlib import Path

import pytest

from tests.asked import NAME, mix_of, sample_of


def huge(path: Path, side: int = 40_000) -> None:
    """A PNG whose header promises `side` x `side` pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    content = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


# Real sets.


def test_no_such_root(refused, world):
    nowhere = world.folder / "nowhere"
    for command in (["sources"], ["tasks", "normal-vs-covid"], ["mix", "normal-vs-covid"]):
        refused(*command, "--root", nowhere, says=[f"no folder {nowhere}"])
    refused("tasks", "normal-vs-covid", says=["no source", "covid-synth sources"])


def test_a_root_with_nothing_in_it(refused, world):
    empty = world.folder / "empty"
    empty.mkdir()
    refused("tasks", "normal-vs-covid", "--root", empty, says=["no source has films", "covid-chestxray"])


def test_metadata_without_images(refused, world):
    for path in (world.root / "covid-19-image-repository/png").iterdir():
        path.unlink()
    out = world.folder / "mixed"
    refused(*mix_of(world, "-o", out), says=["has no covid-19 film", "9 image file missing"])


def test_half_a_download_is_counted_and_used(shell, world):
    for number in range(3):
        (world.root / f"covid-19-image-repository/png/film-{number}.png").unlink()
    done = shell("tasks", "normal-vs-covid", "--root", world.root)
    assert (done.code, done.err) == (0, "")
    assert "3  covid-19-image-repository: image file missing" in done.out
    assert "6 of 243 images, 3 rows without a file" in shell("sources", "--root", world.root).out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "an empty file"),
        (b"<html>404</html>\n", "<html>404</html>"),
        (b"patient_id,image_id\n1,a\n", "patient_id, image_id"),
        (b"patient_id,image_id,modality,projection\n1,f\xff\xfe,x,pa\n", "byte 0xff"),
        (b"patient_id,image_id,modality,projection,projection\n1,a,x,pa,pa\n", "2 columns"),
    ],
)
def test_a_table_that_is_none(refused, world, content, says):
    path = world.root / "covid-19-image-repository/data.csv"
    path.write_bytes(content)
    refused("tasks", "normal-vs-covid", "--root", world.root, says=[str(path), says])


def test_absurd_rows_are_left_out_with_a_reason(shell, world):
    path = world.root / "covid-19-image-repository/data.csv"
    rows = [
        "1,../../../../etc/passwd,X-Ray,pa",
        "2,/etc/passwd,X-Ray,pa",
        "3,film-0,X-Ray,pa",
        "4",
        ",,,",
        "5,a\x07b,X-Ray,pa",
        f"6,{'x' * 300},X-Ray,pa",
        "7,film-1,CT,pa,more,cells",
    ]
    path.write_text(path.read_text() + "\n".join(rows) + "\n")
    done = shell("tasks", "normal-vs-covid", "--root", world.root)
    assert (done.code, done.err) == (0, "")
    assert "3  covid-19-image-repository: unsafe file name" in done.out
    assert "1  covid-19-image-repository: duplicate metadata row" in done.out
    assert "malformed metadata row" in done.out
    assert "passwd" not in done.out


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "huge"])
def test_a_damaged_film(shell, refused, world, damage):
    path, sampled = world.root / "chest_xray/train/NORMAL/IM-0003-0001.jpeg", world.films / "film-1.png"
    for target in (path, sampled):
        if damage == "truncated":
            target.write_bytes(target.read_bytes()[: target.stat().st_size // 2])
        elif damage == "huge":
            huge(target)
        else:
            target.write_bytes(b"" if damage == "empty" else b"not an image\n" * 9)
    done = shell("tasks", "normal-vs-covid", "--root", world.root)
    assert (done.code, done.err) == (0, "")
    assert "1  kermany: unreadable image" in done.out
    assert path.name in done.out
    refused(
        *sample_of(world), says=[str(sampled), "1600000000 pixels" if damage == "huge" else "cannot decode"]
    )
    assert not (world.folder / "out").exists()


def test_a_film_that_goes_while_it_is_used(shell, world, monkeypatch):
    import covid_synth_data as csd

    load, out = csd.load_task, world.folder / "m.parquet"
    out.write_bytes(b"earlier")

    def load_and_lose(*args, **options):
        splits = load(*args, **options)
        Path(splits["train"].data["image"].to_pylist()[0]["path"]).unlink()
        return splits

    monkeypatch.setattr(csd, "load_task", load_and_lose, raising=False)
    line = shell(*mix_of(world, "-o", out)).error("cannot read", "no such file", "expected", "Next:")
    assert str(world.root) in line
    assert out.read_bytes() == b"earlier"
    assert not [path for path in world.folder.iterdir() if ".tmp" in path.name]


# What can be asked for.


def test_names_and_numbers_that_do_not_exist(refused, world):
    refused("tasks", "normal-vs-covd", says=["did you mean 'normal-vs-covid'"])
    refused("tasks", "normal-vs-covid", "--protocol", "cleen", says=["did you mean 'clean'"])
    refused(*mix_of(world, "--synthetic", "gcn"), says=["unknown config of covid-synth-cxr 'gcn'"])
    refused(*mix_of(world, "--synthetic", "gnc,gpc"), says=["does not hold the config 'gpc'"])
    refused(*mix_of(world, "--skew", "0.01", "-o", world.folder / "m"), says=["a skew from"])
    refused(*sample_of(world, "--device", "abacus"), says=["'abacus'"])
    refused("benchmark", "run", "zunair2012", says=["did you mean 'zunair2021'"])
    refused("benchmark", "run", "quickstart", "--model", "vgg", "--release", world.release, says=["model"])


@pytest.mark.parametrize("seed", ["-1", "x", "1.5"])
def test_a_seed_is_a_whole_number(shell, world, seed):
    done = shell(*mix_of(world, "--seed", seed))
    assert done.code == 2
    assert "Traceback" not in done.err


def test_films_to_sample_from(refused, world):
    refused(*sample_of(world, "--from", world.folder / "nowhere"), says=["nowhere", "--from"])
    for path in world.films.iterdir():
        path.rename(path.with_suffix(".txt"))
    refused(*sample_of(world), says=["no film in", ".png"])


# Recipes and suites.


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("seed = 3", "sed = 3", "unknown key 'sed'"),
        ("seed = 3", 'seed = "3"', "seed"),
        ("seed = 3", "seed = -3", "seed"),
        ("epochs = 1", "epochs = 1.5", "training.epochs"),
        ("epochs = 1", "epochs = 1\nepoch = 1", "unknown key 'training.epoch'"),
        ("size = 32\nper", "size = 33\nper", "data.size"),
        ('family = "cyclegan"', 'family = "cyclegann"', "did you mean 'cyclegan'"),
        ('name = "tiny"', 'name = "../tiny"', "name"),
        ('folder = "cyclegan"', 'folder = "../../x"', "release.folder"),
        ('subset = "gnc"', 'subset = "/x"', "release.subset"),
        ("seed = 3", "seed = ", "not valid TOML"),
        ("seed = 3", "seed = " + "9" * 5000, "not valid TOML"),
        ("seed = 3", "seed = " + "[" * 5000, "not valid TOML"),
        ("seed = 3", "seed = 3\0", "not valid TOML"),
    ],
)
def test_a_wrong_recipe(refused, maintain, world, monkeypatch, old, new, says):
    text = world.recipe.read_text()
    assert text.count(old) == 1
    world.recipe.write_text(text.replace(old, new))
    monkeypatch.chdir(world.folder)
    named = [] if "family" in old else [world.recipe.name]
    for command in ("train", "release"):
        refused(command, world.recipe, says=[says, *named], by=maintain)


def test_no_recipe(refused, maintain, world):
    refused("train", world.folder / "tinny.toml", says=["tinny.toml", "tiny.toml"], by=maintain)
    refused("train", world.folder, says=[str(world.folder)], by=maintain)
    world.recipe.write_bytes(b"\xff\xfe\x00")
    refused("train", world.recipe, says=["not valid TOML"], by=maintain)
    refused("benchmark", "run", world.recipe, says=["not valid TOML"])


def test_a_recipe_without_a_release(refused, maintain, world):
    text = world.recipe.read_text()
    world.recipe.write_text(text[: text.index("[release]")])
    refused("release", world.recipe, says=["no table [release]"], by=maintain)


def test_a_run_or_release_of_something_else_is_kept(refused, maintain, world):
    text = world.recipe.read_text()
    world.recipe.write_text(text.replace("seed = 3", "seed = 4"))
    arguments = ("--out", world.run, "--device", "cpu")
    refused("train", world.recipe, *arguments, says=["holds a run of another recipe"], by=maintain)
    arguments = ("--run", world.run, "--out", world.release, "--device", "cpu")
    refused("release", world.recipe, *arguments, says=["made from another recipe"], by=maintain)


# Weights.


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def test_pickled_weights_are_not_opened(refused, maintain, world):
    mark = world.folder.parent / "sprung"
    content = pickle.dumps(Trap(mark))
    pickle.loads(content)
    assert mark.exists()
    mark.unlink()
    pickled = world.folder / "model.pt"
    pickled.write_bytes(content)
    arguments = ("release", world.recipe, "--out", world.folder / "r", "--device", "cpu", "--weights")
    refused(*arguments, pickled, says=["model.pt", "expected .safetensors", "can run code"], by=maintain)
    path = world.release / "weights/tiny.safetensors"
    path.write_bytes(content)
    refused(*arguments, path, says=["is not the file that its card describes"], by=maintain)
    refused(*sample_of(world), says=["is not the file that its card describes"])
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(card | {"sha256": hashlib.sha256(content).hexdigest()}))
    refused(*sample_of(world), says=["is no safetensors file"])
    assert not mark.exists()


def test_no_weights(refused, maintain, world):
    arguments = ("release", world.recipe, "--run", world.folder / "norun", "--out", world.folder / "r")
    refused(*arguments, says=["no weights", "norun", "python -m generation train"], by=maintain)
    refused(
        "sample",
        "x.y",
        "--release",
        world.release,
        "--from",
        world.films,
        "-o",
        world.folder / "o",
        says=["unknown trained generator 'x.y'", NAME],
    )


# Releases and results.


def test_a_folder_that_is_no_release(refused, world):
    refused("verify", world.films, says=[f"{world.films} is not a release", "no manifest.json"])
    refused("verify", world.folder / "nowhere", says=["no such folder"])
    arguments = mix_of(world, "--release", world.films, "-o", world.folder / "m")
    refused(*arguments, says=["is not a release"])
    refused(
        "benchmark",
        "run",
        "quickstart",
        "--release",
        world.films,
        "--out",
        world.folder / "res",
        says=["is not a release"],
    )


@pytest.mark.parametrize("path", ["../films/film-0.png", "/etc/passwd", "cyclegan/../../films/film-0.png"])
def test_a_manifest_that_leaves_its_folder(refused, world, path):
    manifest = world.release / "manifest.json"
    content = json.loads(manifest.read_text())
    content["files"][0]["path"] = path
    manifest.write_text(json.dumps(content))
    refused("verify", world.release, says=[str(manifest), "inside the release"])
    refused(*mix_of(world, "-o", world.folder / "m"), says=[str(manifest), "inside the release"])


def test_a_manifest_with_a_name_no_disk_takes(refused, world):
    manifest = world.release / "manifest.json"
    content = json.loads(manifest.read_text())
    content["files"][0]["path"] = "x" * 5000
    manifest.write_text(json.dumps(content))
    refused("verify", world.release, says=["at most 1,000 characters"])


def test_a_damaged_shard(refused, world):
    shard = next((world.release / "cyclegan").iterdir())
    size = shard.stat().st_size
    shard.write_bytes(b"\0" * size)
    refused(*mix_of(world, "-o", world.folder / "m"), says=[str(world.release), "covid-synth verify"])
    shard.write_bytes(b"\0" * (size - 1))
    refused(*mix_of(world, "-o", world.folder / "m"), says=[str(shard), f"found {size - 1:,} bytes"])


def test_a_folder_without_results(refused, world):
    refused("benchmark", "report", "--results", world.films, says=[str(world.films), "no files"])
    refused("benchmark", "report", "--results", world.folder / "no", says=["no such folder"])
    (world.folder / "res").mkdir()
    (world.folder / "res/seed-0.json").write_text("{")
    refused("benchmark", "report", "--results", world.folder / "res", says=["seed-0.json"])


def test_an_output_that_cannot_be_a_folder(refused, world):
    file = world.folder / "file"
    file.write_text("mine")
    refused(*mix_of(world, "-o", file / "below"), says=["cannot write", "not a directory"])
    refused(*sample_of(world, "-o", file), says=["cannot write", str(file)])
