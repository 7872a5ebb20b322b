"""Sheets of CT slices as jiang2020, Fig. 6 and 7: label map, real, ours, baselines, and a part enlarged.

A sheet for others holds no real slice, only label maps of a release and the slices that generators draw for
them. If you have the real slices, the same sheet can show them; do not pass it on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from covid_synth_data import load_dataset
from covid_synth_data.ct.complement import complement, lung_only
from covid_synth_data.ct.labels import colour, infection, lung_field
from covid_synth_data.ct.slices import Row, read_slice, resize_image, resize_mask
from covid_synth_data.errors import ConfigError
from covid_synth_data.files.atomic import replacing
from covid_synth_data.files.pixels import Grey
from covid_synth_data.generators.trained import LabelTranslator
from generation.data.slices import split_of
from generation.kinds.label_maps import LABEL_MAPS, recipe_of

DATASET: Final = "covid-synth-ct"
SUBSET: Final = "ct"

T = TypeVar("T")
Box = tuple[int, int, int]
Colour = npt.NDArray[np.uint8]

SHARE: Final = 0.3
"""Side of the enlarged part, as a share of that of the slice."""
GAP: Final = 4
HEAD: Final = 18
LINE: Final = (255, 220, 0)
"""The yellow of the frame around the enlarged part."""


@dataclass(frozen=True)
class Column:
    """One column: its head, and a picture (side, side) of grey or (side, side, 3) of colours per row."""

    title: str
    pictures: Sequence[Grey]


def sheet(path: Path, columns: Sequence[Column], boxes: Sequence[Box | None], names: Sequence[str]) -> None:
    """Write a PNG with a row per case and, below each that has a box, the part in it enlarged.

    A box is (left, top, side) in pixels. `names` stand at the left. Raises `ConfigError` for columns of
    different lengths or sizes, `OutputError`.
    """
    counts = {len(column.pictures) for column in columns}
    sides = {picture.shape[0] for column in columns for picture in column.pictures}
    if counts != {len(boxes)} or len(names) != len(boxes) or len(sides) != 1:
        raise ConfigError(
            "columns that make no sheet",
            found=f"{sorted(counts)} rows of sides {sorted(sides)}",
            expected=f"{len(boxes)} rows of one side",
        )
    side = sides.pop()
    margin = 8 * max(len(name) for name in names) + 2 * GAP
    rows = [
        (case, box) for case, chosen in enumerate(boxes) for box in ((None, chosen) if chosen else (None,))
    ]
    size = margin + len(columns) * (side + GAP), HEAD + len(rows) * (side + GAP)
    picture = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default()
    for number, column in enumerate(columns):
        left = margin + number * (side + GAP)
        pen.text((left, GAP), column.title, fill="black", font=font)
        for line, (case, box) in enumerate(rows):
            part = Image.fromarray(_rgb(column.pictures[case]))
            if box is not None:
                part = _enlarged(part, box, side)
            elif boxes[case] is not None:
                _frame(part, boxes[case])
            picture.paste(part, (left, HEAD + line * (side + GAP)))
    for line, (case, box) in enumerate(rows):
        top = HEAD + line * (side + GAP)
        pen.multiline_text((GAP, top + GAP), names[case] if box is None else "enlarged", "black", font)
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)


def box_of(mask: Grey, share: float = SHARE) -> Box:
    """The square with the most infection in it (or lung, where there is none): the part that is enlarged."""
    side = mask.shape[0]
    width = max(8, round(share * side))
    shown = infection(mask) if infection(mask).any() else lung_field(mask)
    total = np.pad(shown.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = total[width:, width:] - total[:-width, width:] - total[width:, :-width] + total[:-width, :-width]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(left), int(top), width


def of_release(path: Path, release: Path, baselines: Sequence[Path] = (), cases: int = 3) -> None:
    """Label maps of a release folder, its slices, and what the weights in `baselines` draw for the same maps.

    Nothing real is in such a sheet. The rows are those with most infection.
    Raises what `load_dataset` and `load_file` raise.
    """
    rows = load_dataset(DATASET, SUBSET, root=release)
    masks = [np.asarray(mask) for mask in rows["mask"]]
    chosen = _most_infected(masks, list(rows["source_id"]), cases)
    side = masks[0].shape[0]
    shown = np.stack([masks[index] for index in chosen])
    ours = str(rows[chosen[0]]["generator"])
    columns = [
        Column("label map", [colour(mask) for mask in shown]),
        Column(ours, [np.asarray(rows[index]["image"]) for index in chosen]),
    ]
    for weights in baselines:
        generator = LABEL_MAPS.load(weights)
        columns.append(Column(generator.card.name, list(drawn(generator, shown, side))))
    names = [str(rows[index]["image_id"]) for index in chosen]
    sheet(path, columns, [box_of(mask) for mask in shown], names)


def of_real(path: Path, weights: Sequence[Path], root: Path | None, cases: int = 3) -> None:
    """Test slices of the generators' split beside what each draws for their label maps (Fig. 6 and 7).

    The columns are label map, real slice, the synthetic lung in it (of the first weights), real lung, and the
    lungs of all weights. It holds a patient's pixels: for the user's own eyes. Raises as `of_release`.
    """
    generators = [LABEL_MAPS.load(path) for path in weights]
    rows = _different_patients(split_of(recipe_of(weights[0]).data, root).generation_test, cases)
    side = generators[0].card.size
    pairs = [read_slice(row, side) for row in rows]
    real = np.stack([np.rint(image * 255).astype(np.uint8) for image, _ in pairs])
    masks = np.stack([mask for _, mask in pairs])
    lungs = [drawn(generator, masks, side) for generator in generators]
    columns = [
        Column("label map", [colour(mask) for mask in masks]),
        Column("real", list(real)),
        Column("complemented", list(complement(lungs[0], real, masks))),
        Column("real lung", list(lung_only(real, masks))),
        *(Column(generator.card.name, list(lung)) for generator, lung in zip(generators, lungs, strict=True)),
    ]
    names = [str(row["patient_id"]) for row in rows]
    sheet(path, columns, [box_of(mask) for mask in masks], names)


def drawn(generator: LabelTranslator, masks: Grey, side: int) -> Grey:
    """The lungs, uint8 (n, side, side), drawn at the generator's own size and resized by area."""
    size = generator.card.size
    own = np.stack([resize_mask(mask, size) for mask in masks])
    made = lung_only(generator.translate(own), own)
    return np.stack([resize_image(image, side) for image in made])


def _most_infected(masks: Sequence[Grey], sources: Sequence[str], cases: int) -> list[int]:
    """Rows with most infection, of different patients (what an id has before its number) if possible."""
    order = np.argsort([-int(infection(mask).sum()) for mask in masks], kind="stable").tolist()
    groups: dict[str, list[int]] = {}
    for index in order:
        groups.setdefault(sources[index].rpartition("_")[0], []).append(index)
    return _in_turns(list(groups.values()))[:cases]


def _different_patients(rows: Sequence[Row], cases: int) -> list[Row]:
    """Of each patient in turn the slice with the next most infection."""
    by_patient: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: -(row["ggo_pixels"] + row["consolidation_pixels"])):
        by_patient.setdefault(str(row["patient_id"]), []).append(row)
    return _in_turns(list(by_patient.values()))[:cases]


def _in_turns(groups: Sequence[list[T]]) -> list[T]:
    """The first of each group, then the second of each, and so on."""
    turns = max((len(group) for group in groups), default=0)
    return [group[turn] for turn in range(turns) for group in groups if turn < len(group)]


def _rgb(picture: Grey | Colour) -> Colour:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def _enlarged(picture: Image.Image, box: Box, side: int) -> Image.Image:
    left, top, width = box
    part = picture.crop((left, top, left + width, top + width))
    return part.resize((side, side), Image.Resampling.NEAREST)


def _frame(picture: Image.Image, box: Box | None) -> None:
    if box is not None:
        left, top, width = box
        ImageDraw.Draw(picture).rectangle((left, top, left + width - 1, top + width - 1), outline=LINE)
