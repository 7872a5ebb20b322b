"""The A/A gate on many trainings of one regime, and by how much it errs without the seeds.

    python benchmarks/statistics/aa_gate.py RESULTS --out benchmarks/statistics/results/aa-external.json
    python benchmarks/statistics/aa_gate.py --made tests/data/aa-predictions.npz --out ...

RESULTS is a folder of result files of ONE regime with 50 seeds or more, for example of
`covid-synth benchmark run external --regime real --seeds 120 --out RESULTS --root DIR`. `--made FILE` trains
dense layers on drawn features instead and stores their predictions in FILE, which the test of the gate reads.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from covid_synth_data.benchmark.data.store import Store
from covid_synth_data.benchmark.reporting import aa_gate, collect
from covid_synth_data.benchmark.results import find, read_result
from covid_synth_data.benchmark.suite import Training
from covid_synth_data.benchmark.training import fit, heads
from covid_synth_data.metrics import detection

WIDTH, TRAININGS = 48, 60
SETTINGS = Training(optimizer="adam", learning_rate=3e-2, batch_size=32, max_epochs=60, patience=1)


def made() -> aa_gate.Pool:
    """60 trainings of a dense layer on drawn features: 700 patients tested, with one to three films each."""
    cpu = torch.device("cpu")
    with tempfile.TemporaryDirectory() as folder:
        parts = {
            name: _films(Path(folder) / name, number, patients)
            for number, (name, patients) in enumerate((("train", 60), ("validation", 40), ("test", 700)))
        }
        layers = []
        for seed in range(TRAININGS):
            torch.manual_seed(seed)
            layers.append(torch.nn.Linear(WIDTH, 2))
        train, validation, test = (feed for feed, _ in parts.values())
        found = heads.fit(
            layers,
            train,
            [np.arange(len(train.labels))] * TRAININGS,
            validation,
            SETTINGS,
            sampling="natural",
            seeds=range(TRAININGS),
            device=cpu,
        )
        return aa_gate.Pool(
            test.labels,
            parts["test"][1],
            np.array([fit.probabilities(layer, test) for layer in layers]),
            np.array(
                [detection.auc(validation.labels, fit.probabilities(layer, validation)) for layer in layers]
            ),
            np.array([one.validation_loss for one in found]),
        )


def _films(folder: Path, seed: int, patients: int) -> tuple[fit.FeatureFeed, np.ndarray]:
    """Features of films, a sixth of the patients ill, and the patient of each film."""
    rng = np.random.default_rng([seed, 0xAA])
    whose = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
    labels = (np.arange(patients) % 6 == 0)[whose].astype(np.int64)
    own = rng.normal(0, 1, (patients, WIDTH))[whose]
    rows = (own + rng.normal(0, 0.7, own.shape) + 0.6 * labels[:, None] * (np.arange(WIDTH) < 12)).astype(
        np.float32
    )
    keys = [str(number) for number in range(len(labels))]
    store = Store(folder, (WIDTH,), np.float32)
    store.add(keys, lambda part: rows[[int(key) for key in part]])
    return fit.FeatureFeed(store, keys, labels, torch.device("cpu")), whose.astype(str)


def main() -> None:
    """Run the gate and write what it found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", nargs="?", type=Path)
    parser.add_argument("--made", type=Path)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--replicates", type=int, default=detection.REPLICATES)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    if asked.made:
        made().save(asked.made)
        pool, what = aa_gate.Pool.load(asked.made), {"task": "made"}
    else:
        # Read and not validated: to work out 120 files again takes minutes and changes nothing here.
        found = [read_result(path) for path in find(asked.results, "classification")]
        pool = aa_gate.of_results([collect.pool([one]) for one in found])
        what = {name: getattr(found[0], name) for name in _KEY}
    gates = [
        aa_gate.run(pool, seeds=seeds, regimes=regimes, draws=asked.draws, replicates=asked.replicates)
        for seeds, regimes in ((3, 1), (10, 1), (20, 1))
        if len(pool.scores) >= seeds * (len(aa_gate.BASELINES) + regimes)
    ]
    content = {"of": what, "gates": [one.model_dump() for one in gates]}
    asked.out.write_text(json.dumps(content, indent=1) + "\n")
    for one in gates:
        sys.stdout.write(f"{one.seeds} seeds, {one.regimes} regimes: told apart in {one.told_apart}\n")


_KEY = ("suite", "suite_version", "task", "preprocessing", "model", "regime")

if __name__ == "__main__":
    main()
