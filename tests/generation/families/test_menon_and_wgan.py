"""menon2020: transfer and the mean teacher. hussain2022: the Wasserstein GAN."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from covid_synth_data.errors import ConfigError
from covid_synth_data.generators import weights
from generation.families import wgan
from generation.recipe import family
from generation.training import lineage
from generation.training import loop as trainer
from generation.training.family import Family
from tests.generation.families.runs import same, tensors
from tests.generation.tiny import STEPS, Stopped, as_toml, content, films_of, recipe_of, stop_at, train


@pytest.fixture
def trainees(monkeypatch) -> list[Family]:
    """The families that the loop makes within a test."""
    made: list[Family] = []

    def make(name: str):
        def build(recipe, fabric):
            made.append(family(name)(recipe, fabric))
            return made[-1]

        return build

    monkeypatch.setattr(trainer, "family", make)
    return made


# --- menon2020: transfer and the mean teacher ---------------------------------------------------------


def test_transfer_starts_from_the_pretraining(finished, tmp_path):
    start = finished("pretraining").folder
    with pytest.raises(Stopped):
        train(recipe_of("transfer"), tmp_path, start, stop_at(1))
    for name in ("generator", "discriminator"):
        prefix = f"net/{name}/"
        assert same(tensors(tmp_path, 0, prefix), tensors(start, STEPS, prefix))
    assert tensors(tmp_path, 0, "optim/") == {}
    _, card = weights.read(finished("transfer").weights)
    _, earlier = weights.read(finished("pretraining").weights)
    assert card.training["started_from"] == {"name": earlier.name, "sha256": earlier.sha256, "step": STEPS}


def test_learned_from_has_the_films_of_the_pretraining_too(finished):
    learned = weights.read(finished("transfer").weights)[1].training["learned_from"]
    sides = [*films_of(recipe_of("pretraining")), *films_of(recipe_of("transfer"))]
    assert set(learned["films"]) == {name for side in sides for name in side.image_ids}
    assert set(learned["patients"]) == {name for side in sides for name in side.patient_ids}
    assert any("normal-" in name for name in learned["films"])
    assert any("covid-19-" in name for name in learned["films"])


def test_the_teacher_watches_and_does_not_change_the_students(finished):
    transfer, mtt = finished("transfer").folder, finished("mtt").folder
    for step in (2, STEPS):
        for part in ("net/generator/", "net/discriminator/", "optim/"):
            assert same(tensors(transfer, step, part), tensors(mtt, step, part))
    assert (transfer / "metrics.jsonl").read_text() == (mtt / "metrics.jsonl").read_text()
    assert not same(
        tensors(mtt, STEPS, "net/generator/"), tensors(mtt, STEPS, "net/generator_teacher/module.")
    )


def test_the_teacher_is_the_moving_average_of_the_student(finished, trainees, tmp_path):
    """Written out once more: a = min(1 - 1 / t, decay); what is released is the teacher."""
    average: dict[str, torch.Tensor] = {}

    def follow(done: int, total: int, text: str) -> None:
        a = min(1 - 1 / done, 0.6)
        for key, value in trainees[-1].networks["generator"].state_dict().items():
            average[key] = value.double() if done == 1 else a * average[key] + (1 - a) * value.double()

    recipe = recipe_of("mtt", training={"keep": "last", "frechet": 0})
    run = train(recipe, tmp_path, finished("pretraining").folder, follow)
    teacher = tensors(tmp_path, STEPS, "net/generator_teacher/module.")
    floats = [key for key, value in teacher.items() if value.is_floating_point()]
    assert floats
    for key in floats:
        torch.testing.assert_close(teacher[key].double(), average[key], rtol=1e-5, atol=1e-7, msg=key)
    released, _ = weights.read(run.weights)
    assert all(torch.equal(released[key], teacher[key].half().float()) for key in floats)
    assert "net/discriminator_teacher/module.logit.weight" in tensors(tmp_path, STEPS)


def test_a_missing_start_run_says_which_command_makes_it(maintain, tmp_path):
    (tmp_path / "transfer.toml").write_text(as_toml(content("transfer")))
    done = maintain("train", tmp_path / "transfer.toml", "--out", tmp_path / "transfer")
    done.error(
        "starts from the run 'pretraining'",
        "no finished run in",
        "python -m generation train generation/recipes/pretraining.toml",
    )
    assert not (tmp_path / "transfer").exists()
    with pytest.raises(ConfigError, match="found no folder of that run"):
        lineage.origin(recipe_of("transfer"), None)


def test_a_stopped_start_run_is_not_started_from(finished, tmp_path):
    with pytest.raises(Stopped):
        train(recipe_of("pretraining"), tmp_path, None, stop_at(3))
    with pytest.raises(ConfigError, match="no finished run in"):
        lineage.origin(recipe_of("transfer"), tmp_path)


def test_a_start_run_of_other_widths_or_changed_meanwhile(finished, tmp_path):
    start = finished("pretraining").folder
    wider = recipe_of("transfer", network={"width": 8})
    with pytest.raises(ConfigError, match="cannot start from the run 'pretraining'.*widths in"):
        train(wider, tmp_path / "wider", start)
    with pytest.raises(Stopped):
        train(recipe_of("transfer"), tmp_path / "run", start, stop_at(1))
    other = train(recipe_of("pretraining", seed=4), tmp_path / "pretraining").folder
    with pytest.raises(ConfigError, match="other starting weights"):
        train(recipe_of("transfer"), tmp_path / "run", other)


@pytest.mark.parametrize(
    ("variant", "changes"),
    [
        ("baseline", {"training": {"ema": 0.9}}),
        ("baseline", {"start": "pretraining"}),
        ("transfer", {"start": None}),
        ("transfer", {"training": {"ema": 0.9}}),
        ("mtt", {"training": {"ema": 0.0}}),
        ("mtt", {"start": None}),
        ("acgan", {"data": {"classes": ["covid-19"]}}),
        ("acgan", {"data": {"balanced": False}}),
        ("wgan", {"losses": {"limit": 0.0}}),
        ("wgan", {"losses": {"lipschitz": "spectral"}}),
        ("wgan", {"data": {"task": "normal-vs-covid"}}),
        ("dcgan", {"training": {"frechet": 0}}),
    ],
)
def test_recipes_that_are_not_what_they_say(variant, changes):
    with pytest.raises(ValidationError):
        recipe_of(variant, **changes)


# --- hussain2022: the Wasserstein GAN -----------------------------------------------------------------


def test_weights_of_the_critic_are_clipped_to_the_limit(trainees, tmp_path):
    recipe = recipe_of("wgan", training={"steps": 2, "learning_rate": 1e-2}, losses={"limit": 0.004})
    train(recipe, tmp_path)
    limits = {
        name: max(p.abs().max().item() for p in trainees[0].networks[name].parameters())
        for name in ("discriminator", "generator")
    }
    assert limits["discriminator"] == pytest.approx(0.004)
    assert limits["generator"] > 0.1
    assert isinstance(trainees[0].optimizers["discriminator"], torch.optim.RMSprop)


def test_weights_under_a_gradient_penalty_are_not_clipped(trainees, tmp_path):
    recipe = recipe_of("wgan-gp", training={"steps": 1}, losses={"limit": 1e-6})
    train(recipe, tmp_path)
    assert max(p.abs().max().item() for p in trainees[0].networks["discriminator"].parameters()) > 0.01
    assert isinstance(trainees[0].optimizers["discriminator"], torch.optim.Adam)


@pytest.mark.parametrize("variant", ["wgan", "wgan-gp", "dcgan"])
def test_the_critic_alone_is_computed_in_fp32_under_bf16(variant, tmp_path, trainees):
    recipe = recipe_of(variant, training={"precision": "bf16-mixed", "steps": 1, "looks": 1})
    seen: dict[str, set[torch.dtype]] = {"generator": set(), "discriminator": set()}
    loop = trainer.family

    def watched(name: str):
        def build(recipe, fabric):
            trainee = loop(name)(recipe, fabric)
            for which, found in seen.items():
                for layer in trainee.networks[which].modules():
                    if isinstance(layer, torch.nn.Linear) or type(layer).__name__.startswith("Conv"):
                        layer.register_forward_hook(
                            lambda m, _i, y, found=found: found.add(y.dtype) if m.training else None
                        )
            return trainee

        return build

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "family", watched)
        train(recipe, tmp_path)
    critic = torch.bfloat16 if variant == "dcgan" else torch.float32
    assert seen == {"generator": {torch.bfloat16}, "discriminator": {critic}}
    assert all(p.dtype == torch.float32 for net in trainees[0].networks.values() for p in net.parameters())


def test_the_critic_sees_films_through_the_changes_of_the_recipe(trainees, tmp_path, monkeypatch):
    """Real and generated ones, and those of the generator's update; the plain form changes none."""
    changed: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        wgan, "augmented", lambda x, policy: (changed.append(tuple(x.shape)), x.mul(policy.contrast))[1]
    )
    run = {"training": {"steps": 1, "looks": 1}}
    train(recipe_of("wgan-gp", **run), tmp_path / "plain")
    assert changed == []
    recipe = recipe_of("wgan-gp", augment={"contrast": 0.25}, **run)
    train(recipe, tmp_path / "augmented")
    shape = (recipe.training.batch_size, 1, 96, 96)
    # Two updates of the critic on two batches each, then one of the generator.
    assert changed == [shape] * 5
    assert not same(
        tensors(tmp_path / "plain", 1, "net/discriminator/"),
        tensors(tmp_path / "augmented", 1, "net/discriminator/"),
    )


def test_a_changed_policy_is_another_training_and_none_is_the_older_recipe():
    plain = recipe_of("wgan")
    assert plain.augment is None
    older = plain.model_dump(exclude={"release", "tag", "augment"})
    assert type(plain).model_validate(older).digest() == plain.digest()
    assert recipe_of("wgan", augment={}).digest() != plain.digest()
    assert recipe_of("wgan", augment={"cutout": 0.1}).digest() != recipe_of("wgan", augment={}).digest()
