"""Running a suite of segmentation: a training and a result file per regime and seed, nothing done twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covid_synth_data.benchmark.data import released
from covid_synth_data.benchmark.request import seed_numbers
from covid_synth_data.benchmark.results import Dataset, write_result
from covid_synth_data.benchmark.segmentation import composition, data, results
from covid_synth_data.benchmark.segmentation.suite import Profile, Suite, load_suite
from covid_synth_data.benchmark.suite import digest_of
from covid_synth_data.errors import ConfigError, MissingExtra, ReleaseError, ResultError
from covid_synth_data.metrics import segmentation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Run:
    """One training: what its result file is called after."""

    regime: str
    seed: int


@dataclass(frozen=True)
class Prepared:
    """A run whose slices are chosen; `digest` stands for everything that its counts depend on."""

    run: Run
    path: Path
    items: list[composition.Item]
    digest: str


def run(
    suite: str | Path | Suite = "jiang2020",
    *,
    out: str | Path,
    root: str | Path | None = None,
    release: str | Path | None = None,
    version: str | None = None,
    protocol: str | None = None,
    profile: str | None = None,
    regimes: Sequence[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    size: int | None = None,
    limit: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> list[Path]:
    """Run a suite and return the paths of its result files, those that were there before included.

    `protocol` and `profile` are the suite's first where none is named; `regimes` and `seeds` (a number n
    stands for 0 to n - 1) are the profile's. `root` holds the real slices, `release` is a folder of the
    suite's dataset (None: the Hub), of `version` where that is given; it is only looked for where a regime
    has synthetic slices. `size` replaces the side of the profile, `limit` is the largest number of real
    training (and of validation) slices: the test set is never cut. `progress` is told (done, all, what).

    On a CPU one thread computes, so that the same seed gives the same file on every machine of its kind;
    different regimes can run side by side in several processes. Files that are there already are validated
    and kept; a training that was killed starts again. Raises `UnknownName`, `ConfigError`, `SourceError`,
    `EmptySplit`, `LeakError`, `ReleaseError`, `ImpossibleMix`, `MissingExtra`, and `ResultError` for a file
    in `out` that is wrong or made from other data.
    """
    chosen = suite if isinstance(suite, Suite) else load_suite(suite)
    if limit is not None and limit < 1:
        raise ConfigError("no such limit", found=str(limit), expected="at least 1 slice")
    named = chosen.choose("profile", profile)
    runs = plan(chosen, profile=named, regimes=regimes, seeds=seeds)
    bench = _Bench(
        chosen,
        chosen.choose("protocol", protocol),
        named,
        _side(chosen.profiles[named], size),
        limit,
        Path(out),
        device,
        progress or (lambda done, total, what: None),
    )
    return bench.run(runs, root, release, version)


def plan(
    suite: str | Path | Suite = "jiang2020",
    *,
    profile: str | None = None,
    regimes: Sequence[str] | None = None,
    seeds: int | Sequence[int] | None = None,
) -> list[Run]:
    """What these arguments of `run` ask for, seed by seed. Raises `UnknownName`, `ConfigError`."""
    chosen = suite if isinstance(suite, Suite) else load_suite(suite)
    base = chosen.profiles[chosen.choose("profile", profile)]
    numbers = seed_numbers(base.seeds if seeds is None else seeds)
    names = chosen.choose_regimes(list(regimes if regimes is not None else base.regimes or chosen.regimes))
    if not names:
        raise ConfigError("nothing to run", found="no regimes", expected="at least one")
    return [Run(regime, seed) for seed in numbers for regime in names]


def _side(profile: Profile, size: int | None) -> int:
    """The side asked for. Raises `ConfigError` where the network cannot take it."""
    multiple = profile.network.multiple
    if size is not None and (size < 32 or size % multiple):
        raise ConfigError("no such size", found=str(size), expected=f"a multiple of {multiple}, 32 or more")
    return profile.size if size is None else size


class _Bench:
    """The things that all runs of one call share."""

    def __init__(
        self,
        suite: Suite,
        protocol: str,
        profile: str,
        side: int,
        limit: int | None,
        out: Path,
        device: str,
        progress: Progress,
    ) -> None:
        self.suite, self.protocol, self.profile = suite, protocol, profile
        self.rule, self.settings = suite.protocols[protocol], suite.profiles[profile]
        self.side, self.limit, self.out = side, limit, out
        self.device, self.progress = device, progress

    def run(
        self, runs: Sequence[Run], root: str | Path | None, release: str | Path | None, version: str | None
    ) -> list[Path]:
        """Choose the slices of all runs, then do those that have no result yet."""
        self.rows, self.notes = data.split(
            self.suite, self.rule, data.load_rows(self.suite, root), self.limit
        )
        self.made, self.dataset = self._synthetic(runs, release, version)
        prepared = [self._prepare(one) for one in runs]
        pending = [one for one in prepared if not self._done(one)]
        if pending:
            self._work(pending)
        return [one.path for one in prepared]

    def _synthetic(
        self, runs: Sequence[Run], release: str | Path | None, version: str | None
    ) -> tuple[data.Synthetic, Dataset | None]:
        """The rows of the release that may be trained on, kept apart from validation and test."""
        wanted = [one.regime for one in runs if self.suite.regimes[one.regime].synthetic]
        if not wanted:
            return data.NOTHING, None
        name, config = self.suite.data.dataset, self.suite.data.config
        found, dataset, missing = released.load(name, [config], release, version)
        if config not in found or dataset is None:
            raise ReleaseError(
                f"regimes {', '.join(dict.fromkeys(wanted))} cannot run without {name}, config {config}",
                found=missing.get(config, "no such config"),
                expected="a release of it",
                hint="give the folder of a release, or choose other regimes",
            )
        taught = released.learned(name, [config], release, dataset.version)[config]
        self.notes += data.check_generator(self.rows, taught, self.rule)
        return data.synthetic(found[config], self.rows), dataset

    def _prepare(self, run: Run) -> Prepared:
        regime = self.suite.regimes[run.regime]
        items = composition.compose(regime, len(self.rows["train"]), len(self.made.ids), run.seed)
        content = {
            "suite": [self.suite.name, self.suite.version, self.suite.data.model_dump()],
            "protocol": self.rule.model_dump(exclude={"title"}),
            "network": self.settings.network.model_dump(),
            "training": self.settings.training.model_dump(),
            "size": self.side,
            "run": [run.regime, run.seed],
            "regime": regime.rule(),
            "dataset": self.dataset.model_dump() if self.dataset and regime.synthetic else None,
            "train": [data.name_of(item, self.rows["train"], self.made) for item in items],
            **{side: [row["image_id"] for row in self.rows[side]] for side in ("validation", "test")},
        }
        path = results.path_of(self.out, self.suite.name, self.protocol, self.profile, run.regime, run.seed)
        return Prepared(run, path, items, digest_of(content))

    def _done(self, one: Prepared) -> bool:
        """True when the result is there, sound, and of the same inputs."""
        if not one.path.exists():
            return False
        result = results.validate_result(one.path)
        if result.inputs != one.digest:
            raise ResultError(
                f"{one.path} was made from other data or settings",
                found=f"inputs {result.inputs[:12]}",
                expected=one.digest[:12],
                hint="choose another folder for the results, or remove that file",
            )
        return True

    def _work(self, pending: Sequence[Prepared]) -> None:
        """Read the slices once, then train one U-Net after the other."""
        try:
            from covid_synth_data.benchmark.segmentation import worker
        except ModuleNotFoundError as error:
            raise MissingExtra(str(error.name), "ct") from error
        sides = {
            name: data.read(rows, self.side, self.progress, f"read {name}")
            for name, rows in self.rows.items()
        }
        hand = worker.Worker(self.settings, self.device)
        for number, one in enumerate(pending):
            start = time.monotonic()
            what = f"{number + 1}/{len(pending)} {one.run.regime} seed {one.run.seed}"
            images, masks = data.put_together(one.items, sides["train"], self.made, self.progress)
            outcome = hand.train(images, masks, sides, one.run.seed, self._advance(what))
            self._write(one, outcome, sides["test"], time.monotonic() - start)

    def _advance(self, what: str) -> Callable[[int], None]:
        return lambda epoch: self.progress(epoch, self.settings.training.epochs, what)

    def _part(self, side: str) -> results.Part:
        return results.part_of([str(row["patient_id"]) for row in self.rows[side]])

    def _write(self, one: Prepared, outcome: Any, test: data.Slices, seconds: float) -> None:
        regime = self.suite.regimes[one.run.regime]
        slices = measured(test, outcome.found)
        write_result(
            one.path,
            results.Result(
                suite=self.suite.name,
                suite_version=self.suite.version,
                protocol=self.protocol,
                protocol_rule=self.rule,
                profile=self.profile,
                regime=one.run.regime,
                regime_rule=regime,
                seed=one.run.seed,
                size=self.side,
                network=self.settings.network,
                training=self.settings.training,
                source=self.suite.data.source,
                inputs=one.digest,
                limit=self.limit,
                composition=composition.describe(one.items, len(self.rows["train"]), self.made.generators),
                train=self._part("train"),
                validation=self._part("validation"),
                test=self._part("test"),
                dataset=self.dataset if regime.synthetic else None,
                notes=[*self.notes, *(self.made.notes if regime.synthetic else [])],
                fitting=results.Fitting(
                    epochs=outcome.fitted.epochs,
                    best_epoch=outcome.fitted.best_epoch,
                    validation_dice=outcome.fitted.validation_dice,
                ),
                metrics=results.measure(slices),
                code=outcome.code,
                hardware=outcome.hardware,
                seconds=round(seconds, 3),
                slices=slices,
            ),
        )


def measured(test: data.Slices, found: npt.NDArray[np.uint8]) -> list[results.Slice]:
    """The counts of each test slice, whose label maps `found` are uint8 (n, side, side)."""
    each = {name: segmentation.counts(test.masks, found, name).tolist() for name in segmentation.STRUCTURES}
    return [
        results.Slice(
            image_id=str(row["image_id"]),
            patient_id=str(row["patient_id"]),
            slice=int(row["slice"]),
            **{name: each[name][place] for name in each},
        )
        for place, row in enumerate(test.rows)
    ]
