"""Draw the picture at the top of the README. Nothing on it is a real radiograph.

    python docs/images/make.py                         from the weights in releases/covid-synth-cxr
    python docs/images/make.py --release DIR -o FILE   from a release folder

First row: drawn thorax phantoms without disease. Second row: the same phantoms, translated to COVID-19 by a
CycleGAN. Third row: COVID-19 images that a GAN made from noise.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import covid_synth_data as csd
from covid_synth_data import generators

ROOT = Path(__file__).resolve().parents[2]
SIDE, GAP, HEAD, COLUMNS = 180, 6, 24, 5
ROWS = (
    "thorax phantoms, normal (drawn)",
    "the same phantoms, translated to COVID-19 by {translator}",
    "COVID-19 images from noise by {sampler}",
)


def normal_phantoms(count: int) -> np.ndarray:
    """uint8 (count, 256, 256)."""
    rows = csd.load_source("phantom", size=256, patients=4 * count, seed=0)
    normal = [row for row, label in enumerate(rows["label"]) if label == csd.schema.LABELS.index("normal")][
        :count
    ]
    return np.stack([np.asarray(rows[row]["image"]) for row in normal])


def picture(rows: list[tuple[str, np.ndarray]]) -> Image.Image:
    """Rows of images, each below its title."""
    width = COLUMNS * (SIDE + GAP) + GAP
    canvas = Image.new("L", (width, len(rows) * (HEAD + SIDE + GAP) + GAP), 255)
    draw = ImageDraw.Draw(canvas)
    for number, (title, images) in enumerate(rows):
        top = number * (HEAD + SIDE + GAP) + GAP
        draw.text((GAP, top), title, fill=0, font=ImageFont.load_default(16))
        for column, pixels in enumerate(images):
            small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            canvas.paste(small, (GAP + column * (SIDE + GAP), top + HEAD))
    return canvas


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--release", type=Path, default=ROOT / "releases/covid-synth-cxr")
    parser.add_argument("--translator", default="cyclegan-unet.nc-cpu")
    parser.add_argument("--sampler", default="diffaug-gan.cpu")
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_name("readme.png"))
    options = parser.parse_args()
    phantoms = normal_phantoms(COLUMNS)
    translated = generators.load(options.translator, options.release, "cpu").translate(phantoms)
    sampled = generators.load(options.sampler, options.release, "cpu").sample(
        COLUMNS, seed=0, label="covid-19"
    )
    titles = [title.format(translator=options.translator, sampler=options.sampler) for title in ROWS]
    drawn = picture(list(zip(titles, (phantoms, translated, sampled), strict=True)))
    drawn.save(options.out, optimize=True)


if __name__ == "__main__":
    main()
