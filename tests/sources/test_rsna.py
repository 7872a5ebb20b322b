"""rsna: metadata without images, images in any format, no torch for it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from covid_synth_data.errors import BadMetadata, MissingExtra, MissingSource
from covid_synth_data.sources import load_source, read_source, rsna, source_status, table
from tests.files.test_dicom import RAMP, write
from tests.sources.conftest import grey

needs_labels = pytest.mark.skipif(
    importlib.util.find_spec("torchxrayvision") is None, reason="the extra [rsna] is not installed"
)


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A fake torchxrayvision package with four films; the third has two boxes, the last no header."""
    package = tmp_path / "site" / "torchxrayvision"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('must not be imported')")
    names = ["f1", "f2", "f3", "f4"]
    labels = [("f1", 0), ("f2", 0), ("f3", 1), ("f3", 1), ("f4", 1)]
    lines = [f"{name},,,,,{target}" for name, target in labels]
    import pandas as pd

    cells = [line.split(",") for line in lines]
    columns = ["patientId", "x", "y", "width", "height", "Target"]
    pd.DataFrame(cells, columns=columns).to_csv(package / "data" / rsna.LABELS_FILE, index=False)
    headers = {
        "PatientID": names[:3],
        "PatientAge": ["43", "155", "9"],
        "PatientSex": ["F", "M", "F"],
        "ViewPosition": ["AP", "PA", "AP"],
    }
    pd.DataFrame(headers).to_csv(package / "data" / rsna.HEADERS_FILE)
    # Another test of this process may have imported the real one.
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchxrayvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return names


@pytest.mark.usefixtures("packaged")
def test_rows_without_images() -> None:
    frame = read_source("rsna")
    assert frame["source_id"].tolist() == ["f1", "f2", "f3", "f4"]
    assert frame["label"].tolist() == ["normal", "normal", "pneumonia", "pneumonia"]
    assert frame["view"].tolist() == ["AP", "PA", "AP", ""]
    assert frame["age"].fillna(-1).tolist() == [43, -1, 9, -1]
    assert set(frame["excluded"]) == {table.MISSING}
    assert not frame["patient_known"].any()
    assert rsna.label_rows()["Target"].tolist() == [0, 0, 1, 1, 1]
    assert rsna.label_rows()["patientId"].tolist() == ["f1", "f2", "f3", "f3", "f4"]
    assert "torchxrayvision" not in sys.modules


@pytest.mark.usefixtures("packaged")
@pytest.mark.parametrize("suffix", ["dcm", "png", "JPG", "jpeg"])
@pytest.mark.parametrize(
    "place", ["rsna-pneumonia-detection-challenge/stage_2_train_images", "rsna", "stage_2_train_images"]
)
def test_images_in_any_format(tmp_path: Path, suffix: str, place: str) -> None:
    folder = tmp_path / "root" / place
    folder.mkdir(parents=True)
    if suffix == "dcm":
        write(folder / "f3.dcm", RAMP)
    else:
        grey(folder / f"f3.{suffix}")
    frame = read_source("rsna", tmp_path / "root")
    assert frame["excluded"].tolist() == [table.MISSING, table.MISSING, "", table.MISSING]
    row = load_source("rsna", tmp_path / "root")[0]
    assert row["image_id"] == "rsna/f3"
    assert np.asarray(row["image"]).size > 0
    assert source_status("rsna", tmp_path / "root").images == 1


@pytest.mark.usefixtures("packaged")
def test_patients_from_the_mapping(tmp_path: Path) -> None:
    folder = tmp_path / "rsna"
    grey(folder / "f1.png")
    entries = [{"subset_img_id": f"f{n}", "img_id": f"0000001{n % 2}_00{n}.png"} for n in (1, 2, 3)]
    (folder / rsna.MAPPING_FILE).write_text(json.dumps(entries))
    frame = read_source("rsna", tmp_path)
    assert frame["patient_id"].tolist() == ["rsna:nih-11", "rsna:nih-10", "rsna:nih-11", "rsna:film-f4"]
    assert frame["patient_known"].tolist() == [True, True, True, False]


@pytest.mark.usefixtures("packaged")
@pytest.mark.parametrize("content", ["{", "[1]", "[{}]", "null", '[{"subset_img_id": "a", "img_id": 3}]'])
def test_damaged_mapping(tmp_path: Path, content: str) -> None:
    (tmp_path / "rsna").mkdir()
    (tmp_path / "rsna" / rsna.MAPPING_FILE).write_text(content)
    with pytest.raises(BadMetadata, match=rsna.MAPPING_FILE):
        read_source("rsna", tmp_path)


@pytest.mark.usefixtures("packaged")
def test_no_images_to_load(tmp_path: Path) -> None:
    with pytest.raises(MissingSource, match=r"no usable image in 4 rows \(image file missing\)"):
        load_source("rsna", tmp_path)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"torchxrayvision.*\[rsna\]"):
        rsna.label_rows()


@needs_labels
def test_counts_of_the_packaged_labels() -> None:
    rows = rsna.label_rows()
    assert (rows["Target"] == 0).sum() == 20_672
    boxes = rows.loc[rows["Target"] == 1, "patientId"]
    assert (len(boxes), boxes.nunique()) == (9_555, 6_012)
    frame = read_source("rsna")
    assert len(frame) == rsna.INFO.expected_images == 26_684
    assert frame["label"].value_counts().to_dict() == {"normal": 20_672, "pneumonia": 6_012}
    assert frame["view"].value_counts().to_dict() == {"PA": 14_511, "AP": 12_173}


@needs_labels
def test_reading_labels_imports_no_torch() -> None:
    code = (
        "import sys; from covid_synth_data.sources import rsna; rsna.label_rows();"
        " assert not {'torch', 'torchxrayvision', 'datasets'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
