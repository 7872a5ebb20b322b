"""The A/A gate: how often the rule for gains tells trainings of one and the same regime apart.

Many seeds of one regime are dealt into groups that pose as baselines and as a regime with synthetic films.
All groups are alike by construction, so every "gain" and every "loss" is false. The whole rule is run: the
choice of the baseline to beat on validation films, the crossed bootstrap, Holm's correction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.benchmark.reporting import comparisons, gains
from covid_synth_data.benchmark.reporting.samples import Sample
from covid_synth_data.benchmark.suite import Regime
from covid_synth_data.errors import MetricError
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics import detection, resampling
from covid_synth_data.metrics.detection import Floats, Ints, Proportion
from covid_synth_data.metrics.resampling import Statistic

MOST: Final = 0.05
"""The share of draws in which the rule may say "gain" or "loss"."""

BASELINES: Final = {
    "real": Regime(title="", mix="real"),
    "real-balanced": Regime(title="", mix="real", sampling="class-balanced"),
    "real-weighted": Regime(title="", mix="real", loss="class-weighted"),
    "real-augmented": Regime(title="", mix="real", augment="plain"),
}
_POSING: Final = Regime(title="", mix="add", synthetic=["gnc"])


@dataclass(frozen=True)
class Pool:
    """Trainings of one regime: `scores` (S, n) of test films with labels `truth` (n,) and `patients` (n,),
    and of each training its AUC and loss on the validation films, (S,)."""

    truth: Ints
    patients: npt.NDArray[Any]
    scores: Floats
    validation_auc: Floats
    validation_loss: Floats

    def save(self, path: Path) -> None:
        """Write the pool, scores in half precision; it holds no image and no image id."""
        np.savez_compressed(
            path,
            truth=self.truth.astype(np.uint8),
            patients=np.unique(self.patients, return_inverse=True)[1].astype(np.uint16),
            scores=self.scores.astype(np.float16),
            validation_auc=self.validation_auc,
            validation_loss=self.validation_loss,
        )

    @staticmethod
    def load(path: Path) -> Pool:
        """The trainings that `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            return Pool(
                stored["truth"].astype(np.int64),
                stored["patients"].astype(str),
                stored["scores"].astype(np.float64),
                stored["validation_auc"],
                stored["validation_loss"],
            )


class Gate(FrozenModel):
    """`told_apart`: draws in which any regime got a gain or a loss in any metric. `uncorrected` counts, for
    each metric, the draws in which one plain comparison had p below 0.05; `patients_only` those in which an
    interval over patients alone, which ignores the seeds, did not hold zero."""

    trainings: int
    films: int
    patients: int
    seeds: int
    regimes: int
    baselines: int
    draws: int
    told_apart: Proportion
    uncorrected: dict[str, Proportion]
    patients_only: dict[str, Proportion]

    @property
    def passed(self) -> bool:
        """Whether the rule errs in at most 5 % of the draws."""
        return self.told_apart.value <= MOST


def run(
    pool: Pool,
    *,
    seeds: int = 20,
    regimes: int = 1,
    draws: int = 400,
    replicates: int = detection.REPLICATES,
    seed: int = 0,
) -> Gate:
    """Deal the trainings of `pool` into four baselines and `regimes` posing regimes of `seeds` each, `draws`
    times.

    The draws share trainings, so the interval of their share is a little too narrow. Raises `MetricError`
    where the trainings are too few.
    """
    names = [*BASELINES, *(f"posing-{number}" for number in range(regimes))]
    if len(pool.scores) < seeds * len(names):
        raise MetricError(
            "too few trainings for the gate",
            found=str(len(pool.scores)),
            expected=f"{seeds * len(names)}: {len(names)} groups of {seeds}",
        )
    statistics = resampling.evaluate(
        resampling.draw(pool.truth, pool.patients, replicates=replicates), pool.scores
    )
    rng = np.random.default_rng([seed, 0xAA])
    told_apart = 0
    plain, over_patients = dict.fromkeys(gains.METRICS, 0), dict.fromkeys(gains.METRICS, 0)
    for _ in range(draws):
        dealt = rng.permutation(len(pool.scores))[: seeds * len(names)].reshape(len(names), seeds)
        samples = [_posing(name, statistics, pool, rows) for name, rows in zip(names, dealt, strict=True)]
        # The verdict of the report, on regimes that do not differ.
        pairs = comparisons.compare(samples)
        told_apart += any(gain.verdict in ("gain", "loss") for gain in gains.gains(pairs))
        # What simpler rules would have said: one p without correction, an interval over patients alone.
        for metric, name in gains.METRICS.items():
            a, b = samples[0].statistics[name], samples[-1].statistics[name]
            contrast = next(
                pair.contrasts[name] for pair in pairs if (pair.baseline, pair.regime) == ("real", names[-1])
            )
            plain[metric] += contrast.p < MOST
            low, high = np.quantile((b.replicates - a.replicates).mean(axis=1), [0.025, 0.975])
            over_patients[metric] += bool(low > 0 or high < 0)
    return Gate(
        trainings=len(pool.scores),
        films=len(pool.truth),
        patients=len(set(pool.patients.tolist())),
        seeds=seeds,
        regimes=regimes,
        baselines=len(BASELINES),
        draws=draws,
        told_apart=detection.proportion(told_apart, draws),
        uncorrected={name: detection.proportion(count, draws) for name, count in plain.items()},
        patients_only={name: detection.proportion(count, draws) for name, count in over_patients.items()},
    )


def _posing(name: str, statistics: dict[str, Statistic], pool: Pool, rows: Ints) -> Sample:
    """The trainings in `rows` as a regime of that name."""
    return Sample(
        regime=name,
        rule=BASELINES.get(name, _POSING),
        seeds=tuple(range(len(rows))),
        films=(),
        statistics={
            key: replace(
                statistic,
                values=statistic.values[rows],
                replicates=statistic.replicates[:, rows],
                influence=statistic.influence[:, rows],
            )
            for key, statistic in statistics.items()
        },
        validation_auc=float(pool.validation_auc[rows].mean()),
        validation_loss=float(pool.validation_loss[rows].mean()),
    )


def of_results(results: Sequence[Any]) -> Pool:
    """The pool of the seeds of one regime, as `collect.Seed`s of two classes."""
    first = results[0].results[0]
    place = first.classes.index(first.positive)
    rows = [sorted(one.predictions, key=lambda row: row.image_id) for one in results]
    return Pool(
        np.array([row.label == place for row in rows[0]], dtype=np.int64),
        np.array([row.patient_id for row in rows[0]]),
        np.array([[row.probabilities[place] for row in predictions] for predictions in rows]),
        np.array([one.validation_auc for one in results], dtype=np.float64),
        np.array([one.validation_loss for one in results], dtype=np.float64),
    )
