"""covid-ct: a picture per slice, and NIfTI volumes in any orientation, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covid_synth_data import schema
from covid_synth_data.ct import slices
from covid_synth_data.errors import BadImage, BadMetadata, ConfigError, MissingSource
from covid_synth_data.sources import ct_phantom, load_source, read_source, slice_table, source_status
from covid_synth_data.sources import table as films
from tests.sources.ct_reasons import reasons

HEADER = "slice,patient_id,slice_index,lung_pixels,ggo_pixels,consolidation_pixels,label_rule"


def pictures(root: Path, patients: int = 2, count: int = 3, listed: bool = True) -> Path:
    """Phantoms as a picture per slice; returns the folder of the set."""
    folder = root / "covid-19-ct-829"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    lines = [HEADER]
    for patient in range(patients):
        for number in range(1, count + 1):
            image, mask = ct_phantom.draw(64, 0, patient, number, count)
            name = f"patient{patient + 1}_slice{number:03d}"
            Image.fromarray(image).save(folder / "images" / f"{name}.jpg", quality=95)
            Image.fromarray(mask).save(folder / "labels" / f"{name}.png")
            found = slice_table.counts(mask)
            lines.append(",".join([name, str(patient + 1), str(number), *map(str, found.values()), "none"]))
    if listed:
        (folder / "slices.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_rows(tmp_path: Path) -> None:
    pictures(tmp_path)
    frame = read_source("covid-ct", tmp_path)
    assert list(frame.columns) == [*films.COLUMNS, *slice_table.EXTRA]
    assert frame["image_id"].tolist()[:2] == ["covid-ct/patient1_slice001", "covid-ct/patient1_slice002"]
    assert frame["patient_id"].tolist() == ["covid-ct:1"] * 3 + ["covid-ct:2"] * 3
    assert frame["slice"].tolist() == [1, 2, 3, 1, 2, 3]
    assert set(frame["label"]) == {"covid-19"}
    assert set(frame["source_license"]) == {"CC BY-NC-SA 3.0"}
    assert (frame["excluded"] == "").all()
    status = source_status("covid-ct", tmp_path)
    assert (status.images, status.expected, status.missing, status.problem) == (6, 829, 0, "")


def test_dataset(tmp_path: Path) -> None:
    pictures(tmp_path)
    rows = load_source("covid-ct", tmp_path)
    assert tuple(rows.column_names) == schema.CT_COLUMNS
    assert rows.features == schema.features(schema.CT_COLUMNS)
    assert rows[1]["image"].size == rows[1]["mask"].size == (64, 64)
    assert np.array_equal(np.asarray(rows[1]["mask"]), ct_phantom.draw(64, 0, 0, 2, 3)[1])
    assert slices.read_slice(rows[1])[0].dtype == np.float32
    assert rows["label"][:] == [schema.COVID] * 6


def test_nothing_is_decoded_without_check(tmp_path: Path) -> None:
    folder = pictures(tmp_path)
    counted = read_source("covid-ct", tmp_path)
    for file in folder.glob("*/*_slice*"):
        file.write_bytes(b"")
    frame = read_source("covid-ct", tmp_path, check=False)
    assert frame["ggo_pixels"].tolist() == counted["ggo_pixels"].tolist()
    assert (frame["excluded"] == "").all()
    assert load_source("covid-ct", tmp_path, check=False).num_rows == 6
    assert source_status("covid-ct", tmp_path).images == 6
    with pytest.raises(MissingSource, match=r"no usable image in 6 rows \(damaged image file\)"):
        load_source("covid-ct", tmp_path)


def test_without_the_table_names_tell_patient_and_slice(tmp_path: Path) -> None:
    pictures(tmp_path, listed=False).rename(tmp_path / "anything")
    frame = read_source("covid-ct", tmp_path / "anything")
    assert frame["patient_id"].tolist() == ["covid-ct:1"] * 3 + ["covid-ct:2"] * 3
    assert frame["slice"].tolist() == [1, 2, 3, 1, 2, 3]
    assert frame["lung_pixels"].notna().all()
    assert read_source("covid-ct", tmp_path / "anything", check=False)["lung_pixels"].isna().all()


def test_bad_slices_are_counted_and_the_rest_is_used(tmp_path: Path) -> None:
    folder = pictures(tmp_path, patients=4)
    image, labels = folder / "images", folder / "labels"
    (labels / "patient1_slice001.png").unlink()
    (image / "patient1_slice002.jpg").unlink()
    for name, content in (("patient1_slice003", image), ("patient2_slice001", labels)):
        file = next(content.glob(f"{name}.*"))
        file.write_bytes(file.read_bytes()[:-200])
    Image.new("L", (60, 64)).save(labels / "patient2_slice002.png")
    Image.new("L", (64, 64), 9).save(labels / "patient2_slice003.png")
    Image.new("L", (64, 64), 0).save(labels / "patient3_slice001.png")
    Image.new("RGB", (64, 64), (1, 2, 3)).save(labels / "patient3_slice002.png")
    Image.new("L", (64, 64)).save(labels / "patient7_slice010.png")
    Image.new("L", (64, 64)).save(image / "odd name.png")
    found = reasons(tmp_path)
    assert {name: reason for name, reason in found.items() if reason} == {
        "patient1_slice001": slice_table.NO_MASK,
        "patient1_slice002": films.MISSING,
        "patient1_slice003": slice_table.DAMAGED,
        "patient2_slice001": slice_table.DAMAGED_MASK,
        "patient2_slice002": slice_table.OTHER_SIZE,
        "patient2_slice003": slice_table.UNKNOWN_LABEL,
        "patient3_slice001": slice_table.NO_LUNG,
        "patient3_slice002": slice_table.DAMAGED_MASK,
        "patient7_slice010": films.MISSING,
        "odd name": films.MALFORMED,
    }
    assert set(found.values()) <= {"", *slice_table.EXCLUSIONS}
    assert load_source("covid-ct", tmp_path).num_rows == 4
    unchecked = load_source("covid-ct", tmp_path, check=False)
    bad = next(
        row
        for row in slices.rows(read_source("covid-ct", tmp_path, check=False))
        if row["source_id"] == "patient2_slice003"
    )
    assert unchecked.num_rows > 4
    with pytest.raises(BadImage, match=r"patient2_slice003\.png has values that are no label; found 9"):
        slices.read_slice(bad)


def test_bad_rows_of_the_table(tmp_path: Path) -> None:
    folder = pictures(tmp_path, patients=1)
    with (folder / "slices.csv").open("a") as file:
        file.write(
            "patient1_slice001,1,1,5,5,5,none\n../up,1,9,5,5,5,none\npatient1_slice003,1,x,5,5,5,none\n"
        )
    frame = read_source("covid-ct", tmp_path)
    assert frame["excluded"].tolist() == ["", "", "", films.DUPLICATE, films.MISSING, films.MALFORMED]
    (folder / "slices.csv").write_text("name,patient_id\n")
    with pytest.raises(BadMetadata, match=r"slices\.csv, line 1 has 0 columns named 'slice'"):
        read_source("covid-ct", tmp_path)


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "covid-ct").mkdir()
    with pytest.raises(MissingSource, match="no volumes and no pictures"):
        read_source("covid-ct", tmp_path)


@pytest.mark.parametrize("window", [(5, 5), (100, -100), (float("nan"), 1)])
def test_windows_that_are_none(tmp_path: Path, window: tuple[float, float]) -> None:
    pictures(tmp_path)
    with pytest.raises(ConfigError, match="no such window"):
        read_source("covid-ct", tmp_path, window=window)


@pytest.mark.real_data
def test_real_covid_ct(real_root: Path) -> None:
    frame = read_source("covid-ct", real_root)
    assert len(frame) == 829
    assert frame["excluded"].value_counts().to_dict() == {"": 714, slice_table.NO_LUNG: 115}
    infected = frame["ggo_pixels"] + frame["consolidation_pixels"] > 0
    assert infected.sum() == 373
    assert (frame.loc[infected, "excluded"] == "").all()
    listed = read_source("covid-ct", real_root, check=False)
    for column in slice_table.PIXELS:
        assert frame[column].equals(listed[column])
    assert frame.groupby("patient_id").size()["covid-ct:3"] == 418
