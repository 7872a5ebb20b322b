"""Releases of CT slices: new label maps drawn as lungs on black, with the lineage that makes them again.

A label map is that of a real slice, augmented, or with the lesions of another patient in its lungs
(`ct.labelmaps`). What is released of a slice is the lung alone: the rest of a complemented slice would be a
patient's, and is put in by the user, who has the real slices (`ct.complement`).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from covid_synth_data.ct import labelmaps, phantom
from covid_synth_data.ct.complement import lung_only
from covid_synth_data.ct.slices import Row as Slice
from covid_synth_data.ct.slices import png, read_slice
from covid_synth_data.ct.splits import Plan, plan_slices
from covid_synth_data.errors import ConfigError, CorruptRelease, MissingSource, WeightsError
from covid_synth_data.files.pixels import Grey
from covid_synth_data.generators import weights as weight_files
from covid_synth_data.generators.trained import LabelTranslator
from covid_synth_data.release.manifest import SourceFilms
from generation.recipe import Recipe, SliceData, SliceRelease, family
from generation.releasing import build as releases
from generation.releasing import makers

DATASET: Final = "covid-synth-ct"
SUBSET: Final = "ct"


@dataclass(frozen=True)
class MapRow(makers.Row):
    """One slice to draw: `source` is the number of the real slice, `chosen` the variant of its label map."""

    chosen: str = "full"

    @property
    def variant(self) -> str:
        """As the column `variant` records it."""
        return self.chosen


class LabelMaps(makers.Maker):
    """New label maps of a part of the split through a generator."""

    def __init__(
        self, recipe: Recipe, release: SliceRelease, generator: LabelTranslator, root: Path | None
    ) -> None:
        """Raises the errors of `plan_slices`, `EmptySplit` where lesions cannot be moved, `ConfigError`."""
        if release.codec != "png":
            raise ConfigError(
                f"{recipe.name} stores slices as {release.codec}",
                expected='release.codec = "png"',
                hint="another codec does not keep what is outside the lung black",
            )
        self.generator, self.seed, self.size = generator, recipe.seed, recipe.data.size
        self.batch_size = release.batch_size
        parts = planned(recipe, root).parts()
        self.slices = [row for name in release.parts for row in parts[name]]
        self.by_id = {str(row["image_id"]): row for row in self.slices}
        self.rows = list(_rows(self.slices, release.count, release.moved, recipe.seed))
        self.sources = fingerprints(self.slices)
        self.licences = sorted({str(row["source_license"]) for row in self.slices})
        self._masks: dict[int, bytes] = {}

    def images(self, rows: Sequence[makers.Row]) -> contextlib.closing[Generator[Grey]]:
        """The lungs alone, 0 elsewhere. A slice depends on its label map, the seed and its number alone."""
        return contextlib.closing(self._images(rows))

    def _images(self, rows: Sequence[makers.Row]) -> Generator[Grey]:
        for start in range(0, len(rows), self.batch_size):
            batch = rows[start : start + self.batch_size]
            masks = np.stack([self.mask(row) for row in batch])
            self._masks |= {row.index: png(mask) for row, mask in zip(batch, masks, strict=True)}
            made = self.generator.translate(masks, self.seed, self.batch_size, start=batch[0].index)
            yield lung_only(made, masks)

    def mask(self, row: makers.Row) -> Grey:
        """The label map of a row, uint8 (size, size). Raises `BadImage`."""
        assert row.source is not None  # noqa: S101 - `_rows` made it
        return labelmaps.read(self.slices[row.source], row.variant, self.by_id, self.size)

    def again(self, rows: Sequence[dict[str, Any]]) -> Grey:
        """The images of released rows that were made together, from source, variant, seed and number.

        Raises `MissingSource` where a slice is not at hand, `CorruptRelease` for a row without lineage.
        """
        masks = np.stack([self._mask_again(row) for row in rows])
        made = self.generator.translate(masks, self.seed, self.batch_size, start=_number(rows[0]))
        return lung_only(made, masks)

    def _mask_again(self, row: dict[str, Any]) -> Grey:
        source, variant = f"{row['source_dataset']}/{row['source_id']}", str(row["variant"])
        for name in (source, labelmaps.donor_of(variant) or source):
            if name not in self.by_id:
                raise MissingSource(
                    f"the slice that {row['image_id']} was made from is not at hand",
                    found=f"{len(self.slices):,} slices of the recipe's split",
                    expected=name,
                    hint="give --root the set that the card of the release names, in the state that it names",
                )
        return labelmaps.read(self.by_id[source], variant, self.by_id, self.size)

    def translated(self) -> set[str]:
        """The slices whose label maps are used, those whose lesions were moved included."""
        hosts = {str(self.slices[row.source]["image_id"]) for row in self.rows if row.source is not None}
        return hosts | {donor for row in self.rows if (donor := labelmaps.donor_of(row.variant))}

    def lineage(self, row: makers.Row) -> dict[str, Any]:
        """Those of the real slice, and the label map that `images` has drawn from."""
        assert row.source is not None  # noqa: S101 - `_rows` made it
        found = {name: self.slices[row.source][name] for name in makers.LINEAGE}
        content = self._masks.pop(row.index)
        return {**found, "mask": {"bytes": content, "path": f"{SUBSET}-{row.index:05d}-mask.png"}}


def planned(recipe: Recipe, root: Path | None) -> Plan:
    """The split that the generator of a recipe was trained by. Raises what `plan_slices` raises."""
    data = recipe.data
    if not isinstance(data, SliceData):
        raise ConfigError(f"{recipe.name} does not learn from CT slices", expected="a recipe of label maps")
    return plan_slices(phantom.rows(**data.phantom) if data.phantom else root, data.split, data.split_seed)


def release(
    weights: Path,
    root: Path | None,
    out: Path,
    *,
    count: int,
    version: str,
    moved: float = 0.5,
    parts: Sequence[str] = ("train",),
    shard_rows: int = 2048,
    batch_size: int = 4,
    device: str = "auto",
    progress: releases.Progress = lambda done, total: None,
    licences: str = "any",
) -> Path:
    """`count` slices drawn with a weights file, in the release folder `out`; returns `out`.

    The split, its seed and the size are those of the recipe in the card of the weights. A call that was
    stopped is continued by the same call. Raises what `release.release` raises.
    """
    table = {
        "dataset": DATASET,
        "version": version,
        "subset": SUBSET,
        "folder": SUBSET,
        "count": count,
        "codec": "png",
        "shard_rows": shard_rows,
        "batch_size": batch_size,
        "moved": moved,
        "parts": list(parts),
    }
    recipe = recipe_of(weights, table)
    return releases.release(recipe, root, weights, out, device, progress, licences)


def recipe_of(weights: Path, table: dict[str, Any] | None = None) -> Recipe:
    """The recipe that weights were trained by, from their card, with `table` as its table [release].

    Raises `WeightsError` where the card has none, or weights are not of label maps.
    """
    card = weight_files.read_card(weights)
    content = card.training.get("recipe")
    if card.kind != "label-to-image" or not isinstance(content, dict):
        raise WeightsError(
            f"{weights} draws no CT slices",
            found=f"a {card.kind}",
            expected="weights of a generator from label maps",
            hint="name the weights of a CT recipe",
        )
    model: type[Recipe] = family(str(content.get("family"))).Recipe
    return model.model_validate({**content, "release": table})


def fingerprints(slices: Sequence[Slice]) -> dict[str, SourceFilms]:
    """Per source: the number of slices and sha256 over ids, pixels and label maps, sorted by id.

    Of decoded pixels, so that slices of a volume count as slices.
    """
    lines: dict[str, list[str]] = {}
    for row in slices:
        image, mask = read_slice(row)
        digest = hashlib.sha256(np.rint(image * 255).astype(np.uint8).tobytes() + mask.tobytes())
        lines.setdefault(str(row["source_dataset"]), []).append(f"{row['source_id']} {digest.hexdigest()}\n")
    return {
        source: SourceFilms(
            films=len(names), sha256=hashlib.sha256("".join(sorted(names)).encode()).hexdigest()
        )
        for source, names in sorted(lines.items())
    }


def _number(row: dict[str, Any]) -> int:
    """The number of a released slice. Raises `CorruptRelease`."""
    number = str(row["image_id"]).rpartition("-")[2]
    if not (number.isascii() and number.isdigit() and len(number) <= 8):
        raise CorruptRelease(
            f"the row {str(row['image_id'])!r:.60} has no lineage",
            expected=f"a name as {SUBSET}-00000",
            hint="fetch the release again",
        )
    return int(number)


def _rows(slices: Sequence[Slice], count: int, moved: float, seed: int) -> Generator[MapRow]:
    """`count` rows, moved ones spread evenly among augmented ones; row i does not depend on `count`.

    Each kind takes the slices in an order of its own, so that a small release is not of one patient alone.
    """
    numbers = {str(row["image_id"]): number for number, row in enumerate(slices)}
    is_moved = [int((index + 1) * moved) > int(index * moved) for index in range(count)]
    orders = [np.random.default_rng([seed, kind, 0xC7]).permutation(len(slices)) for kind in (0, 1)]
    plain, hosts = ([slices[place] for place in order] for order in orders)
    turns = {
        False: labelmaps.augmented(plain, count, seed),
        True: labelmaps.moved(hosts, count, seed) if any(is_moved) else iter(()),
    }
    for index, kind in enumerate(is_moved):
        ((row, chosen),) = islice(turns[kind], 1)
        yield MapRow(index, numbers[str(row["image_id"])], chosen=chosen)
