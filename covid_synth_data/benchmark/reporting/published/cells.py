"""The printed numbers, read from CSV files: one per table of a paper, a line per number."""

from __future__ import annotations

import csv
import importlib.resources
import io
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, FiniteFloat, ValidationError, model_validator

from covid_synth_data.errors import ConfigError
from covid_synth_data.files.models import FrozenModel, invalid

Metric = Literal[
    "accuracy",
    "auc",
    "dice",
    "fid",
    "fisher-p",
    "precision",
    "psnr",
    "rmse",
    "sensitivity",
    "skew",
    "specificity",
    "specificity-at-sensitivity",
    "ssim",
]

SHARES: Final = frozenset({"accuracy", "precision", "sensitivity", "specificity"})
"""Metrics that are a count of `n` films, in per cent."""


class Cell(FrozenModel):
    """One printed number.

    `paper` and `table` say where ("text" for the running text), `row` counts the lines of that table. `model`
    and `regime` are the paper's words, `model_here` and `regime_here` our names, "" where we have none;
    `against` is the other regime of a test. `value`, `low` and `high` are as printed, in `unit`; "p below" is
    a bound. `n` is how many films it was measured on and `count` how many of them are `count_of`: hits or
    misses; for a skew, n counts the positives and `count` the negatives. None: not printed.
    """

    file: str
    line: int
    paper: Annotated[str, Field(min_length=1)]
    table: Annotated[str, Field(min_length=1)]
    row: Annotated[int, Field(ge=1)]
    task: Annotated[str, Field(min_length=1)]
    model: str = ""
    model_here: str = ""
    regime: str = ""
    regime_here: str = ""
    against: str = ""
    metric: Metric
    value: Annotated[Decimal, Field(ge=0)]
    low: Annotated[FiniteFloat, Field(ge=0)] | None = None
    high: Annotated[FiniteFloat, Field(ge=0)] | None = None
    unit: Annotated[str, Field(min_length=1)]
    n: Annotated[int, Field(gt=0)] | None = None
    count: Annotated[int, Field(ge=0)] | None = None
    count_of: Literal["hits", "misses", "negatives"] | None = None
    note: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Cell:
        if (self.count is None) != (self.count_of is None) or (self.count is not None and self.n is None):
            raise ValueError("count, count_of and n belong together")
        if self.count_of in ("hits", "misses") and (self.count or 0) > (self.n or 0):
            raise ValueError("count is more than n")
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high belong together")
        if self.low is not None and self.high is not None and not self.low <= float(self.value) <= self.high:
            raise ValueError("value is not between low and high")
        if self.metric in SHARES and (self.unit != "%" or self.value > 100):
            raise ValueError("a share is in % and at most 100")
        return self

    @property
    def step(self) -> float:
        """One unit of the last printed digit."""
        return float(Decimal(1).scaleb(int(self.value.as_tuple().exponent)))

    def __str__(self) -> str:
        """As printed, with the counts and limits that stand beside it."""
        text = {"%": f"{self.value} %", "p": f"p = {self.value}", "p below": f"p < {self.value}"}.get(
            self.unit, str(self.value)
        )
        if self.count_of == "misses":
            text += f" ({self.count} FN)"
        elif self.count_of == "hits":
            text += f" ({self.count} of {self.n})"
        if self.low is not None and self.high is not None:
            text += f" [{self.low:.2f} to {self.high:.2f}]"
        return text


COLUMNS: Final = tuple(name for name in Cell.model_fields if name not in ("file", "line"))


def load(folder: str | Path | None = None) -> list[Cell]:
    """All cells of the CSV files in `folder`, in the order of file names and lines.

    None takes the tables that come with the package. Raises `ConfigError` naming file and line.
    """
    where = Path(folder) if folder is not None else _home()
    files = sorted(where.glob("*.csv")) if where.is_dir() else []
    if not files:
        raise ConfigError(
            f"no published tables in {where}",
            found="no files *.csv" if where.is_dir() else "no such folder",
            expected="the folder benchmarks/published of the project",
            hint="give the folder that holds them",
        )
    return [cell for file in files for cell in _read(file)]


def _home() -> Path:
    """The copy in an installed package, else the folder of a checkout."""
    packaged = Path(
        str(importlib.resources.files("covid_synth_data.benchmark.reporting.published") / "tables")
    )
    checkout = Path(__file__).resolve().parents[4] / "benchmarks" / "published"
    return packaged if packaged.is_dir() else checkout


def _read(file: Path) -> Iterator[Cell]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {file}", found=str(error), expected="CSV in UTF-8", hint="check the file"
        ) from error
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ConfigError(
                f"{file}, line 1: other columns than a published table has",
                found=", ".join(reader.fieldnames or ["nothing"]),
                expected=", ".join(COLUMNS),
            )
        for row in reader:
            yield _cell(file, reader.line_num, row)
    except csv.Error as error:
        raise ConfigError(f"{file}, line {reader.line_num}: not CSV", found=str(error)) from error


def _cell(file: Path, line: int, row: dict[str, str]) -> Cell:
    if None in row or None in row.values():
        raise ConfigError(
            f"{file}, line {line}: other number of fields than the header", expected=str(len(COLUMNS))
        )
    given = {name: text for name, text in row.items() if text != ""}
    try:
        return Cell.model_validate_strings({**given, "file": file.name, "line": str(line)})
    except ValidationError as error:
        raise invalid(ConfigError, f"{file}, line {line}", error, Cell, "mend that line") from error
