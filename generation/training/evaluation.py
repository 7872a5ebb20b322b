"""Evaluations: at fixed steps of a run, samples are drawn, shown in a picture, measured, and checked."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save

from covid_synth_data.classifiers.extractor import Extractor
from covid_synth_data.errors import DivergedError
from covid_synth_data.files.atomic import replacing
from covid_synth_data.metrics import fidelity
from generation.data.batches import Batches
from generation.training import grid, log
from generation.training.family import Family

CHECKED: Final = 64
"""Samples whose diversity is measured where no Frechet distance is."""
PATIENCE: Final = 3
"""Evaluations in a row with samples that are all alike, before a run is given up."""
ROWS: Final = 6


class Evaluations:
    """The evaluations of one run: `samples/step-NNNNNNNN.png`, `looks.jsonl`, and the best weights so far.

    A line of `looks.jsonl` has the step, the diversity of samples and of films (mean over pixels of the
    standard deviation over images, in grey levels) and, where the recipe measures it, the Frechet distance
    and the kernel distance of the samples to the training films, with the number of both and the network
    whose features they compare. The distance to training films shows how far the training has come. It does
    not show how good the samples are: copies would have the lowest.
    """

    def __init__(self, folder: Path, trainee: Family[Any], batches: Batches, total: int, start: int) -> None:
        """`total` steps in all; goes on at step `start`."""
        self.folder, self.trainee, self.batches = folder, trainee, batches
        schedule = trainee.recipe.training
        self.schedule = schedule
        self.at = {round(total * (k + 1) / schedule.looks) for k in range(schedule.looks)} | {total}
        self.total = total
        self.records = log.kept_lines(folder / "looks.jsonl", start + 1)
        self.alike = 0

    @property
    def suspicious(self) -> bool:
        """Whether the last samples were all alike, so that nothing should be saved as good."""
        return self.alike > 0

    def evaluate(self, step: int) -> None:
        """Draw, show, measure, check. Raises `DivergedError` after `PATIENCE` collapses in a row."""
        columns = self.trainee.preview(self.batches, ROWS)
        grid.write(self.folder / "samples" / f"step-{step:08d}.png", columns)
        record = {"step": step, **self._measure(), **self.trainee.measures(self.batches)}
        previous = [earlier["frechet"] for earlier in self.records if "frechet" in earlier]
        if self.schedule.keep == "best" and record["frechet"] < min(previous, default=float("inf")):
            self._keep()
        self.records.append(record)
        log.append(self.folder / "looks.jsonl", [record])
        self._check(step, record)

    def _measure(self) -> dict[str, Any]:
        count = self.schedule.frechet or CHECKED
        real = self.batches.real(count)
        made = self.trainee.samples(count, self.batches)
        record: dict[str, Any] = {
            "diversity": round(fidelity.diversity(made), 4),
            "diversity_films": round(fidelity.diversity(real), 4),
        }
        if self.schedule.frechet:
            features = self._extractor(made)
            kernel = fidelity.kernel_distance(self._real_features, features)
            record |= {
                "frechet": round(fidelity.frechet_distance(self._real_features, features), 4),
                "kernel": round(kernel.value, 6),
                "kernel_spread": round(kernel.spread, 6),
                "samples": len(made),
                "films": len(real),
                "features": self._extractor.name,
            }
        return record

    @cached_property
    def _extractor(self) -> Extractor:
        return Extractor(self.trainee.fabric.device)

    @cached_property
    def _real_features(self) -> Any:
        return self._extractor(self.batches.real(self.schedule.frechet))

    def _check(self, step: int, record: dict[str, Any]) -> None:
        """Before half of the schedule samples may be alike unless they were diverse once."""
        threshold = self.schedule.collapse * record["diversity_films"]
        armed = step >= self.total / 2 or any(
            earlier["diversity"] > 2 * threshold for earlier in self.records[:-1]
        )
        self.alike = self.alike + 1 if armed and record["diversity"] < threshold else 0
        if self.alike >= PATIENCE:
            raise DivergedError(
                f"the samples are all alike at step {step}",
                found=f"diversity {record['diversity']:.2f} grey levels",
                expected=f"at least {threshold:.2f} (training.collapse of the films')",
                hint="the last good checkpoint is kept; change the learning rate, the losses or the films",
            )

    def _keep(self) -> None:
        content = save({k: v.detach().cpu().contiguous() for k, v in self._weights().items()})
        with replacing(self.folder / "best.safetensors") as temporary:
            temporary.write_bytes(content)

    def _weights(self) -> dict[str, torch.Tensor]:
        return self.trainee.inference_network().state_dict()

    def kept(self) -> tuple[dict[str, torch.Tensor], int]:
        """The weights to release and the step that they are of."""
        if self.schedule.keep == "best":
            best = min(self.records, key=lambda record: record["frechet"])
            return load_file(self.folder / "best.safetensors"), int(best["step"])
        return self._weights(), self.total
