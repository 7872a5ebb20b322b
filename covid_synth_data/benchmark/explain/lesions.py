"""Does a classifier look at the lesions? Class activation maps against infection that readers drew.

A network that ends in global average pooling and a dense layer adds up its logits over the places of its last
feature map, so what each place adds is known exactly (class activation maps, Zhou et al. 2016); nothing is
approximated by gradients. Maps are of the positive class less the mean of the others.

Films are the COVID-19 films of COVID-QU-Ex that have masks of infection and lungs, without those that look
like a film that a classifier was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from covid_synth_data import machine
from covid_synth_data.benchmark.explain.retraining import RetrainingRequest
from covid_synth_data.benchmark.request import Progress
from covid_synth_data.benchmark.results import lesions as results
from covid_synth_data.benchmark.results import write_result
from covid_synth_data.benchmark.running.kind import no_progress
from covid_synth_data.classifiers.registry import entry
from covid_synth_data.errors import ConfigError, EmptySplit
from covid_synth_data.files.pixels import Grey, bytes_of, load_grey, resize
from covid_synth_data.metrics import crossed, detection, resampling
from covid_synth_data.metrics.detection import Bools, Floats
from covid_synth_data.metrics.resampling import Statistic
from covid_synth_data.preprocessing import films as preprocessing
from covid_synth_data.sources import read_source
from covid_synth_data.splits import duplicates

SOURCE: Final = "covid-qu-ex"

SIDE: Final = 56
"""The grid on which maps and masks are compared: maps of 7 x 7 hold nothing finer."""

BATCH: Final = 16

LEAST: Final = 5
"""A film counts if so many places of the grid are infected and so many are not, all within the lungs."""


@dataclass(frozen=True)
class LesionFilms:
    """`films` uint8 (n, side, side) as a classifier reads them; `lungs` and `infected` bool (n, SIDE, SIDE),
    the latter within the former; films of one of `groups` (n,) look like one patient's."""

    films: Grey
    lungs: Bools
    infected: Bools
    groups: list[str]
    left_out: dict[str, int]


def look(asked: RetrainingRequest, progress: Progress | None = None) -> results.LesionResult:
    """Train the classifiers that are `asked` for, compare their maps with drawn infection, and write the file
    of the request.

    Of a suite with folds the first is taken. With a limit, at most so many films are looked at, drawn at
    random. The `root` of the request must hold covid-qu-ex. Raises what `benchmark.run` does, `ConfigError`
    for preprocessing other than plain, and `EmptySplit` where no film is left.
    """
    request = asked.request
    if request.films != preprocessing.PLAIN:
        raise ConfigError("masks lie on films as they are", found=request.films, expected=preprocessing.PLAIN)
    retraining = asked.open(progress)
    fold = next(retraining.folds())
    # Masked films. One with infection looks like no normal film; a synthetic film has no patient.
    trained_on = {
        name
        for job in fold.jobs
        for name, patient, positive in zip(
            job.train.ids, job.train.patients, job.train.positives, strict=True
        )
        if patient and positive
    }
    pool = fold.worker.pool
    cells = [pool.cell(pool.key(name)) for name in sorted(trained_on)]
    shown = read(request.root, cells, request.suite.image_size, asked.films)
    # Their maps, by networks before and after training.
    classes = fold.split.classes
    networks: dict[str, list[Any]] = {
        "untrained": [fold.worker.build_network(fold.model, seed, len(classes)) for seed in retraining.seeds],
        **{name: [] for name in retraining.regimes},
    }
    for job, network in fold.trained():
        networks[job.run.regime].append(network)
    place, shared = classes.index(request.suite.positive), entry(fold.model).frozen
    measured = _yardsticks(shown, len(retraining.seeds))
    measured |= _measure(networks, shown, place, shared, progress or no_progress)
    result = results.LesionResult(
        fold=fold.number,
        side=SIDE,
        films=results.LesionFilms(
            source=SOURCE, films=len(shown.films), groups=len(set(shown.groups)), left_out=shown.left_out
        ),
        rows=list(_rows(measured, shown.groups, retraining.baselines)),
        **retraining.described(fold.notes),
    )
    write_result(asked.path, result)
    return result


def read(
    root: Path | None, trained_on: Sequence[Mapping[str, Any]], side: int, most: int | None = None
) -> LesionFilms:
    """The masked films that no film of the undecoded cells `trained_on` looks like, each once.

    Raises `MissingSource`, `BadImage`, `EmptySplit` where no film is left.
    """
    frame = read_source(SOURCE, root)
    frame = frame[(frame["mask_path"] != "") & (frame["lung_path"] != "")].reset_index(drop=True)
    contents = [*([None] * len(frame)), *(bytes_of(cell) for cell in trained_on)]
    prints = duplicates.fingerprints([*frame["path"], *([""] * len(trained_on))], contents)
    alike = duplicates.compare(prints)
    count = len(prints.digests)
    same = duplicates.components(count, alike.at_least(duplicates.SAME_FILM))
    groups = duplicates.components(count, alike.at_least(duplicates.SAME_PATIENT))
    seen = set(groups[len(frame) :].tolist())
    left_out = {"looks like a film that is trained on": 0, "same film as another": 0, "few places": 0}
    kept: list[int] = []
    met: set[int] = set()
    for row in range(len(frame)):
        if groups[row] in seen:
            left_out["looks like a film that is trained on"] += 1
        elif same[row] in met:
            left_out["same film as another"] += 1
        else:
            met.add(same[row])
            kept.append(row)
    if most is not None:
        kept = sorted(np.random.default_rng([0, 0x1E5]).permutation(kept)[:most].tolist())
    films, lungs, infected, owners = [], [], [], []
    places = [[str(path) for path in frame[name]] for name in ("path", "lung_path", "mask_path")]
    for row in kept:
        path, lung_path, mask_path = (column[row] for column in places)
        lung = _mask(lung_path)
        ill = _mask(mask_path) & lung
        if min(ill.sum(), (lung & ~ill).sum()) < LEAST:
            left_out["few places"] += 1
            continue
        films.append(preprocessing.prepare(load_grey(path), side).pixels)
        lungs.append(lung)
        infected.append(ill)
        owners.append(str(groups[row]))
    if not films:
        raise EmptySplit(
            f"no film of {SOURCE} with masks is left",
            found=", ".join(f"{number} {reason}" for reason, number in left_out.items()),
            expected="at least one",
        )
    return LesionFilms(np.stack(films), np.stack(lungs), np.stack(infected), owners, left_out)


def _mask(path: str) -> Bools:
    return np.asarray(resize(load_grey(path), SIDE) >= 128, np.bool_)


class Scores(NamedTuple):
    """The four measures of one map on one film, in the order of `results.MEASURES`."""

    in_lungs: float
    share: float
    pointing: float
    pixel_auc: float


def score(heat: Floats, lungs: Bools, infected: Bools) -> Scores:
    """Compare a map (SIDE, SIDE) with the masks of a film.

    Where nothing is positive in the film, or in the lungs, a share is that of a map that is the same
    everywhere. Of several highest points the mean counts.
    """
    positive = np.maximum(heat, 0)
    if not positive.any():
        positive = np.ones_like(heat)
    inside = np.where(lungs, positive, 0)
    within = inside if inside.any() else lungs.astype(np.float64)
    peak = lungs & (heat == heat[lungs].max())
    # `detection.auc` takes scores in [0, 1]; only their order counts.
    order = heat[lungs] - heat[lungs].min()
    order = order / max(float(order.max()), 1e-12)
    return Scores(
        float(inside.sum() / positive.sum()),
        float(within[infected].sum() / within.sum()),
        float(infected[peak].mean()),
        detection.auc(infected[lungs].astype(int), order),
    )


def maps(network: Any, films: Grey, weights: npt.NDArray[np.float32]) -> Floats:
    """Class activation maps (k, n, SIDE, SIDE) of films uint8 (n, side, side), one for each row of `weights`
    (k, width), bilinear between the places of the last feature map."""
    import torch
    from torch.nn.functional import interpolate

    device = next(network.parameters()).device
    with torch.inference_mode():
        pixels = torch.from_numpy(np.ascontiguousarray(films)).to(device).unsqueeze(1).float() / 255
        features = network.body((pixels - network.mean) / network.std)
        added = torch.einsum("kc,nchw->knhw", torch.from_numpy(weights).to(device), features)
        large = interpolate(added, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    return np.asarray(large.cpu().numpy(), np.float64)


def direction(network: Any, place: int) -> npt.NDArray[np.float32]:
    """The weights (width,) of the positive class less the mean of the others."""
    weights = network.head.weight.detach().cpu().numpy()
    others = np.delete(weights, place, axis=0).mean(axis=0)
    return np.asarray(weights[place] - others, np.float32)


def _measure(
    trained: Mapping[str, Sequence[Any]], shown: LesionFilms, place: int, shared: bool, progress: Progress
) -> dict[str, Floats]:
    """For each regime its scores (seeds, films, 4); with `shared` all networks have one body."""
    every = [(name, seed, network) for name, many in trained.items() for seed, network in enumerate(many)]
    scores = {name: np.zeros((len(many), len(shown.films), 4)) for name, many in trained.items()}
    passes = [every] if shared else [[one] for one in every]
    steps, done = len(passes) * len(shown.films), 0
    for together in passes:
        weights = np.stack([direction(network, place) for _, _, network in together])
        network = together[0][2].eval()
        with machine.one_thread():
            for start in range(0, len(shown.films), BATCH):
                stop = min(start + BATCH, len(shown.films))
                heats = maps(network, shown.films[start:stop], weights)
                for (name, seed, _), heat in zip(together, heats, strict=True):
                    for film in range(start, stop):
                        scores[name][seed, film] = score(
                            heat[film - start], shown.lungs[film], shown.infected[film]
                        )
                done += stop - start
                progress(done, steps, "look at lesions")
    return scores


def _yardsticks(shown: LesionFilms, seeds: int) -> dict[str, Floats]:
    """The scores of maps that no classifier made, the same under every seed."""
    coarse = max(shown.films.shape[1] // 32, 1)
    scores: dict[str, list[Scores]] = {"chance": [], "brightness": []}
    for film, lungs, infected in zip(shown.films, shown.lungs, shown.infected, strict=True):
        scores["chance"].append(score(np.ones((SIDE, SIDE)), lungs, infected))
        small = Image.fromarray(film.astype(np.float32)).resize((coarse, coarse), Image.Resampling.BOX)
        grey = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float64)
        scores["brightness"].append(score(grey - grey[lungs].mean(), lungs, infected))
    return {name: np.tile(np.array(values), (seeds, 1, 1)) for name, values in scores.items()}


def _rows(
    measured: Mapping[str, Floats], groups: Sequence[str], baselines: Sequence[str]
) -> Iterator[results.Row]:
    """A row for each measure and regime."""
    against = [*results.YARDSTICKS, *baselines]
    for number, measure in enumerate(results.MEASURES):
        means: dict[str, Statistic] = {
            name: resampling.averages(scores[:, :, number], groups) for name, scores in measured.items()
        }
        for name, mean in means.items():
            yield results.Row(
                measure=measure,  # type: ignore[arg-type]
                regime=name,
                seeds=[min(max(float(value), 0.0), 1.0) for value in mean.values],
                value=crossed.interval(mean),
                over={
                    other: crossed.contrast(means[other], mean)
                    for other in against
                    if other != name and name not in results.YARDSTICKS
                },
            )
