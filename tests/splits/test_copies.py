"""copies: films that were cropped, framed, inverted or changed in tone are found again; others are not."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image, ImageOps

from covid_synth_data import find_leaks
from covid_synth_data.errors import LeakError, UnknownName
from covid_synth_data.splits import alignment, copies, crops
from covid_synth_data.splits.duplicates import SAME_FILM, fingerprints, pairs
from covid_synth_data.tasks import check_leaks, near_duplicates, plan_task
from tests.trees import CHESTXRAY, film, write_csv, xray


def cropped(image: Image.Image, share: float, across: float, down: float) -> Image.Image:
    side = image.width
    left, top = (round((1 - share) * side * place) for place in (across, down))
    return image.crop((left, top, left + round(share * side), top + round(share * side)))


CHANGES = {
    "negative": ImageOps.invert,
    "crop of 90 %": lambda image: cropped(image, 0.9, 0.3, 0.8),
    "crop of 80 % at a corner": lambda image: cropped(image, 0.8, 0, 1),
    "crop of 80 % in the middle": lambda image: cropped(image, 0.8, 0.5, 0.5),
    "crop of one side": lambda image: image.crop((0, 0, image.width, round(0.82 * image.height))),
    "black border": lambda image: ImageOps.expand(image, 24, 0),
    "white border": lambda image: ImageOps.expand(image, (40, 0, 10, 6), 255),
    "gamma 0.5": lambda image: image.point(lambda grey: round(255 * (grey / 255) ** 0.5)),
    "gamma 2": lambda image: image.point(lambda grey: round(255 * (grey / 255) ** 2)),
    "negative crop with a border": lambda image: ImageOps.expand(
        ImageOps.invert(cropped(image, 0.85, 1, 0)), 12, 255
    ),
}


def saved(folder: Path, images: list[Image.Image]) -> list[str]:
    paths = [folder / f"{n}.png" for n in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        image.save(path)
    return [str(path) for path in paths]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_films_are_found(tmp_path: Path, change: str) -> None:
    images = [film(key, 192) for key in range(6)]
    images.append(CHANGES[change](images[2]))
    paths = saved(tmp_path, images)
    assert pairs(fingerprints(paths, [None] * 7), SAME_FILM).tolist() == [[2, 6]]


@pytest.mark.parametrize("grey", [0, 90, 255])
def test_films_that_show_nothing_are_left_out_and_join_nobody(tmp_path: Path, grey: int) -> None:
    folder = tmp_path / "covid-chestxray-dataset"
    (folder / "images").mkdir(parents=True)
    write_csv(folder / "metadata.csv", CHESTXRAY, [xray(f"c{n}.png", n) for n in range(14)])
    for n in range(14):
        image = film(n) if n < 12 else Image.new("L", (60, 60), grey)
        image.save(folder / "images" / f"c{n}.png")
    plan = plan_task("normal-vs-covid", tmp_path, sources=["covid-chestxray"])
    left = dict(plan.left_out[["image_id", "reason"]].to_numpy().tolist())
    assert set(left) == {"covid-chestxray/c12", "covid-chestxray/c13"}
    assert set(left.values()) == {"shows nothing: all black, all white or one grey"}


@pytest.mark.parametrize("change", CHANGES)
def test_the_approximate_search_finds_changed_films_too(tmp_path: Path, change: str) -> None:
    pytest.importorskip("faiss")
    images = [film(key, 192) for key in range(6)]
    images.append(CHANGES[change](images[2]))
    prints = fingerprints(saved(tmp_path, images), [None] * 7)
    assert pairs(prints, SAME_FILM, search="approximate").tolist() == [[2, 6]]


def test_the_approximate_search_finds_planted_copies_among_many_and_nothing_else() -> None:
    """Each pair that it reports is one of the exact search, with a likeness that this one reaches."""
    pytest.importorskip("faiss")
    thumbs = thumbs_of(150)
    exact = dict(zip(*listed(copies.search(thumbs)), strict=True))
    found = dict(zip(*listed(copies.search(thumbs, how="approximate")), strict=True))
    planted = {pair for pair, alike in exact.items() if alike >= SAME_FILM}
    assert len(planted) > 50
    assert planted <= {(n, n + 150) for n in range(150)}
    assert planted <= set(found) <= set(exact)
    assert all(found[pair] <= exact[pair] + 1e-5 for pair in found)
    again = dict(zip(*listed(copies.search(thumbs, how="approximate")), strict=True))
    assert again == found


def test_the_approximate_search_of_films_that_show_nothing_and_of_none() -> None:
    pytest.importorskip("faiss")
    for count in (0, 1, 3):
        flat = np.zeros((count, 64, 64), np.uint8)
        assert len(copies.search(flat, how="approximate")[0]) == 0
    thumbs = np.concatenate([np.zeros((2, 64, 64), np.uint8), thumbs_of(6)])
    pairs_of_copies = copies.search(thumbs, how="approximate")[0].tolist()
    assert len(pairs_of_copies) > 1
    assert pairs_of_copies == copies.search(thumbs)[0].tolist()


def listed(found: tuple[np.ndarray, np.ndarray]) -> tuple[list[tuple[int, ...]], list[float]]:
    return [tuple(pair) for pair in found[0].tolist()], found[1].tolist()


def test_borders_are_taken_off_and_flat_films_kept_whole() -> None:
    grey = np.asarray(film(3, 200))
    framed = np.full((256, 256), 7, np.uint8)
    framed[30:230, 20:220] = grey
    assert copies._content(framed) == (30, 230, 20, 220)
    assert copies._content(np.zeros((256, 256), np.uint8)) == (0, 256, 0, 256)


def test_copies_in_two_parts_are_leaks(tmp_path: Path) -> None:
    images = [film(key, 192) for key in range(4)]
    paths = saved(tmp_path, [*images, CHANGES["negative crop with a border"](images[1])])
    rows = {"image": paths, "image_id": [f"a/{n}" for n in range(5)]}
    every = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())
    parts = {"train": every.select([0, 1]), "test": every.select([2, 3, 4])}
    assert find_leaks(parts).summary() == "train and test share 1 films that look the same (e.g. a/1 = a/4)"
    assert not find_leaks(parts, pixels=False)
    assert not find_leaks({"train": every.select([0, 1]), "test": every.select([2, 3])})


def test_an_approximate_leak_check_says_so(tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    images = [film(key, 192) for key in range(4)]
    paths = saved(tmp_path, [*images, CHANGES["crop of 90 %"](images[1])])
    rows = {"image": paths, "image_id": [f"a/{n}" for n in range(5)]}
    every = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())
    parts = {"train": every.select([0, 1]), "test": every.select([2, 3, 4])}
    report = find_leaks(parts, search="approximate")
    assert report.summary().startswith("train and test share 1 films that look the same (e.g. a/1 = a/4); ")
    assert "search for copies: approximate, HNSW graph" in report.summary()
    assert find_leaks(parts).search == "exact"
    with pytest.raises(LeakError, match="search for copies: approximate"):
        check_leaks(parts, search="approximate")
    assert near_duplicates(parts["train"], parts["test"], search="approximate") == [("a/1", "a/4")]
    with pytest.raises(UnknownName, match="unknown search"):
        find_leaks(parts, pixels=False, search="fast")


def thumbs_of(count: int) -> crops.Thumbs:
    """Thumbnails of made films, each beside a crop of it."""
    images = [film(key, 192) for key in range(count)]
    images += [cropped(image, 0.88, 0.4, 0.7) for image in images]
    side = (copies.READ_SIDE, copies.READ_SIDE)
    return np.stack([copies.thumbnail(np.asarray(image.convert("L").resize(side))) for image in images])


def test_the_bound_of_the_leading_numbers_loses_no_candidate() -> None:
    thumbs = thumbs_of(20)
    cropped_film, whole, box = copies._candidates(thumbs, copies.quiet)
    plain = copies._descriptors(crops.cut(thumbs.astype(np.float32), crops.WHOLE, 24))
    best = np.stack(
        [
            np.abs(copies._descriptors(crops.cut(thumbs.astype(np.float32), edges[None], 24)) @ plain.T)
            for edges in copies._BOXES
        ]
    )
    np.fill_diagonal(best.max(axis=0), 0)
    expected = {(a, b) for a, b in np.argwhere(best.max(axis=0) > copies._CANDIDATE) if a != b}
    assert len(expected) >= 10
    assert set(zip(cropped_film.tolist(), whole.tolist(), strict=True)) == expected
    np.testing.assert_array_equal(box, best[:, cropped_film, whole].argmax(axis=0))


def test_likeness_of_a_pair_does_not_depend_on_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    thumbs = thumbs_of(6)
    cropped_film, whole = (np.array(side) for side in zip(*np.ndindex(12, 12), strict=True))
    # Three places to start from, so that some pairs of a film share theirs.
    boxes = (crops.WHOLE + np.array([[0], [0.01], [-0.01]]))[whole % 3].astype(np.float32)
    together = copies.likeness(thumbs, cropped_film, whole, boxes)
    assert (together > 0).sum() >= 12
    monkeypatch.setattr(alignment, "_GOALS", 5)
    monkeypatch.setattr(alignment, "_ALIGNED_AT_ONCE", 7)
    np.testing.assert_allclose(copies.likeness(thumbs, cropped_film, whole, boxes), together, atol=2e-6)
    for row in range(0, 144, 5):
        one = slice(row, row + 1)
        alone = copies.likeness(thumbs, cropped_film[one], whole[one], boxes[one])
        np.testing.assert_allclose(alone, together[one], atol=2e-6)
