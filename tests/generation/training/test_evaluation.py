"""Evaluations: what they record, which weights they keep, and the runs that they give up."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from covid_synth_data.errors import DivergedError
from covid_synth_data.generators import weights
from covid_synth_data.generators.diffaug import DiffAugGenerator
from covid_synth_data.metrics import fidelity
from generation.families import losses
from generation.training import checkpoint, evaluation, log, loop
from generation.training.evaluation import PATIENCE, Evaluations
from tests.generation.tiny import Means, Stopped, films_of, recipe_of, train


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class Trainee:
    """What `Evaluations` asks of a family: films of a given spread, and a picture of them."""

    def __init__(self, **training: object) -> None:
        self.recipe = recipe_of("diffaug", training={"collapse": 0.1, **training})
        self.fabric = SimpleNamespace(device=torch.device("cpu"))
        self.spread = 1.0
        self.network = torch.nn.Linear(1, 1)

    def preview(self, batches: object, rows: int) -> list[torch.Tensor]:
        return [torch.zeros(rows, 1, 32, 32)] * 2

    def samples(self, count: int, batches: object) -> np.ndarray:
        return (self.spread * spread_films(count).astype(float)).round().astype(np.uint8)

    def measures(self, batches: object) -> dict[str, float]:
        return {"psnr": 20.0}

    def inference_network(self) -> torch.nn.Module:
        return self.network


def spread_films(count: int) -> np.ndarray:
    """TrainingImages of one grey each, 0 to 200."""
    greys = np.linspace(0, 200, count).round().astype(np.uint8)
    return np.repeat(greys, 32 * 32).reshape(count, 32, 32)


BATCHES = SimpleNamespace(real=spread_films)


def looked(folder: Path, spreads: list[float], total: int, **training: object) -> Evaluations:
    """Evaluations after steps 1, 2, ... at samples of these spreads."""
    trainee = Trainee(looks=total, **training)
    made = Evaluations(folder, trainee, BATCHES, total, 0)
    for step, spread in enumerate(spreads, 1):
        trainee.spread = spread
        made.evaluate(step)
    return made


def test_looks_are_spread_over_the_run_and_the_last_is_at_its_end(tmp_path):
    assert Evaluations(tmp_path, Trainee(looks=4), BATCHES, 10, 0).at == {2, 5, 8, 10}
    assert {5} == Evaluations(tmp_path, Trainee(looks=1), BATCHES, 5, 0).at
    assert {1, 2, 3} <= Evaluations(tmp_path, Trainee(looks=20), BATCHES, 3, 0).at


def test_a_look_records_diversity_and_leaves_a_picture(tmp_path):
    looked(tmp_path, [0.5], 2)
    (line,) = lines(tmp_path / "looks.jsonl")
    films = spread_films(evaluation.CHECKED)
    assert line.keys() == {"step", "diversity", "diversity_films", "psnr"}
    assert line["step"] == 1
    assert line["diversity_films"] == pytest.approx(fidelity.diversity(films), abs=1e-4)
    assert line["diversity"] == pytest.approx(line["diversity_films"] / 2, rel=0.02)
    with Image.open(tmp_path / "samples" / "step-00000001.png") as picture:
        assert picture.size == (2 * 34 + 2, evaluation.ROWS * 34 + 2)


def test_a_look_records_the_distances_to_the_films(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "Extractor", Means)
    looked(tmp_path, [1.0, 0.5], 2, frechet=12)
    same, other = lines(tmp_path / "looks.jsonl")
    extract = Means("cpu")
    real, made = extract(spread_films(12)), extract((spread_films(12) * 0.5).round().astype(np.uint8))
    assert same["frechet"] == pytest.approx(0, abs=1e-3)
    assert other["frechet"] == pytest.approx(fidelity.frechet_distance(real, made), rel=1e-6)
    kernel = fidelity.kernel_distance(real, made)
    assert (other["kernel"], other["kernel_spread"]) == pytest.approx((kernel.value, kernel.spread), rel=1e-5)
    assert (other["samples"], other["films"], other["features"]) == (12, 12, "means")


def test_a_run_with_the_real_extractor(tmp_path, monkeypatch):
    """Six films through the network of the benchmark; the names of what was measured stand beside it."""
    recipe = recipe_of("diffaug", training={"steps": 1, "looks": 1, "frechet": 6})
    fabric = loop.make_fabric(recipe, "cpu")
    loop.train(recipe, films_of(recipe), tmp_path, fabric, lambda *_: None)
    (line,) = lines(tmp_path / "looks.jsonl")
    assert line["features"].startswith("efficientnet-lite0/")
    assert (line["samples"], line["films"]) == (6, 6)
    assert line["frechet"] > 0
    assert np.isfinite(line["kernel"])


# --- samples that are all alike -----------------------------------------------------------------------


def test_alike_samples_are_given_up_after_some_looks(tmp_path):
    """In the second half of the schedule, whatever came before."""
    with pytest.raises(DivergedError, match="all alike at step 7; found diversity .* expected at least"):
        looked(tmp_path, [0.01] * 10, 10)
    assert [line["step"] for line in lines(tmp_path / "looks.jsonl")] == list(range(1, 8))


def test_a_generator_may_begin_with_alike_samples(tmp_path):
    assert not looked(tmp_path, [0.01] * 4 + [1.0] * 6, 10).suspicious


def test_samples_that_were_diverse_once_collapse_at_any_time(tmp_path):
    with pytest.raises(DivergedError, match="all alike at step 4"):
        looked(tmp_path, [1.0, 0.01, 0.01, 0.01], 100)


def test_a_look_at_diverse_samples_starts_the_count_again(tmp_path):
    made = looked(tmp_path, [1.0, *[0.01, 0.01, 1.0] * 3], 10)
    assert not made.suspicious
    made.trainee.spread = 0.01
    made.evaluate(11)
    assert made.suspicious


def test_a_share_of_nothing_turns_the_check_off(tmp_path):
    assert not looked(tmp_path, [1.0, *[0.0] * 9], 10, collapse=0.0).suspicious


def one_image(monkeypatch, from_step: int) -> None:
    """From that step on the generator ignores its noise and its label."""
    forward, steps = DiffAugGenerator.forward, []
    step = loop.family("diffaug").step

    def counted(self, *batch):
        steps.append(1)
        return step(self, *batch)

    def alike(self, z, labels=None):
        if len(steps) >= from_step:
            z, labels = torch.ones_like(z), torch.zeros_like(labels)
        return forward(self, z, labels)

    monkeypatch.setattr(loop.family("diffaug"), "step", counted)
    monkeypatch.setattr(DiffAugGenerator, "forward", alike)


def test_a_collapsed_run_stops_at_its_last_good_checkpoint(tmp_path, monkeypatch):
    recipe = recipe_of("diffaug", training={"steps": 12, "looks": 12, "collapse": 0.02})
    one_image(monkeypatch, from_step=5)
    with pytest.raises(DivergedError, match=f"all alike at step {4 + PATIENCE}; found diversity 0.00"):
        train(recipe, tmp_path)
    seen = lines(tmp_path / "looks.jsonl")
    assert [line["diversity"] > 1 for line in seen] == [True] * 4 + [False] * PATIENCE
    assert checkpoint.saved_steps(tmp_path / "checkpoints") == [3, 4]
    assert not list(tmp_path.glob("*.safetensors"))
    assert len(lines(tmp_path / "metrics.jsonl")) == 4 + PATIENCE


def test_the_same_command_goes_on_from_the_last_good_checkpoint(tmp_path, monkeypatch):
    recipe = recipe_of("diffaug", training={"steps": 8, "looks": 8, "collapse": 0.02})
    with monkeypatch.context() as patch:
        one_image(patch, from_step=3)
        with pytest.raises(DivergedError):
            train(recipe, tmp_path / "run")
    train(recipe, tmp_path / "run")
    train(recipe, tmp_path / "whole")
    for name in ("diffaug.safetensors", "metrics.jsonl", "looks.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


# --- losses that explode ------------------------------------------------------------------------------


def test_an_exploding_loss_is_named_with_its_limit(tmp_path, monkeypatch):
    original, calls = losses.wasserstein_generator, []

    def exploding(scores: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return original(scores) + (600.0 if len(calls) > 3 else 0.0)

    monkeypatch.setattr(losses, "wasserstein_generator", exploding)
    recipe = recipe_of("wgan-gp", training={"looks": 5, "loss_limit": 500.0})
    with pytest.raises(
        DivergedError,
        match=r"diverged at step 3; found distance .*, generator [56]\d\d.*"
        r"at most 500 \(training.loss_limit\)",
    ):
        train(recipe, tmp_path)
    assert checkpoint.saved_steps(tmp_path / "checkpoints") == [2, 3]
    assert [line["step"] for line in lines(tmp_path / "metrics.jsonl")] == [0, 1, 2]
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1.1e4, 1.1e4])
def test_losses_that_are_refused(tmp_path, value):
    found = log.Log(tmp_path / "metrics.jsonl", 0, True, 1e4)
    found.add(0, 0, {"critic": torch.tensor(-9e3)})
    found.flush()
    found.add(1, 0, {"critic": torch.tensor(value)})
    with pytest.raises(DivergedError, match="diverged at step 1; found critic"):
        found.flush()
    assert [line["critic"] for line in lines(tmp_path / "metrics.jsonl")] == [-9000]


# --- which weights are kept ---------------------------------------------------------------------------


def distances(monkeypatch, values: list[float]) -> None:
    """The Frechet distances that the looks find."""
    left = iter(values)
    monkeypatch.setattr(fidelity, "frechet_distance", lambda real, made: next(left))


@pytest.mark.parametrize("values", [[9.0, 3.0, 5.0, 4.0], [9.0, 3.0, 3.0, 4.0]])
def test_the_weights_with_the_lowest_distance_are_kept(tmp_path, monkeypatch, values):
    """The first of equals; training has no memory of the schedule's end, so a shorter run has them too."""
    distances(monkeypatch, values)
    training = {"steps": 4, "looks": 4, "frechet": 8, "keep": "best"}
    run = train(recipe_of("diffaug", training=training), tmp_path / "best")
    kept, card = weights.read(run.weights)
    assert (card.training["steps"], card.training["weights_of_step"]) == (4, 2)
    shorter = train(recipe_of("diffaug", training={"steps": 2}), tmp_path / "shorter")
    expected, other = weights.read(shorter.weights)
    assert kept.keys() == expected.keys()
    assert all(torch.equal(kept[key], expected[key]) for key in kept)
    assert "weights_of_step" not in other.training


def test_the_last_weights_may_be_the_best(tmp_path, monkeypatch):
    distances(monkeypatch, [9.0, 3.0])
    training = {"frechet": 8, "keep": "best"}
    run = train(recipe_of("diffaug", training=training), tmp_path)
    assert "weights_of_step" not in weights.read(run.weights)[1].training
    best = load_file(tmp_path / "best.safetensors")
    newest = load_file(tmp_path / "checkpoints" / "step-00000005" / "tensors.safetensors")
    teacher = "net/generator_teacher/module."
    assert all(torch.equal(value, newest[teacher + key]) for key, value in best.items())


@pytest.mark.parametrize("keep", ["last", "best"])
def test_a_look_after_the_checkpoint_is_taken_again(tmp_path, monkeypatch, keep):
    """A stop between the look and the checkpoint that belongs to it: the record is dropped and made anew."""
    recipe = recipe_of("diffaug", training={"looks": 5, "frechet": 8, "keep": keep})
    train(recipe, tmp_path / "whole")
    save = checkpoint.save

    def stopped(folder: Path, step: int, *rest: object) -> None:
        if step == 3:
            raise Stopped
        save(folder, step, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", stopped)
        with pytest.raises(Stopped):
            train(recipe, tmp_path / "parts")
    path = tmp_path / "parts" / "looks.jsonl"
    assert [line["step"] for line in lines(path)] == [1, 2, 3]
    with path.open("a") as file:
        file.write('{"step": 4, "diver')  # a line that a stop cut off
    train(recipe, tmp_path / "parts")
    for name in ("diffaug.safetensors", "diffaug.json", "looks.jsonl", "metrics.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
