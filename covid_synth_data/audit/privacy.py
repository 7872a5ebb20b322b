"""Privacy: re-identification of the source films of translations, and membership in the training set.

The attacks are simple, and anyone with the images can run them. A stronger attack may find more.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from covid_synth_data.audit import contrast, origins
from covid_synth_data.audit.contract import SYNTHETIC, Context, Findings, Section, names
from covid_synth_data.audit.descriptors import SIDE, Descriptors
from covid_synth_data.audit.fidelity import protocol
from covid_synth_data.audit.films import FilmSet
from covid_synth_data.audit.protocol import Protocol
from covid_synth_data.metrics import approximate, privacy

QUERIES: Final = 2000
"""Images that are asked for their source at most."""

LEAST: Final = 20
PLACES: Final = (1, 10)

TRANSLATED: Final = (
    "A translation or an edit of a film keeps the bones and outlines of its patient. The numbers below say"
    " how well a stranger who has the source films finds the right one from the picture alone; the rows name"
    " it anyway. No anonymity is claimed; this is why only public-domain and CC BY films are translated for"
    " release."
)


class Space(NamedTuple):
    """What films are compared by: a name, and rows (n, d) of films."""

    name: str
    where: Protocol
    rows: Any


def measure(context: Context) -> Findings:
    """The section."""
    findings = Findings()
    if context.material.synthetic.origins:
        findings.notes.append(TRANSLATED)
        _reidentified(findings, context)
    else:
        findings.miss("re-identification of sources", "the images name no source film")
    _members(findings, context)
    return findings


def _spaces(context: Context, n: int, reference: str) -> list[Space]:
    """Two ways to compare films."""

    def pixels(films: FilmSet) -> npt.NDArray[np.float32]:
        small = context.descriptors.small(films).reshape(len(films), 16, 4, 16, 4).mean(axis=(2, 4))
        flat = small.reshape(len(films), -1)
        flat = flat - flat.mean(axis=1, keepdims=True)
        return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), np.float32)

    shades = Protocol(
        extractor="correlation of grey levels",
        layer="pixels",
        resize="16 x 16",
        n=n,
        seed=context.seed,
        reference=reference,
    )
    descriptors: Descriptors = context.descriptors
    return [
        Space("features", protocol(context, n, reference), descriptors.features),
        Space("pixels", shades, pixels),
    ]


# Re-identification


def _reidentified(findings: Findings, context: Context) -> None:
    """Top-1 and top-10 of the source film and of its patient, before and after translation."""
    material = context.material
    sources = {name: place for place, name in enumerate(material.sources.ids)}
    known = origins.known(material)
    if len(known) < LEAST or len(sources) < LEAST:
        findings.miss(
            "re-identification of sources",
            f"{len(known)} images with a source film that is here, {len(sources)} source films;"
            f" at least {LEAST} of each are needed",
        )
        return
    queries = material.synthetic.take(known).draw(QUERIES, context.seed)
    answer = np.array([sources[name] for name in queries.origins])
    before = origins.as_translated(material.sources, queries)
    reference = f"all {len(sources):,} source films"
    for space in _spaces(context, len(queries), reference):
        gallery = space.rows(material.sources)
        for subject, films in (("translated", queries), ("source film before translation", before)):
            rank = functools.partial(_by_rows, space.rows(films), gallery)
            _add_matches(findings, subject, space, rank, answer, queries, material.sources)
    _by_contrast(findings, context, queries, before, answer)


def _by_contrast(
    findings: Findings, context: Context, queries: FilmSet, before: FilmSet, answer: npt.NDArray[np.int64]
) -> None:
    """The attack of someone who knows that tone was changed and margins may be cut; see `contrast`."""
    sources = context.material.sources
    where = Protocol(
        extractor="local contrast, 16 crops of each source film",
        layer="pixels",
        resize=f"{SIDE} x {SIDE}",
        n=len(queries),
        seed=context.seed,
        reference=f"all {len(sources):,} source films",
    )
    gallery = context.descriptors.small(sources)
    for subject, films in (("translated", queries), ("source film before translation", before)):
        alike = contrast.likeness(context.descriptors.small(films), gallery)
        rank = functools.partial(_by_likeness, alike)
        space = Space("local-contrast", where, None)
        _add_matches(findings, subject, space, rank, answer, queries, sources)


def _by_rows(rows: Any, gallery: Any, at: Any, answers: Any, groups: Any, left_out: Any) -> privacy.Ranks:
    return privacy.ranks(rows[at], gallery, answers, groups, left_out)


def _by_likeness(alike: Any, at: Any, answers: Any, groups: Any, left_out: Any) -> privacy.Ranks:
    return privacy.ranks_by_likeness(alike[at], answers, groups, left_out)


def _add_matches(
    findings: Findings,
    subject: str,
    space: Space,
    rank: Callable[..., privacy.Ranks],
    answer: npt.NDArray[np.int64],
    queries: FilmSet,
    sources: FilmSet,
) -> None:
    """Whether the source film is found, and, of patients with several films, another film of the patient.

    `rank` takes places of queries, their answers, the group of each source film, and films to pass over.
    """
    everyone = np.arange(len(answer))
    places = rank(everyone, answer, np.arange(len(sources)), None)
    _tops(findings, "film", "source film found", subject, space, places, queries.groups)
    _, patients = np.unique(np.asarray(sources.groups, dtype=object).astype(str), return_inverse=True)
    several = np.flatnonzero(np.bincount(patients)[patients[answer]] > 1)
    if len(several) < LEAST:
        text = f"patient re-identified by {space.name}, {subject}"
        findings.miss(text, f"{len(several)} images of patients with several films; {LEAST} are needed")
        return
    places = rank(several, patients[answer[several]], patients, answer[several])
    owners = names(sources.groups, answer[several])
    _tops(findings, "patient", "patient found by another film", subject, space, places, owners)


def _tops(
    findings: Findings, key: str, metric: str, subject: str, space: Space, places: privacy.Ranks, groups: Any
) -> None:
    for k in PLACES:
        top = privacy.top_k(*places, k, groups)
        findings.add(
            f"{key}-top{k}-{space.name}",
            f"{metric} among the first {k}, by {space.name.replace('-', ' ')}",
            subject,
            top.share,
            space.where,
            n=len(places[0]),
            better="chance",
            chance=top.chance,
            yardstick=subject != "translated",
        )


# Membership


def _members(findings: Findings, context: Context) -> None:
    """Whether training films are nearer to the images than other films of the same sets are."""
    material = context.material
    what = "membership inference"
    if not material.training_known:
        why = (
            "no film was learned from"
            if material.untrained
            else "nobody says which films the generator learned from"
        )
        findings.miss(what, why)
        return
    enough = [findings.enough(films, what, LEAST) for films in (material.training, material.held_out)]
    if not all(enough):
        return
    members, others = material.training, material.held_out
    made = {SYNTHETIC: material.synthetic}
    if len(material.elsewhere) >= LEAST:
        made["control: real films of another hospital in their place"] = material.elsewhere
    reference = f"{len(members):,} training films against {len(others):,} held-out films of the same sets"
    for subject, films in made.items():
        for space in _spaces(context, len(members) + len(others), reference):
            against = space.rows(films)
            graph = context.graph(against)
            inside = privacy.attack_scores(space.rows(members), against, graph=graph)
            outside = privacy.attack_scores(space.rows(others), against, graph=graph)
            for attack, scores in inside.items():
                measured = privacy.membership(
                    scores, outside[attack], members.groups, others.groups, seed=context.seed
                )
                findings.add(
                    f"membership-{attack}-{space.name}",
                    f"membership AUC, {attack}, by {space.name}",
                    subject,
                    measured,
                    space.where,
                    n=len(members) + len(others),
                    better="chance",
                    chance=0.5,
                    yardstick=subject != SYNTHETIC,
                )
    if context.search != approximate.EXACT:
        findings.miss(f"{what} by the count within a radius", "it compares every film with every image")
    findings.notes.append(
        "Training and held-out films are of one set but not one draw: where the control differs from 0.5, so"
        " much of an AUC is not due to the training."
    )


SECTION: Final = Section("privacy", "Do they give away source or training films?", measure)
