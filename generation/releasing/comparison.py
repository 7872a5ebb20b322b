"""Compare a released row with the same row made again: columns, pixels, and the report."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.errors import CorruptRelease
from covid_synth_data.files.pixels import load_grey

BOUND: Final = 40.0
"""PSNR in dB that a row made on another kind of device or with other libraries must reach. One grey level in
every pixel is 48 dB, arithmetic in bf16 instead of fp32 about 45; a crop that is off by a hundredth of the
film's side, or another film, is below 25."""

EXACT, CLOSE, DIFFERS = "exact", "close", "differs"


@dataclass(frozen=True)
class RowComparison:
    """A row made again.

    `columns` are those that differ from the plan, the image aside. `bytes_equal` compares the encoded images,
    `largest` is the largest difference in grey levels, `psnr` in dB (None where no pixel differs), `verdict`
    "exact", "close" or "differs".
    """

    image_id: str
    subset: str
    columns: list[str]
    bytes_equal: bool
    largest: int
    psnr: float | None
    verdict: str


@dataclass(frozen=True)
class SourceMatch:
    """By source: whether the user's films are those that a subset was made from (equal fingerprints)."""

    subset: str
    agree: dict[str, bool]


@dataclass(frozen=True)
class Report:
    """The result of `reproduce`. `exact`: whether all pixels must be equal; `why`: the reason if not."""

    release: str
    device: str
    exact: bool
    why: list[str]
    films: list[SourceMatch]
    rows: list[RowComparison]

    @property
    def passed(self) -> bool:
        """Whether no row differs by more than is allowed."""
        return all(row.verdict != DIFFERS for row in self.rows)

    def json(self) -> str:
        """For a script."""
        return json.dumps({**asdict(self), "bound": BOUND, "passed": self.passed}, indent=1)

    def text(self) -> str:
        """As text: the requirement, a table by subset, and the rows that differ."""
        required = "every pixel the same" if self.exact else f"at least {BOUND:g} dB ({'; '.join(self.why)})"
        lines = [f"{self.release}, made again on {self.device}; required: {required}"]
        for match in self.films:
            lines += [
                f"films of {match.subset} from {source}: " + ("as published" if same else "not the same set")
                for source, same in match.agree.items()
            ]
        head = ("subset", "rows", "exact", "close", "differ", "same bytes", "largest", "lowest PSNR")
        lines += ["", "".join(f"{name:>12}" for name in head)]
        groups: dict[str, list[RowComparison]] = defaultdict(list)
        for row in self.rows:
            groups[row.subset].append(row)
        lines += ["".join(f"{cell!s:>12}" for cell in _cells(name, rows)) for name, rows in groups.items()]
        wrong = [row for row in self.rows if row.verdict == DIFFERS]
        return "\n".join([*lines, *(_described(row) for row in wrong[:10])])


def _cells(name: str, rows: Sequence[RowComparison]) -> list[Any]:
    """The line of a subset in the table."""
    lowest = min((row.psnr for row in rows if row.psnr is not None), default=None)
    return [
        name,
        len(rows),
        *([row.verdict for row in rows].count(kind) for kind in (EXACT, CLOSE, DIFFERS)),
        sum(row.bytes_equal for row in rows),
        max(row.largest for row in rows),
        f"{lowest:.1f} dB" if lowest is not None else "-",
    ]


def _described(row: RowComparison) -> str:
    """The line of a row that differs."""
    columns = f"columns {', '.join(row.columns)}; " if row.columns else ""
    pixels = f"largest {row.largest}, {row.psnr:.1f} dB" if row.psnr is not None else "the same pixels"
    return f"differs: {row.image_id}, {columns}{pixels}"


def compare(released: dict[str, Any], planned: dict[str, Any], subset: str, exact: bool) -> RowComparison:
    """A released row against the row that was planned and made again, images as a reader sees them: decoded.

    `planned` has every column, its image encoded as the release has it. All columns but the image must be
    equal; the image must be the same in every pixel, or within `BOUND` where not `exact`. Raises
    `CorruptRelease` for a row without an image, `BadImage`.
    """
    columns = [name for name in planned if name != "image" and not _same(released.get(name), planned[name])]
    name = str(planned["image_id"])
    old, new = _bytes(released["image"], name), planned["image"]["bytes"]
    before, now = (
        load_grey(old, name=f"the image of {name}").astype(np.int64),
        load_grey(new).astype(np.int64),
    )
    if before.shape != now.shape:
        return RowComparison(name, subset, columns, False, 255, 0.0, DIFFERS)
    if (released["image"] or {}).get("path") != planned["image"]["path"]:
        columns.append("image.path")
    psnr = ratio(before, now)
    close = not exact and psnr is not None and psnr >= BOUND
    verdict = DIFFERS if columns else EXACT if psnr is None else CLOSE if close else DIFFERS
    return RowComparison(name, subset, columns, old == new, int(np.abs(before - now).max()), psnr, verdict)


def _same(released: Any, planned: Any) -> bool:
    """Whether two cells are equal; pictures such as a mask where all their pixels are."""
    if not isinstance(planned, dict):
        return bool(released == planned)
    if not isinstance(released, dict) or released.get("path") != planned["path"]:
        return False
    if released.get("bytes") is None:
        return False
    return np.array_equal(load_grey(released["bytes"], name=planned["path"]), load_grey(planned["bytes"]))


def _bytes(cell: Any, name: str) -> bytes:
    """The encoded image of a cell. Raises `CorruptRelease` where there is none."""
    content = (cell or {}).get("bytes")
    if content is None:
        raise CorruptRelease(
            f"the row {name} has no image",
            found="no bytes",
            expected="an encoded image",
            hint="fetch the release again",
        )
    return bytes(content)


def ratio(old: npt.NDArray[Any], new: npt.NDArray[Any]) -> float | None:
    """Peak signal-to-noise ratio in dB of arrays in [0, 255]; None where they are the same."""
    error = float(np.mean((np.asarray(old, np.float64) - np.asarray(new, np.float64)) ** 2))
    return 10 * math.log10(255**2 / error) if error else None
