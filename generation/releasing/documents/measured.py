"""Numbers that were measured, each tied to the result files it comes from: nothing else reaches a card."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, FiniteFloat, ValidationError
from pydantic_core import from_json

from covid_synth_data import catalog
from covid_synth_data.audit.version_table import VersionTable
from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.reporting import tables
from covid_synth_data.benchmark.reporting.collect import Group, collect
from covid_synth_data.benchmark.results import archives
from covid_synth_data.benchmark.results.reading import PATTERNS
from covid_synth_data.benchmark.suite import is_suite, load_suite
from covid_synth_data.errors import ResultError
from covid_synth_data.files.models import FrozenModel, invalid
from covid_synth_data.machine import Code
from covid_synth_data.release.manifest import Manifest

_NAMES: Final = ("suite", "suite_version", "task", "preprocessing", "model", "regime")
"""What names a row of a benchmark in a result file."""

KINDS: Final = ("fidelity", "privacy")


@dataclass(frozen=True)
class Evidence:
    """A result file: POSIX path below the folder of results, and sha256 of its content."""

    path: str
    sha256: str

    def __str__(self) -> str:
        """As named in a card."""
        return f"`{self.path}` (sha256 `{self.sha256[:12]}`)"


@dataclass(frozen=True)
class Number:
    """A measured number with its interval, where it has one, and the files it was computed from."""

    value: float
    evidence: tuple[Evidence, ...]
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` for a number that no file stands behind."""
        if not self.evidence:
            raise ValueError(f"the number {self.value} has no result file behind it")

    def __str__(self) -> str:
        """Counts with thousands separators, the rest with three decimals."""
        text = f"{self.value:,}" if isinstance(self.value, int) else f"{self.value:.3f}"
        return text if self.low is None else f"{text} [{self.low:.3f} to {self.high:.3f}]"


@dataclass(frozen=True)
class BenchmarkRow:
    """A model trained on one regime: cells in the order of the block's header, and the files behind them."""

    model: str
    regime: str
    cells: tuple[tuple[Number, ...], ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class BenchmarkBlock:
    """The rows of one task of one suite, with what a reader must know before believing them.

    `evidence` is what stands behind all rows alike, such as an archive; empty where it differs by row.
    """

    title: str
    tested: tuple[Number, Number, Number]
    header: tuple[str, ...]
    rows: tuple[BenchmarkRow, ...]
    remarks: tuple[str, ...]
    evidence: tuple[Evidence, ...]


class Metric(FrozenModel):
    """One number of a measurement; `low` and `high` its interval, `n` the images it was computed from."""

    name: str
    value: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    n: Annotated[int, Field(gt=0)]


class Measurement(FrozenModel):
    """A result file of a property of the images themselves, under KIND/ in the folder of results."""

    format: Literal[1]
    kind: Literal["fidelity", "privacy"]
    dataset: results.Dataset
    subset: str
    metrics: Annotated[list[Metric], Field(min_length=1)]
    notes: list[str]
    code: Code


@dataclass(frozen=True)
class PropertyRow:
    """A metric of a subset."""

    subset: str
    name: str
    value: Number
    n: Number
    evidence: Evidence


@dataclass(frozen=True)
class Measured:
    """All that result files say about one version of a dataset."""

    benchmark: tuple[BenchmarkBlock, ...] = ()
    fidelity: tuple[PropertyRow, ...] = ()
    privacy: tuple[PropertyRow, ...] = ()
    images: VersionTable | None = None
    """The headline values of the audits."""
    audits: tuple[Evidence, ...] = ()
    """The audits that `images` was made from."""


def read(folder: Path | None, listed: Manifest, groups: Sequence[Group] | None = None) -> Measured:
    """The results below `folder` about the images of the release; nothing where it is None.

    `groups` are what `collect` read in `folder` before.

    Benchmark rows of versions with other images are left out; rows on real films alone stay, as the line to
    compare with, where the same model was also measured with these images. Raises `ResultError`.
    """
    if folder is None:
        return Measured()
    if not folder.is_dir():
        raise ResultError(
            f"no folder {folder}", expected="the folder that a benchmark run wrote to", hint="check the path"
        )
    properties = {kind: _properties(folder, kind, listed) for kind in KINDS}
    return Measured(_benchmark(folder, listed, groups), properties["fidelity"], properties["privacy"])


def same_configs(listed: Manifest, configs: Iterable[str], version: str) -> bool:
    """Whether `version` has the images that these configs have in the release; see `Manifest.same_images`.

    A config that the catalog does not know has the same images in the same version alone.
    """
    if version == listed.version:
        return True
    known = {entry.config: entry.subsets for entry in catalog.DATASETS if entry.dataset == listed.name}
    wanted = list(configs)
    return all(name in known and listed.same_images(known[name], version) for name in wanted)


def _evidence(folder: Path, path: Path) -> Evidence:
    return Evidence(path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())


def _files(folder: Path) -> Iterator[tuple[Path, Evidence]]:
    """Every result file of a classifier, and what to name for it: the file, or the archive that holds it."""
    for path in sorted(folder.rglob(PATTERNS["classification"])):
        yield path, _evidence(folder, path)
    packed = sorted(folder.rglob(f"*{archives.SUFFIX}"))
    for archive, inside in zip(packed, archives.unpacked(folder), strict=True):
        evidence = _evidence(folder, archive)
        for path in sorted(inside.rglob(PATTERNS["classification"])):
            yield path, evidence


def _benchmark(
    folder: Path, listed: Manifest, read_before: Sequence[Group] | None
) -> tuple[BenchmarkBlock, ...]:
    if not results.has(folder, "classification"):
        return ()
    groups = collect(folder) if read_before is None else read_before
    rows = [tables.row_of(group) for group in groups]
    files: dict[tuple[str, ...], list[Evidence]] = defaultdict(list)
    for path, evidence in _files(folder):
        # `summarise` has validated every file; here its names are enough.
        stated = from_json(path.read_bytes())
        mine = files[tuple(str(stated.get(name)) for name in _NAMES)]
        if evidence not in mine:
            mine.append(evidence)
    together: dict[tuple[str, ...], list[tables.Row]] = defaultdict(list)
    for row in rows:
        if row.dataset is None or _of(row, listed):
            together[row.suite, row.suite_version, row.task, row.preprocessing].append(row)
    blocks = []
    for rows in together.values():
        ours = {row.model for row in rows if row.dataset is not None}
        kept = [row for row in rows if row.model in ours]
        if kept:
            blocks.append(_block(kept, files))
    return tuple(blocks)


def _of(row: tables.Row, listed: Manifest) -> bool:
    """Whether a row was trained on images that are those of the release."""
    name, _, version = (row.dataset or "").rpartition(" ")
    return name == listed.name and same_configs(listed, row.synthetic, version)


def _block(rows: Sequence[tables.Row], files: dict[tuple[str, ...], list[Evidence]]) -> BenchmarkBlock:
    first = rows[0]

    def behind(row: tables.Row) -> tuple[Evidence, ...]:
        return tuple(files[row.suite, row.suite_version, row.task, row.preprocessing, row.model, row.regime])

    points = list(first.sensitivity_at)
    caution = load_suite(first.suite).caution if is_suite(first.suite) else None
    remarks = dict.fromkeys([*([caution] if caution else []), *(note for row in rows for note in row.notes)])
    return BenchmarkBlock(
        title=f"{first.suite} {first.suite_version}, {first.task} ({first.protocol}), {first.preprocessing}"
        " films",
        tested=(
            Number(first.test_positives, behind(first)),
            Number(first.test_negatives, behind(first)),
            Number(first.test_patients, behind(first)),
        ),
        header=(
            "real - / real +",
            "synthetic",
            "skew",
            "seeds",
            "false negatives, mean",
            "sensitivity at 0.5",
            "specificity at 0.5",
            "AUC",
            *(f"sensitivity at specificity {point}" for point in points),
        ),
        rows=tuple(_row(row, behind(row), points) for row in rows),
        remarks=tuple(remarks),
        evidence=behind(first) if len({behind(row) for row in rows}) == 1 else (),
    )


def _row(row: tables.Row, files: tuple[Evidence, ...], points: list[str]) -> BenchmarkRow:
    def cell(of: tables.Cell) -> tuple[Number, ...]:
        return (Number(of.mean, files, of.low, of.high),)

    def counts(*values: float) -> tuple[Number, ...]:
        return tuple(Number(value, files) for value in values)

    cells = (
        counts(row.real_negatives, row.real_positives),
        counts(*row.synthetic.values()),
        counts(row.skew),
        counts(len(row.seeds)),
        counts(sum(row.false_negatives) / len(row.false_negatives)),
        cell(row.sensitivity),
        cell(row.specificity),
        cell(row.auc),
        *(cell(row.sensitivity_at[point]) for point in points),
    )
    return BenchmarkRow(f"{row.model} ({row.weights})", row.regime, cells, files)


def _properties(folder: Path, kind: str, listed: Manifest) -> tuple[PropertyRow, ...]:
    rows = []
    for path in sorted((folder / kind).rglob("*.json")):
        try:
            measured = Measurement.model_validate_json(path.read_bytes())
        except ValidationError as error:
            what = f"{path} is not a result file of {kind}"
            raise invalid(ResultError, what, error, Measurement, "measure it again") from error
        if measured.kind != kind:
            raise ResultError(f"{path} is in the wrong folder", found=measured.kind, expected=kind)
        version = measured.dataset.version
        if (
            measured.dataset.name == listed.name
            and version
            and listed.same_images([measured.subset], version)
        ):
            file = _evidence(folder, path)
            rows += [
                PropertyRow(
                    measured.subset,
                    metric.name,
                    Number(metric.value, (file,), metric.low, metric.high),
                    Number(metric.n, (file,)),
                    file,
                )
                for metric in measured.metrics
            ]
    return tuple(rows)
