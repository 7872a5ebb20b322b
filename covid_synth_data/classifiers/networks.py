"""The networks behind the classifiers: a body up to its last feature map, global average pooling, a dense
layer with an output per class (zunair2021, Sect. 4.3). Films go in as (n, 1, side, side) in [0, 1].

VGG-19 and AlexNet keep their own dense layers but the last, as menon2020, Sect. V, has them: their body ends
in a map of one pixel, which pooling leaves as it is."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from covid_synth_data.classifiers import weights
from covid_synth_data.classifiers.weights import NO_WEIGHTS, WeightsUsed
from covid_synth_data.errors import MissingExtra

LITE_WIDTH: Final = 1280
XRV_SIDE: Final = 224

_IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_SYMMETRIC: Final = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_XRV: Final = ((0.5,), (1 / 2048,))  # torchxrayvision wants films in [-1024, 1024]


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
    """A classifier. `forward` gives logits of shape (n, classes), `features` what the dense layer sees."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, body: Body, classes: int = 2) -> None:
        """Put a freshly drawn dense layer of `classes` outputs on `body`."""
        super().__init__()
        self.body = body.module
        self.head = nn.Linear(body.width, classes)
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
        """Logits of shape (n, classes); of two classes: negative, positive."""
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
    """EfficientNet-Lite0 of timm."""
    return _lite("tf_efficientnet_lite0", weights.lite0 if pretrained else None)


def lite2(pretrained: bool) -> Body:
    """EfficientNet-Lite2 of timm: 4.8 million parameters up to its features, where Lite0 has 3.4."""
    return _lite("tf_efficientnet_lite2", weights.lite2 if pretrained else None)


def _lite(name: str, load: Callable[[nn.Module], WeightsUsed] | None) -> Body:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "benchmark") from error

    model = timm.create_model(name, pretrained=False)
    used = NO_WEIGHTS if load is None else load(model)
    model.classifier = nn.Identity()
    return Body(_FeatureMaps(model), LITE_WIDTH, *_SYMMETRIC, used)


def vgg16(pretrained: bool) -> Body:
    """VGG-16 of torchvision up to its last pooling."""
    model, used = weights.torchvision_model("vgg16", "VGG16_Weights", pretrained)
    return Body(model.features, 512, *_IMAGENET, used)


def vgg19(pretrained: bool) -> Body:
    """VGG-19 of torchvision up to its last dense layer but one."""
    model, used = weights.torchvision_model("vgg19", "VGG19_Weights", pretrained)
    return Body(_all_but_last(model), 4096, *_IMAGENET, used)


def alexnet(pretrained: bool) -> Body:
    """AlexNet of torchvision up to its last dense layer but one; sides of at least 63 pixels."""
    model, used = weights.torchvision_model("alexnet", "AlexNet_Weights", pretrained)
    return Body(_all_but_last(model), 4096, *_IMAGENET, used)


def resnet50(pretrained: bool) -> Body:
    """ResNet-50 of torchvision up to its last block."""
    model, used = weights.torchvision_model("resnet50", "ResNet50_Weights", pretrained)
    return Body(nn.Sequential(*list(model.children())[:-2]), 2048, *_IMAGENET, used)


def densenet121(pretrained: bool) -> Body:
    """DenseNet-121 of torchvision up to its last batch norm and ReLU; sides of at least 32 pixels."""
    return _densenet(121, pretrained)


def densenet169(pretrained: bool) -> Body:
    """DenseNet-169, likewise."""
    return _densenet(169, pretrained)


def densenet201(pretrained: bool) -> Body:
    """DenseNet-201, likewise."""
    return _densenet(201, pretrained)


def _densenet(depth: int, pretrained: bool) -> Body:
    model, used = weights.torchvision_model(f"densenet{depth}", f"DenseNet{depth}_Weights", pretrained)
    width = model.classifier.in_features
    return Body(nn.Sequential(model.features, nn.ReLU(inplace=True)), width, *_IMAGENET, used)


def xrv_densenet121(pretrained: bool) -> Body:
    """DenseNet-121 of torchxrayvision, trained on chest X-rays: one channel, resized to 224 x 224."""
    model, used = weights.xrv_densenet(pretrained)
    layers = nn.Sequential(_Resize(XRV_SIDE), model.features, nn.ReLU(inplace=True))
    return Body(layers, model.classifier.in_features, *_XRV, used)


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


def hussain_cnn(pretrained: bool) -> Body:
    """Five blocks of a 3 x 3 convolution (32 to 512 channels), batch norm, ReLU and 2 x 2 maximum.

    Of 1.6 million parameters. Our choice: hussain2022 names a lightweight network and does not describe it.
    """
    assert not pretrained  # noqa: S101  (the table offers "none" only)
    widths = (1, 32, 64, 128, 256, 512)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [
            nn.Conv2d(before, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, ceil_mode=True),
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


class _Resize(nn.Module):
    """Films of any side at `side`, by the filter that torchxrayvision itself uses for that."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, films: torch.Tensor) -> torch.Tensor:
        if films.shape[-1] == self.side:
            return films
        return F.interpolate(films, size=(self.side, self.side), mode="bilinear", antialias=True)
