"""The CycleGAN family: the losses of zunair2021 beside their equation numbers, and one training step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from lightning_fabric import Fabric
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from covid_synth_data.config import Settings
from covid_synth_data.generators import build
from covid_synth_data.generators.cyclegan import PatchCritic
from generation import recipe as recipes


class Networks(Settings):
    """Architecture and base widths."""

    generator: Literal["cyclegan-unet", "cyclegan-resnet"]
    width: recipes.Positive = 32
    critic_width: recipes.Positive = 64


class Losses(Settings):
    """Weights of the cycle term (lambda of Eq. 1) and of the identity term (original code)."""

    cycle: Annotated[float, Field(ge=0)] = 10.0
    identity: Annotated[float, Field(ge=0)] = 1.0


class CycleGANRecipe(recipes.Recipe):
    """A recipe of this family."""

    family: Literal["cyclegan"]
    network: Networks
    losses: Losses = Losses()


def adversarial_loss(scores: Tensor, target: float) -> Tensor:
    """Eq. 2 and 3 in the least-squares form of the original code: mean (D(x) - target)^2 over patches."""
    return (scores.float() - target).square().mean()


def cycle_loss(again: Tensor, film: Tensor) -> Tensor:
    """Eq. 4, one direction: mean |G_B(G_A(a)) - a| over pixels. The identity term is the same distance."""
    return (again.float() - film).abs().mean()


class CycleGAN:
    """Networks, optimisers and the step of one recipe. A is the source class, B the target class."""

    Recipe = CycleGANRecipe

    def __init__(self, recipe: CycleGANRecipe, fabric: Fabric) -> None:
        """Fresh weights from the recipe's seed, on the device of `fabric`."""
        self.recipe = recipe
        self.fabric = fabric
        net = recipe.network
        with torch.random.fork_rng(devices=[]):
            # Layers draw their initial weights from the global generator; its state is put back afterwards.
            torch.manual_seed(recipe.seed)
            self.g_ab = build(net.generator, width=net.width)
            self.g_ba = build(net.generator, width=net.width)
            self.d_a, self.d_b = PatchCritic(net.critic_width), PatchCritic(net.critic_width)
        self.networks: dict[str, nn.Module] = {
            "g_ab": self.g_ab, "g_ba": self.g_ba, "d_a": self.d_a, "d_b": self.d_b,
        }  # fmt: skip
        layout = torch.channels_last if fabric.device.type == "cuda" else torch.contiguous_format
        for network in self.networks.values():
            network.to(fabric.device)
            network.to(memory_format=layout)
        decay = recipe.training.ema
        self.average: nn.Module | None = None
        if decay:
            self.average = AveragedModel(self.g_ab, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
            self.networks["g_ab_average"] = self.average
        self.optimizers: dict[str, Optimizer] = {
            "generators": self._adam([self.g_ab, self.g_ba]),
            "critics": self._adam([self.d_a, self.d_b]),
        }

    def _adam(self, networks: list[nn.Module]) -> Adam:
        schedule = self.recipe.training
        parameters = [p for network in networks for p in network.parameters()]
        on_gpu = self.fabric.device.type == "cuda"
        return Adam(
            parameters, schedule.learning_rate, (schedule.beta1, schedule.beta2), fused=on_gpu or None
        )

    def step(self, a: Tensor, b: Tensor) -> Mapping[str, Tensor]:
        """One update of the generators, then of the critics (Eq. 5). `a`, `b`: (n, 1, h, w) in [-1, 1].

        Returns the loss terms as scalars on the device; nothing is synchronised here.
        """
        with self.fabric.autocast():
            fake_b, fake_a = self.g_ab(a), self.g_ba(b)
            terms = self._generator_terms(a, b, fake_a, fake_b)
        weights = {
            "cycle": self.recipe.losses.cycle,
            "identity": self.recipe.losses.identity,
            "adversarial": 1.0,
        }
        self._update("generators", sum((weights[k] * v for k, v in terms.items()), a.new_zeros(())))
        if isinstance(self.average, AveragedModel):
            self.average.update_parameters(self.g_ab)
        with self.fabric.autocast():
            critic = self._critic_loss(a, b, fake_a.detach(), fake_b.detach())
        self._update("critics", critic)
        return {key: value.detach() for key, value in {**terms, "critic": critic}.items()}

    def _generator_terms(self, a: Tensor, b: Tensor, fake_a: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """Eq. 1 and the identity term. Critics are frozen here: only the generators learn from it."""
        for network in (self.d_a, self.d_b):
            network.requires_grad_(False)
        terms = {
            "adversarial": adversarial_loss(self.d_b(fake_b), 1) + adversarial_loss(self.d_a(fake_a), 1),
            "cycle": cycle_loss(self.g_ba(fake_b), a) + cycle_loss(self.g_ab(fake_a), b),
        }
        if self.recipe.losses.identity:
            terms["identity"] = cycle_loss(self.g_ba(a), a) + cycle_loss(self.g_ab(b), b)
        for network in (self.d_a, self.d_b):
            network.requires_grad_(True)
        return terms

    def _critic_loss(self, a: Tensor, b: Tensor, fake_a: Tensor, fake_b: Tensor) -> Tensor:
        """Each critic's share is the mean of its loss on real and on translated films."""
        loss_a = adversarial_loss(self.d_a(a), 1) + adversarial_loss(self.d_a(fake_a), 0)
        loss_b = adversarial_loss(self.d_b(b), 1) + adversarial_loss(self.d_b(fake_b), 0)
        return (loss_a + loss_b) / 2

    def _update(self, name: str, loss: Tensor) -> None:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        if self.fabric.world_size > 1:
            for group in optimizer.param_groups:
                for p in group["params"]:
                    p.grad = self.fabric.all_reduce(p.grad, reduce_op="mean")
        optimizer.step()

    def inference_network(self) -> nn.Module:
        """The generator A to B that a release uses: the moving average where there is one."""
        return self.average.module if isinstance(self.average, AveragedModel) else self.g_ab

    def preview(self, a: Tensor, b: Tensor) -> list[Tensor]:
        """Columns of the sample grid: a, G_AB(a), back again, b, G_BA(b), each (n, 1, h, w) in [-1, 1]."""
        with torch.no_grad(), self.fabric.autocast():
            fake_b, fake_a = self.inference_network()(a), self.g_ba(b)
            return [a, fake_b.float(), self.g_ba(fake_b).float(), b, fake_a.float()]
