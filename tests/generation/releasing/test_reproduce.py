"""Rows made again: the same where nothing changed, found out where anything did."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import covid_synth_data as csd
from covid_synth_data.errors import CorruptRelease, CovidSynthError, MissingSource, ReleaseError
from covid_synth_data.files.encoding import encode_image
from covid_synth_data.release import manifest, verification
from generation.kinds.kind import maker_of
from generation.recipe import load_recipe
from generation.releasing import build as releases
from generation.releasing import comparison
from generation.releasing import reproduce as reproducing

Edit = Callable[[dict[str, Any]], None]
FIRST = "gnc-00000-of-00002.parquet"


@pytest.fixture
def release(made_release: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_release / "covid-synth-cxr", tmp_path / "covid-synth-cxr"))


def reproduce(release: Path, rows: int = 24, seed: int = 0, device: str = "cpu") -> comparison.Report:
    return reproducing.reproduce(release, None, rows, seed, device, lambda *_: None)


def make(world, out: Path) -> Path:
    """A release of the recipe as it now is."""
    recipe = load_recipe(world.recipe)
    maker = maker_of(recipe, None, world.run / "tiny.safetensors", "cpu")
    return releases.release(recipe, maker, out, None, lambda *_: None)


def relist(release: Path, path: str) -> None:
    """Let the manifest agree with a file that was changed: what a forger would do."""
    listed = manifest.read(release)
    content = (release / path).read_bytes()
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    if path.endswith(".parquet"):
        entry["rows"] = pq.read_metadata(release / path).num_rows
    files = [file.model_copy(update=entry) if file.path == path else file for file in listed.files]
    manifest.write(release, listed.model_copy(update={"files": files}))


def rewrite(release: Path, edit: Callable[[int, dict[str, Any]], None], shard: int = 0) -> None:
    """Change rows of a shard; the manifest agrees afterwards."""
    path = sorted((release / "cyclegan").iterdir())[shard]
    table = pq.read_table(path)
    rows = table.to_pylist()
    for number, row in enumerate(rows):
        edit(number, row)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    relist(release, path.relative_to(release).as_posix())


def edit_subset(release: Path, edit: Edit) -> None:
    content = json.loads((release / "manifest.json").read_text())
    edit(content["subsets"]["gnc"])
    (release / "manifest.json").write_text(json.dumps(content))


def painted(row: dict[str, Any], change: Callable[[np.ndarray], np.ndarray]) -> None:
    film = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
    row["image"]["bytes"] = encode_image(change(film.copy()), "png", 95)


def test_every_pixel_is_the_same_here(release):
    report = reproduce(release)
    assert report.passed
    assert report.exact
    assert report.why == []
    assert {row.verdict for row in report.rows} == {"exact"}
    assert all(row.bytes_equal and row.largest == 0 and row.psnr is None for row in report.rows)
    assert sorted(row.image_id for row in report.rows) == [f"gnc-{i:05d}" for i in range(24)]
    assert report.films == [comparison.SourceMatch("gnc", {"phantom": True})]


def test_the_seed_draws_which_rows(release):
    drawn = [[row.image_id for row in reproduce(release, 5, seed).rows] for seed in (0, 0, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert len({tuple(names) for names in drawn}) > 1
    assert all(len(set(names)) == 5 for names in drawn)
    assert len(reproduce(release, 1000).rows) == 24


@pytest.mark.parametrize("codec", ["jpeg", "webp"])
def test_lossy_codecs_are_exact_too(world, tmp_path, codec):
    world.recipe.write_text(world.recipe.read_text().replace('codec = "png"', f'codec = "{codec}"'))
    out = make(world, tmp_path / "out")
    assert {row.verdict for row in reproduce(out).rows} == {"exact"}


def test_rows_are_spread_over_subsets(world):
    text = world.recipe.read_text().replace('subset = "gnc"', 'subset = "gpc"').replace("= 24", "= 3")
    world.recipe.write_text(text)
    make(world, world.release)
    report = reproduce(world.release, 10)
    assert report.passed
    counts = {name: sum(row.subset == name for row in report.rows) for name in ("gnc", "gpc")}
    assert counts == {"gnc": 7, "gpc": 3}
    assert {film.subset for film in report.films} == {"gnc", "gpc"}


def test_one_changed_pixel_is_found(release):
    def change(number: int, row: dict[str, Any]) -> None:
        if number == 7:
            painted(row, lambda film: np.where(np.indices(film.shape).sum(0) == 0, film ^ 1, film))

    rewrite(release, change)
    report = reproduce(release)
    assert not report.passed
    assert [row.image_id for row in report.rows if row.verdict == "differs"] == ["gnc-00007"]
    assert next(row for row in report.rows if row.image_id == "gnc-00007").largest == 1


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda s: s["libraries"].update(torch="2.0.0"), "torch 2.0.0 then"),
        (lambda s: s["libraries"].update(pillow="9.0"), "pillow 9.0 then"),
        (lambda s: s.update(device="cuda NVIDIA H100"), "made on cuda NVIDIA H100"),
        (lambda s: s.pop("device"), "made on an unknown device"),
    ],
)
def test_elsewhere_a_bound_holds_instead(release, edit, reason):
    """A grey level more or less passes then, another crop of the same film does not."""
    edit_subset(release, edit)

    def change(number: int, row: dict[str, Any]) -> None:
        if number == 2:
            painted(row, lambda film: np.where(film < 255, film + 1, film).astype(np.uint8))
        if number == 3:
            painted(row, lambda film: np.roll(film, 1, axis=1))

    rewrite(release, change)
    report = reproduce(release)
    assert not report.exact
    assert reason in report.why[0]
    found = {row.image_id: row for row in report.rows}
    assert found["gnc-00002"].verdict == "close"
    assert found["gnc-00002"].psnr > 48
    assert found["gnc-00003"].verdict == "differs"
    assert found["gnc-00003"].psnr < comparison.BOUND
    assert {found[name].verdict for name in found if name not in ("gnc-00002", "gnc-00003")} == {"exact"}


def test_lineage_that_points_elsewhere_is_found(release):
    def change(number: int, row: dict[str, Any]) -> None:
        row["variant"] = "crop:50,50,50,50" if number == 1 else row["variant"]

    rewrite(release, change)
    report = reproduce(release)
    assert [row.image_id for row in report.rows if row.verdict == "differs"] == ["gnc-00001"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("label", 0),
        ("image_id", "gnc-99999"),
        ("subset", "gpc"),
        ("generator", "cyclegan-unet.other"),
        ("seed", 4),
        ("source_class", "pneumonia"),
        ("source_license", "CC BY 4.0"),
    ],
)
def test_every_column_is_compared_with_the_plan(release, column, value):
    """The manifest is hashed again: only the plan knows better."""
    rewrite(release, lambda number, row: row.update({column: value} if number == 2 else {}))
    report = reproduce(release)
    (wrong,) = [row for row in report.rows if row.verdict == "differs"]
    assert (wrong.columns, wrong.psnr) == ([column], None)
    assert f"columns {column}" in report.text()


def test_one_byte_that_changes_no_pixel_is_found(release):
    """A byte behind the end of the shard's last picture: the manifest knows the file."""
    path = release / "cyclegan" / FIRST
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(CorruptRelease, match="is not as released; found sha256"):
        reproduce(release)


@pytest.mark.parametrize("kind", ["films", "patients"])
def test_a_manifest_that_names_fewer_training_films_is_refused(release, kind):
    edit_subset(release, lambda s: s["learned_from"].update({kind: s["learned_from"][kind][1:]}))
    assert any("training on" in problem for problem in csd.verify(release).problems)
    with pytest.raises(CorruptRelease, match=f"about the training of 'gnc'; found .* {kind}"):
        verification.trained_on(release, manifest.read(release), "gnc")
    with pytest.raises(CorruptRelease, match="about the training"):
        reproduce(release)


def test_other_weights_are_found(release):
    """Weights swapped together with every checksum of them: the pixels still tell."""
    import torch
    from safetensors.torch import load_file, save_file

    path = release / "weights/tiny.safetensors"
    save_file(
        {key: value * 1.5 + torch.tensor(0.25, dtype=value.dtype) for key, value in load_file(path).items()},
        path,
    )
    card = path.with_suffix(".json")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    card.write_text(json.dumps({**json.loads(card.read_text()), "sha256": digest}))
    relist(release, "weights/tiny.safetensors")
    relist(release, "weights/tiny.json")
    assert csd.verify(release).whole
    report = reproduce(release, 8)
    assert not report.passed


def test_films_that_are_not_those_of_the_release_are_named(release):
    edit_subset(release, lambda s: s["sources"]["phantom"].update(sha256="0" * 64))
    report = reproduce(release, 4)
    assert report.films[0].agree == {"phantom": False}
    assert "not the same set" in report.text()


def subset(edit: Edit) -> Callable[[Path], None]:
    return lambda release: edit_subset(release, edit)


def recipe(table: str, **values: Any) -> Callable[[Path], None]:
    return subset(lambda content: content["recipe"][table].update(values))


def rows(**cells: str) -> Callable[[Path], None]:
    return lambda release: rewrite(release, lambda number, row: row.update(cells))


@pytest.mark.parametrize(
    ("edit", "error", "says"),
    [
        (subset(lambda s: s["recipe"].update(family="cyclgan")), CovidSynthError, "did you mean"),
        (subset(lambda s: s["recipe"].pop("release")), CorruptRelease, "found None"),
        (subset(lambda s: s.update(weights="../x.safetensors")), CorruptRelease, "inside the release"),
        (recipe("data", size=7), CorruptRelease, "data.size"),
        (recipe("data", phantom={"size": 32, "patients": 3}), MissingSource, "--root"),
        (recipe("release", subset="x"), CorruptRelease, "another subset"),
        (lambda r: (r / "weights/tiny.safetensors").unlink(), CorruptRelease, "no file"),
        (lambda r: (r / "weights/tiny.safetensors").write_bytes(b"x"), CorruptRelease, "found 1 bytes"),
        (lambda r: (r / "weights/tiny.json").write_text("{}"), CorruptRelease, "tiny.json: 2 bytes"),
        (lambda r: (r / "cyclegan" / FIRST).write_bytes(b"x"), CorruptRelease, "found 1 bytes"),
        (rows(variant="zoom:1,2,3,4"), CorruptRelease, "variant 'zoom:1,2,3,4'.*crop:LEFT"),
        (rows(variant="noise:7"), CorruptRelease, "variant 'noise:7'.*crop:LEFT"),
        (rows(variant="crop:1,2"), CorruptRelease, "no lineage"),
        (rows(variant="crop:900,0,900,0"), CorruptRelease, "impossible"),
        (rows(source_id="nobody"), MissingSource, "phantom/nobody"),
        (lambda r: shutil.rmtree(r / "cyclegan"), CorruptRelease, "no file"),
        (lambda r: (r / "manifest.json").unlink(), ReleaseError, "is not a release"),
    ],
)
def test_what_cannot_be_made_again_is_one_line(release, edit, error, says):
    edit(release)
    with pytest.raises(error, match=says) as caught:
        reproduce(release, 24)
    assert "\n" not in str(caught.value)


def test_the_command(maintain, world):
    done = maintain("reproduce", world.release, "--rows", 6, "--device", "cpu")
    assert done.code == 0
    table = done.out.splitlines()
    assert "required: every pixel the same" in table[0]
    assert table[-1].split() == ["gnc", "6", "6", "0", "0", "6", "0", "-"]
    found = json.loads(maintain("reproduce", world.release, "--rows", 6, "--json").out)
    assert found["passed"] is True
    assert len(found["rows"]) == 6
    rewrite(world.release, lambda n, row: painted(row, lambda film: 255 - film))
    done = maintain("reproduce", world.release, "--rows", 24)
    assert done.code == 1
    assert "differs: gnc-000" in done.out
    maintain("reproduce", world.folder / "nowhere").error("no release")
    maintain("reproduce", "org/name@1").error("no version")
    assert maintain("reproduce", world.release, "--rows", 0).code == 2


def test_noise_at_the_level_of_rounding_has_the_stated_ratio():
    film = np.full((32, 32), 100, np.uint8)
    assert comparison.ratio(film, film) is None
    assert comparison.ratio(film, film + 1) == pytest.approx(48.13, abs=0.01)


def test_the_release_says_what_it_ran_on(release):
    subset = manifest.read(release).subsets["gnc"]
    assert subset.device
    assert subset.device.startswith("cpu ")
    assert datasets.load_dataset(str(release), "gnc", split="train").num_rows == 24
