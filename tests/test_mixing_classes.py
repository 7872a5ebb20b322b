"""Mixing rows of several classes, rows without labels, and streams."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import datasets
import pytest

from covid_synth_data import extend, mix, mixing, replace, schema, skew
from covid_synth_data.errors import ConfigError, CovidSynthError, ImpossibleMix, UnknownName
from tests.mixtures import ids, rows


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


def test_streams_are_joined_by_the_names_of_their_classes() -> None:
    """A task of two classes and a release of three: code 2 of the one is code 1 of the other."""
    real, synthetic = real_rows(6, 5, names=("normal", "covid-19")), rows("synthetic", 20, 20)
    streams = real.to_iterable_dataset(), synthetic.to_iterable_dataset()
    joined = mixing.stream(*streams, 0.7, seed=2)
    assert joined.features["label"].names == ["normal", "covid-19"]
    got = list(joined)
    for row in got:
        if row["image_id"].startswith("synthetic"):
            number = int(row["image_id"].partition("/")[2])
            assert row["label"] == (number >= 20)
            assert row["image"].mode == "L"
            assert row["image"].getpixel((0, 0)) == number
    assert any(row["image_id"].startswith("synthetic/2") for row in got)
    strange = real_rows(0, 3).to_iterable_dataset()
    with pytest.raises(ConfigError, match="found bacterial-pneumonia; expected rows of normal, covid-19"):
        list(mixing.stream(streams[0], strange, 0.9))


def test_rows_of_two_tasks_are_joined_by_the_names_of_their_classes() -> None:
    first = real_rows(3, 2, names=("normal", "covid-19"))
    second = real_rows(4, 1, names=("pneumonia", "covid-19"))
    parts = [mixing.with_classes(part, schema.LABELS) for part in (first, second)]
    joined = datasets.concatenate_datasets(parts)
    assert tally(joined) == {"normal": 3, "pneumonia": 4, "covid-19": 3}
    assert joined["label"][:] == [0] * 3 + [2] * 2 + [1] * 4 + [2]
    assert mixing.with_classes(parts[0], schema.LABELS) is parts[0]
    back = mixing.with_classes(parts[0], ["covid-19", "normal"])
    assert back["label"][:] == [1] * 3 + [0] * 2
    ill = mixing.with_classes(joined, ["ill", "normal"], {"pneumonia": "ill", "covid-19": "ill"})
    assert tally(ill) == {"normal": 3, "ill": 7}
    assert ill["image_id"][:] == joined["image_id"][:]
    with pytest.raises(ConfigError, match="class that the task does not have; found pneumonia"):
        mixing.with_classes(joined, ["normal", "covid-19"])
    # A class without rows is no obstacle, and null stays null.
    null = first.map(lambda row: {"label": None if row["image_id"] == "real/0" else row["label"]}, desc=None)
    assert mixing.with_classes(null, schema.LABELS)["label"][:] == [None, 0, 0, 2, 2]


@pytest.mark.parametrize(
    "picked", [None, [], [2], [1, 2, 3], [4, 3, 2, 1, 0], [0, 0, 3]], ids=lambda picked: f"rows {picked}"
)
def test_codes_are_translated_without_a_copy_of_images(picked: list[int] | None) -> None:
    everything = real_rows(3, 2, names=("normal", "covid-19"))
    chosen = everything if picked is None else everything.select(picked)
    translated = mixing.with_classes(chosen, schema.LABELS)
    assert translated["image_id"][:] == chosen["image_id"][:]
    assert tally(translated) == tally(chosen)
    assert image_addresses(translated) <= image_addresses(everything)
    assert translated.features["image"] == everything.features["image"]


def test_rows_selected_twice_keep_their_order() -> None:
    rows_of_file = real_rows(9, 8, names=("normal", "covid-19"))
    chosen = rows_of_file.shuffle(seed=1).select(range(3, 14)).filter(lambda row: row["image_id"] != "real/4")
    translated = mixing.with_classes(chosen, schema.LABELS)
    assert translated["image_id"][:] == chosen["image_id"][:]
    assert tally(translated) == tally(chosen)


def image_addresses(dataset: datasets.Dataset) -> set[int]:
    """Where the encoded images of a dataset lie in memory."""
    chunks = dataset.data.column("image").chunks
    return {chunk.field("bytes").buffers()[-1].address for chunk in chunks if len(chunk)}


def test_map_finds_its_cached_results_again_for_rows_in_files(tmp_path: Path) -> None:
    real_rows(3, 2, names=("normal", "covid-19")).save_to_disk(tmp_path / "rows")

    def cache_files() -> list[str]:
        chosen = datasets.load_from_disk(tmp_path / "rows").select([4, 0])
        translated = mixing.with_classes(chosen, schema.LABELS)
        mapped = translated.map(lambda row: {"image_id": row["image_id"] + "!"}, desc=None)
        assert mapped["image_id"][:] == ["real/4!", "real/0!"]
        return [file["filename"] for file in mapped.cache_files]

    assert cache_files() == cache_files() != []


def test_a_synthetic_class_that_the_task_lacks_is_refused() -> None:
    """With three names for the two classes of the task it was a negative."""
    real = real_rows(6, 2, names=("normal", "covid-19"))
    synthetic = rows("synthetic", 2, 3).map(lambda row: {"label": max(row["label"], 1)}, desc=None)
    with pytest.raises(ConfigError, match="found pneumonia; expected rows of normal, covid-19"):
        mix(real, synthetic)


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
