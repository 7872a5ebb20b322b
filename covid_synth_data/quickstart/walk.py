"""The steps of the quickstart: each is printed before it is done, timed, and kept for the page."""

from __future__ import annotations

import base64
import importlib.util
import io
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import datasets

SHOWN: Final = 8
"""Films in each row of the page."""

SUITE: Final = "quickstart"

_BENCHMARK: Final = ("torch", "torchvision", "sklearn", "matplotlib")


@dataclass(frozen=True)
class Step:
    """A step that was done.

    `about` says what it does, `command` is the command or call that did it, `own` what a user types for data
    of their own, line by line, `outcome` what came out, `seconds` how long it took.
    """

    title: str
    about: str
    command: str
    own: tuple[str, ...]
    outcome: str
    seconds: float


@dataclass
class Walk:
    """Shared by the steps: the folder `out`, the printer, and the content of the page."""

    out: Path
    say: Callable[[str], None]
    progress: Callable[[str], Any]
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sheets: list[tuple[str, list[str]]] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)
    explore: str = ""

    @property
    def results(self) -> Path:
        """The folder of the result files; there once a benchmark was run."""
        return self.out / "results"

    def step(
        self, title: str, command: str, work: Callable[[], str], *, about: str = "", own: tuple[str, ...] = ()
    ) -> None:
        """Print the step, do `work`, print what it returns."""
        self.say(f"\n{len(self.steps) + 1}. {title}\n   $ {command}")
        start = time.monotonic()
        outcome = work()
        seconds = time.monotonic() - start
        self.steps.append(Step(title, about, command, own, outcome, seconds))
        self.say(f"   {outcome} ({seconds:.0f} s)")
        if own:
            self.say("\n     ".join(("   with your own data:", *own)))

    def note(self, text: str) -> None:
        """A line for the terminal and the page."""
        self.notes.append(text)
        self.say(f"\n{text}")

    def sheet(self, title: str, images: Iterable[Any]) -> None:
        """A row of films for the page, PIL images."""
        self.sheets.append((title, [_data_url(image) for image in images]))


def can_benchmark() -> bool:
    """Whether the extra [benchmark] is installed; imports nothing of it."""
    return all(importlib.util.find_spec(module) for module in _BENCHMARK)


@dataclass(frozen=True)
class Real:
    """The real films of the suite `quickstart`: `train` as split, and `few` of it, the imbalance that the
    papers start from."""

    train: datasets.Dataset
    few: datasets.Dataset

    def of(self, label: str) -> datasets.Dataset:
        """The training films of a class."""
        code = self.train.features["label"].str2int(label)
        return self.train.select(np.flatnonzero(np.asarray(self.train["label"]) == code))


def real_films() -> tuple[Real, dict[str, int]]:
    """The phantoms of the suite and the sizes of its parts."""
    import covid_synth_data as csd
    from covid_synth_data.benchmark.data import composition
    from covid_synth_data.benchmark.suite import load_classifiers

    suite = load_classifiers(SUITE)
    data = suite.data
    splits = csd.load_task(suite.tasks[0], sources=data.sources, phantom=data.phantom)
    few = composition.limited(
        splits["train"],
        suite.positive,
        negatives=None,
        positives=data.max_positives,
        per_class=data.max_per_class,
        seed=data.split_seed,
    )
    return Real(splits["train"], few), {part: len(rows) for part, rows in splits.items()}


def verified(release: Path) -> str:
    """The lines of `verify` for a whole release. Raises `CorruptRelease` for another."""
    from covid_synth_data.errors import CorruptRelease
    from covid_synth_data.release.verification import verify

    report = verify(release)
    if not report.whole:
        raise CorruptRelease(f"{release} is not as released", found="; ".join(report.problems))
    return f"{report.files} files, {report.size / 1e6:.1f} MB, {sum(report.rows.values())} rows: whole"


def mixed(real: Real, synthetic: datasets.Dataset) -> str:
    """Mix to a skew of 1; the numbers before and after."""
    import covid_synth_data as csd

    rows = csd.mix(real.few, synthetic, skew=1.0)
    before, after = csd.skew(real.few), csd.skew(rows)
    return f"{len(real.few)} real rows of skew {before:.2f}; {len(rows)} mixed of skew {after:.2f}"


def load_released(release: Path, config: str, loaded: dict[str, datasets.Dataset]) -> str:
    """Load a config of the release with `datasets` alone, into `loaded["synthetic"]`."""
    import datasets

    rows = loaded["synthetic"] = datasets.load_dataset(str(release), config, split="train")
    return f"{len(rows)} rows, columns {', '.join(rows.column_names)}"


def run_benchmark(walk: Walk, release: Path, configs: Sequence[str] | None = None) -> str:
    """The suite on a release, or on `configs` of it that the suite does not name."""
    from covid_synth_data import benchmark

    with walk.progress("benchmark") as tick:
        files = benchmark.run(
            SUITE, release=release, configs=configs, out=walk.results, device="cpu", progress=tick
        )
    return f"{len(files)} result files in {walk.results}"


def _data_url(image: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
