"""Are the images copies of training films? The nearest training film, in features and in aligned pixels.

Each distance is compared with that of held-out real films, which no generator was trained on. As a control,
slightly changed training films are added to the images, to show whether copies would be found.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from covid_synth_data.audit import origins
from covid_synth_data.audit.contract import SHOWN, SYNTHETIC, Context, Findings, Section, names, need
from covid_synth_data.audit.fidelity import protocol
from covid_synth_data.audit.films import FilmSet
from covid_synth_data.audit.protocol import Protocol
from covid_synth_data.audit.result import Shown
from covid_synth_data.errors import MetricError
from covid_synth_data.files.pixels import Grey
from covid_synth_data.metrics import copies, intervals, neighbours
from covid_synth_data.metrics.approximate import Graph
from covid_synth_data.splits import alignment
from covid_synth_data.splits.duplicates import SAME_FILM

MOST: Final = 20_000
CANDIDATES: Final = 3
"""Training films that an image is aligned with: so many by features, and so many by pixels."""

PLANTED: Final = 50
LEAST_HELD_OUT: Final = 20
UNTRAINED: Final = "The images were made by rules, without a network that learned from films."

OWN_SOURCE: Final = (
    "Each image was made of a real film and shows the same body. The first table says how often the search"
    " for copies of this package takes it for that film: where it does not, lineage alone keeps such images"
    " of test films out of training. The other tables ask about films that the generator learned from."
)

_WHOLE: Final = (0.0, 1.0, 0.0, 1.0)


class Near(NamedTuple):
    """Of each film (n,): distance to the nearest training film in features and its place; the greatest
    likeness to one in aligned pixels, in [0, 1], and its place."""

    distance: npt.NDArray[np.float64]
    nearest: npt.NDArray[np.int64]
    likeness: npt.NDArray[np.float64]
    alike: npt.NDArray[np.int64]


class Graphs(NamedTuple):
    """Graphs over the features and the shades of training films in an approximate search, else None."""

    features: Graph | None = None
    shades: Graph | None = None


class Described(NamedTuple):
    """What films are compared by; `graphs` are those of training films."""

    films: FilmSet
    features: npt.NDArray[np.float32]
    thumbs: npt.NDArray[np.uint8]
    graphs: Graphs = Graphs()


def measure(context: Context) -> Findings:
    """The section."""
    findings, material = Findings(), context.material
    _own_source(findings, context)
    if not len(material.training):
        findings.miss("copies", "there are no real films that the generator may have learned from")
        return findings
    training = _described(context, need(material.training))
    shades = _shades(training.thumbs)
    training = training._replace(graphs=Graphs(context.graph(training.features), context.graph(shades)))
    made = _described(context, need(material.synthetic).draw(MOST, context.seed))
    nearest = near(made, training)
    _closest(findings, made, training, nearest)
    if not findings.enough(material.held_out, "copies beside held-out films", LEAST_HELD_OUT):
        return findings
    held_out, held_out_near = _new_films(findings, context, training)
    if not findings.enough(held_out.films, "copies beside held-out films", LEAST_HELD_OUT):
        return findings
    planted = _described(context, _planted(context))
    copied = near(planted, training)
    sets = [
        (SYNTHETIC, made, nearest),
        ("real, held out", held_out, held_out_near),
        ("planted copies", planted, copied),
    ]
    if len(material.elsewhere) >= LEAST_HELD_OUT:
        other = _described(context, material.elsewhere)
        sets.insert(2, ("real, another hospital", other, near(other, training)))
    for subject, described, near_training in sets:
        _of_subject(findings, context, subject, described, near_training, held_out, held_out_near, training)
    if not material.training_known:
        why = UNTRAINED if material.untrained else "Nobody says which films the generator learned from."
        findings.notes.append(
            f"{why} Half of the real patients stand in for them, the other half for held-out ones."
        )
    return findings


def _own_source(findings: Findings, context: Context) -> None:
    """Whether the search for copies finds the film that an image was made of."""
    material = context.material
    images = material.synthetic.take(origins.known(material)).draw(MOST, context.seed)
    if len(images) < LEAST_HELD_OUT:
        return
    findings.notes.append(OWN_SOURCE)
    at = {name: place for place, name in enumerate(material.sources.ids)}
    own = np.array([at[name] for name in images.origins])
    # Turned by half of them, so that each image meets a film that is not its own but as often used.
    owners = np.asarray(material.sources.groups, dtype=object)
    other = np.roll(own, len(own) // 2)
    strange = owners[other] != owners[own]
    thumbs, theirs = (context.descriptors.thumbnails(films) for films in (images, material.sources))
    both = np.concatenate([thumbs, theirs])
    where = Protocol(
        extractor="aligned local contrast",
        layer="pixels",
        resize="64 x 64 without uniform borders",
        n=len(images),
        seed=context.seed,
        reference="the source film",
    )
    for subject, answers, kept in (
        (SYNTHETIC, own, np.ones(len(own), bool)),
        ("the source film of another image in its place", other, strange),
    ):
        places = np.flatnonzero(kept)
        values = _alike(both, places, answers[places] + len(images)).astype(np.float64)
        groups = names(images.groups, places)
        findings.add(
            "own-source-same",
            f"taken for the source film (likeness {SAME_FILM} or more)",
            subject,
            intervals.mean((values >= SAME_FILM).astype(np.float64), groups),
            where,
            n=len(places),
            better="lower",
            yardstick=subject != SYNTHETIC,
        )


def _alike(thumbs: npt.NDArray[np.uint8], first: Any, second: Any) -> npt.NDArray[np.float32]:
    """The likeness (n,) of pairs of thumbnails; a crop of either film may be like the other film."""
    box = np.tile(np.array(_WHOLE, np.float32), (len(first), 1))
    return np.maximum(
        alignment.likeness(thumbs, first, second, box), alignment.likeness(thumbs, second, first, box)
    )


def _new_films(findings: Findings, context: Context, training: Described) -> tuple[Described, Near]:
    """The held-out films that are no copies of training films.

    Public sets hold a film under several names and patients. Such a film is not held out, and it would lift
    the threshold above every true copy.
    """
    films = _described(context, context.material.held_out)
    near_training = near(films, training)
    new = np.flatnonzero(near_training.likeness < SAME_FILM)
    if len(new) < len(films.films):
        findings.notes.append(
            f"{len(films.films) - len(new):,} of {len(films.films):,} held-out films are training films under"
            f" another name (likeness {SAME_FILM} or more); they are left out here."
        )
    kept = Described(films.films.take(new), films.features[new], films.thumbs[new])
    return kept, Near(
        near_training.distance[new],
        near_training.nearest[new],
        near_training.likeness[new],
        near_training.alike[new],
    )


def near(films: Described, training: Described) -> Near:
    """The nearest of the training films for each film."""
    k = min(CANDIDATES, len(training.films))
    by_features = neighbours.nearest(films.features, training.features, k, graph=training.graphs.features)
    by_pixels = neighbours.nearest(
        _shades(films.thumbs), _shades(training.thumbs), k, graph=training.graphs.shades
    )
    rows = np.concatenate([by_features.rows, by_pixels.rows], axis=1)
    both = np.concatenate([films.thumbs, training.thumbs])
    first = np.repeat(np.arange(len(films.films)), rows.shape[1])
    second = rows.ravel() + len(films.films)
    alike = _alike(both, first, second).reshape(rows.shape)
    best = alike.argmax(axis=1)
    at = np.arange(len(rows))
    return Near(
        by_features.distances[:, 0],
        by_features.rows[:, 0],
        alike[at, best].astype(np.float64),
        rows[at, best],
    )


def _shades(thumbs: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Thumbnails at 16 x 16 with mean 0 and length 1: the order of their distances is that of correlation."""
    small = thumbs.reshape(len(thumbs), 16, 4, 16, 4).mean(axis=(2, 4)).reshape(len(thumbs), -1)
    small -= small.mean(axis=1, keepdims=True)
    length = np.linalg.norm(small, axis=1, keepdims=True)
    return np.asarray(small / np.maximum(length, 1e-6), np.float32)


def _described(context: Context, films: FilmSet) -> Described:
    return Described(films, context.descriptors.features(films), context.descriptors.thumbnails(films))


def _planted(context: Context) -> FilmSet:
    """Training films with 2 % cut off each side, a brighter tone and some noise."""
    seed = context.seed

    def change(film: Grey, place: int) -> Grey:
        down, across = (round(0.02 * side) for side in film.shape)
        part = film[down : film.shape[0] - down, across : film.shape[1] - across].astype(np.float64)
        noise = np.random.default_rng([seed, place]).normal(0, 3, part.shape)
        return np.clip(np.rint(255 * (part / 255) ** 0.9 + noise), 0, 255).astype(np.uint8)

    chosen = context.material.training.draw(PLANTED, seed)
    details = [f"{seed} {place}" for place in range(len(chosen))]
    return chosen.altered("planted copies 1", change, details)


def _of_subject(
    findings: Findings,
    context: Context,
    subject: str,
    films: Described,
    near_training: Near,
    held_out: Described,
    held_out_near: Near,
    training: Described,
) -> None:
    """The numbers of one subject."""
    n, seed, made = len(films.films), context.seed, subject == SYNTHETIC
    groups = films.films.groups
    reference = f"{len(training.films):,} training films, {len(held_out_near.distance):,} held-out films"
    where = protocol(context, len(training.films), reference)
    pixels = Protocol(
        extractor="aligned local contrast",
        layer="pixels",
        resize="64 x 64 without uniform borders",
        n=len(training.films),
        seed=seed,
        reference=reference,
    )

    def add(key: str, metric: str, measured: Any, how: Protocol = where, chance: float | None = None) -> None:
        findings.add(
            key, metric, subject, measured, how, n=n, better="real", chance=chance, yardstick=not made
        )

    # How near and how alike the nearest training film is.
    add(
        "nearest-distance",
        "mean distance to the nearest training film",
        intervals.mean(near_training.distance, groups),
    )
    add(
        "nearest-likeness",
        "mean likeness to the most alike training film",
        intervals.mean(near_training.likeness, groups),
        pixels,
    )
    # The share that is nearer, or more alike, than held-out films are.
    expected = max(copies.EXPECTED, 1 / len(held_out_near.distance))
    for key, metric, mine, theirs, above, how in (
        (
            "beyond-distance",
            "share nearer than held-out films are",
            near_training.distance,
            held_out_near.distance,
            False,
            where,
        ),
        (
            "beyond-likeness",
            "share more alike than held-out films are",
            near_training.likeness,
            held_out_near.likeness,
            True,
            pixels,
        ),
    ):
        add(key, metric, copies.beyond_threshold(mine, theirs, expected, above=above).made, how, expected)
    # Scores of the literature: authenticity, and C_T against the held-out films.
    patients = np.asarray(training.films.groups)
    graph = training.graphs.features
    authentic = copies.authentic(training.features, films.features, patients, graph)
    add("authentic", "authenticity", intervals.mean(authentic.astype(np.float64), groups))
    if subject != "real, held out":
        add("ct", "C_T", _ct(context, films, near_training, held_out, held_out_near, training), chance=0.0)
    # Planted copies must be found, each with its own training film.
    if subject == "planted copies":
        right = near_training.alike == [training.films.ids.index(name) for name in films.films.ids]
        threshold = copies.beyond_threshold(
            near_training.likeness, held_out_near.likeness, expected, above=True
        ).threshold
        hits = right & (near_training.likeness > threshold)
        add(
            "planted-found",
            "planted copies found, with the right film",
            intervals.mean(hits.astype(float), groups),
            pixels,
            1.0,
        )


def _ct(
    context: Context,
    films: Described,
    near_training: Near,
    held_out: Described,
    held_out_near: Near,
    training: Described,
) -> float:
    """C_T over cells of k-means where there are enough films for several."""
    count = max(1, min(10, len(held_out_near.distance) // 50))
    if count == 1:
        return copies.ct_score(near_training.distance, held_out_near.distance)
    from sklearn.cluster import KMeans

    cells = KMeans(count, n_init=1, random_state=context.seed).fit(training.features)
    theirs = cells.predict(held_out.features)
    try:
        return copies.ct_score(
            near_training.distance, held_out_near.distance, cells.predict(films.features), theirs
        )
    except MetricError:
        return copies.ct_score(near_training.distance, held_out_near.distance)


def _closest(findings: Findings, made: Described, training: Described, nearest: Near) -> None:
    """The images that are most like a training film."""
    for place in np.argsort(-nearest.likeness, kind="stable")[:SHOWN]:
        findings.shown.append(
            Shown(
                image_id=made.films.ids[place],
                beside=training.films.ids[nearest.alike[place]],
                text=f"likeness {nearest.likeness[place]:.3f}, distance {nearest.distance[place]:.2f}",
                score=float(nearest.likeness[place]),
            )
        )


SECTION: Final = Section("copies", "Are they copies of training films?", measure)
