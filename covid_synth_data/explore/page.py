"""The page itself: rows as JSON, sheets as base64, one template with its style and script."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from covid_synth_data._version import __version__
from covid_synth_data.explore import reading, sheets
from covid_synth_data.explore.reading import Rows
from covid_synth_data.files import atomic, templates
from covid_synth_data.release import manifest


def write_page(
    folder: Path,
    out: Path,
    configs: Sequence[str] = (),
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write the page of the release `folder` to the file `out`; returns the number of images on it.

    `configs` are shown alone, or all where there are none; `limit` takes so many images at even distances.
    Raises `ReleaseError`, `CorruptRelease`, `UnknownName`, `ConfigError`, `BadImage`, `OutputError`.
    """
    listed = manifest.read(folder)
    rows = reading.read(folder, listed, configs, limit, progress or (lambda done, total: None))
    atomic.write_text(out, render(listed, rows))
    return len(rows)


def render(listed: manifest.Manifest, rows: Rows) -> str:
    """The page as text."""
    nearest, correlations = sheets.alike(rows)
    soft = "pattern" in rows.columns
    content = {
        "side": rows.thumbnails.shape[1],
        "across": sheets.ACROSS,
        "count": len(rows),
        "columns": {name: _packed(values) for name, values in rows.columns.items() if _any(values)},
        "near": {"k": nearest.shape[1], "rows": nearest.ravel().tolist(), "r": correlations.ravel().tolist()},
        "masks": sorted(rows.masks),
    }
    shown = dict.fromkeys(rows.columns["subset"])
    return templates.page("covid_synth_data.explore").render(
        listed=listed,
        subsets={name: listed.subsets[name] for name in shown},
        total=sum(subset.rows for subset in listed.subsets.values()),
        count=len(rows),
        side=rows.thumbnails.shape[1],
        version=__version__,
        soft=soft,
        content=script_json(content),
        image_sheets=script_json(sheets.of_images(rows.thumbnails)),
        mask_sheets=script_json(sheets.of_masks(rows.masks, soft)),
    )


def _any(values: Sequence[Any]) -> bool:
    return any(value not in (None, "") for value in values)


def _packed(values: Sequence[Any]) -> dict[str, Any]:
    """A column as text: each different value once with codes, or all values where most are different."""
    texts = ["" if value is None else str(value) for value in values]
    codes: dict[str, int] = {}
    numbers = [codes.setdefault(text, len(codes)) for text in texts]
    return {"values": list(codes), "codes": numbers} if 2 * len(codes) <= len(texts) else {"values": texts}


def script_json(content: Any) -> Markup:
    """JSON for the inside of a script element: no "<" that could end it, no "&", no odd line ends."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    # Safe: without "<" nothing in it is read as HTML.
    return Markup(text.replace("<", "\\u003c").replace("&", "\\u0026"))  # noqa: S704
