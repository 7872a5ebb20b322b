"""The YAML block at the head of a card, read as what it may be: plain data, small, without references.

A released folder may come from anywhere. Tags that build objects, aliases that multiply themselves, and
paths that leave the folder are refused before `datasets` or the Hub's client sees the card.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import yaml

from covid_synth_data.errors import CorruptRelease
from covid_synth_data.release import manifest

CARD: Final = "README.md"
MAX_BYTES: Final = 4 * 2**20
MAX_DEPTH: Final = 32
_OPEN: Final = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSE: Final = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_FENCE: Final = re.compile(r"^---[ \t]*\r?$", re.MULTILINE)


def read(folder: Path) -> dict[str, Any]:
    """The YAML of the card of a release; {} where the card has none. Raises `CorruptRelease`."""
    path = folder / CARD
    try:
        if not manifest.is_inside(folder, CARD):
            raise _refused(path, "a symbolic link", "a file of the release")
        if path.stat().st_size > MAX_BYTES:
            raise _refused(path, f"{path.stat().st_size:,} bytes", f"at most {MAX_BYTES:,}")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(path, str(error), "a card in UTF-8") from error
    fences = list(_FENCE.finditer(text))
    if len(fences) < 2 or fences[0].start():
        return {}
    block = text[fences[0].end() : fences[1].start()]
    try:
        _check_tokens(path, block)
        content = yaml.safe_load(block)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _refused(path, str(error) or type(error).__name__, "valid YAML at its head") from error
    if not isinstance(content, dict):
        raise _refused(path, f"YAML of a {type(content).__name__}", "a mapping")
    return content


def _check_tokens(path: Path, block: str) -> None:
    """Raise `CorruptRelease` for tags, references and deep nesting, before anything is built from them."""
    depth = 0
    for token in yaml.scan(block, Loader=yaml.SafeLoader):
        line = token.start_mark.line + 2
        if isinstance(token, (yaml.AliasToken, yaml.AnchorToken, yaml.TagToken)):
            kind = type(token).__name__.removesuffix("Token").lower()
            raise _refused(path, f"a YAML {kind} in line {line}", "plain data without references")
        depth += isinstance(token, _OPEN) - isinstance(token, _CLOSE)
        if depth > MAX_DEPTH:
            raise _refused(path, f"nesting in line {line}", f"at most {MAX_DEPTH} levels")


def configs(folder: Path) -> dict[str, list[str]]:
    """The configs that the card of `folder` declares, each with the patterns of its files.

    Raises `CorruptRelease` for a card that is not of that form, or a pattern that leaves the folder.
    """
    patterns_of: dict[str, list[str]] = {}
    declared = read(folder).get("configs") or []
    try:
        for config in declared:
            parts = config["data_files"]
            parts = [{"path": parts}] if isinstance(parts, str) else parts
            patterns = [
                pattern
                for part in parts
                for pattern in ([part["path"]] if isinstance(part["path"], str) else part["path"])
            ]
            patterns_of[str(config["config_name"])] = [str(pattern) for pattern in patterns]
    except (TypeError, KeyError, AttributeError) as error:
        raise _refused(
            folder / CARD, f"configs of another form ({error})", "config_name and data_files of each"
        ) from error
    for pattern in (pattern for patterns in patterns_of.values() for pattern in patterns):
        if pattern.startswith(("/", "~")) or ".." in pattern.split("/") or ":" in pattern or "\\" in pattern:
            raise _refused(folder / CARD, f"data_files {pattern!r:.80}", "files inside the release")
    return patterns_of


def check(folder: Path, listed: manifest.Manifest, config: str, subsets: tuple[str, ...]) -> None:
    """Raise `CorruptRelease` unless the card gives `config` exactly the shards that the manifest lists."""
    declared = configs(folder)
    if config not in declared:
        raise _refused(folder / CARD, f"configs {', '.join(declared) or 'none'}", f"a config {config!r}")
    expected = {file.path for file in listed.files if file.subset in subsets}
    matched = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if any(fnmatchcase(path.relative_to(folder).as_posix(), p) for p in declared[config])
    }
    if matched != expected:
        odd = sorted(matched ^ expected)[0]
        raise _refused(
            folder / CARD,
            f"{odd} {'in' if odd in matched else 'missing from'} the config {config!r}",
            "the shards that the manifest lists",
        )


def _refused(path: Path, found: str, expected: str) -> CorruptRelease:
    return CorruptRelease(
        f"the card {path} cannot be trusted",
        found=found[:200],
        expected=expected,
        hint=f"covid-synth verify {path.parent} says what differs; fetch the release again",
    )
