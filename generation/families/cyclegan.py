"""The CycleGAN family: the losses of zunair2021 with their equation numbers, and one training step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from covid_synth_data.files.models import FrozenModel
from covid_synth_data.files.pixels import Grey
from covid_synth_data.generators import build
from covid_synth_data.generators.cyclegan import Norm, PatchCritic, initialise_glorot
from covid_synth_data.generators.noise import to_bytes
from generation import recipe as recipes
from generation.data.batches import PairBatches, to_float
from generation.data.films import Progress, TrainingImages
from generation.kinds.translation import TRANSLATION
from generation.training.family import Family, frozen


class Networks(FrozenModel):
    """Architecture and base widths. The critics have the same kind of instance norm as the generators."""

    generator: Literal["cyclegan-unet", "cyclegan-unet-original", "cyclegan-unet-tone", "cyclegan-resnet"]
    width: recipes.Positive = 32
    critic_width: recipes.Positive = 64
    critic_scale: Literal[1, 2, 4] = 1
    """The critics see the mean of so many pixels a side: with 4, the sharpness of a film does not count."""
    initialisation: Literal["torch", "glorot-uniform"] = "torch"
    """Of the weights of convolutions: PyTorch's default, or Keras' default as in the original code."""


class Losses(FrozenModel):
    """Weights of the cycle term (lambda of Eq. 1) and of the identity term, and the order of the updates."""

    cycle: Annotated[float, Field(ge=0)] = 10.0
    identity: Annotated[float, Field(ge=0)] = 1.0
    order: Literal["generators-first", "critics-first"] = "generators-first"
    """Order of the updates on a batch; the original code updates the critics first."""
    critic_updates: Literal["joint", "separate"] = "joint"
    """One update on half the sum of the losses on real and translated films, or as in the original code an
    update on the whole loss on real films and then one on that of translated films."""


class CycleGANRecipe(recipes.PairRecipe):
    """A recipe of this family."""

    family: Literal["cyclegan"]
    network: Networks
    losses: Losses = Losses()
    later_keys: ClassVar = (
        *recipes.PairRecipe.later_keys,
        ("network", "initialisation", "torch"),
        ("network", "critic_scale", 1),
        ("losses", "order", "generators-first"),
        ("losses", "critic_updates", "joint"),
    )


def adversarial_loss(scores: Tensor, target: float) -> Tensor:
    """Eq. 2 and 3 in the least-squares form of the original code: mean (D(x) - target)^2 over patches."""
    return (scores.float() - target).square().mean()


def cycle_loss(again: Tensor, film: Tensor) -> Tensor:
    """Eq. 4, one direction: mean |G_B(G_A(a)) - a| over pixels. The identity term is the same distance."""
    return (again.float() - film).abs().mean()


class CycleGAN(Family[PairBatches]):
    """Networks, optimisers and the step of one recipe. A is the source class, B the target class."""

    Recipe = CycleGANRecipe
    kind: ClassVar = TRANSLATION
    owners: ClassVar = {"generators": ["g_ab", "g_ba"], "critics": ["d_a", "d_b"]}
    channels_last = True
    teachers: ClassVar = ("g_ab",)

    def make(self) -> dict[str, nn.Module]:
        """Both generators and both critics."""
        net = self.recipe.network
        g_ab, g_ba = (build(net.generator, width=net.width) for _ in range(2))
        norm: Norm = getattr(g_ab, "norm", "channel")
        d_a, d_b = (PatchCritic(net.critic_width, norm, net.critic_scale) for _ in range(2))
        if net.initialisation == "glorot-uniform":
            initialise_glorot(g_ab, g_ba, d_a, d_b)
        return {"g_ab": g_ab, "g_ba": g_ba, "d_a": d_a, "d_b": d_b}

    @classmethod
    def read(cls, recipe: Any, root: Path | None, progress: Progress) -> list[TrainingImages]:
        """Films of both domains."""
        return cls.kind.read(recipe, root, progress)

    def batches(self, images: Sequence[TrainingImages]) -> PairBatches:
        """Films of both domains side by side."""
        return self.kind.batches(self.recipe, images, self.fabric)

    def step(self, *batch: Tensor) -> Mapping[str, Tensor]:
        """One round of updates on films a and b, in the recipe's order.

        Translated films are computed once. They are the same for both sides in either order, since the
        critics' updates leave the generators as they are.
        """
        a, b = batch
        with self.fabric.autocast():
            fake_b, fake_a = self.networks["g_ab"](a), self.networks["g_ba"](b)
        films = a, b, fake_a, fake_b
        if self.recipe.losses.order == "critics-first":
            critic = self._update_critics(*films)
            terms = self._update_generators(*films)
        else:
            terms = self._update_generators(*films)
            critic = self._update_critics(*films)
        return {key: value.detach() for key, value in {**terms, "critic": critic}.items()}

    def _update_generators(self, a: Tensor, b: Tensor, fake_a: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """One update of both generators down the weighted sum of their terms, and of the teacher."""
        settings = self.recipe.losses
        weights = {"cycle": settings.cycle, "identity": settings.identity, "adversarial": 1.0}
        with self.fabric.autocast():
            terms = self._generator_terms(a, b, fake_a, fake_b)
        self.update("generators", sum((weights[k] * v for k, v in terms.items()), a.new_zeros(())))
        self.update_teachers()
        return terms

    def _update_critics(self, a: Tensor, b: Tensor, fake_a: Tensor, fake_b: Tensor) -> Tensor:
        """Eq. 5: one joint update of both critics, or one on real and then one on translated films.

        Returns half the sum of the losses on real and on translated films in both forms, for the log. In the
        separate form each update follows the whole loss, so the loss on translated films is that of critics
        already moved by real ones.
        """
        parts = [(1, a, b), (0, fake_a.detach(), fake_b.detach())]
        if self.recipe.losses.critic_updates == "joint":
            with self.fabric.autocast():
                losses = [self._critic_loss(*part) for part in parts]
            loss = (losses[0] + losses[1]) / 2
            self.update("critics", loss)
            return loss
        separate = []
        for part in parts:
            with self.fabric.autocast():
                separate.append(self._critic_loss(*part))
            self.update("critics", separate[-1])
        return (separate[0] + separate[1]) / 2

    def _generator_terms(self, a: Tensor, b: Tensor, fake_a: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """Eq. 1 and the identity term. Critics are frozen here: only the generators learn from it."""
        g_ab, g_ba, d_a, d_b = (self.networks[name] for name in ("g_ab", "g_ba", "d_a", "d_b"))
        with frozen(d_a, d_b):
            terms = {
                "adversarial": adversarial_loss(d_b(fake_b), 1) + adversarial_loss(d_a(fake_a), 1),
                "cycle": cycle_loss(g_ba(fake_b), a) + cycle_loss(g_ab(fake_a), b),
            }
        if self.recipe.losses.identity:
            terms["identity"] = cycle_loss(g_ba(a), a) + cycle_loss(g_ab(b), b)
        return terms

    def _critic_loss(self, target: int, film_a: Tensor, film_b: Tensor) -> Tensor:
        """Both critics' losses on films that they should score `target`: 1 for real, 0 for translated."""
        d_a, d_b = self.networks["d_a"], self.networks["d_b"]
        return adversarial_loss(d_a(film_a), target) + adversarial_loss(d_b(film_b), target)

    def inference_network(self) -> nn.Module:
        """The generator A to B that a release uses: the moving average where there is one."""
        return self.best_of("g_ab")

    def preview(self, batches: PairBatches, rows: int) -> list[Tensor]:
        """a, G_AB(a), back again, b, G_BA(b)."""
        a, b = batches.first(rows)
        g_ba = self.networks["g_ba"]
        with torch.no_grad(), self.fabric.autocast():
            fake_b, fake_a = self.inference_network()(a), g_ba(b)
            return [a, fake_b.float(), g_ba(fake_b).float(), b, fake_a.float()]

    def samples(self, count: int, batches: PairBatches) -> Grey:
        """`count` films of the source domain, translated, in fp32 as a release is made."""
        films = batches.sources(count)
        network = self.inference_network()
        with torch.no_grad():
            made = [to_bytes(network(to_float(part))).cpu() for part in torch.split(films, 16)]
        return torch.cat(made).numpy()

    def describe(self) -> dict[str, Any]:
        """Architecture, width and direction."""
        data, net = self.recipe.data, self.recipe.network
        return {
            "kind": "translator",
            "architecture": net.generator,
            "options": {"width": net.width},
            "size": data.size,
            "source_class": data.source_class,
            "target_class": data.target_class,
        }
