"""The notebooks run in a kernel of their own, and show what they showed when they were saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def printed(notebook: Any) -> list[str]:
    """What each cell of code printed."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return ["".join(part["text"] for part in cell.outputs if part.get("name") == "stdout") for cell in cells]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of the kernel's own packages
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    saved = nbformat.read(path, as_version=4)
    again = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(again, timeout=300, kernel_name="python3").execute(cwd=str(tmp_path))
    assert printed(again) == printed(saved)
    assert any(printed(saved))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_saved_with_its_outputs(path) -> None:
    saved = nbformat.read(path, as_version=4)
    nbformat.validate(saved)
    cells = [cell for cell in saved.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in cells)
    assert not [part for cell in cells for part in cell.outputs if part.get("name") == "stderr"]
    assert path.stat().st_size < 500_000


def test_there_is_one() -> None:
    assert NOTEBOOKS
