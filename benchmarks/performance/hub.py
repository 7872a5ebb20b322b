"""Publishing and fetching against the bare client of the Hub, and `verify` against sha256sum.

    python benchmarks/performance/hub.py [--rounds 9] [--megabytes 150]

The Hub is `tests/hub` in a process of its own on the loopback, fresh for each push; each call runs in a
fresh process with empty caches and counts from after the imports. Ours pushes as `generation publish` does
(verify, compare, one commit, list it, tag) and pulls as `load_dataset` does (manifest, shards, every byte
hashed); beside it stand `upload_folder` and `snapshot_download` alone, on the same files and without Xet.
sha256sum gets one process per core (xargs -P), `verify` its threads; both also on one core. `openssl dgst`
stands beside them because some builds of sha256sum do not use the processor's instructions for it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from machine import alternate, ratio, seconds, write

from covid_synth_data.release.verification import verify

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.hub.client import ROOT, client_environment
from tests.hub.releases import build
from tests.hub.server import WRITER

REPO = "test-org/covid-synth-cxr"
SIDE = 132
"""Noise of this side is a PNG of about 17 kB, as a released image is."""

TIMED = """
import json, sys, time
from pathlib import Path
import huggingface_hub, pyarrow.parquet
from huggingface_hub import HfApi, snapshot_download
from covid_synth_data.release import hub
from generation.releasing import publish
folder, repo = Path(sys.argv[1]), sys.argv[2]
if sys.argv[3] == "upload_folder":
    HfApi().create_repo(repo, repo_type="dataset")
start = time.perf_counter()
{body}
print(json.dumps(time.perf_counter() - start))
"""

BODIES = {
    "publish": "publish.carry_out(publish.plan(folder, repo))",
    "upload_folder": 'HfApi().upload_folder(repo_id=repo, repo_type="dataset", folder_path=folder)',
    "fetch": 'hub.fetch(repo, "1.0.0", ("gnc",))',
    "snapshot_download": (
        'snapshot_download(repo, repo_type="dataset", revision="v1.0.0",'
        ' allow_patterns=["manifest.json", "cyclegan/*"])'
    ),
}


def call(name: str, url: str, folder: Path) -> float:
    """Seconds of one call in a process with empty caches."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", TIMED.format(body=BODIES[name]), str(folder), REPO, name],
            env=client_environment(url, Path(home), WRITER),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return float(json.loads(done.stdout.splitlines()[-1]))


@contextmanager
def serving() -> Iterator[str]:
    """The address of a fresh, empty Hub in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.hub.server"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


def transfers(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Times of pushes and pulls, contenders in turn and each first as often as the other."""
    times: dict[str, list[float]] = {name: [] for name in BODIES}
    for number in range(rounds):
        turn = -1 if number % 2 else 1
        for name in ("publish", "upload_folder")[::turn]:
            with serving() as url:
                times[name].append(call(name, url, folder))
                if name == "publish":
                    for pull in ("fetch", "snapshot_download")[::turn]:
                        times[pull].append(call(pull, url, folder))
    return times


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """This process and its children on so many of the cores that it may use."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def sums(folder: Path, cores: int, *program: str) -> Callable[[], object]:
    files = "\0".join(str(path) for path in folder.rglob("*") if path.is_file())
    command = ["xargs", "-0", "-P", str(cores), "-n", "1", *program]
    return lambda: subprocess.run(command, input=files, text=True, capture_output=True, check=True)


def main() -> None:
    """Measure and write results/hub.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--megabytes", type=int, default=150)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = asked.megabytes * 1_000_000 // 9 // 17_900
        folder = build(Path(name) / "covid-synth-cxr", subsets={"gnc": (rows,) * 9}, side=SIDE)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        verifying = {}
        all_cores = len(os.sched_getaffinity(0))
        for cores in sorted({1, all_cores}):
            with on_cores(cores):
                runs = {
                    "sha256sum": sums(folder, cores, "sha256sum"),
                    "openssl": sums(folder, cores, "openssl", "dgst", "-sha256"),
                    "verify": lambda: verify(folder),
                }
                seconds(runs["verify"])
                times = alternate(runs, asked.rounds)
            verifying[f"{cores} cores" if cores > 1 else "1 core"] = {
                "seconds": times,
                "megabytes_per_second": {one: size / 1e6 / min(taken) for one, taken in times.items()},
                "verify_speed_over_sha256sum": ratio(times["sha256sum"], times["verify"]),
                "verify_speed_over_openssl": ratio(times["openssl"], times["verify"]),
            }
        times = transfers(folder, asked.rounds)
    options = f"--rounds {asked.rounds} --megabytes {asked.megabytes}"
    write(
        "hub",
        {
            "command": f"python benchmarks/performance/hub.py {options}",
            "huggingface_hub": importlib.metadata.version("huggingface_hub"),
            "bytes": size,
            "shards": 9,
            "seconds": times,
            "push_speed_over_upload_folder": ratio(times["upload_folder"], times["publish"]),
            "pull_speed_over_snapshot_download": ratio(times["snapshot_download"], times["fetch"]),
            "verify": verifying,
        },
    )


if __name__ == "__main__":
    main()
