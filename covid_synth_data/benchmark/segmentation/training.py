"""Training a U-Net, and the label maps that it finds.

`fit` gets training and validation slices and nothing else: no test slice can reach it, so none can choose
anything.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from covid_synth_data.benchmark.suite.segmentation import Network, Training
from covid_synth_data.classifiers.networks import seeded
from covid_synth_data.errors import DivergedError, MissingExtra
from covid_synth_data.metrics import segmentation

Grey = npt.NDArray[np.uint8]

CLASSES: Final = segmentation.LABELS
_BATCH: Final = 16
"""Slices predicted at once."""


@dataclass(frozen=True)
class Pairs:
    """Images in [0, 255] and their label maps, uint8 (n, side, side)."""

    images: Grey
    masks: Grey


@dataclass(frozen=True)
class Fitted:
    """How it went; the network has the weights of `best_epoch`, the last with the highest validation Dice."""

    epochs: int
    best_epoch: int
    validation_dice: float


def build(settings: Network, seed: int) -> nn.Module:
    """The U-Net with weights drawn from `seed`: (n, 1, side, side) in [0, 1] to logits (n, 4, side, side).

    Raises `MissingExtra` without MONAI.
    """
    try:
        from monai.networks.nets.basic_unet import BasicUNet
        from monai.networks.nets.unet import UNet
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "ct") from error
    common: dict[str, Any] = {"spatial_dims": 2, "in_channels": 1, "out_channels": CLASSES}
    norm = ("instance", {"affine": True}) if settings.norm == "instance" else "batch"
    channels = tuple(settings.channels)
    with seeded(seed):
        made: nn.Module
        if settings.name == "basic-unet":
            # The sixth number is the width after the last up-sampling.
            made = BasicUNet(**common, features=(*channels, channels[0]), norm=norm, act="relu")
        else:
            strides = (2,) * (len(channels) - 1)
            units = settings.residual_units
            made = UNet(
                **common, channels=channels, strides=strides, num_res_units=units, norm=norm, act="relu"
            )
    return made


def fit(
    network: nn.Module,
    train: Pairs,
    validation: Pairs,
    settings: Training,
    *,
    seed: int,
    device: torch.device,
    advance: Callable[[int], None],
) -> Fitted:
    """Train `network` on `device`, leave it with the weights of the best epoch; `advance` gets epochs done.

    Epochs are judged by the mean of the pooled validation Dice of the structures that the validation slices
    have. Slices are shuffled by `seed`. Raises `DivergedError`.
    """
    optimizer = _optimizer(network, settings)
    best: tuple[float, int, dict[str, Any]] | None = None
    for epoch in range(1, settings.epochs + 1):
        network.train()
        order = np.random.default_rng([seed, epoch]).permutation(len(train.images))
        for start in range(0, len(order), settings.batch_size):
            rows = order[start : start + settings.batch_size]
            images, masks = train.images[rows], train.masks[rows]
            loss = loss_of(network, settings, images, masks, device)
            if not torch.isfinite(loss):
                raise DivergedError(
                    "the U-Net diverged",
                    found=f"a loss of {float(loss.detach())} in epoch {epoch}",
                    expected="a finite loss",
                    hint="lower training.learning_rate",
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        score = dice(validation.masks, predict(network, validation.images, device))
        if best is None or score >= best[0]:
            best = score, epoch, copy.deepcopy(network.state_dict())
        advance(epoch)
    assert best is not None  # noqa: S101 - there is at least one epoch
    network.load_state_dict(best[2])
    return Fitted(epochs=settings.epochs, best_epoch=best[1], validation_dice=best[0])


def loss_of(
    network: nn.Module, settings: Training, images: Grey, masks: Grey, device: torch.device
) -> torch.Tensor:
    """The training loss of one batch of images and label maps, uint8 (n, side, side)."""
    return _objective(settings)(network(_tensors(images, device)), _labels(masks, device))


def predict(network: nn.Module, images: Grey, device: torch.device) -> Grey:
    """The label maps that the network finds, uint8 (n, side, side)."""
    network.eval()
    predicted = np.empty_like(images)
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            part = slice(start, start + _BATCH)
            predicted[part] = network(_tensors(images[part], device)).argmax(1).to(torch.uint8).cpu().numpy()
    return predicted


def dice(truth: Grey, predicted: Grey) -> float:
    """The mean over the structures that are in `truth` of their pooled Dice; 0 where there is none."""
    pooled = [segmentation.counts(truth, predicted, name).sum(axis=0) for name in segmentation.STRUCTURES]
    scores = [segmentation.scores(one).dice for one in pooled if one[0] + one[2]]
    return float(np.mean([score for score in scores if score is not None])) if scores else 0.0


def _objective(settings: Training) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    from monai.losses.dice import DiceCELoss, DiceLoss

    # Overlaps are of a whole batch: many a slice has no consolidation, of which alone there would be none.
    options: dict[str, Any] = {"softmax": True, "to_onehot_y": True, "batch": True}
    if settings.loss == "cross-entropy":
        plain = nn.CrossEntropyLoss()
        return lambda logits, labels: plain(logits, labels[:, 0])
    made: nn.Module = DiceLoss(**options) if settings.loss == "dice" else DiceCELoss(**options)
    return made


def _optimizer(network: nn.Module, settings: Training) -> torch.optim.Optimizer:
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return kind(network.parameters(), lr=settings.learning_rate)


def _tensors(images: Grey, device: torch.device) -> torch.Tensor:
    """(n, 1, side, side) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).to(device).unsqueeze(1).float().div_(255)


def _labels(masks: Grey, device: torch.device) -> torch.Tensor:
    """(n, 1, side, side) of whole numbers."""
    return torch.from_numpy(np.ascontiguousarray(masks)).to(device).unsqueeze(1).long()
