"""The base of the families that start from noise: data, samples, and the entry on the card."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from covid_synth_data.errors import ConfigError
from covid_synth_data.files.pixels import Grey
from covid_synth_data.generators.noise import blocks
from generation.data.batches import FilmBatches
from generation.data.films import Progress, TrainingImages
from generation.families import losses
from generation.kinds.sampling import SAMPLING
from generation.training.family import Family, frozen

SAMPLE_SEED: Final = 0
"""The seed of the samples of an evaluation; a release uses the recipe's seed."""
COLUMNS: Final = 5


class NoiseFamily(Family[FilmBatches]):
    """A generator from noise and its discriminator (or critic)."""

    kind: ClassVar = SAMPLING
    owners: ClassVar = {"generator": ["generator"], "discriminator": ["discriminator"]}
    channels_last = True
    teachers: ClassVar[Sequence[str]] = ("generator",)

    def __init__(self, recipe: Any, fabric: Fabric) -> None:
        """Fresh weights. Raises `ConfigError` where the recipe's films are not of the network's size."""
        super().__init__(recipe, fabric)
        size = int(self.generator.size)  # type: ignore[arg-type]
        if recipe.data.size != size:
            raise ConfigError(
                f"{recipe.name} has films that its network cannot take",
                found=f"data.size = {recipe.data.size}",
                expected=f"data.size = {size}, the side of what {recipe.network.generator} makes",
                hint="change data.size",
            )

    @property
    def generator(self) -> nn.Module:
        """The student generator."""
        return self.networks["generator"]

    @property
    def discriminator(self) -> nn.Module:
        """The student discriminator, or critic."""
        return self.networks["discriminator"]

    def films_per_step(self) -> int:
        """How many real films one step takes."""
        return int(self.recipe.training.batch_size)

    @classmethod
    def read(cls, recipe: Any, root: Path | None, progress: Progress) -> list[TrainingImages]:
        """Films of each class."""
        return cls.kind.read(recipe, root, progress)

    def batches(self, images: Sequence[TrainingImages]) -> FilmBatches:
        """Films with their labels."""
        return self.kind.batches(self.recipe, images, self.fabric, self.films_per_step())

    def noise(self, count: int) -> Tensor:
        """Noise for `count` images, float (count, latent), from the generator that the loop seeds."""
        draw = torch.rand if self.generator.noise == "uniform" else torch.randn
        return draw(count, int(self.generator.latent), device=self.fabric.device)  # type: ignore[arg-type]

    def labels(self, count: int) -> Tensor:
        """Random labels int64 (count,) for a conditional generator."""
        return torch.randint(int(self.generator.classes), (count,), device=self.fabric.device)  # type: ignore[arg-type]

    def update_both(self, real: Tensor, fake: Tensor, fooling: Callable[[], Tensor]) -> Mapping[str, Tensor]:
        """One update of the discriminator, then one of the generator, with binary cross-entropy; both losses.

        The discriminator tells the films `real` from `fake`; real and generated ones go through it apart, for
        its batch norm. The generator learns from the films that `fooling` gives, which is called after the
        first update and within autocast.
        """
        with self.fabric.autocast():
            d_loss = losses.bce_discriminator(self.discriminator(real), self.discriminator(fake.detach()))
        self.update("discriminator", d_loss)
        with self.fabric.autocast(), frozen(self.discriminator):
            g_loss = losses.bce_generator(self.discriminator(fooling()))
        self.update("generator", g_loss)
        self.update_teachers()
        return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}

    def inference_network(self) -> nn.Module:
        """The generator, or its teacher."""
        return self.best_of("generator")

    def samples(self, count: int, batches: FilmBatches) -> Grey:
        """Images 0 to `count` of a fixed seed, in the network's evaluation mode."""
        network = self.inference_network()
        training = network.training
        network.eval()
        made = [part.cpu() for part in blocks(network, self.fabric.device, SAMPLE_SEED, 0, count)]
        network.train(training)
        films: Grey = torch.cat(made).numpy()
        return films

    def preview(self, batches: FilmBatches, rows: int) -> list[Tensor]:
        """Real films in the first column, samples in the others; classes in turn from row to row."""
        real = batches.first(rows)[0]
        made = torch.from_numpy(self.samples(COLUMNS * rows, batches).astype(np.float32))
        return [real, *made.div(127.5).sub(1).view(COLUMNS, rows, *real.shape[1:])]

    def describe(self) -> dict[str, Any]:
        """Architecture, options of the network, and the classes of a conditional one."""
        data = self.recipe.data
        conditional = bool(self.generator.classes)
        return {
            "kind": "sampler",
            "architecture": self.recipe.network.generator,
            "options": self.options(),
            "classes": list(data.classes) if conditional else [],
            "target_class": data.classes[0] if len(data.classes) == 1 else None,
            "size": int(self.generator.size),  # type: ignore[arg-type]
        }

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """The arguments of `generators.build` besides the name."""
