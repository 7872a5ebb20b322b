"""From a task, released configs and a regime to the rows a classifier is trained and tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from covid_synth_data import mixing, schema
from covid_synth_data.benchmark.results.classification import Composition, FilmCounts
from covid_synth_data.benchmark.suite import Regime
from covid_synth_data.errors import ConfigError, EmptySplit, ImpossibleMix, LeakError
from covid_synth_data.files.store import content_key
from covid_synth_data.splits.classes import OPACITY

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Films:
    """Rows without their pixels: ids, labels (n,) that are places in `classes`, and patients ("" for a
    synthetic film). `positive` is one of `classes`. `hosts` are the ids of the real films that synthetic ones
    were made of, and of real ones their own; empty where they are not known."""

    ids: list[str]
    labels: npt.NDArray[np.int64]
    patients: list[str]
    classes: tuple[str, ...]
    positive: str
    hosts: list[str] = field(default_factory=list)

    @property
    def positives(self) -> npt.NDArray[np.bool_]:
        """Which films are of the positive class, shape (n,)."""
        return np.asarray(self.labels == self.classes.index(self.positive))

    def select(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> Films:
        """Those in `rows`, in that order."""
        places = np.asarray(rows, np.int64)
        ids, patients = [self.ids[row] for row in places], [self.patients[row] for row in places]
        hosts = [self.hosts[row] for row in places] if self.hosts else []
        return replace(self, ids=ids, labels=self.labels[places], patients=patients, hosts=hosts)

    def counts(self) -> dict[str, int]:
        """Films by class."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, counts.tolist(), strict=True))

    def film_counts(self) -> FilmCounts:
        """Their counts."""
        positives = int(self.positives.sum())
        return FilmCounts(
            negatives=len(self.ids) - positives,
            positives=positives,
            patients=len(set(self.patients)),
            classes=self.counts(),
        )


def films(dataset: datasets.Dataset, classes: Sequence[str], positive: str) -> Films:
    """The rows of `dataset`, whose labels are names among `classes`. Raises `ConfigError` for another."""
    names = dataset.features["label"].names
    used = np.asarray(dataset["label"][:], dtype=np.int64)
    strange = sorted({names[value] for value in np.unique(used)} - set(classes))
    if strange:
        raise ConfigError(
            "films of a class that the task does not have",
            found=strange[0],
            expected=", ".join(classes),
            hint="choose other configs for this task",
        )
    where = np.array([classes.index(name) if name in classes else -1 for name in names])
    ids = [str(name) for name in dataset["image_id"][:]]
    there = "patient_id" in dataset.column_names
    patients = [name or "" for name in dataset["patient_id"][:]] if there else [""] * len(ids)
    return Films(ids, where[used], patients, tuple(classes), positive, _hosts(dataset, ids, patients))


def _hosts(dataset: datasets.Dataset, ids: Sequence[str], patients: Sequence[str]) -> list[str]:
    """The real film of each row by its id, SOURCE/NAME as a task names it; its own id where it is real itself
    or was made of none."""
    if "source_id" not in dataset.column_names:
        return list(ids)
    stated = zip(dataset["source_dataset"][:], dataset["source_id"][:], strict=True)
    return [
        own if patient or not name else f"{source}/{name}"
        for own, patient, (source, name) in zip(ids, patients, stated, strict=True)
    ]


def as_task(rows: datasets.Dataset, classes: Sequence[str]) -> datasets.Dataset:
    """Synthetic `rows` with the classes of a task: where it has one class of all opacities, both diseases are
    of that class. Rows of other tasks come back as they are."""
    if OPACITY not in classes or OPACITY in rows.features["label"].names:
        return rows
    return mixing.with_classes(rows, classes, dict.fromkeys(schema.LABELS[1:], OPACITY))


def without_held(
    held_too: bool, train: datasets.Dataset, positive: str, findings: Sequence[str]
) -> datasets.Dataset:
    """`train` without the positives of these `findings` (`source_class`), unless they are trained on too.

    "source:NAME" stands for every finding of that source.
    """
    if held_too or not findings:
        return train
    sources = [name.removeprefix("source:") for name in findings if name.startswith("source:")]
    held = np.isin(train["source_class"][:], list(findings)) | np.isin(train["source_dataset"][:], sources)
    held &= _are(train, positive)
    return train.select(np.flatnonzero(~held))


def joined(real: datasets.Dataset, more: datasets.Dataset) -> datasets.Dataset:
    """The rows of `real`, then those of `more`; classes are matched by name."""
    import datasets

    more = mixing.with_classes(more.select_columns(real.column_names), real.features["label"].names)
    return datasets.concatenate_datasets([real, more])


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
    parts = [synthetic[config] for config in regime.synthetic]
    _check_overlap(parts)
    if regime.mix == "skew":
        assert regime.skew is not None  # noqa: S101  (the model of a regime demands it)
        return mixing.mix(train, parts, skew=regime.skew, seed=seed, positive=positive)
    real = train.select(np.flatnonzero(~_are(train, positive))) if regime.mix == "synthetic-only" else train
    count = sum(len(part) for part in parts)
    if regime.positives is not None:
        parts = [part.select(np.flatnonzero(_are(part, positive))) for part in parts]
        count = _lacking(regime.positives, real, parts, positive)
    return mixing.mix(real, parts, seed=seed, synthetic_count=count, positive=positive)


def _check_overlap(parts: Sequence[datasets.Dataset]) -> None:
    """Raise `LeakError` where a row is in two configs: the regime would not have the films that it names."""
    seen: set[str] = set()
    for part in parts:
        names = set(part["image_id"][:])
        if shared := seen & names:
            raise LeakError(
                "a film is in the training set twice",
                found=repr(min(shared)),
                hint="name configs that do not overlap",
            )
        seen |= names


def _are(dataset: datasets.Dataset, name: str) -> npt.NDArray[np.bool_]:
    """Which rows are of the class `name`."""
    names = dataset.features["label"].names
    place = names.index(name) if name in names else -1
    return np.asarray(np.asarray(dataset["label"][:]) == place)


def _lacking(positives: int, real: datasets.Dataset, parts: Sequence[datasets.Dataset], positive: str) -> int:
    """How many of the synthetic positives in `parts` join the real ones to make `positives`."""
    there, synthetic = int(_are(real, positive).sum()), sum(len(part) for part in parts)
    if not there <= positives <= there + synthetic:
        raise ImpossibleMix(
            f"{positives:,} positives cannot be put together",
            found=f"{there:,} real and {synthetic:,} synthetic {positive} films",
            expected=f"{there:,} to {there + synthetic:,} positives",
            hint="change the regime's positives, or give a release with more films",
        )
    return positives - there


def limited(
    train: datasets.Dataset,
    positive: str,
    *,
    negatives: int | None,
    positives: int | None,
    per_class: int | None,
    seed: int,
) -> datasets.Dataset:
    """`train` with at most so many negatives, positives and films of each class (None: all), drawn from
    `seed`, in their order."""
    names = train.features["label"].names
    labels = np.asarray(train["label"][:])
    kept = np.ones(len(train), bool)
    for value, name in enumerate(names):
        _thin(kept, labels == value, per_class, [seed, *name.encode()])
    for value, limit in ((False, negatives), (True, positives)):
        _thin(kept, _are(train, positive) == value, limit, [seed, int(value)])
    return train if kept.all() else train.select(np.flatnonzero(kept))


def _thin(
    kept: npt.NDArray[np.bool_], group: npt.NDArray[np.bool_], limit: int | None, seed: list[int]
) -> None:
    """Drop rows of `group` from `kept`, in place, until `limit` are left."""
    rows = np.flatnonzero(kept & group)
    if limit is not None and len(rows) > limit:
        kept[rows] = False
        kept[np.random.default_rng(seed).choice(rows, size=limit, replace=False)] = True


def describe(mixed: Films, real_ids: frozenset[str], synthetic: Mapping[str, frozenset[str]]) -> Composition:
    """The composition of `mixed`. `synthetic` holds the image ids of each config of the regime.

    Raises `EmptySplit` when a class is missing, `LeakError` when a film occurs twice.
    """
    if len(set(mixed.ids)) != len(mixed.ids):
        twice = sorted(name for name in set(mixed.ids) if mixed.ids.count(name) > 1)[0]
        raise LeakError(
            "a film is in the training set twice", found=repr(twice), hint="name configs that do not overlap"
        )
    counts = mixed.counts()
    if not all(counts.values()):
        raise EmptySplit(
            "the training set of a regime lacks a class",
            found=", ".join(f"{count} {name}" for name, count in counts.items()),
            expected="at least one film of each",
        )
    real = [
        bool(positive) for name, positive in zip(mixed.ids, mixed.positives, strict=True) if name in real_ids
    ]
    positives = int(mixed.positives.sum())
    negatives = len(mixed.ids) - positives
    return Composition(
        real_negatives=len(real) - sum(real),
        real_positives=sum(real),
        synthetic={config: len(ids.intersection(mixed.ids)) for config, ids in synthetic.items()},
        negatives=negatives,
        positives=positives,
        skew=negatives / positives,
        classes=counts,
    )


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
