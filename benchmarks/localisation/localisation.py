"""Does a network that saw painted lesions alone find real infection? U-Nets on the masks of COVID-QU-Ex.

    python benchmarks/localisation/localisation.py --root DIR --out benchmarks/localisation/results/pairs.json

Two networks of one kind are trained: `pairs` on normal films of the set, most of them with fresh lesions, and
`real` on COVID-19 films with their infection masks. Both are tested on other COVID-19 films. Films that look
like one patient's stay on one side. Each film has the AUC of its pixels within the lungs, and the Dice of the
pixels above a threshold. Infection lies in some places of the lungs more often than in others, so a score
that does not look at the film has a high AUC as well. The AUC within places compares pixels of the same place
alone, over all films: 0.5 for such a score.

The yardsticks: `brightness` takes the grey level for the score, `place` the table of places that lesions are
painted by, and `lungs` calls all of the lungs infected. The threshold of each score is the best one on the
films with masks that train `real`. Nothing is chosen by the tested films, and no film that the priors of
painting were fitted to is tested.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from monai.networks.nets.unet import UNet
from torch import nn
from torch.nn import functional as F

from covid_synth_data import lesions, machine
from covid_synth_data.classifiers.networks import seeded
from covid_synth_data.errors import EmptySplit
from covid_synth_data.files.atomic import write_text
from covid_synth_data.files.pixels import Grey, load_grey, resize
from covid_synth_data.lesions import coordinates, priors
from covid_synth_data.metrics import detection
from covid_synth_data.sources import read_source
from covid_synth_data.splits import duplicates

CHANNELS: Final = (16, 32, 64, 128)
RATE: Final = 2e-3
BATCH: Final = 16
PAINTED: Final = 12
"""Films of a batch that are painted; the others stay normal."""
SHIFT: Final = 1 / 16
"""Films are moved by up to this share of their side, and mirrored half of the time."""
DRAWS: Final = 1000
"""Bootstrap replicates, over groups of films."""
THRESHOLDS: Final = np.linspace(0, 0.95, 20)
"""Thresholds of a score that are tried; at 0 all of the lungs is infected."""
LEVELS: Final = 200
"""Levels of a score that the AUC within places tells apart."""

Floats = npt.NDArray[np.float32]
Batch = tuple[Grey, npt.NDArray[np.bool_], Floats]
"""Films, lungs and lesions in [0, 1], (n, h, w) each."""


@dataclass(frozen=True)
class Films:
    """`films` uint8, `lungs` bool and `infected` bool, (n, h, w) each; films of one group (n,) look like one
    patient's. The priors of painting were fitted to those that are `fitted` (n,)."""

    films: Grey
    lungs: npt.NDArray[np.bool_]
    infected: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.int64]
    fitted: npt.NDArray[np.bool_]

    def select(self, rows: npt.NDArray[np.int64]) -> Films:
        """Those in `rows`, in that order."""
        return replace(
            self,
            films=self.films[rows],
            lungs=self.lungs[rows],
            infected=self.infected[rows],
            groups=self.groups[rows],
            fitted=self.fitted[rows],
        )


def read(root: Path, label: str, size: int) -> Films:
    """The films of a class of COVID-QU-Ex that have masks of the lungs, as squares of `size`, each film once.

    Raises `MissingSource`, `BadImage`, `EmptySplit` where no film has a mask of the lungs.
    """
    frame = read_source("covid-qu-ex", root)
    frame = frame[(frame["label"] == label) & (frame["lung_path"] != "")]
    if not len(frame):
        raise EmptySplit(
            f"covid-qu-ex has no {label} film with a mask of the lungs", found="0", expected="at least one"
        )
    prints = duplicates.fingerprints(list(frame["path"]), [None] * len(frame))
    alike = duplicates.compare(prints)
    same = duplicates.components(len(frame), alike.at_least(duplicates.SAME_FILM))
    first = np.unique(same, return_index=True)[1]
    groups = duplicates.components(len(frame), alike.at_least(duplicates.SAME_PATIENT))[first]
    rows = frame.iloc[first]

    def masks(column: str) -> npt.NDArray[np.bool_]:
        blank = np.zeros((size, size), np.uint8)
        return np.stack([resize(load_grey(path), size) if path else blank for path in rows[column]]) >= 128

    films = np.stack([resize(load_grey(path), size) for path in rows["path"]])
    lungs = masks("lung_path")
    fitted = np.array([priors.fitted_on(name) for name in rows["image_id"]], bool)
    return Films(films, lungs, masks("mask_path") & lungs, groups, fitted)


def painted(hosts: Films, seed: int) -> Callable[[int], Batch]:
    """The batch of a step: hosts, most of them with lesions that no other step has."""

    def draw(step: int) -> Batch:
        rows = np.random.default_rng([seed, step]).integers(0, len(hosts.films), BATCH)
        films, lungs = hosts.films[rows].copy(), hosts.lungs[rows]
        target = np.zeros(films.shape, np.float32)
        part = slice(PAINTED)
        done = lesions.paint(films[part], seed, lungs=lungs[part], indices=range(PAINTED), epoch=step)
        films[part], target[part] = done.films, done.maps.astype(np.float32) / 255
        return films, lungs, target

    return draw


def masked(films: Films, seed: int) -> Callable[[int], Batch]:
    """The batch of a step: films with their infection masks."""

    def draw(step: int) -> Batch:
        rows = np.random.default_rng([seed, step]).integers(0, len(films.films), BATCH)
        return films.films[rows], films.lungs[rows], films.infected[rows].astype(np.float32)

    return draw


def moved(batch: Batch, random: np.random.Generator) -> Batch:
    """The batch mirrored or not, and shifted; what leaves on one side comes in on the other."""
    side = batch[0].shape[1]
    mirror, most = random.random() < 0.5, round(side * SHIFT)
    by = tuple(int(step) for step in random.integers(-most, most + 1, 2))
    films, lungs, target = (
        np.ascontiguousarray(np.roll(part[:, :, ::-1] if mirror else part, by, (1, 2))) for part in batch
    )
    return films, lungs, target


def train(draw: Callable[[int], Batch], steps: int, seed: int) -> nn.Module:
    """A U-Net that minimises the cross-entropy of the pixels within the lungs."""
    with seeded(seed):
        strides, units = (2,) * (len(CHANNELS) - 1), 1
        network = UNet(2, 1, 1, CHANNELS, strides, num_res_units=units, norm="instance")
        optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        network.train()
        for step in range(steps):
            films, lungs, target = moved(draw(step), np.random.default_rng([seed, step, 1]))
            weight = torch.from_numpy(lungs).float()
            each = F.binary_cross_entropy_with_logits(
                network(_tensor(films))[:, 0], torch.from_numpy(target), weight, reduction="sum"
            )
            optimizer.zero_grad(set_to_none=True)
            (each / weight.sum().clamp(min=1)).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def infection(network: nn.Module, films: Films) -> Floats:
    """The probability of infection of each pixel, (n, h, w)."""
    parts = [slice(start, start + BATCH) for start in range(0, len(films.films), BATCH)]
    with torch.inference_mode():
        logits = [network(_tensor(films.films[part])) for part in parts]
        return torch.cat(logits)[:, 0].sigmoid().numpy()


def pixel_aucs(films: Films, scores: npt.NDArray[Any]) -> list[float | None]:
    """The AUC of each film's pixels within the lungs; None where these are infected wholly or not at all."""
    found: list[float | None] = []
    for infected, lungs, score in zip(films.infected, films.lungs, scores, strict=True):
        truth = infected[lungs].astype(int)
        # `detection.auc` takes scores in [0, 1]; only their order counts.
        mixed = 0 < truth.sum() < len(truth)
        found.append(detection.auc(truth, score[lungs].astype(np.float64)) if mixed else None)
    return found


def places(films: Films) -> npt.NDArray[np.int64]:
    """The place of each pixel, (n, h, w): a number for the lung and the cell of the table of places; -1
    outside of the lungs, and everywhere in a film without two of them."""
    rows, columns = np.array(priors.load().anatomy.table).shape
    found = np.full(films.lungs.shape, -1, np.int64)
    for place, lungs in zip(found, films.lungs, strict=True):
        where = coordinates.locate(lungs)
        if where is None:
            continue
        row = np.clip(where.down * rows, 0, rows - 1).astype(np.int64)
        column = np.clip(where.out * columns, 0, columns - 1).astype(np.int64)
        cell = ((where.half - 1) * rows + row) * columns + column
        y, x = (np.arange(side) * coordinates.GRID // side for side in lungs.shape)
        place[lungs] = cell[y[:, None], x[None, :]][lungs]
    return found


def place_scores(where: npt.NDArray[np.int64]) -> Floats:
    """How often a lesion of the priors lies at each place, (n, h, w)."""
    table = np.array(priors.load().anatomy.table, np.float32)
    return np.asarray(np.where(where < 0, 0, table.ravel()[where % table.size]), np.float32)


def aucs_within_places(
    films: Films, scores: npt.NDArray[Any], where: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """The AUC of pixels among those of the same place, over all films: the value, then that of each replicate
    of a bootstrap over groups, (1 + DRAWS,). A place counts by its pairs of pixels."""
    edges = np.quantile(scores[where >= 0], np.linspace(0, 1, LEVELS + 1)[1:-1])
    size = int(where.max()) + 1
    codes = (where * 2 + films.infected) * LEVELS + np.searchsorted(edges, scores, "right")
    groups, member = np.unique(films.groups, return_inverse=True)
    counts = np.zeros((len(groups), size * 2 * LEVELS), np.float32)
    for group, code, place in zip(member, codes, where, strict=True):
        counts[group] += np.bincount(code[place >= 0], minlength=counts.shape[1])
    drawn = np.random.default_rng(0).integers(0, len(groups), (DRAWS, len(groups)))
    times = np.stack([np.bincount(draw, minlength=len(groups)) for draw in drawn])
    found = []
    for part in np.array_split(np.concatenate([np.ones_like(times[:1]), times]), 20):
        pooled = (part.astype(np.float32) @ counts).reshape(len(part), size, 2, LEVELS).astype(np.float64)
        healthy, infected = pooled[:, :, 0], pooled[:, :, 1]
        above = (infected * (healthy.cumsum(axis=-1) - healthy / 2)).sum(axis=(1, 2))
        found.append(above / (infected.sum(axis=-1) * healthy.sum(axis=-1)).sum(axis=1))
    return np.concatenate(found)


def interval(replicates: npt.NDArray[np.float64]) -> dict[str, float]:
    """A value with the 95 % interval of the replicates that follow it."""
    low, high = np.quantile(replicates[1:], [0.025, 0.975])
    return {"value": float(replicates[0]), "low": float(low), "high": float(high)}


def dices(films: Films, scores: npt.NDArray[Any], threshold: float) -> list[float | None]:
    """The Dice of each film's pixels within the lungs whose score is `threshold` or more; None where there is
    no infected pixel."""
    found: list[float | None] = []
    for infected, lungs, score in zip(films.infected, films.lungs, scores, strict=True):
        truth, said = infected[lungs], score[lungs] >= threshold
        total = int(truth.sum() + said.sum())
        found.append(2 * int((truth & said).sum()) / total if truth.any() else None)
    return found


def best_threshold(films: Films, scores: npt.NDArray[Any]) -> float:
    """The threshold with the highest mean Dice over `films`."""
    means = [np.mean([value for value in dices(films, scores, at) if value is not None]) for at in THRESHOLDS]
    return float(THRESHOLDS[int(np.argmax(means))])


def mean(
    values: list[float | None], groups: npt.NDArray[np.int64], versus: list[float | None] | None = None
) -> dict[str, float]:
    """The mean over films, less that of `versus`, with the 95 % interval of a bootstrap over groups."""
    used = np.array([value is not None for value in values])
    numbers = np.array([value for value in values if value is not None])
    if versus is not None:
        numbers = numbers - np.array([value for value in versus if value is not None])
    members = [np.flatnonzero(groups[used] == group) for group in np.unique(groups[used])]
    sums, counts = np.array([numbers[rows].sum() for rows in members]), np.array([*map(len, members)])
    drawn = np.random.default_rng(0).integers(0, len(members), (DRAWS, len(members)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [0.025, 0.975])
    return {"value": float(numbers.mean()), "low": float(low), "high": float(high)}


def measure(hosts: Films, positives: Films, tested: int, steps: int, seed: int) -> dict[str, Any]:
    """Train both networks and test them on about `tested` films, whose groups train nothing."""
    order = np.random.default_rng([seed]).permutation(np.unique(positives.groups))
    sizes = np.cumsum([np.sum(positives.groups == group) for group in order])
    chosen = np.isin(positives.groups, order[: int(np.searchsorted(sizes, tested)) + 1])
    test, learned = (positives.select(np.flatnonzero(part)) for part in (chosen, ~chosen))
    test = test.select(np.flatnonzero(~test.fitted))
    for films, use in ((learned, "train on"), (test, "test on")):
        if not len(films.films):
            raise EmptySplit(
                f"no film is left to {use}", found="0", expected="at least one", hint="change --tested"
            )
    networks = {
        "pairs": train(painted(hosts, seed), steps, seed),
        "real": train(masked(learned, seed), steps, seed),
    }
    where = places(test)
    scores: dict[str, npt.NDArray[Any]] = {"brightness": test.films / 255, "place": place_scores(where)}
    scores |= {name: infection(network, test) for name, network in networks.items()}
    aucs = {name: pixel_aucs(test, score) for name, score in scores.items()}
    means = {name: mean(values, test.groups) for name, values in aucs.items()}
    within = {name: aucs_within_places(test, score, where) for name, score in scores.items()}
    on_learned: dict[str, npt.NDArray[Any]] = {
        "brightness": learned.films / 255,
        "place": place_scores(places(learned)),
    }
    on_learned |= {name: infection(network, learned) for name, network in networks.items()}
    thresholds = {name: best_threshold(learned, score) for name, score in on_learned.items()}
    overlaps = {name: dices(test, score, thresholds[name]) for name, score in scores.items()}
    overlaps["lungs"] = dices(test, scores["brightness"], 0.0)
    gains = {name: mean(aucs[name], test.groups, aucs["brightness"]) for name in aucs if name != "brightness"}
    return {
        "hosts": len(hosts.films),
        "real films trained on": len(learned.films),
        "tested films": len(test.films),
        "tested groups": len(np.unique(test.groups)),
        "films with an AUC": sum(value is not None for value in aucs["brightness"]),
        "side": int(test.films.shape[1]),
        "steps": steps,
        "batch": BATCH,
        "seed": seed,
        "pixel AUC within the lungs": means,
        "gain over brightness": gains,
        "share of the gain of real masks": gains["pairs"]["value"] / gains["real"]["value"],
        "AUC within places": {name: interval(values) for name, values in within.items()},
        "AUC within places, over brightness": {
            name: interval(within[name] - within["brightness"]) for name in networks
        },
        "Dice within the lungs": {name: mean(values, test.groups) for name, values in overlaps.items()},
        "thresholds": thresholds,
        "per film": aucs,
        "Dice per film": overlaps,
    }


def _tensor(films: Grey) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(films)).unsqueeze(1).float() / 255


def main() -> None:
    """Measure and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--tested", type=int, default=300)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    hosts, positives = (read(asked.root, label, asked.side) for label in ("normal", "covid-19"))
    with machine.one_thread():
        content = measure(hosts, positives, asked.tested, asked.steps, asked.seed)
    content["code"] = machine.code(("numpy", "scipy", "torch", "monai")).model_dump()
    write_text(asked.out, json.dumps(content, indent=1) + "\n")
    shown = {name: value for name, value in content.items() if "per film" not in name}
    sys.stdout.write(json.dumps(shown, indent=1) + "\n")


if __name__ == "__main__":
    main()
