"""Figures of a training and of a release: the loss curve, and a sheet of generated films."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from covid_synth_data.errors import ConfigError
from covid_synth_data.files.atomic import replacing
from covid_synth_data.files.pixels import Grey
from covid_synth_data.release.batches import batches

SMOOTHING = 25
"""Number of steps that a point of the curve averages."""

MEASURED = ("frechet", "diversity", "psnr", "ssim", "rmse")
"""What evaluations may have measured."""

TITLES = {"frechet": "Frechet distance", "diversity": "diversity of samples"}


def curve(run: Path, path: Path) -> None:
    """Plot a run: each loss over steps, as a running mean, and the distances of its evaluations.

    `run` is a folder with `metrics.jsonl` and perhaps `looks.jsonl`. Raises `ConfigError`.
    """
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    metrics = run / "metrics.jsonl"
    if not metrics.is_file():
        raise ConfigError(f"no file {metrics}", expected="the metrics.jsonl of a run", hint="check the path")
    records = _records(metrics)
    path_of_evaluations = run / "looks.jsonl"
    evaluations = _records(path_of_evaluations) if path_of_evaluations.is_file() else []
    measured = [name for name in MEASURED if evaluations and name in evaluations[0]]
    names = [name for name in records[0] if name not in ("step", "epoch")]
    count = len(names) + len(measured)
    figure, axes = plt.subplots(1, count, figsize=(3.2 * count, 2.6), constrained_layout=True)
    for axis, name in zip(np.atleast_1d(axes), [*names, *measured], strict=True):
        if name in measured:
            steps = [evaluation["step"] for evaluation in evaluations]
            axis.plot(steps, [evaluation[name] for evaluation in evaluations], "o-", color="#b2182b", ms=3)
            axis.set(ylim=(0, None))
        else:
            values = np.array([record[name] for record in records])
            width = min(SMOOTHING, len(values))
            smooth = np.convolve(values, np.ones(width) / width, mode="valid")
            axis.plot(values, color="0.8", linewidth=0.6)
            axis.plot(np.arange(len(smooth)) + width - 1, smooth, color="#2166ac")
            low, high = np.percentile(values, (0.5, 99.5))
            axis.set(ylim=(min(0, low * 1.05), high * 1.05 if high > 0 else 0.1))
        axis.set(title=TITLES.get(name, name), xlabel="step")
        axis.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    plt.close(figure)


def _records(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def samples(weights: Path, path: Path, seed: int = 0, rows: int = 4, columns: int = 8) -> None:
    """A grid of images 0 to `rows` x `columns` of a noise-to-image generator. Raises `WeightsError`."""
    from generation.kinds.sampling import SAMPLING

    _grid(SAMPLING.load(weights).sample(rows * columns, seed), path, columns)


def sheet(release: Path, dataset: str, config: str, path: Path, rows: int = 4, columns: int = 8) -> None:
    """A grid of `rows` x `columns` generated films, spread evenly over a config of a release folder."""
    from covid_synth_data import load_dataset

    films = load_dataset(dataset, config, root=release)
    count = min(rows * columns, len(films))
    chosen = films.select(np.linspace(0, len(films) - 1, count).astype(int))
    images, _ = next(iter(batches(chosen, batch_size=count)))
    _grid(images, path, columns)


def _grid(images: Grey, path: Path, columns: int) -> None:
    """uint8 (n, side, side) as a PNG of `columns` columns."""
    import torch
    from torchvision.transforms.v2.functional import to_pil_image
    from torchvision.utils import make_grid

    grid = make_grid(torch.from_numpy(images).unsqueeze(1), nrow=columns, padding=2)
    with replacing(path) as temporary:
        to_pil_image(grid[:1]).save(temporary, format="PNG", optimize=True)
