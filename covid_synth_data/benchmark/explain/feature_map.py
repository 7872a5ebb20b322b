"""Real and synthetic films in the plane: UMAP of fixed features (McInnes et al. 2018; zunair2021, Fig. 8).

Films that a generator made well lie among the real ones of their class; a cloud of their own is a style that
a classifier can learn. Distances in such a plane mean little, so the share of nearest neighbours of the own
kind is measured in the features themselves and stands beside it: the share that chance gives is stated with
it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.benchmark.data import composition
from covid_synth_data.benchmark.request import Progress, Run, request_classifiers
from covid_synth_data.benchmark.running.classification import Classification
from covid_synth_data.benchmark.running.kind import load_synthetic, no_progress
from covid_synth_data.benchmark.suite import ClassificationSuite
from covid_synth_data.classifiers.registry import CLASSIFIERS
from covid_synth_data.errors import ConfigError, MissingExtra
from covid_synth_data.files import atomic

NEIGHBOURS: Final = 15
"""For the map and for the share of neighbours alike."""

_COLOURS: Final = ("#999999", "#56b4e9", "#009e73", "#d55e00", "#cc79a7", "#0072b2", "#e69f00", "#f0e442")
_MARKS: Final = "ooo^sDvP"


def feature_map(
    suite: str | Path | ClassificationSuite,
    path: str | Path,
    *,
    configs: Sequence[str],
    model: str = "lite0-frozen",
    task: str | None = None,
    films: int = 400,
    seed: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Draw the real training films of each class and the synthetic films of `configs` into the PNG at `path`.

    At most `films` of each kind, drawn by `seed`; features are those of the frozen `model`. Beside the
    picture the same is written as JSON: coordinates and kinds, and for each kind the share of the 15 nearest
    neighbours that are of that kind. `options` are those of `benchmark.run`. Returns that content.
    """
    request = request_classifiers(suite, out=Path(path).parent, tasks=[task] if task else None, **options)
    chosen = request.suite
    if model not in CLASSIFIERS or not CLASSIFIERS[model].frozen:
        frozen = ", ".join(name for name, entry in CLASSIFIERS.items() if entry.frozen)
        raise ConfigError(f"{model} has no fixed features", expected=f"one of {frozen}")
    regimes = [name for name, regime in chosen.regimes.items() if set(regime.synthetic) & set(configs)]
    if not regimes:
        raise ConfigError(f"no regime of {chosen.name} uses {', '.join(configs)}", hint="see benchmark list")
    name = task or chosen.tasks[0]
    used = {config: next(r for r in regimes if config in chosen.regimes[r].synthetic) for config in configs}
    known = next(iter(chosen.models))
    asked = [Run(name, known, regime, seed) for regime in dict.fromkeys(used.values())]
    synthetic, _ = load_synthetic(request, asked)
    kind_of_suite = Classification(request, synthetic, progress or no_progress)
    split = kind_of_suite.split(name, 0 if chosen.folds > 1 else None)
    worker = kind_of_suite.worker(split)
    kinds: dict[str, composition.Films] = {}
    real = composition.films(split.splits["train"], split.classes, chosen.positive)
    for place, label in enumerate(split.classes):
        kinds[f"real {label}"] = _some(real, real.labels == place, films, seed)
    for config in configs:
        made = composition.films(synthetic.configs[config], split.classes, chosen.positive)
        kinds[config] = _some(made, np.ones(len(made.ids), bool), films, seed)
    features = {kind: worker.features(model, some) for kind, some in kinds.items()}
    content = {
        "suite": chosen.name,
        "version": chosen.version,
        "task": name,
        "model": model,
        "seed": seed,
        "preprocessing": request.films,
        "dataset": synthetic.dataset.model_dump() if synthetic.dataset else None,
        "neighbours": own_kind(features),
        "points": plane(features, seed),
    }
    _draw(Path(path), content)
    atomic.write_text(Path(path).with_suffix(".json"), json.dumps(content) + "\n")
    return content


def own_kind(features: Mapping[str, npt.NDArray[np.float32]]) -> dict[str, dict[str, float]]:
    """For each kind the mean share of a film's nearest neighbours that are of its kind, and what chance
    gives."""
    from sklearn.neighbors import NearestNeighbors

    every = np.concatenate(list(features.values()))
    kinds = np.repeat(np.arange(len(features)), [len(rows) for rows in features.values()])
    count = min(NEIGHBOURS, len(every) - 1)
    near = NearestNeighbors(n_neighbors=count + 1).fit(every).kneighbors(every, return_distance=False)[:, 1:]
    same = (kinds[near] == kinds[:, None]).mean(axis=1)
    return {
        kind: {
            "share": float(same[kinds == place].mean()),
            "chance": float((np.sum(kinds == place) - 1) / (len(every) - 1)),
        }
        for place, kind in enumerate(features)
    }


def plane(features: Mapping[str, npt.NDArray[np.float32]], seed: int) -> dict[str, list[list[float]]]:
    """Two coordinates of each film, by kind; a function of features and seed."""
    try:
        with warnings.catch_warnings():
            # umap warns that a seed keeps it to one thread, which is what is wanted.
            warnings.simplefilter("ignore")
            import umap

            every = np.concatenate(list(features.values()))
            fitted = umap.UMAP(
                n_neighbors=min(NEIGHBOURS, len(every) - 1), random_state=seed, n_jobs=1
            ).fit_transform(every)
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "figures") from error
    ends = np.cumsum([len(rows) for rows in features.values()])[:-1]
    parts = np.split(np.round(fitted.astype(float), 3), ends)
    return {kind: part.tolist() for kind, part in zip(features, parts, strict=True)}


def _some(
    films: composition.Films, wanted: npt.NDArray[np.bool_], count: int, seed: int
) -> composition.Films:
    rows = np.flatnonzero(wanted)
    if len(rows) > count:
        rows = np.sort(np.random.default_rng([seed, 0x3A9]).choice(rows, count, replace=False))
    return films.select(rows)


def _draw(path: Path, content: Mapping[str, Any]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    for number, (kind, points) in enumerate(content["points"].items()):
        share = "{share:.2f} own neighbours, chance {chance:.2f}".format(**content["neighbours"][kind])
        x, y = np.array(points).T
        axes.scatter(
            x,
            y,
            s=9,
            alpha=0.75,
            linewidths=0,
            color=_COLOURS[number % len(_COLOURS)],
            marker=_MARKS[number % len(_MARKS)],
            label=f"{kind} ({len(points)}): {share}",
        )
    axes.set(xticks=[], yticks=[])
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=1, frameon=False)
    title = "{suite} {version}, {task}, {preprocessing} films: UMAP of the features of {model}".format(
        **content
    )
    axes.set_title(title, fontsize=8)
    with atomic.replacing(path) as temporary, temporary.open("wb") as file:
        figure.savefig(file, format="png", dpi=120, metadata={"Software": None})
