"""duplicates: what is the same film, what is not, and the memory of what was read."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covid_synth_data.errors import ConfigError
from covid_synth_data.files.cache import cache_folder
from covid_synth_data.sources.phantom import draw
from covid_synth_data.splits import alignment, copies, duplicates
from covid_synth_data.splits.duplicates import SAME_FILM, Fingerprints, fingerprints, pairs
from tests.trees import film, retouched, save


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("COVID_SYNTH_CACHE", str(folder))
    return folder


def encoded(image: Image.Image, kind: str = "PNG", quality: int = 60) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": quality} if kind == "JPEG" else {}))
    return buffer.getvalue()


def of(contents: list[bytes]) -> Fingerprints:
    return fingerprints([""] * len(contents), list(contents))


def found(contents: list[bytes], threshold: float = SAME_FILM) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a, b in pairs(of(contents), threshold)}


@pytest.mark.parametrize("change", ["", "smaller", "wider", "brighter", "contrast", "colour"])
@pytest.mark.parametrize("label", ["normal", "covid-19"])
def test_a_film_is_found_again_in_another_set(change: str, label: str) -> None:
    original = Image.fromarray(draw(label, 256, 0, 1, 1))
    other = Image.fromarray(draw(label, 256, 0, 2, 1))
    contents = [encoded(original), encoded(other), encoded(retouched(original, change), "JPEG")]
    assert found(contents) == {(0, 2)}


def test_films_of_different_patients_are_not_the_same() -> None:
    assert found([encoded(film(key)) for key in range(60)], copies.FLOOR) == set()


def test_equal_files_need_no_likeness() -> None:
    flat = encoded(Image.new("L", (40, 40), 90))
    other = encoded(Image.new("L", (50, 50), 12))
    assert found([flat, other, flat, flat]) == {(0, 2), (2, 3)}
    assert of([flat, encoded(film(1))]).flat.tolist() == [True, False]


def test_pairs_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_ROWS", 3)
    monkeypatch.setattr(copies, "_COLUMNS", 4)
    monkeypatch.setattr(alignment, "_ALIGNED_AT_ONCE", 2)
    keys = [0, 1, 2, 3, 4, 0, 5, 6, 1, 0]
    found_again = of([encoded(film(key), "PNG" if i < 5 else "JPEG", 90) for i, key in enumerate(keys)])
    every = {(i, j) for i in range(10) for j in range(i + 1, 10) if keys[i] == keys[j]}
    # Of equal files one stands for all, so the groups are what counts.
    groups = duplicates.components(10, pairs(found_again, SAME_FILM))
    assert {(i, j) for i in range(10) for j in range(i + 1, 10) if groups[i] == groups[j]} == every
    with pytest.raises(ConfigError, match=r"threshold 0\.5; expected at least 0\.75"):
        pairs(found_again, 0.5)


def test_no_films() -> None:
    empty = fingerprints([], [])
    assert empty.thumbs.shape == (0, copies.SIDE, copies.SIDE)
    assert not len(empty.flat)
    assert pairs(empty, SAME_FILM).shape == (0, 2)
    assert duplicates.components(0).tolist() == []


def test_components() -> None:
    links = np.array([[0, 3], [3, 5]]), duplicates.equal_pairs(["a", "b", "", "b", "", ""])
    labels = duplicates.components(6, *links)
    groups = [{i for i in range(6) if labels[i] == label} for label in sorted(set(labels.tolist()))]
    assert groups == [{0, 1, 3, 5}, {2}, {4}]


def test_problems_are_told_and_not_raised(tmp_path: Path, cache: Path) -> None:
    good = save(tmp_path / "good.png", 1)
    truncated = tmp_path / "truncated.png"
    truncated.write_bytes(good.read_bytes()[:200])
    text = tmp_path / "text.jpg"
    text.write_text("not an image")
    paths = [str(path) for path in (good, truncated, text, tmp_path / "gone.png", tmp_path)]
    result = fingerprints(paths, [None] * 5)
    assert [bool(problem) for problem in result.problems] == [False, True, True, True, True]
    assert all(path in problem for path, problem in zip(paths[1:], result.problems[1:], strict=True))
    assert not result.thumbs[1:].any()
    assert result.thumbs[0].any()
    assert not result.flat.any()
    assert len(pairs(result, SAME_FILM)) == 0
    # What is mended later must be read again, so problems are not remembered.
    save(truncated, 1)
    assert fingerprints(paths[:2], [None] * 2).problems == ["", ""]
    assert list(cache.iterdir()) == [duplicates._cache_file()]


def counting(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is read from now on."""
    read: list[object] = []
    fingerprint = duplicates._fingerprint

    def spy(file: str | bytes) -> tuple[str, bytes, str]:
        read.append(file)
        return fingerprint(file)

    monkeypatch.setattr(duplicates, "_fingerprint", spy)
    return read


def test_the_cache_is_used_the_second_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(save(tmp_path / f"{key}.png", key)) for key in range(4)]
    read = counting(monkeypatch)
    first = fingerprints(paths[:3], [None] * 3)
    assert read == paths[:3]
    second = fingerprints(paths[::-1], [None] * 4)
    assert read == paths
    assert second.digests[1:] == first.digests[::-1]
    assert np.array_equal(second.thumbs[1:], first.thumbs[::-1])


def test_a_changed_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.bmp", 1)
    before = fingerprints([str(path)], [None])
    status = path.stat()
    save(path, 2)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert path.stat().st_size == status.st_size
    read = counting(monkeypatch)
    after = fingerprints([str(path)], [None])
    assert read == [str(path)]
    assert after.digests != before.digests


def test_contents_are_not_cached(cache: Path) -> None:
    assert of([encoded(film(1))]).problems == [""]
    assert not cache.exists()


def test_a_damaged_cache_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(save(tmp_path / "a.png", 1))
    expected = fingerprints([path], [None])
    for damage in (b"", b"PAR1 nonsense PAR1", duplicates._cache_file().read_bytes()[:-9]):
        duplicates._cache_file().write_bytes(damage)
        assert fingerprints([path], [None]).digests == expected.digests
        read = counting(monkeypatch)
        fingerprints([path], [None])
        assert read == []


def test_an_unwritable_cache_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COVID_SYNTH_CACHE", str(tmp_path / "file" / "cache"))
    path = str(save(tmp_path / "a.png", 1))
    for _ in range(2):
        assert fingerprints([path], [None]).problems == [""]


def test_the_default_cache_is_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COVID_SYNTH_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "covid-synth-data"


def test_warning_filters_survive_the_threads(tmp_path: Path) -> None:
    paths = [str(save(tmp_path / f"{key}.png", key)) for key in range(24)]
    before = list(warnings.filters)
    fingerprints(paths, [None] * len(paths))
    assert list(warnings.filters) == before


def test_comparisons_are_remembered_by_content(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "_REMEMBERED", 4)
    paths = [str(save(tmp_path / f"{n}.png", key)) for n, key in enumerate((0, 1, 2, 1, 3))]
    (tmp_path / "5.png").write_bytes(encoded(film(2).resize((80, 80))))
    paths.append(str(tmp_path / "5.png"))
    expected = {(1, 3), (2, 5)}
    assert found_in(paths) == expected
    (kept,) = cache.glob("copies-*/*")
    searches: list[int] = []
    search = copies.search

    def spy(thumbs, progress=None, *, how="exact"):
        searches.append(len(thumbs))
        return search(thumbs, progress, how=how)

    monkeypatch.setattr(copies, "search", spy)
    assert found_in(paths) == expected
    assert found_in(paths[::-1]) == {(0, 3), (2, 4)}
    assert searches == []
    for damage in (b"", b"PK nonsense", kept.read_bytes()[:-40]):
        kept.write_bytes(damage)
        assert found_in(paths) == expected
    assert searches == [5, 5, 5]
    assert found_in(paths[:4]) == {(1, 3)}  # three different files: too few to be kept
    assert list(cache.glob("copies-*/*")) == [kept]


def test_what_was_found_among_more_films_is_known(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = [retouched(film(key % 9), "brighter" if key > 8 else "") for key in range(14)]
    prints = of([encoded(image, "PNG") for image in films])

    def among(rows: list[int]) -> duplicates.Alike:
        chosen = Fingerprints([prints.digests[row] for row in rows], prints.thumbs[rows], [""] * len(rows))
        return duplicates.compare(chosen)

    fewer = [13, 0, 4, 9, 2, 11, 7]
    alone = among(fewer)
    assert {(int(a), int(b)) for a, b in alone.pairs} == {(0, 2), (1, 3), (4, 5)}
    monkeypatch.setattr(duplicates, "_REMEMBERED", 4)
    among(list(range(14)))
    (kept,) = cache.glob("copies-*/*")
    monkeypatch.setattr(copies, "search", lambda *_, **__: pytest.fail("compared again"))
    known = among(fewer)
    assert np.array_equal(known.pairs, alone.pairs)
    assert known.values == pytest.approx(alone.values, abs=1e-5)
    # A film more, or a damaged file, and there is nothing to know.
    monkeypatch.setattr(
        copies, "search", lambda *_, **__: (np.empty((0, 2), np.int64), np.empty(0, np.float32))
    )
    other = of([encoded(film(90))])
    more = Fingerprints([*prints.digests[:5], *other.digests], prints.thumbs[:6], [""] * 6)
    assert len(duplicates.compare(more).pairs) == 0
    kept.write_bytes(b"PK nonsense")
    assert len(among(fewer).pairs) == 0


def test_an_approximate_comparison_is_remembered_apart_and_of_these_films_alone(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("faiss")
    monkeypatch.setattr(duplicates, "_REMEMBERED", 4)
    prints = of(
        [
            encoded(film(key % 5)) if key < 5 else encoded(retouched(film(key % 5), "brighter"))
            for key in range(10)
        ]
    )
    fewer = Fingerprints(prints.digests[:6], prints.thumbs[:6], [""] * 6)
    approximate = duplicates.compare(prints, search="approximate")
    exact = duplicates.compare(prints)
    assert {tuple(pair) for pair in approximate.pairs.tolist()} == {(n, n + 5) for n in range(5)}
    assert np.array_equal(approximate.pairs, exact.pairs)
    folders = {path.parent.name for path in cache.glob("copies-*/*")}
    assert len(folders) == 2
    assert len({name for name in folders if "approximate" in name}) == 1
    searched: list[str] = []
    search = copies.search

    def spy(thumbs, progress=None, *, how="exact"):
        searched.append(how)
        return search(thumbs, progress, how=how)

    monkeypatch.setattr(copies, "search", spy)
    again = duplicates.compare(prints, search="approximate")
    assert np.array_equal(again.pairs, approximate.pairs)
    assert np.array_equal(again.values, approximate.values)
    assert searched == []
    # An exact comparison of more films knows the fewer; an approximate one would not find the same.
    assert duplicates.compare(fewer).pairs.tolist() == [[0, 5]]
    assert searched == []
    assert duplicates.compare(fewer, search="approximate").pairs.tolist() == [[0, 5]]
    assert searched == ["approximate"]
    # Other settings, other comparisons.
    monkeypatch.setattr(copies, "NEIGHBOURS", 8)
    duplicates.compare(prints, search="approximate")
    assert searched == ["approximate"] * 2


@pytest.mark.parametrize("search", ["exact", "approximate"])
def test_films_of_two_sides_are_compared_with_each_other_alone(search: str) -> None:
    if search == "approximate":
        pytest.importorskip("faiss")
    same = encoded(film(7))
    contents = [encoded(film(0)), encoded(retouched(film(0), "brighter")), encoded(film(1)), same, b"no film"]
    contents += [encoded(film(2)), encoded(retouched(film(1), "smaller")), same, encoded(film(2)), b"no film"]
    prints = of(contents)
    found = duplicates.between(prints, 5, SAME_FILM, search=search)
    assert found.tolist() == [[2, 6], [3, 7]]
    everywhere = duplicates.pairs(prints, SAME_FILM, search=search)
    assert [pair for pair in everywhere.tolist() if pair[0] < 5 <= pair[1]] == found.tolist()
    for first in (0, len(contents)):
        assert len(duplicates.between(prints, first, SAME_FILM, search=search)) == 0


def found_in(paths: list[str]) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a, b in pairs(fingerprints(paths, [None] * len(paths)), SAME_FILM)}
