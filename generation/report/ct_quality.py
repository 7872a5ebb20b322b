"""Table II of jiang2020: how near drawn test slices are to the real ones, complemented and as lungs alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import Field

from covid_synth_data.classifiers.extractor import Extractor
from covid_synth_data.ct.complement import complement, lung_only
from covid_synth_data.ct.slices import read_slice
from covid_synth_data.errors import EmptySplit
from covid_synth_data.files.atomic import write_text
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.files.pixels import Grey
from covid_synth_data.metrics import image_quality
from generation.data.slices import split_of
from generation.kinds.label_maps import LABEL_MAPS, recipe_of
from generation.report.ct_figures import drawn

AREAS: Final = ("complemented", "lung")
EXTRACTOR: Final = "EfficientNet-Lite0, ImageNet weights (lite0-frozen)"


class QualityResult(FrozenModel):
    """The file of one generator: both areas on the test slices of its split."""

    format: Literal[1] = 1
    kind: Literal["ct-quality"] = "ct-quality"
    generator: str
    weights_sha256: str
    split: str
    split_seed: int
    slices: Annotated[int, Field(gt=0)]
    patients: list[str]
    complemented: image_quality.Quality
    lung: image_quality.Quality


def measure(
    weights: Path,
    root: Path | None,
    *,
    side: int | None = None,
    device: str = "auto",
    features: Extractor | None = None,
    limit: int | None = None,
) -> QualityResult:
    """Draw the generation-test slices of the split that the weights were trained by, and compare.

    At `side` (None: the generator's own size). `features` takes the features of the Frechet distance (None:
    a new `Extractor`); of few slices it is mostly bias, so compare only values of as many slices. `limit` is
    the largest number of slices. Raises `WeightsError`, and what `plan_slices` raises.
    """
    generator = LABEL_MAPS.load(weights, device)
    recipe = recipe_of(weights)
    rows = split_of(recipe.data, root).generation_test[:limit]
    if len(rows) < 2:
        raise EmptySplit("too few test slices to measure", found=str(len(rows)), expected="2 or more")
    side = side or generator.card.size
    pairs = [read_slice(row, side) for row in rows]
    real = np.stack([np.rint(image * 255).astype(np.uint8) for image, _ in pairs])
    masks = np.stack([mask for _, mask in pairs])
    lungs = lung_only(drawn(generator, masks, side), masks)
    extract = features or Extractor(device)
    return QualityResult(
        generator=generator.card.name,
        weights_sha256=generator.card.sha256,
        split=recipe.data.split,
        split_seed=recipe.data.split_seed,
        slices=len(rows),
        patients=list(dict.fromkeys(str(row["patient_id"]) for row in rows)),
        complemented=_quality(real, complement(lungs, real, masks), extract),
        lung=_quality(lung_only(real, masks), lungs, extract),
    )


def write(result: QualityResult, path: Path) -> None:
    """Write the result as JSON. Raises `OutputError`."""
    write_text(path, json.dumps(result.model_dump(), indent=1) + "\n")


def table(results: Sequence[QualityResult]) -> str:
    """Markdown in the form of Table II, a row per generator."""
    heads = ["FID (lite0)", "PSNR", "SSIM", "RMSE"]
    lines = [
        "| generator | slices | " + " | ".join(f"{area} {head}" for area in AREAS for head in heads) + " |",
        "|---|---:|" + "---:|" * (len(AREAS) * len(heads)),
    ]
    for result in results:
        cells = [cell for area in AREAS for cell in _cells(getattr(result, area))]
        lines.append(f"| {result.generator} | {result.slices} | " + " | ".join(cells) + " |")
    note = (
        f"FID: squared Frechet distance of {EXTRACTOR}, not of Inception; else means over slices, grey in"
        " [0, 1]. Not on the scale of the paper's FID, nor of its RMSE."
    )
    return "\n".join([*lines, "", note]) + "\n"


def _cells(quality: image_quality.Quality) -> list[str]:
    fid = f"{quality.fid.value:.1f}" if quality.fid else "n/a"
    means = [(quality.psnr.mean, 2), (quality.ssim.mean, 4), (quality.rmse.mean, 4)]
    return [fid, *("n/a" if mean is None else f"{mean:.{digits}f}" for mean, digits in means)]


def _quality(real: Grey, made: Grey, extract: Extractor) -> image_quality.Quality:
    fid = image_quality.frechet(extract(real), extract(made), EXTRACTOR)
    return image_quality.evaluate(real.astype(np.float32) / 255, made.astype(np.float32) / 255, fid)
