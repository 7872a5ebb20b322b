"""Are the bodies plausible? Lungs, heart side, field of view and lesions against those of real films.

The limits are the 1st and 99th percentile of one half of the real patients, so about 2 in 100 real films of
the other half lie outside; that half is measured beside the images.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.audit import lesion_maps, limits, outlines
from covid_synth_data.audit.contract import OTHER_HALF, SHOWN, SYNTHETIC, Context, Findings, Section
from covid_synth_data.audit.films import FilmSet, joined
from covid_synth_data.audit.limits import LEAST, MOST
from covid_synth_data.audit.outlines import Outlines
from covid_synth_data.audit.protocol import Protocol
from covid_synth_data.metrics import intervals
from covid_synth_data.metrics.detection import proportion


def measure(context: Context) -> Findings:
    """The section."""
    findings, material, seed = Findings(), context.material, context.seed
    real = joined("real films", material.training, material.held_out).draw(2 * MOST, seed)
    part = intervals.parts_of(real.groups, 2, seed) if len(real) else np.zeros(0, np.int64)
    halves = [real.take(np.flatnonzero(part == half)) for half in (0, 1)]
    reference = context.descriptors.lungs(halves[0])
    if not _enough(findings, reference):
        return findings
    sets = {SYNTHETIC: material.synthetic.draw(MOST, seed), OTHER_HALF: halves[1]}
    others = {"real, another hospital": material.elsewhere, "source films": material.sources}
    sets |= {name: films.draw(MOST, seed) for name, films in others.items() if len(films)}
    bounds = {name: np.percentile(reference.column(name), limits.PERCENTILES) for name in outlines.ANATOMY}
    for subject, films in sets.items():
        if findings.enough(films, f"anatomy, {subject}"):
            _subject(findings, context, subject, films, bounds, len(halves[0]))
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
    bounds: dict[str, npt.NDArray[np.float64]],
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
        reference=limits.reference(reference, "real films"),
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
            yardstick=subject != SYNTHETIC,
        )

    count = int(seen.with_lungs.sum())
    add("lungs-found", "lungs found", proportion(count, len(films)), len(films), "real")
    if not count:
        findings.miss(f"anatomy, {subject}", "lungs were found in no film")
        return
    excess = np.zeros(count)
    for name, (low, high) in bounds.items():
        outside, beyond = limits.outside(seen.column(name), low, high)
        add(
            f"{name}-outside",
            f"{name} outside the limits",
            proportion(outside, count),
            count,
            "chance",
            limits.CHANCE,
        )
        excess += beyond
    wrong = seen.column("heart-side") < 0
    add("heart-right", "heart at the wrong side", proportion(int(wrong.sum()), count), count, "real")
    if subject == SYNTHETIC:
        text = "outside by {} of the range of real films"
        limits.show_worst(findings, films, np.flatnonzero(seen.with_lungs), excess, text, SHOWN)


SECTION: Final = Section("anatomy", "Are the bodies plausible?", measure)
