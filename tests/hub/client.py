"""Clients in processes of their own that can be killed: `huggingface_hub` reads HF_ENDPOINT at its import.

One process imports everything once, then forks for each run, so that a run costs no second import.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_LONGEST_WAIT = 0.05
"""Seconds."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its exit code (minus the signal where one ended it) and what it printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line on standard error of a run that failed as it should."""
        assert self.code == 2, self
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.out + self.err, self.err
        return lines[0]

    def ok(self) -> Outcome:
        assert self.code == 0, self
        return self

    @property
    def value(self) -> Any:
        """The last line of the output as JSON."""
        return json.loads(self.ok().out.splitlines()[-1])


class Client:
    """Runs of code and of `python -m generation` against the Hub at `url`, with caches below `folder`."""

    def __init__(self, url: str, folder: Path, token: str | None = None, **environment: str) -> None:
        self.folder, self.url = folder, url
        self.home = folder / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        self.environment = client_environment(url, self.home, token) | environment
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hub.client"],
            env=self.environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def close(self) -> None:
        """End the process that forks."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:  # a loaded machine
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def forget(self) -> None:
        """Empty all caches."""
        shutil.rmtree(self.home)
        self.home.mkdir()

    def start(self, **job: Any) -> int:
        """Fork a run that waits for `finish`; its process id."""
        self._say(job | {"out": str(self.folder / "out"), "err": str(self.folder / "err")})
        return int(self._hear())

    def finish(self) -> Outcome:
        """Let the run go and wait for its end."""
        self._say({})
        code = int(self._hear())
        out, err = ((self.folder / name).read_text() for name in ("out", "err"))
        return Outcome(code, out, err)

    def python(self, code: str, token: str | None = None) -> Outcome:
        """Run code."""
        self.start(code=code, token=token)
        return self.finish()

    def generation(self, *arguments: object, token: str | None = None) -> Outcome:
        """Run `python -m generation`."""
        self.start(arguments=[str(argument) for argument in arguments], token=token)
        return self.finish()

    def _say(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that forks has ended"
        return line


def client_environment(url: str, home: Path, token: str | None = None) -> dict[str, str]:
    """The variables of a process that knows no other Hub than `url` and no other caches than in `home`."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return kept | {
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "HF_ENDPOINT": url,
        "HF_HOME": str(home / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "COVID_SYNTH_CACHE": str(home / "ours"),
        **({"HF_TOKEN": token} if token else {}),
    }


def _run(job: dict[str, Any]) -> None:
    """What the fork does."""
    for name, number in (("out", 1), ("err", 2)):
        os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    # Between two tries of a request the client waits for seconds that no test needs.
    wait = time.sleep
    time.sleep = lambda seconds: wait(min(seconds, _LONGEST_WAIT))
    if job.get("token"):
        os.environ["HF_TOKEN"] = job["token"]
    if "arguments" in job:
        from generation.__main__ import main

        sys.argv = ["generation", *job["arguments"]]
        main()
    else:
        exec(compile(job["code"], "job", "exec"), {"__name__": "__main__"})


def _fork_runs() -> None:
    import datasets  # noqa: F401
    import huggingface_hub.hf_api  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import rich.progress  # noqa: F401
    import scipy.io  # noqa: F401  (datasets reads .mat files with it)
    from PIL import Image

    import covid_synth_data.release.loading  # noqa: F401
    import generation.__main__
    import generation.releasing.publish  # noqa: F401

    Image.preinit()
    for line in sys.stdin:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writer)
            os.read(reader, 1)
            code = 1
            try:
                _run(json.loads(line))
                code = 0
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        os.close(reader)
        print(pid, flush=True)
        sys.stdin.readline()
        os.write(writer, b"g")
        os.close(writer)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    _fork_runs()
