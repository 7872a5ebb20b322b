"""From a regime to the list of training slices: which are real, which synthetic, which made of real ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from covid_synth_data.benchmark.results.segmentation import Composition
from covid_synth_data.benchmark.suite.segmentation import Regime
from covid_synth_data.ct import augment
from covid_synth_data.errors import EmptySplit, ImpossibleMix

Origin = Literal["real", "synthetic", "undrawn"]


@dataclass(frozen=True)
class Item:
    """One training slice: number `index` of the real or synthetic ones, changed by the variant `variant` of
    `ct.augment` ("full": as it is). An "undrawn" one is a synthetic one before its lung was drawn."""

    origin: Origin
    index: int
    variant: str = augment.FULL


def compose(regime: Regime, real: int, synthetic: int, seed: int) -> list[Item]:
    """The training slices of `regime` out of `real` and `synthetic` ones at hand.

    Draws depend on (seed, kind of draw) alone and are nested: replace-20 takes away what replace-10 does and
    more, and remove-50 takes away what replace-50 does. Raises `EmptySplit` without a real slice,
    `ImpossibleMix` where there are too few synthetic ones.
    """
    if real < 1:
        raise EmptySplit("no real slice to train on", found="0", expected="at least one")
    count = round((regime.fraction or 0) * real)
    every = [Item("real", index) for index in range(real)]
    if regime.synthetic and count > synthetic:
        raise ImpossibleMix(
            f"{count} synthetic slices cannot be put beside {real} real ones",
            found=f"{synthetic} of training slices in the release",
            expected=f"at least {count}",
            hint="make a release with more images, or choose a smaller fraction",
        )
    order = np.random.default_rng([seed, 1]).permutation(real).tolist()
    drawn = np.random.default_rng([seed, 2]).permutation(synthetic)[:count].tolist()
    kept = sorted(order[count:])
    if regime.kind == "remove":
        return [every[index] for index in kept]
    if regime.kind == "replace":
        return [*(every[index] for index in kept), *(Item("synthetic", index) for index in drawn)]
    if regime.kind == "extend":
        return [*every, *(Item("synthetic", index) for index in drawn)]
    if regime.kind == "undrawn":
        return [*every, *(Item("undrawn", index) for index in drawn)]
    again = [order[i % real] for i in range(count)]
    if regime.kind == "duplicate":
        return [*every, *(every[index] for index in again)]
    if regime.kind in ("augment", "strong"):
        settings = augment.STRONG if regime.kind == "strong" else augment.PAPER
        changed = (augment.variant(seed, i, settings) for i in range(count))
        return [*every, *(Item("real", index, each) for index, each in zip(again, changed, strict=True))]
    return every


def describe(items: Sequence[Item], available: int, generators: Sequence[str]) -> Composition:
    """The counts of a list of `compose`; `generators[i]` made the synthetic slice i."""
    plain = Counter(item.index for item in items if item.origin == "real" and item.variant == augment.FULL)
    drawn = [item.index for item in items if item.origin == "synthetic"]
    return Composition(
        available=available,
        real=len(plain),
        synthetic=len(drawn),
        repeated=plain.total() - len(plain),
        augmented=sum(item.origin == "real" and item.variant != augment.FULL for item in items),
        undrawn=sum(item.origin == "undrawn" for item in items),
        generators=sorted({generators[index] for index in drawn}),
    )
