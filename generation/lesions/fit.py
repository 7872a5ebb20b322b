"""`python -m generation lesions fit`: where and how much of the lungs infection masks mark, as numbers.

The masks themselves state no licence, so nothing of them enters the package but the fitted numbers of
priors.toml: how much of the lungs is infected, where, and how often both lungs are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import typer

from covid_synth_data.cli import progress_bar, say
from covid_synth_data.errors import MissingSource
from covid_synth_data.lesions import coordinates, priors
from covid_synth_data.lesions.coordinates import LEFT, RIGHT, Mask

app = typer.Typer(help="The distributions that lesions are painted from.", no_args_is_help=True)

SOURCE: Final = "covid-qu-ex"
ROWS, COLUMNS = 6, 4
"""Places in a lung that the table tells apart, down and out."""

SPLIT: Final = 0.5
"""Below this share of the lungs the pattern counts as multifocal, from it on as confluent."""

LEAST: Final = 0.02
"""Films with less infection than this are left out: it is less than a cell of the table."""

CLEAR: Final = 0.03
"""A lung with at most this share infected counts as spared."""

Grid = npt.NDArray[np.float32]


class Fit(NamedTuple):
    """Measurements of the masks of `films` films: the mean infected share by place (ROWS, COLUMNS), the
    infected share of the lungs of each film, and the share of films with infection in both lungs."""

    films: int
    table: Grid
    extents: Grid
    both: float


def measure(infections: list[Mask], lungs: list[Mask]) -> Fit:
    """The fit to masks of infection and of the lungs, bool (h, w), one of each a film."""
    sums, counts = np.zeros((ROWS, COLUMNS)), np.zeros((ROWS, COLUMNS))
    extents, both = [], []
    for infection, lung in zip(infections, lungs, strict=True):
        where = coordinates.locate(lung)
        if where is None:
            continue
        ill = coordinates.to_grid(infection) >= 0.5
        inside = where.side > 0
        extent = float(ill[inside].mean())
        if extent < LEAST:
            continue
        extents.append(extent)
        both.append(min(float(ill[where.side == code].mean()) for code in (RIGHT, LEFT)) > CLEAR)
        row = np.clip(where.down[inside] * ROWS, 0, ROWS - 1).astype(int)
        column = np.clip(where.out[inside] * COLUMNS, 0, COLUMNS - 1).astype(int)
        np.add.at(sums, (row, column), ill[inside])
        np.add.at(counts, (row, column), 1)
    table = (sums / np.maximum(counts, 1)).astype(np.float32)
    return Fit(len(extents), table, np.array(extents, np.float32), float(np.mean(both)) if both else 0.0)


def beta(values: Grid, low: float, high: float) -> dict[str, float]:
    """The beta distribution on [`low`, `high`] with the mean and the variance of `values`."""
    scaled = (np.clip(values, low, high) - low) / (high - low)
    mean, variance = float(scaled.mean()), max(float(scaled.var()), 1e-4)
    total = max(mean * (1 - mean) / variance - 1, 0.5)
    return {"a": round(mean * total, 2), "b": round((1 - mean) * total, 2), "low": low, "high": high}


def changes(fit: Fit) -> dict[str, Any]:
    """The changes of the fit to priors.toml, as nested tables."""
    few, many = fit.extents[fit.extents < SPLIT], fit.extents[fit.extents >= SPLIT]
    table = np.clip(fit.table, 0.02, 0.98)
    multifocal = beta(few, round(float(few.min()), 2), SPLIT)
    return {
        "patterns": {
            "multifocal": {"extent": multifocal, "both": round(fit.both, 2)},
            "confluent": {"extent": beta(many, SPLIT, 1.0)},
        },
        "anatomy": {
            "table": [[round(float(value), 3) for value in row] for row in table],
            "films": fit.films,
            "source": f"infection masks of {SOURCE}, films with a hash below {priors.FITTED_SHARE:.3f}",
        },
    }


@app.command()
def fit(
    root: Annotated[
        Path | None,
        typer.Option(help="the folder of the real sets", envvar="COVID_SYNTH_SOURCES", show_envvar=True),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="the priors to write")] = priors.FILE,
) -> None:
    """Fit extents and places of COVID-19 to the infection masks of covid-qu-ex; print and write them."""
    import tomlkit

    from covid_synth_data.files.atomic import write_text
    from covid_synth_data.files.pixels import load_grey
    from covid_synth_data.sources import read_source

    frame = read_source(SOURCE, root)
    frame = frame[
        (frame["mask_path"] != "") & (frame["lung_path"] != "") & frame["image_id"].map(priors.fitted_on)
    ]
    if not len(frame):
        raise MissingSource(
            f"no infection masks in {SOURCE}",
            expected="'infection masks' beside 'lung masks'",
            hint="unpack the infection segmentation part of the set",
        )
    infections, lungs = [], []
    with progress_bar("reading masks") as tick:
        for number, (mask, lung) in enumerate(zip(frame["mask_path"], frame["lung_path"], strict=True), 1):
            infections.append(load_grey(mask) >= 128)
            lungs.append(load_grey(lung) >= 128)
            tick(number, len(frame))
    measured = measure(infections, lungs)
    document = tomlkit.parse(priors.FILE.read_text(encoding="utf-8"))
    _merge(document, changes(measured))
    write_text(out, tomlkit.dumps(document))
    priors.load.cache_clear()
    priors.load(out)
    low, middle, high = np.quantile(measured.extents, [0.1, 0.5, 0.9])
    shares = f"{low:.2f}, {middle:.2f}, {high:.2f} (10, 50, 90 %)"
    say(f"{measured.films} films; infected share of the lungs {shares}")
    say(f"both lungs {measured.both:.2f}; written {out}")


def _merge(document: Any, new: dict[str, Any]) -> None:
    """Put the values of `new` into the tables of `document`, whose comments and other keys stay."""
    for key, value in new.items():
        if isinstance(value, dict) and key in document:
            _merge(document[key], value)
        else:
            document[key] = value
