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

from covid_synth_data.benchmark.suite import Training
from covid_synth_data.benchmark.training.augment import plain
from covid_synth_data.classifiers.networks import seeded
from covid_synth_data.errors import DivergedError
from covid_synth_data.files.store import Store

Rows = npt.NDArray[np.int64]

OPTIMIZERS: Final[dict[str, type[torch.optim.Optimizer]]] = {
    "adadelta": torch.optim.Adadelta,
    "adam": torch.optim.Adam,
}
"""By the names that a suite uses. Both work on each number apart, which `heads` relies on."""

_EVALUATION_BATCH: Final = 64


class Feed(Protocol):
    """Films as a network wants them. `labels` has shape (n,) and holds indices of classes. Films with the
    same number in `groups` (n,) go into one batch; None where each may go anywhere."""

    labels: Rows
    groups: Rows | None

    def batch(self, rows: Rows, rng: np.random.Generator | None) -> torch.Tensor:
        """The films in `rows`, changed by draws from `rng` where the feed augments and there is one."""
        ...


class PixelFeed:
    """Films (n, 1, side, side) in [0, 1] out of a store of uint8 pixels."""

    def __init__(
        self,
        store: Store,
        keys: Sequence[str],
        labels: Rows,
        device: torch.device,
        *,
        augment: bool = False,
        groups: Rows | None = None,
    ) -> None:
        """`keys` name the films of the store, `labels` their classes."""
        self.store, self.places, self.labels, self.groups = store, store.places(keys), labels, groups
        self.device, self.augment = device, augment

    def batch(self, rows: Rows, rng: np.random.Generator | None) -> torch.Tensor:
        """See `Feed`."""
        pixels = torch.from_numpy(self.store.take(self.places[rows]))
        films = pixels.to(self.device).unsqueeze(1).float() / 255.0
        return plain(films, rng) if self.augment and rng is not None else films


class FeatureFeed:
    """Fixed features (n, width); `views` further variants of each film stand in for augmentation."""

    def __init__(
        self,
        store: Store,
        keys: Sequence[str],
        labels: Rows,
        device: torch.device,
        *,
        views: int = 0,
        groups: Rows | None = None,
    ) -> None:
        """Reads all features into memory: at 1,280 numbers they are a fiftieth of the pixels."""
        self.labels, self.device, self.groups = labels, device, groups
        columns = [list(keys), *([view_key(key, view) for key in keys] for view in range(1, views + 1))]
        rows = store.rows([key for column in columns for key in column])
        self.views = torch.from_numpy(rows.reshape(views + 1, len(keys), *store.shape))

    def batch(self, rows: Rows, rng: np.random.Generator | None) -> torch.Tensor:
        """See `Feed`; with `rng` each film is given as one of its variants, itself included."""
        if rng is None or len(self.views) == 1:
            return self.views[0, rows].to(self.device)
        drawn = rng.integers(0, len(self.views), size=len(rows))
        return self.views[drawn, rows].to(self.device)

    def matrix(self) -> tuple[npt.NDArray[np.float32], Rows]:
        """All features (n * (views + 1), width), each variant as a row of its own, and their labels."""
        features: npt.NDArray[np.float32] = self.views.flatten(0, 1).numpy()
        return features, np.tile(self.labels, len(self.views))


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
    loss: str = "plain",
    seed: int,
    device: torch.device,
    advance: Callable[[int], None] | None = None,
) -> Trained:
    """Train all parameters of `model` in place and leave it with the weights of its best epoch.

    Minimises the cross-entropy of the classes, with `loss="class-weighted"` each film's by the weight of
    its class; stops after `settings.patience` epochs without a lower validation loss, which is never
    weighted, or at `settings.max_epochs`. On the CPU the outcome depends on the arguments alone (at one
    number of threads). `advance` is told each finished epoch. Raises `DivergedError`.
    """
    weights = torch.from_numpy(film_weights(train.labels)) if loss == "class-weighted" else None
    with seeded(seed, device):
        optimizer = OPTIMIZERS[settings.optimizer](model.parameters(), lr=settings.learning_rate)  # type: ignore[call-arg]
        schedule = _schedule(optimizer, settings)
        best, best_epoch, kept = float("inf"), 0, model.state_dict()
        epoch = 0
        for epoch in range(1, settings.max_epochs + 1):
            rng = np.random.default_rng([seed, epoch])
            order = draw_order(train.labels, sampling, rng, settings.epoch_films, train.groups)
            _epoch(model, optimizer, train, settings.batch_size, order, rng, weights)
            now = validation_loss(model, validation, settings.monitor)
            if not np.isfinite(now):
                raise DivergedError(
                    f"the classifier diverged in epoch {epoch}",
                    found=f"validation loss {now}",
                    hint="lower the learning rate of this model in the suite",
                )
            if now < best:
                best, best_epoch, kept = now, epoch, copy.deepcopy(model.state_dict())
            if schedule is not None:
                schedule.step(now)
            if advance:
                advance(epoch)
            if epoch - best_epoch >= settings.patience:
                break
        model.load_state_dict(kept)
    return Trained(epoch, best_epoch, best)


def _schedule(
    optimizer: torch.optim.Optimizer, settings: Training
) -> torch.optim.lr_scheduler.ReduceLROnPlateau | None:
    """The scheduler that lowers the learning rate by the validation losses; None for a constant rate."""
    rule = settings.plateau
    if rule is None:
        return None
    return torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        factor=rule.factor,
        # Torch reduces in the epoch after its `patience` is used up, Keras in the one that uses it up.
        patience=rule.patience - 1,
        threshold=1e-4,
        threshold_mode="abs",
        min_lr=rule.least,
    )


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    feed: Feed,
    batch_size: int,
    order: Rows,
    rng: np.random.Generator,
    weights: torch.Tensor | None,
) -> None:
    model.train()
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        films = feed.batch(rows, rng)
        target = torch.from_numpy(feed.labels[rows]).to(films.device)
        optimizer.zero_grad(set_to_none=True)
        if weights is None:
            loss: torch.Tensor = F.cross_entropy(model(films), target)
        else:
            # Divided by the number of films and not by their weights: a batch without a rare film would
            # otherwise count as much as one with it, and the common class would get its weight back.
            each = F.cross_entropy(model(films), target, reduction="none")
            loss = (each * weights[rows].to(films.device)).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def film_weights(labels: Rows) -> npt.NDArray[np.float32]:
    """n / (K n_k) for a film of class k, shape (n,): their mean is 1 (scikit-learn's "balanced" rule).

    K counts the classes that occur.
    """
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights: npt.NDArray[np.float32] = (len(labels) / (len(counts) * counts))[place].astype(np.float32)
    return weights


def draw_order(
    labels: Rows,
    sampling: str,
    rng: np.random.Generator,
    films: int | None = None,
    groups: Rows | None = None,
) -> Rows:
    """The rows of one epoch, as many as there are films, or as `films` says.

    `natural`: each film once, or as often as any other up to one. `class-balanced`: equally many from each
    class that occurs (up to rounding down), the films of a class in turn, so that the rare class is repeated
    evenly and the common one is thinned out. With `groups` (n,), which need the natural order, films of one
    group follow each other.
    """
    if sampling == "natural":
        order = rng.permutation(len(labels)) if groups is None else _by_group(groups, rng)
        return order if films is None else np.resize(order, films)
    values = np.unique(labels)
    share = max(1, (films or len(labels)) // len(values))
    parts = [np.resize(rng.permutation(np.flatnonzero(labels == value)), share) for value in values]
    return rng.permutation(np.concatenate(parts))


def _by_group(groups: Rows, rng: np.random.Generator) -> Rows:
    """All rows, groups in a random order and the rows of each side by side, in a random order too."""
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    # Groups are counted as they come, so that the numbers that they have do not matter.
    rank = rng.permutation(len(first))[np.argsort(np.argsort(first))[place]]
    return np.lexsort((rng.permutation(len(groups)), rank))


def validation_loss(model: nn.Module, feed: Feed, monitor: str) -> float:
    """The cross-entropy over the films of `feed`; see `monitored`."""
    logits = _logits(model, feed)
    losses = F.cross_entropy(logits, torch.from_numpy(feed.labels), reduction="none").numpy()
    return monitored(losses, feed.labels, monitor)


def monitored(losses: npt.NDArray[np.float64], labels: Rows, monitor: str) -> float:
    """One number for the losses (n,) of films: `loss` their mean, `balanced-loss` the mean over the means of
    the classes that occur."""
    if monitor == "loss":
        return float(losses.mean())
    return float(np.mean([losses[labels == value].mean() for value in np.unique(labels)]))


def class_probabilities(model: nn.Module, feed: Feed) -> npt.NDArray[np.float64]:
    """The softmax probabilities of each film, shape (n, classes)."""
    values: npt.NDArray[np.float64] = torch.softmax(_logits(model, feed), dim=1).numpy()
    return values


def probabilities(model: nn.Module, feed: Feed) -> npt.NDArray[np.float64]:
    """The probability of class 1, of two classes the positive one, for each film, shape (n,)."""
    values: npt.NDArray[np.float64] = class_probabilities(model, feed)[:, 1]
    return values


def _logits(model: nn.Module, feed: Feed) -> torch.Tensor:
    """Logits of all films in float64 on the CPU, so that their softmax keeps small differences."""
    model.eval()
    probabilities = []
    with torch.inference_mode():
        for start in range(0, len(feed.labels), _EVALUATION_BATCH):
            rows = np.arange(start, min(start + _EVALUATION_BATCH, len(feed.labels)))
            probabilities.append(model(feed.batch(rows, None)).cpu().double())
    return torch.cat(probabilities)
