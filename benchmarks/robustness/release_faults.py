"""Faults in a copy of a release of real size: files at rest, caches, killed writers, answers of the Hub.

    python benchmarks/robustness/release_faults.py [--release releases/covid-synth-cxr] [--parts ...]

The release is copied first, and only the copy is touched. Each fault is made alone, and some in pairs; after
each the damaged files are copied again, and the same command has to work. `rest` damages files of the
release; `caches` damages what a complete load left; `writers` kills and starves an import that adds a config
to a release; `answers` lets every request of a pull meet every fault of the network. Lost is: rows that
differ from those released, `verify` that says whole of a file that differs, an ending that is neither 0 nor
one line with exit code 2, a command that still fails when the fault is gone, a release that is not whole.
Writes results/release_faults.json after each kind of fault; ends with 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT))
from damages import FILES, MANIFEST, Damage, flip, neighbour

from covid_synth_data import machine
from covid_synth_data.files import atomic
from tests.hub import local, matrix
from tests.hub.client import Client, Outcome
from tests.hub.faults import ANSWERS, Kind
from tests.hub.matrix import Lost, check
from tests.hub.server import WRITER, running

OUT = HERE.parent / "results" / "release_faults.json"
PARTS = ("rest", "caches", "writers", "answers")

LOAD = """
import hashlib, sys
from covid_synth_data.cli import guarded

def load():
    import covid_synth_data as csd

    rows = csd.load_dataset(*ARGUMENTS, **OPTIONS)
    digest = hashlib.sha256()
    for batch in rows.with_format(None).data.table.select(["image", "image_id", "label"]).to_batches():
        for row in batch.to_pylist():
            digest.update(f"{row['image_id']} {row['label']} ".encode() + row["image"]["bytes"])
    print(f'"{digest.hexdigest()}"')

guarded(load)
"""
"""Loads a config and prints a digest of its encoded pictures, ids and labels."""

SHELL = """
import sys
from covid_synth_data.cli import main

sys.argv = ["covid-synth", *ARGUMENTS]
main()
"""


@dataclass
class Tally:
    """What became of the faults of one kind: `refused` in one line, or `unharmed`: the rows were given."""

    injected: int = 0
    refused: int = 0
    unharmed: int = 0
    lost: list[str] = field(default_factory=list)


def ended_well(done: Outcome) -> Outcome:
    """The outcome, if it is 0 or an error of ours in one line."""
    lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
    ours = done.code == 2 and len(lines) == 1 and "Traceback" not in done.err + done.out
    check(done.code == 0 or ours, f"ended with {done.code}: {done.err[-300:]}")
    return done


class Bench:
    """The copy of the release, a client whose caches lie apart, and the digests of the sound configs."""

    def __init__(self, release: Path, folder: Path, client: Client) -> None:
        self.original, self.client = release, client
        self.copy = folder / "copy" / release.name
        shutil.copytree(release, self.copy)
        listed = json.loads((release / "manifest.json").read_text())
        self.configs = sorted(listed["subsets"])
        self.smallest = min(self.configs, key=lambda name: listed["subsets"][name]["rows"])
        self.shards = {f["path"]: f["subset"] for f in listed["files"] if f.get("subset")}
        self.files = [f["path"] for f in listed["files"]]
        self.sound = {config: json.loads(self.load(config).ok().out) for config in self.configs}

    def load(self, config: str) -> Outcome:
        """Load a config of the copy in a process of its own."""
        options = {"root": str(self.copy)}
        code = f"ARGUMENTS, OPTIONS = {(self.original.name, config)!r}, {options!r}\n{LOAD}"
        return ended_well(self.client.python(code))

    def shell(self, *arguments: object) -> Outcome:
        """Run `covid-synth` in a process of its own."""
        return ended_well(self.client.python(f"ARGUMENTS = {list(map(str, arguments))!r}\n{SHELL}"))

    def mend(self) -> None:
        """Make the copy as the original is, file by file; what is as it was stays."""
        here = {p.relative_to(self.copy).as_posix() for p in self.copy.rglob("*") if not p.is_dir()}
        for name in here - set(self.files) - {"manifest.json"}:
            (self.copy / name).unlink()
        for name in [*self.files, "manifest.json"]:
            path, sound = self.copy / name, self.original / name
            if path.is_symlink() or path.is_dir() or not path.exists() or not _same(path, sound):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                path.unlink(missing_ok=True)
                shutil.copy2(sound, path)


def _same(path: Path, other: Path) -> bool:
    done = subprocess.run(["cmp", "-s", path, other], check=False)
    return done.returncode == 0


# Files of the release.


def meets(bench: Bench, damages: Sequence[tuple[str, Damage]]) -> bool:
    """The copy with these files damaged, verified and loaded with empty caches, then mended and again.

    True where a load was refused. Raises `Lost`.
    """
    bench.client.forget()
    for name, damage in damages:
        damage(bench.copy / name)
    verified = bench.shell("verify", bench.copy)
    touched = [name for name, _ in damages]
    bits = [name for name in touched if name != "manifest.json"]
    differ = [name for name in bits if not _same(bench.copy / name, bench.original / name)]
    if "manifest.json" in touched and _listed(bench.copy) != _listed(bench.original):
        differ.append("manifest.json")
    check(verified.code == 2 or not differ, f"verify said whole with {differ} changed")
    configs = {bench.shards.get(name) for name in touched} - {None} or {bench.smallest}
    refused = False
    for config in sorted(configs):
        done = bench.load(config)
        refused = refused or done.code == 2
        check(done.code == 2 or json.loads(done.out) == bench.sound[config], "other rows than were released")
    bench.mend()
    for config in sorted(configs):
        done = bench.load(config)
        check(done.code == 0, f"still refused: {done.err[-200:]}")
        check(json.loads(done.out) == bench.sound[config], "other rows than were released")
    return refused


def _listed(release: Path) -> Any:
    """What the manifest says of files and configs; None where it cannot be read. Its notes do not count."""
    try:
        listed = json.loads((release / "manifest.json").read_text())
        files = [
            tuple(one.get(key) for key in ("path", "sha256", "size", "rows", "subset"))
            for one in listed["files"]
        ]
        return files, {name: subset["rows"] for name, subset in listed["subsets"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def rest(
    bench: Bench, random: Random, each: int, pairs: int, only: Sequence[str]
) -> Iterator[tuple[str, Tally]]:
    """Each damage to `each` shards, to a file that is none, and to the manifest; and pairs of damages.

    With `only`, the damages whose description holds one of these words, and no pairs.
    """
    singles = [(name, what, damage) for name in bench.files for what, damage in FILES.items()]
    singles += [("manifest.json", what, damage) for what, damage in MANIFEST.items()]
    singles += [(name, "its neighbour's content", neighbour) for name in bench.shards]
    for what in sorted({f"{_kind(bench, name)}: {what}" for name, what, _ in singles}):
        cases = [[(name, damage)] for name, one, damage in singles if f"{_kind(bench, name)}: {one}" == what]
        if only and not any(words in what for words in only):
            continue
        number = each if what.startswith("a shard") else 1
        yield what, tally(random.sample(cases, min(len(cases), number)), lambda case: meets(bench, case))
    drawn: list[list[tuple[str, Damage]]] = []
    while not only and len(drawn) < pairs:
        one, other = random.sample(singles, 2)
        if one[0] != other[0]:
            drawn.append([(one[0], one[2]), (other[0], other[2])])
    if drawn:
        yield "two faults at once", tally(drawn, lambda case: meets(bench, case))


def _kind(bench: Bench, name: str) -> str:
    if name in bench.shards:
        return "a shard"
    return "the manifest" if name == "manifest.json" else "another file"


# Caches.


def caches(bench: Bench, random: Random) -> Iterator[tuple[str, Tally]]:
    """Each damage to what a complete load left, alone and with a damaged shard."""
    for what, damage in local.DAMAGES.items():
        if not ("copy" in what or what == "locks left"):
            continue

        def alone(config: str, damage: local.Damage = damage) -> bool:
            bench.client.forget()
            bench.load(config).ok()
            check(damage(bench.client.home) > 0, "nothing was damaged")
            done = bench.load(config)
            check(done.code == 0 and json.loads(done.out) == bench.sound[config], "not the rows released")
            return False

        def with_shard(config: str, damage: local.Damage = damage) -> bool:
            bench.client.forget()
            bench.load(config).ok()
            damage(bench.client.home)
            name = next(name for name, subset in bench.shards.items() if subset == config)
            flip(0.5)(bench.copy / name)
            done = bench.load(config)
            check(done.code == 2 or json.loads(done.out) == bench.sound[config], "other rows")
            bench.mend()
            again = bench.load(config)
            check(again.code == 0 and json.loads(again.out) == bench.sound[config], "not the rows released")
            return done.code == 2

        yield f"cache: {what}", tally(random.sample(bench.configs, 2), alone)
        yield f"cache: {what}, and a bit of a shard", tally(random.sample(bench.configs, 1), with_shard)


# Writers.


def writers(bench: Bench, folder: Path, images: int, moments: int) -> Iterator[tuple[str, Tally]]:
    """An import that adds a config to a release with one: killed, without room, and beside another writer."""
    import covid_synth_data as csd

    rows = csd.load_dataset(bench.original.name, bench.configs[0], root=bench.original)
    films = folder / "films"
    films.mkdir()
    for number in range(images):
        rows[number]["image"].save(films / f"{number:06d}.png")
    sound, base = folder / "sound" / "mine", folder / "base" / "mine"
    first = ("import", films, "--config", "first", "--label", "covid-19", "-o")
    second = ("import", films, "--config", "second", "--label", "covid-19", "-o")
    bench.shell(*first, base).ok()
    shutil.copytree(base, sound)
    began = time.perf_counter()
    bench.shell(*second, sound).ok()
    took = time.perf_counter() - began
    expected = _tree(sound)

    def fresh() -> Path:
        shutil.rmtree(folder / "try", ignore_errors=True)
        shutil.copytree(base, folder / "try" / "mine")
        return folder / "try" / "mine"

    def finishes(out: Path) -> None:
        check(bench.shell(*second, out).code == 0, "the same command fails")
        check(_tree(out) == expected, f"other files than without the fault: {_tree(out) ^ expected}")
        check(bench.shell("verify", out).code == 0, "not whole")
        check(not list(out.parent.glob(".mine.building*")), "leftovers beside the release")

    def killed(moment: float) -> bool:
        out = fresh()
        run = subprocess.Popen(
            [sys.executable, "-m", "covid_synth_data.cli", *map(str, second), str(out)],
            env=bench.client.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            run.wait(moment)
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()
        # A killed writer may have moved its shards and not yet the manifest: `first` must load even so.
        done = bench.client.python(
            f"ARGUMENTS, OPTIONS = {(bench.original.name, 'first')!r}, {{'root': {str(out)!r}}}\n{LOAD}"
        )
        ended_well(done)
        check(done.code == 0, f"the config that was there cannot be loaded: {done.err[-200:]}")
        finishes(out)
        return False

    def starved(size: int) -> bool:
        out = fresh()
        limit = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        code = f"import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n{limit}"
        arguments = [*map(str, second), str(out)]
        done = ended_well(bench.client.python(f"{code}ARGUMENTS = {arguments!r}\n{SHELL}"))
        check(bench.shell("verify", out).code == 0, "the release is not whole")
        finishes(out)
        return done.code == 2

    def stale(content: str) -> bool:
        out = fresh()
        (out.parent / ".mine.lock").write_text(content)
        finishes(out)
        return False

    start = _seconds_of_start(bench)
    at = [start + (took + 0.5) * number / moments for number in range(moments)]
    yield "a writer killed", tally(at, killed)
    yield "a full disk", tally([10_000, 200_000, 2_000_000], starved)
    yield "a stale lock", tally(["", "{", '{"work": "an import", "pid": 4000000}', "\0\xff" * 50], stale)


def _seconds_of_start(bench: Bench) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "covid_synth_data.cli", "import", "--help"],
        env=bench.client.environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began


def _tree(folder: Path) -> set[tuple[str, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {(p.relative_to(folder).as_posix(), hashlib.sha256(p.read_bytes()).digest()) for p in files}


# Answers of the Hub.


def answers(bench: Bench, folder: Path, config: str) -> Iterator[tuple[str, Tally]]:
    """Every request of a pull of `config` meets every fault, from a Hub that holds the release."""
    with running(folder / "store") as hub:
        client = Client(hub.url, folder / "puller", WRITER)
        arguments = (matrix.REPO, config)
        code = f"ARGUMENTS, OPTIONS = {arguments!r}, {{}}\n{LOAD}"
        requests = matrix.requests_of(hub, client, bench.original, code=code)
        rows = json.loads(matrix.attempt(hub, client, code=code).ok().out)
        check(rows == bench.sound[config], "a sound pull gives other rows")
        for kind in (*ANSWERS, "500", "429", "drop", "drop-after", "truncate", "corrupt", "kill-midway"):

            def meet(request: matrix.Request, kind: Kind = kind) -> bool:
                try:
                    return not matrix.pull_meets(hub, client, rows, (kind, request), code=code)
                except matrix.Lost as lost:
                    raise Lost(str(lost)) from lost

            chosen = [one for one in requests if matrix.everything("pull", kind, one)]
            yield f"a pull: {kind}", tally(chosen, meet)
        client.close()


def tally(cases: Sequence[Any], meet: Callable[[Any], bool]) -> Tally:
    """Let each case happen and count what became of it."""
    found = Tally()
    for case in cases:
        found.injected += 1
        try:
            if meet(case):
                found.refused += 1
            else:
                found.unharmed += 1
        except Lost as lost:
            named = [name for name, _ in case] if isinstance(case, list) else case
            found.lost.append(f"{named}: {lost}")
    return found


def main() -> None:
    """Run the parts, print a line per kind of fault, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--release", type=Path, default=ROOT / "releases" / "covid-synth-cxr")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--each", type=int, default=3, help="shards that meet each damage")
    parser.add_argument("--pairs", type=int, default=20, help="of faults at once")
    parser.add_argument("--only", nargs="*", default=[], help="damages at rest that hold one of these words")
    parser.add_argument("--images", type=int, default=2500, help="of the import that is killed")
    parser.add_argument("--moments", type=int, default=12, help="at which the import is killed")
    parser.add_argument("--config", default="pairs", help="what is pulled")
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    asked.started = time.strftime("%F %T %z")
    started, rows = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        client = Client("http://127.0.0.1:9", folder / "client")
        bench = Bench(asked.release.resolve(), folder, client)
        before = _tree(bench.original)
        parts: dict[str, Callable[[], Iterator[tuple[str, Tally]]]] = {
            "rest": lambda: rest(bench, Random(0), asked.each, asked.pairs, asked.only),
            "caches": lambda: caches(bench, Random(0)),
            "writers": lambda: writers(bench, folder, asked.images, asked.moments),
            "answers": lambda: answers(bench, folder, asked.config),
        }
        for part in asked.parts:
            for what, found in parts[part]():
                rows.append({"part": part, "fault": what, **vars(found)})
                print(json.dumps(rows[-1]), flush=True)
                _record(asked, rows, time.perf_counter() - started)
        client.close()
        check(_tree(bench.original) == before, "the original was touched")
    raise SystemExit(any(row["lost"] for row in rows))


def _record(asked: argparse.Namespace, rows: list[dict[str, Any]], seconds: float) -> None:
    """Write what was found so far: a run that is stopped leaves what it did, and the next adds a sitting."""
    sitting = {
        "command": " ".join(["python benchmarks/robustness/release_faults.py", *sys.argv[1:]]),
        "started": asked.started,
        "commit": machine.commit(),
        "seconds": round(seconds),
        "faults": rows,
    }
    earlier = json.loads(asked.out.read_text())["sittings"] if asked.out.exists() else []
    sittings = [one for one in earlier if one["started"] != asked.started] + [sitting]
    total: Counter[str] = Counter()
    for row in (row for one in sittings for row in one["faults"]):
        total.update({key: row[key] for key in ("injected", "refused", "unharmed")}, lost=len(row["lost"]))
    size = sum(path.stat().st_size for path in _files(asked.release))
    result = {
        "release": {"name": asked.release.name, "bytes": size},
        "total": dict(total),
        "sittings": sittings,
    }
    atomic.write_text(asked.out, json.dumps(result, indent=1) + "\n")


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


if __name__ == "__main__":
    main()
