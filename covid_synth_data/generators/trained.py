"""Trained generators: found by name, loaded once, applied to arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn

from covid_synth_data import machine
from covid_synth_data.errors import ConfigError, UnknownName, WeightsError
from covid_synth_data.files.pixels import Grey
from covid_synth_data.generators import noise, search, weights
from covid_synth_data.generators.folding import for_inference
from covid_synth_data.generators.label_maps import LabelNetwork, one_hot
from covid_synth_data.generators.registry import build


class _Trained:
    """A trained network of images, set to evaluation."""

    def __init__(self, network: nn.Module, card: weights.Card, device: torch.device) -> None:
        """`network` with its weights; it is moved to `device` and set to evaluation."""
        self.card = card
        self.device = device
        self.network = network.to(device).eval()
        if device.type == "cuda":
            self.network = self.network.to(memory_format=torch.channels_last)


class Translator(_Trained):
    """A trained image-to-image generator.

    Attributes: `card` (what it is and how it was trained), `network`, `device`.
    """

    def forward(self, films: Grey) -> torch.Tensor:
        """uint8 films (n, h, w) in [0, 255] through the network: uint8 (n, h, w), still on the device.

        fp32 everywhere, so that the same film gives the same pixels whatever the machine, to rounding.
        """
        if films.ndim != 3 or films.dtype != np.uint8:
            raise ConfigError(
                "films of a wrong kind", found=f"{films.dtype} {films.shape}", expected="uint8 (n, h, w)"
            )
        with torch.inference_mode():
            x = torch.from_numpy(films.astype(np.float32)).to(self.device)
            y: torch.Tensor = self.network(x.div_(127.5).sub_(1).unsqueeze(1))
            return y.squeeze(1).add_(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)

    def translate(self, films: Grey, batch_size: int = 16) -> Grey:
        """uint8 films (n, h, w) to uint8 films of the same shape; each film depends on itself alone.

        Films should have the side `card.size` that the network was trained on; other multiples of 16 work.
        """
        parts = [
            self.forward(films[i : i + batch_size]).cpu().numpy() for i in range(0, len(films), batch_size)
        ]
        return np.concatenate(parts) if parts else films.copy()


class Sampler:
    """A trained noise-to-image generator.

    Attributes: `card` (what it is and how it was trained), `network`, `device`.
    """

    def __init__(self, network: nn.Module, card: weights.Card, device: torch.device) -> None:
        """`network` with its weights; it is moved to `device` and rewritten for inference."""
        self.card = card
        self.device = device
        self.network = for_inference(network).to(device).to(memory_format=torch.channels_last)

    def sample(self, n: int, seed: int = 0, *, label: str | None = None, start: int = 0) -> Grey:
        """Images `start` to `start` + n of `seed`: uint8 (n, card.size, card.size) in [0, 255].

        Image i depends on (seed, i) alone, whatever n and `start`. A conditional generator makes the class
        `label`, or its classes in turn (`label_of`). Raises `ConfigError`, `UnknownName`.
        """
        parts = [part.cpu().numpy() for part in self.blocks(start, start + n, seed, label)]
        return np.concatenate(parts) if parts else np.empty((0, self.card.size, self.card.size), np.uint8)

    def blocks(
        self, start: int, stop: int, seed: int = 0, label: str | None = None
    ) -> Iterator[torch.Tensor]:
        """The same a block at a time, still on the device, for what writes while it makes."""
        _check_whole(seed=seed, start=start, n=stop - start)
        return noise.blocks(self.network, self.device, int(seed), start, stop, self._class(label))

    def label_of(self, index: int, label: str | None = None) -> str | None:
        """The class that image `index` shows; None where several were learned without being told apart."""
        if self.card.classes:
            return label or self.card.classes[index % len(self.card.classes)]
        return self.card.target_class

    def _class(self, label: str | None) -> int | None:
        known = self.card.classes or [self.card.target_class or ""]
        if label is None:
            return None
        if label not in known:
            raise UnknownName(f"class of {self.card.name}", label, [name for name in known if name])
        return known.index(label) if self.card.classes else None


class LabelTranslator(_Trained):
    """A trained generator of CT slices from label maps.

    Attributes: `card` (what it is and how it was trained), `network`, `device`.
    """

    def translate(self, label_maps: Grey, seed: int = 0, batch_size: int = 4, *, start: int = 0) -> Grey:
        """Label maps uint8 (n, side, side), values 0 to 3, to slices uint8 of the same shape.

        A slice shows the lung on black where the network learned so (`card.options["area"]`). Image i depends
        on its map and, where the network takes noise, on (seed, `start` + i) alone. Maps should have the side
        `card.size`; other multiples of 16 work for most networks. fp32 everywhere. Raises `ConfigError`.
        """
        if label_maps.ndim != 3 or label_maps.dtype != np.uint8:
            raise ConfigError(
                "label maps of a wrong kind",
                found=f"{label_maps.dtype} {label_maps.shape}",
                expected="uint8 (n, side, side)",
            )
        _check_whole(seed=seed, start=start, batch_size=batch_size - 1)
        made = np.empty_like(label_maps)
        for first in range(0, len(label_maps), batch_size):
            part = torch.from_numpy(np.array(label_maps[first : first + batch_size]))
            with torch.inference_mode():
                drawn = self._draw(one_hot(part).to(self.device), int(seed), start + first)
                made[first : first + len(part)] = noise.to_bytes(drawn).cpu().numpy()
        return made

    def _draw(self, maps: torch.Tensor, seed: int, first: int) -> torch.Tensor:
        network = self.network
        assert isinstance(network, LabelNetwork)  # noqa: S101 - the card says that it draws from label maps
        drawn = network.noise_of(maps, seed, range(first, first + len(maps)))
        return network(maps, *drawn)  # type: ignore[no-any-return]


Trained = Translator | Sampler | LabelTranslator

KINDS: Final[Mapping[str, type[Trained]]] = {
    "translator": Translator,
    "sampler": Sampler,
    "label-to-image": LabelTranslator,
}


def load(name: str, root: str | Path | None = None, device: str = "auto") -> Trained:
    """See `covid_synth_data.generators.load`."""
    return load_file(search.locate(name, root), device)


def load_file(path: Path, device: str = "auto") -> Trained:
    """The trained generator of a weights file. Raises `WeightsError`, `UnknownName`."""
    tensors, card = weights.read(path)
    _check_fit(path, card, tensors)
    network = build(card.architecture, **card.options)
    network.load_state_dict(tensors)
    return KINDS[card.kind](network, card, machine.pick_device(device))


def _check_fit(path: Path, card: weights.Card, tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise `WeightsError` unless the tensors have the shapes of the network that `card` describes.

    That network is built without memory for its weights: a card may ask for one of any size.
    """
    with torch.device("meta"):
        expected = build(card.architecture, **card.options).state_dict()
    names = [name for name in {**expected, **tensors} if name not in expected or name not in tensors]
    names = names or [name for name, tensor in expected.items() if tensor.shape != tensors[name].shape]
    if names:
        shape = tuple(tensors[names[0]].shape) if names[0] in tensors else "none"
        wanted = tuple(expected[names[0]].shape) if names[0] in expected else "none"
        raise WeightsError(
            f"{path} does not fit the network {card.architecture!r} that its card names",
            found=f"{len(names)} tensors that differ; the first is {names[0]} of shape {shape}",
            expected=f"{wanted}",
            hint="fetch the release again",
        )


def _check_whole(**numbers: object) -> None:
    """Raise `ConfigError` for what is no whole number from 0 on."""
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
            raise ConfigError(f"no such {name}", found=repr(value), expected="a whole number from 0 on")
