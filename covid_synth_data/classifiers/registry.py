"""The classifiers that a suite may name: one line each, the networks themselves load when one is built."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from covid_synth_data.errors import ConfigError, MissingExtra, UnknownName

if TYPE_CHECKING:
    from covid_synth_data.classifiers.networks import Network

Weights = Literal["imagenet", "xrv", "none"]
"""Initial weights: learned from ImageNet, from chest X-rays (torchxrayvision), or drawn at random."""

Learner = Literal["head", "network", "trees", "logistic", "own"]


@dataclass(frozen=True)
class Classifier:
    """`body` is the function of `networks` that builds everything up to the pooled features.

    `learner` is what learns: the whole `network`, or, on fixed features that are computed once per film and
    kept on disk, its dense layer (`head`) or an estimator without epochs (`trees`, `logistic`; module
    `trees`); `own` is a classifier of the user (module `own`). `weights` are the initial weights that make
    sense for it.
    """

    title: str
    body: str
    learner: Learner
    weights: tuple[Weights, ...]

    @property
    def frozen(self) -> bool:
        """True where the body is not trained."""
        return self.learner not in ("network", "own")


_IMAGENET: Final[tuple[Weights, ...]] = ("imagenet", "none")

CLASSIFIERS: Final = {
    "lite0-frozen": Classifier("EfficientNet-Lite0, fixed features", "lite0", "head", ("imagenet",)),
    "lite0-bgt": Classifier("EfficientNet-Lite0, fixed features, bagged trees", "lite0", "trees", _IMAGENET),
    "lite0-logistic": Classifier(
        "EfficientNet-Lite0, fixed features, logistic regression", "lite0", "logistic", _IMAGENET
    ),
    "lite0": Classifier("EfficientNet-Lite0", "lite0", "network", _IMAGENET),
    "lite2-frozen": Classifier("EfficientNet-Lite2, fixed features", "lite2", "head", ("imagenet",)),
    "lite2": Classifier("EfficientNet-Lite2", "lite2", "network", _IMAGENET),
    "vgg16": Classifier("VGG-16", "vgg16", "network", _IMAGENET),
    "vgg19": Classifier("VGG-19, dense layers included", "vgg19", "network", _IMAGENET),
    "alexnet": Classifier("AlexNet, dense layers included", "alexnet", "network", _IMAGENET),
    "resnet50": Classifier("ResNet-50", "resnet50", "network", _IMAGENET),
    "densenet121": Classifier(
        "DenseNet-121 (for the DenseNet-102 of zunair2021, which cannot exist)",
        "densenet121",
        "network",
        _IMAGENET,
    ),
    "densenet169": Classifier("DenseNet-169", "densenet169", "network", _IMAGENET),
    "densenet201": Classifier("DenseNet-201", "densenet201", "network", _IMAGENET),
    "densenet121-bgt": Classifier(
        "DenseNet-121, fixed features, bagged trees", "densenet121", "trees", _IMAGENET
    ),
    "xrv-densenet121": Classifier(
        "DenseNet-121 of torchxrayvision", "xrv_densenet121", "network", ("xrv", "none")
    ),
    "xrv-densenet121-frozen": Classifier(
        "DenseNet-121 of torchxrayvision, fixed features", "xrv_densenet121", "head", ("xrv",)
    ),
    "small-cnn": Classifier("Small CNN, four layers", "small_cnn", "network", ("none",)),
    "hussain-cnn": Classifier(
        "Small CNN, five blocks (for the undescribed network of hussain2022)",
        "hussain_cnn",
        "network",
        ("none",),
    ),
}
"""The table. A new classifier is its body in `networks` and one line here."""


OWN: Final = Classifier("A classifier of the user", "", "own", ("none",))


def entry(name: str) -> Classifier:
    """The table's line for `name`; `OWN` for a name that the table lacks, which a suite gives a classifier of
    the user alone."""
    return CLASSIFIERS.get(name, OWN)


def build(name: str, weights: Weights, seed: int, classes: int = 2) -> Network:
    """The network of classifier `name`: its body, one dense layer of `classes` (zunair2021, Sect. 4.3).

    What the weights do not give is drawn from `seed` alone; the state of torch's own generators is left as
    it was. Raises `UnknownName`, `ConfigError` for weights that the classifier does not have or fewer than
    two classes, `WeightsError` when the file is not on this machine, `MissingExtra` without torch.
    """
    if name not in CLASSIFIERS:
        raise UnknownName("classifier", name, CLASSIFIERS)
    entry = CLASSIFIERS[name]
    if weights not in entry.weights:
        raise ConfigError(
            f"classifier {name} cannot start from weights {weights!r}", expected=" or ".join(entry.weights)
        )
    if classes < 2:
        raise ConfigError(f"classifier {name} has nothing to tell apart", found=f"{classes} classes")
    try:
        networks = importlib.import_module("covid_synth_data.classifiers.networks")
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "benchmark") from error
    with networks.seeded(seed):
        network: Network = networks.Network(getattr(networks, entry.body)(weights != "none"), classes)
    return network
