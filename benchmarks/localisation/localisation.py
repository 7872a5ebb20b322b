"""Does a network that saw painted lesions alone find real infection? U-Nets on the masks of COVID-QU-Ex.

    python benchmarks/localisation/localisation.py --root DIR --out benchmarks/localisation/results/pairs.json

Two networks of one kind are trained: `pairs` on normal films of the set, half of them with fresh lesions, and
`real` on COVID-19 films with their infection masks. Both are tested on other COVID-19 films. Films that look
like one patient's stay on one side. Each film has the AUC of its pixels within the lungs; `brightness` takes
the grey level for the score. Nothing is chosen by the tested films.
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
from covid_synth_data.metrics import detection
from covid_synth_data.sources import read_source
from covid_synth_data.splits import duplicates

CHANNELS: Final = (16, 32, 64, 128)
RATE: Final = 2e-3
BATCH: Final = 16
DRAWS: Final = 1000
"""Bootstrap replicates, over groups of films."""

Floats = npt.NDArray[np.float32]
Batch = tuple[Grey, npt.NDArray[np.bool_], Floats]
"""Films, lungs and lesions in [0, 1], (n, h, w) each."""


@dataclass(frozen=True)
class Films:
    """`films` uint8, `lungs` bool and `infected` bool, (n, h, w) each; films of one group (n,) look like one
    patient's."""

    films: Grey
    lungs: npt.NDArray[np.bool_]
    infected: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.int64]

    def select(self, rows: npt.NDArray[np.int64]) -> Films:
        """Those in `rows`, in that order."""
        return replace(
            self,
            films=self.films[rows],
            lungs=self.lungs[rows],
            infected=self.infected[rows],
            groups=self.groups[rows],
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
    return Films(films, lungs, masks("mask_path") & lungs, groups)


def painted(hosts: Films, seed: int) -> Callable[[int], Batch]:
    """The batch of a step: hosts, half of them with lesions that no other step has."""

    def draw(step: int) -> Batch:
        rows = np.random.default_rng([seed, step]).integers(0, len(hosts.films), BATCH)
        films, lungs = hosts.films[rows].copy(), hosts.lungs[rows]
        target, half = np.zeros(films.shape, np.float32), BATCH // 2
        done = lesions.paint(films[:half], seed, lungs=lungs[:half], indices=range(half), epoch=step)
        films[:half], target[:half] = done.films, done.maps.astype(np.float32) / 255
        return films, lungs, target

    return draw


def masked(films: Films, seed: int) -> Callable[[int], Batch]:
    """The batch of a step: films with their infection masks."""

    def draw(step: int) -> Batch:
        rows = np.random.default_rng([seed, step]).integers(0, len(films.films), BATCH)
        return films.films[rows], films.lungs[rows], films.infected[rows].astype(np.float32)

    return draw


def train(draw: Callable[[int], Batch], steps: int, seed: int) -> nn.Module:
    """A U-Net that minimises the cross-entropy of the pixels within the lungs."""
    with seeded(seed):
        strides, units = (2,) * (len(CHANNELS) - 1), 1
        network = UNet(2, 1, 1, CHANNELS, strides, num_res_units=units, norm="instance")
        optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        network.train()
        for step in range(steps):
            films, lungs, target = draw(step)
            weight = torch.from_numpy(lungs).float()
            each = F.binary_cross_entropy_with_logits(
                network(_tensor(films))[:, 0], torch.from_numpy(target), weight, reduction="sum"
            )
            optimizer.zero_grad(set_to_none=True)
            (each / weight.sum().clamp(min=1)).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def infection(network: nn.Module, films: Grey) -> Floats:
    """The probability of infection of each pixel, (n, h, w)."""
    with torch.inference_mode():
        parts = [network(_tensor(films[start : start + BATCH])) for start in range(0, len(films), BATCH)]
        return torch.cat(parts)[:, 0].sigmoid().numpy()


def pixel_aucs(films: Films, scores: npt.NDArray[Any]) -> list[float | None]:
    """The AUC of each film's pixels within the lungs; None where these are infected wholly or not at all."""
    found: list[float | None] = []
    for infected, lungs, score in zip(films.infected, films.lungs, scores, strict=True):
        truth = infected[lungs].astype(int)
        # `detection.auc` takes scores in [0, 1]; only their order counts.
        mixed = 0 < truth.sum() < len(truth)
        found.append(detection.auc(truth, score[lungs].astype(np.float64)) if mixed else None)
    return found


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
    if not len(learned.films):
        raise EmptySplit("no film is left to train on", found="0", expected="at least one", hint="test fewer")
    networks = {
        "pairs": train(painted(hosts, seed), steps, seed),
        "real": train(masked(learned, seed), steps, seed),
    }
    aucs = {"brightness": pixel_aucs(test, test.films / 255)}
    aucs |= {name: pixel_aucs(test, infection(network, test.films)) for name, network in networks.items()}
    means = {name: mean(values, test.groups) for name, values in aucs.items()}
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
        "per film": aucs,
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
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    hosts, positives = (read(asked.root, label, asked.side) for label in ("normal", "covid-19"))
    with machine.one_thread():
        content = measure(hosts, positives, asked.tested, asked.steps, asked.seed)
    content["code"] = machine.code(("numpy", "scipy", "torch", "monai")).model_dump()
    write_text(asked.out, json.dumps(content, indent=1) + "\n")
    shown = {name: value for name, value in content.items() if name != "per film"}
    sys.stdout.write(json.dumps(shown, indent=1) + "\n")


if __name__ == "__main__":
    main()
