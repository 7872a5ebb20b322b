"""Plans as frames, for the tests of protocols."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from covid_synth_data.tasks import plan_task

needs_labels = pytest.mark.skipif(
    importlib.util.find_spec("torchxrayvision") is None, reason="the extra [rsna] is not installed"
)


TASK = "normal-vs-covid"


def plan(root: Path, task: str = TASK, **options: Any) -> pd.DataFrame:
    """The frame of a plan by image_id."""
    return plan_task(task, root, **options).frame.set_index("image_id", drop=False)


def reasons(frame: pd.DataFrame) -> dict[str, str]:
    return {name: reason for name, reason in frame["reason"].items() if reason}
