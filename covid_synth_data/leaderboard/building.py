"""Write the leaderboard: Markdown for a repository, an HTML page, and the Hub's format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from covid_synth_data.audit.result import FOLDER
from covid_synth_data.audit.version_table import VersionTable, read_all, version_tables
from covid_synth_data.benchmark.reporting.collect import Group, Progress
from covid_synth_data.files import atomic
from covid_synth_data.leaderboard import hub_results, markdown, page
from covid_synth_data.leaderboard.boards import Board, boards

MARKDOWN = "LEADERBOARD.md"
PAGE = "leaderboard.html"


def build(
    results_dir: str | Path,
    out: str | Path,
    hub_format: str | Path | None = None,
    progress: Progress | None = None,
    groups: Sequence[Group] | None = None,
) -> list[Path]:
    """Write `out`/LEADERBOARD.md and `out`/leaderboard.html from the result files below `results_dir`.

    One table for each version of a dataset comes last: what the audits in the folder `audit` of the results
    say of it. Where `hub_format` names a folder, the Hub's files for the same results go there
    (`hub_results`). Returns the paths written. Every file is checked first (`results.validate_values`; the
    gate, `validate`, checks more), and nothing is written where one is wrong. The same results give the same
    bytes. `groups` are what `collect` read in `results_dir` before; `progress` gets (done, all, what is
    done). Raises `ResultError`, `OutputError`.
    """
    versions = version_tables(read_all(Path(results_dir) / FOLDER))
    return write(boards(results_dir, progress, groups), Path(results_dir).name, out, hub_format, versions)


def write(
    boards: Sequence[Board],
    made_from: str,
    out: str | Path,
    hub_format: str | Path | None = None,
    versions: Sequence[VersionTable] = (),
) -> list[Path]:
    """Write boards that were made already; `made_from` is the name of their folder. Raises `OutputError`."""
    files = {
        Path(out) / MARKDOWN: markdown.render(boards, made_from, versions),
        Path(out) / PAGE: page.render(boards, versions),
    }
    if hub_format is not None:
        files |= hub_results.files(boards, Path(hub_format))
    for path, text in files.items():
        atomic.write_text(path, text)
    return list(files)
