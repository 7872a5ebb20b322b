"""Where a classifier looks: Grad-CAM over films (Selvaraju et al. 2017; zunair2021, Fig. 1), by captum.

A result file holds no weights, but a training is a pure function of its inputs: it is done again, then looked
into. The picture shows films: of real ones it is for its user's eyes alone, as their licences differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from covid_synth_data.benchmark.data import composition
from covid_synth_data.benchmark.explain.retraining import RetrainingRequest
from covid_synth_data.benchmark.request import Progress
from covid_synth_data.errors import ConfigError, MissingExtra
from covid_synth_data.files import atomic

if TYPE_CHECKING:
    import torch

COLUMNS: Final = 6

FILMS: Final = 12
"""The number of films of a picture where none is asked for."""


def saliency(asked: RetrainingRequest, *, of: str = "test", progress: Progress | None = None) -> list[str]:
    """Draw films with the Grad-CAM of the positive class over them into the PNG that the request names.

    The classifier is the first that is `asked` for. Its films, 12 without a limit, are drawn from the test
    part, as many positives as others, or, with `of` the name of a synthetic config of the regime, from that.
    Of a suite with folds the first is taken. Returns the image ids. Raises what `benchmark.run` does, and
    `ConfigError` for an `of` that the regime does not use.
    """
    chosen, run = asked.request.suite, asked.runs[0]
    if of != "test" and of not in chosen.regimes[run.regime].synthetic:
        raise ConfigError(
            f"regime {run.regime} does not use {of!r}",
            expected=", ".join(["test", *chosen.regimes[run.regime].synthetic]),
        )
    # The training is done again.
    retraining = asked.open(progress)
    fold = next(retraining.folds())
    job, network = next(fold.trained())
    # The films that are shown.
    films = fold.others["test"]
    if of != "test":
        films = composition.films(retraining.synthetic.configs[of], fold.split.classes, chosen.positive)
    films = _some(films, asked.films or FILMS, job.run.seed)
    pixels = fold.worker.films(films)
    heat, sure = maps(network, pixels, fold.split.classes.index(chosen.positive))
    title = (
        f"{chosen.name} {chosen.version}, {job.run.model}, {job.run.regime}, seed {job.run.seed}:"
        f" Grad-CAM of {chosen.positive}"
    )
    _draw(asked.path, pixels, heat, sure, films, title)
    return films.ids


def maps(network: Any, pixels: Any, target: int) -> tuple[Any, Any]:
    """Grad-CAM of class `target` at the last feature map, float (n, side, side) in [0, 1] each film by
    itself, and the probabilities (n,) of that class, for films uint8 (n, side, side)."""
    import torch

    try:
        from captum.attr import LayerAttribution, LayerGradCam
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "figures") from error

    network.eval()
    device = next(network.parameters()).device
    films = torch.from_numpy(np.asarray(pixels)).to(device).unsqueeze(1).float() / 255.0
    heat, sure = [], []
    for film in films[:, None]:
        activation: torch.Tensor = LayerGradCam(network, network.body).attribute(
            film, target=target, relu_attributions=True
        )
        large = LayerAttribution.interpolate(activation, tuple(film.shape[-2:]), "bilinear")[0, 0].detach()
        heat.append((large / large.max().clamp_min(1e-12)).cpu().numpy())
        with torch.no_grad():
            sure.append(float(network(film).softmax(dim=1)[0, target]))
    return np.stack(heat), np.array(sure)


def _some(films: composition.Films, count: int, seed: int) -> composition.Films:
    """`count` films, as many positives as others where there are both, drawn by `seed`, positives first."""
    rng = np.random.default_rng([seed, 0x5EE])
    positive = rng.permutation(np.flatnonzero(films.positives))
    rest = rng.permutation(np.flatnonzero(~films.positives))
    half = max(count // 2, count - len(rest))
    rows = [*positive[:half], *rest[: count - len(positive[:half])]]
    return films.select(rows)


def _draw(path: Path, pixels: Any, heat: Any, sure: Any, films: composition.Films, title: str) -> None:
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(pixels))
    rows = -(-len(pixels) // columns)
    figure = Figure(figsize=(1.7 * columns, 3.7 * rows + 0.5), layout="constrained")
    grid = figure.subplots(2 * rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for number in range(len(pixels)):
        top, column = 2 * (number // columns), number % columns
        grid[top, column].imshow(pixels[number], cmap="gray", vmin=0, vmax=255)
        grid[top, column].set_title(films.classes[films.labels[number]], fontsize=7)
        grid[top + 1, column].imshow(pixels[number], cmap="gray", vmin=0, vmax=255)
        grid[top + 1, column].imshow(heat[number], cmap="inferno", alpha=0.5, vmin=0, vmax=1)
        grid[top + 1, column].set_title(f"p = {sure[number]:.2f}", fontsize=7)
    figure.suptitle(title, fontsize=8)
    with atomic.replacing(path) as temporary, temporary.open("wb") as file:
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
