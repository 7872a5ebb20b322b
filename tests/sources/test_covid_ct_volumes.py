"""The CT source: NIfTI volumes."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from covid_synth_data.ct import slices
from covid_synth_data.errors import BadImage, MissingExtra
from covid_synth_data.files import nifti
from covid_synth_data.sources import covid_ct, load_source, read_source, slice_table, source_status
from covid_synth_data.sources import table as films
from tests.sources.ct_reasons import reasons

needs_nibabel = pytest.mark.skipif(
    importlib.util.find_spec("nibabel") is None, reason="nibabel is not installed"
)


def test_volumes_need_nibabel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "covid-ct" / "rp_im").mkdir(parents=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"nibabel.*\[ct\]"):
        read_source("covid-ct", tmp_path)
    assert "nibabel" in source_status("covid-ct", tmp_path).problem


# Volumes. The scene, as displayed (slice, row, column): a bright front, a brighter left of the patient.


SHAPE = (3, 8, 8)


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hounsfield units, infection and lungs, as displayed: (slices from the feet up, rows, columns)."""
    rng = np.random.default_rng(5)
    image = rng.uniform(-1300, 100, SHAPE).round()
    image[0, 0], image[0, :, -1] = 150, -600
    infection, lungs = np.zeros(SHAPE), np.zeros(SHAPE)
    lungs[:, 2:7, 1:4], lungs[:, 2:7, 5:7] = 1, 2
    infection[1, 3, 1:3], infection[1, 4, 2], infection[2, 5, 5], infection[2, 0, 0] = 1, 2, 3, 3
    return image, infection, lungs


def write(
    path: Path, shown: np.ndarray, axes: str = "RAS", spacing: tuple[float, ...] = (1, 1, 1), **more: Any
) -> None:
    """A displayed volume as NIfTI, stored so that its axes run to the directions `axes`."""
    import nibabel
    from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

    ras = shown.transpose(2, 1, 0)[::-1, ::-1]
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(axes))
    stored = nibabel.orientations.apply_orientation(ras, turn)
    affine = np.diag([*spacing, 1.0]) @ inv_ornt_aff(turn, ras.shape)
    affine = more.get("affine", affine)
    path.parent.mkdir(parents=True, exist_ok=True)
    volume = nibabel.Nifti1Image(stored.astype(more.get("kind", np.int16)), affine)
    nibabel.save(volume, path)


def volumes(
    root: Path, axes: str = "RAS", name: str = "1.nii.gz", masks: str | None = None, **more: Any
) -> Path:
    for kind, shown in zip(covid_ct.VOLUMES, scene(), strict=True):
        write(root / "covid-ct" / kind / name, shown, (masks or axes) if kind != "rp_im" else axes, **more)
    return root / "covid-ct"


def corners(picture: np.ndarray, rows: int = 8, columns: int = 8) -> np.ndarray:
    """One pixel of each enlarged voxel, from its middle."""
    height, width = picture.shape[0] // rows, picture.shape[1] // columns
    return picture[height // 2 :: height, width // 2 :: width]


@needs_nibabel
@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "PIR", "SRA", "ILP"])
def test_whatever_the_storage_slices_are_shown_alike(tmp_path: Path, axes: str) -> None:
    volumes(tmp_path, axes, masks="RAS")
    rows = load_source("covid-ct", tmp_path)
    assert rows.num_rows == 3
    image, infection, lungs = scene()
    for number in range(3):
        shown, mask = slices.read_slice(rows[number])
        assert shown.shape == (512, 512)
        wanted = np.clip((image[number] + 1350) / 1500, 0, 1)
        assert np.abs(corners(shown) - wanted).max() < 0.06  # enlarged, values are interpolated
        expected = np.where(lungs[number] > 0, 1, 0)
        expected[infection[number] == 1], expected[infection[number] == 2] = 2, 3
        assert np.array_equal(corners(mask), expected)
    assert rows["image_id"][:] == [f"covid-ct/patient1_slice{number:03d}" for number in (1, 2, 3)]
    assert rows["slice"][:] == [1, 2, 3]


@needs_nibabel
def test_counts_effusion_and_the_window(tmp_path: Path) -> None:
    volumes(tmp_path)
    frame = read_source("covid-ct", tmp_path)
    voxel = 64 * 64
    assert frame["ggo_pixels"].tolist() == [0, 2 * voxel, 0]
    assert frame["consolidation_pixels"].tolist() == [0, voxel, 0]
    assert frame["lung_pixels"].tolist() == [25 * voxel, 22 * voxel, 25 * voxel]
    assert frame["effusion_pixels"].tolist() == [0, 0, 2 * voxel]
    assert nifti.WINDOW == (-1350.0, 150.0)
    literal = slices.rows(read_source("covid-ct", tmp_path, window=(-600, 1500)))
    shown = corners(slices.read_slice(literal[0])[0])
    assert shown[0, 3] == pytest.approx(750 / 2100, abs=0.03)
    assert shown[-1, -1] == 0  # -600
    from covid_synth_data.ct import splits

    unchecked = read_source("covid-ct", tmp_path, check=False)
    assert unchecked["lung_pixels"].isna().all()
    assert (unchecked["excluded"] == "").all()
    assert "8,192 pixels in 1 slices are marked as pleural effusion" in splits._effusion(frame)[0]


@needs_nibabel
def test_oblong_volumes_keep_their_proportions(tmp_path: Path) -> None:
    """Half as high in pixels, of the same spacing: black above and below, half the height between."""
    image, infection, lungs = (shown[:, 2:6] for shown in scene())
    for kind, shown in zip(covid_ct.VOLUMES, (image, infection, lungs), strict=True):
        write(tmp_path / "covid-ct" / kind / "4.nii", shown)
    shown, mask = slices.read_slice(load_source("covid-ct", tmp_path)[1])
    assert shown[:128].max() == shown[384:].max() == mask[:128].max() == mask[384:].max() == 0
    assert np.array_equal(corners(mask[128:384], 4) > 0, lungs[1] > 0)
    for kind, part in zip(covid_ct.VOLUMES, (image, infection, lungs), strict=True):
        write(tmp_path / "covid-ct" / kind / "4.nii", part, spacing=(1, 2, 5))
    mask = slices.read_slice(load_source("covid-ct", tmp_path)[1])[1]
    assert np.array_equal(corners(mask, 4) > 0, lungs[1] > 0)  # twice as long voxels fill the square


@needs_nibabel
def test_scaled_and_oblique_volumes(tmp_path: Path) -> None:
    import nibabel

    folder = volumes(tmp_path)
    plain = slices.stack(slices.rows(read_source("covid-ct", tmp_path)))[0]
    path = folder / "rp_im" / "1.nii.gz"
    stored = nibabel.load(path)
    data = np.asarray(stored.dataobj)
    turn = np.deg2rad(20)
    oblique = np.array(
        [[np.cos(turn), -np.sin(turn), 0, 9], [np.sin(turn), np.cos(turn), 0, -4], [0, 0, 1, 2], [0, 0, 0, 1]]
    )
    volume = nibabel.Nifti1Image((data + 1400).astype(np.int16), oblique)
    volume.header.set_slope_inter(1, -1400)
    raw = volume.to_bytes()
    path.write_bytes(gzip.compress(raw))
    assert set(reasons(tmp_path).values()) == {slice_table.OTHER_PLACE}
    for kind in covid_ct.VOLUMES[1:]:
        labels = np.asarray(nibabel.load(folder / kind / "1.nii.gz").dataobj)
        nibabel.save(nibabel.Nifti1Image(labels, oblique), folder / kind / "1.nii.gz")
    assert np.allclose(
        slices.stack(slices.rows(read_source("covid-ct", tmp_path)))[0], plain, atol=1.01 / 255
    )


def damage(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@needs_nibabel
def test_bad_volumes_are_counted_and_the_rest_is_used(tmp_path: Path) -> None:
    import nibabel

    for number in range(1, 13):
        folder = volumes(tmp_path, name=f"{number}.nii.gz")
    _, infection, lungs = scene()
    (folder / "rp_msk" / "2.nii.gz").unlink()
    (folder / "rp_lung_msk" / "3.nii.gz").unlink()
    (folder / "rp_im" / "4.nii.gz").unlink()
    large = np.random.default_rng(1).integers(-1000, 100, (3, 160, 160))
    write(folder / "rp_im" / "5.nii.gz", large)
    write(folder / "rp_msk" / "5.nii.gz", np.zeros(large.shape))
    write(folder / "rp_lung_msk" / "5.nii.gz", np.ones(large.shape))
    damage(folder / "rp_im" / "5.nii.gz", 0.8)
    damage(folder / "rp_im" / "6.nii.gz", 0.02)
    damage(folder / "rp_msk" / "7.nii.gz", 0.7)
    write(folder / "rp_msk" / "8.nii.gz", infection[:2])
    write(folder / "rp_msk" / "9.nii.gz", np.where(infection == 1, 4, infection))
    write(folder / "rp_lung_msk" / "10.nii.gz", lungs * np.array([1, 1, 0])[:, None, None])
    write(folder / "rp_msk" / "10.nii.gz", infection * np.array([1, 1, 0])[:, None, None])
    write(folder / "rp_msk" / "11.nii.gz", infection + 0.4, kind=np.float32)
    nibabel.save(
        nibabel.Nifti1Image(np.zeros((4, 4, 4, 2), np.int16), np.eye(4)), folder / "rp_im" / "12.nii.gz"
    )
    found = reasons(tmp_path)
    by_patient: dict[str, list[str]] = {}
    for name, reason in found.items():
        by_patient.setdefault(name.split("_")[0].removeprefix("patient"), []).append(reason)
    assert by_patient == {
        "1": ["", "", ""],
        "2": [slice_table.NO_MASK] * 3,
        "3": [slice_table.NO_MASK] * 3,
        "4": [films.MISSING],
        "5": [slice_table.DAMAGED] * 3,
        "6": [slice_table.DAMAGED],
        "7": [slice_table.DAMAGED_MASK] * 3,
        "8": [slice_table.OTHER_SIZE] * 3,
        "9": ["", slice_table.UNKNOWN_LABEL, ""],
        "10": ["", "", slice_table.NO_LUNG],
        "11": [slice_table.UNKNOWN_LABEL] * 3,
        "12": [slice_table.DAMAGED],
    }
    assert load_source("covid-ct", tmp_path).num_rows == 7
    unchecked = [
        row
        for row in slices.rows(read_source("covid-ct", tmp_path, check=False))
        if row["patient_id"] == "covid-ct:5"
    ]
    with pytest.raises(BadImage, match=r"cannot read .*rp_im/5\.nii\.gz"):
        slices.read_slice(unchecked[0])


def placed(root: Path, image: np.ndarray, masks: np.ndarray) -> list[str]:
    """Reasons where the same arrays are saved with these affines."""
    for kind, shown in zip(covid_ct.VOLUMES, scene(), strict=True):
        affine = image if kind == "rp_im" else masks
        write(root / "covid-ct" / kind / "1.nii.gz", shown, affine=affine)
    return sorted(set(reasons(root).values()))


@needs_nibabel
def test_label_maps_of_another_place(tmp_path: Path) -> None:
    """Arrays that fit voxel by voxel and affines that do not: nobody can say which is right."""
    real = np.array([[-0.8, 0, 0, 100], [0, -0.8, 0, 120], [0, 0, 5, -300], [0, 0, 0, 1]], float)
    shifted, near, coarse = real.copy(), real.copy(), real.copy()
    shifted[0, 3] += 2
    near[:3, 3] += 0.2
    coarse[0, 0] *= 1.2
    for name, masks in (("identity", np.eye(4)), ("shifted", shifted), ("coarse", coarse)):
        assert placed(tmp_path / name, real, masks) == [slice_table.OTHER_PLACE], name
        assert set(reasons(tmp_path / name, check=False).values()) == {slice_table.OTHER_PLACE}
    assert placed(tmp_path / "same", real, real) == [""]
    assert placed(tmp_path / "near", real, near) == [""]
    assert placed(tmp_path / "both plain", np.eye(4), np.eye(4)) == [""]


@needs_nibabel
@pytest.mark.parametrize("kind", [*covid_ct.VOLUMES])
def test_volumes_of_one_point_in_time(tmp_path: Path, kind: str) -> None:
    import nibabel

    folder = volumes(tmp_path)
    plain = slices.stack(slices.rows(read_source("covid-ct", tmp_path)))
    path = folder / kind / "1.nii.gz"
    stored = nibabel.load(path)
    for more in ((1,), (1, 1)):
        data = np.asarray(stored.dataobj)
        nibabel.save(nibabel.Nifti1Image(data.reshape(*data.shape[:3], *more), stored.affine), path)
        again = slices.stack(slices.rows(read_source("covid-ct", tmp_path)))
        assert all(np.array_equal(old, new) for old, new in zip(plain, again, strict=True))
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 3, 2), np.int16), stored.affine), path)
    assert set(reasons(tmp_path).values()) <= {slice_table.DAMAGED, slice_table.DAMAGED_MASK}


@needs_nibabel
@pytest.mark.parametrize("kind", [*covid_ct.VOLUMES])
@pytest.mark.parametrize(
    "voxel", [np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]), np.dtype(np.complex64)], ids=str
)
def test_volumes_in_colours(tmp_path: Path, kind: str, voxel: np.dtype) -> None:
    import nibabel

    folder = volumes(tmp_path)
    stored = nibabel.load(folder / kind / "1.nii.gz")
    colours = np.zeros(stored.shape, voxel)
    nibabel.save(nibabel.Nifti1Image(colours, stored.affine), folder / kind / "1.nii.gz")
    expected = slice_table.DAMAGED if kind == "rp_im" else slice_table.COLOUR_MASK
    for check in (True, False):
        assert set(reasons(tmp_path, check=check).values()) == {expected}


@needs_nibabel
@pytest.mark.parametrize(
    ("affine", "message"),
    [(np.diag([1.0, 1.0, 0.0, 1.0]), "no direction"), (np.diag([np.nan, 1.0, 1.0, 1.0]), "cannot read")],
)
def test_affines_without_an_orientation(tmp_path: Path, affine: np.ndarray, message: str) -> None:
    import nibabel

    path = tmp_path / "x.nii"
    volume = nibabel.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4))
    volume.header.set_sform(affine, 1)
    volume.header.set_qform(None, 0)
    path.write_bytes(volume.to_bytes())
    raw = bytearray(path.read_bytes())
    raw[280:328] = np.asarray(affine[:3], "<f4").tobytes()
    raw[254:256] = np.int16(1).tobytes()
    path.write_bytes(bytes(raw))
    with pytest.raises(BadImage, match=message):
        nifti.shape(path)


@needs_nibabel
def test_references(tmp_path: Path) -> None:
    path = volumes(tmp_path) / "rp_im" / "1.nii.gz"
    nifti.register()
    nifti.register()
    content = nifti.reference(path, 2, nifti.WINDOW)
    assert nifti.is_reference(content)
    assert not nifti.is_reference(b"\x89PNG")
    assert nifti.decode(content).shape == (512, 512)
    with pytest.raises(BadImage, match="slice 9 asked for; expected 1 to 3"):
        nifti.decode(nifti.reference(path, 9, nifti.WINDOW))
    with pytest.raises(BadImage, match="damaged"):
        nifti.decode(nifti.MAGIC + b"{")
    with pytest.raises(BadImage, match="another kind of file"):
        nifti.decode(nifti.reference(tmp_path / "secret.txt", 1, nifti.WINDOW))
    with pytest.raises(BadImage, match=r"gone\.nii"):
        nifti.decode(nifti.reference(tmp_path / "gone.nii", 1, nifti.WINDOW))
    path.unlink()
    with pytest.raises(BadImage, match="cannot read"):
        nifti.decode(content)
