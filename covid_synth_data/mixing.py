"""Mix real and synthetic films to a requested composition, on `datasets.Dataset`, without decoding images.

Skew is negatives / positives (zunair2021, Eq. 6); with several classes, all rows but the positives count as
negatives. All functions select and join rows by index: the images of the result are those of the inputs, read
when they are needed. The same seed gives the same rows. Classes are matched by name: where the codes of the
synthetic rows mean other classes than those of the real rows, they are translated.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data import schema
from covid_synth_data.errors import ConfigError, ImpossibleMix, UnknownName

if TYPE_CHECKING:
    import datasets

_SKEW: Final = 1.0
Index = npt.NDArray[np.int64]


def skew(dataset: datasets.Dataset, positive: str = "covid-19") -> float:
    """Negatives / positives; `inf` without positives. Raises `ImpossibleMix` when there are no rows."""
    positives = int(_is_positive(dataset, positive).sum())
    if len(dataset) == 0:
        raise ImpossibleMix("the skew of no rows", found="0 rows", expected="at least one")
    return (len(dataset) - positives) / positives if positives else math.inf


def mix(
    real: datasets.Dataset,
    synthetic: datasets.Dataset | Sequence[datasets.Dataset],
    skew: float | None = None,
    seed: int = 0,
    *,
    synthetic_count: int | None = None,
    synthetic_fraction: float | None = None,
    counts: Mapping[str, int] | None = None,
    positive: str = "covid-19",
) -> datasets.Dataset:
    """All real rows and a seeded draw of synthetic rows that gives the requested composition; shuffled.

    At most one of four arguments sets the composition:

    - `skew` (default 1.0): negatives / positives of the result, met to the nearest image. Only rows of the
      class that is short are drawn.
    - `synthetic_count` or `synthetic_fraction`: the number of synthetic rows, or their share in [0, 1).
    - `counts`: class name to number of rows in the result, for classes that have fewer real rows.

    `synthetic` may be several datasets; a row that is in several of them, by its `image_id`, counts once. The
    result has the columns of both, null where a row has no value, and the label names of the real rows.
    Raises `ImpossibleMix` with the compositions that can be reached, `UnknownName`, and `ConfigError`, also
    for a synthetic row of a class that the real rows do not name and for streams (see `stream`).
    """
    given = [value is not None for value in (skew, synthetic_count, synthetic_fraction, counts)]
    if sum(given) > 1:
        raise ConfigError(
            "a mix is governed by one number",
            found=f"skew {skew}, synthetic_count {synthetic_count}, synthetic_fraction {synthetic_fraction}, "
            f"counts {counts if counts is None else dict(counts)}",
            expected="one of them",
            hint="leave the others out",
        )
    pool = _one(synthetic, _label_names(real))
    random = _random(seed, 0)
    if synthetic_count is not None:
        chosen = _draw(np.arange(len(pool)), synthetic_count, random, "synthetic_count")
    elif synthetic_fraction is not None:
        if not (_is_number(synthetic_fraction) and 0 <= synthetic_fraction < 1):
            raise ImpossibleMix(
                "a share of synthetic rows beside all real ones",
                found=f"synthetic_fraction {synthetic_fraction!r}",
                expected="at least 0 and below 1",
            )
        count = round(len(real) * synthetic_fraction / (1 - synthetic_fraction))
        chosen = _draw(np.arange(len(pool)), count, random, f"synthetic_fraction {synthetic_fraction:g}")
    elif counts is not None:
        chosen = _for_counts(real, pool, counts, random)
    else:
        chosen = _for_skew(real, pool, _SKEW if skew is None else skew, random, positive)
    return _join(real, np.arange(len(real)), pool, chosen, seed)


def replace(
    real: datasets.Dataset,
    synthetic: datasets.Dataset | Sequence[datasets.Dataset],
    fraction: float = 0.3,
    seed: int = 0,
    *,
    positive: str = "covid-19",
) -> datasets.Dataset:
    """Replace the share `fraction` of the real positives by synthetic positives; shuffled.

    As in jiang2020, Tables III and IV. The number of rows does not change. Raises `ImpossibleMix` for too few
    synthetic positives and for a fraction outside [0, 1].
    """
    _check_fraction(fraction, 1.0)
    pool = _one(synthetic, _label_names(real))
    is_positive = _is_positive(real, positive)
    positives = np.flatnonzero(is_positive)
    count = round(fraction * len(positives))
    random = _random(seed, 1)
    gone = random.permutation(positives)[:count]
    kept = np.setdiff1d(np.arange(len(real)), gone)
    chosen = _draw(np.flatnonzero(_is_positive(pool, positive)), count, random, f"fraction {fraction:g}")
    return _join(real, kept, pool, chosen, seed)


def extend(
    real: datasets.Dataset,
    synthetic: datasets.Dataset | Sequence[datasets.Dataset],
    fraction: float = 0.4,
    seed: int = 0,
) -> datasets.Dataset:
    """All real rows, and synthetic rows: `fraction` times the number of real rows; shuffled.

    jiang2020, Tables III and IV, adds 0 to 50 %. Fractions above 1 are allowed. Raises `ImpossibleMix`.
    """
    _check_fraction(fraction, math.inf)
    pool = _one(synthetic, _label_names(real))
    random = _random(seed, 2)
    chosen = _draw(np.arange(len(pool)), round(fraction * len(real)), random, f"fraction {fraction:g}")
    return _join(real, np.arange(len(real)), pool, chosen, seed)


def _for_skew(real: Any, pool: Any, target: float, random: np.random.Generator, positive: str) -> Index:
    """Rows of the pool that bring the skew nearest to `target`. Raises `ImpossibleMix`."""
    if not (_is_number(target) and math.isfinite(target) and target > 0):
        raise ImpossibleMix("no such skew", found=repr(target), expected="a number above 0")
    mine, theirs = _is_positive(real, positive), _is_positive(pool, positive)
    positives, negatives = int(mine.sum()), int((~mine).sum())
    if negatives > target * positives:
        label, rows = positive, np.flatnonzero(theirs)
        count = max(_nearest_positives(negatives, target) - positives, 0)
    else:
        label, rows, count = "negative", np.flatnonzero(~theirs), round(target * positives) - negatives
    if not positives + negatives:
        raise ImpossibleMix("no real rows to bring to a skew", found="0 rows", expected="at least one")
    if count > len(rows):
        raise ImpossibleMix(
            f"a skew of {target:g} needs {count:,} synthetic {label} rows",
            found=f"{len(rows):,} beside {negatives:,} real negatives and {positives:,} real positives",
            expected=_reachable(negatives, positives, int((~theirs).sum()), int(theirs.sum())),
            hint="ask for a skew in that range, or give more synthetic rows",
        )
    return random.permutation(rows)[:count]


def _for_counts(real: Any, pool: Any, counts: Mapping[str, int], random: np.random.Generator) -> Index:
    """Rows of the pool that bring each class of `counts` to its number, where real rows are fewer."""
    names = _label_names(real)
    for name in counts:
        if name not in names:
            raise UnknownName("label", name, names)
    chosen = [np.empty(0, np.int64)]
    # In the order of the classes, so that the order of the mapping does not matter.
    for name in sorted(counts, key=names.index):
        have = int(_is_positive(real, name).sum())
        rows = np.flatnonzero(_is_positive(pool, name))
        _check_count(counts[name], f"a count of {name} rows")
        more = max(counts[name] - have, 0)
        chosen.append(_draw(rows, more, random, f"{counts[name]:,} {name} rows beside {have:,} real ones"))
    return np.concatenate(chosen)


def _nearest_positives(negatives: int, target: float) -> int:
    """How many positives, at least one, bring the skew of that many negatives nearest to `target`."""
    low = max(math.floor(negatives / target), 1)
    return min((low, low + 1), key=lambda positives: abs(negatives / positives - target))


def _reachable(negatives: int, positives: int, more_negatives: int, more_positives: int) -> str:
    """The skews that a pool allows, in words; rounded inwards, so that both ends can be asked for."""
    if not positives + more_positives or not negatives + more_negatives:
        return "rows of both classes"
    low = max(negatives, 1) / (positives + more_positives if negatives else positives)
    # Without real positives at least one synthetic positive is drawn, so the highest skew is negatives / 1.
    high = (negatives + more_negatives) / positives if positives else negatives
    ends = (
        Context(prec=6, rounding=way).create_decimal_from_float(float(end)).normalize()
        for end, way in ((low, ROUND_CEILING), (high, ROUND_FLOOR))
    )
    return "a skew from " + " to ".join(f"{end:f}" for end in ends)


def _draw(rows: Index, count: int, random: np.random.Generator, what: str) -> Index:
    """`count` of `rows` without repetition. Raises `ImpossibleMix` when there are fewer."""
    _check_count(count, f"{what} of synthetic rows")
    if count > len(rows):
        raise ImpossibleMix(
            f"{what} needs {count:,} synthetic rows",
            found=f"{len(rows):,} of the right class",
            expected=f"at most {len(rows):,}",
            hint="ask for less, or give more synthetic rows",
        )
    return random.permutation(rows)[:count]


def _check_count(count: int, what: str) -> None:
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 0:
        raise ImpossibleMix(what, found=str(count), expected="a whole number from 0 on")


def _check_fraction(fraction: float, most: float) -> None:
    if not (_is_number(fraction) and 0 <= fraction <= most and math.isfinite(fraction)):
        limit = "between 0 and 1" if most == 1 else "0 or more"
        raise ImpossibleMix("no such fraction", found=repr(fraction), expected=limit)


def _is_number(value: object) -> bool:
    """Whether `value` is a real number; True and False are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _random(seed: int, use: int) -> np.random.Generator:
    """The generator of one use of a seed. Raises `ConfigError` for what cannot be a seed."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ConfigError("no such seed", found=repr(seed), expected="a whole number from 0 on")
    return np.random.default_rng([seed, use])


def _is_positive(dataset: Any, positive: str) -> npt.NDArray[np.bool_]:
    """Which rows are of the positive class. Raises `ConfigError` without a label column of known names."""
    names = _label_names(dataset)
    if positive not in names:
        raise UnknownName("label", positive, names)
    # From the table itself: a format of the dataset (torch, numpy, ...) does not apply, nulls stay nulls.
    labels = dataset.with_format("arrow").select_columns(["label"])[:]["label"]
    if labels.null_count:
        raise ConfigError(
            "rows without a label",
            found=f"{labels.null_count:,} of {len(dataset):,}",
            expected="a label on each row",
            hint="filter them out first",
        )
    chosen: npt.NDArray[np.bool_] = labels.to_numpy() == names.index(positive)
    return chosen


def _label_names(dataset: Any) -> list[str]:
    """The names of the classes. Raises `ConfigError` for streams and without a label column of names."""
    import datasets

    if isinstance(dataset, datasets.IterableDataset):
        raise ConfigError(
            "a stream cannot be mixed to a composition",
            found="an IterableDataset",
            expected="a Dataset",
            hint="load without streaming, or use mixing.stream, which joins streams in given shares",
        )
    dataset = schema.rows(dataset)
    names = getattr(getattr(dataset, "features", None) or {}, "get", lambda _: None)("label")
    names = getattr(names, "names", None)
    if names is None:
        columns = getattr(dataset, "column_names", None)
        found = ", ".join(columns) if columns else type(dataset).__name__
        raise ConfigError(
            "rows without a label column of named classes",
            found=found,
            expected="a ClassLabel of " + ", ".join(schema.LABELS),
            hint="use load_task or load_dataset",
        )
    return list(names)


def _one(synthetic: Any, names: list[str]) -> Any:
    """One dataset of one or several, with `label` a code of `names`."""
    parts = list(synthetic) if isinstance(synthetic, (list, tuple)) else [synthetic]
    if not parts:
        raise ConfigError("nothing to mix in", found="no synthetic dataset", expected="at least one")
    parts = [_aligned(part, names) for part in parts]
    return parts[0] if len(parts) == 1 else _concatenated(_without_repeats(parts))


def _without_repeats(parts: Sequence[Any]) -> list[Any]:
    """Each row once: if several parts hold a row, by its `image_id`, the first is kept.

    Raises `ConfigError` if rows of two classes share one id.
    """
    labels: dict[str, int | None] = {}
    kept = []
    for part in parts:
        if "image_id" not in part.column_names:
            kept.append(part)
            continue
        table = part.with_format("arrow").select_columns(["image_id", "label"])[:]
        rows = list(zip(table["image_id"].to_pylist(), table["label"].to_pylist(), strict=True))
        for name, label in rows:
            if labels.get(name, label) != label:
                raise ConfigError(
                    "two synthetic rows share an image id and differ",
                    found=f"{name} under two classes",
                    expected="one row for each id",
                    hint="mix sets of one release",
                )
        fresh = [place for place, (name, _) in enumerate(rows) if name not in labels]
        kept.append(part if len(fresh) == len(rows) else part.select(fresh))
        labels.update(rows)
    return kept


def _aligned(part: Any, names: list[str]) -> Any:
    """`part` with labels that are codes of `names`. Raises `ConfigError` for a row of another class."""
    own = _label_names(part)
    if own == names:
        return part
    import datasets
    from datasets.table import InMemoryTable, concat_tables

    rows = part.with_format("arrow").select_columns(["label"])[:]["label"]
    used = {own[code] for code in rows.unique().to_pylist() if code is not None}
    strange = [name for name in own if name in used and name not in names]
    if strange:
        raise ConfigError(
            "synthetic rows of a class that the task does not have",
            found=", ".join(strange),
            expected="rows of " + ", ".join(names),
            hint="filter them out, or choose another task",
        )
    # Only the column is made anew, beside the table that is there; add_column would copy all images of a
    # dataset that was selected from.
    codes = part.data.column("label").to_pylist()
    column = [None if code is None or own[code] not in names else names.index(own[code]) for code in codes]
    label = datasets.Features({"label": datasets.ClassLabel(names=names)})
    rest = part.data.remove_column(part.data.column_names.index("label"))
    fresh = InMemoryTable.from_pydict({"label": column}, schema=label.arrow_schema)
    info = part.info.copy()
    info.features = datasets.Features({**part.features, **label})
    return datasets.Dataset(
        concat_tables([rest, fresh], axis=1),
        info=info,
        split=part.split,
        indices_table=part._indices,
        fingerprint=datasets.fingerprint.Hasher.hash([part._fingerprint, names]),
    )


def _join(real: Any, kept: Index, pool: Any, chosen: Index, seed: int) -> Any:
    """The chosen rows of both, shuffled by the seed; only indices are made."""
    _label_names(real)
    joined = _concatenated([real.select(kept), pool.select(chosen)])
    return joined.select(_random(seed, 3).permutation(len(joined)))


def _concatenated(parts: list[Any]) -> Any:
    """The rows of all, null where a part lacks a column. Raises `ConfigError` where columns do not fit."""
    import datasets

    try:
        return datasets.concatenate_datasets(parts)
    except ValueError as error:
        raise ConfigError(
            "datasets whose columns do not fit",
            found=str(error)[:300],
            expected="the same type in columns of the same name",
            hint="cast one to the type of the other",
        ) from error


def stream(
    real: datasets.IterableDataset,
    synthetic: datasets.IterableDataset,
    synthetic_share: float = 0.5,
    seed: int = 0,
) -> datasets.IterableDataset:
    """Real and synthetic streams interleaved: each row is synthetic with probability `synthetic_share`.

    The rows of a stream cannot be counted before it is read, so the skew cannot be set. The share holds in
    expectation. The result ends with the shorter stream. Both must name the same classes, since labels of a
    stream are not translated. Raises `ImpossibleMix`, `ConfigError`.
    """
    import datasets

    if not (_is_number(synthetic_share) and 0 < synthetic_share < 1):
        raise ImpossibleMix("no such share", found=repr(synthetic_share), expected="between 0 and 1")
    _random(seed, 0)
    if not all(isinstance(part, datasets.IterableDataset) for part in (real, synthetic)):
        raise ConfigError(
            "stream joins streams", found="a Dataset", expected="two IterableDatasets", hint="use mix"
        )
    names = [list(getattr((part.features or {}).get("label"), "names", [])) for part in (real, synthetic)]
    if all(names) and names[0] != names[1]:
        raise ConfigError(
            "streams whose classes differ",
            found=f"{', '.join(names[0])} and {', '.join(names[1])}",
            expected="the same names in the same order",
            hint="use mix, which matches them by name",
        )
    joined: datasets.IterableDataset = datasets.interleave_datasets(
        [real, synthetic], probabilities=[1 - synthetic_share, synthetic_share], seed=seed
    )
    return joined
