"""Training of the generators from label maps on phantoms: stages, stops, decay, memory, looks, weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load_file

from benchmarks.performance.footprint import peak_bytes
from covid_synth_data import generators
from covid_synth_data.errors import ConfigError, WeightsError
from covid_synth_data.generators import weights
from covid_synth_data.generators.trained import LabelTranslator
from generation.data.slices import read_slices
from generation.recipe import load_recipe
from generation.training import loop
from tests.generation.ct_tiny import (
    NETWORKS,
    STEPS,
    few,
    random_maps,
    recipe_of,
    slices_of,
    train,
    trainee_of,
)
from tests.generation.tiny import Stopped, quick_features, stop_at

RECIPES = Path(__file__).resolve().parents[4] / "generation" / "recipes"


@pytest.fixture(scope="module", params=NETWORKS)
def finished(request, tmp_path_factory):
    """Each family's run, made once."""
    folder = tmp_path_factory.mktemp(request.param) / "run"
    return request.param, train(recipe_of(request.param), folder)


def lines(folder: Path, name: str = "metrics") -> list[dict]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def weights_of(trainee, name: str = "generator") -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in trainee.networks[name].state_dict().items()}


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {
        ".".join(key.split(".")[:2]) for key, value in before.items() if not torch.equal(value, after[key])
    }


def test_a_run_leaves_weights_curves_and_sheets_in_colour(finished):
    kind, run = finished
    assert [line["step"] for line in lines(run.folder)] == list(range(STEPS))
    looks = lines(run.folder, "looks")
    assert [look["step"] for look in looks] == [2, 4, 6]
    assert all(look["psnr"] > 0 and 0 < look["rmse"] < 1 and -1 <= look["ssim"] <= 1 for look in looks)
    with Image.open(run.folder / "samples" / "step-00000006.png") as sheet:
        assert sheet.mode == "RGB"
        colours = {colour for _, colour in sheet.getcolors(100_000)}
    assert {(255, 0, 0), (0, 0, 255)} <= colours
    _, card = weights.read(run.weights)
    assert card.name == f"{kind}.tiny"
    assert card.kind == "label-to-image"
    assert card.options["area"] == "lung"
    assert set(card.training["learned_from"]["films"]) == set(slices_of().image_ids)


def test_weights_load_by_name_and_draw_slices(finished):
    kind, run = finished
    found = generators.load(f"{kind}.tiny", root=run.folder, device="cpu")
    assert isinstance(found, LabelTranslator)
    maps = random_maps(5)
    made = found.translate(maps, seed=4, batch_size=2)
    assert made.shape == maps.shape
    assert made.dtype == np.uint8
    assert (made[maps == 0] == 0).all()
    assert made[maps > 0].std() > 0
    again = found.translate(maps[3:], seed=4, batch_size=2, start=3)
    assert np.abs(again.astype(int) - made[3:]).max() <= 1
    other = found.translate(maps, seed=5)
    assert np.array_equal(other, made) == (kind != "sean")
    assert found.translate(maps[:0]).shape == (0, 64, 64)


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (np.zeros((64, 64), np.uint8), "label maps of a wrong kind"),
        (np.zeros((1, 64, 64), np.float32), "label maps of a wrong kind"),
        (np.full((1, 64, 64), 9, np.uint8), "unknown label"),
        (np.zeros((1, 72, 40), np.uint8), "expected"),
    ],
)
def test_wrong_maps_are_one_line(finished, maps, message):
    kind, run = finished
    found = generators.load(f"{kind}.tiny", root=run.folder, device="cpu")
    with pytest.raises(ConfigError, match=message):
        found.translate(maps)
    with pytest.raises(ConfigError, match="no such seed"):
        found.translate(random_maps(1), seed=-1)


@pytest.mark.parametrize("step", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["ct-global-local", "sean"])
def test_stopped_and_continued_is_the_same_run(kind, tmp_path, step):
    recipe = recipe_of(kind, training={"ema": 0.9})
    whole = train(recipe, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(recipe, tmp_path / "parts", stop_at(step))
    parts = train(recipe, tmp_path / "parts")
    assert whole.weights.read_bytes() == parts.weights.read_bytes()
    for name in ("metrics.jsonl", "looks.jsonl"):
        assert (tmp_path / "whole" / name).read_text() == (tmp_path / "parts" / name).read_text()
    newest = [
        load_file(tmp_path / name / "checkpoints" / f"step-{STEPS:08d}" / "tensors.safetensors")
        for name in ("whole", "parts")
    ]
    assert newest[0].keys() == newest[1].keys()
    assert all(torch.equal(newest[0][key], newest[1][key]) for key in newest[0])


def test_each_stage_changes_what_it_should():
    trainee = trainee_of(recipe_of("ct-global-local"))
    batches = trainee.batches([slices_of()])
    moved = []
    for now in (0, 2, 4):
        trainee.begin(now, STEPS)
        names = ("generator", "discriminator", "dfm")
        before = {name: weights_of(trainee, name) for name in names}
        trainee.step(*batches.batch(now))
        after = {name: weights_of(trainee, name) for name in names}
        moved.append({name: changed(before[name], after[name]) for name in names})
    assert [step["generator"] for step in moved] == [
        {"scales.0"},
        {"scales.1"},
        {"scales.0", "scales.1", "desums.0"},
    ]
    assert moved[0]["discriminator"] == {"scales.1"}
    assert moved[1]["discriminator"] == moved[2]["discriminator"] == {"scales.0", "scales.1"}
    assert moved[0]["dfm"] == set()
    assert all(step["dfm"] for step in moved[1:])


def test_pix2pixhd_has_two_stages():
    trainee = trainee_of(recipe_of("pix2pixhd"))
    batches = trainee.batches([slices_of()])
    for now, expected in ((0, {"coarse"}), (3, {"coarse", "enhancer"})):
        trainee.begin(now, STEPS)
        before = weights_of(trainee)
        trainee.step(*batches.batch(now))
        assert {name.split(".")[0] for name in changed(before, weights_of(trainee))} == expected


def test_alpha_and_beta_are_logged(finished):
    kind, run = finished
    if kind != "ct-global-local":
        assert "alpha" not in lines(run.folder)[0]
        return
    alphas, betas = zip(*((line["alpha"], line["beta"]) for line in lines(run.folder)), strict=True)
    assert alphas[:4] == (0, 0, 1, 1)
    assert all(0 < alpha < 1 for alpha in alphas[4:])
    assert betas[:2] == (1, 1)
    assert all(0 < beta < 1 for beta in betas[2:])


@pytest.mark.parametrize(
    ("network", "stages", "losses", "gone"),
    [
        ({"desum": "none"}, None, None, "weighting"),
        ({"desum": "fixed"}, None, None, "weighting"),
        ({"desum_observes": "global"}, None, None, None),
        ({"dfm_observes": 2}, None, None, None),
        ({"dfm": "fixed"}, None, None, None),
        ({"dfm": "none"}, None, {"matching": 0.0}, None),
        ({"discriminators": 1}, None, None, None),
        ({"discriminators": 3}, None, None, None),
        ({"generators": 1}, [], None, None),
        ({"generators": 3}, [0.2, 0.2, 0.2], None, None),
    ],
)
def test_every_ablation_of_table_v_trains(network, stages, losses, gone):
    changes = {"network": network, "data": {"size": 128}, "training": {"batch_size": 1}}
    changes |= {"stages": {"alone": stages}} if stages is not None else {}
    changes |= {"losses": losses} if losses else {}
    recipe = recipe_of("ct-global-local", **changes)
    trainee = trainee_of(recipe)
    m = (
        torch.nn.functional.one_hot(torch.from_numpy(random_maps(1, 128)).long(), 4)
        .permute(0, 3, 1, 2)
        .float()
    )
    x = torch.rand(1, 1, 128, 128) * 2 - 1
    for now in range(STEPS):
        trainee.begin(now, STEPS)
        logged = trainee.step(m, x)
        assert all(value.isfinite() for value in logged.values())
    assert ("matching" in logged) == (network.get("dfm") != "none")
    learned = any(True for _ in trainee.networks["dfm"].parameters())
    assert learned == (network.get("dfm") is None and network.get("discriminators") != 1)
    if network.get("dfm") == "fixed":
        assert logged["beta"] == 0.5
    if gone:
        assert not any(gone in name for name, _ in trainee.generator.named_parameters())
    assert len(trainee.discriminator.scales) == network.get("discriminators", 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"network": {"generators": 3}},
        {"stages": {"alone": [0.6, 0.4]}},
        {"network": {"dfm": "none"}},
        {"network": {"discriminators": 1, "dfm_observes": 2}},
    ],
)
def test_recipes_that_contradict_themselves_are_refused(changes):
    with pytest.raises(ValidationError, match=r"stages.alone|matching|dfm_observes"):
        recipe_of("ct-global-local", **changes)


@pytest.mark.parametrize("kind", ["ct-global-local", "spade"])
def test_small_batches_and_checkpointing_change_no_step(kind):
    ends = []
    for memory in ({}, {"micro_batch": 1, "checkpointing": True}):
        recipe = recipe_of(kind, memory=memory, training={"learning_rate": 1e-5})
        trainee = trainee_of(recipe)
        trainee.begin(STEPS - 1, STEPS)
        logged = trainee.step(*trainee.batches([slices_of()]).batch(0))
        gradients = [p.grad for p in trainee.generator.parameters() if p.grad is not None]
        ends.append((logged, gradients))
    assert ends[0][0].keys() == ends[1][0].keys()
    assert all(torch.allclose(ends[0][0][key], ends[1][0][key], atol=1e-5) for key in ends[0][0])
    for a, b in zip(*(gradients for _, gradients in ends), strict=True):
        assert torch.allclose(a, b, atol=1e-5, rtol=1e-3)


def test_the_rate_is_flat_and_then_falls_to_zero():
    trainee = trainee_of(recipe_of("spade", training={"learning_rate": 2e-4, "decay": 0.5}))
    rates = []
    for now in range(20):
        trainee.begin(now, 20)
        rates.append(
            {group["lr"] for optimizer in trainee.optimizers.values() for group in optimizer.param_groups}
        )
    assert rates[:11] == [{2e-4}] * 11
    assert [rate for (rate,) in rates[10:]] == pytest.approx([2e-4 * (10 - k) / 10 for k in range(10)])


def test_without_decay_the_recipe_has_the_digest_it_had():
    plain = recipe_of("spade", training={"decay": 0.0})
    assert plain.digest() != recipe_of("spade").digest()
    content = plain.model_dump(exclude={"release", "tag"})
    assert "decay" in content["training"]


def test_losses_fall(tmp_path):
    recipe = recipe_of("pix2pix", training={"steps": 40, "learning_rate": 2e-3, "looks": 1})
    folder = tmp_path / "run"
    train(recipe, folder)
    found = [line["l1"] for line in lines(folder)]
    assert np.mean(found[-8:]) < 0.7 * np.mean(found[:4])


def test_other_slices_are_refused(tmp_path):
    recipe = recipe_of("pix2pix", training={"steps": 2, "looks": 1})
    train(recipe, tmp_path)
    with pytest.raises(ConfigError, match="other training films"):
        loop.train(recipe, [few(3)], tmp_path, loop.make_fabric(recipe, "cpu"), lambda *_: None)


def test_weights_of_another_kind_are_refused(finished):
    _, run = finished
    card = json.loads(run.weights.with_suffix(".json").read_text())
    assert card["kind"] == "label-to-image"
    path = run.folder / "copy.safetensors"
    path.write_bytes(run.weights.read_bytes())
    path.with_suffix(".json").write_text(json.dumps(card | {"kind": "label-to-film"}))
    with pytest.raises(WeightsError, match="cannot be read"):
        weights.read(path)


@pytest.mark.parametrize("name", [*NETWORKS])
def test_the_recipes_are_sound_and_agree(name):
    wide, slim = load_recipe(RECIPES / f"{name}.toml"), load_recipe(RECIPES / f"{name}-cpu.toml")
    assert (wide.data.size, wide.training.epochs, wide.training.batch_size) == (512, 20, 16)
    assert wide.training.decay == slim.training.decay == 0.5
    assert wide.training.learning_rate == slim.training.learning_rate == 2e-4
    assert slim.network.width * 4 == wide.network.width
    assert slim.data == wide.data.model_copy(update={"size": 256})


@pytest.mark.slow
def test_checkpointing_saves_memory_and_leaves_what_is_counted_free():
    sizes = {}
    for checkpointing in (False, True):
        memory = {"checkpointing": checkpointing}
        recipe = recipe_of("ct-global-local", network={"blocks": 4, "width": 4}, memory=memory)
        sizes[checkpointing] = peak_bytes(recipe)
    assert 0 < sizes[True] < 0.7 * sizes[False]


@pytest.mark.slow
def test_the_papers_recipe_fits_in_24_gb():
    recipe = load_recipe(RECIPES / "ct-global-local.toml")
    at_once = recipe.model_copy(update={"memory": type(recipe.memory)(checkpointing=True)})
    assert peak_bytes(recipe) < 12 * 2**30
    assert peak_bytes(at_once) < 24e9


WINDOWS = {
    "network": {"noise": 2, "norm": "channel", "discriminator_norm": "none", "dfm": "fixed"},
    "losses": {
        "adversarial": "relativistic",
        "judged": "lung",
        "tone": 5.0,
        "penalty": 0.5,
        "penalty_every": 2,
    },
    "data": {"size": 128, "window": 64},
}
"""What `ct-global-local-windows-cpu` changes."""


def windowed(**changes):
    content = {key: {**value, **changes.get(key, {})} for key, value in WINDOWS.items()}
    network = {**NETWORKS["ct-global-local"], **content.pop("network")}
    return recipe_of("ct-global-local", network=network, **content)


def test_a_training_on_windows_stops_continues_and_draws_whole_slices(tmp_path):
    recipe = windowed()
    (read,) = read_slices(recipe, None, lambda *_: None)

    def run(folder, progress=lambda *_: None):
        with quick_features():
            return loop.train(recipe, [read], folder, loop.make_fabric(recipe, "cpu"), progress)

    whole = run(tmp_path / "whole")
    with pytest.raises(Stopped):
        run(tmp_path / "parts", stop_at(3))
    parts = run(tmp_path / "parts")
    assert whole.weights.read_bytes() == parts.weights.read_bytes()
    logged = lines(tmp_path / "whole")
    assert {"tone", "penalty", "adversarial", "matching", "discriminator"} <= set(logged[-1])
    assert [line["penalty"] > 0 for line in logged] == [True, False] * 3
    found = generators.load("ct-global-local.tiny", root=whole.folder, device="cpu")
    assert (found.card.options["noise"], found.card.options["norm"]) == (2, "channel")
    maps = random_maps(3, 128)
    made = found.translate(maps, seed=4)
    assert (made[maps == 0] == 0).all()
    assert np.abs(found.translate(maps[1:], seed=4, start=1).astype(int) - made[1:]).max() <= 1
    assert not np.array_equal(found.translate(maps, seed=5), made)


def test_the_new_options_change_the_digest_and_their_defaults_do_not():
    plain = recipe_of("ct-global-local")
    content = plain.model_dump()
    assert {"noise", "norm", "discriminator_norm"} <= set(content["network"])
    for table, options in WINDOWS.items():
        for key, value in options.items():
            if key in ("size", "penalty_every"):
                continue
            changes = {table: {**(NETWORKS["ct-global-local"] if table == "network" else {}), key: value}}
            if key == "window":
                changes["data"]["size"] = 64
            assert recipe_of("ct-global-local", **changes).digest() != plain.digest(), key


def test_penalised_discriminators_are_not_compiled():
    assert trainee_of(recipe_of("ct-global-local")).compilable() == ["discriminator"]
    assert trainee_of(windowed()).compilable() == []
    assert trainee_of(recipe_of("pix2pix", losses={"penalty": 1.0})).compilable() == ["generator"]


def test_the_penalty_is_that_of_the_mean_score_of_each_slice():
    trainee = trainee_of(windowed())
    trainee.begin(STEPS - 1, STEPS)
    m, x = trainee.batches([few(4)]).batch(0)
    fake = torch.zeros_like(x)
    total = 0.0
    for image in (x, fake):
        for n in range(len(x)):
            alone = image[n : n + 1].clone().requires_grad_()
            score = 0.0
            for scores, _ in trainee.judge(m[n : n + 1], alone):
                share = torch.nn.functional.adaptive_avg_pool2d(1 - m[n : n + 1, :1], scores.shape[2:])
                score = score + (share * scores).sum() / share.sum()
            (gradient,) = torch.autograd.grad(score, alone)
            total += gradient.square().sum().item() / len(x)
    assert trainee.penalty(m, x, fake).item() == pytest.approx(total, rel=1e-3)
