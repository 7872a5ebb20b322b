"""`metrics.jsonl`: the losses of every step, and the point where one of them has gone wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from covid_synth_data.errors import DivergedError
from covid_synth_data.files.atomic import output_errors, write_text


def kept_lines(path: Path, start: int) -> list[dict[str, Any]]:
    """The records of `path` before step `start`; later ones are taken out, their steps are done again."""
    kept = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                break  # the line that a stop cut off
            if record["step"] < start:
                kept.append(record)
        write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
    return kept


def append(path: Path, records: list[dict[str, Any]]) -> None:
    """Add a line for each of `records`. Raises `OutputError`."""
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", newline="") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)


class Log:
    """`metrics.jsonl`, one line a step, written some steps at a time so that a GPU need not wait."""

    def __init__(self, path: Path, start: int, active: bool, limit: float) -> None:
        """Goes on at step `start`; only an `active` log writes. A loss beyond `limit` has exploded."""
        self.path, self.active, self.limit = path, active, limit
        self.waiting: list[tuple[int, int, Tensor]] = []
        self.names: list[str] = []
        self.summary = ""
        if active:
            kept_lines(path, start)

    def add(self, step: int, epoch: int, losses: Mapping[str, Tensor]) -> None:
        """Remember the losses of a step, on the device."""
        self.names = list(losses)
        self.waiting.append((step, epoch, torch.stack([value.float() for value in losses.values()])))

    def flush(self) -> None:
        """Write what waits. Raises `DivergedError` on a loss that is not finite or beyond the limit."""
        if not self.waiting:
            return
        values = torch.stack([row for _, _, row in self.waiting]).tolist()
        records = []
        for (step, epoch, _), row in zip(self.waiting, values, strict=True):
            if not all(math.isfinite(value) and abs(value) <= self.limit for value in row):
                raise DivergedError(
                    f"training diverged at step {step}",
                    found=", ".join(f"{n} {v:g}" for n, v in zip(self.names, row, strict=True)),
                    expected=f"finite losses of at most {self.limit:g} (training.loss_limit)",
                    hint="lower training.learning_rate; the last good checkpoint is kept",
                )
            record: dict[str, float] = {"step": step, "epoch": epoch}
            records.append(record | {n: float(f"{v:.6g}") for n, v in zip(self.names, row, strict=True)})
        means = [sum(column) / len(column) for column in zip(*values, strict=True)]
        self.summary = " ".join(f"{n} {v:.3f}" for n, v in zip(self.names, means, strict=True))
        self.waiting.clear()
        if self.active:
            append(self.path, records)
