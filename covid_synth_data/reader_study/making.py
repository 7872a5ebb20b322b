"""Make a study: draw films, convert them to one size and encoding, pair them, and write a page and a key."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from covid_synth_data._version import __version__
from covid_synth_data.errors import ConfigError, LeakError
from covid_synth_data.files import atomic, templates
from covid_synth_data.reader_study import films
from covid_synth_data.reader_study.study import Key, KeyPair, Side

if TYPE_CHECKING:
    from covid_synth_data.files.pixels import Grey

Progress = Callable[[int, int], None]

MAX_BYTES: Final = 300_000_000
"""Of all films in a page; browsers open much larger files slowly or not at all."""
SMALLEST: Final = 32


@dataclass(frozen=True)
class Shown:
    """A film as the page shows it: the bytes of a PNG."""

    name: str
    png: bytes


def make(
    real: Sequence[str],
    synthetic: str,
    out: str | Path,
    *,
    pairs: int = 25,
    seed: int = 0,
    size: int | None = None,
    label: str = "covid-19",
    part: str = "test",
    root: str | Path | None = None,
    release: str | Path | None = None,
    version: str | None = None,
    title: str = "Which film is real?",
    progress: Progress | None = None,
) -> tuple[Path, Path]:
    """Write the page `out` and the key beside it, `out` with the suffix .key.json; returns both paths.

    `real` names folders of images, tasks (whose films of class `label` in `part` are taken) or "phantom";
    `synthetic` a config of a release, or a folder of images. All films are shown at `size` x `size` pixels
    (None: the smallest synthetic film drawn), never enlarged, as PNG files of equal length. The same
    arguments and films give the same files.

    Raises `ConfigError` where there are too few films, a size that would enlarge, or an `out` within a
    repository; `LeakError` where a film is on both sides; and the errors of what is loaded.
    """
    out = Path(out)
    if pairs < 1 or seed < 0 or not real:
        raise ConfigError(
            "no such study",
            found=f"{pairs} pairs, seed {seed}, real {list(real)}",
            expected="a pair or more, a seed from 0 on, real films",
        )
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{out} is no name of a page", expected="a name that ends in .html")
    if list(real) != [films.PHANTOM]:
        _refuse_repository(out)
    candidates = {film.name: film for what in real for film in films.real_films(what, root, part, label)}
    made = films.synthetic_films(synthetic, release, version, label)
    tick = progress or (lambda done, total: None)
    fakes = _drawn(made, pairs, np.random.default_rng([seed, 1]), 1, f"synthetic films in {synthetic}")
    side = _side([film for _, film in fakes], size)
    reals = _drawn(
        list(candidates.values()),
        pairs,
        np.random.default_rng([seed, 0]),
        side,
        f"real films of {side} pixels or more in {', '.join(real)}",
    )
    shown = _encoded([*reals, *fakes], side, tick)
    page, key = _compose(shown[:pairs], shown[pairs:], seed, title, side, list(real), synthetic)
    atomic.write_text(out, page)
    key_path = out.with_suffix(".key.json")
    atomic.write_text(key_path, key.model_dump_json(indent=1) + "\n")
    return out, key_path


def _refuse_repository(out: Path) -> None:
    """Real films under other people's licences must not slip into a commit."""
    for folder in out.absolute().resolve().parents:
        if (folder / ".git").exists():
            raise ConfigError(
                "a page with real films does not belong in a repository",
                found=f"{out} in {folder}",
                expected="a path outside of every repository",
                hint="choose another -o",
            )


def _drawn(
    candidates: Sequence[films.Film], count: int, rng: np.random.Generator, least: int, what: str
) -> list[tuple[str, Grey]]:
    """`count` different films of at least `least` pixels a side, from `rng`. Raises `ConfigError`."""
    taken: list[tuple[str, Grey]] = []
    for name, grey in _different(films.in_order(candidates, rng)):
        if min(grey.shape) >= least:
            taken.append((name, grey))
        if len(taken) == count:
            return taken
    raise ConfigError(
        f"too few {what}",
        found=f"{len(taken)} different ones",
        expected=f"{count}, one for each pair",
        hint="ask for fewer pairs, a smaller size, another part, or give more films",
    )


def _different(chosen: Sequence[films.Film]) -> Iterator[tuple[str, Grey]]:
    """Names and pixels of `chosen`, copies of a film that came before left out."""
    from covid_synth_data.files.pixels import load_grey

    seen = set()
    for film in chosen:
        grey = load_grey(film.file(), name=film.name)
        digest = hashlib.sha256(repr(grey.shape).encode() + grey.tobytes()).digest()
        if digest not in seen:
            seen.add(digest)
            yield film.name, grey


def _side(fakes: Sequence[Grey], size: int | None) -> int:
    """The side of all films in the page. Enlarged films would be known by their blur."""
    smallest = min(min(grey.shape) for grey in fakes)
    if size is not None and not SMALLEST <= size <= smallest:
        raise ConfigError(
            "no such size",
            found=str(size),
            expected=f"{SMALLEST} to {smallest}, the smallest synthetic one",
            hint="leave --size out",
        )
    if smallest < SMALLEST:
        raise ConfigError(
            "the synthetic films are too small to be read",
            found=f"{smallest} pixels",
            expected=f"{SMALLEST} or more",
        )
    side = size or smallest
    if len(fakes) * 2 * side**2 > MAX_BYTES:
        raise ConfigError(
            "the page would be too large to be opened",
            found=f"{2 * len(fakes)} films of {side} pixels",
            expected=f"at most {MAX_BYTES // 10**6} MB",
            hint="give a smaller --size or fewer --pairs",
        )
    return side


def _encoded(drawn: Sequence[tuple[str, Grey]], side: int, tick: Progress) -> list[Shown]:
    """PNG files without compression, all of one length, so that file size and format reveal nothing."""
    from PIL import Image

    from covid_synth_data.files.pixels import resize

    shown: list[Shown] = []
    for name, grey in drawn:
        file = io.BytesIO()
        Image.fromarray(resize(grey, side)).save(file, "PNG", compress_level=0)
        shown.append(Shown(name, file.getvalue()))
        tick(len(shown), len(drawn))
    return shown


def _compose(
    reals: Sequence[Shown],
    fakes: Sequence[Shown],
    seed: int,
    title: str,
    size: int,
    real: list[str],
    synthetic: str,
) -> tuple[str, Key]:
    """The page and its key. Which side is real depends on the seed and on the films, so that a reader of
    one study with seed 0 knows nothing of another; each side is a throw of a coin, as the binomial test has
    it."""
    content = hashlib.sha256(b"".join(hashlib.sha256(film.png).digest() for film in [*reals, *fakes]))
    rng = np.random.default_rng([seed, *content.digest()])
    pairs: list[KeyPair] = []
    cells: list[dict[str, str]] = []
    digest = hashlib.sha256()
    for genuine, fake in zip(reals, fakes, strict=True):
        if genuine.png == fake.png:
            raise LeakError(
                "a film is real and synthetic at once",
                found=f"{genuine.name} = {fake.name}",
                expected="two different sets of films",
                hint="look at --real and --synthetic",
            )
        side: Side = "left" if rng.integers(2) else "right"
        left, right = (genuine, fake) if side == "left" else (fake, genuine)
        both = hashlib.sha256(left.png + right.png)
        digest.update(both.digest())
        name = both.hexdigest()[:12]
        pairs.append(KeyPair(id=name, real=side, real_film=genuine.name, synthetic_film=fake.name))
        cells.append({"id": name, "left": _data_url(left.png), "right": _data_url(right.png)})
    if {film.png for film in reals} & {film.png for film in fakes}:
        raise LeakError(
            "a film is real and synthetic at once",
            expected="two different sets of films",
            hint="look at --real and --synthetic",
        )
    study = digest.hexdigest()
    key = Key(
        study=study,
        title=title,
        seed=seed,
        size=size,
        real=real,
        synthetic=synthetic,
        package=__version__,
        pairs=pairs,
    )
    return _page(key, cells), key


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _page(key: Key, pairs: list[dict[str, str]]) -> str:
    """The page. It contains neither the sides nor the names of the key."""
    return templates.page("covid_synth_data.reader_study").render(
        title=key.title,
        study=key.study,
        size=key.size,
        version=key.package,
        pairs=pairs,
        phantoms=key.real == [films.PHANTOM],
    )
