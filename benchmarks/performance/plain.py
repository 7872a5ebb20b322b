"""The plain way to train and to sample each family: eager, fp32, contiguous, as one writes it from a paper.

The networks are those of the recipe with the same weights. Only the layers that ours joins into one (nearest
up-sampling with the convolution after it) are two layers here, as the papers have them. Losses, optimisers,
the order of updates and the moving average are the family's; films are converted on the way in.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from training import PlainUpConv

from covid_synth_data.generators.cyclegan import UpConv
from covid_synth_data.generators.layers import UpsampleConv
from generation.data.films import TrainingImages
from generation.families.augmentation import DRAWS, augment
from generation.recipe import PairData, Recipe, family
from generation.training import loop as trainer

Losses = dict[str, Tensor]


def plain_upsampling(same: UpsampleConv) -> nn.Module:
    """`UpsampleConv` as plain layers."""
    outputs, inputs = same.weight.shape[:2]
    conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    return nn.Sequential(nn.Upsample(scale_factor=same.factor), _weighted(conv, same))


def plain_network(network: nn.Module) -> nn.Module:
    """`network`, its joined layers replaced by plain ones with the same weights, contiguous and in fp32."""
    for name, layer in list(network.named_modules()):
        plain: nn.Module | None = None
        if isinstance(layer, UpsampleConv):
            plain = plain_upsampling(layer)
        elif isinstance(layer, UpConv):
            plain = PlainUpConv(layer)
            _weighted(plain.conv, layer)
        if plain is not None:
            owner, _, attribute = name.rpartition(".")
            setattr(network.get_submodule(owner), attribute, plain)
    return network.to(torch.float32, memory_format=torch.contiguous_format)


def _weighted(conv: nn.Conv2d, same: UpConv | UpsampleConv) -> nn.Conv2d:
    conv.weight, conv.bias = same.weight, same.bias
    return conv


class PlainLoop:
    """A training of `recipe` on `films`: `batch()` and `step(*batch)` are one step."""

    def __init__(self, recipe: Recipe, films: Sequence[TrainingImages], device: str) -> None:
        content = recipe.model_dump()
        content["training"]["precision"] = "32-true"
        full: Any = type(recipe).model_validate(content)
        like = family(recipe.family)(full, trainer.make_fabric(full, "cpu"))
        self.recipe, self.device, self.now = full, device, 0
        self.net = {name: plain_network(network).to(device) for name, network in like.starting().items()}
        self.teachers = {n: copy.deepcopy(self.net[n]) for n in like.teachers} if full.training.ema else {}
        self.optimizers = {
            name: self._optimizer([p for one in owned for p in self.net[one].parameters()])
            for name, owned in like.owners.items()
        }
        self.pair = isinstance(recipe.data, PairData)
        self.count = recipe.training.batch_size if self.pair else like.films_per_step()
        self.pixels = [side.pixels for side in films]
        self.labels = np.repeat(np.arange(len(films)), [len(side.pixels) for side in films])
        if not self.pair:
            self.pixels = [np.concatenate(self.pixels)]
        self.random = np.random.default_rng(recipe.seed)

    def _optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        schedule, losses = self.recipe.training, getattr(self.recipe, "losses", None)
        if getattr(losses, "lipschitz", "") == "clip":
            return torch.optim.RMSprop(parameters, schedule.learning_rate)
        return torch.optim.Adam(parameters, schedule.learning_rate, (schedule.beta1, schedule.beta2))

    def batch(self) -> tuple[Tensor, ...]:
        """TrainingImages of both domains, or films and labels, on the device."""
        rows = [self.random.integers(0, len(pool), self.count) for pool in self.pixels]
        x = [
            torch.from_numpy(pool[chosen]).unsqueeze(1).float().to(self.device) / 127.5 - 1
            for pool, chosen in zip(self.pixels, rows, strict=True)
        ]
        return tuple(x) if self.pair else (x[0], torch.from_numpy(self.labels[rows[0]]).to(self.device))

    def step(self, *batch: Tensor) -> Losses:
        """One update of all networks."""
        losses = STEPS[self.recipe.family](self, *batch)
        self.now += 1
        return losses

    def noise(self, count: int) -> Tensor:
        generator = self.net["generator"]
        draw = torch.rand if generator.noise == "uniform" else torch.randn
        return draw(count, generator.latent, device=self.device)

    def descend(self, optimizer: str, loss: Tensor) -> None:
        self.optimizers[optimizer].zero_grad()
        loss.backward()
        self.optimizers[optimizer].step()

    def learns(self, yes: bool, *networks: str) -> None:
        for p in itertools.chain(*(self.net[name].parameters() for name in networks)):
            p.requires_grad_(yes)

    @torch.no_grad()
    def average(self) -> None:
        for name, teacher in self.teachers.items():
            student = self.net[name].state_dict()
            for key, value in teacher.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(student[key], 1 - self.recipe.training.ema)


def cyclegan(loop: PlainLoop, a: Tensor, b: Tensor) -> Losses:
    ga, gb, da, db = (loop.net[name] for name in ("g_ab", "g_ba", "d_a", "d_b"))
    l1, weights = F.l1_loss, loop.recipe.losses

    def judge(network: nn.Module, x: Tensor, target: float) -> Tensor:
        score = network(x)
        return F.mse_loss(score, torch.full_like(score, target))

    fake_b, fake_a = ga(a), gb(b)
    loop.learns(False, "d_a", "d_b")
    adversarial = judge(db, fake_b, 1) + judge(da, fake_a, 1)
    cycle = l1(gb(fake_b), a) + l1(ga(fake_a), b)
    identity = l1(gb(a), a) + l1(ga(b), b)
    loop.descend("generators", adversarial + weights.cycle * cycle + weights.identity * identity)
    loop.learns(True, "d_a", "d_b")
    loop.average()
    loss = judge(da, a, 1) + judge(da, fake_a.detach(), 0)
    loss = (loss + judge(db, b, 1) + judge(db, fake_b.detach(), 0)) / 2
    loop.descend("critics", loss)
    return {"adversarial": adversarial, "cycle": cycle, "identity": identity, "critic": loss}


def _says(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def menon(loop: PlainLoop, real: Tensor, _: Tensor) -> Losses:
    g, d = loop.net["generator"], loop.net["discriminator"]
    with torch.no_grad():
        fake = g(loop.noise(len(real)))
    d_loss = _says(d(real), 1) + _says(d(fake), 0)
    loop.descend("discriminator", d_loss)
    loop.learns(False, "discriminator")
    g_loss = _says(d(g(loop.noise(2 * len(real)))), 1)
    loop.descend("generator", g_loss)
    loop.learns(True, "discriminator")
    loop.average()
    return {"discriminator": d_loss, "generator": g_loss}


def wgan(loop: PlainLoop, films: Tensor, _: Tensor) -> Losses:
    g, c, settings = loop.net["generator"], loop.net["discriminator"], loop.recipe.losses
    size = len(films) // settings.critic_steps
    distances = []
    for real in films.split(size):
        with torch.no_grad():
            fake = g(loop.noise(size))
        distance = c(fake).mean() - c(real).mean()
        loss = distance
        if settings.lipschitz == "gradient-penalty":
            where = torch.rand(size, device=real.device).view(-1, 1, 1, 1)
            between = (where * real + (1 - where) * fake).requires_grad_()
            (slope,) = torch.autograd.grad(c(between).sum(), between, create_graph=True)
            loss = distance + settings.penalty * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
        loop.descend("discriminator", loss)
        if settings.lipschitz == "clip":
            with torch.no_grad():
                for p in c.parameters():
                    p.clamp_(-settings.limit, settings.limit)
        distances.append(-distance.detach())
    loop.learns(False, "discriminator")
    g_loss = -c(g(loop.noise(size))).mean()
    loop.descend("generator", g_loss)
    loop.learns(True, "discriminator")
    loop.average()
    return {"distance": torch.stack(distances).mean(), "generator": g_loss}


def dcgan(loop: PlainLoop, real: Tensor, _: Tensor) -> Losses:
    return _on_the_same(loop, real, loop.net["generator"](loop.noise(len(real))))


def iagan(loop: PlainLoop, real: Tensor, _: Tensor) -> Losses:
    g = loop.net["generator"]
    z = torch.randn(len(real), g.noise_length, device=real.device)
    return _on_the_same(loop, real, g.forward_from(z, real))


def _on_the_same(loop: PlainLoop, real: Tensor, fake: Tensor) -> Losses:
    """Discriminator, then generator, by the films `fake`."""
    d = loop.net["discriminator"]
    d_loss = _says(d(real), 1) + _says(d(fake.detach()), 0)
    loop.descend("discriminator", d_loss)
    loop.learns(False, "discriminator")
    g_loss = _says(d(fake), 1)
    loop.descend("generator", g_loss)
    loop.learns(True, "discriminator")
    loop.average()
    return {"discriminator": d_loss, "generator": g_loss}


def acgan(loop: PlainLoop, real: Tensor, labels: Tensor) -> Losses:
    g, d = loop.net["generator"], loop.net["discriminator"]
    asked = torch.randint(g.classes, (len(real),), device=real.device)
    fake = g(loop.noise(len(real)), asked)
    (scores, names), (fake_scores, fake_names) = d(real), d(fake.detach())
    d_loss = _says(scores, 1) + _says(fake_scores, 0)
    named = F.cross_entropy(names, labels) + F.cross_entropy(fake_names, asked)
    loop.descend("discriminator", d_loss + named)
    loop.learns(False, "discriminator")
    fake_scores, fake_names = d(fake)
    g_loss = _says(fake_scores, 1)
    loop.descend("generator", g_loss + F.cross_entropy(fake_names, asked))
    loop.learns(True, "discriminator")
    loop.average()
    return {"discriminator": d_loss, "generator": g_loss}


def diffaug(loop: PlainLoop, real: Tensor, labels: Tensor) -> Losses:
    g, d, settings = loop.net["generator"], loop.net["discriminator"], loop.recipe.losses
    given = (labels,) if g.classes else ()
    fake = g(loop.noise(len(real)), *given)
    seen, made = (
        augment(x, torch.rand((len(x), DRAWS), device=x.device), loop.recipe.augment) for x in (real, fake)
    )
    d_loss = F.softplus(d(made.detach(), *given) - d(seen, *given)).mean()
    loss = d_loss
    if loop.now % settings.penalty_every == 0:
        for x in (seen, made):
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(d(x, *given).sum(), x, create_graph=True)
            penalty = slope.square().flatten(1).sum(1).mean()
            loss = loss + settings.penalty * settings.penalty_every * penalty
    loop.descend("discriminator", loss)
    loop.learns(False, "discriminator")
    with torch.no_grad():
        reference = d(seen, *given)
    g_loss = F.softplus(reference - d(made, *given)).mean()
    loop.descend("generator", g_loss)
    loop.learns(True, "discriminator")
    loop.average()
    return {"discriminator": d_loss, "generator": g_loss}


STEPS: dict[str, Callable[..., Losses]] = {
    "cyclegan": cyclegan,
    "menon2020": menon,
    "wgan": wgan,
    "dcgan": dcgan,
    "acgan": acgan,
    "iagan": iagan,
    "diffaug": diffaug,
}


@torch.no_grad()
def sample(network: nn.Module, count: int, batch: int, device: str) -> np.ndarray:
    """`count` films uint8 (count, size, size) from fresh noise."""
    parts = []
    for start in range(0, count, batch):
        given = [torch.randn(batch, network.latent, device=device)]
        if network.classes:
            given.append(torch.arange(start, start + batch, device=device) % network.classes)
        parts.append(_grey(network(*given)))
    return np.concatenate(parts)[:count]


@torch.no_grad()
def translate(network: nn.Module, films: np.ndarray, batch: int, device: str) -> np.ndarray:
    """TrainingImages uint8 (n, h, w), each translated."""
    pieces: Iterable[np.ndarray] = (films[i : i + batch] for i in range(0, len(films), batch))
    loaded = (torch.from_numpy(part).unsqueeze(1).float().to(device) / 127.5 - 1 for part in pieces)
    return np.concatenate([_grey(network(x)) for x in loaded])


def _grey(x: Tensor) -> np.ndarray:
    return ((x.squeeze(1) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
