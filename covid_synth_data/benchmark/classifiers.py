"""The classifiers that a suite may name: one line each, the networks themselves load when one is built."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from covid_synth_data.errors import ConfigError, MissingExtra, UnknownName

if TYPE_CHECKING:
    from covid_synth_data.benchmark.networks import Network

Weights = Literal["imagenet", "none"]


@dataclass(frozen=True)
class Classifier:
    """`body` is the function of `networks` that builds everything up to the pooled features.

    `frozen` bodies are not trained: their features are computed once per film and kept on disk, and only
    the dense layer learns. `weights` are the initial weights that make sense for it.
    """

    title: str
    body: str
    frozen: bool
    weights: tuple[Weights, ...]


CLASSIFIERS: Final = {
    "lite0-frozen": Classifier("EfficientNet-Lite0, fixed features", "lite0", True, ("imagenet",)),
    "lite0": Classifier("EfficientNet-Lite0", "lite0", False, ("imagenet", "none")),
    "vgg16": Classifier("VGG-16", "vgg16", False, ("imagenet", "none")),
    "vgg19": Classifier("VGG-19, dense layers included", "vgg19", False, ("imagenet", "none")),
    "alexnet": Classifier("AlexNet, dense layers included", "alexnet", False, ("imagenet", "none")),
    "resnet50": Classifier("ResNet-50", "resnet50", False, ("imagenet", "none")),
    "small-cnn": Classifier("Small CNN, four layers", "small_cnn", False, ("none",)),
}
"""The table. A new classifier is its body in `networks` and one line here."""


def build(name: str, weights: Weights, seed: int) -> Network:
    """The network of classifier `name`: its body, one dense layer of two (zunair2021, Sect. 4.3).

    What the weights do not give is drawn from `seed` alone; the state of torch's own generators is left as
    it was. Raises `UnknownName`, `ConfigError` for weights that the classifier does not have, `WeightsError`
    when their file is not on this machine, `MissingExtra` without torch.
    """
    if name not in CLASSIFIERS:
        raise UnknownName("classifier", name, CLASSIFIERS)
    entry = CLASSIFIERS[name]
    if weights not in entry.weights:
        raise ConfigError(
            f"classifier {name} cannot start from weights {weights!r}", expected=" or ".join(entry.weights)
        )
    try:
        networks = importlib.import_module("covid_synth_data.benchmark.networks")
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "benchmark") from error
    with networks.seeded(seed):
        network: Network = networks.Network(getattr(networks, entry.body)(weights == "imagenet"))
    return network
