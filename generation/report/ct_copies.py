"""Are squares of drawn lungs copies of lungs that the generator learned from?

A drawn slice has the outline of its label map, so no whole slice can be a copy; a vessel tree or a lesion can
be. Each square of a drawn lung is compared with all squares of all training slices, at every place, by
correlation of grey. Yardsticks stand beside it: real lungs of patients that the generator did not learn from,
and copies, namely training slices with other grain, and training slices that were cut, turned and deformed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.ndimage import gaussian_filter

from covid_synth_data import load_dataset
from covid_synth_data.ct import augment
from covid_synth_data.ct.labels import lung_field
from covid_synth_data.ct.slices import Row, read_slice
from covid_synth_data.errors import ConfigError, EmptySplit, MissingSource
from covid_synth_data.files.atomic import write_text
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.release import manifest
from generation.data.slices import split_of
from generation.report.ct_figures import DATASET, SUBSET

Image = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float32]
Slice = tuple[Image, npt.NDArray[np.uint8]]
Progress = Callable[[int, int], None]

SIDE: Final = 48
"""Of a square in pixels; a lung of a released slice is about 80 pixels wide."""
LUNG: Final = 0.95
"""The least share of lung in a square."""
SMOOTH: Final = 1.0
"""Spread in pixels of the smoothing before the comparison. Grain is no copy, and it hides one."""
FLAT: Final = 4.0
"""Grey levels; a square with a smaller spread shows nothing that could be copied."""
GRAIN: Final = 8 / 255
"""The spread of the noise that grainy copies have."""
PER_SLICE: Final = {"drawn": 1, "held out": 8, "grainy": 4, "deformed": 4}
"""Squares of each slice."""
LIMIT: Final = 0.99
"""The quantile of the held-out squares above which a square counts as very alike."""

GROUPS: Final = {
    "drawn": "drawn slices",
    "held out": "real slices of other patients",
    "grainy": "training slices with other grain",
    "deformed": "training slices, cut, turned and deformed",
}


class Group(FrozenModel):
    """The highest correlation of each square with any square of the training slices, over the squares."""

    slices: Annotated[int, Field(gt=0)]
    squares: Annotated[int, Field(gt=0)]
    median: float
    p90: float
    p99: float
    highest: float
    above: float
    """The share above the limit."""


class CopiesResult(FrozenModel):
    """The file of one release. `limit` is the 99 % quantile of the held-out squares."""

    format: Literal[1] = 1
    kind: Literal["ct-copies"] = "ct-copies"
    release: str
    version: str
    manifest_sha256: str
    generator: str
    training_slices: Annotated[int, Field(gt=0)]
    patients: list[str]
    held_out_patients: list[str]
    outside_lung: Annotated[float, Field(ge=0, le=1)]
    """The share of the pixels of the training slices that show no lung."""
    side: int
    smooth: float = SMOOTH
    limit: float
    groups: dict[str, Group]


def measure(
    release: Path,
    root: Path | None,
    *,
    seed: int = 0,
    limit: int | None = None,
    square: int = SIDE,
    progress: Progress,
) -> CopiesResult:
    """Compare the slices of a release folder with those that its generator learned from, below `root`.

    `limit` is the most drawn slices; `seed` draws the squares, of `square` pixels a side. `progress` gets
    (training slices compared, all). Raises `ConfigError` for a release without CT slices, `MissingSource`
    where a training slice is not at hand, `EmptySplit` where a group has no square, and what `load_dataset`
    and `plan_slices` raise.
    """
    listed = manifest.read(release)
    if SUBSET not in listed.subsets:
        raise ConfigError(
            f"{release} holds no CT slices",
            found=", ".join(listed.subsets),
            expected=f"the subset {SUBSET}",
            hint="name a release of covid-synth-ct",
        )
    subset = listed.subsets[SUBSET]
    data = _data(subset.recipe)
    plan = split_of(data, root)
    real = {str(row["image_id"]): row for part in plan.parts().values() for row in part}
    if missing := [name for name in subset.learned_from.films if name not in real]:
        raise MissingSource(
            f"{len(missing)} slices that {subset.generator} learned from are not at hand",
            found=f"{len(real)} slices",
            expected=missing[0],
            hint="give --root the CT set that the card of the release names",
        )
    training = [real[name] for name in subset.learned_from.films]
    patients = {str(row["patient_id"]) for row in training}
    others = [row for row in real.values() if str(row["patient_id"]) not in patients]
    rows = load_dataset(DATASET, SUBSET, root=release)
    drawn = (read_slice(rows[place]) for place in range(min(len(rows), limit or len(rows))))
    side = int(data.size)
    pictures = {
        "drawn": drawn,
        "held out": (read_slice(row, side) for row in others),
        "grainy": (_grainy(row, side, [seed, place]) for place, row in enumerate(training)),
        "deformed": (_deformed(row, side, seed, place) for place, row in enumerate(training)),
    }
    outside: list[float] = []

    def reference() -> Iterator[Slice]:
        for row in training:
            image, mask = read_slice(row, side)
            outside.append(1 - float(lung_field(mask).mean()))
            yield image, mask

    bar, groups = compare(
        pictures, reference(), square=square, seed=seed, progress=lambda done: progress(done, len(training))
    )
    return CopiesResult(
        release=listed.name,
        version=listed.version,
        manifest_sha256=manifest.identity(release),
        generator=subset.generator,
        training_slices=len(training),
        patients=sorted(patients),
        held_out_patients=sorted({str(row["patient_id"]) for row in others}),
        outside_lung=round(float(np.mean(outside)), 4),
        side=square,
        limit=bar,
        groups=groups,
    )


def compare(
    pictures: Mapping[str, Iterable[Slice]],
    training: Iterable[Slice],
    *,
    square: int,
    seed: int,
    progress: Callable[[int], None],
) -> tuple[float, dict[str, Group]]:
    """The limit, and each group of slices against the training slices; keys as in `GROUPS`.

    Slices are images in [0, 1] with label maps, (side, side) each. `progress` gets the number of training
    slices compared. Raises `EmptySplit` where a group has no square of lung.
    """
    squares = {name: _sample(name, each, square, seed) for name, each in pictures.items()}
    found = _highest(np.concatenate([each for each, _ in squares.values()]), training, square, progress)
    ends = np.cumsum([len(each) for each, _ in squares.values()])[:-1]
    scores = dict(zip(squares, np.split(found, ends), strict=True))
    bar = round(float(np.quantile(scores["held out"], LIMIT)), 4)
    return bar, {name: _group(scores[name], squares[name][1], bar) for name in squares}


def write(result: CopiesResult, path: Path) -> None:
    """Write the result as JSON. Raises `OutputError`."""
    write_text(path, json.dumps(result.model_dump(), indent=1) + "\n")


def table(result: CopiesResult) -> str:
    """Markdown, a row for each group."""
    lines = [
        f"| squares of | slices | squares | median | 90 % | 99 % | highest | above {result.limit:.3f} |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, group in result.groups.items():
        values = [f"{value:.3f}" for value in (group.median, group.p90, group.p99, group.highest)]
        cells = [GROUPS[name], f"{group.slices:,}", f"{group.squares:,}", *values, f"{group.above:.1%}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _data(recipe: dict[str, Any]) -> Any:
    """The data table of the recipe in a manifest, as its family reads it."""
    from generation.recipe import family

    return family(str(recipe["family"])).Recipe.model_validate(recipe).data


def _sample(name: str, pictures: Iterable[Slice], square: int, seed: int) -> tuple[Vectors, int]:
    """Squares drawn from each picture with its label map, as vectors, and how many pictures have one."""
    found: list[Vectors] = []
    for place, (image, mask) in enumerate(pictures):
        random = np.random.default_rng([seed, place, list(GROUPS).index(name)])
        each = squares_of(image, mask, square)
        chosen = random.permutation(len(each))[: PER_SLICE[name]]
        if len(chosen):
            found.append(each[np.sort(chosen)])
    if not found:
        raise EmptySplit(
            f"no square of lung in the {GROUPS[name]}",
            expected=f"squares of {square} x {square} pixels that are {LUNG:.0%} lung",
            hint="compare slices of a larger side",
        )
    return np.concatenate(found), len(found)


def _grainy(row: Row, side: int, seed: list[int]) -> Slice:
    image, mask = read_slice(row, side)
    return image + np.random.default_rng(seed).normal(0, GRAIN, image.shape).astype(np.float32), mask


def _deformed(row: Row, side: int, seed: int, place: int) -> Slice:
    return augment.apply(augment.variant(seed, place, noise=False), *read_slice(row, side))


def squares_of(image: Image, mask: npt.NDArray[np.uint8], square: int = SIDE) -> Vectors:
    """All squares of lung of a slice in [0, 1]: (n, square * square), each of mean zero and length one."""
    lung = lung_field(mask).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view
    enough = windows(lung, (square, square)).mean((2, 3)) >= LUNG
    # What is outside the lung would bleed in: each pixel is the mean of the lung around it.
    weight = gaussian_filter(lung, SMOOTH)
    smooth = gaussian_filter(image * lung, SMOOTH) / np.maximum(weight, 1e-3) * lung
    squares = windows(smooth, (square, square))[enough].reshape(-1, square * square)
    squares = squares - squares.mean(1, keepdims=True)
    length = np.linalg.norm(squares, axis=1, keepdims=True)
    shows = length[:, 0] >= FLAT / 255 * square
    return np.asarray(squares[shows] / length[shows], np.float32)


def _highest(
    squares: Vectors, training: Iterable[Slice], square: int, progress: Callable[[int], None]
) -> npt.NDArray[np.float32]:
    """The highest correlation of each square with any of the training slices, (n,)."""
    best = np.full(len(squares), -1, np.float32)
    for done, (image, mask) in enumerate(training, 1):
        others = squares_of(image, mask, square)
        if len(others):
            np.maximum(best, (others @ squares.T).max(0), out=best)
        progress(done)
    return best


def _group(scores: npt.NDArray[np.float32], slices: int, bar: float) -> Group:
    median, p90, p99 = (round(float(np.quantile(scores, share)), 4) for share in (0.5, 0.9, 0.99))
    return Group(
        slices=slices,
        squares=len(scores),
        median=median,
        p90=p90,
        p99=p99,
        highest=round(float(scores.max()), 4),
        above=round(float((scores > bar).mean()), 4),
    )
