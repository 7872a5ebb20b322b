"""Generated damage to release folders, and what has to become of each: its rows, what differs, or one line.

A forger makes the manifest agree with a changed file; a disk does not. Where the manifest disagrees, rows
that differ from those of the release must never be given.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from hypothesis import strategies as st
from PIL import Image

import covid_synth_data as csd
from covid_synth_data import schema
from covid_synth_data.errors import CovidSynthError
from covid_synth_data.release import batches
from tests.generated.inputs import LINE, REASON, USED, damaged, one_line
from tests.hub.releases import NAME, build

SHARD, CARD, LIST = "cyclegan/gnc-00000-of-00003.parquet", "README.md", "manifest.json"
FILES: Final = (SHARD, CARD, "weights/gnc.json", "weights/gnc.safetensors", "weights/recipe.toml")

_VALUES: Final = st.sampled_from(
    [
        *(None, True, 0, 1, -1, 2**70, 1.5, float("nan")),
        *("", "x", "..", "/etc/passwd", "a\0b", "\x1b[31m", "1.0.0", "gnc", "image", "\ud800", "*", "~"),
        *([], {}, [[]], {"": None}, ["x"] * 40, {"gnc": {}}, "x" * 5_000),
    ]
)
"""What stands in place of a value of a manifest, a card or a recipe."""


class Change(NamedTuple):
    """One thing done to a release: a file, what is done to it, and whether the manifest is made to agree."""

    file: str
    how: str
    content: bytes
    agrees: bool


@st.composite
def edited(draw: st.DrawFn, tree: Any) -> Any:
    """A copy of plain data in which one value, at any depth, is replaced, removed, repeated or renamed."""
    tree = json.loads(json.dumps(tree))
    here = tree
    while True:
        keys: list[Any] = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return draw(_VALUES)
        key = draw(st.sampled_from(keys))
        below = here[key]
        if isinstance(below, (dict, list)) and below and draw(st.integers(0, 3)):
            here = below
            continue
        how = draw(st.sampled_from(["replace", "replace", "remove", "more"]))
        if how == "remove":
            del here[key]
        elif how == "more" and isinstance(here, list):
            here.append(below)
        elif how == "more":
            here[draw(st.sampled_from(["", "x", "format", "path"]))] = below
        else:
            here[key] = draw(_VALUES)
        return tree


@st.composite
def _tables(draw: st.DrawFn, content: bytes) -> bytes:
    """The parquet file of a shard with other columns, types, rows or pictures."""
    table = pq.read_table(io.BytesIO(content))
    how = draw(st.sampled_from(["column", "type", "rows", "cut", "pictures", "metadata", "nulls"]))
    name = draw(st.sampled_from(table.column_names))
    at = table.column_names.index(name)
    if how == "column":
        table = table.drop_columns([name])
    elif how == "type":
        table = table.set_column(
            at, name, pa.array(draw(st.sampled_from([[1.5], [b"x"], [True]])) * len(table))
        )
    elif how == "rows":
        table = pa.concat_tables([table, table.slice(0, draw(st.integers(0, len(table))))])
    elif how == "cut":
        table = table.slice(0, draw(st.integers(0, len(table))))
    elif how == "pictures":
        cells = [{"bytes": draw(damaged(c["bytes"])), "path": c["path"]} for c in table["image"].to_pylist()]
        at = table.column_names.index("image")
        table = table.set_column(at, "image", pa.array(cells, table.schema.field("image").type))
    elif how == "metadata":
        said = draw(st.sampled_from([b"", b"{", b"[]", b'{"info": {"features": 3}}', b'{"info": null}']))
        table = table.replace_schema_metadata({b"huggingface": said})
    else:
        table = table.set_column(at, name, pa.nulls(len(table), table.schema.field(name).type))
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


@st.composite
def _card(draw: st.DrawFn, text: str) -> str:
    _, head, rest = text.split("---\n", 2)
    made = yaml.safe_dump(draw(edited(yaml.safe_load(head))), allow_unicode=True)
    odd = draw(st.sampled_from(["", "", "", "x: &a [1]\ny: *a\n", "- 1\n", "\t", "z: !!python/none\n", "{{"]))
    return f"---\n{made}{odd}---\n{rest}"


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    """One or two changes to a release: faults seldom come alone. Some cards promise no columns."""
    sound = _sound()
    found = [promise_nothing()] if draw(st.integers(0, 2)) == 0 else []
    for _ in range(draw(st.integers(1, 2))):
        file = draw(st.sampled_from([LIST, LIST, *FILES, SHARD]))
        content = sound[file]
        how = draw(
            st.sampled_from(["bytes", "bytes", "edit", "edit", "edit", "gone", "folder", "link", "more"])
        )
        if how == "bytes":
            content = draw(damaged(content))
        elif how == "edit" and file == SHARD:
            content = draw(_tables(content))
        elif how == "edit" and file == CARD:
            content = draw(_card(content.decode())).encode("utf-8", "surrogatepass")
        elif how == "edit" and file.endswith(".json"):
            content = json.dumps(draw(edited(json.loads(content)))).encode()
        elif how == "edit":
            content = draw(st.binary(max_size=40))
        found.append(Change(file, how, content, draw(st.booleans())))
    return found


@functools.cache
def _sound() -> dict[str, bytes]:
    """The files of the release that is damaged, by their paths. Its card promises columns, as ours do."""
    with tempfile.TemporaryDirectory() as name:
        folder = build(Path(name) / NAME)
        _, head, rest = (folder / CARD).read_text().split("---\n", 2)
        features = schema.features(schema.SYNTHETIC_COLUMNS)._to_yaml_list()
        promised = [{"config_name": "gnc", "features": features}]
        head = yaml.safe_dump(yaml.safe_load(head) | {"dataset_info": promised})
        (folder / CARD).write_text(f"---\n{head}---\n{rest}")
        _agree(folder / LIST, CARD, (folder / CARD).read_bytes())
        assert csd.verify(folder).whole
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def promise_nothing() -> Change:
    """A card that promises no columns: `datasets` takes them from the shards."""
    _, head, rest = _sound()[CARD].decode().split("---\n", 2)
    plain = {key: value for key, value in yaml.safe_load(head).items() if key != "dataset_info"}
    return Change(CARD, "bytes", f"---\n{yaml.safe_dump(plain)}---\n{rest}".encode(), agrees=True)


def with_metadata(said: bytes) -> Change:
    """A shard whose metadata says this of its columns, under a manifest that agrees."""
    table = pq.read_table(io.BytesIO(_sound()[SHARD])).replace_schema_metadata({b"huggingface": said})
    out = io.BytesIO()
    pq.write_table(table, out)
    return Change(SHARD, "edit", out.getvalue(), agrees=True)


def check(example: list[Change], folder: Path) -> str:
    """Every reader of the release gives its rows, says what differs, or refuses it in one line."""
    release = folder / NAME
    shutil.rmtree(release, ignore_errors=True)
    for path, content in _sound().items():
        (release / path).parent.mkdir(parents=True, exist_ok=True)
        (release / path).write_bytes(content)
    for change in example:
        _apply(release, change)
    forged = any(change.agrees or change.file == LIST for change in example)
    with _own_cache(folder):
        verdicts = {read(release, forged) for read in (_verified, _loaded, _compared)}
    return LINE if LINE in verdicts else REASON if REASON in verdicts else USED


def _apply(release: Path, change: Change) -> None:
    path = release / change.file
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if change.how == "folder":
        path.mkdir()
    elif change.how == "link":
        path.symlink_to(release.parent / "elsewhere")
    elif change.how != "gone":
        path.write_bytes(change.content)
    if change.how == "more":
        (path.parent / f"{path.stem}-more{path.suffix}").write_bytes(change.content)
    listed = release / LIST
    if change.agrees and change.file != LIST and path.is_file() and listed.is_file():
        _agree(listed, change.file, path.read_bytes())


def _agree(listed: Path, name: str, content: bytes) -> None:
    """Let the manifest list the file as it is, as far as the manifest can still be read."""
    try:
        said = json.loads(listed.read_bytes())
        entry = next(file for file in said["files"] if file["path"] == name)
        entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        if name == SHARD:
            entry["rows"] = pq.read_metadata(io.BytesIO(content)).num_rows
            said["subsets"]["gnc"]["rows"] = sum(file.get("rows") or 0 for file in said["files"])
    except (OSError, LookupError, ValueError, TypeError, AttributeError, StopIteration, pa.ArrowException):
        return
    listed.write_text(json.dumps(said))


def _verified(release: Path, forged: bool) -> str:
    try:
        report = csd.verify(release)
    except CovidSynthError as error:
        return one_line(error)
    assert all(len(problem.splitlines()) == 1 and problem.isprintable() for problem in report.problems)
    return USED if report.whole else REASON


def _loaded(release: Path, forged: bool) -> str:
    try:
        rows = csd.load_dataset(NAME, "gnc", root=release)
        films = [film for batch, _ in batches.batches(rows) for film in batch]
    except CovidSynthError as error:
        return one_line(error)
    if not forged:
        assert [hashlib.sha256(film.tobytes()).hexdigest() for film in films] == _pixels()
        assert rows["image_id"][:] == [f"gnc-{number:05d}" for number in range(13)]
    return USED


def _compared(release: Path, forged: bool) -> str:
    try:
        csd.diff(release, release)
    except CovidSynthError as error:
        return one_line(error)
    return USED


def _pixels() -> list[str]:
    """The sha256 of the pixels of each film of the sound release."""
    shards = [content for path, content in sorted(_sound().items()) if path.endswith(".parquet")]
    cells = [cell for shard in shards for cell in pq.read_table(io.BytesIO(shard))["image"].to_pylist()]
    films = [np.asarray(Image.open(io.BytesIO(cell["bytes"]))) for cell in cells]
    return [hashlib.sha256(film.tobytes()).hexdigest() for film in films]


@contextlib.contextmanager
def _own_cache(folder: Path) -> Iterator[None]:
    """The cache of `datasets` in a folder that is emptied after each example."""
    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = folder / "cache"
    try:
        yield
    finally:
        datasets.config.HF_DATASETS_CACHE = before
        shutil.rmtree(folder / "cache", ignore_errors=True)
