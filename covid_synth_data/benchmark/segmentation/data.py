"""The slices of a suite as arrays: real ones by protocol, synthetic ones completed on the user's own copy.

A release holds lungs alone. What a network is trained on is the synthetic lung in the slice that its label
map was made from, a real one or that of a CT phantom, put together here when it is needed and kept nowhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.benchmark.data import released
from covid_synth_data.benchmark.request import Progress
from covid_synth_data.benchmark.segmentation.composition import Item
from covid_synth_data.benchmark.suite.segmentation import Protocol, SegmentationSuite
from covid_synth_data.ct import augment, labelmaps, phantom, splits
from covid_synth_data.ct.complement import complement
from covid_synth_data.ct.labels import lung_field
from covid_synth_data.ct.slices import Row, read_slice, resize_image, resize_mask, rows
from covid_synth_data.errors import EmptySplit, LeakError, ReleaseError
from covid_synth_data.release import manifest
from covid_synth_data.sources import ct_phantom, disk, read_source

if TYPE_CHECKING:
    import datasets

Grey = npt.NDArray[np.uint8]

SIDES: Final = ("train", "validation", "test")
AGREE: Final = 0.99
"""The share of pixels in which a lung field of the release must agree with the one made again from the
user's slice; libraries that resample a little differently move single pixels of its rim."""


@dataclass(frozen=True)
class Slices:
    """Real slices: `images` and `masks` uint8 (n, side, side), patient by patient in the body's order."""

    rows: list[Row]
    images: Grey
    masks: Grey

    @property
    def ids(self) -> list[str]:
        """Their `image_id`s."""
        return [str(row["image_id"]) for row in self.rows]

    @property
    def patients(self) -> list[str]:
        """The patient of each."""
        return [str(row["patient_id"]) for row in self.rows]


@dataclass(frozen=True)
class Synthetic:
    """Rows of a release whose slices are training slices or phantoms, completed only when asked for
    (`complete`).

    `sources[i]` is the number, among the training slices, of the slice that row i was made from, or the
    `source_id` of a CT phantom. `phantom` has the options of these phantoms.
    """

    dataset: datasets.Dataset | None
    ids: list[str]
    sources: list[int | str]
    variants: list[str]
    generators: list[str]
    notes: list[str]
    phantom: Mapping[str, int] = field(default_factory=dict)

    def complete(self, index: int, train: Sequence[Row], side: int) -> tuple[Grey, Grey]:
        """Row `index` as image and label map, uint8 (side, side): its lung in the rest of the slice that its
        label map is of.

        Raises `ReleaseError` where the lung of the release is not that of the slice at hand, `BadImage`.
        """
        lung, mask, body = self._parts(index, train)
        return _bytes(resize_image(complement(lung, body, mask), side)), resize_mask(mask, side)

    def undrawn(self, index: int, train: Sequence[Row], side: int) -> tuple[Grey, Grey]:
        """Row `index` as it was before its lung was drawn: the slice that its label map is of, and the map.

        Raises `ReleaseError` besides where lesions of another slice were moved in: then there is none.
        """
        if labelmaps.donor_of(self.variants[index]):
            raise ReleaseError(
                f"{self.ids[index]} has lesions that no slice shows",
                found=self.variants[index],
                expected="label maps of slices",
                hint="leave the regimes of undrawn slices out, or make a release with moved = 0",
            )
        _, mask, body = self._parts(index, train)
        return _bytes(resize_image(body, side)), resize_mask(mask, side)

    def _parts(
        self, index: int, train: Sequence[Row]
    ) -> tuple[npt.NDArray[np.float32], Grey, npt.NDArray[np.float32]]:
        """The drawn lung, its label map, and the slice that the map is of, of one side."""
        assert self.dataset is not None  # noqa: S101 - there are rows
        row, source = self.dataset[int(index)], self.sources[index]
        lung, mask = read_slice(row)
        body = phantom.row(source, **self.phantom) if isinstance(source, str) else train[source]
        image, own = _again(body, self.variants[index], mask.shape[0])
        if (lung_field(own) == lung_field(mask)).mean() < AGREE:
            raise ReleaseError(
                f"{self.ids[index]} was not made from the slice at hand",
                found=f"other lungs in {body['image_id']}",
                expected="the lungs of the release",
                hint="give the source and the split that the release was made with",
            )
        return lung, mask, image


NOTHING: Final = Synthetic(None, [], [], [], [], [])


def load_rows(suite: SegmentationSuite, root: str | Path | None) -> list[Row]:
    """All usable rows of the suite's source. Raises what `read_source` raises."""
    frame = read_source(suite.data.source, disk.resolve_root(root), **suite.data.options)
    return rows(frame)


def split(
    suite: SegmentationSuite, protocol: Protocol, slices: Sequence[Row], limit: int | None
) -> tuple[dict[str, list[Row]], list[str]]:
    """Rows of training, validation and test, and what the plan says of them.

    `limit` is the largest number of training slices, and of validation slices. Raises `EmptySplit` for a side
    without slices, `LeakError` where sides share what the protocol keeps apart.
    """
    plan = splits.plan_slices(slices, protocol.split, suite.data.split_seed)
    parts = plan.parts()
    sides = {side: [row for name in getattr(protocol, side) for row in parts[name]] for side in SIDES}
    at_most = {"train": limit, "validation": min(_bounds(limit, protocol.validation_at_most), default=None)}
    for number, (side, most) in enumerate(at_most.items()):
        if most is not None and len(sides[side]) > most:
            draw = np.random.default_rng([suite.data.split_seed, number]).permutation(len(sides[side]))
            sides[side] = [sides[side][index] for index in sorted(draw[:most].tolist())]
    for side, chosen in sides.items():
        if not chosen:
            raise EmptySplit(
                f"no slice for {side} under the protocol {protocol.title!r}",
                expected="at least one",
                hint="give more patients with infection, or another protocol",
            )
        sides[side] = _in_order(chosen)
    _check_apart(sides, protocol)
    return sides, list(plan.notes)


def read(chosen: Sequence[Row], side: int, progress: Progress, what: str) -> Slices:
    """The arrays of rows at (side, side). Raises `BadImage`."""
    images, masks = np.empty((2, len(chosen), side, side), np.uint8)
    for place, row in enumerate(chosen):
        image, masks[place] = read_slice(row, side)
        images[place] = _bytes(image)
        progress(place + 1, len(chosen), what)
    return Slices(list(chosen), images, masks)


def synthetic(
    rows_of: datasets.Dataset, sides: Mapping[str, Sequence[Row]], phantoms: Mapping[str, int] | None = None
) -> Synthetic:
    """The rows of a release that were made from training slices alone; others are left out and counted.

    What counts is the slice whose body an image is completed with, and the one whose lesions were moved.
    Where `phantoms` has options of `ct.phantom.rows`, rows of CT phantoms are kept, too.
    Raises `LeakError` where either is a slice of validation or test, or where an id occurs twice.
    """
    import datasets

    if "mask" not in rows_of.column_names:
        raise ReleaseError(
            "the release has no label maps",
            found=", ".join(rows_of.column_names),
            expected="a column mask",
            hint="give a release of CT slices",
        )
    train = {str(row["image_id"]): place for place, row in enumerate(sides["train"])}
    held = {str(row["image_id"]): side for side in ("validation", "test") for row in sides[side]}
    bare = rows_of.select_columns(["image_id", "source_dataset", "source_id", "variant", "generator"])
    kept: list[int] = []
    columns: dict[str, list[Any]] = {"ids": [], "sources": [], "variants": [], "generators": []}
    left_out: Counter[str] = Counter()
    of_phantoms = 0
    for place, row in enumerate(bare.to_list()):
        source = f"{row['source_dataset']}/{row['source_id']}"
        donor = labelmaps.donor_of(row["variant"] or "")
        drawn = phantoms is not None and row["source_dataset"] == ct_phantom.INFO.name
        for name in (source, donor):
            if name in held and not drawn:
                raise LeakError(
                    f"{row['image_id']} of the release was made from a slice of the {held[name]} part",
                    found=name,
                    expected="training slices alone",
                    hint="make the release with the same source, split and split seed",
                )
        if not drawn and (source not in train or (donor is not None and donor not in train)):
            left_out["made from slices that are not trained on"] += 1
            continue
        kept.append(place)
        of_phantoms += drawn
        columns["ids"].append(str(row["image_id"]))
        columns["sources"].append(str(row["source_id"]) if drawn else train[source])
        columns["variants"].append(str(row["variant"]))
        columns["generators"].append(str(row["generator"]))
    if len(set(columns["ids"])) < len(kept):
        raise LeakError(
            "an image of the release occurs twice", found=f"{len(kept)} rows", expected="unique ids"
        )
    notes = [f"{count} synthetic slices left out: {reason}" for reason, count in left_out.items()]
    if of_phantoms:
        notes.append(f"{of_phantoms} synthetic slices have the body of a phantom around the lung")
    undecoded = rows_of.cast_column("image", datasets.Image(decode=False)).cast_column(
        "mask", datasets.Image(decode=False)
    )
    return Synthetic(undecoded.select(kept), **columns, notes=notes, phantom=dict(phantoms or {}))


def check_generator(
    sides: Mapping[str, Sequence[Row]], trained_on: manifest.Learned, protocol: Protocol
) -> list[str]:
    """Raise `LeakError` where a slice of validation or test, or its patient, taught the generator.

    Patients count where the protocol keeps them `apart`. A side in `generators_saw` may have: the note that
    says so, if it did, is returned.
    """
    patients = set(trained_on.patients) if protocol.apart == "patient" else set()
    parts = {
        side: [(str(row["image_id"]), str(row["patient_id"])) for row in sides[side]]
        for side in ("validation", "test")
    }
    return released.check_not_trained_on(
        parts, set(trained_on.films), patients, protocol.generators_saw, "slices"
    )


def put_together(
    items: Sequence[Item], train: Slices, made: Synthetic, progress: Progress
) -> tuple[Grey, Grey]:
    """Images and label maps, uint8 (n, side, side) each, of the items of `composition.compose`, in order."""
    side = train.images.shape[-1]
    images, masks = np.empty((2, len(items), side, side), np.uint8)
    for place, item in enumerate(items):
        if item.origin == "synthetic":
            images[place], masks[place] = made.complete(item.index, train.rows, side)
        elif item.origin == "undrawn":
            images[place], masks[place] = made.undrawn(item.index, train.rows, side)
        else:
            image = train.images[item.index].astype(np.float32) / 255
            image, masks[place] = augment.apply(item.variant, image, train.masks[item.index])
            images[place] = _bytes(image)
        progress(place + 1, len(items), "put together")
    return images, masks


def name_of(item: Item, train: Sequence[Row], made: Synthetic) -> str:
    """The identity of a training slice, for the digest of a run."""
    if item.origin != "real":
        return f"{made.ids[item.index]} {made.variants[item.index]}"
    return f"{train[item.index]['image_id']} {item.variant}"


def _again(row: Row, variant: str, side: int) -> tuple[npt.NDArray[np.float32], Grey]:
    """The slice as the release's label map has it: augmented likewise; a moved lesion moves nothing."""
    image, mask = read_slice(row, side)
    return (image, mask) if labelmaps.donor_of(variant) else augment.apply(variant, image, mask)


def _in_order(chosen: Sequence[Row]) -> list[Row]:
    """Patient by patient, in the order in which they come, and by the number of the slice."""
    places = {name: place for place, name in enumerate(dict.fromkeys(row["patient_id"] for row in chosen))}
    return sorted(chosen, key=lambda row: (places[row["patient_id"]], row["slice"]))


def _check_apart(sides: Mapping[str, Sequence[Row]], protocol: Protocol) -> None:
    for what in ("image_id", *(["patient_id"] if protocol.apart == "patient" else [])):
        names = {side: {str(row[what]) for row in chosen} for side, chosen in sides.items()}
        for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
            if shared := sorted(names[one] & names[other]):
                raise LeakError(
                    f"{one} and {other} share {len(shared)} {'slices' if what == 'image_id' else 'patients'}",
                    found=shared[0],
                    expected="none",
                )


def _bounds(*values: int | None) -> list[int]:
    return [value for value in values if value is not None]


def _bytes(image: npt.NDArray[np.float32]) -> Grey:
    return np.rint(image * 255).astype(np.uint8)
