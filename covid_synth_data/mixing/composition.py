"""Which rows a requested composition has: by skew, by counts or by fractions, drawn by a seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from covid_synth_data.errors import ConfigError, ImpossibleMix, UnknownName
from covid_synth_data.mixing.arguments import check_count, check_fraction, is_number, seeded
from covid_synth_data.mixing.joining import Index, as_one, is_positive, join, label_names

if TYPE_CHECKING:
    import datasets

_SKEW: Final = 1.0


def skew(dataset: datasets.Dataset, positive: str = "covid-19") -> float:
    """Negatives / positives; `inf` without positives. Raises `ImpossibleMix` when there are no rows."""
    positives = int(is_positive(dataset, positive).sum())
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
    pool = as_one(synthetic, label_names(real))
    random = seeded(seed, 0)
    if synthetic_count is not None:
        chosen = _draw(np.arange(len(pool)), synthetic_count, random, "synthetic_count")
    elif synthetic_fraction is not None:
        if not (is_number(synthetic_fraction) and 0 <= synthetic_fraction < 1):
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
    return join(real, np.arange(len(real)), pool, chosen, seed)


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
    check_fraction(fraction, 1.0)
    pool = as_one(synthetic, label_names(real))
    positives = np.flatnonzero(is_positive(real, positive))
    count = round(fraction * len(positives))
    random = seeded(seed, 1)
    gone = random.permutation(positives)[:count]
    kept = np.setdiff1d(np.arange(len(real)), gone)
    chosen = _draw(np.flatnonzero(is_positive(pool, positive)), count, random, f"fraction {fraction:g}")
    return join(real, kept, pool, chosen, seed)


def extend(
    real: datasets.Dataset,
    synthetic: datasets.Dataset | Sequence[datasets.Dataset],
    fraction: float = 0.4,
    seed: int = 0,
) -> datasets.Dataset:
    """Add synthetic rows, `fraction` times as many as there are real rows, to all real rows; shuffled.

    jiang2020, Tables III and IV, adds 0 to 50 %. Fractions above 1 are allowed. Raises `ImpossibleMix`.
    """
    check_fraction(fraction, math.inf)
    pool = as_one(synthetic, label_names(real))
    random = seeded(seed, 2)
    chosen = _draw(np.arange(len(pool)), round(fraction * len(real)), random, f"fraction {fraction:g}")
    return join(real, np.arange(len(real)), pool, chosen, seed)


def _for_skew(real: Any, pool: Any, target: float, random: np.random.Generator, positive: str) -> Index:
    """Rows of the pool that bring the skew nearest to `target`. Raises `ImpossibleMix`."""
    if not (is_number(target) and math.isfinite(target) and target > 0):
        raise ImpossibleMix("no such skew", found=repr(target), expected="a number above 0")
    mine, theirs = is_positive(real, positive), is_positive(pool, positive)
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
    names = label_names(real)
    for name in counts:
        if name not in names:
            raise UnknownName("label", name, names)
    chosen = [np.empty(0, np.int64)]
    # In the order of the classes, so that the order of the mapping does not matter.
    for name in sorted(counts, key=names.index):
        have = int(is_positive(real, name).sum())
        rows = np.flatnonzero(is_positive(pool, name))
        check_count(counts[name], f"a count of {name} rows")
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
    check_count(count, f"{what} of synthetic rows")
    if count > len(rows):
        raise ImpossibleMix(
            f"{what} needs {count:,} synthetic rows",
            found=f"{len(rows):,} of the right class",
            expected=f"at most {len(rows):,}",
            hint="ask for less, or give more synthetic rows",
        )
    return random.permutation(rows)[:count]
