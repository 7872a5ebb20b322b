"""Configs made from the training films of a task: painted lesions, copies, and negatives with a wrong label.

The rows have the columns of a release (`schema.SYNTHETIC_COLUMNS`), so a regime cannot tell them from one.
Films in the encoding of a release are still films of their patients, and have `schema.REAL_COLUMNS`.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from covid_synth_data import schema
from covid_synth_data.benchmark.data.toned import random_tone
from covid_synth_data.benchmark.suite.made import Copies, Encoding, Made, Painted, RandomTone, Retraced
from covid_synth_data.errors import EmptySplit
from covid_synth_data.files.encoding import encode_image
from covid_synth_data.files.pixels import Grey, load_grey

if TYPE_CHECKING:
    import datasets


def make(
    name: str, made: Made, train: datasets.Dataset, positive: str, held_back: datasets.Dataset | None = None
) -> datasets.Dataset:
    """The config `name` from the films of `train`, of which those called `positive` are the positives, or
    from the real positives `held_back` where there are such.

    Films that were held back keep their label. Painted films and placebos carry the label that the pattern
    has in `schema.LABELS`; other controls are normal; copies, mislabelled films and those of a random tone
    carry `positive`; retraced films are those of `train`, in their order, as `retraced` makes them. A film in
    which no two lungs are found is not painted and left out. Raises `EmptySplit` where no film is left, and
    what `lesions.paint` raises.
    """
    import datasets

    if isinstance(made, Retraced):
        return retraced(name, made.encoding, train)
    names = list(train.features["label"].names)
    is_positive = np.asarray(train["label"][:]) == names.index(positive)
    chosen = is_positive if isinstance(made, Copies) else ~is_positive
    hosts = held_back or train.select(np.flatnonzero(chosen))
    rows = hosts.cast_column("image", datasets.Image(decode=False))
    label = names.index(positive)
    if isinstance(made, Painted):
        names, films = list(schema.LABELS), _painted(name, made, rows)
    elif isinstance(made, RandomTone):
        films = _toned(name, made, rows, label)
    else:
        each, encoding = (made.each, made.encoding) if isinstance(made, Copies) else (1, None)
        films = _relabelled(name, each, rows, label, encoding)
    if not films:
        raise EmptySplit(
            f"the config {name!r} has no film",
            found=f"{len(hosts):,} training films, none of which could be used",
            expected="at least one film",
            hint="paint films of 64 pixels or more that show two lungs",
        )
    features = schema.features(schema.SYNTHETIC_COLUMNS)
    features["label"] = datasets.ClassLabel(names=names)
    columns = {column: [row[column] for row in films] for column in schema.SYNTHETIC_COLUMNS}
    return datasets.Dataset.from_dict(columns, features=features)


def retraced(name: str, encoding: Encoding, train: datasets.Dataset) -> datasets.Dataset:
    """The films of `train` resized, encoded and decoded as a release does it, with their columns.

    `image_id` becomes NAME/`image_id`. What a resize and a codec leave in an image is then in all of them, as
    it is in the images of the release. What else a generator leaves is not.
    """
    import datasets

    def trace(row: dict[str, Any]) -> dict[str, Any]:
        return {"image": _encoded(row["image"], encoding), "image_id": f"{name}/{row['image_id']}"}

    undecoded = train.cast_column("image", datasets.Image(decode=False))
    columns = {column: undecoded[column][:] for column in undecoded.column_names if column != "image"}
    changed = [trace(row) for row in undecoded.select_columns(["image", "image_id"])]
    columns |= {column: [row[column] for row in changed] for column in ("image", "image_id")}
    ordered = {column: columns[column] for column in train.column_names}
    return datasets.Dataset.from_dict(ordered, features=train.features)


def _painted(name: str, made: Painted, hosts: datasets.Dataset) -> list[dict[str, Any]]:
    """Each host `made.each` times with new lesions. Lungs are found once for each host."""
    from covid_synth_data import lesions
    from covid_synth_data.lesions import finder, patterns, priors

    lesion = made.control is None or made.placebo
    label = schema.LABELS.index(patterns.label_of(made.pattern) if lesion else "normal")
    distributions = priors.scaled(priors.load(), made.scale) if made.scale else None
    rows = []
    for number, host in enumerate(hosts):
        film = load_grey(host["image"])[None]
        lungs = finder.find(film[0])[None]
        for copy in range(made.each):
            done = lesions.paint(
                film,
                made.seed,
                made.pattern,
                lungs,
                made.control,
                indices=[number],
                epoch=copy,
                distributions=distributions,
            )
            record = done.records[0]
            if record.reason:
                break
            row = _row(name, host, number, copy, {"bytes": _png(done.films[0]), "path": None})
            row["label"] = label
            row["variant"] = f"{record.control or record.pattern}:{copy}"
            rows.append(row)
    return rows


def _relabelled(
    name: str, each: int, hosts: datasets.Dataset, label: int, encoding: Encoding | None = None
) -> list[dict[str, Any]]:
    """Each host `each` times under `label`, as it is or in `encoding`."""
    rows = []
    for number, host in enumerate(hosts):
        image = host["image"] if encoding is None else _encoded(host["image"], encoding)
        rows += [{**_row(name, host, number, copy, image), "label": label} for copy in range(each)]
    return rows


def _encoded(image: dict[str, Any], encoding: Encoding) -> dict[str, Any]:
    """The cell of an image as a release would keep it."""
    content = encode_image(load_grey(image, encoding.size), encoding.codec, encoding.quality)
    return {"bytes": content, "path": None}


def _toned(name: str, made: RandomTone, hosts: datasets.Dataset, label: int) -> list[dict[str, Any]]:
    """`made.count` of the hosts, or all that there are, with a tone of their own, under `label`."""
    rng = np.random.default_rng([made.seed, *name.encode()])
    chosen = np.sort(rng.permutation(len(hosts))[: made.count])
    rows = []
    for number in chosen.tolist():
        film = load_grey(hosts[number]["image"], made.encoding.size)
        toned = random_tone(film, made.change, (made.seed, number))
        content = encode_image(toned, made.encoding.codec, made.encoding.quality)
        row = _row(name, hosts[number], number, 0, {"bytes": content, "path": None})
        rows.append({**row, "label": label, "variant": f"random-tone:{number}"})
    return rows


def _row(name: str, host: dict[str, Any], number: int, copy: int, image: dict[str, Any]) -> dict[str, Any]:
    """The columns that all kinds share."""
    return {
        "image": image,
        "image_id": f"{name}-{number:05d}-{copy}",
        "subset": name,
        "generator": name,
        "seed": number,
        "source_dataset": host["source_dataset"],
        "source_id": host["image_id"].partition("/")[2] or host["image_id"],
        "source_class": host["source_class"],
        "source_license": host["source_license"],
        "variant": f"copy:{copy}",
    }


def _png(film: Grey) -> bytes:
    file = io.BytesIO()
    Image.fromarray(film).save(file, "PNG")
    return file.getvalue()
