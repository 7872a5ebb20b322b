"""All kinds of generated inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st

from tests.generated import inputs, releases

KINDS: Final[dict[str, tuple[st.SearchStrategy[Any], Callable[[Any, Path], str], int]]] = {
    "images": (inputs.images(), inputs.check_image, 700),
    "DICOM headers": (inputs.dicoms(), inputs.check_dicom, 800),
    "NIfTI headers": (inputs.volumes(), inputs.check_volume, 250),
    "metadata tables": (inputs.tables(), inputs.check_table, 350),
    "release folders": (releases.changes(), releases.check, 120),
}
"""Kind to its strategy, its check and how many of it the tests make."""
