"""Drawing from label maps: CT slices of new label maps, drawn as lungs on black.

A label map is that of a real slice or of a CT phantom, augmented, or with the lesions of another patient in
its lungs (`ct.labelmaps`). A release holds the lung alone. The rest of a complemented slice would be a
patient's; the user, who has the real slices, puts it in (`ct.complement`).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from lightning_fabric import Fabric

from covid_synth_data.ct import labelmaps, phantom
from covid_synth_data.ct.complement import lung_only
from covid_synth_data.ct.slices import Row as Slice
from covid_synth_data.ct.slices import png, read_mask, read_slice
from covid_synth_data.errors import BadImage, ConfigError, MissingSource, WeightsError
from covid_synth_data.files.pixels import Grey
from covid_synth_data.generators import weights as weight_files
from covid_synth_data.generators.trained import LabelTranslator
from generation.data.films import Progress
from generation.data.slices import SliceBatches, TrainingSlices, read_slices, split_of
from generation.kinds.kind import TrainedKind, required
from generation.kinds.maker import LINEAGE, Made, Row, TrainedMaker, fingerprints
from generation.recipe import SliceRecipe, SliceRelease, family


class LabelMaps(TrainedKind[LabelTranslator]):
    """Generators that draw CT slices from label maps."""

    card_kind = "label-to-image"

    def read(self, recipe: SliceRecipe, root: Path | None, progress: Progress) -> list[TrainingSlices]:
        """Slices with their label maps."""
        return read_slices(recipe, root, progress)

    def batches(self, recipe: SliceRecipe, images: Sequence[TrainingSlices], fabric: Fabric) -> SliceBatches:
        """Pairs of label map and slice."""
        (slices,) = images
        return SliceBatches(recipe, slices, fabric)

    def maker(
        self, recipe: SliceRecipe, root: Path | None, weights: Path | None, device: str = "auto"
    ) -> DrawnSlices:
        """Draws new label maps of the slices that the release names."""
        path = required(weights, recipe)
        return DrawnSlices(recipe, root, path, self.load(path, device))


LABEL_MAPS: Final = LabelMaps()


class DrawnSlices(TrainedMaker):
    """Slices drawn from new label maps of some parts of the split, or of phantoms."""

    def __init__(
        self, recipe: SliceRecipe, root: Path | None, weights: Path, generator: LabelTranslator
    ) -> None:
        """Raises the errors of `plan_slices`, `EmptySplit` where lesions cannot be moved, `ConfigError`."""
        super().__init__(weights, generator)
        release = recipe.release
        assert release is not None  # noqa: S101 - `Kind.maker` asks for it
        if release.codec != "png":
            raise ConfigError(
                f"{recipe.name} stores slices as {release.codec}",
                expected='release.codec = "png"',
                hint="another codec does not keep what is outside the lung black",
            )
        self.generator, self.seed, self.size = generator, recipe.seed, recipe.data.size
        self.batch_size, self.subset = release.batch_size, release.subset
        self.slices = _slices(recipe, release, root)
        self.index = {str(row["image_id"]): index for index, row in enumerate(self.slices)}
        self.rows = list(_plan(self.slices, self.index, release.count, release.moved, recipe.seed))
        digests = [_digests(row) for row in self.slices]
        keys = [(str(row["source_dataset"]), str(row["source_id"])) for row in self.slices]
        self.sources = fingerprints(zip(keys, (whole for whole, _ in digests), strict=True))
        self._masks = [mask for _, mask in digests]
        self.licences = sorted({str(row["source_license"]) for row in self.slices})

    def make(self, rows: Sequence[Row]) -> contextlib.closing[Generator[Made]]:
        """The lungs alone, 0 elsewhere. A slice depends on its label map, the seed and its number alone."""
        return contextlib.closing(self._make(rows))

    def _make(self, rows: Sequence[Row]) -> Generator[Made]:
        for start in range(0, len(rows), self.batch_size):
            batch = rows[start : start + self.batch_size]
            masks = np.stack([self.mask(row) for row in batch])
            drawn = self.generator.translate(masks, self.seed, self.batch_size, start=batch[0].index)
            columns = [
                {"mask": {"bytes": png(mask), "path": f"{self.subset}-{row.index:05d}-mask.png"}}
                for row, mask in zip(batch, masks, strict=True)
            ]
            yield Made(lung_only(drawn, masks), columns)

    def mask(self, row: Row) -> Grey:
        """The label map of a row, uint8 (size, size). Raises `BadImage`, also for a slice that changed."""
        assert row.source is not None  # noqa: S101 - every row of this kind has one
        names = [str(self.slices[row.source]["image_id"]), labelmaps.donor_of(row.variant)]
        checked = {name: self._unchanged(name) for name in names if name is not None}
        return labelmaps.read(checked[str(names[0])], row.variant, checked, self.size)

    def _unchanged(self, name: str) -> Mapping[str, Any]:
        """A slice with its decoded label map, which is compared with that of the fingerprint."""
        index = self.index[name]
        mask = read_mask(self.slices[index])
        if hashlib.sha256(mask.tobytes()).hexdigest() != self._masks[index]:
            raise BadImage(
                f"the label map of {name} changed while the release was made",
                expected="the file that the fingerprint was taken of",
                hint="leave the real sets alone, and run the same command again",
            )
        return {**self.slices[index], "mask": mask}

    def columns(self, row: Row) -> dict[str, Any]:
        """Those of the slice whose label map it was."""
        assert row.source is not None  # noqa: S101 - every row of this kind has one
        return {**{name: self.slices[row.source][name] for name in LINEAGE}, "variant": row.variant}

    def read_row(self, record: dict[str, Any], index: int) -> Row:
        """The slice and the variant of its label map that a record names."""
        source, variant = f"{record['source_dataset']}/{record['source_id']}", str(record["variant"])
        for name in (source, labelmaps.donor_of(variant) or source):
            if name not in self.index:
                raise MissingSource(
                    f"the slice that {record['image_id']} was made from is not at hand",
                    found=f"{len(self.slices):,} slices of the recipe's split",
                    expected=name,
                    hint="give --root the set that the card of the release names, in the state that it names",
                )
        return Row(index, self.index[source], variant)

    def used(self) -> set[str]:
        """The slices whose label maps are used, those whose lesions were moved included."""
        hosts = {str(self.slices[row.source]["image_id"]) for row in self.rows if row.source is not None}
        return hosts | {donor for row in self.rows if (donor := labelmaps.donor_of(row.variant))}


def _slices(recipe: SliceRecipe, release: SliceRelease, root: Path | None) -> list[Slice]:
    """The slices with infection whose label maps are used. Raises the errors of `plan_slices`."""
    if release.phantom is None:
        parts = split_of(recipe.data, root).parts()
        return [row for name in release.parts for row in parts[name]]
    drawn = phantom.rows(**release.phantom)
    return [row for row in drawn if row["ggo_pixels"] or row["consolidation_pixels"]]


def recipe_of(weights: Path) -> SliceRecipe:
    """The recipe that weights were trained by, from their card, without a release.

    Raises `WeightsError` where the card has none, or the weights are of another kind.
    """
    card = weight_files.read_card(weights)
    content = card.training.get("recipe")
    if card.kind != LABEL_MAPS.card_kind or not isinstance(content, dict):
        raise WeightsError(
            f"{weights} draws no CT slices",
            found=f"a {card.kind}",
            expected="weights of a generator from label maps",
            hint="name the weights of a CT recipe",
        )
    model: type[SliceRecipe] = family(str(content.get("family"))).Recipe
    return model.model_validate(content)


def _digests(row: Slice) -> tuple[str, str]:
    """sha256 over the decoded pixels of a slice with its label map, and of the label map alone.

    Decoded pixels are hashed, not files, because one file may hold many slices.
    """
    image, mask = read_slice(row)
    content = np.rint(image * 255).astype(np.uint8).tobytes() + mask.tobytes()
    return hashlib.sha256(content).hexdigest(), hashlib.sha256(mask.tobytes()).hexdigest()


def _plan(
    slices: Sequence[Slice], index: Mapping[str, int], count: int, moved: float, seed: int
) -> Generator[Row]:
    """`count` rows, moved ones spread evenly among augmented ones; row i does not depend on `count`.

    Each kind takes the slices in an order of its own, so that a small release is not of one patient alone.
    """
    is_moved = [int((number + 1) * moved) > int(number * moved) for number in range(count)]
    orders = [np.random.default_rng([seed, kind, 0xC7]).permutation(len(slices)) for kind in (0, 1)]
    plain, hosts = ([slices[place] for place in order] for order in orders)
    turns = {
        False: labelmaps.augmented(plain, count, seed),
        True: labelmaps.moved(hosts, count, seed) if any(is_moved) else iter(()),
    }
    for number, kind in enumerate(is_moved):
        ((row, variant),) = islice(turns[kind], 1)
        yield Row(number, index[str(row["image_id"])], variant)
