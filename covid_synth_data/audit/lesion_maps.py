"""Are painted lesions as large as real ones, and where real ones are? Maps of both over the same lungs.

Real maps are those of a set with masks of the infection, without the films that the priors of painting were
fitted to. Lungs are found by the same network in painted and in real films, since the lung masks of a set
are drawn to a rule of its own.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from covid_synth_data.audit import limits
from covid_synth_data.audit.contract import OTHER_HALF, SHOWN, SYNTHETIC, Context, Findings
from covid_synth_data.audit.films import FilmSet
from covid_synth_data.audit.limits import LEAST, MOST
from covid_synth_data.audit.protocol import Protocol
from covid_synth_data.lesions import coordinates
from covid_synth_data.metrics import intervals
from covid_synth_data.metrics.detection import proportion

MEASURES: Final = {
    "extent": "share of the lungs within lesions",
    "right": "share of the lesions in the patient's right lung",
    "upper": "share of the lesions in the upper third of the lungs",
    "lower": "share of the lesions in the lower third of the lungs",
    "outer": "share of the lesions in the outer half of the lungs",
    "pieces": "separate lesions",
}
"""What is measured of a map, in the order of the columns."""

Floats = npt.NDArray[np.float64]


def measure(findings: Findings, context: Context) -> None:
    """Means, 5th and 95th percentiles of each measure, and the share outside the real limits."""
    material, seed = context.material, context.seed
    if material.synthetic.map_cell is None:
        findings.miss("lesion extent and zone", "no map of lesions comes with the images")
        return
    part = intervals.parts_of(material.mapped.groups, 2, seed)
    halves = [
        material.mapped.take(np.flatnonzero(part == half)).draw(MOST, seed) if len(part) else material.mapped
        for half in (0, 1)
    ]
    places, reference = measured(context, halves[0])
    if len(places) < LEAST:
        findings.miss(
            "lesion extent and zone",
            f"{len(places)} real films with a map and lungs in half of the patients, {LEAST} are needed",
        )
        return
    bounds = np.percentile(reference, limits.PERCENTILES, axis=0)
    subjects = {SYNTHETIC: material.synthetic.draw(MOST, seed), OTHER_HALF: halves[1]}
    for subject, films in subjects.items():
        if findings.enough(films, f"lesion extent and zone, {subject}"):
            _subject(findings, context, subject, films, bounds, len(reference))
    sets = ", ".join(sorted(set(material.mapped.datasets)))
    findings.notes.append(
        f"Lesions are compared with the infection masks of {sets}. Such masks are drawn generously, so that"
        " real lesions are smaller than they say. Films without a lesion in the lungs that were found do not"
        " count."
    )


def measured(context: Context, films: FilmSet) -> tuple[npt.NDArray[np.int64], Floats]:
    """The places (m,) of the films with two lungs and a lesion in them, and their measures (m, 6)."""
    if not len(films):
        return np.zeros(0, np.int64), np.zeros((0, len(MEASURES)))
    masks = context.descriptors.lungs(films).masks
    rows = {}
    for place, mask in enumerate(masks):
        where = coordinates.locate(mask)
        numbers = None if where is None else of_map(coordinates.to_grid(films.lesions(place) >= 128), where)
        if numbers is not None:
            rows[place] = numbers
    return np.array(list(rows), np.int64), np.array(list(rows.values()), np.float64).reshape(
        -1, len(MEASURES)
    )


def of_map(covered: coordinates.Plane, where: coordinates.Coordinates) -> Floats | None:
    """The numbers of `MEASURES` of a map on the grid, `covered` shares of cells; None without a lesion."""
    ill = (covered >= 0.5) & (where.side > 0)
    count = int(ill.sum())
    if not count:
        return None
    down, out = where.down[ill], where.out[ill]
    return np.array(
        [
            count / int((where.side > 0).sum()),
            (where.side[ill] == coordinates.RIGHT).mean(),
            (down < 1 / 3).mean(),
            (down > 2 / 3).mean(),
            (out > 0.5).mean(),
            ndimage.label(ill)[1],
        ]
    )


def _subject(
    findings: Findings, context: Context, subject: str, films: FilmSet, bounds: Floats, reference: int
) -> None:
    """The numbers of one subject."""
    places, rows = measured(context, films)
    where = Protocol(
        extractor="lung fields of this package",
        layer="maps of lesions",
        resize=f"{coordinates.GRID} x {coordinates.GRID}",
        n=reference,
        seed=context.seed,
        reference=limits.reference(reference, "real maps"),
    )
    made, n = subject == SYNTHETIC, len(places)

    def add(key: str, metric: str, value: Any, better: Any = "real", chance: float | None = None) -> None:
        findings.add(
            f"lesion-{key}",
            metric,
            subject,
            value,
            where,
            n=n,
            better=better,
            chance=chance,
            yardstick=not made,
        )

    if not n:
        findings.miss(f"lesion extent and zone, {subject}", "no film with two lungs and a lesion in them")
        return
    groups = [films.groups[place] for place in places]
    excess = np.zeros(n)
    for name, values, (low, high) in zip(MEASURES, rows.T, bounds.T, strict=True):
        text = MEASURES[name]
        add(f"{name}-mean", f"{text}, mean", intervals.mean(values, groups))
        for percent in (5, 95):
            add(
                f"{name}-p{percent}", f"{text}, {percent}th percentile", float(np.percentile(values, percent))
            )
        outside, beyond = limits.outside(values, low, high)
        add(f"{name}-outside", f"{text}, outside the limits", proportion(outside, n), "chance", limits.CHANCE)
        excess += beyond
    if made:
        text = "lesions outside by {} of the range of real maps"
        limits.show_worst(findings, films, places, excess, text, SHOWN // 2)
