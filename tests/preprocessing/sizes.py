"""The size of the films that tests of preprocessing prepare."""

from __future__ import annotations

PER_CLASS = 40


SIDE = 192
"""Of the original phantoms: above what the common side needs once edges are cut."""
