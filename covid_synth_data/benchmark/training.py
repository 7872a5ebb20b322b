"""Training a classifier, with early stopping on the validation films, and its probabilities.

This module gets a training and a validation feed; no test film can reach it, so none can choose anything.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from covid_synth_data.benchmark.augment import plain
from covid_synth_data.benchmark.cache import Store
from covid_synth_data.benchmark.networks import seeded
from covid_synth_data.benchmark.suite import Training
from covid_synth_data.errors import DivergedError

Rows = npt.NDArray[np.int64]

_EVALUATION_BATCH: Final = 64


class Feed(Protocol):
    """Films as a network wants them. `labels` has shape (n,) and holds 0 and 1."""

    labels: Rows

    def batch(self, rows: Rows, rng: np.random.Generator | None) -> torch.Tensor:
        """The films in `rows`, changed by draws from `rng` where the feed augments and there is one."""
        ...


class PixelFeed:
    """Films (n, 1, side, side) in [0, 1] out of a store of uint8 pixels."""

    def __init__(
        self, store: Store, keys: Sequence[str], labels: Rows, device: torch.device, *, augment: bool = False
    ) -> None:
        """`keys` name the films of the store, `labels` their classes."""
        self.store, self.keys, self.labels = store, list(keys), labels
        self.device, self.augment = device, augment

    def batch(self, rows: Rows, rng: np.random.Generator | None) -> torch.Tensor:
        """See `Feed`."""
        pixels = torch.from_numpy(self.store.rows([self.keys[row] for row in rows]))
        films = pixels.to(self.device).unsqueeze(1).float() / 255.0
        return plain(films, rng) if self.augment and rng is not None else films


class FeatureFeed:
    """Fixed features (n, width); `views` further variants of each film stand in for augmentation."""

    def __init__(
        self, store: Store, keys: Sequence[str], labels: Rows, device: torch.device, *, views: int = 0
    ) -> None:
        """Reads all features into memory: at 1,280 numbers they are a fiftieth of the pixels."""
        self.labels, self.device = labels, device
        names = [[key, *(view_key(key, view) for view in range(1, views + 1))] for key in keys]
        self.views = [torch.from_numpy(store.rows(column)) for column in zip(*names, strict=True)]

    def batch(self, rows: Rows, rng: np.random.Generator | None) -> torch.Tensor:
        """See `Feed`; with `rng` each film is given as one of its variants, itself included."""
        if rng is None or len(self.views) == 1:
            return self.views[0][rows].to(self.device)
        drawn = rng.integers(0, len(self.views), size=len(rows))
        return torch.stack([self.views[view][row] for view, row in zip(drawn, rows, strict=True)]).to(
            self.device
        )


def view_key(key: str, view: int) -> str:
    """The key of the `view`-th variant of the film `key` in a store of features."""
    return f"{key}:plain{view}"


@dataclass(frozen=True)
class Trained:
    """How a training went: epochs run, the epoch whose weights were kept (from 1), its validation loss."""

    epochs: int
    best_epoch: int
    validation_loss: float


def fit(
    model: nn.Module,
    train: Feed,
    validation: Feed,
    settings: Training,
    *,
    sampling: str,
    seed: int,
    device: torch.device,
    advance: Callable[[int], None] | None = None,
) -> Trained:
    """Train all parameters of `model` in place and leave it with the weights of its best epoch.

    Minimises the cross-entropy of the two classes; stops after `settings.patience` epochs without a lower
    validation loss, or at `settings.max_epochs`. On the CPU the outcome depends on the arguments alone (at
    one number of threads). `advance` is told each finished epoch. Raises `DivergedError`.
    """
    optimizers: dict[str, type[torch.optim.Optimizer]] = {
        "adadelta": torch.optim.Adadelta,
        "adam": torch.optim.Adam,
    }
    with seeded(seed, device):
        optimizer = optimizers[settings.optimizer](model.parameters(), lr=settings.learning_rate)  # type: ignore[call-arg]
        best, best_epoch, kept = float("inf"), 0, model.state_dict()
        epoch = 0
        for epoch in range(1, settings.max_epochs + 1):
            _epoch(
                model, optimizer, train, settings.batch_size, sampling, np.random.default_rng([seed, epoch])
            )
            loss = validation_loss(model, validation, settings.monitor)
            if not np.isfinite(loss):
                raise DivergedError(
                    f"the classifier diverged in epoch {epoch}",
                    found=f"validation loss {loss}",
                    hint="lower the learning rate of this model in the suite",
                )
            if loss < best:
                best, best_epoch, kept = loss, epoch, copy.deepcopy(model.state_dict())
            if advance:
                advance(epoch)
            if epoch - best_epoch >= settings.patience:
                break
        model.load_state_dict(kept)
    return Trained(epoch, best_epoch, best)


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    feed: Feed,
    batch_size: int,
    sampling: str,
    rng: np.random.Generator,
) -> None:
    model.train()
    order = draw_order(feed.labels, sampling, rng)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        films = feed.batch(rows, rng)
        target = torch.from_numpy(feed.labels[rows]).to(films.device)
        optimizer.zero_grad(set_to_none=True)
        loss: torch.Tensor = F.cross_entropy(model(films), target)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def draw_order(labels: Rows, sampling: str, rng: np.random.Generator) -> Rows:
    """The rows of one epoch, as many as there are films.

    `natural`: each film once. `class-balanced`: half from each class, the films of a class in turn, so that
    the rare class is repeated evenly and the common one is thinned out.
    """
    if sampling == "natural":
        return rng.permutation(len(labels))
    half = max(1, len(labels) // 2)
    parts = [np.resize(rng.permutation(np.flatnonzero(labels == value)), half) for value in (0, 1)]
    return rng.permutation(np.concatenate(parts))


def validation_loss(model: nn.Module, feed: Feed, monitor: str) -> float:
    """The cross-entropy over the films of `feed`: their mean, or the mean over the means of both classes."""
    logits = _logits(model, feed)
    losses = F.cross_entropy(logits, torch.from_numpy(feed.labels), reduction="none").numpy()
    if monitor == "loss":
        return float(losses.mean())
    return float(np.mean([losses[feed.labels == value].mean() for value in (0, 1)]))


def probabilities(model: nn.Module, feed: Feed) -> npt.NDArray[np.float64]:
    """The softmax probability of the positive class for each film, shape (n,)."""
    values: npt.NDArray[np.float64] = torch.softmax(_logits(model, feed), dim=1)[:, 1].numpy()
    return values


def _logits(model: nn.Module, feed: Feed) -> torch.Tensor:
    """Logits of all films in float64 on the CPU, so that their softmax keeps small differences."""
    model.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(feed.labels), _EVALUATION_BATCH):
            rows = np.arange(start, min(start + _EVALUATION_BATCH, len(feed.labels)))
            found.append(model(feed.batch(rows, None)).cpu().double())
    return torch.cat(found)
