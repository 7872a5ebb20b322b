"""Make everything that is written from the result files again, in one go.

    python benchmarks/publish.py

The numbers of regimes (benchmarks/statistics/results), the leaderboard, the report with its figures, the card
of the release, and the tables of the pages and of README. The result files are read once; each command alone
(`covid-synth leaderboard build`, `covid-synth benchmark report`, `python -m generation card`) reads all of
them. What did not change is written byte for byte as before.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from covid_synth_data import leaderboard
from covid_synth_data.benchmark import report
from covid_synth_data.benchmark.reporting.collect import collect
from covid_synth_data.cli.common import progress_bar, say
from covid_synth_data.files.atomic import write_text
from covid_synth_data.release import manifest
from generation.releasing import documents

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
RESULTS = BENCHMARKS / "results"
RELEASE = ROOT / "releases/covid-synth-cxr"


def main() -> None:
    """Write all of it; what was written so far stays where something fails."""
    script("benchmarks/statistics/regimes.py")
    with progress_bar("results:") as tick:
        groups = collect(RESULTS, tick)
        for path in leaderboard.build(RESULTS, BENCHMARKS, progress=tick, groups=groups):
            say(str(path.relative_to(ROOT)))
        text = report(
            RESULTS, figures=BENCHMARKS / "figures", links_from=BENCHMARKS, groups=groups, progress=tick
        )
    write_text(BENCHMARKS / "REPORT.md", text)
    say("benchmarks/REPORT.md")
    listed = manifest.read(RELEASE).model_copy(update={"images": manifest.identity(RELEASE)})
    manifest.write(RELEASE, documents.complete(RELEASE, listed, results=RESULTS, groups=groups))
    say("releases/covid-synth-cxr/README.md")
    script("docs/results/tables.py")


def script(name: str) -> None:
    """Run a script of the repository. Raises `CalledProcessError` where it fails."""
    subprocess.run([sys.executable, ROOT / name], check=True)


if __name__ == "__main__":
    main()
