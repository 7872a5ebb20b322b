"""The frozen networks behind `Extractor`: the benchmark's own, the Inception v3 of FID, and RAD-DINO.

Weights are read from where their own library keeps them and never fetched. A network gets shades float32
(n, 1, side, side) in [0, 1] and gives features float32 (n, width).
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import nn

from covid_synth_data.classifiers import registry, weights
from covid_synth_data.errors import MissingExtra, UnknownName, WeightsError

SIDE: Final = 224
INCEPTION_SIDE: Final = 299
INCEPTION_FILE: Final = "weights-inception-2015-12-05-6726825d.pth"
"""What torch-fidelity calls the converted weights of the original FID (Heusel et al. 2017)."""

RAD_DINO: Final = "microsoft/rad-dino"
"""A vision transformer learned from chest radiographs without labels (Perez-Garcia et al. 2025)."""


@dataclass(frozen=True)
class FeatureNetwork:
    """A network in evaluation mode. `name` is what numbers are recorded with: network, weights and side;
    `layer` is what its features are taken from."""

    name: str
    layer: str
    module: nn.Module
    width: int
    side: int
    sha256: str


def build(name: str) -> FeatureNetwork:
    """The network `name`, one of `NETWORKS`.

    Raises `UnknownName`, `MissingExtra`, and `WeightsError` where its weights are not on this machine.
    """
    if name not in NETWORKS:
        raise UnknownName("extractor", name, NETWORKS)
    return NETWORKS[name](name)


class _Pooled(nn.Module):
    """The pooled features of a classifier of the benchmark."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, shades: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.network.features(shades)
        return features


def _classifier(classifier: str, learned: registry.Weights, name: str) -> FeatureNetwork:
    built = registry.build(classifier, learned, 0)
    digest = str(built.weights.sha256)
    shown = f"{name}/{learned}/{SIDE}"
    return FeatureNetwork(shown, "average pool", _Pooled(built).eval(), built.width, SIDE, digest)


class _Inception(nn.Module):
    """torch-fidelity's network, which takes uint8 of three channels and has the resize of TensorFlow 1."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, shades: torch.Tensor) -> torch.Tensor:
        levels = (shades * 255).round().to(torch.uint8)
        features: torch.Tensor = self.network(levels.expand(-1, 3, -1, -1))[0]
        return features


def _inception(name: str) -> FeatureNetwork:
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "extractors") from error
    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    if not path.is_file():
        raise WeightsError(
            "the Inception v3 weights of FID are not on this machine",
            found=f"no file {path}",
            expected="the file that torch-fidelity keeps there",
            hint="where there is a network let torch-fidelity compute one FID and copy the file there, "
            "or choose another extractor",
        )
    # The library unpickles the file, so only the one file that its name stands for is given to it.
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    weights.check_named(path, digest)
    network = FeatureExtractorInceptionV3(name, ["2048"], feature_extractor_weights_path=str(path))
    shown = f"{name}/fid-2015-12-05/{INCEPTION_SIDE}"
    return FeatureNetwork(shown, "average pool", _Inception(network).eval(), 2048, INCEPTION_SIDE, digest)


class _ClassToken(nn.Module):
    """A DINOv2 behind the grey levels that its preprocessor expects."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: Any, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, shades: torch.Tensor) -> torch.Tensor:
        output = self.network(pixel_values=(shades - self.mean) / self.std)
        return cast(torch.Tensor, output.pooler_output)


def _rad_dino(name: str) -> FeatureNetwork:
    try:
        from transformers import Dinov2Model
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "extractors") from error
    content = _hub_file("model.safetensors")
    stated = json.loads(_hub_file("preprocessor_config.json").read_text(encoding="utf-8"))
    network: Any = Dinov2Model.from_pretrained(content.parent, local_files_only=True)
    module = _ClassToken(network, stated["image_mean"], stated["image_std"]).eval()
    side = int(network.config.image_size)
    digest = hashlib.sha256(content.read_bytes()).hexdigest()
    return FeatureNetwork(
        f"{name}/hub/{side}", "class token", module, int(network.config.hidden_size), side, digest
    )


def _hub_file(file: str) -> Path:
    """A file of RAD-DINO in the cache of the Hugging Face Hub. Raises `WeightsError` where it is absent."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(RAD_DINO, file)
    if not isinstance(path, str):
        raise WeightsError(
            "the weights of RAD-DINO are not on this machine",
            found=f"no {file} of {RAD_DINO} in the cache of the Hugging Face Hub",
            expected="model.safetensors, config.json and preprocessor_config.json",
            hint=f"where there is a network run: hf download {RAD_DINO}; or choose another extractor",
        )
    return Path(path)


NETWORKS: Final[dict[str, Callable[[str], FeatureNetwork]]] = {
    "efficientnet-lite0": functools.partial(_classifier, "lite0-frozen", "imagenet"),
    "efficientnet-lite2": functools.partial(_classifier, "lite2-frozen", "imagenet"),
    "xrv-densenet121": functools.partial(_classifier, "xrv-densenet121-frozen", "xrv"),
    "densenet121": functools.partial(_classifier, "densenet121", "imagenet"),
    "resnet50": functools.partial(_classifier, "resnet50", "imagenet"),
    "inception-v3": _inception,
    "rad-dino": _rad_dino,
}
"""How each is built. Packages bring the weights of the first two; others must be on this machine."""
