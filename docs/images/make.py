"""Draw the picture at the top of the README from the release in this repository.

    python docs/images/make.py [--release DIR] [-o FILE]

Rows of `gnc`, of `gpc`, and pairs of `pairs`, spread evenly over each config. Each row of the release names
the film that it was made of and that film's licence.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import covid_synth_data as csd

ROOT = Path(__file__).resolve().parents[2]
SIDE, GAP, HEAD, COLUMNS = 180, 6, 24, 6
TITLES = {
    "gnc": "gnc: films without opacities, translated to COVID-19",
    "gpc": "gpc: films with pneumonia (children), translated to COVID-19",
    "pairs": "pairs: a normal film, and the same film with painted opacities",
}


def chosen(config: str, release: Path) -> list[np.ndarray]:
    """uint8 (side, side) each: rows of the config at equal distances; of pairs both films."""
    rows = csd.load_dataset("covid-synth-cxr", config, root=release)
    films = COLUMNS // 2 if config == "pairs" else COLUMNS
    first = [len(rows) * place // films for place in range(films)]
    if config == "pairs":
        first = [place for row in first for place in (row // 2 * 2, row // 2 * 2 + 1)]
    return [np.asarray(rows[place]["image"]) for place in first]


def picture(rows: dict[str, list[np.ndarray]]) -> Image.Image:
    """Rows of images, each below its title."""
    width = COLUMNS * (SIDE + GAP) + GAP
    canvas = Image.new("L", (width, len(rows) * (HEAD + SIDE + GAP) + GAP), 255)
    draw = ImageDraw.Draw(canvas)
    for number, (config, images) in enumerate(rows.items()):
        top = number * (HEAD + SIDE + GAP) + GAP
        draw.text((GAP, top), TITLES[config], fill=0, font=ImageFont.load_default(16))
        for column, pixels in enumerate(images):
            small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            canvas.paste(small, (GAP + column * (SIDE + GAP), top + HEAD))
    return canvas


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--release", type=Path, default=ROOT / "releases/covid-synth-cxr")
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_name("readme.png"))
    options = parser.parse_args()
    drawn = picture({config: chosen(config, options.release) for config in TITLES})
    drawn.save(options.out, optimize=True)


if __name__ == "__main__":
    main()
