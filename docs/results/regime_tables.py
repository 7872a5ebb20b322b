"""Tables of regimes in the pages: tables.toml says which rows and columns, result files give the numbers."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter

from covid_synth_data.benchmark.reporting.markdown import signed
from covid_synth_data.files.models import FrozenModel

PLACE = re.compile(r"(<!-- regimes (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
SPECIFICATION = Path(__file__).with_name("tables.toml")

Numbers = dict[str, Any]
"""The numbers of one suite, as benchmarks/statistics/regimes.py writes them."""


class Entry(FrozenModel):
    """What a row or a column says of its cells; see tables.toml."""

    head: str = ""
    text: list[str] = Field(default_factory=list)
    regime: str | None = None
    value: str | None = None
    suite: str | None = None
    over: str | None = None


class Table(FrozenModel):
    """One table of tables.toml."""

    numbers: str
    heads: list[str] = Field(min_length=1)
    columns: list[Entry] = Field(min_length=1)
    rows: list[Entry] = Field(min_length=1)


def specification() -> dict[str, Table]:
    """The tables of tables.toml by name."""
    with SPECIFICATION.open("rb") as file:
        return TypeAdapter(dict[str, Table]).validate_python(tomllib.load(file))


def with_regimes(text: str, benchmarks: Path) -> str:
    """A page with its tables of regimes as the result files in `benchmarks` have them."""
    tables = specification()

    def made(place: re.Match[str]) -> str:
        return place[1] + regime_table(tables[place[2]], benchmarks) + place[3]

    return PLACE.sub(made, text)


def regime_table(table: Table, benchmarks: Path) -> str:
    """A Markdown table between empty lines."""
    reader = READERS.get(table.numbers)
    suites = reader(benchmarks) if reader else read_regimes(benchmarks, table.numbers)
    heads = [*table.heads, *(column.head for column in table.columns)]
    lines = [heads, ["---"] * len(heads)]
    for row in table.rows:
        cells = [cell(suites, row, column) for column in table.columns]
        lines.append([*(row.text or [f"`{row.regime}`"]), *cells])
    return "\n".join(["", *("| " + " | ".join(line) + " |" for line in lines), "", ""])


def cell(suites: dict[str, Numbers], row: Entry, column: Entry) -> str:
    """One number with its interval; empty where the file has none, as for a baseline against itself."""
    suite = suites[row.suite or column.suite or next(iter(suites))]
    regime = (column.regime or "{}").format(row.regime or "")
    kind, _, name = (column.value or row.value or "").rpartition(" ")
    if kind in DIFFERENCES:
        over = suite["over"][(row.over or column.over or suite["best"]).format(row.regime or "")]
        found = over.get(regime, {}).get(name)
        return "" if found is None else DIFFERENCES[kind](found)
    if kind == "gap":
        share = suite["gap"]["closed"][regime][name]
        return (
            ""
            if share is None
            else f"{percent(share['value'])} % [{percent(share['low'])}, {percent(share['high'])}]"
        )
    return own_value(suite["regimes"][regime], column.value or row.value or "")


def own_value(regime: dict[str, Any], value: str) -> str:
    """A metric of the regime itself: with its interval, or its mean, seeds or mean of the folds alone."""
    metric, _, form = value.partition(" ")
    if form == "of folds":
        return f"{regime[value]:.3f}"
    if form == "by seed":
        return ", ".join(f"{one:.3f}" for one in regime[metric]["by seed"])
    if form == "range":
        return f"{min(regime[metric]['by seed']):.3f}, {max(regime[metric]['by seed']):.3f}"
    if form == "mean":
        return f"{regime[metric]['value']:.3f}"
    found = regime.get(value)
    if isinstance(found, int):
        return str(found)
    if found is None or isinstance(found, list):
        return ", ".join(f"{one:.3f}" for one in found or [])
    return interval(found)


def interval(found: dict[str, float]) -> str:
    """A value with its limits, where they differ."""
    limits = f" [{found['low']:.3f}, {found['high']:.3f}]" if found["low"] < found["high"] else ""
    return f"{found['value']:.3f}{limits}"


def percent(share: float) -> int:
    """In per cent, a whole number."""
    return round(100 * share)


def difference(found: dict[str, float]) -> str:
    """A difference with its limits and signs."""
    return f"{signed(found['difference'])} [{signed(found['low'])}, {signed(found['high'])}]"


DIFFERENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "gain": difference,
    "p": lambda one: f"{one['corrected p']:.2g}" if "corrected p" in one else "",
    "above": lambda one: f"{one['above']} of {one['draws']}",
    "mean gain": lambda one: difference(one["of the mean"]),
    "mean p": lambda one: f"{one['of the mean']['p']:.2g}",
}


def read_regimes(benchmarks: Path, name: str) -> dict[str, Numbers]:
    """The suites of a file of benchmarks/statistics/regimes.py. Stops where its archives have changed."""
    suites: dict[str, Numbers] = read_numbers(benchmarks, f"regimes/{name}")["suites"]
    return suites


def read_numbers(benchmarks: Path, name: str) -> dict[str, Any]:
    """A file of benchmarks/statistics/regimes.py. Stops where its archives have changed."""
    path = benchmarks / "statistics/results" / f"{name}.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for archive, digest in content["archives"].items():
        if hashlib.sha256((benchmarks / archive).read_bytes()).hexdigest() != digest:
            raise SystemExit(f"{path} is of an older {archive}: run benchmarks/statistics/regimes.py first")
    return content


def read_splits(benchmarks: Path) -> dict[str, Numbers]:
    """The suite and the same under two other seeds of the split."""
    return read_regimes(benchmarks, "same-source-cv") | read_regimes(benchmarks, "same-source-cv-splits")


METRICS = {"AUC": "auc", "sensitivity at specificity 0.90": "sensitivity"}


def read_untested(benchmarks: Path) -> dict[str, Numbers]:
    """Gains on all images, on those that were tested before and on the others, each as a suite."""
    path = benchmarks / "statistics/results/untested-images.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    parts = {name: part for name, part in content.items() if isinstance(part, dict) and "gains" in part}
    return {
        name: {
            "best": part["over"],
            "over": {part["over"]: {regime: renamed(gains) for regime, gains in part["gains"].items()}},
        }
        for name, part in parts.items()
    }


def read_contrasts(*names: str) -> Callable[[Path], dict[str, Numbers]]:
    """A reader of files that benchmarks/statistics/contrast.py made; one suite for each suite in them."""

    def read(benchmarks: Path) -> dict[str, Numbers]:
        suites: dict[str, Numbers] = {}
        for name in names:
            content = json.loads((benchmarks / f"statistics/results/{name}.json").read_text(encoding="utf-8"))
            for one in content if isinstance(content, list) else [content]:
                suite = suites.setdefault(one["suite"], {"over": {}})
                of_regime = suite["over"].setdefault(one["less"], {}).setdefault(one["regime"], {})
                of_regime.update(renamed({key: one[key] for key in METRICS}))
        return suites

    return read


def read_each(*names: str) -> Callable[[Path], dict[str, Numbers]]:
    """A reader of several files of benchmarks/statistics/regimes.py, each as a suite of that name."""

    def read(benchmarks: Path) -> dict[str, Numbers]:
        return {name: next(iter(read_regimes(benchmarks, name).values())) for name in names}

    return read


def read_painting(benchmarks: Path) -> dict[str, Numbers]:
    """The settings of painting as regimes, with what was chosen on the validation films."""
    content = json.loads((benchmarks / "lesions/results/chosen.json").read_text(encoding="utf-8"))
    against = "over the settings of the package"
    regimes = {
        name: {"auc": {"value": setting["test auc"]}, "validation": setting["validation auc of the folds"]}
        for name, setting in content["settings"].items()
    }
    regimes["chosen"] = {"auc": {"value": content["auc"]["chosen"]}}
    over = {
        name: renamed(setting[against]) for name, setting in content["settings"].items() if against in setting
    }
    over["chosen"] = renamed(content[f"chosen {against}"])
    return {"painting": {"best": "package", "over": {"package": over}, "regimes": regimes}}


def read_localisation(benchmarks: Path) -> dict[str, Numbers]:
    """The scores of pixels as regimes."""
    content = json.loads((benchmarks / "localisation/results/pairs.json").read_text(encoding="utf-8"))
    measures = {
        "within the lungs": "pixel AUC within the lungs",
        "within places": "AUC within places",
        "dice": "Dice within the lungs",
    }
    scores = content["AUC within places"]
    return {
        "localisation": {
            "regimes": {
                score: {short: content[measure][score] for short, measure in measures.items()}
                for score in scores
            }
        }
    }


def renamed(gains: dict[str, Any]) -> dict[str, Any]:
    """Differences by the short names of their metrics."""
    return {METRICS[name]: gain for name, gain in gains.items()}


READERS: dict[str, Callable[[Path], dict[str, Numbers]]] = {
    "same-source-cv-splits": read_splits,
    "untested-images": read_untested,
    "painting": read_painting,
    "localisation": read_localisation,
    "same-source-cv-aims": read_each("same-source-cv", "same-source-cv-96px"),
    "overview": read_each(
        "same-source-cv",
        "same-source-cv-lite2",
        "same-source-cv-half-samples",
        "same-source-cv-half-samples-lite2",
        "same-source-cv-96px",
        "external",
        "external-re-encoded",
        "external-lite2",
        "same-source",
        "same-source-lite2",
        "source-matched",
        "zunair2021",
        "menon2020-binary",
        "menon2020-four-class",
        "hussain2022",
    ),
    "external-seed1": read_contrasts("external-seed1-one-encoding"),
    "external-contrasts": read_contrasts("external-controls", "external-controls-half-samples"),
}
"""Files that are not made by benchmarks/statistics/regimes.py alone."""
