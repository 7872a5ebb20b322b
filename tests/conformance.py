"""How each part of the package reads each kind of input file: the table docs/reference/conformance.md.

python -m tests.conformance        writes the table anew, from the root of a checkout
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import datasets
import numpy as np
from PIL import Image

import covid_synth_data as csd
from covid_synth_data.benchmark.data.composition import Pool
from covid_synth_data.errors import BadImage
from covid_synth_data.files import films, pixels
from covid_synth_data.generators import sampling
from covid_synth_data.reader_study import films as study
from covid_synth_data.reader_study.making import _different
from covid_synth_data.release.batches import batches
from covid_synth_data.splits import duplicates
from tests import inputs
from tests.sources.conftest import CHESTXRAY_HEADER, write_csv, xray

PAGE: Final = Path("docs/reference/conformance.md")
EMPTY: Final = "film that is all black"
SAME, REFUSED, LEFT_OUT, LISTED, OTHER = "same", "one line", "left out", "listed", "OTHER"


def _rows(path: Path) -> Any:
    """The file as the one film of covid-chestxray."""
    root = path.parent.parent
    home = root / "covid-chestxray-dataset"
    write_csv(home / "metadata.csv", CHESTXRAY_HEADER, [xray(path.name)])
    (home / "images").mkdir(exist_ok=True)
    (home / "images" / path.name).write_bytes(path.read_bytes())
    return csd.load_source("covid-chestxray", root)


def _is(found: Any, path: Path) -> str:
    """Whether the pixels are those of the one decoder, `load_grey`."""
    return SAME if np.array_equal(np.asarray(found), pixels.load_grey(path)) else OTHER


def _source(path: Path) -> str:
    return LISTED if len(_rows(path)) == 1 else OTHER


def _dataset(path: Path) -> str:
    shown = _rows(path)[0]["image"]
    return _is(shown, path) if shown.mode == "L" else OTHER


def _batches(path: Path) -> str:
    return _is(next(batches(_rows(path)))[0][0], path)


def _task(path: Path) -> str:
    """Tasks look at each film by its fingerprint."""
    found = duplicates.fingerprints([str(path)], [None])
    return LEFT_OUT if found.problems[0] or found.flat[0] else "used"


def _sample(path: Path) -> str:
    same = SimpleNamespace(card=SimpleNamespace(size=None), translate=lambda chosen: chosen)
    sampling.translate(same, path.parent, None, path.parent.parent / "out", lambda *_: None)  # type: ignore[arg-type]
    made = next((path.parent.parent / "out").iterdir())
    with Image.open(made) as image:
        return _is(image, path)


def _mix(path: Path) -> str:
    """A mix, written as parquet and read by `datasets` alone."""
    out = path.parent.parent / "mix.parquet"
    made = csd.load_source("phantom", patients=1, size=32)
    films.write_parquet(csd.mix(_rows(path), made, synthetic_count=1), out)
    rows = datasets.Dataset.from_parquet(str(out), keep_in_memory=True)
    content = out.read_bytes()
    hidden = inputs.PATIENT.encode() not in content and inputs.PATIENT_ID.encode() not in content
    real = next(row for row in rows if row["source_dataset"] == "covid-chestxray")
    return _is(real["image"], path) if hidden else OTHER


def _benchmark(path: Path) -> str:
    pool = Pool([_rows(path)])
    return _is(pixels.load_grey(pool.cell(pool.key("covid-chestxray/film"))), path)


def _reader_study(path: Path) -> str:
    chosen = study.real_films(str(path.parent), None, "test", "covid-19")
    return _is(next(iter(_different(chosen)))[1], path)


PLACES: Final[dict[str, Callable[[Path], str]]] = {
    "`load_source`": _source,
    "`dataset[i]`": _dataset,
    "`batches`": _batches,
    "tasks": _task,
    "`sample`": _sample,
    "`mix`": _mix,
    "benchmark": _benchmark,
    "reader study": _reader_study,
}


def verdicts(kind: str, folder: Path) -> list[str]:
    """How each part reads an input of this kind."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == EMPTY:
        path = folder / "films" / "film.png"
        path.parent.mkdir()
        Image.new("L", (64, 48)).save(path)
    else:
        path = inputs.write(kind, folder / "films")
    found = []
    for place in PLACES.values():
        try:
            found.append(place(path))
        except BadImage as error:
            found.append(REFUSED if len(str(error).splitlines()) == 1 else OTHER)
    return found


def kinds() -> list[str]:
    """All kinds of input, in the order of the table."""
    return [*inputs.USABLE, EMPTY, *inputs.BROKEN]


HEAD = """# How each part of the package reads each kind of file

A film is the same film wherever it is looked at: the one decoder (`covid_synth_data.files.pixels`) turns
every kind of file into an 8-bit upright grey image, and no place has rules of its own. Made by
`python -m tests.conformance`; the test `tests/test_conformance.py` makes every file and compares.

- `same`: the pixels are those of `load_grey`
- `listed`: the row is there; no pixel is read yet
- `used`, `left out`: the film takes part in tasks, or stands in the plan with the reason
- `one line`: a `BadImage` that names the file, exit code 2 in the shell; nothing is written

The rules: the EXIF orientation is followed. 8 bits are kept; deeper grey is stretched from its own minimum
and maximum to 0 and 255. DICOM follows its header: rescale, window, padding (black, and no part of the grey
scale), palette, MONOCHROME1. A window that the standard does not allow is not applied. Compressed DICOM needs
the extra `[rsna]`; where its decoder is missing, the error names it. `mix` writes 8-bit grey PNG and JPEG
files as they are and every other kind as PNG, so that no header of a patient goes along.
"""


def page(folder: Path) -> str:
    """The table as Markdown, from what the places do now."""
    lines = ["| input | " + " | ".join(PLACES) + " |", "|---|" + "---|" * len(PLACES)]
    for number, kind in enumerate(kinds()):
        lines.append(f"| {kind} | " + " | ".join(verdicts(kind, folder / str(number))) + " |")
    return HEAD + "\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        PAGE.write_text(page(Path(scratch)), encoding="utf-8", newline="")
