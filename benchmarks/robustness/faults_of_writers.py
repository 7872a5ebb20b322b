"""Faults of a writer: an import that adds a config to a release is killed, starved, or meets a stale lock."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from release_copy import ReleaseCopy, Tally, contents, tally

import covid_synth_data as csd
from tests.hub.matrix import check


def writers(release: ReleaseCopy, folder: Path, images: int, moments: int) -> Iterator[tuple[str, Tally]]:
    """An import of `images` that is killed at `moments` moments, starved of room, and meets stale locks."""
    writer = _Import(release, folder, images)
    start = _seconds_of_start(release)
    times = [start + (writer.seconds + 0.5) * number / moments for number in range(moments)]
    yield "a writer killed", tally(times, writer.killed)
    yield "a full disk", tally([10_000, 200_000, 2_000_000], writer.starved)
    locks = ["", "{", '{"work": "an import", "pid": 4000000}', "\0\xff" * 50]
    yield "a stale lock", tally(locks, writer.beside_lock)


class _Import:
    """Imports the config `second` into a release that has `first`, without a fault and with each.

    A method that makes a fault returns whether the import was refused, and raises `Lost`.
    """

    def __init__(self, release: ReleaseCopy, folder: Path, images: int) -> None:
        self.release = release
        rows = csd.load_dataset(release.original.name, release.configs[0], root=release.original)
        films = folder / "films"
        films.mkdir()
        for number in range(images):
            rows[number]["image"].save(films / f"{number:06d}.png")
        self.base, self.out = folder / "base" / "mine", folder / "try" / "mine"
        first = ("import", films, "--config", "first", "--label", "covid-19", "-o")
        self.second = ("import", films, "--config", "second", "--label", "covid-19", "-o")
        release.shell(*first, self.base).ok()
        sound = folder / "sound" / "mine"
        shutil.copytree(self.base, sound)
        began = time.perf_counter()
        release.shell(*self.second, sound).ok()
        self.seconds = time.perf_counter() - began
        self.expected = contents(sound)

    def killed(self, moment: float) -> bool:
        self._start_anew()
        run = subprocess.Popen(
            [sys.executable, "-m", "covid_synth_data.cli", *map(str, self.second), str(self.out)],
            env=self.release.client.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            run.wait(moment)
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()
        # A killed writer may have moved its shards and not yet the manifest: `first` must load even so.
        done = self.release.load("first", self.out)
        check(done.code == 0, f"the config that was there cannot be loaded: {done.err[-200:]}")
        self._finishes()
        return False

    def starved(self, size: int) -> bool:
        self._start_anew()
        limit = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        before = f"import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n{limit}"
        done = self.release.shell(*self.second, self.out, before=before)
        check(self.release.shell("verify", self.out).code == 0, "the release is not whole")
        self._finishes()
        return done.code == 2

    def beside_lock(self, content: str) -> bool:
        self._start_anew()
        (self.out.parent / ".mine.lock").write_text(content)
        self._finishes()
        return False

    def _start_anew(self) -> None:
        shutil.rmtree(self.out.parent, ignore_errors=True)
        shutil.copytree(self.base, self.out)

    def _finishes(self) -> None:
        """Check that the same command, without the fault, writes what it writes where there was none."""
        check(self.release.shell(*self.second, self.out).code == 0, "the same command fails")
        written = contents(self.out)
        check(written == self.expected, f"other files than without the fault: {written ^ self.expected}")
        check(self.release.shell("verify", self.out).code == 0, "not whole")
        check(not list(self.out.parent.glob(".mine.building*")), "leftovers beside the release")


def _seconds_of_start(release: ReleaseCopy) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "covid_synth_data.cli", "import", "--help"],
        env=release.client.environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began
