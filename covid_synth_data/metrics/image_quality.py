"""Image quality of a synthetic CT slice against the real slice of its label map: PSNR, SSIM, RMSE, and FID.

`real` and `fake` are float arrays (n, h, w) in [0, 1]; row i of both belongs to one label map. The caller
chooses the area: whole slices (the synthetic lung in the real body, "complemented"), or the lungs alone on
black. The caller also computes the features of the Frechet distance. Values of different areas, sizes or grey
scales cannot be compared; jiang2020, Table II, does not state the scales of its RMSE and FID.

torchmetrics, of the extra [ct], computes the metrics. Arrays that cannot be measured raise `MetricError`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field, FiniteFloat

from covid_synth_data.errors import MetricError, MissingExtra
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics import fidelity

Images = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

WINDOW: Final = 11
"""Side of the Gaussian window of SSIM (Wang et al. 2004); smaller slices have no SSIM."""

_CHUNK: Final = 16
"""Slices measured at once."""

Count = Annotated[int, Field(ge=0)]


class Average(FrozenModel):
    """Mean and standard deviation over `n` slices; None for none. `left_out` slices have no finite value."""

    mean: FiniteFloat | None
    deviation: FiniteFloat | None
    n: Count
    left_out: Count


class Distance(FrozenModel):
    """A squared Frechet distance, and whose features it is of: values of other extractors, or of other
    numbers of slices, cannot be compared."""

    value: Annotated[FiniteFloat, Field(ge=0)]
    extractor: str
    real: Annotated[int, Field(gt=1)]
    fake: Annotated[int, Field(gt=1)]


class Quality(FrozenModel):
    """All four on one set of slices. `psnr` is in dB, of a range of 1, and leaves out slices without any
    difference; `rmse` is in shares of that range; `fid` is None where no features were given."""

    side: int
    psnr: Average
    ssim: Average
    rmse: Average
    fid: Distance | None


def psnr(real: Images, fake: Images) -> Floats:
    """Peak signal-to-noise ratio of each slice in dB, (n,); infinite where nothing differs."""
    from_torch = _functional()

    def measure(first: Any, second: Any) -> Any:
        return from_torch.peak_signal_noise_ratio(
            first, second, data_range=1.0, reduction="none", dim=(1, 2, 3)
        )

    return _each(measure, *_pair(real, fake))


def ssim(real: Images, fake: Images) -> Floats:
    """Structural similarity of each slice, (n,), of Gaussian windows of 11 pixels, sigma 1.5."""
    from_torch = _functional()
    first, second = _pair(real, fake)
    if min(first.shape[1:]) < WINDOW:
        raise MetricError(
            "slices too small for SSIM", found=str(first.shape[1:]), expected=f"{WINDOW} or more"
        )

    def measure(first_part: Any, second_part: Any) -> Any:
        return from_torch.structural_similarity_index_measure(
            first_part, second_part, data_range=1.0, reduction="none"
        )

    return _each(measure, first, second)


def rmse(real: Images, fake: Images) -> Floats:
    """Root of the mean squared difference of each slice, (n,), in [0, 1]."""
    _functional()
    from torchmetrics.functional import regression

    def measure(first: Any, second: Any) -> Any:
        return regression.mean_squared_error(
            first.flatten(1).T, second.flatten(1).T, squared=False, num_outputs=len(first)
        ).reshape(-1)

    return _each(measure, *_pair(real, fake))


def frechet(real: npt.ArrayLike, fake: npt.ArrayLike, extractor: str) -> Distance:
    """The Frechet distance of features (n, d) and (m, d) that the network called `extractor` gave."""
    value = fidelity.frechet_distance(real, fake)
    return Distance(value=value, extractor=extractor, real=len(np.asarray(real)), fake=len(np.asarray(fake)))


def evaluate(real: Images, fake: Images, fid: Distance | None = None) -> Quality:
    """PSNR, SSIM and RMSE of slices, beside the Frechet distance that the caller took of them."""
    return Quality(
        side=int(np.asarray(real).shape[-1]),
        psnr=average(psnr(real, fake)),
        ssim=average(ssim(real, fake)),
        rmse=average(rmse(real, fake)),
        fid=fid,
    )


def average(values: npt.ArrayLike) -> Average:
    """Mean and deviation of the finite ones among `values` (n,)."""
    given = np.asarray(values, np.float64)
    known = given[np.isfinite(given)]
    return Average(
        mean=float(known.mean()) if len(known) else None,
        deviation=float(known.std(ddof=1)) if len(known) > 1 else None,
        n=len(known),
        left_out=len(given) - len(known),
    )


def _functional() -> Any:
    """Where torchmetrics has the functions of images. Raises `MissingExtra`."""
    try:
        from torchmetrics.functional import image
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "ct") from error
    return image


def _each(measure: Any, real: Images, fake: Images) -> Floats:
    """`measure` of tensors (k, 1, h, w) in chunks, as (n,)."""
    import torch

    measured = []
    for start in range(0, len(real), _CHUNK):
        part = slice(start, start + _CHUNK)
        first, second = (torch.from_numpy(side[part].astype(np.float32))[:, None] for side in (real, fake))
        with torch.inference_mode():
            measured.append(np.atleast_1d(measure(second, first).double().numpy()))
    return np.concatenate(measured)


def _pair(real: Images, fake: Images) -> tuple[Images, Images]:
    """Both sets, checked. Raises `MetricError`."""
    first, second = np.asarray(real), np.asarray(fake)
    for name, images in (("real", first), ("made", second)):
        if images.ndim != 3 or images.dtype.kind != "f" or 0 in images.shape:
            raise MetricError(
                f"{name} slices of a wrong kind",
                found=f"{images.dtype} {images.shape}",
                expected="floats (n, h, w)",
            )
        if not (images.min() >= 0 and images.max() <= 1):  # a NaN is neither
            raise MetricError(
                f"{name} slices out of range", found=f"{images.min()} to {images.max()}", expected="0 to 1"
            )
    if first.shape != second.shape:
        raise MetricError("slices of two shapes", found=f"{first.shape} and {second.shape}")
    return first, second
