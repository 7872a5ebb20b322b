"""Rows as an npz file, an ImageFolder, and in the hands of torch, MONAI and datasets."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
from PIL import Image

import covid_synth_data as csd
from covid_synth_data.errors import BadImage, ConfigError, CovidSynthError, VersionExists
from covid_synth_data.importing import Stated, import_images
from covid_synth_data.release import exporting
from tests.support import film, tree

PHANTOM = {"size": 64, "patients": 12}


@pytest.fixture(scope="module")
def task():
    return csd.load_task("normal-vs-covid", sources=["phantom"], phantom=PHANTOM)


@pytest.fixture
def mine(tmp_path):
    """A release of twelve images of 32 px."""
    for number in range(12):
        film(tmp_path / f"images/{('normal', 'covid-19')[number % 2]}/s-{number}.png", number, side=32)
    import_images(tmp_path / "images", tmp_path / "mine", "mine", Stated())
    return tmp_path / "mine"


@pytest.mark.parametrize("size", [64, 128])
def test_an_npz_is_what_medmnist_has(task, tmp_path, size) -> None:
    csd.write_npz(task, tmp_path / "task.npz", size=size)
    with np.load(tmp_path / "task.npz") as content:
        file = {name: content[name] for name in content.files}
    assert sorted(file) == sorted(
        [f"{part}_{what}" for part in ("train", "val", "test") for what in ("images", "labels")]
        + ["label_names"]
    )
    for part, rows in task.items():
        images, labels = file[f"{exporting.PARTS[part]}_images"], file[f"{exporting.PARTS[part]}_labels"]
        assert (images.shape, images.dtype) == ((len(rows), size, size), np.uint8)
        assert (labels.shape, labels.dtype) == ((len(rows), 1), np.uint8)
        assert labels[:, 0].tolist() == list(rows["label"])
    if size == 64:
        assert (file["train_images"][3] == np.asarray(task["train"][3]["image"])).all()
    assert file["label_names"].tolist() == task["train"].features["label"].names


# `datasets` leaves the tables of an ImageFolder open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_image_folder_comes_back(task, tmp_path) -> None:
    csd.write_image_folder(task, tmp_path / "task")
    back = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "task"))
    assert {part: len(rows) for part, rows in back.items()} == dict(task.num_rows)
    by_id = {row["image_id"]: row for row in back["train"]}
    for row in task["train"].select(range(5)):
        other = by_id[row["image_id"]]
        assert (np.asarray(other["image"].convert("L")) == np.asarray(row["image"])).all()
        assert other["patient_id"] == row["patient_id"]
        assert other["label"] == task["train"].features["label"].names[row["label"]]
    torchvision = pytest.importorskip("torchvision")
    plain = torchvision.datasets.ImageFolder(str(tmp_path / "task/test"))
    assert (len(plain), plain.classes) == (len(task["test"]), ["covid-19", "normal"])


def test_import_reads_what_export_wrote(shell, mine, tmp_path) -> None:
    done = shell(
        "export", "--config", "mine", "--release", mine, "-o", tmp_path / "out", "--format", "imagefolder"
    )
    assert "12 images in" in done.out
    import_images(tmp_path / "out/train", tmp_path / "again", "again", Stated())
    first = csd.load_dataset("covid-synth-cxr", "mine", root=mine)
    again = csd.load_dataset("covid-synth-cxr", "again", root=tmp_path / "again")
    assert sorted(again["image_id"]) == sorted(f"again-{name}" for name in first["image_id"])
    assert sorted(again["label"]) == sorted(first["label"])


def test_the_command_writes_npz(shell, mine, tmp_path) -> None:
    done = shell("export", "--config", "mine", "--release", mine, "-o", tmp_path / "mine.npz", "--size", 64)
    assert "12 images in" in done.out
    with np.load(tmp_path / "mine.npz") as file:
        assert file["train_images"].shape == (12, 64, 64)


def test_mistakes_write_nothing(shell, mine, task, tmp_path) -> None:
    out = tmp_path / "out.npz"
    before = tree(tmp_path)
    shell("export", "-o", out).error("found neither")
    shell("export", "--config", "mine", "--task", "x", "-o", out).error("found both")
    shell("export", "--config", "mine", "--release", mine, "-o", out, "--size", 65).error("28, 64, 128, 224")
    shell("export", "--config", "mine", "--release", mine, "-o", out, "--format", "nzp").error("'npz'")
    shell("export", "--config", "mine", "--release", mine, "-o", mine).error("is there already")
    nameless = task["train"].cast_column("label", datasets.Value("int64"))
    unlabelled = task["train"].map(lambda row: {"label": None}, features=task["train"].features)
    damaged = datasets.Dataset.from_dict(
        {"image": [{"bytes": b"no image", "path": None}], "label": [0]},
        features=datasets.Features(
            {"image": datasets.Image(), "label": datasets.ClassLabel(names=["normal", "covid-19"])}
        ),
    )
    for write in (csd.write_npz, csd.write_image_folder):
        cases: list[tuple[object, type[CovidSynthError]]] = [
            (nameless, ConfigError),
            (unlabelled, ConfigError),
            (damaged, BadImage),
            (task["train"].select([]), ConfigError),
            (datasets.DatasetDict({"part-7": task["train"]}), ConfigError),
        ]
        for data, kind in cases:
            with pytest.raises(kind):
                write(data, tmp_path / "new")
    (tmp_path / "there").mkdir()
    with pytest.raises(VersionExists):
        csd.write_image_folder(task, tmp_path / "there")
    (tmp_path / "there").rmdir()
    assert tree(tmp_path) == before


def test_odd_ids_stay_in_the_folder(tmp_path) -> None:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["normal"]),
            "image_id": datasets.Value("string"),
        }
    )
    ids = ["../../escape", "a/b", "a b", "..", ""]
    rows = {"image": [Image.new("L", (8, 8))] * 5, "label": [0] * 5, "image_id": ids}
    csd.write_image_folder(datasets.Dataset.from_dict(rows, features=features), tmp_path / "odd")
    files = list(tmp_path.rglob("*.png"))
    assert len(files) == 5
    assert {path.parent for path in files} == {tmp_path / "odd/train/normal"}


def test_two_lines_for_torch_and_for_monai(task) -> None:
    torch = pytest.importorskip("torch")
    films = task["train"].select_columns(["image", "label"]).with_format("torch")
    batch = next(iter(torch.utils.data.DataLoader(films, batch_size=4)))
    assert (batch["image"].shape, batch["image"].dtype) == ((4, 1, 64, 64), torch.uint8)
    assert batch["label"].tolist() == task["train"]["label"][:4]
    monai_data = pytest.importorskip("monai.data")
    from monai.transforms import ScaleIntensityd

    scaled = monai_data.Dataset(films, ScaleIntensityd(keys="image"))[0]
    assert float(scaled["image"].max()) == pytest.approx(1.0)
