"""The result file of one U-Net, with the counts of pixels of each test slice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, FiniteFloat

from covid_synth_data.benchmark.results.base import Count, Result, differences
from covid_synth_data.benchmark.suite import Name, SegmentationSuite
from covid_synth_data.benchmark.suite.segmentation import Network, Protocol, Regime, Training
from covid_synth_data.errors import MetricError
from covid_synth_data.files.fields import MAX_SIDE, Identifier, Line
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics import segmentation

SEED: Final = 0
"""Of the random parts and the bootstrap, which are part of the metric and not of the experiment."""

Pixels = Annotated[list[Count], Field(min_length=4, max_length=4)]


class Slice(FrozenModel):
    """One test slice: for each structure the pixels tp, fp, fn, tn."""

    image_id: Identifier
    patient_id: Identifier
    slice: Count
    ggo: Pixels
    consolidation: Pixels
    infection: Pixels


class SliceCounts(FrozenModel):
    """The slices of training, validation or test."""

    slices: Annotated[int, Field(gt=0)]
    patients: Annotated[list[Identifier], Field(min_length=1)]


class Fitting(FrozenModel):
    """How the training went: the epoch that was kept, and its mean Dice on the validation slices."""

    epochs: Annotated[int, Field(ge=1)]
    best_epoch: Annotated[int, Field(ge=1)]
    validation_dice: Annotated[FiniteFloat, Field(ge=0, le=1)]


class Composition(FrozenModel):
    """The training set: `real` slices, each once, `synthetic` ones, real ones `repeated` and `augmented`,
    and `undrawn` ones, which are those of a release before a generator drew their lungs.

    `available` real slices could have been; `generators` are those of the synthetic ones.
    """

    available: Annotated[int, Field(gt=0)]
    real: Count
    synthetic: Count
    repeated: Count
    augmented: Count
    undrawn: Count = 0
    generators: list[Line]

    @property
    def total(self) -> int:
        """Slices in an epoch."""
        return self.real + self.synthetic + self.repeated + self.augmented + self.undrawn


class SegmentationResult(Result):
    """The whole file.

    `size` is the side at which slices were segmented and measured; `limit` is the largest number of real
    training slices that was allowed.
    """

    format: Literal[1] = 1
    kind: Literal["segmentation"] = "segmentation"
    protocol_rule: Protocol
    profile: Name
    regime_rule: Regime
    size: Annotated[int, Field(ge=32, le=MAX_SIDE)]
    network: Network
    training: Training
    source: Name
    composition: Composition
    train: SliceCounts
    validation: SliceCounts
    test: SliceCounts
    fitting: Fitting
    metrics: segmentation.Segmentation
    slices: Annotated[list[Slice], Field(min_length=1)]

    @property
    def path(self) -> Path:
        """The path of the file below the folder of all results."""
        return result_path(self.suite, self.protocol, self.profile, self.regime, self.seed)

    @property
    def fold(self) -> None:
        """None: suites of U-Nets have no folds."""
        return None

    @property
    def folds(self) -> int:
        """One, as there are no folds."""
        return 1

    @property
    def tested(self) -> list[str]:
        """The ids of the test slices, in the order of the file."""
        return [row.image_id for row in self.slices]

    def problems(self) -> Iterator[str]:
        """One line for each thing in the file that does not hold, the most telling first."""
        return _problems(self)


def measure(slices: Sequence[Slice]) -> segmentation.Segmentation:
    """The metrics of a test set, as every result file states them."""
    patients = [row.patient_id for row in slices]
    structures = {
        name: segmentation.evaluate([getattr(row, name) for row in slices], patients, seed=SEED)
        for name in segmentation.STRUCTURES
    }
    return segmentation.Segmentation(**structures)


def result_path(suite: str, protocol: str, profile: str, regime: str, seed: int) -> Path:
    """The path of a result below the folder of all results."""
    return Path(suite, protocol, profile, regime, f"segmentation-{seed}.json")


def _problems(result: SegmentationResult) -> Iterator[str]:
    """One line for each thing that does not hold, the most telling first."""
    twice = [name for name, n in Counter(row.image_id for row in result.slices).items() if n > 1]
    if twice:
        yield f"{len(twice)} slices occur more than once, the first is {twice[0]!r}"
    yield from _of_pixels(result)
    test = slice_counts([row.patient_id for row in result.slices])
    if test != result.test:
        yield f"the test set is stated as {result.test}, the counts are of {test}"
    try:
        measured = measure(result.slices)
    except MetricError as error:
        yield str(error)
        return
    for name in segmentation.STRUCTURES:
        stated, computed = getattr(result.metrics, name).model_dump(), getattr(measured, name).model_dump()
        if any(differences(name, stated, computed)):
            yield f"the metrics of {name} are not those of the counts"
    yield from _of_training(result)
    yield from _against_suite(result)


def _of_pixels(result: SegmentationResult) -> Iterator[str]:
    for row in result.slices:
        totals = {sum(getattr(row, name)) for name in segmentation.STRUCTURES}
        if totals != {result.size**2}:
            yield f"{row.image_id} has {sorted(totals)} pixels, not {result.size**2}"
        for what, wrong in (("true", 2), ("found", 1)):
            ggo, solid, both = (
                pixels[0] + pixels[wrong] for pixels in (row.ggo, row.consolidation, row.infection)
            )
            if ggo + solid != both:
                yield f"{row.image_id} has {both} {what} pixels of infection, not {ggo} + {solid}"


def _of_training(result: SegmentationResult) -> Iterator[str]:
    made_of = result.composition
    for name, count in expected_counts(result.regime_rule, made_of.available).items():
        if getattr(made_of, name) != count:
            yield f"the regime leads to {count} {name} slices, {getattr(made_of, name)} are stated"
    if made_of.available != result.train.slices:
        yield f"{result.train.slices} training slices are not the {made_of.available} available ones"
    released = made_of.synthetic + made_of.undrawn
    if bool(released) != (result.dataset is not None):
        yield f"{released} slices of the dataset {result.dataset}"
    if result.limit is not None and made_of.available > result.limit:
        yield f"a limit of {result.limit} allows no {made_of.available} real slices"
    if result.fitting.best_epoch > result.fitting.epochs:
        yield f"epoch {result.fitting.best_epoch} was kept of {result.fitting.epochs}"
    if result.protocol_rule.apart == "patient":
        sides = [set(part.patients) for part in (result.train, result.validation, result.test)]
        if len(set().union(*sides)) < sum(map(len, sides)):
            yield "a patient stands on two sides"


def _against_suite(result: SegmentationResult) -> Iterator[str]:
    """Differences from the suite of that name and version, where the package has it."""
    suite = result.known_suite()
    if suite is None:
        return
    if not isinstance(suite, SegmentationSuite):
        yield f"suite {suite.name} {suite.version} is one of {suite.kind}"
        return
    named = f"suite {suite.name} {suite.version}"
    if suite.regimes.get(result.regime) != result.regime_rule:
        yield f"{named} has no such regime as {result.regime!r} is stated to be"
    if suite.protocols.get(result.protocol) != result.protocol_rule:
        yield f"{named} has no such protocol as {result.protocol!r} is stated to be"
    profile = suite.profiles.get(result.profile)
    if profile is None or (profile.network, profile.training) != (result.network, result.training):
        yield f"{named} has no such profile as {result.profile!r} is stated to be"


def slice_counts(patients: Sequence[str]) -> SliceCounts:
    """The part whose slices are of these patients."""
    return SliceCounts(slices=len(patients), patients=list(dict.fromkeys(patients)))


def expected_counts(regime: Regime, available: int) -> dict[str, int]:
    """The counts that a regime must lead to."""
    count = round((regime.fraction or 0) * available)
    taken = count if regime.kind in ("replace", "remove") else 0
    return {
        "real": available - taken,
        "synthetic": count if regime.drawn else 0,
        "repeated": count if regime.kind == "duplicate" else 0,
        "augmented": count if regime.kind in ("augment", "strong") else 0,
        "undrawn": count if regime.kind == "undrawn" else 0,
    }
