"""Write the tables in docs/results and README.md again from the result files.

    python docs/results/tables.py                  after new results
    python docs/results/tables.py same-source      one page alone
    python docs/results/tables.py --check          exit code 1 if a page does not show the result files

A page marks the place of a table with two comments; the text between them belongs to this script:

    <!-- table SUITE TASK PREPROCESSING -->
    <!-- end of table -->

    <!-- audit KEY KEY -->       values of these keys in benchmarks/results/audit, a column for each config
    <!-- audit films -->         how many films each audit had
    <!-- end of table -->

    <!-- probe NAME PART -->               AUCs of benchmarks/results/probes/NAME.json on changed films
    <!-- probe NAME PART BASELINE -->      their differences from that baseline
    <!-- views NAME -->                    AUCs of that file on the whole films of each view alone
    <!-- lesions NAME -->                  what benchmarks/results/lesions/NAME.json says of maps and masks
    <!-- positives NAME -->                regimes of the file NAME of rows by their positives
    <!-- end of table -->

    <!-- regimes NAME -->       the table NAME of docs/results/tables.toml
    <!-- end of table -->

    <!-- segmentation dice PROTOCOL -->      of CT; also gains
    <!-- segmentation patients REGIME -->
    <!-- segmentation copies -->
    <!-- end of table -->

Tables of suites, positives and regimes are read from small files that
`python benchmarks/statistics/regimes.py` makes of the archives.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter
from regime_tables import read_numbers, with_regimes
from segmentation_tables import with_segmentation

from covid_synth_data.audit.result import Audit
from covid_synth_data.audit.version_table import cell as value_cell
from covid_synth_data.audit.version_table import read_all, values_of, widest_first
from covid_synth_data.benchmark.reporting.gains import with_limits
from covid_synth_data.benchmark.reporting.tables import Cell, Row, blocks, fold_means
from covid_synth_data.benchmark.results import lesions, probes, validate_as

ROOT = Path(__file__).resolve().parents[2]
AUDIT = re.compile(r"(<!-- audit ([a-z0-9.@ -]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
PROBE = re.compile(r"(<!-- probe (\S+) (\S+)(?: (\S+))? -->\n).*?(<!-- end of table -->)", re.DOTALL)
POSITIVES = re.compile(r"(<!-- positives (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
VIEWS = re.compile(r"(<!-- views (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
LESIONS = re.compile(r"(<!-- lesions (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
PLACE = re.compile(r"(<!-- table (\S+) (\S+) (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def cell(value: Cell) -> str:
    """The mean of the seeds and its interval."""
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the header and its rule first, as a Markdown table between empty lines."""
    return "\n".join(["", *("| " + " | ".join(line) + " |" for line in lines), "", ""])


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
    return f"\n{title}\n{markdown(lines)}"


def audits(folder: Path) -> dict[str, list[Audit]]:
    """The result files of audits below a folder, by config, those of all films before those of a draw."""
    found: dict[str, list[Audit]] = {}
    for one in widest_first(read_all(folder)):
        found.setdefault(one.subject.config, []).append(one)
    return dict(sorted(found.items()))


def audit_table(by_config: Mapping[str, Sequence[Audit]], keys: Sequence[str]) -> str:
    """A Markdown table of these keys; a row for each subject, the synthetic ones first."""
    if keys == ["films"]:
        return _films(by_config)
    lines = [["measure", "images", *by_config], ["---", "---", *["---:"] * len(by_config)]]
    for (_, subject), row in values_of(by_config, keys).items():
        first = next(iter(row.values()))
        named = subject if first.yardstick else f"**{subject}**"
        lines.append([first.metric, named, *(value_cell(row.get(config)) for config in by_config)])
    return markdown(lines)


def _films(by_config: Mapping[str, Sequence[Audit]]) -> str:
    """How many films of how many patients or sources each audit had, and how long it took."""
    names = list(dict.fromkeys(name for some in by_config.values() for one in some for name in one.films))
    lines = [["config", "sections", "most of a set", *names, "minutes"], ["---"] * (len(names) + 4)]
    for config, some in by_config.items():
        for one in some:
            sets = [one.films.get(name) for name in names]
            lines.append(
                [
                    f"`{config}`",
                    ", ".join(section.name for section in one.sections),
                    "all" if one.limit is None else f"{one.limit:,}",
                    *("" if films is None else f"{films.films:,} of {films.groups:,}" for films in sets),
                    f"{one.seconds / 60:.0f}",
                ]
            )
    return markdown(lines)


def with_audits(text: str, by_config: Mapping[str, Sequence[Audit]]) -> str:
    """A page with the tables of audits as the result files have them."""
    return AUDIT.sub(lambda place: place[1] + audit_table(by_config, place[2].split()) + place[3], text)


def probe_table(probe: probes.ProbeResult, part: probes.Part, baseline: str | None) -> str:
    """A Markdown table with a row for each change: AUCs, or differences from a baseline of real films."""
    regimes = [name for name in probe.regimes if name != baseline]
    head = ["what remains of the image", *(f"`{name}`" for name in regimes)]
    lines = [head, ["---"] * len(head)]
    for change in probe.changes:
        cells = []
        for name in regimes:
            row = probe.row(part, change.name, name)
            if baseline is None:
                cells.append(f"{row.auc.value:.3f} [{row.auc.low:.3f}, {row.auc.high:.3f}]")
            else:
                cells.append(with_limits(row.over[baseline]))
        lines.append([change.left, *cells])
    return markdown(lines)


def with_probes(text: str, folder: Path) -> str:
    """A page with the tables of probes as the result files below `folder` have them."""

    def made(place: re.Match[str]) -> str:
        probe = validate_as(folder / f"{place[2]}.json", probes.ProbeResult)
        part: probes.Part = "validation" if place[3] == "validation" else "test"
        return place[1] + probe_table(probe, part, place[4]) + place[5]

    def of_views(place: re.Match[str]) -> str:
        return place[1] + view_table(validate_as(folder / f"{place[2]}.json", probes.ProbeResult)) + place[3]

    return VIEWS.sub(of_views, PROBE.sub(made, text))


def view_table(probe: probes.ProbeResult) -> str:
    """A Markdown table with a row for each view of each part: its films, and the AUC of each regime."""
    head = ["view", "negatives", "positives", *(f"`{name}`" for name in probe.regimes)]
    lines: dict[tuple[str, str], list[str]] = {}
    for row in probe.views:
        line = lines.setdefault((row.part, row.view), [row.view, f"{row.negatives:,}", f"{row.positives:,}"])
        line.append(f"{row.auc.value:.3f} [{row.auc.low:.3f}, {row.auc.high:.3f}]")
    return markdown([head, ["---"] * len(head), *lines.values()])


def lesion_table(found: lesions.LesionResult) -> str:
    """A Markdown table with a row for each yardstick and regime and a column for each measure."""
    lines = [["map of", *(f"`{name}`" for name in lesions.MEASURES)], ["---"] * (len(lesions.MEASURES) + 1)]
    for name in (*lesions.YARDSTICKS, *found.regimes):
        values = [found.row(measure, name).value for measure in lesions.MEASURES]
        cells = [f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]" for value in values]
        lines.append([name if name in lesions.YARDSTICKS else f"`{name}`", *cells])
    return markdown(lines)


def with_lesions(text: str, folder: Path) -> str:
    """A page with the tables of maps and masks as the result files below `folder` have them."""

    def made(place: re.Match[str]) -> str:
        found = validate_as(folder / f"{place[2]}.json", lesions.LesionResult)
        return place[1] + lesion_table(found) + place[3]

    return LESIONS.sub(made, text)


def positives_table(rows: Sequence[Row]) -> str:
    """A Markdown table of one task whose regimes differ in the positives that they are trained on."""
    others = [name for name in rows[0].classes if name != "covid-19"]
    negative = f"{others[0]} films" if len(others) == 1 else "films of other classes"
    counts = {row.real_negatives for row in rows}
    if len(counts) != 1:
        raise ValueError(f"regimes with other negatives: {sorted(counts)}")
    # zunair2021 states sensitivities, the others accuracies.
    accuracy = not rows[0].suite.startswith("zunair2021")
    head = [
        f"trained on {counts.pop():,} {negative} and",
        "COVID-19 films, real + synthetic",
        *["accuracy, the paper's measure"] * accuracy,
        "sensitivity at 0.5" + ", the paper's measure" * (not accuracy),
        "sensitivity at specificity 0.90",
        "AUC",
        "missed, by seed",
    ]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        least, most = min(row.false_negatives), max(row.false_negatives)
        lines.append(
            [
                f"`{row.regime}`",
                f"{row.real_positives:,} + {sum(row.synthetic.values()):,}",
                *[cell(row.accuracy)] * accuracy,
                cell(row.sensitivity),
                cell(row.sensitivity_at["0.90"]),
                cell(row.auc),
                f"{least} to {most}" if least < most else f"{least}",
            ]
        )
    first = rows[0]
    tested = (
        f"Suite `{first.suite}` {first.suite_version}, task `{first.task}`, {first.test_positives:,} COVID-19"
        f" films and {first.test_negatives:,} {negative} tested, model `{first.model}`,"
        f" {len(first.seeds)} seeds. Brackets are 95 % intervals over patients and seeds."
    )
    return f"{markdown(lines)}{tested}\n\n"


def with_positives(text: str, benchmarks: Path) -> str:
    """A page with the tables of positives as the rows in `benchmarks` have them."""

    def made(place: re.Match[str]) -> str:
        (rows,) = blocks(read_rows(benchmarks, place[2]))
        return place[1] + positives_table(rows) + place[3]

    return POSITIVES.sub(made, text)


def read_rows(benchmarks: Path, name: str) -> list[Row]:
    """The rows that benchmarks/statistics/regimes.py made of archives."""
    content = read_numbers(benchmarks, f"rows/{name}")
    return TypeAdapter(list[Row]).validate_python(content["rows"])


def with_tables(text: str, benchmarks: Path) -> str:
    """A page with the tables of the suites of earlier versions as their rows in `benchmarks` are."""
    if not PLACE.search(text):
        return text
    made = {
        (rows[0].suite, rows[0].task, rows[0].preprocessing): table(rows)
        for rows in blocks(read_rows(benchmarks, "older-results"))
    }
    return PLACE.sub(lambda place: place[1] + made[place[2], place[3], place[4]] + place[5], text)


def main() -> None:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pages", nargs="*", help="names of pages; left out: all")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    pages = {page.stem: page for page in (*sorted((ROOT / "docs/results").glob("*.md")), ROOT / "README.md")}
    if unknown := [name for name in options.pages if name not in pages]:
        parser.error(f"no page {', '.join(unknown)}; there are {', '.join(pages)}")
    benchmarks = ROOT / "benchmarks"
    measured = audits(benchmarks / "results/audit")
    different = []
    for name in options.pages or pages:
        text = pages[name].read_text(encoding="utf-8")
        new = with_tables(text, benchmarks)
        new = with_probes(with_audits(new, measured), benchmarks / "results/probes")
        new = with_lesions(new, benchmarks / "results/lesions")
        new = with_positives(new, benchmarks)
        new = with_segmentation(with_regimes(new, benchmarks), benchmarks / "results", markdown)
        if new != text:
            different.append(name)
            if not options.check:
                pages[name].write_text(new, encoding="utf-8")
    print("changed:", ", ".join(different) or "nothing")
    if options.check and different:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
