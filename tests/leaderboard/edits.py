"""Changes of result files, for the tests of validation."""

from __future__ import annotations

import json
from pathlib import Path

SKILLS = {"mixed": 1.1}


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def put(value, *keys):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value(content[keys[-1]]) if callable(value) else value

    return change
