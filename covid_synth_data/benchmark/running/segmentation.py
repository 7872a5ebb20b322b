"""U-Nets on CT slices: slices by protocol, training slices by regime, and one result for each training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from covid_synth_data.benchmark.request import Progress, Run, SegmentationRequest
from covid_synth_data.benchmark.results import segmentation as results
from covid_synth_data.benchmark.running.kind import Kind, Prepared, Split, Synthetic
from covid_synth_data.benchmark.segmentation import composition, data
from covid_synth_data.benchmark.suite import digest_of
from covid_synth_data.benchmark.training.cost import Cost
from covid_synth_data.ct.slices import Row
from covid_synth_data.errors import LeakError, MissingExtra
from covid_synth_data.machine import pick_device
from covid_synth_data.metrics import segmentation
from covid_synth_data.sources.ct_phantom import INFO

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


PHANTOM: Final = INFO.name


@dataclass(frozen=True)
class SliceSplit(Split):
    """The rows of training, validation and test, the released slices, and the notes on them.

    `leak` says that the generator learned from what is tested, so that no drawn slice may be trained on.
    """

    rows: dict[str, list[Row]]
    made: data.Synthetic
    notes: list[str]
    leak: LeakError | None = None

    def counts(self, side: str) -> results.SliceCounts:
        """The slices and patients of training, validation or test."""
        return results.slice_counts([str(row["patient_id"]) for row in self.rows[side]])


@dataclass(frozen=True)
class PreparedSlices(Prepared):
    """A run with its training slices."""

    items: list[composition.Item]


class Segmentation(Kind[SliceSplit, PreparedSlices]):
    """Suites of U-Nets."""

    def __init__(self, request: SegmentationRequest, synthetic: Synthetic, progress: Progress) -> None:
        """`progress` is called as `request.Progress` says."""
        self.request, self.suite = request, request.suite
        self.profile = request.suite.profiles[request.profile_name]
        self.synthetic, self.progress = synthetic, progress

    def split(self, task: str, fold: int | None) -> SliceSplit:
        """The slices by the protocol `task`; released slices are kept apart from validation and test."""
        suite, protocol, config = self.suite, self.suite.protocols[task], self.suite.data.config
        rows, notes = data.split(
            suite, protocol, data.load_rows(suite, self.request.root), self.request.limit
        )
        made, leak = data.NOTHING, None
        if config in self.synthetic.configs:
            try:
                notes += data.check_generator(rows, self.synthetic.trained_on[config], protocol)
            except LeakError as error:
                leak = error
            # In a suite on phantoms the slices of that source are training slices like any other.
            own = suite.data.source == PHANTOM
            drawn = None if own else self.synthetic.phantoms.get(config)
            made = data.synthetic(self.synthetic.configs[config], rows, drawn)
        held_out = frozenset(str(row["image_id"]) for side in ("validation", "test") for row in rows[side])
        return SliceSplit(held_out, rows, made, notes, leak)

    def prepare(self, split: SliceSplit, runs: Sequence[Run]) -> list[PreparedSlices]:
        """Choose the training slices of each run. Raises `ImpossibleMix` where there are too few, `LeakError`
        where drawn slices are asked for whose generator learned from what is tested."""
        return [self._prepare(run, split) for run in runs]

    def _prepare(self, run: Run, split: SliceSplit) -> PreparedSlices:
        suite, regime, rows = self.suite, self.suite.regimes[run.regime], split.rows
        if split.leak and regime.drawn:
            raise split.leak
        items = composition.compose(regime, len(rows["train"]), len(split.made.ids), run.seed)
        dataset = self.synthetic.dataset if regime.synthetic else None
        content = {
            "suite": [suite.name, suite.version, suite.data.model_dump()],
            "protocol": suite.protocols[run.task].model_dump(exclude={"title"}),
            "network": self.profile.network.model_dump(),
            "training": self.profile.training.model_dump(),
            "size": self.request.side,
            "run": [run.regime, run.seed],
            "regime": regime.rule(),
            "dataset": dataset.model_dump() if dataset else None,
            "train": [data.name_of(item, rows["train"], split.made) for item in items],
            **{side: [row["image_id"] for row in rows[side]] for side in ("validation", "test")},
        }
        path = results.result_path(suite.name, run.task, run.model, run.regime, run.seed)
        return PreparedSlices(
            run=run,
            path=self.request.out / path,
            digest=digest_of(content),
            tested=frozenset(str(row["image_id"]) for row in rows["test"]),
            items=items,
        )

    def train(
        self, split: SliceSplit, pending: Sequence[PreparedSlices]
    ) -> Iterator[tuple[PreparedSlices, results.SegmentationResult]]:
        """Read the slices once, then train one U-Net after the other."""
        try:
            from covid_synth_data.benchmark.segmentation.worker import Worker
        except ModuleNotFoundError as error:
            raise MissingExtra(str(error.name), "ct") from error
        sides = {
            name: data.read(rows, self.request.side, self.progress, f"read {name}")
            for name, rows in split.rows.items()
        }
        worker = Worker(self.profile, self.request.device)
        for number, job in enumerate(pending, 1):
            start = time.monotonic()
            what = f"{number}/{len(pending)} {job.run.regime} seed {job.run.seed}"
            images, masks = data.put_together(job.items, sides["train"], split.made, self.progress)
            trained = worker.train(images, masks, sides, job.run.seed, self._advance(what))
            yield job, self._result(job, split, trained, sides["test"], time.monotonic() - start)

    def _advance(self, what: str) -> Callable[[int], None]:
        return lambda epoch: self.progress(epoch, self.profile.training.epochs, what)

    def _result(
        self, job: PreparedSlices, split: SliceSplit, trained: Any, test: data.Slices, seconds: float
    ) -> results.SegmentationResult:
        suite, run, regime = self.suite, job.run, self.suite.regimes[job.run.regime]
        slices = count_pixels(test, trained.masks)
        return results.SegmentationResult(
            suite=suite.name,
            suite_version=suite.version,
            protocol=run.task,
            protocol_rule=suite.protocols[run.task],
            profile=run.model,
            regime=run.regime,
            regime_rule=regime,
            seed=run.seed,
            size=self.request.side,
            network=self.profile.network,
            training=self.profile.training,
            source=suite.data.source,
            inputs=job.digest,
            limit=self.request.limit,
            composition=composition.describe(job.items, len(split.rows["train"]), split.made.generators),
            train=split.counts("train"),
            validation=split.counts("validation"),
            test=split.counts("test"),
            dataset=self.synthetic.dataset if regime.synthetic else None,
            notes=[*split.notes, *(split.made.notes if regime.synthetic else [])],
            fitting=results.Fitting(
                epochs=trained.fitted.epochs,
                best_epoch=trained.fitted.best_epoch,
                validation_dice=trained.fitted.validation_dice,
            ),
            metrics=results.measure(slices),
            code=trained.code,
            hardware=trained.hardware,
            seconds=round(seconds, 3),
            slices=slices,
        )

    def cost(self, model: str, pending: Sequence[PreparedSlices], held_out: frozenset[str]) -> Cost:
        """All epochs of each U-Net, each with its training slices and the slices held out."""
        if not pending:
            return Cost()
        try:
            from covid_synth_data.benchmark.segmentation.cost import time_network
        except ModuleNotFoundError as error:
            raise MissingExtra(str(error.name), "ct") from error
        settings = self.profile.training
        step, slice_seconds = time_network(self.profile, self.request.side, pick_device(self.request.device))
        steps = sum(-(-len(job.items) // settings.batch_size) for job in pending)
        seconds = settings.epochs * (steps * step + len(pending) * len(held_out) * slice_seconds)
        images = {(item.origin, item.index) for job in pending for item in job.items}
        return Cost(len(images) + len(held_out), training=seconds)


def count_pixels(test: data.Slices, masks: npt.NDArray[np.uint8]) -> list[results.Slice]:
    """The counts of each test slice, whose predicted `masks` are uint8 (n, side, side)."""
    each = {name: segmentation.counts(test.masks, masks, name).tolist() for name in segmentation.STRUCTURES}
    return [
        results.Slice(
            image_id=str(row["image_id"]),
            patient_id=str(row["patient_id"]),
            slice=int(row["slice"]),
            **{name: each[name][place] for name in each},
        )
        for place, row in enumerate(test.rows)
    ]
