"""A result file: everything about one training of a U-Net, down to the counts of pixels of each test slice.

The counts are in the file, so whoever has it can compute every metric again; `validate_result` does and
refuses a file whose numbers do not follow from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, FiniteFloat

from covid_synth_data.benchmark.results import Code, Count, Dataset, Hardware, Sha256, files_named, parse
from covid_synth_data.benchmark.segmentation.composition import Composition, expected
from covid_synth_data.benchmark.segmentation.suite import (
    Network,
    Protocol,
    Regime,
    Training,
    list_suites,
    load_suite,
)
from covid_synth_data.benchmark.suite import Name, Version
from covid_synth_data.errors import MetricError, ResultError
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics import segmentation

SEED: Final = 0
"""Of the random parts and the bootstrap, which are part of the metric and not of the experiment."""

Pixels = Annotated[list[Count], Field(min_length=4, max_length=4)]


class Slice(FrozenModel):
    """One test slice: for each structure the pixels tp, fp, fn, tn."""

    image_id: str
    patient_id: str
    slice: Count
    ggo: Pixels
    consolidation: Pixels
    infection: Pixels


class Part(FrozenModel):
    """The slices of training, validation or test."""

    slices: Annotated[int, Field(gt=0)]
    patients: Annotated[list[str], Field(min_length=1)]


class Fitting(FrozenModel):
    """How the training went: the epoch that was kept, and its mean Dice on the validation slices."""

    epochs: Annotated[int, Field(ge=1)]
    best_epoch: Annotated[int, Field(ge=1)]
    validation_dice: Annotated[FiniteFloat, Field(ge=0, le=1)]


class Result(FrozenModel):
    """The whole file.

    `size` is the side at which slices were segmented and measured; `inputs` is a digest of all that the
    counts depend on, machine and time aside; `limit` is the largest number of real training slices that was
    allowed, `dataset` the release whose slices were trained on, if any were; `notes` say what a reader should
    know.
    """

    format: Literal[1] = 1
    kind: Literal["segmentation"] = "segmentation"
    suite: Name
    suite_version: Version
    protocol: Name
    protocol_rule: Protocol
    profile: Name
    regime: Name
    regime_rule: Regime
    seed: Count
    size: Annotated[int, Field(ge=32)]
    network: Network
    training: Training
    source: Name
    inputs: Sha256
    limit: int | None
    composition: Composition
    train: Part
    validation: Part
    test: Part
    dataset: Dataset | None
    notes: list[str]
    fitting: Fitting
    metrics: segmentation.Segmentation
    code: Code
    hardware: Hardware
    seconds: Annotated[FiniteFloat, Field(ge=0)]
    slices: Annotated[list[Slice], Field(min_length=1)]


def measure(slices: Sequence[Slice]) -> segmentation.Segmentation:
    """The metrics of a test set, as every result file states them."""
    patients = [row.patient_id for row in slices]
    found = {
        name: segmentation.evaluate([getattr(row, name) for row in slices], patients, seed=SEED)
        for name in segmentation.STRUCTURES
    }
    return segmentation.Segmentation(**found)


def path_of(out: Path, suite: str, protocol: str, profile: str, regime: str, seed: int) -> Path:
    """Where the result of one run belongs below `out`."""
    return out / suite / protocol / profile / regime / f"segmentation-{seed}.json"


def find(folder: Path) -> list[Path]:
    """All result files below `folder`, sorted. Raises `ResultError` when there is none."""
    return files_named(folder, "segmentation-*.json")


def read_result(path: Path) -> Result:
    """The file at `path`, of the right form; its numbers are not checked. Raises `ResultError`."""
    return parse(path, Result)


def validate_result(path: str | Path) -> Result:
    """The file at `path` once everything in it has been checked against its own counts and its suite.

    Raises `ResultError` for a missing or unknown field, a slice that occurs twice, counts that do not add up,
    a metric that is not that of the counts, a training set that is not what the regime says, patients on both
    sides, or a rule that the suite of that version does not have.
    """
    result = read_result(Path(path))
    for problem in _problems(result):
        raise ResultError(
            f"{path} contradicts itself: {problem}", hint="remove the file and run that part again"
        )
    return result


def _problems(result: Result) -> Iterator[str]:
    """One line for each thing that does not hold, the most telling first."""
    twice = [name for name, n in Counter(row.image_id for row in result.slices).items() if n > 1]
    if twice:
        yield f"{len(twice)} slices occur more than once, the first is {twice[0]!r}"
    yield from _of_pixels(result)
    test = part_of([row.patient_id for row in result.slices])
    if test != result.test:
        yield f"the test set is stated as {result.test}, the counts are of {test}"
    try:
        measured = measure(result.slices)
    except MetricError as error:
        yield str(error)
        return
    for name in segmentation.STRUCTURES:
        # Equal to the last digit: both are the same arithmetic on whole numbers.
        if getattr(measured, name) != getattr(result.metrics, name) and not _close(
            getattr(measured, name).model_dump(), getattr(result.metrics, name).model_dump()
        ):
            yield f"the metrics of {name} are not those of the counts"
    yield from _of_training(result)
    yield from _against_suite(result)


def _close(one: object, other: object) -> bool:
    """Equal but for rounding, which libraries may do differently."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_close(one[key], other[key]) for key in one)
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-9
    return one == other


def _of_pixels(result: Result) -> Iterator[str]:
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


def _of_training(result: Result) -> Iterator[str]:
    made_of = result.composition
    for name, count in expected(result.regime_rule, made_of.available).items():
        if getattr(made_of, name) != count:
            yield f"the regime leads to {count} {name} slices, {getattr(made_of, name)} are stated"
    if made_of.available != result.train.slices:
        yield f"{result.train.slices} training slices are not the {made_of.available} available ones"
    if bool(made_of.synthetic) != (result.dataset is not None):
        yield f"{made_of.synthetic} synthetic slices of the dataset {result.dataset}"
    if result.limit is not None and made_of.available > result.limit:
        yield f"a limit of {result.limit} allows no {made_of.available} real slices"
    if result.fitting.best_epoch > result.fitting.epochs:
        yield f"epoch {result.fitting.best_epoch} was kept of {result.fitting.epochs}"
    if result.protocol_rule.apart == "patient":
        sides = [set(part.patients) for part in (result.train, result.validation, result.test)]
        if len(set().union(*sides)) < sum(map(len, sides)):
            yield "a patient stands on two sides"


def _against_suite(result: Result) -> Iterator[str]:
    """What differs from the suite of that name and version, where the package has it."""
    suite = load_suite(result.suite) if result.suite in list_suites() else None
    if suite is None or suite.version != result.suite_version:
        return
    named = f"suite {suite.name} {suite.version}"
    if suite.regimes.get(result.regime) != result.regime_rule:
        yield f"{named} has no such regime as {result.regime!r} is stated to be"
    if suite.protocols.get(result.protocol) != result.protocol_rule:
        yield f"{named} has no such protocol as {result.protocol!r} is stated to be"
    profile = suite.profiles.get(result.profile)
    if profile is None or (profile.network, profile.training) != (result.network, result.training):
        yield f"{named} has no such profile as {result.profile!r} is stated to be"


def part_of(patients: Sequence[str]) -> Part:
    """The part whose slices are of these patients."""
    return Part(slices=len(patients), patients=list(dict.fromkeys(patients)))
