"""The base of generators from label maps: pairs of map and slice, the update, sample grids and curves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from covid_synth_data.files.models import FrozenModel
from covid_synth_data.files.pixels import Grey
from covid_synth_data.generators.label_maps import LabelNetwork, one_hot
from covid_synth_data.generators.noise import to_bytes
from covid_synth_data.generators.patch import Judged, MultiResolution
from covid_synth_data.metrics import image_quality
from generation import recipe as recipes
from generation.data.films import Progress
from generation.data.slices import SliceBatches, TrainingSlices, coloured
from generation.families.label_maps import losses as label_losses
from generation.families.losses import zero_centred_penalty
from generation.kinds.label_maps import LABEL_MAPS
from generation.training.family import Family, frozen

MEASURED = 16
"""Kept slices that the curves of PSNR, SSIM and RMSE are the means of."""


class Losses(FrozenModel):
    """Weights beside the adversarial term, and its kind."""

    adversarial: Literal["cross-entropy", "least-squares", "hinge", "relativistic"] = "cross-entropy"
    matching: Annotated[float, Field(ge=0)] = 10.0
    """Feature matching (lambda of jiang2020, Eq. 2)."""
    l1: Annotated[float, Field(ge=0)] = 0.0
    """Mean absolute distance of pixels."""
    tone: Annotated[float, Field(ge=0)] = 0.0
    """Mean absolute distance of the grey of squares of 8 x 8 pixels."""
    judged: Literal["slice", "lung"] = "slice"
    """Which patches count: all alike, or each by its share of lung. Most of a slice is black."""
    penalty: Annotated[float, Field(ge=0)] = 0.0
    """Weight of both zero-centred gradient penalties of the discriminators (gamma / 2)."""
    penalty_every: recipes.Positive = 4
    """Steps between two penalties, each of which weighs this much more."""


class Memory(FrozenModel):
    """Trades speed for memory; results do not change."""

    checkpointing: bool = False
    """Compute what is inside the generator's blocks again for the gradient."""
    micro_batch: Annotated[int, Field(ge=0)] = 0
    """Slices at a time on a device, gradients added up over the batch; 0: all at once."""


class LabelRecipe(recipes.SliceRecipe):
    """A recipe of a family of this kind."""

    losses: Losses = Losses()
    memory: Memory = Memory()

    later_keys: ClassVar = (
        *recipes.SliceRecipe.later_keys,
        ("data", "window", 0),
        ("losses", "tone", 0.0),
        ("losses", "judged", "slice"),
        ("losses", "penalty", 0.0),
        ("losses", "penalty_every", 4),
    )


class LabelFamily(Family[SliceBatches]):
    """A generator G(m), and discriminators of one or several resolutions that see map and slice."""

    kind: ClassVar = LABEL_MAPS
    owners: ClassVar[Mapping[str, Sequence[str]]] = {
        "generator": ["generator"],
        "discriminator": ["discriminator"],
    }
    teachers: ClassVar[Sequence[str]] = ("generator",)

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """The options that the generator is built with, as its card has them."""

    @property
    def generator(self) -> nn.Module:
        """G."""
        return self.networks["generator"]

    def compilable(self) -> Sequence[str]:
        """Not the discriminators where their gradients are penalised."""
        names = super().compilable()
        return [name for name in names if name != "discriminator" or not self.recipe.losses.penalty]

    @property
    def discriminator(self) -> MultiResolution:
        """All discriminators."""
        network = self.networks["discriminator"]
        assert isinstance(network, MultiResolution)  # noqa: S101 - `make` made it
        return network

    @classmethod
    def read(cls, recipe: Any, root: Path | None, progress: Progress) -> list[TrainingSlices]:
        """Slices with their label maps."""
        return cls.kind.read(recipe, root, progress)

    def batches(self, images: Sequence[TrainingSlices]) -> SliceBatches:
        """Pairs of map and slice."""
        return self.kind.batches(self.recipe, images, self.fabric)

    def step(self, *batch: Tensor) -> Mapping[str, Tensor]:
        """One update of the generator (Eq. 2), then of the discriminators (Eq. 3), on maps m and slices x."""
        m, x = batch
        size = int(self.recipe.memory.micro_batch) or len(m)
        parts = list(zip(torch.split(m, size), torch.split(x, size), strict=True))
        fakes: list[tuple[Tensor, ...]] = []
        sums: dict[str, Tensor] = {}
        self.update("generator", self._generator_losses(parts, len(m), fakes, sums))
        self.update_teachers()
        self.update("discriminator", self._discriminator_losses(fakes, len(m), sums))
        return sums

    def _generator_losses(
        self,
        parts: Sequence[tuple[Tensor, Tensor]],
        count: int,
        fakes: list[tuple[Tensor, ...]],
        sums: dict[str, Tensor],
    ) -> Iterator[Tensor]:
        for m, x in parts:
            with self.fabric.autocast(), frozen(self.discriminator):
                logged: dict[str, Tensor] = {}
                seen, real, fake = self.draw(m, x, logged)
                terms = self.terms(seen, real, fake, logged)
            share = len(m) / count
            weights = self.weights()
            _add(sums, {**terms, **logged}, share)
            fakes.append((seen, real, fake.detach()))
            yield share * torch.stack([weights[key] * value for key, value in terms.items()]).sum()

    def _discriminator_losses(
        self, fakes: Sequence[tuple[Tensor, ...]], count: int, sums: dict[str, Tensor]
    ) -> Iterator[Tensor]:
        for m, x, fake in fakes:
            with self.fabric.autocast():
                real, made = self.judge(m, x), self.judge(m, fake)
                kind, shares = self.recipe.losses.adversarial, self.shares(m, real)
                d_loss = label_losses.discriminator_loss(kind, real, made, shares)
            share = len(m) / count
            _add(sums, {"discriminator": d_loss}, share)
            if self.recipe.losses.penalty:
                penalty = self.penalty(m, x, fake) if self.penalised() else d_loss.new_zeros(())
                _add(sums, {"penalty": penalty}, share)
                d_loss = d_loss + self.recipe.losses.penalty * self.recipe.losses.penalty_every * penalty
            yield share * d_loss

    def penalised(self) -> bool:
        """Whether the gradient penalties are due: at the first step and every `penalty_every` steps."""
        return self.now % int(self.recipe.losses.penalty_every) == 0

    def penalty(self, m: Tensor, x: Tensor, fake: Tensor) -> Tensor:
        """R1 and R2: of the mean score of each slice, real and generated, without the weight."""

        def critic(image: Tensor) -> Tensor:
            judged = self.judge(m, image)
            return label_losses.by_slice(judged, self.shares(m, judged))

        return zero_centred_penalty(critic, x) + zero_centred_penalty(critic, fake)

    def shares(self, m: Tensor, judged: Sequence[Judged]) -> list[Tensor] | None:
        """How much each patch counts, as the recipe has it."""
        return label_losses.lung_shares(m, judged) if self.recipe.losses.judged == "lung" else None

    def draw(self, m: Tensor, x: Tensor, logged: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Map, real slice and G's slice at the resolution that is trained now; adds values to `logged`."""
        return m, x, self.generator(m)

    def judge(self, m: Tensor, image: Tensor) -> list[Judged]:
        """The scores and features of the discriminators."""
        scores: list[Judged] = self.discriminator(m, image)
        return scores

    def weights(self) -> dict[str, float]:
        """The weight of each term."""
        losses = self.recipe.losses
        return {"adversarial": 1.0, "matching": losses.matching, "l1": losses.l1, "tone": losses.tone}

    def terms(self, m: Tensor, x: Tensor, fake: Tensor, logged: dict[str, Tensor]) -> dict[str, Tensor]:
        """The generator's loss terms: adversarial, and feature matching, L1 and tone where they weigh."""
        losses = self.recipe.losses
        made = self.judge(m, fake)
        with torch.no_grad():
            real = self.judge(m, x) if losses.matching or losses.adversarial == "relativistic" else made
        shares = self.shares(m, made)
        terms = {"adversarial": label_losses.generator_loss(losses.adversarial, real, made, shares)}
        if losses.matching:
            terms["matching"] = self.matched(real, made, logged)
        if losses.l1:
            terms["l1"] = (fake.float() - x).abs().mean()
        if losses.tone:
            terms["tone"] = label_losses.tone(x, fake)
        return terms

    def matched(self, real: list[Judged], fake: list[Judged], logged: dict[str, Tensor]) -> Tensor:
        """Feature matching, the mean over discriminators (Wang et al. 2018)."""
        return label_losses.matching(real, fake).mean()

    def inference_network(self) -> nn.Module:
        """G, or its moving average where there is one."""
        return self.best_of("generator")

    def draw_for(self, maps: Grey) -> Grey:
        """Slices for label maps, uint8 (n, h, w) each, in fp32, as a release draws them with seed 0."""
        made = []
        with torch.no_grad():
            for start in range(0, len(maps), 4):
                part = one_hot(torch.from_numpy(maps[start : start + 4])).to(self.fabric.device)
                made.append(to_bytes(self.finished(part, range(start, start + len(part)))).cpu())
        return torch.cat(made).numpy()

    def finished(self, m: Tensor, places: Sequence[int]) -> Tensor:
        """The slices of the inference network, at the resolution of `m`, for images of these numbers."""
        network = self.inference_network()
        assert isinstance(network, LabelNetwork)  # noqa: S101 - `make` made it
        training = network.training
        network.eval()
        try:
            return network(m, *network.noise_of(m, 0, places))  # type: ignore[no-any-return]
        finally:
            network.train(training)

    def preview(self, batches: SliceBatches, rows: int) -> list[Tensor]:
        """The kept label maps in colours, their real slices, and ours."""
        m, x = batches.first(rows)
        with torch.no_grad():
            return [coloured(m), x, self.finished(m, range(len(m)))]

    def samples(self, count: int, batches: SliceBatches) -> Grey:
        """Slices for the label maps of the training slices that evaluations compare with."""
        return self.draw_for(batches.maps(count))

    def measures(self, batches: SliceBatches) -> Mapping[str, float]:
        """PSNR in dB, SSIM and RMSE on [0, 1] of kept slices, which were not learned from."""
        m, x = batches.first(MEASURED)
        with torch.no_grad():
            parts = [self.finished(part, [i]) for i, part in enumerate(torch.split(m, 1))]
        made, real = (
            ((side.float() + 1) / 2).clamp(0, 1).squeeze(1).cpu().numpy() for side in (torch.cat(parts), x)
        )
        quality = image_quality.evaluate(real, made)
        curves = {"psnr": quality.psnr.mean, "ssim": quality.ssim.mean, "rmse": quality.rmse.mean}
        return {key: round(value, 5) for key, value in curves.items() if value is not None}

    def describe(self) -> dict[str, Any]:
        """Architecture, options, size."""
        return {
            "kind": "label-to-image",
            "architecture": self.recipe.family,
            "options": self.options(),
            "size": self.recipe.data.size,
            "target_class": "covid-19",
        }


def _add(sums: dict[str, Tensor], terms: Mapping[str, Tensor], share: float) -> None:
    for key, value in terms.items():
        part = share * value.detach().float()
        sums[key] = sums[key] + part if key in sums else part
