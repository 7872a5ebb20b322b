"""A half of the training patients, drawn for a seed, and the configs made from their films."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import datasets

DOMAIN = 0x4A1F
"""Separates these draws from those that other parts make from the same seeds."""


def half(train: datasets.Dataset, seed: tuple[int, ...]) -> datasets.Dataset:
    """Half of the films of each class and source in `train`, with all films of each patient that is drawn.

    `train` has `schema.REAL_COLUMNS`. Patients come in a random order. A patient is taken whole if the films
    fit into what is left of the halves, so the counts are exact wherever patients with one film fill them. A
    class of a source with a single film keeps it.
    """
    strata = list(zip(train["label"][:], train["source_dataset"][:], strict=True))
    left = {stratum: max(count // 2, 1) for stratum, count in Counter(strata).items()}
    films: dict[str, list[int]] = {}
    for row, (name, image_id) in enumerate(zip(train["patient_id"][:], train["image_id"][:], strict=True)):
        films.setdefault(name or image_id, []).append(row)
    patients = sorted(films)
    rows: list[int] = []
    for place in np.random.default_rng([DOMAIN, *seed]).permutation(len(patients)).tolist():
        mine = films[patients[place]]
        wanted = Counter(strata[row] for row in mine)
        if all(left[stratum] >= count for stratum, count in wanted.items()):
            rows += mine
            for stratum, count in wanted.items():
                left[stratum] -= count
    return train.select(sorted(rows))


def of_hosts(config: datasets.Dataset, hosts: datasets.Dataset) -> datasets.Dataset:
    """The rows of a config made from training films whose own film is in `hosts`.

    Rows name their film in `source_dataset` and `source_id`; retraced films, which have no such column, in
    `image_id` after the name of the config.
    """
    known = set(hosts["image_id"][:])
    if "source_id" not in config.column_names:
        kept = [name.partition("/")[2] in known for name in config["image_id"][:]]
    else:
        films = {
            (source, name.partition("/")[2] or name)
            for source, name in zip(hosts["source_dataset"][:], hosts["image_id"][:], strict=True)
        }
        kept = [row in films for row in zip(config["source_dataset"][:], config["source_id"][:], strict=True)]
    return config.select(np.flatnonzero(kept))
