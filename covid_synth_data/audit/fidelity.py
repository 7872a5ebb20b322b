"""Are the images real-looking and different from each other? Distances and shares beside yardsticks.

All subjects are compared with the same half of the real patients, with the same number of films each: the
synthetic images, the other half of the real patients (as good as it gets), real films of another hospital,
the films that the translation started from, and real films that were blurred or got noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from covid_synth_data.audit.contract import OTHER_HALF, SYNTHETIC, Context, Findings, Section, names, need
from covid_synth_data.audit.descriptors import SIDE
from covid_synth_data.audit.films import FilmSet, joined
from covid_synth_data.audit.protocol import Protocol
from covid_synth_data.errors import MissingExtra
from covid_synth_data.files.pixels import Grey
from covid_synth_data.metrics import diversity, fidelity, intervals, manifold

MOST: Final = 5000
"""Films drawn of a set at most: distances need all pairs."""

LEAST: Final = 25
"""Films of each side."""

PARTS: Final = 5
"""Parts of the jackknife of the Frechet distance, which takes seconds for each."""

BLUR, NOISE = 0.01, 20.0
"""Standard deviations: of the blur as a share of the side, of the noise in grey levels."""


@dataclass(frozen=True)
class Drawn:
    """Films of a subject with their features, in an order that the seed decides."""

    subject: str
    films: FilmSet
    features: npt.NDArray[np.float32]

    def first(self, n: int, seed: int) -> Drawn:
        """`n` of them."""
        at = self.films.drawn(n, seed)
        return Drawn(self.subject, self.films.take(at), self.features[at])


def measure(context: Context) -> Findings:
    """The section."""
    findings, material, descriptors, seed = Findings(), context.material, context.descriptors, context.seed
    real = joined("real films", material.training, material.held_out)
    part = intervals.parts_of(real.groups, 2, seed)
    halves = [need(real.take(np.flatnonzero(part == half)), LEAST) for half in (0, 1)]
    need(material.synthetic, LEAST)
    n = min(*map(len, halves), len(material.synthetic), MOST)
    drawn = [halves[0].draw(n, seed), halves[1].draw(n, seed), material.synthetic.draw(n, seed)]
    reference, other, made = (
        Drawn(subject, films, descriptors.features(films))
        for subject, films in zip(("reference", OTHER_HALF, SYNTHETIC), drawn, strict=True)
    )
    subjects = [made, other, *_spoiled(context, drawn[1])]
    for films, subject in (
        (material.elsewhere, "real, another hospital"),
        (material.sources, "source films"),
    ):
        if findings.enough(films, subject, LEAST):
            chosen = films.draw(n, seed)
            subjects.append(Drawn(subject, chosen, descriptors.features(chosen)))
    for drawn_subject in subjects:
        _distances(findings, context, reference, drawn_subject)
    # A smaller yardstick has a protocol of its own, so the synthetic images are measured in that one too.
    for size in sorted({len(subject.films) for subject in subjects} - {n}):
        _distances(findings, context, reference, made.first(size, seed))
    for drawn_subject in [Drawn("real, the reference", reference.films, reference.features), *subjects]:
        _differences(findings, context, drawn_subject)
    if material.training_known:
        findings.notes.append(
            f"{len(material.training):,} of the {len(real):,} real films are training films of the generator,"
            " so the real films are not all new to it."
        )
    return findings


def _spoiled(context: Context, films: FilmSet) -> list[Drawn]:
    """Real films that are known to be worse."""
    seed = context.seed

    def blurred(film: Grey, place: int) -> Grey:
        sigma = BLUR * max(film.shape)
        return np.asarray(ndimage.gaussian_filter(film, sigma), np.uint8)

    def noised(film: Grey, place: int) -> Grey:
        noise = np.random.default_rng([seed, place]).normal(0, NOISE, film.shape)
        return np.clip(np.rint(film + noise), 0, 255).astype(np.uint8)

    details = [f"{seed} {place}" for place in range(len(films))]
    sets = {
        "real, blurred": films.altered(f"blur {BLUR}", blurred),
        "real, with noise": films.altered(f"noise {NOISE}", noised, details),
    }
    return [
        Drawn(subject, changed, context.descriptors.features(changed)) for subject, changed in sets.items()
    ]


def protocol(context: Context, n: int, reference: str) -> Protocol:
    """That of features."""
    descriptors = context.descriptors
    return Protocol(
        extractor=descriptors.extractor.name,
        layer=descriptors.layer,
        resize=f"{descriptors.side} x {descriptors.side}, antialiased bilinear, aspect ratio not kept",
        n=n,
        seed=context.seed,
        reference=reference,
    )


def _distances(findings: Findings, context: Context, reference: Drawn, subject: Drawn) -> None:
    """Frechet and kernel distance, precision, recall, density and coverage against the reference."""
    n, seed = len(subject.films), context.seed
    fixed = reference.first(n, seed)
    label = context.material.subject.label
    where = protocol(context, n, f"{label} films of half of the real patients, {n:,} on each side")
    made = subject.subject == SYNTHETIC
    sets = fixed.features, subject.features
    groups = fixed.films.groups, subject.films.groups

    def add(key: str, metric: str, measured: Any, better: Any) -> None:
        findings.add(key, metric, subject.subject, measured, where, n=n, better=better, yardstick=not made)

    add(
        "frechet",
        "Frechet distance",
        intervals.jackknife(fidelity.frechet_distance, sets, groups, parts=PARTS, seed=seed),
        "lower",
    )
    kernel = fidelity.kernel_distance_between_groups(*sets, *groups, seed=seed)
    add("kernel", "kernel distance", kernel, "lower")
    shares = manifold.measure(*sets)
    owners = {"precision": groups[1], "density": groups[1], "recall": groups[0], "coverage": groups[0]}
    for name, rows in shares._asdict().items():
        better = "real" if name == "density" else "higher"
        add(name, name, intervals.mean(rows, owners[name], seed=seed), better)


def _differences(findings: Findings, context: Context, subject: Drawn) -> None:
    """Vendi score and similarity of pairs, within the subject."""
    n, made = len(subject.films), subject.subject == SYNTHETIC
    where = protocol(context, n, "none: within the set")
    score = diversity.vendi_score(subject.features)
    findings.add(
        "vendi", "Vendi score", subject.subject, score, where, n=n, better="real", yardstick=not made
    )
    pictures = context.descriptors.small(subject.films)
    try:
        rows = diversity.pair_similarity(pictures, seed=context.seed)
    except MissingExtra as error:
        if made:
            findings.miss("SSIM of pairs", error)
        return
    where = Protocol(
        extractor="SSIM",
        layer="pixels",
        resize=f"{SIDE} x {SIDE}",
        n=n,
        seed=context.seed,
        reference=f"none: {diversity.PAIRS} random pairs within the set",
    )
    measured = intervals.mean(rows, names([str(i) for i in range(len(rows))], range(len(rows))), seed=0)
    findings.add(
        "pair-ssim",
        "SSIM of random pairs",
        subject.subject,
        measured,
        where,
        n=n,
        better="real",
        yardstick=not made,
    )


SECTION: Final = Section(
    "fidelity", "How close are they to real films, and how different from each other?", measure
)
