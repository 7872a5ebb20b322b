"""Figures drawn from result files alone: no film is needed, and none can be seen in them.

Of each test set and model: how sure the classifier was (zunair2021, Figs. 4 to 7), confusion matrices,
reliability diagrams, and the sensitivity against the skew of what was trained on.
"""

from __future__ import annotations

import hashlib
import itertools
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from covid_synth_data.benchmark.reporting.collect import Group, Progress
from covid_synth_data.errors import MissingExtra
from covid_synth_data.files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS: Final = 4
_INPUTS: Final = "Inputs"
"""Key of the text in the PNG that says what it was drawn from."""
_REST, _POSITIVE, _OURS = "#0072b2", "#d55e00", "#333333"
"""Colours that readers with any kind of colour vision can tell apart."""


def draw(groups: Sequence[Group], folder: Path, progress: Progress | None = None) -> dict[str, Path]:
    """Draw all figures of `groups` into `folder` as PNG; titles to paths.

    `progress` gets (test sets and models drawn, all, what is done). A file that was drawn from the same
    results stays. Raises `OutputError`, `MissingExtra`.
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
            inputs = _digest(title, rows)
            if _drawn_from(path) != inputs:
                _save(figure(rows, title), path, inputs)
            made[title] = path
    return made


def _digest(title: str, rows: Sequence[Group]) -> str:
    """Of all that a figure shows and of what draws it."""
    from importlib.metadata import version

    named = [title, version("matplotlib"), Path(__file__).read_text(encoding="utf-8")]
    return hashlib.sha256("\n".join([*named, *(group.digest for group in rows)]).encode()).hexdigest()


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
    found = group.seeds[0].metrics.calibration
    bins = [one for one in found.reliability if one.accuracy.n]
    x = np.array([one.confidence for one in bins])
    y = np.array([one.accuracy.value for one in bins])
    low = y - np.array([one.accuracy.low for one in bins])
    high = np.array([one.accuracy.high for one in bins]) - y
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.7, linestyle=":")
    axes.errorbar(x, y, yerr=[low, high], fmt="o", markersize=3, linewidth=0.8, color=_REST)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="share that is right")
    axes.text(0.04, 0.93, f"ECE {found.error:.3f}", fontsize=7)


def skews(groups: Sequence[Group], title: str) -> Any:
    """Sensitivity at 0.5 and at a specificity of 0.90 against the skew of the training films: the mean of the
    seeds, with the lowest and highest limit of their intervals. Each regime has a sign of its own. Points lie
    at their true values, so those of equal skew share a line."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure = _figure(8.6, 3.6)
    axes = figure.subplots(1, 2, sharey=True)
    signs = {True: itertools.cycle(_SQUARE_SIGNS), False: itertools.cycle(_ROUND_SIGNS)}
    for group in groups:
        real = group.first.regime_rule.baseline
        sign, filled = next(signs[real])
        skew = group.first.composition.skew
        for at, side in enumerate(axes):
            every = [
                seed.metrics.sensitivity if at == 0 else seed.metrics.sensitivity_at[0].sensitivity
                for seed in group.seeds
            ]
            mean = sum(one.value for one in every) / len(every)
            low, high = min(one.low for one in every), max(one.high for one in every)
            colour = _OURS if real else _POSITIVE
            side.errorbar(
                [skew],
                [mean],
                yerr=[[mean - low], [high - mean]],
                fmt=sign,
                markersize=5,
                color=colour,
                markerfacecolor=colour if filled else "white",
                linewidth=0.8,
                alpha=0.8,
                label=group.key[5],
            )
    for side, text in zip(axes, ("at 0.5", "at specificity 0.90"), strict=True):
        side.set(xscale="log", ylim=(-0.02, 1.05), xlabel="negatives / positives (training)", title=text)
        side.title.set_fontsize(8)
        low, high = side.get_xlim()
        # Room beside the signs, and at least one decade's worth of labelled ticks.
        side.set_xlim(low / 1.3, high * 1.3)
        side.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        side.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        side.xaxis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("sensitivity")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=6.5)
    # At the left and wrapped: the legend of many regimes reaches up to where a centred title ends.
    figure.suptitle("\n".join(textwrap.wrap(title, 95)), fontsize=8, x=0.01, horizontalalignment="left")
    return figure


_SQUARE_SIGNS: Final = [(sign, filled) for filled in (True, False) for sign in "sXDP"]
_ROUND_SIGNS: Final = [(sign, filled) for filled in (True, False) for sign in "o^v<>ph*8d"]
"""Of real films alone, and of regimes with synthetic films; more than any suite has."""


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
    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: Path, inputs: str) -> None:
    from matplotlib import rc_context

    metadata = {"Software": None, _INPUTS: inputs}
    with rc_context({"font.size": 7}), atomic.replacing(path) as temporary, temporary.open("wb") as file:
        # The layout is made once: with it, matplotlib would draw everything a second time to no end.
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine("none")
        figure.savefig(file, format="png", dpi=110, metadata=metadata)


_FIGURES: Final[dict[str, tuple[str, Callable[[Sequence[Group], str], Any]]]] = {
    "confidence": (
        "confidence (first seed)",
        lambda rows, title: _panels(rows, confidence, (3.1, 2.4), title),
    ),
    "confusion": (
        "confusion matrices: share of the row, films (mean over the seeds)",
        lambda rows, title: _panels(rows, confusion, (3.1, 3.0), title),
    ),
    "reliability": (
        "reliability (first seed)",
        lambda rows, title: _panels(rows, reliability, (3.1, 2.9), title),
    ),
    "skew": ("sensitivity against skew, with 95 % limits", lambda rows, title: skews(rows, title)),
}
"""The figures of one test set and model: file name to what is shown and how it is drawn."""
