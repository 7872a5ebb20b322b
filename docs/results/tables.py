"""Write the tables of docs/results again from the result files.

    python docs/results/tables.py              after new results
    python docs/results/tables.py --check      exit code 1 if a page does not show the result files

A page marks the place of a table with two comments; the text between them belongs to this script:

    <!-- table SUITE TASK PREPROCESSING -->
    <!-- end of table -->
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from covid_synth_data.benchmark.reporting.tables import Cell, Row, blocks, fold_means, summarise

ROOT = Path(__file__).resolve().parents[2]
PLACE = re.compile(r"(<!-- table (\S+) (\S+) (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def cell(value: Cell) -> str:
    """The mean of the seeds and its interval."""
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"


def table(rows: Sequence[Row]) -> str:
    """A heading and a Markdown table for one suite, task and preprocessing."""
    first = rows[0]
    # menon2020 states accuracies, also of two classes.
    accuracy = len(first.classes) > 2 or first.suite.startswith("menon2020")
    folds = first.folds > 1
    head = ["regime", "trained on", "FN", "sensitivity at 0.5", "AUC", *["AUC, mean of folds"] * folds]
    head += ["SE@SP 0.90", *["accuracy"] * accuracy]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        synthetic = "".join(f" / {count:,} {name}" for name, count in row.synthetic.items() if count)
        lines.append(
            [
                row.regime,
                f"{row.real_negatives:,} - / {row.real_positives:,} +{synthetic}",
                ", ".join(map(str, row.false_negatives)),
                cell(row.sensitivity),
                cell(row.auc),
                *([fold_means(row)] if folds else []),
                cell(row.sensitivity_at["0.90"]),
                *([cell(row.accuracy)] if accuracy else []),
            ]
        )
    kind = "unprocessed" if first.preprocessing == "plain" else first.preprocessing
    models = ", ".join(dict.fromkeys(row.model for row in rows))
    title = (
        f"**`{first.suite}` {first.suite_version}, {kind} images, {models}**: tested on"
        f" {first.test_positives:,} images with COVID-19 and {first.test_negatives:,} without"
    )
    return "\n".join(["", title, "", *("| " + " | ".join(line) + " |" for line in lines), "", ""])


def main() -> None:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    pages = {page: page.read_text(encoding="utf-8") for page in (ROOT / "docs/results").glob("*.md")}
    named = {suite for text in pages.values() for _, suite, _, _, _ in PLACE.findall(text)}
    made = {}
    for suite in sorted(named):
        for rows in blocks(summarise(ROOT / "benchmarks/results" / suite)):
            made[suite, rows[0].task, rows[0].preprocessing] = table(rows)
    different = []
    for page, text in pages.items():
        new = PLACE.sub(lambda place: place[1] + made[place[2], place[3], place[4]] + place[5], text)
        if new != text:
            different.append(page.name)
            if not options.check:
                page.write_text(new, encoding="utf-8")
    print("changed:", ", ".join(different) or "nothing")
    if options.check and different:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
