"""Are the bodies plausible? Lungs, heart side, field of view and lesions against those of real films.

The limits are the 1st and 99th percentile of one half of the real patients, so about 2 in 100 real films of
the other half lie outside; that half is measured beside the images.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.audit import lesion_maps, outlines
from covid_synth_data.audit.contract import SHOWN, Context, Findings, Section
from covid_synth_data.audit.films import FilmSet, joined
from covid_synth_data.audit.outlines import Outlines
from covid_synth_data.audit.protocol import Protocol
from covid_synth_data.audit.result import Shown
from covid_synth_data.metrics import intervals
from covid_synth_data.metrics.detection import proportion

MOST: Final = 2000
"""Films of a set at most: the outlines of lungs take time."""

LEAST: Final = 100
"""Real films with lungs that the 1st and 99th percentile need."""

PERCENTILES: Final = (1.0, 99.0)
SUBJECT: Final = "synthetic"


def measure(context: Context) -> Findings:
    """The section."""
    findings, material, seed = Findings(), context.material, context.seed
    real = joined("real films", material.training, material.held_out).draw(2 * MOST, seed)
    part = intervals.parts_of(real.groups, 2, seed) if len(real) else np.zeros(0, np.int64)
    halves = [real.take(np.flatnonzero(part == half)) for half in (0, 1)]
    reference = context.descriptors.lungs(halves[0])
    if not _enough(findings, reference):
        return findings
    sets = {SUBJECT: material.synthetic.draw(MOST, seed), "real, other half of the patients": halves[1]}
    others = {"real, another hospital": material.elsewhere, "source films": material.sources}
    sets |= {name: films.draw(MOST, seed) for name, films in others.items() if len(films)}
    limits = {name: np.percentile(reference.column(name), PERCENTILES) for name in outlines.ANATOMY}
    for subject, films in sets.items():
        if findings.enough(films, f"anatomy, {subject}"):
            _subject(findings, context, subject, films, limits, len(halves[0]))
    lesion_maps.measure(findings, context)
    return findings


def _enough(findings: Findings, reference: Outlines) -> bool:
    count = int(reference.with_lungs.sum())
    if count < LEAST:
        findings.miss(
            "share outside the 1st to 99th percentile",
            f"lungs were found in {count} real films of half of the patients, {LEAST} are needed",
        )
    return count >= LEAST


def _subject(
    findings: Findings,
    context: Context,
    subject: str,
    films: FilmSet,
    limits: dict[str, npt.NDArray[np.float64]],
    reference: int,
) -> None:
    """The shares of one subject outside the limits; of the synthetic images also the worst."""
    seen = context.descriptors.lungs(films)
    where = Protocol(
        extractor="lung fields of this package",
        layer="outline",
        resize="128 x 128 without frame",
        n=reference,
        seed=context.seed,
        reference=f"{PERCENTILES[0]:g}th to {PERCENTILES[1]:g}th percentile of {reference:,} real films",
    )

    def add(key: str, metric: str, measured: Any, n: int, better: Any, chance: float | None = None) -> None:
        findings.add(
            key,
            metric,
            subject,
            measured,
            where,
            n=n,
            better=better,
            chance=chance,
            yardstick=subject != SUBJECT,
        )

    count = int(seen.with_lungs.sum())
    add("lungs-found", "lungs found", proportion(count, len(films)), len(films), "real")
    if not count:
        findings.miss(f"anatomy, {subject}", "lungs were found in no film")
        return
    excess = np.zeros(count)
    for name, (low, high) in limits.items():
        values = seen.column(name)
        outside = (values < low) | (values > high)
        add(
            f"{name}-outside",
            f"{name} outside the limits",
            proportion(int(outside.sum()), count),
            count,
            "chance",
            0.02,
        )
        excess += np.maximum(np.maximum(low - values, values - high), 0) / max(high - low, 1e-9)
    wrong = seen.column("heart-side") < 0
    add("heart-right", "heart at the wrong side", proportion(int(wrong.sum()), count), count, "real")
    if subject == SUBJECT:
        _worst(findings, films, np.flatnonzero(seen.with_lungs), excess)


def _worst(
    findings: Findings, films: FilmSet, places: npt.NDArray[np.int64], excess: npt.NDArray[np.float64]
) -> None:
    for rank in np.argsort(-excess, kind="stable")[:SHOWN]:
        if excess[rank] > 0:
            findings.shown.append(
                Shown(
                    image_id=films.ids[places[rank]],
                    beside=None,
                    text=f"outside by {excess[rank]:.2f} of the range of real films",
                    score=float(excess[rank]),
                )
            )


SECTION: Final = Section("anatomy", "Are the bodies plausible?", measure)
