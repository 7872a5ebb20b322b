"""From a task, released configs and a regime to the rows a classifier is trained and tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from covid_synth_data.benchmark.cache import content_key
from covid_synth_data.benchmark.results import Composition, Part
from covid_synth_data.benchmark.suite import Regime
from covid_synth_data.errors import EmptySplit, ImpossibleMix, LeakError
from covid_synth_data.schema import LABELS

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Films:
    """Rows without their pixels: ids, labels (n,) of 0 and 1, and patients ("" for a synthetic film)."""

    ids: list[str]
    labels: npt.NDArray[np.int64]
    patients: list[str]

    def part(self) -> Part:
        """Their counts."""
        positives = int(self.labels.sum())
        return Part(
            negatives=len(self.ids) - positives, positives=positives, patients=len(set(self.patients))
        )


def films(dataset: datasets.Dataset, positive: str) -> Films:
    """The rows of `dataset`; label 1 is the class `positive`."""
    labels = (np.asarray(dataset["label"][:]) == LABELS.index(positive)).astype(np.int64)
    ids = [str(name) for name in dataset["image_id"][:]]
    if "patient_id" not in dataset.column_names:
        return Films(ids, labels, [""] * len(ids))
    return Films(ids, labels, [name or "" for name in dataset["patient_id"][:]])


def compose(
    regime: Regime,
    train: datasets.Dataset,
    synthetic: Mapping[str, datasets.Dataset],
    positive: str,
    seed: int,
) -> datasets.Dataset:
    """The training rows of `regime`, by `mixing.mix`. Raises `ImpossibleMix` where there are too few
    synthetic films, or more real positives than `regime.positives`."""
    if regime.mix == "real":
        return train
    from covid_synth_data import mixing

    parts = [synthetic[config] for config in regime.synthetic]
    if regime.mix == "skew":
        assert regime.skew is not None  # noqa: S101  (the model of a regime demands it)
        return mixing.mix(train, parts, skew=regime.skew, seed=seed, positive=positive)
    real = _negatives(train, positive) if regime.mix == "synthetic-only" else train
    count = sum(len(part) for part in parts)
    if regime.positives is not None:
        parts = [part.select(np.flatnonzero(films(part, positive).labels)) for part in parts]
        count = _lacking(regime.positives, real, parts, positive)
    return mixing.mix(real, parts, seed=seed, synthetic_count=count, positive=positive)


def _lacking(positives: int, real: datasets.Dataset, parts: Sequence[datasets.Dataset], positive: str) -> int:
    """How many of the synthetic positives in `parts` join the real ones to make `positives`."""
    there, found = int(films(real, positive).labels.sum()), sum(len(part) for part in parts)
    if not there <= positives <= there + found:
        raise ImpossibleMix(
            f"{positives:,} positives cannot be put together",
            found=f"{there:,} real and {found:,} synthetic {positive} films",
            expected=f"{there:,} to {there + found:,} positives",
            hint="change the regime's positives, or give a release with more films",
        )
    return positives - there


def limited(
    train: datasets.Dataset, positive: str, *, negatives: int | None, positives: int | None, seed: int
) -> datasets.Dataset:
    """`train` with at most so many films of each class (None: all), drawn from `seed`, in their order."""
    labels = films(train, positive).labels
    kept = []
    for value, limit in ((0, negatives), (1, positives)):
        rows = np.flatnonzero(labels == value)
        if limit is not None and len(rows) > limit:
            rows = np.random.default_rng([seed, value]).choice(rows, size=limit, replace=False)
        kept.append(rows)
    rows = np.sort(np.concatenate(kept))
    return train if len(rows) == len(train) else train.select(rows)


def describe(mixed: Films, real_ids: frozenset[str], synthetic: Mapping[str, frozenset[str]]) -> Composition:
    """What `mixed` consists of. `synthetic` holds the image ids of each config of the regime.

    Raises `EmptySplit` when a class is missing, `LeakError` when a film occurs twice.
    """
    if len(set(mixed.ids)) != len(mixed.ids):
        twice = sorted(name for name in set(mixed.ids) if mixed.ids.count(name) > 1)[0]
        raise LeakError(
            "a film is in the training set twice", found=repr(twice), hint="name configs that do not overlap"
        )
    positives = int(mixed.labels.sum())
    negatives = len(mixed.ids) - positives
    if not positives or not negatives:
        raise EmptySplit(
            "the training set of a regime has one class only",
            found=f"{positives} positives, {negatives} negatives",
            expected="both",
        )
    real = [label for name, label in zip(mixed.ids, mixed.labels, strict=True) if name in real_ids]
    return Composition(
        real_negatives=len(real) - int(sum(real)),
        real_positives=int(sum(real)),
        synthetic={config: len(ids.intersection(mixed.ids)) for config, ids in synthetic.items()},
        negatives=negatives,
        positives=positives,
        skew=negatives / positives,
    )


def _negatives(dataset: datasets.Dataset, positive: str) -> datasets.Dataset:
    return dataset.select(np.flatnonzero(films(dataset, positive).labels == 0))


class Pool:
    """The undecoded films of several datasets by image id, and the content key of each."""

    def __init__(self, parts: Sequence[datasets.Dataset]) -> None:
        """Configs may share films (`cyclegan` holds `gnc`). Raises `LeakError` for two films of one id."""
        import datasets

        self._parts = [
            part.select_columns(["image"]).cast_column("image", datasets.Image(decode=False))
            for part in parts
        ]
        self._where: dict[str, tuple[int, int]] = {}
        self._keys: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        for number, part in enumerate(parts):
            for row, name in enumerate(part["image_id"][:]):
                if name in self._where and self.key(name) != self._key_of(number, row):
                    raise LeakError(
                        "an image id names two films", found=repr(name), expected="ids that are unique"
                    )
                self._where.setdefault(name, (number, row))

    def key(self, image_id: str) -> str:
        """The content key of a film; its bytes are read the first time."""
        if image_id not in self._keys:
            key = content_key(self._cell(image_id))
            self._keys[image_id] = key
            self._ids[key] = image_id
        return self._keys[image_id]

    def cell(self, key: str) -> Mapping[str, Any]:
        """The undecoded cell of a film whose `key` was asked for before."""
        return self._cell(self._ids[key])

    def _key_of(self, number: int, row: int) -> str:
        return content_key(self._parts[number][row]["image"])

    def _cell(self, image_id: str) -> Mapping[str, Any]:
        number, row = self._where[image_id]
        cell: Mapping[str, Any] = self._parts[number][row]["image"]
        return cell
