"""The leak check of all training sets of one split, in which no film is compared twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from covid_synth_data import tasks
from covid_synth_data.splits import leaks
from covid_synth_data.splits.copies import Progress, quiet

if TYPE_CHECKING:
    import datasets

_IDENTITY: Final = ("image_id", "patient_id", "source_dataset", "source_id")
"""What a row is compared by: rows that agree in these leak alike."""


class Separation:
    """Knows which training films are apart from those of validation and test.

    Regimes and seeds choose their training films from one pool, so most sets hold films of sets that have
    passed. A set leaks if one of its films does; if all have passed in other sets, so has the set.
    """

    def __init__(self, splits: Mapping[str, datasets.Dataset]) -> None:
        """`splits` holds validation, test and train; train is not looked at."""
        self._held_out = {name: rows for name, rows in splits.items() if name != "train"}
        self._apart: set[tuple[Any, ...]] = set()

    def check_pool(self, pool: datasets.Dataset, progress: Progress = quiet) -> None:
        """Compare all films of `pool` with the others, pixels included. Raises `LeakError`, `BadImage`."""
        tasks.check_leaks({"train": pool, **self._held_out}, progress=progress)
        self._apart |= _rows(pool)

    def check(self, train: datasets.Dataset) -> None:
        """Compare patients, rows and source films of `train` unless all of its films passed before.

        Raises `LeakError`.
        """
        rows = _rows(train)
        if not rows <= self._apart:
            tasks.check_leaks({"train": train, **self._held_out}, pixels=False)
            self._apart |= rows


def _rows(part: datasets.Dataset) -> set[tuple[Any, ...]]:
    """The values by which each row is compared; None for a column that is not there."""
    return set(zip(*leaks.values_of(part, *_IDENTITY), strict=True))
