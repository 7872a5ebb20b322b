"""mixing: the asked composition exactly, every real row, no row twice, no pixel copied."""

from __future__ import annotations

import functools
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
from covid_synth_data.errors import ConfigError, CovidSynthError, ImpossibleMix, UnknownName

COUNTS = st.integers(0, 40)
QUICK = settings(max_examples=30, deadline=None)


@functools.cache
def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((2, 2), number % 256, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@functools.cache
def rows(kind: str, negatives: int, positives: int) -> datasets.Dataset:
    """Real or synthetic rows of tiny images, in the columns of the schema."""
    columns = schema.REAL_COLUMNS if kind == "real" else schema.SYNTHETIC_COLUMNS
    count = negatives + positives
    cells: dict[str, list[Any]] = {name: [f"{name}-{i}" for i in range(count)] for name in columns}
    cells["image"] = [{"bytes": picture(i), "path": None} for i in range(count)]
    cells["label"] = [0] * negatives + [schema.COVID] * positives
    cells["image_id"] = [f"{kind}/{i}" for i in range(count)]
    if "seed" in cells:
        cells["seed"] = list(range(count))
    return datasets.Dataset.from_dict(cells, features=schema.features(columns))


def ids(dataset: datasets.Dataset, kind: str = "") -> list[str]:
    return [name for name in dataset["image_id"] if name.startswith(kind)]


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
    told = re.search(r"a skew from (\S+) to (\S+?)[.;] ", text)
    if told is None:
        assert not text or "both classes" in text or not negatives + positives
        return
    low, high = float(told[1]), float(told[2])
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
    assert mixed._indices is not None
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


def test_a_row_of_two_synthetic_sets_counts_once() -> None:
    """As `gnc` and `cyclegan` share rows: 12 and 8 with 8 in both are 12."""
    real, larger = rows("real", 30, 5), rows("synthetic", 0, 12)
    both = [larger, larger.select(range(8))]
    mixed = mix(real, both, synthetic_count=12)
    assert sorted(ids(mixed, "synthetic")) == sorted(ids(larger))
    with pytest.raises(ImpossibleMix, match="found 12 of the right class"):
        mix(real, both, synthetic_count=13)
    assert sorted(ids(extend(real, both[::-1], 12 / 35), "synthetic")) == sorted(ids(larger))
    other = larger.map(lambda _: {"label": 0}, desc=None)
    with pytest.raises(ConfigError, match="synthetic/0 under two classes"):
        mix(real, [larger, other])


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


def test_rows_without_a_source_film_leak_nothing_but_themselves() -> None:
    """Null is not a film: two such rows do not come from the same one."""
    here, there = noise(30).select(range(10)), noise(30).select(range(10, 20))
    assert not find_leaks(
        {"train": mix(rows("real", 20, 4).select(range(4)), here, synthetic_count=10), "test": there},
        pixels=False,
    )
    found = find_leaks({"train": here, "test": noise(30).select([9, 10])}, pixels=False).found
    assert found == {("train", "test"): {"rows": ["synthetic/9"]}}


def test_other_label_names() -> None:
    features = datasets.Features(
        {"image_id": datasets.Value("string"), "label": datasets.ClassLabel(names=["sick", "well"])}
    )
    real = datasets.Dataset.from_dict({"image_id": list("abcd"), "label": [0, 1, 1, 1]}, features=features)
    synthetic = datasets.Dataset.from_dict({"image_id": list("efgh"), "label": [0] * 4}, features=features)
    assert skew(mix(real, synthetic, positive="sick"), positive="sick") == 1.0
    assert len(replace(real, synthetic, 1.0, positive="sick")) == 4


FOUR = ("normal", "bacterial-pneumonia", "viral-pneumonia", "covid-19")


def real_rows(*counts: int, names: tuple[str, ...] = FOUR) -> datasets.Dataset:
    """So many real rows of each class of `names`."""
    codes = [code for code, count in enumerate(counts) for _ in range(count)]
    part = rows("real", len(codes), 0).remove_columns("label")
    cells = part.cast_column("image", datasets.Image(decode=False)).to_dict() | {"label": codes}
    features = datasets.Features({**part.features, "label": datasets.ClassLabel(names=list(names))})
    return datasets.Dataset.from_dict(cells, features=features)


def tally(dataset: datasets.Dataset, kind: str = "") -> Counter[str]:
    """Rows by the name of their class."""
    names = dataset.features["label"].names
    pairs = zip(dataset["label"], dataset["image_id"], strict=True)
    return Counter(names[code] for code, name in pairs if name.startswith(kind))


@pytest.mark.parametrize("picked", [False, True])
def test_classes_are_matched_by_name(picked: bool) -> None:
    real, synthetic = real_rows(6, 5, 4, 3), rows("synthetic", 7, 40)
    if picked:  # rows of a class of its own stand in the table, but are not picked
        features = datasets.Features(
            {**synthetic.features, "label": datasets.ClassLabel(names=["covid-19", "odd", "normal"])}
        )
        raw = synthetic.cast_column("image", datasets.Image(decode=False)).to_dict()
        raw["label"] = [2] * 7 + [0] * 38 + [1] * 2
        synthetic = datasets.Dataset.from_dict(raw, features=features).select(range(45))
    mixed = mix(real, synthetic, synthetic_count=len(synthetic))
    assert mixed.features["label"].names == list(FOUR)
    expected = {"normal": 7, "covid-19": len(synthetic) - 7}
    assert tally(mixed, "synthetic") == expected
    assert tally(mixed, "real") == dict(zip(FOUR, (6, 5, 4, 3), strict=True))
    mine = synthetic.cast_column("image", datasets.Image(decode=False))
    cells = {row["image_id"]: (row["image"]["bytes"], row["seed"]) for row in mine}
    raw_mixed = mixed.cast_column("image", datasets.Image(decode=False))
    for row in raw_mixed:
        if row["image_id"] in cells:
            assert (row["image"]["bytes"], row["seed"]) == cells[row["image_id"]]
    assert skew(mix(real, synthetic, skew=1.0)) == 1.0
    assert tally(mix(real, synthetic), "synthetic") == {"covid-19": 12}
    assert tally(replace(real, synthetic, 1.0)) == tally(real)
    assert sum(tally(extend(real, synthetic, 1.0), "synthetic").values()) == 18


def test_labels_are_translated_without_copying_images() -> None:
    synthetic = rows("synthetic", 10, 40)
    picked = synthetic.select(range(1, 50, 2))
    mixed = mix(real_rows(6, 5, 4, 3), picked, synthetic_count=25)
    theirs = {
        buffer.address
        for chunk in synthetic.data.column("image").chunks
        for buffer in chunk.field("bytes").buffers()
        if buffer is not None
    }
    shared = [
        chunk.field("bytes").buffers()[-1].address in theirs for chunk in mixed.data.column("image").chunks
    ]
    assert any(shared)
    assert len(mixed.data) == 18 + 50


def test_a_synthetic_class_that_the_task_does_not_have() -> None:
    synthetic = real_rows(0, 3, 2, 9).map(lambda row: {"image_id": "s" + row["image_id"]}, desc=None)
    real = rows("real", 10, 2)
    for run in (mix, replace, extend):
        with pytest.raises(
            ConfigError,
            match="does not have; found bacterial-pneumonia, viral-pneumonia; "
            "expected rows of normal, pneumonia, covid-19",
        ):
            run(real, synthetic)
        with pytest.raises(ConfigError, match="the task does not have"):
            run(real, [rows("synthetic", 0, 5), synthetic])
    only = synthetic.select(range(5, 14))
    assert tally(mix(real, [only, rows("synthetic", 0, 5)], synthetic_count=14), "s") == {"covid-19": 14}


def test_synthetic_rows_without_a_label_stay_without_one() -> None:
    raw = rows("synthetic", 1, 2).cast_column("image", datasets.Image(decode=False)).to_dict()
    unlabelled = datasets.Dataset.from_dict(
        raw | {"label": [0, None, 2]}, features=schema.features(schema.SYNTHETIC_COLUMNS)
    )
    mixed = mix(real_rows(1, 1, 1, 1), unlabelled, synthetic_count=3)
    assert Counter(mixed["label"]) == {0: 2, 1: 1, 2: 1, 3: 2, None: 1}


def test_skew_of_several_classes_counts_all_but_the_positives() -> None:
    real = real_rows(6, 5, 4, 3)
    assert skew(real) == 5.0
    assert skew(real, positive="normal") == 2.0
    two = ("other-finding", "covid-19")
    assert skew(mix(real_rows(9, 3, names=two), rows("synthetic", 0, 10))) == 1.0


def test_counts_bring_each_class_to_its_number() -> None:
    real, synthetic = real_rows(6, 5, 4, 3), rows("synthetic", 30, 40)
    mixed = mix(real, synthetic, counts={"covid-19": 20, "normal": 10})
    assert tally(mixed) == {"normal": 10, "bacterial-pneumonia": 5, "viral-pneumonia": 4, "covid-19": 20}
    assert len(ids(mixed, "real")) == 18
    turned = mix(real, synthetic, counts={"normal": 10, "covid-19": 20})
    assert ids(turned) == ids(mixed)
    assert ids(mix(real, synthetic, counts={"covid-19": 20}, seed=1)) != ids(
        mix(real, synthetic, counts={"covid-19": 20})
    )
    # Real rows are never left out.
    assert tally(mix(real, synthetic, counts={"normal": 2, "covid-19": 3})) == tally(real)
    assert len(mix(real, synthetic, counts={})) == len(real)


def test_counts_that_cannot_be() -> None:
    real, synthetic = real_rows(6, 5, 4, 3), rows("synthetic", 30, 40)
    with pytest.raises(
        ImpossibleMix, match="44 covid-19 rows beside 3 real ones needs 41 synthetic rows; found 40"
    ):
        mix(real, synthetic, counts={"covid-19": 44})
    with pytest.raises(ImpossibleMix, match="found 0 of the right class"):
        mix(real, synthetic, counts={"viral-pneumonia": 5})
    with pytest.raises(UnknownName, match="did you mean 'covid-19'"):
        mix(real, synthetic, counts={"covid19": 5})
    for bad in (-1, 1.5, True, None, "3"):
        with pytest.raises(ImpossibleMix, match="a count of covid-19 rows"):
            mix(real, synthetic, counts={"covid-19": bad})  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="governed by one number"):
        mix(real, synthetic, skew=1.0, counts={"covid-19": 5})


def test_streams_of_other_classes_are_refused() -> None:
    real, synthetic = real_rows(6, 5, 4, 3), rows("synthetic", 0, 40)
    with pytest.raises(ConfigError, match="streams whose classes differ"):
        mixing.stream(real.to_iterable_dataset(), synthetic.to_iterable_dataset())


def test_formats_of_the_inputs_do_not_matter() -> None:
    real, synthetic = rows("real", 9, 2), rows("synthetic", 0, 12)
    expected = ids(mix(real, synthetic))
    assert ids(mix(real.with_format("numpy"), synthetic.with_format("pandas"))) == expected
    shuffled = mix(real.shuffle(seed=1), synthetic.shuffle(seed=1))
    assert sorted(ids(shuffled, "real")) == sorted(ids(real))


def test_streams() -> None:
    real, synthetic = rows("real", 300, 100), rows("synthetic", 0, 400)
    joined = mixing.stream(real.to_iterable_dataset(), synthetic.to_iterable_dataset(), 0.3, seed=1)
    got = [row["image_id"] for row in joined.select_columns(["image_id"])]
    share = sum(name.startswith("synthetic") for name in got) / len(got)
    assert share == pytest.approx(0.3, abs=0.07)
    assert len(set(got)) == len(got) > 400
    assert set(joined.features) == set(schema.REAL_COLUMNS) | set(schema.SYNTHETIC_COLUMNS)
    again = mixing.stream(real.to_iterable_dataset(), synthetic.to_iterable_dataset(), 0.3, seed=1)
    assert got == [row["image_id"] for row in again.select_columns(["image_id"])]
    with pytest.raises(ConfigError, match="stream joins streams"):
        mixing.stream(real, synthetic.to_iterable_dataset())
    with pytest.raises(CovidSynthError):
        mixing.stream(real.to_iterable_dataset(), synthetic.to_iterable_dataset(), 0)
