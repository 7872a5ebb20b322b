"""The update that DCGAN, IAGAN and the GANs of menon2020 share is, to the bit, the one written out here."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from generation.families import losses
from generation.families.noise import NoiseFamily
from generation.recipe import family
from generation.training.family import frozen
from tests.generation.tiny import SIZES, VARIANTS, recipe_of


def written_out(
    trainee: NoiseFamily, real: Tensor, make: Callable[[], Tensor], again: Callable[[], Tensor] | None
) -> dict[str, Tensor]:
    """One update; `again` makes further films for the generator, None takes those of the discriminator."""
    with trainee.fabric.autocast():
        fake = make()
        d_loss = losses.bce_discriminator(trainee.discriminator(real), trainee.discriminator(fake.detach()))
    trainee.update("discriminator", d_loss)
    with trainee.fabric.autocast(), frozen(trainee.discriminator):
        g_loss = losses.bce_generator(trainee.discriminator(again() if again else fake))
    trainee.update("generator", g_loss)
    trainee.update_teachers()
    return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}


def reference(variant: str, trainee: NoiseFamily, real: Tensor) -> dict[str, Tensor]:
    generator, n = trainee.generator, len(real)
    if variant == "iagan":
        length = int(generator.latent) - int(generator.code)
        return written_out(trainee, real, lambda: generator.forward_from(torch.randn(n, length), real), None)
    if variant == "dcgan":
        return written_out(trainee, real, lambda: generator(trainee.noise(n)), None)

    @torch.no_grad()
    def without_gradient() -> Tensor:
        return generator(trainee.noise(n))

    return written_out(trainee, real, without_gradient, lambda: generator(trainee.noise(2 * n)))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("variant", ["dcgan", "iagan", "baseline"])
def test_the_shared_update_is_the_one_written_out(variant, precision):
    recipe = recipe_of(variant, training={"precision": precision})
    size = SIZES[VARIANTS[variant]["family"]]
    trainees = [family(recipe.family)(recipe, Fabric(accelerator="cpu", precision=precision)) for _ in "ab"]
    before = copy.deepcopy(trainees[0].generator.state_dict())
    for number in range(3):
        real = torch.rand(2, 1, size, size, generator=torch.Generator().manual_seed(number)) * 2 - 1
        torch.manual_seed(number)
        shared = trainees[0].step(real)
        torch.manual_seed(number)
        expected = reference(variant, trainees[1], real)
        assert shared.keys() == expected.keys()
        assert all(torch.equal(shared[name], expected[name]) for name in expected)
    for name, network in trainees[0].networks.items():
        weights = trainees[1].networks[name].state_dict()
        assert all(torch.equal(value, weights[key]) for key, value in network.state_dict().items())
    after = trainees[0].generator.state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before)
