"""The step of CycleGAN as in the original code: who is updated when, on which losses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from covid_synth_data.errors import ConfigError
from generation.families.cyclegan import CycleGAN, adversarial_loss
from generation.recipe import load_recipe
from generation.training import loop

RECIPES = Path("generation/recipes")
ORIGINAL = {
    "network": {"generator": "cyclegan-unet-original", "initialisation": "glorot-uniform"},
    "losses": {"order": "critics-first", "critic_updates": "separate"},
}


@pytest.fixture
def original(altered):
    recipe = altered(**ORIGINAL)
    return CycleGAN(recipe, loop.make_fabric(recipe, "cpu"))


@pytest.mark.parametrize("name", ["cyclegan-nc", "cyclegan-pc"])
def test_recipes_that_are_the_original_codes(name, films):
    recipe = load_recipe(RECIPES / f"{name}.toml")
    assert recipe.network.model_dump() | {"width": 32, "critic_width": 64} == {
        **ORIGINAL["network"],
        "width": 32,
        "critic_width": 64,
        "critic_scale": 1,
    }
    assert recipe.losses.model_dump() == {"cycle": 10.0, "identity": 1.0, **ORIGINAL["losses"]}
    schedule, data = recipe.training, recipe.data
    assert (data.per_domain, data.size, data.licences) == (180, 256, "permissive")
    per_epoch = data.per_domain // schedule.batch_size - data.leave_out_batches
    assert per_epoch * schedule.epochs == 1000
    assert (schedule.learning_rate, schedule.beta1, schedule.ema, recipe.seed) == (2e-4, 0.5, 0.0, 0)


@pytest.mark.parametrize("name", ["cyclegan-nc-tone", "cyclegan-pc-tone"])
def test_the_recipes_of_the_release_take_the_papers_losses_and_steps(name):
    recipe = load_recipe(RECIPES / f"{name}.toml")
    assert (recipe.network.generator, recipe.network.critic_scale) == ("cyclegan-unet-tone", 4)
    assert (recipe.losses.cycle, recipe.losses.identity, recipe.training.steps) == (10.0, 1.0, 1000)
    assert (recipe.data.per_domain, recipe.data.size, recipe.data.licences) == (180, 256, "permissive")


def test_an_epoch_leaves_batches_out(altered, films):
    recipe = altered(training={"batch_size": 2}, data={"leave_out_batches": 1})
    batches = CycleGAN(recipe, loop.make_fabric(recipe, "cpu")).batches(films)
    assert batches.per_epoch == len(films[0].pixels) // 2 - 1


def test_an_epoch_of_no_batches_is_refused(altered, films):
    recipe = altered(data={"leave_out_batches": 2})
    with pytest.raises(ConfigError, match="leaves out all batches"):
        CycleGAN(recipe, loop.make_fabric(recipe, "cpu")).batches(films)


def test_new_keys_leave_the_digest_of_old_recipes(recipe):
    content = recipe.model_dump(exclude={"release", "tag"})
    assert content["data"]["leave_out_batches"] == 0
    digest = recipe.digest()
    changed = recipe.model_copy(update={"data": recipe.data.model_copy(update={"leave_out_batches": 1})})
    assert changed.digest() != digest


def test_each_critic_is_updated_on_real_and_then_on_translated_films(original, films):
    a, b = original.batches(films).batch(0)
    seen = []
    update = original.update

    def watched(name, loss):
        seen.append(
            (name, loss.detach().clone(), [p.detach().clone() for p in original.networks["d_a"].parameters()])
        )
        update(name, loss)

    original.update = watched
    with torch.no_grad():
        fake_b, fake_a = original.networks["g_ab"](a), original.networks["g_ba"](b)
        on_real = adversarial_loss(original.networks["d_a"](a), 1) + adversarial_loss(
            original.networks["d_b"](b), 1
        )
    original.step(a, b)
    assert [name for name, *_ in seen] == ["critics", "critics", "generators"]
    assert torch.allclose(seen[0][1], on_real, rtol=1e-5)  # the whole loss, not half of it
    # The second loss is of critics that the first update has moved.
    moved = CycleGAN(original.recipe, original.fabric).networks["d_a"]
    for p, value in zip(moved.parameters(), seen[1][2], strict=True):
        p.data.copy_(value)
    assert any(not torch.equal(p, q) for p, q in zip(seen[0][2], seen[1][2], strict=True))
    with torch.no_grad():
        part = adversarial_loss(moved(fake_a), 0)
    assert part < seen[1][1]
    assert fake_b.shape == b.shape


def test_the_order_of_updates_is_the_recipes(altered, films):
    names = {}
    for order in ("generators-first", "critics-first"):
        recipe = altered(losses={"order": order})
        trainee = CycleGAN(recipe, loop.make_fabric(recipe, "cpu"))
        calls = names[order] = []
        update = trainee.update
        trainee.update = lambda name, loss, calls=calls, update=update: (
            calls.append(name),
            update(name, loss),
        )
        trainee.step(*trainee.batches(films).batch(0))
    assert names == {
        "generators-first": ["generators", "critics"],
        "critics-first": ["critics", "generators"],
    }


def test_an_original_run_stops_and_goes_on_bit_for_bit(altered, films, tmp_path):
    recipe = altered(**ORIGINAL)

    def run(folder, progress=lambda *_: None):
        return loop.train(recipe, films, folder, loop.make_fabric(recipe, "cpu"), progress).weights

    whole = run(tmp_path / "whole")

    def stop(done, total, text):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", stop)
    assert run(tmp_path / "stopped").read_bytes() == whole.read_bytes()
