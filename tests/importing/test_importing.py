"""Images of another generator become a release: every form, every mistake, a stop, and what reads it."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

import covid_synth_data as csd
from covid_synth_data import schema
from covid_synth_data.errors import CovidSynthError, VersionExists
from covid_synth_data.files.lock import locked
from covid_synth_data.importing import Stated, import_images
from covid_synth_data.release import building, manifest
from covid_synth_data.release.verification import verify
from tests.support import film, tree, write_root

COVID = Stated(label="covid-19")


def table(path: Path, rows: list[dict[str, object]]) -> Path:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(buffer.getvalue())
    return path


def test_a_folder_becomes_a_release_that_everything_reads(tmp_path, images, shell) -> None:
    out = tmp_path / "release"
    done = shell("import", images, "-o", out, "--config", "mine", "--label", "covid-19")
    assert "12 images in the config 'mine'" in done.out
    assert "not stated: the licence, the generator, what the generator learned from" in done.out
    assert verify(out).whole
    plain = datasets.load_dataset(str(out), "mine", split="train")
    ours = csd.load_dataset("covid-synth-cxr", "mine", root=out)
    assert plain["image_id"] == ours["image_id"]
    assert plain[0]["image"].mode == ours[0]["image"].mode == "L"
    assert ours["image_id"][:2] == ["mine-sample-0", "mine-sample-1"]
    assert tuple(ours.column_names) == schema.SYNTHETIC_COLUMNS
    assert set(ours["label"]) == {schema.COVID}
    assert set(ours["source_license"]) == set(ours["generator"]) == {"unknown"}
    expected = np.asarray(Image.open(images / "sample-3.png"))
    assert (np.asarray(ours[3]["image"]) == expected).all()
    listed = manifest.read(out)
    assert listed.restricted == ["unknown"]
    assert listed.subsets["mine"].imported.learned_from == "unknown"
    assert "learned from | unknown" in (out / "README.md").read_text()
    assert not list(tmp_path.glob(".*.building"))


def test_what_is_stated_of_each_image_is_kept(tmp_path, images) -> None:
    rows = [
        {
            "file_name": f"sample-{n}.png",
            "label": ("covid-19", "normal")[n % 2],
            "image_id": f"a{n}",
            "seed": 40 + n,
            "source_dataset": "rsna",
            "source_id": f"s{n}",
            "source_license": "CC BY 4.0",
            "generator": "diffusion.v2",
        }
        for n in range(12)
    ]
    path = table(images / "mine.csv", rows)
    (tmp_path / "learned.csv").write_text("image_id,patient_id\nrsna/s1,rsna:p1\nrsna/s2,rsna:p1\n")
    stated = Stated(learned_from=str(tmp_path / "learned.csv"))
    listed = import_images(path, tmp_path / "out", "mine", stated)
    loaded = csd.load_dataset("covid-synth-cxr", "mine", root=tmp_path / "out")
    assert loaded["seed"] == list(range(40, 52))
    assert loaded["label"][:2] == [schema.COVID, 0]
    assert loaded[4]["source_id"] == "s4"
    subset = listed.subsets["mine"]
    assert (subset.generator, subset.licences) == ("diffusion.v2", ["CC BY 4.0"])
    assert (subset.learned_from.films, subset.learned_from.patients) == (["rsna/s1", "rsna/s2"], ["rsna:p1"])
    assert listed.restricted == []


def forms(folder: Path, images: Path) -> dict[str, Path]:
    """The same twelve images in every form."""
    paths = [images / f"sample-{n}.png" for n in range(12)]
    made = {"folder": images}
    for n, path in enumerate(paths):
        film(folder / f"classes/COVID_19/{path.name}", 5000 + n, side=32)
    made["classes"] = folder / "classes"
    kind = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["x", "covid-19"])}
    )
    rows = datasets.Dataset.from_dict({"image": [str(p) for p in paths], "label": [1] * 12}, features=kind)
    rows.save_to_disk(str(folder / "saved"))
    made["saved"] = folder / "saved"
    (folder / "hub").mkdir()
    cells = [{"bytes": path.read_bytes(), "path": None} for path in paths]
    datasets.Dataset.from_dict({"image": cells, "label": [1] * 12}, features=kind).to_parquet(
        folder / "hub/train.parquet"
    )
    made["hub"] = folder / "hub"
    made["parquet"] = folder / "hub/train.parquet"
    arrays = np.stack([np.asarray(Image.open(path)) for path in paths])
    np.savez(folder / "set.npz", images=arrays, labels=np.full(12, 2))
    made["npz"] = folder / "set.npz"
    made["table"] = table(images / "t.csv", [{"file_name": p.name, "label": "COVID-19"} for p in paths])
    return made


def test_every_form_gives_the_same_images(tmp_path, images) -> None:
    films = {}
    for name, path in forms(tmp_path / "forms", images).items():
        stated = COVID if name == "folder" else Stated()
        import_images(path, tmp_path / f"out-{name}", "mine", stated)
        loaded = csd.load_dataset("covid-synth-cxr", "mine", root=tmp_path / f"out-{name}")
        assert set(loaded["label"]) == {schema.COVID}, name
        films[name] = np.stack([np.asarray(image) for image in loaded["image"]])
    assert len(films) == 7
    for name, found in films.items():
        assert (found == films["folder"]).all(), name


def mistakes(tmp_path: Path, images: Path) -> dict[str, tuple[Path, Stated, tuple[str, ...]]]:
    film(tmp_path / "outside.png", 1, side=32)
    for name in ("mixed", "broken", "classes"):
        for n in range(3):
            film(tmp_path / f"{name}/{'covd-19/' if name == 'classes' else ''}a{n}.png", n, side=32)
    film(tmp_path / "mixed/b.png", 9, side=40)
    (tmp_path / "broken/b.png").write_bytes((tmp_path / "broken/a1.png").read_bytes()[:60])
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "odd.npz", pictures=np.zeros((2, 8, 8), np.uint8))
    (tmp_path / "link").mkdir()
    (tmp_path / "link/a.png").symlink_to(tmp_path / "outside.png")

    def rows(name: str, cells: list[dict[str, object]]) -> Path:
        return table(images / name, cells)

    leaves = rows("leaves.csv", [{"file_name": "../outside.png"}])
    return {
        "label": (images, Stated(label="covid19x"), ("unknown label", "did you mean 'covid-19'")),
        "no label": (images, Stated(), ("has no label", "--label")),
        "class folder": (tmp_path / "classes", Stated(), ("'covd-19'", "did you mean 'covid-19'")),
        "sizes": (tmp_path / "mixed", COVID, ("b.png has another size", "40 x 40", "32 x 32", "--size")),
        "unreadable": (tmp_path / "broken", COVID, ("cannot decode b.png",)),
        "nothing": (tmp_path / "empty", COVID, ("no image in",)),
        "absent": (tmp_path / "nowhere", COVID, ("no file or folder",)),
        "columns": (
            rows("c.csv", [{"fil": "sample-0.png"}]),
            COVID,
            ("does not name the images", "file_name"),
        ),
        "leaves": (leaves, COVID, ("outside its folder",)),
        "absolute": (rows("abs.csv", [{"file_name": str(tmp_path / "outside.png")}]), COVID, ("outside",)),
        "symbolic link": (tmp_path / "link", COVID, ("outside its folder",)),
        "no such file": (rows("n.csv", [{"file_name": "sample-77.png"}]), COVID, ("no file",)),
        "duplicate ids": (
            rows("d.csv", [{"file_name": f"sample-{n}.png", "image_id": "same"} for n in range(2)]),
            COVID,
            ("image ids stand for several images", "sample-0.png and sample-1.png"),
        ),
        "npz": (tmp_path / "odd.npz", COVID, ("no array images", "pictures")),
    }


def test_mistakes_are_one_line_and_leave_nothing(tmp_path, images, shell) -> None:
    for name, (path, stated, parts) in mistakes(tmp_path, images).items():
        before = tree(tmp_path)
        asked = ["import", path, "-o", tmp_path / "out", "--config", "mine"]
        asked += ["--label", stated.label] if stated.label else []
        shell(*asked).error(*parts)
        assert tree(tmp_path) == before, name


def test_a_name_of_ours_and_a_folder_of_others_are_refused(tmp_path, images, shell) -> None:
    shell("import", images, "-o", tmp_path / "out", "--config", "gnc", "--label", "normal").error(
        "is one of this project's releases"
    )
    shell("import", images, "-o", images, "--config", "mine", "--label", "normal").error(
        "holds something else"
    )


def test_a_second_config_joins_and_the_same_call_changes_nothing(tmp_path, images) -> None:
    out = tmp_path / "out"
    import_images(images, out, "first", COVID)
    before = tree(out)
    import_images(images, out, "first", COVID)
    assert tree(out) == before
    listed = import_images(images, out, "second", Stated(label="normal", licence="cc0"), size=16)
    assert listed.version == "1.1.0"
    assert verify(out).whole
    assert csd.load_dataset("covid-synth-cxr", "second", root=out)[0]["image"].size == (16, 16)
    assert len(csd.load_dataset("covid-synth-cxr", "first", root=out)) == 12
    with pytest.raises(CovidSynthError, match="holds the config 'first' already"):
        import_images(images, out, "first", Stated(label="normal"))


def test_copies_of_real_films_are_refused_and_named(tmp_path, shell) -> None:
    root = write_root(tmp_path / "root", normals=3, positives=3)
    for number in range(4):
        film(tmp_path / f"made/m{number}.png", 7000 + number)
    copy = Image.open(root / "covid-19-image-repository/png/film-1.png").convert("L")
    copy.save(tmp_path / "made/copy.png", compress_level=1)
    asked = ["import", tmp_path / "made", "-o", tmp_path / "out", "--config", "mine"]
    asked += ["--label", "covid-19"]
    shell(*asked, "--root", root).error(
        "copies of real films", "mine-copy = covid-19-image-repository/film-1"
    )
    assert not (tmp_path / "out").exists()
    near = ("--search", "approximate")
    if importlib.util.find_spec("faiss"):
        shell(*asked, "--root", root, *near).error("mine-copy = covid-19-image-repository/film-1")
        shell(*asked, *near).error("nothing is searched for copies", "--root")
        assert not (tmp_path / "out").exists()
    (tmp_path / "made/copy.png").unlink()
    assert "4 images" in (done := shell(*asked, "--root", root)).out
    assert "missed" not in done.out
    if importlib.util.find_spec("faiss"):
        asked[3] = tmp_path / "near"
        done = shell(*asked, "--root", root, *near)
        assert "copies of real films may have been missed; search: approximate, HNSW graph" in done.out


def test_it_goes_on_after_kill(tmp_path, monkeypatch) -> None:
    for number in range(60):
        film(tmp_path / f"images/{number}.png", number, side=32)
    code = """
import sys, time
from pathlib import Path
from covid_synth_data.importing import Stated, import_images, converting
from covid_synth_data.release import building
building.SHARD_ROWS = 20
row = converting._Work._row
def slow(self, number, converted):
    if number >= 45:
        time.sleep(600)
    return row(self, number, converted)
converting._Work._row = slow
import_images(Path(sys.argv[1]), Path(sys.argv[2]), "mine", Stated(label="covid-19"))
"""
    out, hidden = tmp_path / "out", tmp_path / ".out.building"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "images"), str(out)])
    shards = hidden / "mine"
    deadline = time.monotonic() + 120
    while len(list(shards.glob("*.parquet"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()
    process.wait()
    assert not out.exists()
    kept = {path.name: path.stat().st_mtime_ns for path in shards.glob("*.parquet")}
    assert len(kept) == 2
    monkeypatch.setattr(building, "SHARD_ROWS", 20)
    import_images(tmp_path / "images", out, "mine", COVID)
    assert verify(out).whole
    assert {name: (out / "mine" / name).stat().st_mtime_ns for name in kept} == kept
    assert len(csd.load_dataset("covid-synth-cxr", "mine", root=out)) == 60
    assert not hidden.exists()


def test_a_release_named_by_the_environment_is_found(tmp_path, images, monkeypatch, shell) -> None:
    import_images(images, tmp_path / "out", "mine", COVID)
    monkeypatch.setenv("COVID_SYNTH_RELEASES", str(tmp_path / "out"))
    assert len(csd.load_dataset("covid-synth-cxr", "mine")) == 12
    with pytest.raises(CovidSynthError, match="did you mean 'mine'"):
        csd.load_dataset("covid-synth-cxr", "mines")
    root = write_root(tmp_path / "root")
    asked = ["mix", "normal-vs-covid", "--root", root, "--synthetic", "mine", "--protocol", "clean"]
    assert "skew 1.0" in shell(*asked).out


def test_older_manifests_stay_valid(tmp_path) -> None:
    subset = manifest.Subset.model_validate(
        {
            "rows": 1,
            "generator": "g",
            "weights": "w",
            "recipe": {},
            "sources": {},
            "learned_from": {"films": [], "patients": []},
            "licences": [],
            "code_version": "0",
            "git": "",
            "libraries": {},
        }
    )
    assert subset.imported is None
    assert "imported" not in json.loads(subset.model_dump_json(exclude_none=True))


def test_a_folder_that_another_process_builds_into(tmp_path, images, shell) -> None:
    """Both ended well, and the shards of one were lost."""
    arguments = ("import", images, "-o", tmp_path / "release", "--label", "covid-19", "--config")
    with locked(tmp_path / "release", "building of 'other'"):
        shell(*arguments, "mine").error("is in use", "building of 'other' by process")
    assert not (tmp_path / "release").exists()
    assert shell(*arguments, "mine").code == 0
    with locked(tmp_path / "release", "a release of 'gnc'"):
        shell(*arguments, "more").error("is in use", "a release of 'gnc' by process")
    assert shell(*arguments, "more").code == 0
    assert list(manifest.read(tmp_path / "release").subsets) == ["mine", "more"]
    assert verify(tmp_path / "release").whole


def test_a_config_that_came_while_its_shards_were_written(tmp_path, images, monkeypatch) -> None:
    """The manifest is read again before it is written."""
    out, write = tmp_path / "release", building.write_shards
    import_images(images, out, "first", COVID)
    listed = manifest.read(out)

    def meanwhile(*arguments, **options):
        paths = write(*arguments, **options)
        here = manifest.read(out)
        manifest.write(
            out, here.model_copy(update={"subsets": {**here.subsets, "mine": here.subsets["first"]}})
        )
        return paths

    monkeypatch.setattr(building, "write_shards", meanwhile)
    with pytest.raises(VersionExists, match="by now; found that another process added it"):
        import_images(images, out, "mine", COVID)
    assert manifest.read(out).files == listed.files
