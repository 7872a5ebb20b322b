"""Runs of a tiny suite: files that can be computed again, nothing done twice, the test set kept out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from covid_synth_data import benchmark
from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.results.segmentation import measure, result_path
from covid_synth_data.benchmark.running import segmentation as running
from covid_synth_data.benchmark.segmentation import data, training
from covid_synth_data.ct import phantom
from covid_synth_data.errors import ConfigError, ImpossibleMix, LeakError, ReleaseError, ResultError
from covid_synth_data.metrics.segmentation import STRUCTURES
from covid_synth_data.release import manifest
from tests.benchmark.segmentation.conftest import SIDE

REGIMES = ["real", "extend-20"]


@pytest.fixture(scope="module")
def done(suite, release, tmp_path_factory) -> Path:
    """Two regimes, two seeds."""
    out = tmp_path_factory.mktemp("done")
    benchmark.run(suite, out=out, release=release, regimes=REGIMES, seeds=2, device="cpu")
    return out


def run(suite, out, regimes=("real",), **options):
    return benchmark.run(suite, out=out, regimes=list(regimes), device="cpu", **options)


def without_time(path: Path) -> dict:
    content = json.loads(path.read_text())
    content.pop("seconds")
    return content


def test_where_the_files_are(done) -> None:
    found = sorted(path.relative_to(done).as_posix() for path in done.rglob("*.json"))
    assert found == [
        f"tiny/patient/quick/{regime}/segmentation-{seed}.json"
        for regime in sorted(REGIMES)
        for seed in (0, 1)
    ]


def test_every_number_follows_from_the_counts(done, plan) -> None:
    tested = {row["image_id"]: row for row in (*plan.generation_test, *plan.segmentation_test)}
    for path in results.find(done):
        result = results.validate_result(path)
        assert sorted(row.image_id for row in result.slices) == sorted(tested)
        assert result.metrics == measure(result.slices)
        assert result.train.patients == list(dict.fromkeys(row["patient_id"] for row in plan.train))
        assert (result.size, result.hardware.device) == (SIDE, "cpu")
        assert "monai" in result.code.libraries
        for row in result.slices:
            assert row.ggo[0] + row.ggo[2] == tested[row.image_id]["ggo_pixels"]
            assert row.consolidation[0] + row.consolidation[2] == tested[row.image_id]["consolidation_pixels"]
    synthetic = results.read_result(done / result_path("tiny", "patient", "quick", "extend-20", 0))
    assert synthetic.composition.synthetic == round(0.2 * len(plan.train))
    assert synthetic.composition.generators == ["grey.v1"]
    assert synthetic.dataset is not None
    assert (synthetic.dataset.name, synthetic.dataset.version) == ("covid-synth-ct", "0.1.0")


def test_the_same_seed_gives_the_same_file(done, suite, release, tmp_path) -> None:
    for path in run(suite, tmp_path, REGIMES, release=release, seeds=1):
        assert without_time(path) == without_time(done / path.relative_to(tmp_path))
    other = done / result_path("tiny", "patient", "quick", "real", 1)
    assert without_time(other)["slices"] != without_time(other.with_name("segmentation-0.json"))["slices"]
    assert any(sum(row["infection"][:2]) for row in without_time(other)["slices"])


@pytest.fixture
def of_phantoms(make_release, tmp_path, monkeypatch) -> Path:
    """A release whose label maps are of phantoms by its manifest. The phantoms of the suite stand for real
    slices, which no test has."""
    monkeypatch.setattr(running, "PHANTOM", "another source")
    options = {"size": SIDE, "patients": 4, "slices": 4, "seed": 5, "ragged": 1}
    folder = make_release(tmp_path / "covid-synth-ct", [(row, "full") for row in phantom.rows(**options)])
    listed = manifest.read(folder)
    subset = listed.subsets["ct"].model_copy(update={"recipe": {"release": {"phantom": options}}})
    manifest.write(folder, listed.model_copy(update={"subsets": {"ct": subset}}))
    return folder


def test_a_released_set_of_phantoms_from_end_to_end(suite, of_phantoms, tmp_path) -> None:
    """Drawn lungs in phantoms, and the phantoms before, made again by the recipe in the manifest."""
    paths = run(suite, tmp_path / "out", ["extend-20", "undrawn-50"], release=of_phantoms, seeds=1)
    drawn, before = (results.validate_result(path) for path in paths)
    count = drawn.composition.available
    assert (drawn.composition.synthetic, drawn.composition.undrawn) == (round(0.2 * count), 0)
    assert (before.composition.synthetic, before.composition.undrawn) == (0, round(0.5 * count))
    assert before.composition.generators == []
    for result in (drawn, before):
        assert result.dataset is not None
        assert "16 synthetic slices have the body of a phantom around the lung" in result.notes


def test_phantoms_alone_may_be_tested_on_whom_the_generator_learned_from(
    suite, of_phantoms, plan, tmp_path
) -> None:
    swapped = {"release": of_phantoms, "protocol": "swapped", "seeds": 1}
    with pytest.raises(LeakError, match="learned from"):
        run(suite, tmp_path / "out", ["undrawn-50", "extend-20"], **swapped)
    assert not (tmp_path / "out").exists()
    (path,) = run(suite, tmp_path / "out", ["undrawn-50"], **swapped)
    result = results.validate_result(path)
    assert set(result.test.patients) == {row["patient_id"] for row in plan.train}
    assert result.composition.undrawn > 0


def test_what_is_done_is_not_done_again(done, suite, release, monkeypatch) -> None:
    before = {path: path.read_bytes() for path in results.find(done)}

    def never(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(training, "fit", never)
    paths = run(suite, done, REGIMES, release=release, seeds=2)
    assert {path: path.read_bytes() for path in paths} == before


class Killed(Exception):
    pass


def test_a_killed_run_goes_on(done, suite, release, tmp_path) -> None:
    """Killed in the middle of the second training: the first file stays, the second is made whole."""

    def progress(number: int, total: int, what: str) -> None:
        if what.startswith("2/2") and number == 1:
            raise Killed

    with pytest.raises(Killed):
        run(suite, tmp_path, REGIMES, release=release, seeds=1, progress=progress)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["segmentation-0.json"]
    kept = tmp_path / result_path("tiny", "patient", "quick", "real", 0)
    before = kept.stat().st_mtime_ns
    paths = run(suite, tmp_path, REGIMES, release=release, seeds=1)
    assert kept.stat().st_mtime_ns == before
    assert without_time(paths[1]) == without_time(done / paths[1].relative_to(tmp_path))


def test_the_test_slices_change_nothing_but_what_is_measured(done, suite, tmp_path, monkeypatch) -> None:
    """With noise for test slices and other truth, the same epoch with the same validation Dice is kept."""
    read, chosen = data.read, []

    def noisy(rows, side, progress, what):
        found = read(rows, side, progress, what)
        if what == "read test":
            chosen.append(what)
            random = np.random.default_rng(0)
            found.images[:] = random.integers(0, 256, found.images.shape)
            found.masks[:] = random.integers(0, 4, found.masks.shape)
        return found

    monkeypatch.setattr(data, "read", noisy)
    (path,) = run(suite, tmp_path, seeds=1)
    assert chosen
    one, other = without_time(path), without_time(done / path.relative_to(tmp_path))
    assert one["fitting"] == other["fitting"]
    assert one["metrics"] != other["metrics"]


def test_other_settings_in_the_same_folder_are_refused(done, suite, release) -> None:
    with pytest.raises(ResultError, match="made from other data or settings"):
        run(suite, done, seeds=1, limit=5)
    with pytest.raises(ConfigError, match="no such size; found 70; expected a multiple of 4"):
        run(suite, done, size=70)
    with pytest.raises(ConfigError, match="no such limit"):
        run(suite, done, limit=0)


def test_size_and_limit(suite, tmp_path) -> None:
    (path,) = run(suite, tmp_path, seeds=1, size=32, limit=5)
    result = results.validate_result(path)
    assert (result.size, result.limit, result.composition.real, result.train.slices) == (32, 5, 5, 5)
    assert sum(result.slices[0].ggo) == 32 * 32


def test_a_missing_or_leaking_release_stops_before_any_training(
    suite, plan, make_release, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(training, "fit", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(ReleaseError, match="extend-20 of suite tiny cannot run without ct of"):
        run(suite, tmp_path / "out", REGIMES, release=tmp_path / "nothing")
    few = make_release(tmp_path / "few", [(plan.train[0], "full")])
    with pytest.raises(ImpossibleMix, match="found 1 of training slices in the release"):
        run(suite, tmp_path / "out", REGIMES, release=few)
    leaking = make_release(tmp_path / "leaking", [(plan.segmentation_test[0], "full")])
    with pytest.raises(LeakError, match="the test part"):
        run(suite, tmp_path / "out", REGIMES, release=leaking)
    taught = make_release(tmp_path / "taught", [(plan.train[0], "full")], learned=plan.segmentation_test)
    with pytest.raises(LeakError, match="learned from"):
        run(suite, tmp_path / "out", REGIMES, release=taught)
    assert not (tmp_path / "out").exists()


def test_the_paper_protocol(suite, tmp_path) -> None:
    """By slice: trained on the generator's test slices, with slices of the test's patients on both sides."""
    (path,) = run(suite, tmp_path / "out", protocol="paper", seeds=1)
    result = results.validate_result(path)
    assert set(result.train.patients) & set(result.test.patients)
    assert result.protocol_rule.apart == "slice"


def test_the_report(done) -> None:
    text = benchmark.report(done)
    title, paper, honest, gains, *notes = text.split("\n\n")
    assert title.startswith("tiny 2.0.0, protocol patient, profile quick: tested on ")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in paper.splitlines()]
    assert rows[0][:4] == ["regime", "train", "seeds", "GGO Dice"]
    assert [row[0] for row in rows[2:]] == ["extend-20 (grey.v1)", "real"]
    assert [row[2] for row in rows[2:]] == ["2", "2"]
    result = [results.read_result(path) for path in results.find(done) if path.parent.name == "real"]
    means = [one.metrics.infection.folds.specificity for one in result]
    cell = rows[3][-1]
    assert cell.startswith(f"{100 * np.mean([mean.value for mean in means]):.2f} ± ")
    assert f"± {100 * max(mean.half for mean in means):.2f}" in cell
    assert "pooled" in honest
    (gain,) = [[cell.strip() for cell in line.strip("|").split("|")] for line in gains.splitlines()[2:]]
    assert gain[:3] == ["extend-20 (grey.v1)", "real", "2"]
    dice = {
        name: [
            one.metrics.infection.pooled.dice
            for one in map(results.read_result, results.find(done))
            if one.regime == name
        ]
        for name in ("extend-20", "real")
    }
    assert gain[3].startswith(f"{100 * (np.mean(dice['extend-20']) - np.mean(dice['real'])):+.2f} [")
    assert all(note.startswith("Note: ") for note in notes)


def test_results_of_different_test_slices_stand_in_no_table(done, suite, tmp_path) -> None:
    source = done / result_path("tiny", "patient", "quick", "real", 0)
    for name in REGIMES:
        path = tmp_path / result_path("tiny", "patient", "quick", name, 0)
        path.parent.mkdir(parents=True)
        content = json.loads(source.read_text())
        if name != "real":
            content["regime"] = name
            content["regime_rule"] = suite.regimes["remove-50"].model_dump()
            content["composition"]["real"] -= round(0.5 * content["composition"]["available"])
            content["slices"][0]["image_id"] = "another/1"
        path.write_text(json.dumps(content))
    with pytest.raises(ResultError, match="tested on different slices"):
        benchmark.report(tmp_path)
    with pytest.raises(ResultError, match="no such folder"):
        benchmark.report(tmp_path / "nothing")


def tampered(content: dict, what: str) -> dict:
    first = content["slices"][0]
    if what == "metric":
        content["metrics"]["ggo"]["pooled"]["specificity"] = 0.5
    elif what == "twice":
        content["slices"].append(first)
    elif what == "pixels":
        first["ggo"][3] += 1
    elif what == "infection":
        first["infection"] = [first["infection"][0], first["infection"][1], *first["infection"][2:]]
        first["infection"][1] += 1
        first["infection"][3] -= 1
    elif what == "patients":
        content["train"]["patients"] = [*content["train"]["patients"], first["patient_id"]]
    elif what == "composition":
        content["composition"]["real"] -= 1
    elif what == "epoch":
        content["fitting"]["best_epoch"] = 99
    elif what == "unknown":
        content["sharpness"] = 1
    elif what == "nan":
        content["fitting"]["validation_dice"] = float("nan")
    return content


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("metric", "the metrics of ggo are not those of the counts"),
        ("twice", "1 slices occur more than once"),
        ("pixels", f"pixels, not {SIDE**2}"),
        ("infection", "found pixels of infection"),
        ("patients", "a patient stands on two sides"),
        ("composition", "the regime leads to"),
        ("epoch", "epoch 99 was kept of 6"),
        ("unknown", "is not a result file: unknown key 'sharpness'"),
        ("nan", "is not a result file: wrong value for 'fitting.validation_dice'"),
    ],
)
def test_a_file_that_was_changed_is_refused(done, tmp_path, what, message) -> None:
    source = done / result_path("tiny", "patient", "quick", "real", 0)
    path = tmp_path / "segmentation-0.json"
    path.write_text(json.dumps(tampered(json.loads(source.read_text()), what)))
    with pytest.raises(ResultError, match=message):
        results.validate_result(path)


def test_an_own_suite_under_a_shipped_name_is_held_to_it(done, tmp_path) -> None:
    content = json.loads((done / result_path("tiny", "patient", "quick", "real", 0)).read_text())
    content["suite"] = "jiang2020"
    path = tmp_path / "segmentation-0.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ResultError, match="no such profile"):
        results.validate_result(path)
    assert set(STRUCTURES) == {"ggo", "consolidation", "infection"}
