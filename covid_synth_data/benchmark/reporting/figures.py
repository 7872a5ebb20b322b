"""Figures drawn from result files alone: no film is needed, and none can be seen in them.

Of each test set and model: how sure the classifier was (zunair2021, Figs. 4 to 7), confusion matrices,
reliability diagrams, and the sensitivity against the skew of what was trained on.
"""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from PIL import Image

from covid_synth_data.benchmark.reporting.collect import Group, Progress
from covid_synth_data.errors import MissingExtra
from covid_synth_data.files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS: Final = 4
FEW: Final = 8
"""So many regimes are all labelled."""
_DPI: Final = 110
_LABEL: Final = 0.042
"""Height of a label, as a share of sensitivity."""
_INPUTS: Final = "Inputs"
"""Key of the text in the PNG that says what it was drawn from."""
_REST, _POSITIVE, _OURS = "#0072b2", "#d55e00", "#333333"
"""Colours that readers with any kind of colour vision can tell apart."""


def draw(
    groups: Sequence[Group],
    folder: Path,
    progress: Progress | None = None,
    named: Mapping[tuple[str, ...], Collection[str]] | None = None,
) -> dict[str, Path]:
    """Draw all figures of `groups` into `folder` as PNG; titles to paths.

    `progress` gets (test sets and models drawn, all, what is done). `named` are the regimes to label where
    there are many, by test set and model (the first five parts of a group's key); None labels all. A file
    that was drawn from the same results stays. Raises `OutputError`, `MissingExtra`.
    """
    together: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        together.setdefault(group.key[:5], []).append(group)
    made: dict[str, Path] = {}
    for number, ((suite, version, task, kind, model), rows) in enumerate(together.items()):
        if progress:
            progress(number, len(together), "drawing")
        name = f"{suite} {version}, {task}, {kind} films, {model}"
        stem = "-".join((suite, task, kind, model))
        for what, (text, figure) in _FIGURES.items():
            path, title = folder / f"{stem}-{what}.png", f"{name}: {text}"
            labelled = None if named is None else named.get((suite, version, task, kind, model), ())
            inputs = _digest(title, rows, labelled)
            if _drawn_from(path) != inputs:
                _save(figure(rows, title, labelled), path, inputs)
            made[title] = path
    return made


def _digest(title: str, rows: Sequence[Group], named: Collection[str] | None) -> str:
    """Of all that a figure shows and of what draws it."""
    from importlib.metadata import version

    labelled = "all" if named is None else " ".join(sorted(named))
    parts = [title, labelled, version("matplotlib"), Path(__file__).read_text(encoding="utf-8")]
    return hashlib.sha256("\n".join([*parts, *(group.digest for group in rows)]).encode()).hexdigest()


def _drawn_from(path: Path) -> str | None:
    """The digest in a figure that is there; None for any other file."""
    try:
        with Image.open(path) as figure:
            return figure.info.get(_INPUTS)
    except (OSError, ValueError):
        return None


def confidence(axes: Axes, group: Group) -> None:
    """The probability of the positive class, of positive films and of the rest; the first seed, the share of
    the films of each kind in 20 bins."""
    first = group.first
    place = first.classes.index(first.positive)
    rows = group.seeds[0].predictions
    for is_positive, colour, text in ((False, _REST, "the rest"), (True, _POSITIVE, first.positive)):
        values = [row.probabilities[place] for row in rows if (row.label == place) is is_positive]
        axes.hist(
            values,
            bins=[step / 20 for step in range(21)],
            weights=np.full(len(values), 1 / len(values)),
            alpha=0.65,
            color=colour,
            label=f"{text} ({len(values)})",
            hatch="//" if is_positive else None,
        )
    axes.axvline(0.5, color="black", linewidth=0.7, linestyle=":")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=f"probability of {first.positive}", ylabel="share of films")
    axes.legend(fontsize=6, loc="upper center")


def confusion(axes: Axes, group: Group) -> None:
    """Films by their class and the class called, summed over the seeds and given as the share of each row."""
    classes = group.first.classes
    counts = np.zeros((len(classes), len(classes)))
    for seed in group.seeds:
        for row in seed.predictions:
            counts[row.label, int(np.argmax(row.probabilities))] += 1
    shares = counts / counts.sum(axis=1, keepdims=True)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), share in np.ndenumerate(shares):
        text = f"{share:.2f}\n{counts[i, j] / len(group.seeds):,.1f}"
        axes.text(
            j,
            i,
            text,
            ha="center",
            va="center",
            fontsize=8 if len(classes) == 2 else 6,
            color="white" if share > 0.6 else "black",
        )
    axes.set_xticks(range(len(classes)), classes, fontsize=6, rotation=20 if len(classes) > 2 else 0)
    axes.set_yticks(range(len(classes)), classes, fontsize=6, rotation=90, va="center")
    axes.set(xlabel="called", ylabel="is")


def reliability(axes: Axes, group: Group) -> None:
    """How often the class that is called is right against how sure the classifier is, with 95 % intervals;
    the first seed."""
    calibration = group.seeds[0].metrics.calibration
    bins = [one for one in calibration.reliability if one.accuracy.n]
    x = np.array([one.confidence for one in bins])
    y = np.array([one.accuracy.value for one in bins])
    low = y - np.array([one.accuracy.low for one in bins])
    high = np.array([one.accuracy.high for one in bins]) - y
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.7, linestyle=":")
    axes.errorbar(x, y, yerr=[low, high], fmt="o", markersize=3, linewidth=0.8, color=_REST)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="share that is right")
    axes.text(0.04, 0.93, f"ECE {calibration.error:.3f}", fontsize=7)


def skews(groups: Sequence[Group], title: str, named: Collection[str] | None = None) -> Any:
    """Sensitivity at 0.5 and at a specificity of 0.90 against the skew of the training films: the mean of the
    seeds, with the lowest and highest limit of their intervals.

    Points lie at their true values, so those of equal skew share a line. Where there are more than `FEW`
    regimes, those in `named` (None: all) have a label and limits; the others are small and pale.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    labelled = [
        group for group in groups if named is None or len(groups) <= FEW or group.first.regime in named
    ]
    figure = _figure(11.5, max(3.8, 0.14 * len(labelled) + 1.2))
    axes = figure.subplots(1, 2, sharey=True)
    for at, side in enumerate(axes):
        points = {}
        for group in groups:
            every = [
                seed.metrics.sensitivity if at == 0 else seed.metrics.sensitivity_at[0].sensitivity
                for seed in group.seeds
            ]
            mean = sum(one.value for one in every) / len(every)
            low, high = min(one.low for one in every), max(one.high for one in every)
            real, skew = group.first.regime_rule.baseline, group.first.composition.skew
            colour, sign = (_OURS, "s") if real else (_POSITIVE, "o")
            if group in labelled:
                side.vlines(skew, low, high, color=colour, linewidth=0.8, alpha=0.4)
                side.plot(skew, mean, sign, color=colour, markersize=5)
                points[group.key[5]] = _Point(skew, mean, f"{mean:.2f} [{low:.2f}, {high:.2f}]", colour)
            else:
                side.plot(skew, mean, sign, color=colour, markersize=3, markerfacecolor="white", alpha=0.45)
        side.set(xscale="log", ylim=(-0.02, 1.05), xlabel="negatives / positives (training)")
        side.set_title(("at 0.5", "at specificity 0.90")[at], fontsize=8)
        low, high = side.get_xlim()
        # Room beside the signs, and at least one decade's worth of labelled ticks.
        side.set_xlim(low / 1.3, high * 1.3)
        side.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        side.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        side.xaxis.set_minor_formatter(NullFormatter())
        _label(side, points)
    axes[0].set_ylabel("sensitivity")
    lines = textwrap.wrap(title, 130)
    if len(labelled) < len(groups):
        lines.append(f"small and pale: {len(groups) - len(labelled)} regimes that the summary does not name")
    figure.suptitle("\n".join(lines), fontsize=8, x=0.01, horizontalalignment="left")
    return figure


class _Point(NamedTuple):
    """A point of `skews`: where it lies, its value in words, its colour."""

    x: float
    y: float
    value: str
    colour: str


def _label(axes: Axes, points: Mapping[str, _Point]) -> None:
    """Write the names at the right of the axes, from top to bottom as the points lie, each with a line to its
    point. The labels move apart; the points stay."""
    places = spread([point.y for point in points.values()], _LABEL, *axes.get_ylim())
    for (name, point), place in zip(points.items(), places, strict=True):
        axes.annotate(
            f"{name}  {point.value}",
            xy=(point.x, point.y),
            xytext=(1.03, place),
            textcoords=axes.get_yaxis_transform(),
            verticalalignment="center",
            fontsize=6,
            color=point.colour,
            annotation_clip=False,
            # The line starts where the label does, at the middle of its height.
            arrowprops={
                "arrowstyle": "-",
                "color": point.colour,
                "linewidth": 0.4,
                "alpha": 0.5,
                "relpos": (0, 0.5),
            },
        )


def spread(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places in the order of `values` that are at least `gap` apart, between `low` and `high`, and as near to
    the values as that allows, by squares. The gap shrinks where there are too many for it.
    """
    from scipy.optimize import isotonic_regression

    n = len(values)
    if not n:
        return []
    gap = min(gap, (high - low) / n)
    order = np.argsort(values, kind="stable")
    # Less their gaps, places at least a gap apart are places in order.
    steps = gap * np.arange(n)
    fitted = isotonic_regression(np.asarray(values, float)[order] - steps).x
    places = np.empty(n)
    places[order] = np.clip(fitted, low + gap / 2, high - gap / 2 - steps[-1]) + steps
    return [float(place) for place in places]


def _panels(groups: Sequence[Group], panel: Any, size: tuple[float, float], title: str) -> Any:
    """One panel for each regime, under its name."""
    columns = min(COLUMNS, len(groups))
    rows = -(-len(groups) // columns)
    figure = _figure(max(size[0] * columns, 4.5), size[1] * rows + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(groups) :]:
        axes.set_axis_off()
    for axes, group in zip(grid.flat, groups, strict=False):
        panel(axes, group)
        axes.set_title(group.key[5], fontsize=8)
    # A title wider than a figure of one panel would be cut.
    figure.suptitle("\n".join(textwrap.wrap(title, int(14 * figure.get_figwidth()))), fontsize=9)
    return figure


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "figures") from error
    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def _save(figure: Any, path: Path, inputs: str) -> None:
    from matplotlib import rc_context

    metadata = {"Software": None, _INPUTS: inputs}
    with rc_context({"font.size": 7}), atomic.replacing(path) as temporary, temporary.open("wb") as file:
        # The layout is made once: with it, matplotlib would draw everything a second time to no end.
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine("none")
        figure.savefig(file, format="png", metadata=metadata)


_FIGURES: Final[dict[str, tuple[str, Callable[[Sequence[Group], str, Collection[str] | None], Any]]]] = {
    "confidence": (
        "confidence (first seed)",
        lambda rows, title, named: _panels(rows, confidence, (3.1, 2.4), title),
    ),
    "confusion": (
        "confusion matrices: share of the row, films (mean over the seeds)",
        lambda rows, title, named: _panels(rows, confusion, (3.1, 3.0), title),
    ),
    "reliability": (
        "reliability (first seed)",
        lambda rows, title, named: _panels(rows, reliability, (3.1, 2.9), title),
    ),
    "skew": ("sensitivity against skew, with 95 % limits", skews),
}
"""The figures of one test set and model: file name to what is shown and how it is drawn."""
