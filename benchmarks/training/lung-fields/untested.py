"""The network that finds the lungs, trained again without any film that a suite tests on.

    python benchmarks/training/lung-fields/untested.py ROOT --out DIR

Its training films are compared with all films that a suite uses for validation or test, and with the masked
films of `localisation`: by name, by patient, and by looks. The network is then trained by the same recipe
without those that match. untested.json says how many match in each suite, the Dice of both networks on the
outlines of validation, test and external patients, and how far their lung fields agree on training normals,
which are the hosts of lesion pairs. The new weights stay in DIR.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import datasets
import numpy as np
import pandas as pd

from covid_synth_data.benchmark.suite import ClassificationSuite, list_suites, load_suite
from covid_synth_data.files.atomic import write_text
from covid_synth_data.files.models import read_toml
from covid_synth_data.files.pixels import load_grey
from covid_synth_data.preprocessing import lung_weights, lungs
from covid_synth_data.sources import read_source
from covid_synth_data.tasks import near_duplicates, plan_task
from generation.lungs import outlines, train

HERE: Final = Path(__file__).parent
RECIPE: Final = HERE.parents[2] / "generation" / "lungs" / "lung-fields.toml"
HOSTS: Final = 300


def main() -> None:
    """Count, train, compare, and write untested.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    recipe = read_toml(RECIPE, train.LungRecipe)
    parts = outlines.read(asked.root, recipe.seed, (recipe.validation, recipe.test), lambda *done: None)
    learned = read_source("covid-chestxray", asked.root)
    learned = learned[learned["image_id"].isin(parts["train"].image_ids)]

    tested = _tested(asked.root)
    matched = {name: _matching(learned, parts["train"], films) for name, films in tested.items()}
    taken = sorted({film for films in matched.values() for film in films})
    smaller = parts | {"train": _without(parts["train"], set(taken))}
    network, curve = train.fit(recipe, smaller, asked.out, lambda *done: None)
    card = train.save(asked.out / "lung-fields-untested.safetensors", network, recipe, smaller)

    shipped = lung_weights.read_card()
    content = {
        "command": "python benchmarks/training/lung-fields/untested.py ROOT --out DIR",
        "training_films": len(parts["train"].films),
        "matches": {name: {"tested": len(tested[name]), "films": films} for name, films in matched.items()},
        "trained_on": len(smaller["train"].films),
        "sha256": card.sha256,
        "curve": curve,
        "dice": {
            part: {"shipped": shipped.dice[part]["network"], "untested": card.dice[part]["network"]}
            for part in ("validation", "test", "external")
        },
        "hosts": _agreement(asked.root, asked.out / "lung-fields-untested.safetensors"),
    }
    text = json.dumps(content, indent=1) + "\n"
    write_text(HERE / "untested.json", text)
    sys.stdout.write(text)


def _tested(root: Path) -> dict[str, pd.DataFrame]:
    """The films of validation and test of each protocol and task that a suite uses, and the masked films."""
    found: dict[str, pd.DataFrame] = {}
    for name in list_suites():
        suite = load_suite(name)
        if not isinstance(suite, ClassificationSuite):
            continue
        for task in suite.tasks:
            label = f"{suite.protocol}/{task}"
            if label in found:
                continue
            # A suite without folds of its own takes fold 0 of the protocol's default.
            several = suite.folds > 1
            plans = [
                plan_task(task, root, suite.protocol, folds=suite.folds if several else 5, fold=fold)
                for fold in (range(suite.folds) if several else (None,))
            ]
            held = [plan.used[plan.used["split"].isin(["validation", "test"])] for plan in plans]
            found[label] = pd.concat(held).drop_duplicates("image_id")
    masked = read_source("covid-qu-ex", root)
    found["localisation"] = masked[masked["source_class"] == "COVID-19"]
    return found


def _matching(learned: pd.DataFrame, films: outlines.Outlined, tested: pd.DataFrame) -> list[str]:
    """Which of the films learned from are among `tested`: by id, by another name, by patient, by looks."""
    names, patients = set(tested["image_id"]), set(tested["patient_id"])
    by_name = {
        row["image_id"]
        for row in learned.to_dict("records")
        if names & {row["image_id"], row["same_film"]} or row["patient_id"] in patients
    }
    by_looks = {one for one, _ in near_duplicates(_images(learned), _images(tested))}
    return sorted(by_name | by_looks)


def _images(frame: pd.DataFrame) -> datasets.Dataset:
    cells = [
        {
            "path": path if isinstance(path, str) else None,
            "bytes": content if isinstance(content, bytes) else None,
        }
        for path, content in zip(frame["path"], frame["bytes"], strict=True)
    ]
    features = datasets.Features({"image": datasets.Image(), "image_id": datasets.Value("string")})
    return datasets.Dataset.from_dict(
        {"image": cells, "image_id": frame["image_id"].tolist()}, features=features
    )


def _without(films: outlines.Outlined, names: set[str]) -> outlines.Outlined:
    kept = [place for place, name in enumerate(films.image_ids) if name not in names]

    def some(values: Iterable[Any]) -> list[Any]:
        every = list(values)
        return [every[place] for place in kept]

    return dataclasses.replace(
        films,
        films=films.films[kept],
        masks=films.masks[kept],
        image_ids=some(films.image_ids),
        patient_ids=some(films.patient_ids),
        licences=some(films.licences),
    )


def _agreement(root: Path, weights: Path) -> dict[str, Any]:
    """Dice of the lung fields of both networks on training normals, and in how many each finds two lungs."""
    plan = plan_task("normal-vs-covid", root, "clean")
    rows = plan.used[(plan.used["split"] == "train") & (plan.used["class"] == "normal")]
    chosen = rows.iloc[np.random.default_rng(0).permutation(len(rows))[:HOSTS]]
    values, found = [], np.zeros(2, int)
    for row in chosen.to_dict("records"):
        film = load_grey(row["path"] if row["bytes"] is None else row["bytes"])
        fields = [lungs.find(film), lungs.find(film, weights)]
        found += [field.found for field in fields]
        if all(field.found for field in fields):
            both = 2 * (fields[0].mask & fields[1].mask).sum()
            values.append(float(both / (fields[0].mask.sum() + fields[1].mask.sum())))
    return {
        "films": len(chosen),
        "found": {"shipped": int(found[0]), "untested": int(found[1])},
        "dice": {
            "mean": round(float(np.mean(values)), 4),
            "quantiles": {str(q): round(float(np.quantile(values, q)), 4) for q in (0.0, 0.05, 0.5)},
        },
    }


if __name__ == "__main__":
    main()
