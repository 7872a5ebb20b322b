"""Folders of small images as some generator would leave them."""

from __future__ import annotations

import pytest

from tests.support import film


@pytest.fixture
def images(tmp_path):
    """Twelve PNG files of 32 px, without labels."""
    for number in range(12):
        film(tmp_path / f"images/sample-{number}.png", 5000 + number, side=32)
    return tmp_path / "images"
