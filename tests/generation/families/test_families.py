"""The families that start from noise: each trains, learns, and goes on after a stop bit for bit."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from covid_synth_data.errors import ConfigError
from covid_synth_data.generators import weights
from covid_synth_data.generators.trained import Sampler
from covid_synth_data.generators.trained import load_file as load_weights
from generation.recipe import family
from generation.training import checkpoint
from generation.training import loop as trainer
from tests.generation.families.runs import same, tensors
from tests.generation.tiny import (
    SIZES,
    STEPS,
    VARIANTS,
    Stopped,
    as_toml,
    content,
    films_of,
    recipe_of,
    stop_at,
    train,
)

ROOT = Path(__file__).resolve().parents[3]


LEARNERS = [name for name in VARIANTS if name not in ("pretraining", "transfer", "mtt")]
"""One variant of each step function."""


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def start_of(variant: str, finished) -> Path | None:
    start = VARIANTS[variant].get("start")
    return finished(start).folder if start else None


def test_a_run_leaves_weights_metrics_looks_and_samples(variant, finished):
    run, recipe = finished(variant), recipe_of(variant)
    size = SIZES[recipe.family]
    metrics = lines(run.folder / "metrics.jsonl")
    assert [line["step"] for line in metrics] == list(range(STEPS))
    assert all(math.isfinite(value) for line in metrics for value in line.values())
    looks = lines(run.folder / "looks.jsonl")
    assert [line["step"] for line in looks] == [2, STEPS]
    assert all(
        (line["diversity_films"] > 5, "frechet" in line) == (True, recipe.training.frechet > 0)
        for line in looks
    )
    sheets = sorted((run.folder / "samples").iterdir())
    assert [path.name for path in sheets] == ["step-00000002.png", "step-00000005.png"]
    with Image.open(sheets[-1]) as sheet:
        assert sheet.size == (6 * (size + 2) + 2, 6 * (size + 2) + 2)  # films and five samples, six rows
    _, card = weights.read(run.weights)
    assert card.kind == "sampler"
    assert card.name == f"{recipe.network.generator}.tiny"
    assert (card.size, card.licences) == (size, ["CC0 1.0"])
    conditional = variant in ("acgan", "diffaug")
    assert card.classes == (recipe.data.classes if conditional else [])
    assert card.target_class == (None if variant == "pretraining" or conditional else "covid-19")
    assert card.training["films"] == {side.label: len(side.image_ids) for side in films_of(recipe)}
    sampler = load_weights(run.weights, "cpu")
    assert isinstance(sampler, Sampler)
    assert sampler.sample(2).shape == (2, size, size)


UNMOVED = ("discriminator/value.bias", "discriminator/score.bias")
"""What a difference of two scores does not depend on."""


@pytest.mark.parametrize("variant", LEARNERS)
def test_all_weights_move(variant, finished):
    folder = finished(variant).folder
    before, after = tensors(folder, 2), tensors(folder, STEPS)
    trained = trainable(variant)
    assert {key.split("/")[1] for key in trained} == {"generator", "discriminator"}
    limit = recipe_of(variant).losses.limit if variant == "wgan" else math.inf
    still = [key for key in trained if torch.equal(before[key], after[key])]
    assert [
        key for key in still if not key.endswith(UNMOVED) and not (before[key].abs() >= limit - 1e-9).all()
    ] == []  # weights may stay at the limit that they are clipped to


def trainable(variant: str) -> list[str]:
    """The names that trained weights have in a checkpoint."""
    recipe = recipe_of(variant)
    trainee = family(recipe.family)(recipe, trainer.make_fabric(recipe, "cpu"))
    owned = [name for names in trainee.owners.values() for name in names]
    return [f"net/{name}/{key}" for name in owned for key, _ in trainee.networks[name].named_parameters()]


@pytest.mark.parametrize(
    ("variant", "term", "changes"),
    [
        (
            "baseline",
            "discriminator",
            {"training": {"learning_rate": 1e-3, "batch_size": 8}, "network": {"discriminator_width": 8}},
        ),
        ("dcgan", "discriminator", {}),
        # At 24 steps the loss has fallen by more or less than a tenth, depending on the processor.
        ("acgan", "class_seen", {"training": {"steps": 48}}),
        ("iagan", "discriminator", {"training": {"steps": 48}}),
        ("diffaug", "discriminator", {"training": {"learning_rate": 5e-4}}),
        ("wgan-gp", "distance", {}),
        ("wgan", "distance", {}),
    ],
)
def test_the_judge_learns_to_tell_films_from_samples(variant, term, changes, tmp_path):
    """Within a few steps: the distance that a critic sees grows, the losses of the others fall."""
    training = {"steps": 24, "learning_rate": 2e-3, "looks": 1, "ema": 0.0, "frechet": 0, "keep": "last"}
    changed = {**changes, "training": {**training, **changes.get("training", {})}}
    train(recipe_of(variant, **changed), tmp_path)
    values = [line[term] for line in lines(tmp_path / "metrics.jsonl")]
    first, last = np.mean(values[:4]), np.mean(values[-8:])
    assert last > first + 0.1 if term == "distance" else last < 0.9 * first


@pytest.mark.parametrize(
    ("variant", "step"), [*((name, 4) for name in VARIANTS), ("mtt", 1), ("wgan-gp", 1), ("diffaug", 1)]
)
def test_stopped_and_continued_is_the_same_run(variant, step, finished, tmp_path):
    """Stopped before the first checkpoint, and between two: weights, losses, looks, pictures, state."""
    whole, start = finished(variant), start_of(variant, finished)
    folder = tmp_path / variant
    with pytest.raises(Stopped):
        train(recipe_of(variant), folder, start, stop_at(step))
    assert checkpoint.saved_steps(folder / "checkpoints")[-1] < step
    train(recipe_of(variant), folder, start)
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert names == sorted(
        path.relative_to(whole.folder) for path in whole.folder.rglob("*") if path.is_file()
    )
    different = [
        name.as_posix()
        for name in names
        if (folder / name).read_bytes() != (whole.folder / name).read_bytes()
    ]
    assert different == []


@pytest.mark.parametrize("variant", ["dcgan", "mtt", "wgan-gp", "diffaug"])
def test_the_global_random_states_are_untouched(variant, finished, tmp_path):
    start = start_of(variant, finished)
    films_of(recipe_of(variant))
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002
    random.seed(11)
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    with pytest.raises(Stopped):
        train(recipe_of(variant, training={"looks": 5}), tmp_path, start, stop_at(1))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert random.getstate() == before[2]


def test_what_is_random_outside_does_not_matter(finished, tmp_path):
    torch.manual_seed(12345)
    again = train(recipe_of("diffaug"), tmp_path)
    assert again.weights.read_bytes() == finished("diffaug").weights.read_bytes()
    other = train(recipe_of("diffaug", seed=4), tmp_path / "other")
    assert other.weights.read_bytes() != again.weights.read_bytes()


# --- sizes and devices --------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["baseline", "wgan", "dcgan", "acgan", "iagan"])
def test_films_of_another_size_than_the_network_are_refused_at_the_start(variant, tmp_path):
    size = SIZES[VARIANTS[variant]["family"]]
    recipe = recipe_of(variant, data={"size": 64})
    with pytest.raises(ConfigError, match=f"found data.size = 64; expected data.size = {size}.*change"):
        trainer.train(recipe, [], tmp_path, trainer.make_fabric(recipe, "cpu"), lambda *_: None)
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_is_no_power_of_two_is_refused(tmp_path):
    recipe = recipe_of("diffaug", data={"size": 48})
    with pytest.raises(ConfigError, match="found size = 48; expected a power of two"):
        trainer.train(recipe, [], tmp_path, trainer.make_fabric(recipe, "cpu"), lambda *_: None)


def test_gradients_are_averaged_over_the_devices():
    recipe = recipe_of("dcgan")
    trainee = family("dcgan")(recipe, trainer.make_fabric(recipe, "cpu"))
    asked = []

    def all_reduce(gradient: torch.Tensor, reduce_op: str) -> torch.Tensor:
        asked.append(reduce_op)
        return torch.full_like(gradient, 0.5)

    backward = torch.Tensor.backward
    trainee.fabric = SimpleNamespace(world_size=2, backward=backward, all_reduce=all_reduce)
    owned = list(trainee.networks["discriminator"].parameters())
    trainee.optimizers["discriminator"] = torch.optim.SGD(owned, lr=1.0)
    before = [p.detach().clone() for p in owned]
    trainee.update("discriminator", trainee.discriminator(torch.randn(2, 1, 96, 96)).sum())
    assert asked == ["mean"] * len(owned)
    assert all(torch.allclose(p, old - 0.5) for p, old in zip(owned, before, strict=True))


def test_a_critic_batch_that_devices_cannot_share_is_refused():
    recipe = recipe_of("wgan", training={"batch_size": 3})  # two updates: 6 films, which two devices could
    trainee = family("wgan")(recipe, trainer.make_fabric(recipe, "cpu"))
    trainee.fabric = SimpleNamespace(world_size=2, global_rank=0, device=torch.device("cpu"))
    with pytest.raises(ConfigError, match="a batch of 3 cannot be shared by 2 devices"):
        trainee.batches(films_of(recipe))


def test_two_processes_keep_the_same_weights(finished, tmp_path):
    """Each sees films and noise of its own; both end with the same weights, and one writes the run."""
    (tmp_path / "recipe.toml").write_text(as_toml(content("diffaug")))
    script = f"""
import sys
from pathlib import Path
sys.path[:0] = [{str(ROOT)!r}]
import numpy as np
from safetensors.torch import save_file
from generation.training import loop
from generation.data.films import TrainingImages
from generation.recipe import family, load_recipe
if __name__ == "__main__":
    folder = Path({str(tmp_path)!r})
    recipe = load_recipe(folder / "recipe.toml")
    fabric = loop.make_fabric(recipe, "cpu", devices=2)
    fabric.launch()
    made = []
    loop.family = lambda name: lambda *a: made.append(family(name)(*a)) or made[-1]
    films = [TrainingImages(label, np.load(folder / f"{{label}}.npy"), [label], ["CC0 1.0"])
             for label in recipe.data.classes]
    loop.train(recipe, films, folder / "two", fabric, lambda *_: None)
    found = {{f"{{n}}/{{k}}": p.detach().contiguous()
             for n, net in made[0].networks.items() for k, p in net.named_parameters()}}
    save_file(found, folder / f"rank-{{fabric.global_rank}}.safetensors")
"""
    for side in films_of(recipe_of("diffaug")):
        np.save(tmp_path / f"{side.label}.npy", side.pixels)
    (tmp_path / "two.py").write_text(script)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "two.py")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ranks = [load_file(tmp_path / f"rank-{rank}.safetensors") for rank in range(2)]
    assert same(*ranks)
    alone = tensors(finished("diffaug").folder, STEPS, "net/")
    assert not torch.equal(ranks[0]["generator/head.weight"], alone["generator/head.weight"])
    assert [line["step"] for line in lines(tmp_path / "two" / "metrics.jsonl")] == list(range(STEPS))
    assert checkpoint.saved_steps(tmp_path / "two" / "checkpoints") == [2, STEPS]


@pytest.mark.slow
def test_a_killed_process_goes_on(tmp_path):
    """kill -9 in the middle; the end is that of a run left alone."""
    tables = content("diffaug")
    tables["training"] |= {"steps": 120, "looks": 3, "checkpoint_seconds": 1}
    (tmp_path / "diffaug.toml").write_text(as_toml(tables))
    command = [sys.executable, "-m", "generation", "train", str(tmp_path / "diffaug.toml"), "--device", "cpu"]
    options = {"env": {**os.environ, "OMP_NUM_THREADS": "1"}, "cwd": ROOT}
    subprocess.run(
        [*command, "--out", str(tmp_path / "whole")], check=True, capture_output=True, timeout=300, **options
    )
    killed = [*command, "--out", str(tmp_path / "killed")]
    process = subprocess.Popen(killed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    metrics, deadline = tmp_path / "killed" / "metrics.jsonl", time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if metrics.is_file() and len(metrics.read_text().splitlines()) >= 50:
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "diffaug.safetensors").exists()
    subprocess.run(killed, check=True, capture_output=True, timeout=300, **options)
    for name in ("diffaug.safetensors", "diffaug.json", "metrics.jsonl", "looks.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
