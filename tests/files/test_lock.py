"""The lock of a folder: one process at a time, its owner named, gone with its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from covid_synth_data.errors import OutputError
from covid_synth_data.files.lock import locked

HOLD = """
import sys, time
from pathlib import Path
from covid_synth_data.files.lock import locked
with locked(Path(sys.argv[1]), "a training"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        refused = pytest.raises(OutputError, match=f"in use; found a training by process {holder.pid} on")
        with refused, locked(folder, "another"):
            pass
        # The lock of a process that was killed is free.
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with locked(folder, "another"):
            assert not folder.exists()


def test_folders_do_not_share_a_lock(tmp_path: Path) -> None:
    with locked(tmp_path / "one", "a release"), locked(tmp_path / "other", "a release"):
        pass
    with locked(tmp_path / "one", "a release"):
        pass
