"""The paper's augmentation (jiang2020, Table I): resize and crop, rotation, elastic, Gaussian noise.

Image and label map go through the same geometry, by torchvision's transforms v2: the image bilinear, the
label map to the nearest; noise is the image's alone. What is done is a string, the `variant`:

    augment:crop=52,31,880;rotate=-7.25;elastic=0.021,6,81733;noise=0.012,99120;grey=1.100,-0.050,0.900,1

crop: left, top and side in thousandths of the picture; rotate: degrees counter-clockwise; elastic: spread of
the displacement as a share of the side, control points per side, seed; noise: spread, in [0, 1] grey, and
seed; grey, which is not in the paper: contrast about the middle grey, what is added, exponent, and whether
left and right are exchanged. With the slice that it was made from, the variant alone makes the same picture
again, at any size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from covid_synth_data.errors import ConfigError, MissingExtra

R = TypeVar("R")

PREFIX: Final = "augment:"
FULL: Final = "full"
"""The variant of an unchanged slice."""

_PATTERN: Final = re.compile(
    r"^augment:crop=(\d+),(\d+),(\d+);rotate=(-?\d+\.\d+);elastic=(\d+\.\d+),(\d+),(\d+)"
    r"(?:;noise=(\d+\.\d+),(\d+))?(?:;grey=(\d+\.\d+),(-?\d+\.\d+),(\d+\.\d+),([01]))?$"
)


@dataclass(frozen=True)
class AugmentRange:
    """How much is done at most. The paper gives no numbers; these keep a slice a plausible slice.

    `crop` is the smallest side that is cut out, as a share; `rotate` in degrees either way; `elastic` the
    largest spread of displacements as a share of the side, from `points` control points per side; `noise` the
    largest spread of the noise, in grey of [0, 1]. `grey` is the largest change of contrast, of the exponent
    and, by half, of brightness; where it is not 0, half of the slices are mirrored besides.
    """

    crop: float = 0.85
    rotate: float = 12.0
    elastic: float = 0.012
    points: int = 6
    noise: float = 0.02
    grey: float = 0.0

    def __post_init__(self) -> None:
        """Raise `ConfigError` for a setting out of range."""
        limits = (
            ("crop", 0.5 <= self.crop <= 1, "0.5 to 1"),
            ("rotate", 0 <= self.rotate <= 45, "0 to 45 degrees"),
            ("elastic", 0 <= self.elastic <= 0.05, "0 to 0.05"),
            ("points", 2 <= self.points <= 32, "2 to 32"),
            ("noise", 0 <= self.noise <= 0.25, "0 to 0.25"),
            ("grey", 0 <= self.grey < 1, "0 or more, below 1"),
        )
        for name, sound, expected in limits:
            if not sound:
                raise ConfigError(
                    f"augmentation with {name} out of range",
                    found=str(getattr(self, name)),
                    expected=expected,
                )


PAPER: Final = AugmentRange()
STRONG: Final = AugmentRange(crop=0.7, rotate=20.0, elastic=0.02, noise=0.04, grey=0.3)
"""More than the paper has: greys change, too, and half of the slices are mirrored."""


def augmented(
    rows: Sequence[R], count: int, seed: int = 0, settings: AugmentRange = PAPER
) -> Iterator[tuple[R, str]]:
    """`count` pairs of a row and a variant: every row as often as any other, give or take one.

    Pair i depends on `rows`, `seed`, `settings` and i alone. Raises `ConfigError` for no rows, a negative
    seed or count.
    """
    check(len(rows), count, seed)
    return ((rows[i % len(rows)], variant(seed, i, settings)) for i in range(count))


def check(rows: int, count: int, seed: int) -> None:
    """Raise `ConfigError` for no rows, a negative count or a negative seed."""
    if rows < 1 or count < 0 or seed < 0:
        raise ConfigError(
            "nothing to augment",
            found=f"{rows} rows, count {count}, seed {seed}",
            expected="rows, and no negatives",
        )


def variant(seed: int, i: int, settings: AugmentRange = PAPER, *, noise: bool = True) -> str:
    """The variant of (seed, i); without `noise` the same geometry, for label maps alone."""
    random = np.random.default_rng([seed, i, 12_000])
    side = round(1000 * random.uniform(settings.crop, 1))
    left, top = (int(random.integers(0, 1001 - side)) for _ in range(2))
    turn = random.uniform(-settings.rotate, settings.rotate)
    spread, grain = random.uniform(0, settings.elastic), random.uniform(0, settings.noise)
    seeds = random.integers(0, 1_000_000, 2)
    text = f"{PREFIX}crop={left},{top},{side};rotate={turn:.2f}"
    text += f";elastic={spread:.4f},{settings.points},{seeds[0]}"
    text += f";noise={grain:.4f},{seeds[1]}" if noise else ""
    if not settings.grey:
        return text
    # Drawn after everything else, so that the other changes are those of settings without grey.
    contrast, exponent = 1 + settings.grey * random.uniform(-1, 1, 2)
    added, mirrored = settings.grey * random.uniform(-0.5, 0.5), int(random.integers(2))
    return f"{text};grey={contrast:.3f},{added:.3f},{exponent:.3f},{mirrored}"


def apply(
    chosen: str, image: npt.NDArray[np.float32], mask: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """The image, float32 (side, side) in [0, 1], and the label map, uint8, after the variant `chosen`.

    What was outside the picture is 0 in both. "full" gives both unchanged. Raises `ConfigError` for a variant
    that is none of this module's or pictures that differ in size, `MissingExtra` without torchvision.
    """
    if image.shape != mask.shape or image.ndim != 2:
        raise ConfigError("image and label map of one size", found=f"{image.shape} and {mask.shape}")
    if chosen == FULL:
        return image, mask
    steps = _parse(chosen)
    torch, tv_tensors, functional = _torchvision()
    picture = tv_tensors.Image(torch.from_numpy(np.array(image, np.float32))[None])
    labels = tv_tensors.Mask(torch.from_numpy(np.array(mask, np.uint8))[None])
    picture, labels = (_geometry(functional, item, steps) for item in (picture, labels))
    if steps.noise:
        made = np.random.default_rng([steps.noise_seed, 2]).standard_normal(image.shape, np.float32)
        picture = picture + steps.noise * torch.from_numpy(made)
    picture = picture.clamp(0, 1)
    if steps.grey is not None:
        contrast, added, exponent, mirrored = steps.grey
        # What is black stays black: it is outside of the picture, or air.
        changed = ((picture - 0.5) * contrast + 0.5 + added).clamp(0, 1) ** exponent
        picture = torch.where(picture > 0, changed, picture)
        if mirrored:
            picture, labels = picture.flip(-1), labels.flip(-1)
    return picture[0].numpy(), labels[0].numpy()


def apply_mask(chosen: str, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The label map, uint8 (side, side), after the variant; see `apply`."""
    return apply(chosen, np.zeros(mask.shape, np.float32), mask)[1]


@dataclass(frozen=True)
class _Steps:
    """The content of a variant: `crop` (left, top, side) in thousandths, `turn` in degrees, and so on."""

    crop: tuple[int, int, int]
    turn: float
    spread: float
    points: int
    seed: int
    noise: float
    noise_seed: int
    grey: tuple[float, float, float, bool] | None


def _parse(chosen: str) -> _Steps:
    match = _PATTERN.match(chosen)
    if not match:
        raise ConfigError(
            f"unknown variant {chosen!r}", expected=f"{FULL!r} or one that starts with {PREFIX!r}, unchanged"
        )
    left, top, side, turn, spread, points, seed, noise, noise_seed, *grey = match.groups("0")
    if not (0 < int(side) <= 1000 and max(int(left), int(top)) + int(side) <= 1000 and int(points) > 1):
        raise ConfigError(
            f"impossible variant {chosen!r}", expected="a crop within the picture, 2 points or more"
        )
    return _Steps(
        (int(left), int(top), int(side)),
        float(turn),
        float(spread),
        int(points),
        int(seed),
        float(noise),
        int(noise_seed),
        (float(grey[0]), float(grey[1]), float(grey[2]), grey[3] == "1") if "grey" in chosen else None,
    )


def _geometry(functional: Any, item: Any, steps: _Steps) -> Any:
    """An image (bilinear) or a label map (nearest) cut, turned and deformed; its size stays."""
    size = item.shape[-1]
    left, top, cut = (round(share * size / 1000) for share in steps.crop)
    cut = max(1, cut)
    smooth, nearest = _modes()
    mode = smooth if item.is_floating_point() else nearest
    place = min(top, size - cut), min(left, size - cut)
    item = functional.resized_crop(item, *place, cut, cut, [size, size], mode, antialias=False)
    item = functional.rotate(item, steps.turn, interpolation=mode, fill=0)
    if steps.spread:
        field = displacement(size, steps.spread, steps.points, steps.seed)
        item = functional.elastic(item, field, interpolation=mode, fill=0)
    return item


def displacement(size: int, spread: float, points: int, seed: int) -> Any:
    """How far off each pixel is taken from: a float32 tensor (1, size, size, 2), x and y in half sides.

    Normal displacements of `spread` sides on a grid of `points` by `points`, bicubic in between, none at the
    grid's rim.
    """
    torch, _, _ = _torchvision()
    coarse = np.random.default_rng([seed, 1]).normal(0, 2 * spread, (1, 2, points, points))
    coarse[..., [0, -1], :] = coarse[..., :, [0, -1]] = 0
    field = torch.nn.functional.interpolate(
        torch.from_numpy(coarse.astype(np.float32)), (size, size), mode="bicubic", align_corners=True
    )
    return field.permute(0, 2, 3, 1)


def _torchvision() -> tuple[Any, Any, Any]:
    """torch, torchvision.tv_tensors and the functions of transforms v2. Raises `MissingExtra`."""
    try:
        import torch
        from torchvision import tv_tensors
        from torchvision.transforms.v2 import functional
    except ImportError as error:
        raise MissingExtra("torchvision", "ct") from error
    return torch, tv_tensors, functional


def _modes() -> tuple[Any, Any]:
    from torchvision.transforms.v2 import InterpolationMode

    return InterpolationMode.BILINEAR, InterpolationMode.NEAREST
