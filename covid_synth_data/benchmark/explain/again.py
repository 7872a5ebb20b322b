"""The classifiers of a suite, trained again to be looked into: a result file holds no weights.

A training is a pure function of its inputs, so the network is that of the result file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covid_synth_data.benchmark.data.composition import Films
from covid_synth_data.benchmark.request import ClassificationRequest, Progress, Run, request_classifiers
from covid_synth_data.benchmark.results import Dataset
from covid_synth_data.benchmark.running.classification import Classification, PreparedFilms, trained_together
from covid_synth_data.benchmark.running.kind import Synthetic, load_synthetic, no_progress
from covid_synth_data.benchmark.suite import ClassificationSuite
from covid_synth_data.classifiers.registry import entry
from covid_synth_data.errors import ConfigError

if TYPE_CHECKING:
    from covid_synth_data.benchmark.training.worker import Worker
    from covid_synth_data.classifiers.networks import Network


@dataclass(frozen=True)
class Asked:
    """The trainings of one model and task, all of `request` that the release allows."""

    request: ClassificationRequest
    kind: Classification
    synthetic: Synthetic
    runs: list[Run]

    @property
    def regimes(self) -> list[str]:
        """The regimes, in the order of the request."""
        return list(dict.fromkeys(run.regime for run in self.runs))

    @property
    def baselines(self) -> list[str]:
        """Those of them that hold real films alone."""
        return [name for name in self.regimes if self.request.suite.regimes[name].baseline]

    @property
    def seeds(self) -> list[int]:
        """The seeds, in their order."""
        return list(dict.fromkeys(run.seed for run in self.runs))

    @property
    def dataset(self) -> Dataset | None:
        """The release, where a regime has films of it."""
        suite = self.request.suite
        return self.synthetic.dataset if any(suite.configs_of(name) for name in self.regimes) else None


def ask(
    suite: str | Path | ClassificationSuite,
    path: str | Path,
    *,
    regimes: Sequence[str] | None,
    model: str | None,
    task: str | None,
    seeds: int | Sequence[int] | None,
    progress: Progress | None,
    options: Mapping[str, Any],
) -> Asked:
    """What `benchmark.run` would train with these arguments, of the first model and task alone.

    Raises `ConfigError` for a model without a network and for a regime that adds the scores of two.
    """
    request = request_classifiers(
        suite,
        out=Path(path).parent,
        models=[model] if model else None,
        regimes=list(regimes) if regimes else None,
        seeds=seeds,
        tasks=[task] if task else None,
        **options,
    )
    runs = request.runs()
    runs = [run for run in runs if (run.model, run.task) == (runs[0].model, runs[0].task)]
    if entry(runs[0].model).learner not in ("head", "network"):
        raise ConfigError(
            f"{runs[0].model} is no network that could be looked into",
            hint="choose one without trees, of the package",
        )
    for name in dict.fromkeys(run.regime for run in runs):
        if request.suite.regimes[name].join == "scores":
            raise ConfigError(
                f"regime {name} adds the scores of two classifiers and cannot be looked into",
                expected="regimes that train one classifier",
                hint="leave it out",
            )
    synthetic, able = load_synthetic(request, runs)
    return Asked(request, Classification(request, synthetic, progress or no_progress), synthetic, able)


def trained(
    worker: Worker, jobs: Sequence[PreparedFilms], others: Mapping[str, Films]
) -> Iterator[tuple[PreparedFilms, Network]]:
    """The trained network of each job, all jobs of one model, as the engine trains them."""
    suite, model, validation = worker.suite, jobs[0].run.model, others["validation"]
    regimes = [(job.train, suite.regimes[job.run.regime]) for job in jobs]
    worker.fill(model, regimes, list(others.values()))
    for together in trained_together(jobs, suite):
        run, rule = together[0].run, suite.regimes[together[0].run.regime]
        if len(together) > 1:
            seeds, trains = [job.run.seed for job in together], [job.train for job in together]
            networks, _ = worker.learn_heads(model, rule, seeds, trains, validation, run.title)
            yield from zip(together, networks, strict=True)
        else:
            network, _ = worker.learn(model, rule, run.seed, together[0].train, validation, run.title)
            yield together[0], network
