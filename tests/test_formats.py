"""A Dataset's own format, missing columns, nulls and splits: the same result as without, or one line."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest

import covid_synth_data as csd
from covid_synth_data.errors import ConfigError, LeakError
from covid_synth_data.files.films import write_parquet
from covid_synth_data.release.batches import batches
from covid_synth_data.splits.leaks import check_leaks, find_leaks, near_duplicates


@pytest.fixture(scope="module")
def splits() -> datasets.DatasetDict:
    return csd.load_task("normal-vs-covid", sources=["phantom"], phantom={"size": 32, "patients": 12})


FORMATS = {
    "torch": {"type": "torch"},
    "some columns": {"type": "torch", "columns": ["image", "label"]},
    "numpy, label alone": {"type": "numpy", "columns": ["label"]},
    "pandas": {"type": "pandas"},
    "arrow": {"type": "arrow"},
    "a transform": {"type": "custom", "transform": lambda rows: {"nothing": [0 for _ in rows["label"]]}},
}


@pytest.fixture(params=FORMATS, ids=str)
def shown(request, splits) -> datasets.DatasetDict:
    return splits.with_format(**FORMATS[request.param])


def test_leaks(splits, shown):
    check_leaks(shown)
    with pytest.raises(LeakError) as plain:
        check_leaks({"train": splits["train"], "test": splits["train"]})
    with pytest.raises(LeakError) as formatted:
        check_leaks({"train": shown["train"], "test": shown["train"]})
    assert str(plain.value) == str(formatted.value)
    assert near_duplicates(splits["test"], splits["test"]) == near_duplicates(shown["test"], shown["test"])


def test_batches(splits, shown):
    for (images, labels), (same, known) in zip(batches(shown["test"]), batches(splits["test"]), strict=True):
        assert np.array_equal(images, same)
        assert np.array_equal(labels, known)


def test_mixing_and_writing(splits, shown, tmp_path):
    assert csd.skew(shown["train"]) == csd.skew(splits["train"])
    one = csd.mix(shown["train"], shown["validation"], synthetic_count=2)
    other = csd.mix(splits["train"], splits["validation"], synthetic_count=2)
    write_parquet(one, tmp_path / "one.parquet")
    write_parquet(other, tmp_path / "other.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "other.parquet").read_bytes()


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda s: s, "a DatasetDict of train, validation, test"),
        (lambda s: list(s["test"]), "found list"),
        (lambda s: s["test"].remove_columns("label"), "rows without label"),
        (lambda s: s["test"].remove_columns("image"), "rows without image"),
    ],
)
def test_what_cannot_be_batched(splits, broken, says):
    with pytest.raises(ConfigError, match=says):
        next(batches(broken(splits)))


def test_null_labels(splits):
    labels = [None, *splits["test"]["label"][1:]]
    rows = (
        splits["test"]
        .remove_columns("label")
        .add_column("label", labels, feature=splits["test"].features["label"])
    )
    with pytest.raises(ConfigError, match=f"rows without a label; found 1 of {len(rows)}"):
        list(batches(rows))
    with pytest.raises(ConfigError, match="rows without a label"):
        csd.skew(rows)
    with pytest.raises(ConfigError, match="rows without a label"):
        list(batches(rows.to_iterable_dataset()))


def test_splits_where_one_is_expected(splits):
    for call in (
        lambda: csd.skew(splits),
        lambda: csd.mix(splits, splits["train"]),
        lambda: csd.mix(splits["train"], splits),
        lambda: near_duplicates(splits, splits["test"]),
        lambda: write_parquet(splits, "x.parquet"),
        lambda: check_leaks({"train": splits, "test": splits["test"]}),
    ):
        with pytest.raises(ConfigError, match=r"splits\['train'\]"):
            call()
    with pytest.raises(ConfigError, match="rows without image_id"):
        find_leaks({"a": splits["test"].remove_columns("image_id")})


def test_streams_are_batched_too(splits):
    streamed = list(batches(splits["test"].to_iterable_dataset(), 4))
    plain = list(batches(splits["test"], 4))
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(streamed, plain, strict=True))


def test_the_recipe_for_images_of_two_sizes_works(splits):
    """The last block of the page about mixing, as it stands there."""
    text = (Path(__file__).resolve().parents[1] / "docs/how-to/mixing.md").read_text(encoding="utf-8")
    block = next(part for part in text.split("```python\n") if "with_transform" in part).partition("```")[0]
    other = csd.load_source("phantom", size=48, patients=4).filter(lambda row: row["label"] != 1)
    names = {"mixed": csd.extend(splits["train"], other.select_columns(["image", "label"]), 0.2)}
    exec(block, names)
    images = [batch["image"] for batch in names["loader"]]
    assert {tuple(image.shape[1:]) for image in images} == {(256, 256)}
    assert sum(map(len, images)) == len(names["mixed"])
