"""Dense layers on fixed features: all seeds of a regime trained at once, as one stack of layers.

Each seed keeps its own initial layer, order of films, optimiser state and early stopping; the optimisers in
use work on each number apart. So a seed learns what `fit.fit` would have taught it alone, up to rounding,
and one step of the stack costs little more than one step of one layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from covid_synth_data.benchmark.suite import Training
from covid_synth_data.benchmark.training.fit import (
    OPTIMIZERS,
    FeatureFeed,
    Rows,
    Trained,
    draw_order,
    film_weights,
    monitored,
)
from covid_synth_data.errors import DivergedError


def fit(
    layers: Sequence[nn.Linear],
    train: FeatureFeed,
    rows: Sequence[Rows],
    validation: FeatureFeed,
    settings: Training,
    *,
    sampling: str,
    loss: str = "plain",
    seeds: Sequence[int],
    device: torch.device,
    advance: Callable[[int], None] | None = None,
) -> list[Trained]:
    """Train `layers`, one per seed, in place and leave each with the weights of its best epoch.

    `train` holds the films of all seeds and `rows` those of each seed, equally many of each class. The other
    arguments, and what is minimised, are those of `fit.fit`. `advance` is told each epoch that all seeds
    still in training have finished. Raises `DivergedError`.
    """
    stack = _Stack(layers, settings, device)
    labels = [train.labels[mine] for mine in rows]
    groups = [None if train.groups is None else train.groups[mine] for mine in rows]
    weights = [
        film_weights(mine) if loss == "class-weighted" else np.ones(len(mine), np.float32) for mine in labels
    ]
    records = {place: Trained(0, 0, float("inf")) for place in range(len(seeds))}
    # An epoch of all seeds that still learn; each draws its own order from (seed, epoch).
    for epoch in range(1, settings.max_epochs + 1):
        draws = [np.random.default_rng([seeds[place], epoch]) for place in stack.places]
        orders = [
            draw_order(labels[place], sampling, rng, settings.epoch_films, groups[place])
            for place, rng in zip(stack.places, draws, strict=True)
        ]
        for start in range(0, len(orders[0]), settings.batch_size):
            batch = [order[start : start + settings.batch_size] for order in orders]
            own = list(zip(stack.places, batch, draws, strict=True))
            stack.step(
                torch.stack([train.batch(rows[place][mine], rng) for place, mine, rng in own]),
                torch.from_numpy(np.stack([labels[place][mine] for place, mine, _ in own])).to(device),
                torch.from_numpy(np.stack([weights[place][mine] for place, mine, _ in own])).to(device),
            )
        # The validation loss of each decides which of its epochs is kept.
        for place, losses in zip(stack.places, stack.losses(validation), strict=True):
            now = monitored(losses, validation.labels, settings.monitor)
            if not np.isfinite(now):
                raise DivergedError(
                    f"the classifier of seed {seeds[place]} diverged in epoch {epoch}",
                    found=f"validation loss {now}",
                    hint="lower the learning rate of this model in the suite",
                )
            before = records[place]
            better = now < before.validation_loss
            records[place] = Trained(
                epoch, *((epoch, now) if better else (before.best_epoch, before.validation_loss))
            )
            if better:
                stack.keep(place)
        if advance:
            advance(epoch)
        # A seed that has not improved for `patience` epochs stops.
        stack.go_on_with(
            [place for place in stack.places if epoch - records[place].best_epoch < settings.patience]
        )
        if not stack.places:
            break
    stack.write_back()
    return list(records.values())


@dataclass
class _Kept:
    weight: torch.Tensor
    bias: torch.Tensor


class _Stack:
    """The layers still in training, `places` of them, as one weight (S, classes, width) and bias (S,
    classes)."""

    def __init__(self, layers: Sequence[nn.Linear], settings: Training, device: torch.device) -> None:
        self.layers, self.settings = layers, settings
        self.places = list(range(len(layers)))
        self.kept = [_Kept(layer.weight.detach().clone(), layer.bias.detach().clone()) for layer in layers]
        self.weight = nn.Parameter(torch.stack([one.weight for one in self.kept]).to(device))
        self.bias = nn.Parameter(torch.stack([one.bias for one in self.kept]).to(device))
        self.optimizer = self._optimizer()

    def _optimizer(self) -> torch.optim.Optimizer:
        kind = OPTIMIZERS[self.settings.optimizer]
        return kind([self.weight, self.bias], lr=self.settings.learning_rate)  # type: ignore[call-arg]

    def step(self, films: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> None:
        """One step of each layer on its own films (S, batch, width)."""
        self.optimizer.zero_grad(set_to_none=True)
        logits = torch.baddbmm(self.bias.unsqueeze(1), films, self.weight.transpose(1, 2))
        each = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
        # The sum over the seeds: the gradient of each layer is that of its own mean loss.
        (each * weights).mean(dim=1).sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def losses(self, feed: FeatureFeed) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
        """The cross-entropy of each film under each layer, S arrays of shape (n,)."""
        with torch.inference_mode():
            films = feed.batch(np.arange(len(feed.labels)), None)
            found = torch.einsum("nd,skd->snk", films, self.weight) + self.bias.unsqueeze(1)
            logits = found.cpu().double().transpose(1, 2)
            labels = torch.from_numpy(feed.labels).expand(len(logits), -1)
            return list(F.cross_entropy(logits, labels, reduction="none").numpy())

    def keep(self, place: int) -> None:
        """Remember the layer of `place` as it is."""
        at = self.places.index(place)
        self.kept[place] = _Kept(self.weight.detach()[at].clone(), self.bias.detach()[at].clone())

    def go_on_with(self, places: Sequence[int]) -> None:
        """Leave the other layers out from now on, with their part of the optimiser's memory."""
        if list(places) == self.places:
            return
        at = torch.tensor([self.places.index(place) for place in places], dtype=torch.long)
        before = [self.optimizer.state[one] for one in (self.weight, self.bias)]
        self.weight = nn.Parameter(self.weight.detach()[at].clone())
        self.bias = nn.Parameter(self.bias.detach()[at].clone())
        self.optimizer = self._optimizer()
        for parameter, memory in zip((self.weight, self.bias), before, strict=True):
            self.optimizer.state[parameter] = {
                # The count of steps is one number for all layers; the rest has a row per layer.
                name: value[at].clone() if value.dim() > 0 else value
                for name, value in memory.items()
            }
        self.places = list(places)

    def write_back(self) -> None:
        """Give each layer the weights of its best epoch."""
        with torch.no_grad():
            for layer, kept in zip(self.layers, self.kept, strict=True):
                layer.weight.copy_(kept.weight)
                layer.bias.copy_(kept.bias)
