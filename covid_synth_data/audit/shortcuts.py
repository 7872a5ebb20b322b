"""What do the images teach by accident? How well simple probes tell real sets, and real from synthetic.

A classifier that can tell the hospital from the borders of a film need not look at the lungs. A probe is a
logistic regression on a part of the film, tested on patients that it did not learn from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from covid_synth_data.audit import origins, outlines, probes
from covid_synth_data.audit.contract import SYNTHETIC, Context, Findings, Section
from covid_synth_data.audit.descriptors import SIDE
from covid_synth_data.audit.films import FilmSet, joined
from covid_synth_data.audit.protocol import Protocol
from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import intervals
from covid_synth_data.preprocessing import lungs

MOST: Final = 1000
"""Films of each kind at most: the outlines of lungs take time."""

LEAST: Final = 20

Input = Callable[[FilmSet], Any]


def measure(context: Context) -> Findings:
    """The section."""
    findings = Findings()
    material = context.material
    real = joined("real films", material.training, material.held_out)
    _hospitals(findings, context, joined("real films", real, material.elsewhere))
    if findings.enough(real, "real told from synthetic", LEAST):
        _synthetic(findings, context, real)
    findings.miss(
        "the same probes for classifiers trained with and without the set",
        "that needs trained classifiers: covid-synth benchmark probe SUITE measures it",
    )
    return findings


def inputs(context: Context) -> dict[str, Input]:
    """What a probe is given, by name."""
    descriptors = context.descriptors

    def masked(films: FilmSet, inside: bool) -> npt.NDArray[np.float32]:
        small, masks = descriptors.small(films), descriptors.lungs(films).masks
        kept = masks if inside else np.array([~outlines.grown(mask) for mask in masks])
        return probes.halved(np.where(kept, small, np.uint8(lungs.OUTSIDE)).astype(np.uint8)).reshape(
            len(films), -1
        )

    return {
        "borders": lambda films: probes.border(descriptors.small(films)),
        "outside the lungs": lambda films: masked(films, False),
        "inside the lungs": lambda films: masked(films, True),
        "8 x 8 thumbnails": lambda films: probes.halved(descriptors.small(films), 8).reshape(len(films), -1),
    }


def _hospitals(findings: Findings, context: Context, real: FilmSet) -> None:
    """Probes that separate each real set from the other sets; all films are of one class."""
    counts = Counter(real.datasets)
    enough = sorted(name for name, count in counts.items() if count >= LEAST)
    if len(enough) < 2:
        findings.miss(
            "source told", f"{len(enough)} real sets with {LEAST} films or more of the class, 2 are needed"
        )
        return
    parts = {name: np.flatnonzero(np.asarray(real.datasets) == name) for name in enough}
    chosen = {name: real.take(places).draw(MOST, context.seed) for name, places in parts.items()}
    films = joined("real films of several sets", *chosen.values())
    ways = {**inputs(context), "size and shape of the file": _metadata}
    probed = enough[:1] if len(enough) == 2 else enough
    for way, make in ways.items():
        rows = make(films)
        for name in probed:
            labels = (np.asarray(films.datasets) == name).astype(np.int64)
            what = f"{name} told from " + (enough[1] if len(enough) == 2 else "the other sets")
            _probe(findings, context, "source", what, way, rows, labels, films.groups)
    labels = (np.asarray(films.datasets) == enough[0]).astype(np.int64)
    mixed = probes.shuffled(labels, films.groups, context.seed)
    rows = ways["8 x 8 thumbnails"](films)
    _probe(
        findings,
        context,
        "source",
        "shuffled labels",
        "8 x 8 thumbnails",
        rows,
        mixed,
        films.groups,
        yardstick=True,
    )


def _metadata(films: FilmSet) -> npt.NDArray[np.float64]:
    """Logarithms of height and width, and their difference."""
    shapes = np.array([films.grey(place).shape for place in range(len(films))], np.float64)
    logs = np.log(shapes)
    return np.column_stack([logs, logs[:, 0] - logs[:, 1]])


class Pair(NamedTuple):
    """Two sets that a probe tells apart, and whether that is a yardstick."""

    subject: str
    first: FilmSet
    second: FilmSet
    yardstick: bool = True


def _synthetic(findings: Findings, context: Context, real: FilmSet) -> None:
    """Probes that separate synthetic from real films; for reference, two halves of the real patients.

    Images that were made of real films differ from the real films of their class in two ways: by what the
    source films were, and by what the generator did. Pairs of sets tell the two apart.
    """
    descriptors, seed = context.descriptors, context.seed
    made, chosen = context.material.synthetic.draw(MOST, seed), real.draw(MOST, seed)
    half = intervals.parts_of(chosen.groups, 2, seed)
    pairs = [Pair("synthetic told from real", chosen, made, False)]
    pairs += _of_sources(findings, context, chosen)
    first, second = (chosen.take(np.flatnonzero(half == part)) for part in (0, 1))
    pairs.append(Pair("real half told from the other half", first, second))
    ways = {
        **inputs(context),
        "features of the film": descriptors.features,
        "features of the lungs": descriptors.inside,
        "features outside the lungs": descriptors.outside,
    }
    for way, make in ways.items():
        for pair in pairs:
            rows = np.concatenate([make(pair.first), make(pair.second)])
            labels = np.repeat([0, 1], [len(pair.first), len(pair.second)])
            groups = [f"film {name}" for name in (*pair.first.groups, *pair.second.groups)]
            _probe(
                findings,
                context,
                SYNTHETIC,
                pair.subject,
                way,
                rows,
                labels,
                groups,
                yardstick=pair.yardstick,
            )


def _of_sources(findings: Findings, context: Context, real: FilmSet) -> list[Pair]:
    """The pairs of sets with the source films: the part of each that the image shows, at its size."""
    material = context.material
    images = material.synthetic.take(origins.known(material)).draw(MOST, context.seed)
    if len(images) < LEAST:
        return []
    before = origins.as_translated(material.sources, images)
    pairs = [
        Pair("source films told from real", real, before),
        Pair("synthetic told from their source films", before, images, False),
    ]
    if material.encoding is not None:
        encoded = origins.as_translated(material.sources, images, material.encoding)
        pairs += [
            Pair("synthetic told from their source films in the same encoding", encoded, images, False),
            Pair("source films in that encoding told from the same without it", before, encoded),
        ]
    findings.notes.append(
        "What tells the source films from the real ones was there before the generator: another hospital,"
        " another class. What tells the images from their source films is the generator and the encoding."
    )
    return pairs


def _probe(
    findings: Findings,
    context: Context,
    key: str,
    subject: str,
    way: str,
    rows: Any,
    labels: npt.NDArray[np.int64],
    groups: Any,
    yardstick: bool = False,
) -> None:
    """One probe, or why it cannot be made."""
    try:
        measured = probes.auc(rows, labels, list(groups), seed=context.seed)
    except MetricError as error:
        findings.miss(f"{subject} from {way}", error)
        return
    positives = int(labels.sum())
    side = context.descriptors.side if "features" in way else SIDE
    where = Protocol(
        extractor=f"logistic regression, at most {probes.COMPONENTS} components",
        layer=way,
        resize=f"{side} x {side}",
        n=len(labels),
        seed=context.seed,
        reference=f"{positives:,} against {len(labels) - positives:,} films, {probes.FOLDS} folds by patient",
    )
    name = way.replace(" ", "-")
    findings.add(
        f"{key}-{name}",
        f"AUC from {way}",
        subject,
        measured,
        where,
        n=len(labels),
        better="chance",
        chance=0.5,
        yardstick=yardstick,
    )


SECTION: Final = Section("shortcuts", "What do they teach by accident?", measure)
