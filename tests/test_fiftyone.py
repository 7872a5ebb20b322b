"""FiftyOne loads a release from its layout on the Hub, and the folders that `export` writes.

FiftyOne asks the Hub's viewer for rows and pictures, so `Viewer` answers as the viewer does, from a release
folder. FiftyOne keeps its samples in MongoDB. Where one of the two is missing, these tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import datasets
import pytest
from PIL import Image

import covid_synth_data as csd
from tests.hub.releases import build

ROOT = Path(__file__).resolve().parents[1]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("fiftyone") is None, reason="fiftyone is not installed"),
]

FROM_HUB = """
import json, sys
import fiftyone.utils.huggingface as hub

hub.DATASETS_SERVER_URL = sys.argv[1]
found = hub.load_from_hub(
    "test-org/covid-synth-cxr", format="parquet", subsets="gnc", classification_fields="label"
)
print(json.dumps([[s.image_id, s.label.label, s.seed, s.source_license, s.filepath] for s in found]))
"""

FROM_FOLDERS = """
import json, sys
import fiftyone as fo

found = fo.Dataset.from_dir(sys.argv[1], dataset_type=fo.types.ImageClassificationDirectoryTree)
print(json.dumps([[s.ground_truth.label, s.filepath] for s in found]))
"""

NO_DATABASE = ("MongoDB could not be installed", "ServiceListenTimeout", "could not be found")


class Viewer(BaseHTTPRequestHandler):
    """The answers of the Hub's viewer, as far as FiftyOne reads them, over one config `gnc`."""

    rows: datasets.Dataset
    url: str

    def do_HEAD(self) -> None:
        """No file `fiftyone.yml` in the repository."""
        self.send_response(404)
        self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        """Splits, features, rows or a picture."""
        asked = urlsplit(self.path)
        query = dict(parse_qsl(asked.query))
        if asked.path.startswith("/image/"):
            self._send(self._bytes(int(asked.path.split("/")[2])), "image/png")
        elif asked.path == "/splits":
            self._json({"splits": [{"config": config, "split": "train"} for config in ("gnc", "other")]})
        elif asked.path == "/info":
            splits = {"train": {"num_examples": len(self.rows)}}
            self._json({"dataset_info": {"features": self.rows.features.to_dict(), "splits": splits}})
        elif asked.path == "/rows" and query["config"] == "gnc":
            start = int(query["offset"])
            numbers = range(start, min(len(self.rows), start + int(query["length"])))
            self._json({"rows": [{"row_idx": number, "row": self._row(number)} for number in numbers]})
        else:
            self.send_error(404)

    def _bytes(self, number: int) -> bytes:
        content: bytes = self.rows.cast_column("image", datasets.Image(decode=False))[number]["image"][
            "bytes"
        ]
        return content

    def _row(self, number: int) -> dict[str, Any]:
        row: dict[str, Any] = self.rows[number]
        width, height = row["image"].size
        return {**row, "image": {"src": f"{self.url}/image/{number}", "width": width, "height": height}}

    def _json(self, content: Any) -> None:
        self._send(json.dumps(content).encode(), "application/json")

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return build(tmp_path / "covid-synth-cxr")


@pytest.fixture
def viewer(release: Path) -> Iterator[str]:
    """The address of a viewer of the release."""
    rows = csd.load_dataset("covid-synth-cxr", "gnc", root=release)
    with ThreadingHTTPServer(("127.0.0.1", 0), Viewer) as server:
        Viewer.rows, Viewer.url = rows, f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Viewer.url
        server.shutdown()


def run(code: str, argument: str, home: Path, **environment: str) -> Any:
    """What the code prints last, as JSON, in a process of its own with an empty home."""
    home.mkdir()
    (home / "code.py").write_text(code)
    done = subprocess.run(
        [sys.executable, str(home / "code.py"), argument],
        env=os.environ | {"HOME": str(home), "FIFTYONE_DO_NOT_TRACK": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if any(words in done.stderr for words in NO_DATABASE):
        pytest.skip(f"no MongoDB: {done.stderr.splitlines()[-1][:200]}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_release_from_its_layout_on_the_hub(release: Path, viewer: str, tmp_path: Path) -> None:
    found = run(FROM_HUB, viewer, tmp_path / "home", HF_ENDPOINT=viewer, HF_TOKEN="")
    rows = csd.load_dataset("covid-synth-cxr", "gnc", root=release)
    assert [[row["image_id"], "covid-19", row["seed"], row["source_license"]] for row in rows] == [
        sample[:4] for sample in found
    ]
    pictures = rows.cast_column("image", datasets.Image(decode=False))["image"][:]
    assert [Path(sample[4]).read_bytes() for sample in found] == [cell["bytes"] for cell in pictures]


def test_folders_that_export_writes(release: Path, tmp_path: Path) -> None:
    rows = csd.load_dataset("covid-synth-cxr", "gnc", root=release)
    csd.write_image_folder(rows, tmp_path / "gnc")
    found = run(FROM_FOLDERS, str(tmp_path / "gnc/train"), tmp_path / "home")
    assert sorted(Path(path).stem for _, path in found) == sorted(rows["image_id"])
    assert {label for label, _ in found} == {"covid-19"}
    with Image.open(found[0][1]) as shown:
        assert shown.size == rows[0]["image"].size
