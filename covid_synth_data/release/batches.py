"""Released or real images into batches of pixels, for loops that are not built on a `DataLoader`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from covid_synth_data import schema
from covid_synth_data.errors import ConfigError
from covid_synth_data.files.pixels import Grey, load_grey

if TYPE_CHECKING:
    import datasets


def batches(
    dataset: datasets.Dataset, batch_size: int = 64, size: int | None = None, workers: int = 2
) -> Iterator[tuple[Grey, npt.NDArray[np.int64]]]:
    """Batches (images uint8 (n, height, width), labels int64 (n,)) in the order of the dataset.

    The last batch may be smaller. `size` resizes to (size, size); without it all images must have one size.
    `workers` threads decode ahead of the consumer, straight from the memory-mapped table: no image is held
    beyond the few batches under way. With 0 the consumer's own thread decodes each batch when it is asked
    for. A format of the dataset does not matter. Raises `ConfigError`, also where a row has no label, and
    `BadImage`.
    """
    import datasets

    if batch_size < 1 or workers < 0:
        raise ConfigError(
            "batches of nothing",
            found=f"batch_size {batch_size}, workers {workers}",
            expected="a batch_size of at least 1, and 0 or more workers",
        )
    plain = schema.rows(dataset, "image", "label").select_columns(["image", "label"])
    cells = plain.cast_column("image", datasets.Image(decode=False))
    if not workers:
        for rows in cells.iter(batch_size):
            yield _stacked([load_grey(cell, size) for cell in rows["image"]]), _labels(rows["label"])
        return
    ready: deque[tuple[list[Future[Grey]], npt.NDArray[np.int64]]] = deque()
    with ThreadPoolExecutor(workers) as pool:

        def collect() -> tuple[Grey, npt.NDArray[np.int64]]:
            futures, labels = ready.popleft()
            return _stacked([future.result() for future in futures]), labels

        try:
            for rows in cells.iter(batch_size):
                futures = [pool.submit(load_grey, cell, size) for cell in rows["image"]]
                ready.append((futures, _labels(rows["label"])))
                if len(ready) > 2:
                    yield collect()
            while ready:
                yield collect()
        finally:
            pool.shutdown(cancel_futures=True)


def _stacked(films: list[Grey]) -> Grey:
    """Films as one array (n, height, width). Raises `ConfigError` where they have several sizes."""
    if len({film.shape for film in films}) > 1:
        raise ConfigError(
            "images of several sizes in one batch",
            found=str(sorted({film.shape for film in films})[:3]),
            expected="one size",
            hint="give size=",
        )
    return np.stack(films)


def _labels(values: Sequence[int | None]) -> npt.NDArray[np.int64]:
    missing = sum(value is None for value in values)
    if missing:
        raise ConfigError(
            "rows without a label",
            found=f"{missing} of {len(values)} in one batch",
            expected="a label on each row",
            hint="filter them out first",
        )
    return np.asarray(values, np.int64)
