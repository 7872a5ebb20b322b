"""The credits of a release, `attribution.csv`: one line for each film whose licence asks for attribution."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from covid_synth_data import escaping
from covid_synth_data.errors import CorruptRelease
from covid_synth_data.sources import licences, list_sources, read_source
from generation.releasing import licensing

FILE: Final = "attribution.csv"
PER_IMAGE: Final = "per image"
SHOWN: Final = 40
"""Number of pages that the card lists; the file lists all."""

_PAGE: Final = re.compile(r"^https?://[^\s<>|()\[\]`\"']+$")


@dataclass(frozen=True)
class Credit:
    """A real film that was used, and its author as the source states it.

    `published_at` is the page where the film first appeared, or the home of its collection; `author` is ""
    where the source's metadata names none. `used_as` is "translated", "learned from" or both with " and ".
    """

    image_id: str
    source_dataset: str
    licence: str
    author: str
    published_at: str
    used_as: str


def credits_for(
    translated: Iterable[str],
    trained_on: Iterable[str],
    root: Path | None,
    phantom: dict[str, int] | None = None,
) -> list[Credit]:
    """The credits of the films with these `image_id`s, sorted, where the licence requires a credit.

    Sources that license image by image are read again for the page of each film. A film that the
    user's copy of the source does not have is listed as of unknown licence.
    """
    uses: dict[str, set[str]] = defaultdict(set)
    for kind, names in (("translated", translated), ("learned from", trained_on)):
        for name in names:
            uses[name].add(kind)
    known = {info.name: info for info in list_sources()}
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(uses):
        groups[name.partition("/")[0]].append(name)
    credited = []
    for source, names in groups.items():
        info = known.get(source)
        pages: Mapping[str, Mapping[str, Any]] = {}
        if info is not None and info.licence == PER_IMAGE:
            pages = _pages(source, root)
        for name in names:
            page = pages.get(name, {})
            single = info.licence if info is not None and info.licence != PER_IMAGE else licences.UNKNOWN
            licence = str(page.get("source_license", single))
            if licensing.needs_credit(licence):
                home = info.homepage if info is not None else ""
                link = _text(page.get("url")) or home
                used = " and ".join(sorted(uses[name], reverse=True))
                credited.append(Credit(name, source, licence, _text(page.get("author")), link, used))
    return credited


def _pages(source: str, root: Path | None) -> Mapping[str, Mapping[str, Any]]:
    """The columns of interest of every film of a source, by `image_id`."""
    frame = read_source(source, root)
    columns = [name for name in ("image_id", "source_license", "url", "author") if name in frame.columns]
    cells = zip(*(frame[name] for name in columns), strict=True)
    return {row[0]: dict(zip(columns[1:], row[1:], strict=True)) for row in cells}


def _read_row(row: dict[str, str]) -> dict[str, str]:
    return {key: escaping.csv_read(cell) for key, cell in row.items()}


def _text(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def merged(*lists: Iterable[Credit]) -> list[Credit]:
    """One credit for each film, sorted; the uses of a film that stands in several are joined."""
    by_film: dict[str, Credit] = {}
    for credit in (credit for each in lists for credit in each):
        before = by_film.get(credit.image_id)
        uses = {*(before.used_as.split(" and ") if before else []), *credit.used_as.split(" and ")}
        joined = " and ".join(sorted(uses, reverse=True))
        by_film[credit.image_id] = replace(credit, used_as=joined)
    return [by_film[name] for name in sorted(by_film)]


def to_csv(rows: Iterable[Credit]) -> str:
    """The file, header first; the same bytes for the same rows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Credit))
    writer.writerows(map(escaping.csv, astuple(row)) for row in rows)
    return text.getvalue()


def read(folder: Path) -> list[Credit]:
    """The file of a release; nothing where it has none. Raises `CorruptRelease`."""
    path = folder / FILE
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [Credit(**_read_row(row)) for row in csv.DictReader(file)]
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise CorruptRelease(
            f"{path} cannot be read",
            found=str(error),
            expected="the columns of an attribution file",
            hint="fetch the release again",
        ) from error


@dataclass(frozen=True)
class CreditGroup:
    """The films of one source under one licence: how many, by whom, and on which pages they appeared."""

    source: str
    licence: str
    films: int
    authors: tuple[str, ...]
    pages: tuple[tuple[str, int], ...]
    more: int


def summary(rows: Iterable[Credit], homes: Mapping[str, str]) -> list[CreditGroup]:
    """Credits by source and licence, for the card; `homes` are pages that get no line of their own."""
    groups: dict[tuple[str, str], list[Credit]] = defaultdict(list)
    for row in rows:
        groups[row.source_dataset, row.licence].append(row)
    credit_groups = []
    for (source, licence), films in sorted(groups.items()):
        links = [film.published_at for film in films if film.published_at != homes.get(source)]
        counted = sorted(Counter(link for link in links if _PAGE.match(link)).items())
        authors = sorted({re.sub(r"[^\w .,;'-]", "", film.author) for film in films} - {""})
        credit_groups.append(
            CreditGroup(
                source, licence, len(films), tuple(authors), tuple(counted[:SHOWN]), len(counted[SHOWN:])
            )
        )
    return credit_groups
