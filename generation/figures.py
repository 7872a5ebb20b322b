"""Figures of a training and of a release: the loss curve, and a sheet of generated films."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from covid_synth_data.atomic import replacing
from covid_synth_data.errors import ConfigError
from covid_synth_data.reading import batches

SMOOTHING = 25
"""Steps that a point of the curve is the mean of."""


def curve(metrics: Path, path: Path) -> None:
    """Plot `metrics.jsonl` of a run: each loss over steps, as a running mean. Raises `ConfigError`."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    if not metrics.is_file():
        raise ConfigError(f"no file {metrics}", expected="the metrics.jsonl of a run", hint="check the path")
    records = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    names = [name for name in records[0] if name not in ("step", "epoch")]
    figure, axes = plt.subplots(1, len(names), figsize=(3.2 * len(names), 2.6), constrained_layout=True)
    for axis, name in zip(np.atleast_1d(axes), names, strict=True):
        values = np.array([record[name] for record in records])
        width = min(SMOOTHING, len(values))
        smooth = np.convolve(values, np.ones(width) / width, mode="valid")
        axis.plot(values, color="0.8", linewidth=0.6)
        axis.plot(np.arange(len(smooth)) + width - 1, smooth, color="#2166ac")
        axis.set(title=name, xlabel="step", ylim=(0, np.percentile(values, 99.5) * 1.05))
        axis.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    plt.close(figure)


def sheet(release: Path, dataset: str, config: str, path: Path, rows: int = 4, columns: int = 8) -> None:
    """A grid of `rows` x `columns` generated films, spread evenly over a config of a release folder."""
    from covid_synth_data import load_dataset

    films = load_dataset(dataset, config, root=release)
    count = min(rows * columns, len(films))
    chosen = films.select(np.linspace(0, len(films) - 1, count).astype(int))
    images, _ = next(iter(batches(chosen, batch_size=count)))
    side = images.shape[1]
    grid = np.zeros((-(-count // columns) * (side + 2), columns * (side + 2)), np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (side + 2), i % columns * (side + 2)
        grid[top : top + side, left : left + side] = image
    with replacing(path) as temporary:
        Image.fromarray(grid).save(temporary, format="PNG", optimize=True)
