"""Make ct.png: slices of the CT release in their phantoms, the phantoms before, and the label maps.

    python docs/images/ct.py

Nothing in it is real. The drawn lungs are under the licence of the release, CC BY-NC-SA 3.0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from covid_synth_data import load_dataset
from covid_synth_data.benchmark.data.released import phantoms
from covid_synth_data.benchmark.segmentation import data
from covid_synth_data.ct.labels import colour
from covid_synth_data.files.atomic import replacing

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / "releases/covid-synth-ct"
ROWS = (120, 444)
SIDE = 256


def main() -> None:
    """Write the picture beside this script."""
    options = phantoms("covid-synth-ct", ["ct"], RELEASE)["ct"]
    rows = load_dataset("covid-synth-ct", "ct", root=RELEASE)
    made = data.synthetic(rows, {"train": [], "validation": [], "test": []}, options)
    lines = []
    for index in ROWS:
        drawn, mask = made.complete(index, [], SIDE)
        before, _ = made.undrawn(index, [], SIDE)
        pictures = [np.repeat(grey[..., None], 3, -1) for grey in (drawn, before)]
        lines.append(np.concatenate([*pictures, colour(mask)], axis=1))
    with replacing(Path(__file__).with_name("ct.png")) as target:
        Image.fromarray(np.concatenate(lines)).save(target, "PNG", optimize=True)


if __name__ == "__main__":
    main()
