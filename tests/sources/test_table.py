"""The common frame and the Dataset made of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from covid_synth_data import schema
from covid_synth_data.errors import BadImage, MissingSource, SourceError
from covid_synth_data.files import pixels
from covid_synth_data.sources import table
from tests.sources.conftest import grey


def row(identity: str, **cells: object) -> dict[str, object]:
    usual = {"source_id": identity, "label": "normal", "source_class": "Normal", "source_license": "CC0 1.0"}
    return usual | cells


def test_build_fills_in_the_columns() -> None:
    frame = table.build("some-set", [row("a", patient="7", sex="F"), row("b")], ["sex"])
    assert list(frame.columns) == [*table.COLUMNS, "sex"]
    assert frame["image_id"].tolist() == ["some-set/a", "some-set/b"]
    assert frame["patient_id"].tolist() == ["some-set:7", "some-set:film-b"]
    assert frame["patient_known"].tolist() == [True, False]
    assert frame["source_dataset"].tolist() == ["some-set"] * 2
    assert frame["excluded"].tolist() == ["", ""]


def test_build_refuses_two_rows_of_one_id() -> None:
    with pytest.raises(SourceError, match="some-set/a"):
        table.build("some-set", [row("a"), row("a")])


def test_unique_ids_do_not_depend_on_what_is_downloaded() -> None:
    names = ["1.jpg", "1.png", "2.jpg", "3.nii.gz", "2.x.jpg", "4.png", "4.png", "4.png"]
    assert table.unique_ids(names) == ["1.jpg", "1.png", "2", "3", "2.x", "4.png", "4.png#2", "4.png#3"]


def test_unique_ids_survive_names_that_look_like_ids() -> None:
    names = ["a.png", "a.png", "a.png#2.png", "row-3", "row-3.png"]
    ids = table.unique_ids(names)
    assert len(set(ids)) == len(names)


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        *(("PA", ""), ("AP", ""), ("AP Supine", ""), ("AP semi erect", ""), ("L", table.LATERAL)),
        *(("Lateral", table.LATERAL), ("", table.VIEW_UNKNOWN), ("Apical", table.VIEW_UNKNOWN)),
    ],
)
def test_views(view: str, reason: str) -> None:
    assert table.view_reason(view) == reason
    assert all(table.is_frontal(view) for view in ("PA", "AP", "AP Supine"))


def test_every_reason_is_explained() -> None:
    reasons = [value for name, value in vars(table).items() if name.isupper() and isinstance(value, str)]
    assert sorted(reasons) == sorted(table.EXCLUSIONS)
    assert tuple(table.EXCLUSIONS)[-2:] == table.VIEW_REASONS


def test_dataset_has_the_real_columns_and_decodes_lazily(tmp_path: Path) -> None:
    good, bad = grey(tmp_path / "good.png"), tmp_path / "bad.png"
    bad.write_bytes(b"no image at all")
    frame = table.build("s", [row("good", path=str(good)), row("bad", path=str(bad), label="", view="PA")])
    dataset = table.to_dataset(frame)
    assert dataset.features == schema.features(schema.REAL_COLUMNS)
    assert tuple(dataset.column_names) == schema.REAL_COLUMNS
    assert dataset[0]["image"].size == (10, 12)
    assert dataset["label"][:] == [0, None]
    assert dataset["view"][:] == ["", "PA"]
    with pytest.raises(BadImage, match="cannot identify image"):
        dataset[1]


def test_dataset_keeps_references_not_pixels(tmp_path: Path) -> None:
    import datasets

    path = grey(tmp_path / "a.png")
    dataset = table.to_dataset(table.build("s", [row("a", path=str(path))]))
    cell = dataset.cast_column("image", datasets.Image(decode=False))[0]["image"]
    assert cell == {"bytes": None, "path": str(path)}


def test_dataset_of_embedded_images() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 6), 9, np.uint8)).save(buffer, "PNG")
    frame = table.build(
        "s", [row("a", bytes=buffer.getvalue()), row("b", bytes=bytearray(buffer.getvalue()))]
    )
    assert [np.asarray(image).max() for image in table.to_dataset(frame)["image"]] == [9, 9]


def test_dataset_of_joined_frames_and_of_none(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (4, 6)).save(buffer, "PNG")
    one = table.build("one", [row("a", bytes=buffer.getvalue())])
    two = table.build("two", [row("a", path=str(grey(tmp_path / "a.png")), age=3.0)], ["age"])
    joined = pd.concat([one, two, two.drop(columns="bytes").assign(bytes=float("nan"))], ignore_index=True)
    assert [image.size for image in table.to_dataset(joined)["image"]] == [(4, 6), (10, 12), (10, 12)]
    assert table.to_dataset(table.build("s", [])).features == schema.features(schema.REAL_COLUMNS)


def test_dataset_refuses_rows_without_an_image(tmp_path: Path) -> None:
    frame = table.build("s", [row("a", path=str(grey(tmp_path / "a.png"))), row("b", excluded=table.MISSING)])
    with pytest.raises(MissingSource, match=r"1 of 2 rows .* s/b"):
        table.to_dataset(frame)
    assert len(table.to_dataset(table.usable(frame))) == 1


def test_usable_keeps_laterals_when_asked() -> None:
    reasons = ["", table.LATERAL, table.VIEW_UNKNOWN, table.CT, table.MISSING]
    frame = table.build("s", [row(str(number), excluded=reason) for number, reason in enumerate(reasons)])
    assert table.usable(frame)["source_id"].tolist() == ["0"]
    assert table.usable(frame, "all")["source_id"].tolist() == ["0", "1", "2"]


def _variant(kind: str, ramp: np.ndarray) -> Image.Image:
    image = Image.fromarray(ramp)
    if kind == "sixteen":
        return Image.fromarray(ramp.astype(np.uint16) * 257)
    if kind == "palette":
        indexed = image.convert("P")
        indexed.putpalette([value for level in range(256) for value in (level, level, level)])
        return indexed
    return image.convert({"rgb": "RGB", "rgba": "RGBA", "grey": "L", "one": "1"}[kind])


@pytest.mark.parametrize("kind", ["grey", "sixteen", "palette", "rgb", "rgba"])
def test_all_kinds_of_png_give_the_same_grey(tmp_path: Path, kind: str) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    path = tmp_path / "film.PNG"
    _variant(kind, ramp).save(path)
    dataset = table.to_dataset(table.build("s", [row("a", path=str(path))]))
    np.testing.assert_array_equal(pixels.to_grey(dataset[0]["image"]), ramp)
