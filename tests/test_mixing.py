"""mixing: the asked composition exactly, every real row, no row twice, no pixel copied."""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from covid_synth_data import extend, find_leaks, mix, mixing, replace, schema, skew
from covid_synth_data.errors import ConfigError, ImpossibleMix, UnknownName
from tests.mixtures import ids, rows

COUNTS = st.integers(0, 40)


QUICK = settings(max_examples=30, deadline=None)


def best(negatives: int, positives: int, more: tuple[int, int], asked: float) -> float:
    """The smallest distance from the asked skew when rows of one class are added, by trying all."""
    options = [(negatives, positives + k) for k in range(more[1] + 1)]
    options += [(negatives + k, positives) for k in range(more[0] + 1)]
    return min(abs((n / p if p else math.inf) - asked) for n, p in options)


@QUICK
@given(COUNTS, COUNTS, COUNTS, COUNTS, st.floats(0.05, 20))
@example(1, 1, 5, 5, 1.6)  # one negative more is nearer than none
@example(10, 0, 0, 5, 20.0)
@example(0, 10, 5, 0, 0.2)
def test_skew_is_met_to_the_nearest_image(
    negatives: int, positives: int, more_negatives: int, more_positives: int, asked: float
) -> None:
    if not negatives + positives:
        return
    real, synthetic = rows("real", negatives, positives), rows("synthetic", more_negatives, more_positives)
    unlimited = best(negatives, positives, (1000, 1000), asked)
    limited = best(negatives, positives, (more_negatives, more_positives), asked)
    if limited > unlimited:
        with pytest.raises(ImpossibleMix):
            mix(real, synthetic, skew=asked)
        return
    mixed = mix(real, synthetic, skew=asked)
    assert abs(skew(mixed) - asked) == pytest.approx(unlimited)
    assert sorted(ids(mixed, "real")) == sorted(ids(real))
    assert max(Counter(ids(mixed)).values()) == 1
    assert set(ids(mixed, "synthetic")) <= set(ids(synthetic))


@QUICK
@given(COUNTS, COUNTS, COUNTS, COUNTS, st.sampled_from([1e-6, 1e6]))
def test_impossible_mix_says_what_is_reachable_and_that_is_true(
    negatives: int, positives: int, more_negatives: int, more_positives: int, asked: float
) -> None:
    real, synthetic = rows("real", negatives, positives), rows("synthetic", more_negatives, more_positives)
    text = refusal(real, synthetic, asked)
    limits = re.search(r"a skew from (\S+) to (\S+?)[.;] ", text)
    if limits is None:
        assert not text or "both classes" in text or not negatives + positives
        return
    low, high = float(limits[1]), float(limits[2])
    assert low <= high * 1.0001
    for end in (low, high):
        assert skew(mix(real, synthetic, skew=end)) == pytest.approx(end, rel=1e-3)


def refusal(real: datasets.Dataset, synthetic: datasets.Dataset, asked: float) -> str:
    """What `mix` says when it refuses; "" when it does not."""
    try:
        mix(real, synthetic, skew=asked)
    except ImpossibleMix as error:
        return str(error)
    return ""


def test_ends_of_a_long_range() -> None:
    real, synthetic = rows("real", 2148, 18), rows("synthetic", 0, 2129)
    with pytest.raises(
        ImpossibleMix, match=r"^a skew of 0\.5 needs 4,278 synthetic covid-19 rows; found 2,129"
    ):
        mix(real, synthetic, skew=0.5)
    with pytest.raises(ImpossibleMix) as caught:
        mix(real, synthetic, skew=0.5)
    low, high = re.findall(r"[0-9.]*[0-9]", str(caught.value).split("a skew from ")[1])[:2]
    assert len(mix(real, synthetic, skew=float(low))) == len(real) + len(synthetic)
    assert len(mix(real, synthetic, skew=float(high))) == len(real)


def test_zunair2021_compositions() -> None:
    real = rows("real", 16_537 // 10, 18)
    assert skew(mix(real, rows("synthetic", 0, 1700))) == 1.0
    assert skew(real) == pytest.approx(91.8, abs=0.1)
    assert skew(rows("real", 3, 0)) == math.inf
    with pytest.raises(ImpossibleMix, match="skew of no rows"):
        skew(rows("real", 0, 0))


def test_same_seed_same_rows() -> None:
    real, synthetic = rows("real", 30, 5), rows("synthetic", 10, 40)
    for run in (mix, replace, extend):
        first, again, other = (run(real, synthetic, seed=seed) for seed in (3, 3, 4))
        assert ids(first) == ids(again)
        assert ids(first) != ids(other)
        assert set(ids(first, "synthetic")) != set(ids(other, "synthetic"))
    order = ids(mix(real, synthetic))
    assert order != sorted(order, key=lambda name: name.startswith("synthetic"))


def test_images_are_those_of_the_inputs_and_no_arrow_data_is_made() -> None:
    real, synthetic = rows("real", 30, 5), rows("synthetic", 10, 40)
    mixed = mix(real, synthetic)
    raw = [part.cast_column("image", datasets.Image(decode=False)) for part in (real, synthetic, mixed)]
    cells = {row["image_id"]: row["image"]["bytes"] for part in raw[:2] for row in part}
    assert all(row["image"]["bytes"] == cells[row["image_id"]] for row in raw[2])
    addresses = {
        buffer.address
        for part in (real, synthetic)
        for chunk in part.data.column("image").chunks
        for buffer in chunk.field("bytes").buffers()
        if buffer is not None
    }
    for chunk in mixed.data.column("image").chunks:
        assert chunk.field("bytes").buffers()[-1].address in addresses
    assert mixed[0]["image"].size == (2, 2)


def test_columns_are_those_of_both_with_nulls() -> None:
    mixed = mix(rows("real", 4, 1), rows("synthetic", 2, 6))
    assert set(mixed.column_names) == set(schema.REAL_COLUMNS) | set(schema.SYNTHETIC_COLUMNS)
    assert mixed.features["label"].names == list(schema.LABELS)
    for row in mixed.select_columns(["image_id", "patient_id", "view", "generator", "seed"]):
        synthetic = row["image_id"].startswith("synthetic")
        assert (row["patient_id"] is None) == (row["view"] is None) == synthetic
        assert (row["generator"] is None) == (row["seed"] is None) == (not synthetic)


def test_synthetic_count_and_fraction() -> None:
    real, synthetic = rows("real", 30, 10), rows("synthetic", 10, 40)
    for count in (0, 1, 50, np.int64(7)):
        assert len(ids(mix(real, synthetic, synthetic_count=count), "synthetic")) == count
    for fraction in (0, 0.2, 0.5):
        mixed = mix(real, synthetic, synthetic_fraction=fraction)
        assert len(ids(mixed, "synthetic")) / len(mixed) == pytest.approx(fraction, abs=0.5 / len(mixed))
    both = [mix(real, synthetic, synthetic_count=30, seed=seed)["label"][:] for seed in range(2)]
    assert all(labels.count(0) > 30 and labels.count(2) > 10 for labels in both)
    with pytest.raises(
        ImpossibleMix, match="synthetic_count needs 51 synthetic rows; found 50 .* at most 50"
    ):
        mix(real, synthetic, synthetic_count=51)
    with pytest.raises(ImpossibleMix, match=r"synthetic_fraction 0\.9 needs 360"):
        mix(real, synthetic, synthetic_fraction=0.9)


@pytest.mark.parametrize(
    "numbers",
    [
        {"skew": 1.0, "synthetic_count": 3},
        {"skew": 1.0, "synthetic_fraction": 0.1},
        {"synthetic_count": 3, "synthetic_fraction": 0.1},
    ],
)
def test_one_number_governs(numbers: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="governed by one number.*expected one of them"):
        mix(rows("real", 3, 1), rows("synthetic", 0, 5), **numbers)


def test_several_synthetic_sets_are_one_pool() -> None:
    real = rows("real", 30, 5)
    other = rows("synthetic", 0, 20).map(lambda row: {"image_id": "other-" + row["image_id"]}, desc=None)
    mixed = mix(real, [rows("synthetic", 0, 10), other])
    assert skew(mixed) == 1.0
    assert ids(mixed, "other")
    assert ids(mixed, "synthetic")
    with pytest.raises(ConfigError, match="nothing to mix in"):
        mix(real, [])


@QUICK
@given(COUNTS, COUNTS, st.floats(0, 1), st.integers(0, 5))
def test_replace_keeps_the_size(negatives: int, positives: int, fraction: float, seed: int) -> None:
    real, synthetic = rows("real", negatives, positives), rows("synthetic", 3, 40)
    result = replace(real, synthetic, fraction, seed)
    assert len(result) == len(real)
    assert len(ids(result, "synthetic")) == round(fraction * positives)
    assert Counter(result["label"][:]) == Counter(real["label"][:])
    assert len(set(ids(result))) == len(result)


@QUICK
@given(COUNTS, COUNTS, st.floats(0, 2.5), st.integers(0, 5))
def test_extend_adds_a_share(negatives: int, positives: int, fraction: float, seed: int) -> None:
    real, synthetic = rows("real", negatives, positives), rows("synthetic", 120, 80)
    result = extend(real, synthetic, fraction, seed)
    assert sorted(ids(result, "real")) == sorted(ids(real))
    assert len(ids(result, "synthetic")) == round(fraction * len(real))
    assert len(set(ids(result))) == len(result)


def test_too_few_to_replace_or_extend() -> None:
    real, synthetic = rows("real", 10, 20), rows("synthetic", 30, 5)
    with pytest.raises(ImpossibleMix, match="needs 10 synthetic rows; found 5 of the right class"):
        replace(real, synthetic, 0.5)
    with pytest.raises(ImpossibleMix, match="needs 36 synthetic rows; found 35"):
        extend(real, synthetic, 1.2)


BAD_NUMBERS = [-1, -0.5, math.nan, math.inf, -math.inf, True, False, "1", None]


@pytest.mark.parametrize("bad", BAD_NUMBERS, ids=str)
@pytest.mark.parametrize(
    "argument", ["skew", "synthetic_count", "synthetic_fraction", "replace", "extend", "stream"]
)
def test_numbers_that_are_none(argument: str, bad: Any) -> None:
    real, synthetic = rows("real", 10, 2), rows("synthetic", 0, 12)
    if bad is None and argument.startswith(("s", "m")) and argument != "stream":
        assert skew(mix(real, synthetic, **{argument: bad})) == 1.0
        return
    streams = [part.to_iterable_dataset() for part in (real, synthetic)]
    run = {
        "replace": lambda: replace(real, synthetic, bad),
        "extend": lambda: extend(real, synthetic, bad),
        "stream": lambda: mixing.stream(*streams, bad),
    }.get(argument, lambda: mix(real, synthetic, **{argument: bad}))
    with pytest.raises(ImpossibleMix) as caught:
        run()
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "bad"),
    [("skew", 0), ("synthetic_count", 1.5), ("synthetic_fraction", 1.0), ("replace", 1.01)],
)
def test_numbers_out_of_range(argument: str, bad: float) -> None:
    real, synthetic = rows("real", 10, 2), rows("synthetic", 0, 12)
    with pytest.raises(ImpossibleMix):
        _ = (
            replace(real, synthetic, bad)
            if argument == "replace"
            else mix(real, synthetic, **{argument: bad})
        )


@pytest.mark.parametrize("seed", [-1, 1.5, True, None, "0"])
def test_seeds_that_are_none(seed: Any) -> None:
    real, synthetic = rows("real", 10, 2), rows("synthetic", 0, 12)
    for run in (mix, replace, extend):
        with pytest.raises(ConfigError, match="no such seed"):
            run(real, synthetic, seed=seed)


def test_without_rows_of_a_class() -> None:
    with pytest.raises(ImpossibleMix, match="both classes"):
        mix(rows("real", 5, 0), rows("synthetic", 5, 0))
    with pytest.raises(ImpossibleMix, match="no real rows"):
        mix(rows("real", 0, 0), rows("synthetic", 5, 5))
    assert skew(mix(rows("real", 5, 0), rows("synthetic", 0, 9))) == 1.0


def test_wrong_inputs() -> None:
    real, synthetic = rows("real", 5, 2), rows("synthetic", 0, 9)
    bare = real.remove_columns("label")
    codes = real.cast_column("label", datasets.Value("int64"))
    unlabelled = datasets.Dataset.from_dict(
        {"image_id": ["a", "b"], "label": [0, None]}, features=schema.features(("image_id", "label"))
    )
    streams = [real.to_iterable_dataset(), real.remove_columns("label").to_iterable_dataset()]
    for wrong, says in (
        (bare, "without a label column of named classes"),
        (codes, "without a label column of named classes"),
        ([1, 2], "no Dataset with rows and columns; found list"),
        (datasets.DatasetDict(train=real), "several splits where one is expected"),
    ):
        for run in (mix, replace, extend):
            with pytest.raises(ConfigError, match=says):
                run(wrong, synthetic)
    with pytest.raises(ConfigError, match="without a label column"):
        mix(real, synthetic.remove_columns("label"))
    with pytest.raises(ConfigError, match="rows without a label; found 1 of 2"):
        skew(unlabelled)
    for stream in streams:
        for pair in ((stream, synthetic), (real, stream)):
            with pytest.raises(ConfigError, match="stream cannot be mixed.*Next: .*mixing.stream"):
                mix(*pair)
    with pytest.raises(UnknownName, match="did you mean 'covid-19'"):
        mix(real, synthetic, positive="covid19")
    numbered = synthetic.remove_columns("image_id").rename_column("seed", "image_id")
    with pytest.raises(ConfigError, match="columns do not fit") as caught:
        mix(real, numbered)
    assert "\n" not in str(caught.value)


def noise(count: int) -> datasets.Dataset:
    """Rows that were made from no film, as the generators from noise leave them."""
    lineage = ("source_dataset", "source_id", "source_class")
    cells = rows("synthetic", 0, count).cast_column("image", datasets.Image(decode=False)).to_dict()
    cells |= {name: [None] * count for name in lineage}
    return datasets.Dataset.from_dict(cells, features=schema.features(schema.SYNTHETIC_COLUMNS))


def test_rows_without_a_source_film_mix_like_others() -> None:
    real, synthetic = rows("real", 20, 4), noise(30)
    made = rows("synthetic", 0, 30)
    for run in (mix, replace, extend):
        mixed = run(real, synthetic, seed=1)
        assert ids(mixed) == ids(run(real, made, seed=1))
        known = zip(mixed["image_id"], mixed["source_id"], mixed["patient_id"], strict=True)
        assert all(
            (film is None) == (patient is None) == name.startswith("s") for name, film, patient in known
        )
    streamed = mixing.stream(real.to_iterable_dataset(), synthetic.to_iterable_dataset(), 0.5, seed=1)
    assert {row["source_id"] is None for row in streamed} == {True, False}
    assert len(mix(real, [synthetic.select(range(5)), made.select(range(5, 30))], synthetic_count=30)) == 54


def test_a_set_that_states_no_mode_is_mixed_as_grey() -> None:
    """As other loaders give released images: `Image()`, whose WebP decodes as RGB."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((2, 2), 90, np.uint8)).save(buffer, "WEBP", quality=90)
    real, synthetic = rows("real", 6, 2), rows("synthetic", 0, 4).remove_columns("image")
    cells = [{"bytes": buffer.getvalue(), "path": None}] * 4
    synthetic = synthetic.add_column("image", cells, feature=datasets.Image())
    assert synthetic[0]["image"].mode == "RGB"
    for mixed in (mix(real, synthetic), mix(synthetic, real, synthetic_count=2), extend(real, synthetic)):
        assert mixed.features["image"] == datasets.Image(mode="L")
        assert {image.mode for image in mixed["image"]} == {"L"}
    streams = real.to_iterable_dataset(), synthetic.to_iterable_dataset()
    assert {row["image"].mode for row in mixing.stream(*streams, 0.5, seed=1)} == {"L"}


def test_rows_without_a_source_film_leak_nothing_but_themselves() -> None:
    """Null is not a film: two such rows do not come from the same one."""
    here, there = noise(30).select(range(10)), noise(30).select(range(10, 20))
    assert not find_leaks(
        {"train": mix(rows("real", 20, 4).select(range(4)), here, synthetic_count=10), "test": there},
        pixels=False,
    )
    found = find_leaks({"train": here, "test": noise(30).select([9, 10])}, pixels=False).found
    assert found == {("train", "test"): {"rows": ["synthetic/9"]}}
