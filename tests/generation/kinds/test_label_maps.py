"""CT slices from an untrained generator: release, sheet, quality and segmentation, from end to end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

import covid_synth_data as csd
from covid_synth_data import benchmark, schema
from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.suite import SegmentationSuite
from covid_synth_data.ct import labelmaps, phantom, slices, splits
from covid_synth_data.ct.complement import lung_only
from covid_synth_data.errors import (
    BadImage,
    ConfigError,
    MissingSource,
    ReleaseError,
    VersionExists,
    WeightsError,
)
from covid_synth_data.generators import build
from covid_synth_data.generators import weights as weight_files
from covid_synth_data.generators.trained import load_file
from covid_synth_data.release import manifest
from generation.kinds import label_maps
from generation.kinds.kind import maker_of
from generation.recipe import SliceRecipe, family
from generation.releasing import documents, licensing
from generation.releasing import reproduce as reproducing
from generation.releasing.build import release as build_release
from generation.report import ct_copies, ct_figures, ct_quality
from tests.support import tree

SIDE = 64
PHANTOM = {"size": SIDE, "patients": 9, "slices": 4}
COUNT = 20
RECIPE: dict[str, Any] = {
    "name": "tiny",
    "family": "ct-global-local",
    "seed": 3,
    "data": {"split": "patient", "size": SIDE, "phantom": PHANTOM, "licences": "any"},
    "network": {"width": 4, "blocks": 1, "discriminator_width": 4},
    "training": {"steps": 5, "batch_size": 1},
}


@pytest.fixture(scope="module")
def plan() -> splits.Plan:
    return splits.plan_slices(phantom.rows(**PHANTOM))


def save(folder: Path, plan: splits.Plan, name: str, seed: int) -> Path:
    """An untrained generator whose card says that it learned from the training slices of phantoms."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build("ct-global-local", width=4, blocks=1)
    recipe = family("ct-global-local").Recipe.model_validate(RECIPE)
    learned = [*plan.train, *plan.validation]
    card = {
        "name": f"ct-global-local.{name}",
        "kind": "label-to-image",
        "architecture": "ct-global-local",
        "options": {"width": 4, "blocks": 1},
        "size": SIDE,
        "target_class": "covid-19",
        "licences": ["CC0 1.0"],
        "package_version": "0",
        "training": {
            "recipe": recipe.model_dump(exclude={"release"}),
            "sources": ["ct-phantom"],
            "learned_from": {
                "films": sorted(row["image_id"] for row in learned),
                "patients": sorted({row["patient_id"] for row in learned}),
            },
        },
    }
    path = folder / f"{name}.safetensors"
    weight_files.save(path, network.state_dict(), card)
    return path


@pytest.fixture(scope="module")
def weights(plan, tmp_path_factory) -> Path:
    return save(tmp_path_factory.mktemp("weights"), plan, "tiny", 0)


def recipe_for(**options: Any) -> SliceRecipe:
    """The recipe with a table [release], some keys changed."""
    table = {"dataset": "covid-synth-ct", "version": "0.0.1", "subset": "ct", "folder": "ct", "codec": "png"}
    table |= {"count": COUNT, "shard_rows": 8, "batch_size": 4, **options}
    model: type[SliceRecipe] = family("ct-global-local").Recipe
    return model.model_validate({**RECIPE, "release": table})


def make(weights: Path, out: Path, progress: Any = lambda *_: None, **options: Any) -> Path:
    recipe = recipe_for(**options)
    return build_release(recipe, maker_of(recipe, None, weights, "cpu"), out, None, progress, "any")


@pytest.fixture(scope="module")
def released(weights, tmp_path_factory) -> Path:
    return make(weights, tmp_path_factory.mktemp("releases") / "covid-synth-ct")


def test_a_release_is_whole_and_loads_without_our_code(released) -> None:
    assert csd.verify(released).whole
    assert csd.verify(released).rows == {"ct": COUNT}
    rows = datasets.load_dataset(str(released), "ct", split="train")
    assert tuple(rows.features) == schema.SYNTHETIC_CT_COLUMNS
    assert rows.features == schema.features(schema.SYNTHETIC_CT_COLUMNS)
    ours = csd.load_dataset("covid-synth-ct", root=released)
    assert ours["image_id"][:] == [f"ct-{number:05d}" for number in range(COUNT)]
    assert (ours.unique("subset"), ours.unique("generator")) == (["ct"], ["ct-global-local.tiny"])
    assert (ours.unique("source_license"), ours.unique("seed")) == (["CC0 1.0"], [3])


def test_images_are_lungs_alone_in_8_bit_grey(released) -> None:
    for row in csd.load_dataset("covid-synth-ct", "ct", root=released):
        image, mask = row["image"], np.asarray(row["mask"])
        assert (image.format, image.mode, image.size) == ("PNG", "L", (SIDE, SIDE))
        assert mask.max() <= 3
        assert (np.asarray(image)[mask == 0] == 0).all()
        assert (np.asarray(image)[mask > 0] > 0).any()


def test_every_row_can_be_made_again_from_its_lineage(released, plan) -> None:
    """Source slice and variant give the label map; that, the weights, seed and number give the image."""
    generator = load_file(released / "weights" / "tiny.safetensors", "cpu")
    by_id = {row["image_id"]: row for row in phantom.rows(**PHANTOM)}
    train = {row["image_id"] for row in plan.train}
    kinds = []
    for number, row in enumerate(csd.load_dataset("covid-synth-ct", "ct", root=released)):
        source = f"{row['source_dataset']}/{row['source_id']}"
        donor = labelmaps.donor_of(row["variant"])
        assert {source, donor or source} <= train
        mask = labelmaps.read(by_id[source], row["variant"], by_id, SIDE)
        assert np.array_equal(np.asarray(row["mask"]), mask)
        again = lung_only(generator.translate(mask[None], row["seed"], start=number), mask[None])[0]
        assert np.abs(np.asarray(row["image"]).astype(int) - again).max() <= 1
        kinds.append(row["variant"].partition(":")[0])
    assert kinds == ["augment", "moved"] * (COUNT // 2)


def test_reproduce_makes_the_same_pixels(released) -> None:
    report = reproducing.reproduce(released, None, 6, 0, "cpu", lambda *_: None)
    assert report.passed
    assert {row.verdict for row in report.rows} == {"exact"}
    assert [films.agree for films in report.films] == [{"ct-phantom": True}]


def test_label_maps_of_phantoms_need_no_real_slice(weights, tmp_path) -> None:
    """The rows come from phantoms of their own, whatever the generator learned from."""
    drawn = {"size": 96, "patients": 4, "slices": 6, "seed": 9, "ragged": 1}
    out = make(weights, tmp_path / "covid-synth-ct", phantom=drawn, count=12, moved=0.25)
    by_id = {row["image_id"]: row for row in phantom.rows(**drawn)}
    rows = csd.load_dataset("covid-synth-ct", "ct", root=out)
    for row in rows:
        source = by_id[f"{row['source_dataset']}/{row['source_id']}"]
        assert source["ggo_pixels"] or source["consolidation_pixels"]
        assert np.array_equal(np.asarray(row["mask"]), labelmaps.read(source, row["variant"], by_id, SIDE))
    listed = manifest.read(out).subsets["ct"]
    assert listed.sources["ct-phantom"].films <= len(by_id)
    assert reproducing.reproduce(out, None, 4, 0, "cpu", lambda *_: None).passed
    text = (out / "README.md").read_text()
    assert "a label map of a CT phantom that was augmented (in 25% of the rows" in text
    assert "No outline is that of a patient" in text
    with pytest.raises(ConfigError, match="lesions as ragged as that"):
        make(weights, tmp_path / "other", phantom={**drawn, "ragged": 9})


def test_rows_that_cannot_be_made_again(weights, released) -> None:
    maker = maker_of(recipe_for(), None, weights, "cpu")
    row = csd.load_dataset("covid-synth-ct", "ct", root=released)[0]
    assert maker.read_row(row, 0) == maker.rows[0]
    with pytest.raises(MissingSource, match="the slice that ct-00000 was made from is not at hand"):
        maker.read_row({**row, "source_id": "patient77_slice001"}, 0)
    with (
        pytest.raises(ConfigError, match="unknown variant"),
        maker.make([maker.read_row({**row, "variant": "augment:much"}, 0)]) as made,
    ):
        list(made)


def test_a_label_map_that_changes_while_it_is_used_is_refused(weights) -> None:
    maker = maker_of(recipe_for(), None, weights, "cpu")
    index = maker.rows[0].source
    maker.slices[index] = {**maker.slices[index], "mask": maker.slices[index - 1]["mask"]}
    with pytest.raises(BadImage, match="changed while the release was made"), maker.make(maker.rows) as made:
        list(made)


def test_all_of_one_kind(plan) -> None:
    index = {row["image_id"]: number for number, row in enumerate(plan.train)}
    for moved, kind in ((0.0, "augment"), (1.0, "moved")):
        rows = list(label_maps._plan(plan.train, index, 6, moved, 0))
        assert {row.variant.partition(":")[0] for row in rows} == {kind}
    assert len({row.source for row in rows}) == 6
    # A longer release begins with the same rows.
    longer = list(label_maps._plan(plan.train, index, 12, 0.3, 0))
    assert longer[:6] == list(label_maps._plan(plan.train, index, 6, 0.3, 0))


def test_the_manifest_says_whom_it_was_made_from(released, plan) -> None:
    made = manifest.read(released).subsets["ct"]
    assert made.sources["ct-phantom"].films == len(plan.train)
    assert set(made.learned_from.films) == {row["image_id"] for row in (*plan.train, *plan.validation)}
    assert made.recipe["release"]["moved"] == 0.5
    assert family("ct-global-local").Recipe.model_validate(made.recipe).release.count == COUNT
    changed = [{**plan.train[0], "image": plan.train[1]["image"]}, *plan.train[1:]]
    assert label_maps._digests(changed[0]) != label_maps._digests(plan.train[0])


def test_the_card_speaks_of_slices(released) -> None:
    text = (released / "README.md").read_text()
    assert "Synthetic COVID-19 CT slices" in text
    assert "| `mask` | its label map" in text
    assert "chest film" not in text
    assert "augmented (in 50% of the rows" in text
    content = json.loads((released / "croissant.json").read_text())
    fields = {field["name"] for field in content["recordSet"][1]["field"]}
    assert fields == set(schema.SYNTHETIC_CT_COLUMNS)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("stop", [3, 8, 20])
def test_stopped_and_continued_gives_the_same_bytes(weights, released, tmp_path, stop) -> None:
    def progress(done: int, total: int) -> None:
        if done >= stop:
            raise Stopped

    out = tmp_path / "covid-synth-ct"
    with pytest.raises(Stopped):
        make(weights, out, progress=progress)
    assert not (out / "manifest.json").exists()
    make(weights, out)
    assert tree(out) == tree(released)
    before = (out / "manifest.json").stat().st_mtime_ns
    make(weights, out)
    assert (out / "manifest.json").stat().st_mtime_ns == before


def test_what_cannot_be_released(weights, released, tmp_path) -> None:
    with pytest.raises(VersionExists, match="another recipe, weights or films"):
        make(weights, released, moved=0.25)
    other = tmp_path / "other.safetensors"
    card = json.loads(weights.with_suffix(".json").read_text()) | {"kind": "sampler"}
    shutil.copy(weights, other)
    other.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match="found a sampler; expected a label-to-image"):
        make(other, tmp_path / "out")
    with pytest.raises(ConfigError, match="stores slices as jpeg"):
        make(weights, tmp_path / "out", codec="jpeg")


def test_a_share_alike_source_makes_the_whole_release_share_alike(weights, released, tmp_path) -> None:
    licence = "CC BY-NC-SA 3.0"
    with pytest.raises(ReleaseError, match="licences that do not allow this release"):
        licensing.check([licence], "permissive")
    listed = manifest.read(released)
    subset = listed.subsets["ct"].model_copy(update={"licences": [licence]})
    bound = listed.model_copy(update={"subsets": {"ct": subset}, "restricted": [licence]})
    shutil.copytree(released, tmp_path / "copy")
    documents.complete(tmp_path / "copy", bound)
    text = (tmp_path / "copy" / "README.md").read_text()
    assert "license: cc-by-nc-sa-3.0\n" in text
    assert "**CC BY-NC-SA 3.0: this whole release.**" in text
    assert "as a whole" in (tmp_path / "copy" / "LICENSE.md").read_text()
    croissant = json.loads((tmp_path / "copy" / "croissant.json").read_text())
    assert croissant["license"] == "https://creativecommons.org/licenses/by-nc-sa/3.0/"
    # Public domain beside it adds no terms.
    assert licensing.header([licence, "CC0 1.0"]) == {"license": "cc-by-nc-sa-3.0"}
    assert licensing.header(["CC0 1.0"]) == {"license": "cc0-1.0"}
    # Beside any other licence it stays what it was: restricted, each film under its own.
    assert licensing.header([licence, "CC BY 4.0"])["license_name"] == "restricted-sources"


def test_a_sheet_without_anything_real(released, plan, tmp_path) -> None:
    baseline = save(tmp_path, plan, "baseline", 1)
    path = tmp_path / "sheet.png"
    ct_figures.of_release(path, released, [baseline], cases=2)
    columns = 3
    with Image.open(path) as picture:
        width, height = picture.size
        pixels = np.asarray(picture.convert("RGB"))
    assert height == ct_figures.HEAD + 4 * (SIDE + ct_figures.GAP)
    left = width - columns * (SIDE + ct_figures.GAP)
    shown = pixels[ct_figures.HEAD : ct_figures.HEAD + SIDE, left : left + SIDE].reshape(-1, 3)
    named = {(0, 0, 0), (255, 0, 0), (0, 0, 255), (0, 255, 0), ct_figures.LINE}
    assert {tuple(colour) for colour in shown.tolist()} <= named
    before = path.read_bytes()
    ct_figures.of_release(path, released, [baseline], cases=2)
    assert path.read_bytes() == before


def test_a_sheet_with_real_slices_for_ones_own_eyes(weights, tmp_path) -> None:
    ct_figures.of_real(tmp_path / "real.png", [weights], None, cases=2)
    with Image.open(tmp_path / "real.png") as picture:
        assert picture.height == ct_figures.HEAD + 4 * (SIDE + ct_figures.GAP)


def test_the_box_holds_the_most_infection() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[5:35, 5:35] = 1
    mask[20:30, 8:14] = 3
    left, top, side = ct_figures.box_of(mask)
    assert (mask[top : top + side, left : left + side] == 3).sum() == 60
    assert ct_figures.box_of(np.minimum(mask, 1))[2] == side
    with pytest.raises(ConfigError, match="columns that make no sheet"):
        ct_figures.sheet(Path("never.png"), [ct_figures.Column("one", [mask])], [None, None], ["a", "b"])


def test_squares_of_a_release_are_compared_with_training_slices(released, plan, tmp_path) -> None:
    ticks: list[tuple[int, int]] = []
    found = ct_copies.measure(
        released, None, square=8, progress=lambda done, total: ticks.append((done, total))
    )
    learned = [*plan.train, *plan.validation]
    assert ticks[-1] == (len(learned), len(learned))
    assert found.patients == sorted({row["patient_id"] for row in learned})
    assert not set(found.patients) & set(found.held_out_patients)
    assert list(found.groups) == list(ct_copies.GROUPS)
    assert found.groups["drawn"].slices <= COUNT
    masks = np.stack([slices.read_mask(row, SIDE) for row in learned])
    assert found.outside_lung == pytest.approx((masks == 0).mean(), abs=1e-4)
    assert found.groups["grainy"].median > found.groups["held out"].median
    ct_copies.write(found, tmp_path / "copies.json")
    again = ct_copies.CopiesResult.model_validate_json((tmp_path / "copies.json").read_text())
    assert again == found
    assert "| drawn slices |" in ct_copies.table(again)
    listed = manifest.read(released)
    films = listed.model_copy(update={"subsets": {"gnc": listed.subsets["ct"]}})
    (tmp_path / "films").mkdir()
    manifest.write(tmp_path / "films", films)
    with pytest.raises(ConfigError, match="holds no CT slices; found gnc"):
        ct_copies.measure(tmp_path / "films", None, progress=lambda *_: None)
    few = ct_copies.measure(released, None, square=8, limit=2, progress=lambda *_: None)
    assert few.groups["drawn"].slices <= 2


def test_quality_of_the_test_slices(weights, plan, tmp_path) -> None:
    seen = []

    def features(slices: np.ndarray) -> np.ndarray:
        """Means of 4 x 4 blocks in place of the network's features."""
        seen.append(slices)
        return slices.reshape(len(slices), 16, 4, 16, 4).mean((2, 4)).reshape(len(slices), -1)[:, ::9]

    found = ct_quality.measure(weights, None, device="cpu", features=features)
    assert found.slices == len(plan.generation_test)
    assert found.patients == list(dict.fromkeys(row["patient_id"] for row in plan.generation_test))
    assert found.generator == "ct-global-local.tiny"
    real, complemented, real_lungs, lungs = seen
    outside = real_lungs == 0
    assert (complemented[(real == complemented) | outside] == real[(real == complemented) | outside]).all()
    assert (lungs[outside] == 0).mean() > 0.95
    # What was pasted in is all that differs: whole slices are nearer to real ones than black around both.
    assert found.complemented.rmse.mean == pytest.approx(found.lung.rmse.mean, rel=1e-3)
    assert found.complemented.fid.extractor == ct_quality.EXTRACTOR
    ct_quality.write(found, tmp_path / "quality.json")
    again = ct_quality.QualityResult.model_validate_json((tmp_path / "quality.json").read_text())
    assert again == found
    assert "| ct-global-local.tiny |" in ct_quality.table([again])


def test_from_a_release_to_the_table(released, tmp_path) -> None:
    """What an untrained generator drew, in a suite of two regimes, as a table."""
    content = benchmark.load_suite("jiang2020").model_dump()
    content["name"] = "tiny"
    content["data"] |= {"source": "ct-phantom", "options": PHANTOM}
    content["profiles"] = {
        "quick": {
            "title": "tiny",
            "size": 32,
            "network": {"name": "unet", "channels": [2, 4]},
            "training": {"epochs": 1, "batch_size": 8},
        }
    }
    suite = SegmentationSuite.model_validate(content)
    for seeds in (1, 1):
        paths = benchmark.run(
            suite, out=tmp_path, release=released, regimes=["real", "replace-50"], seeds=seeds, device="cpu"
        )
    found = [results.validate_result(path) for path in paths]
    assert [one.composition.synthetic for one in found] == [0, round(found[0].composition.real / 2)]
    assert any("taught a generator" in note for note in found[1].notes)
    assert "replace-50 (ct-global-local.tiny)" in benchmark.report(tmp_path)
