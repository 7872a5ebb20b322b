"""The plan of a call of the benchmark and its cost, without training anything.

Costs are measured, not guessed: one batch of each network is timed on the device that would be used. As early
stopping cannot be foreseen, a network's time is an upper limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from covid_synth_data.benchmark.request import Run
from covid_synth_data.benchmark.running.bench import Bench, done
from covid_synth_data.benchmark.running.kind import Prepared


@dataclass(frozen=True)
class Line:
    """All runs of one model on one task: how many, how many of them are done, how many distinct films those
    that are left read, and the seconds that they take at most, of which `extraction` are for fixed
    features."""

    task: str
    model: str
    runs: int
    done: int
    films: int
    extraction: float
    training: float

    @property
    def seconds(self) -> float:
        """Both together."""
        return self.extraction + self.training


@dataclass
class _Work:
    """The runs of one model on one task: all of them, those without a result, and the images held out."""

    runs: int = 0
    pending: list[Prepared] = field(default_factory=list)
    held_out: set[str] = field(default_factory=set)


def estimate(bench: Bench, runs: Sequence[Run]) -> list[Line]:
    """A line for each task and model; folds are summed. Raises what `Bench.run` does before it trains."""
    work: dict[tuple[str, str], _Work] = {}
    for split, prepared in bench.splits(runs):
        for job in prepared:
            mine = work.setdefault((job.run.task, job.run.model), _Work())
            mine.runs += 1
            mine.held_out |= split.held_out
            if not done(job):
                mine.pending.append(job)
    lines = []
    for (task, model), mine in work.items():
        cost = bench.kind.cost(model, mine.pending, frozenset(mine.held_out))
        finished = mine.runs - len(mine.pending)
        lines.append(Line(task, model, mine.runs, finished, cost.images, cost.extraction, cost.training))
    return lines
