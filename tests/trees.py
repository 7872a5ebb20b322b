"""Small fake roots in the layouts of the public sets, with films that can be told apart and found again."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

from tests.inputs import dicom_file

CHESTXRAY = ("patientid", "finding", "view", "modality", "folder", "filename", "url", "license")
HANNOVER = "https://github.com/ml-workgroup/covid-19-image-repository"


def film(key: int, side: int = 96) -> Image.Image:
    """A smooth random picture: pictures of different keys are uncorrelated, as phantoms are not."""
    coarse = np.random.default_rng([11, key]).integers(30, 226, (14, 14), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def save(path: Path, key: int, side: int = 96) -> Path:
    """The film of a key, in the format of the file's extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    film(key, side).save(path)
    return path


def retouched(image: Image.Image, change: str) -> Image.Image:
    """What happens to a film on its way into another set; re-encoding is the caller's to do."""
    if change == "smaller":
        return image.resize((image.width * 5 // 8, image.height * 5 // 8), Image.Resampling.LANCZOS)
    if change == "wider":
        return image.resize((image.width * 2, image.height), Image.Resampling.BICUBIC)
    if change == "brighter":
        return ImageEnhance.Brightness(image).enhance(1.15)
    if change == "contrast":
        return ImageEnhance.Contrast(image).enhance(0.75)
    return image.convert("RGB") if change == "colour" else image


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Mapping[str, object]]) -> None:
    """A table; cells that a row does not name are empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(header), restval="")
        writer.writeheader()
        writer.writerows(rows)


def xray(filename: str, patient: object = "1", **cells: object) -> dict[str, object]:
    """A row of covid-chestxray's metadata with the usual values."""
    usual = {"finding": "COVID-19", "view": "PA", "modality": "X-ray", "folder": "images"}
    return usual | {"filename": filename, "patientid": patient, "license": "CC BY 4.0"} | cells


def chestxray(
    root: Path, films: Mapping[int | None, dict[str, object]] | list[tuple[int | None, dict]]
) -> None:
    """covid-chestxray with these rows; the key of a row draws its film, None leaves the file out."""
    folder = root / "covid-chestxray-dataset"
    pairs = list(films.items()) if isinstance(films, Mapping) else films
    write_csv(folder / "metadata.csv", CHESTXRAY, [row for _, row in pairs])
    (folder / "images").mkdir(exist_ok=True)
    for key, row in pairs:
        if key is not None:
            save(folder / "images" / str(row["filename"]), key)


def repository(root: Path, films: list[tuple[int, str, int]], view: str = "AP") -> None:
    """covid-19-image-repository of (key, image id, patient)."""
    folder = root / "covid-19-image-repository"
    rows = [
        {"patient_id": patient, "image_id": name, "modality": "DX", "projection": view}
        for _, name, patient in films
    ]
    write_csv(folder / "data.csv", ("patient_id", "image_id", "modality", "projection"), rows)
    for key, name, _ in films:
        save(folder / "png" / f"{name}.png", key)


def radiography(root: Path, keys: Iterable[int], kind: str = "Normal", first: int = 2000) -> None:
    """The class `kind` of radiography; Normal files from number 2,000 on are of the RSNA."""
    folder = root / "COVID-19_Radiography_Dataset" / kind / "images"
    for number, key in enumerate(keys, start=first):
        save(folder / f"{kind}-{number}.png", key, 64)


def kermany(root: Path, keys: Iterable[int], pneumonia: Iterable[int] = ()) -> None:
    """chest_xray with one film per child in train/."""
    folder = root / "chest_xray" / "train"
    for number, key in enumerate(keys, start=1):
        save(folder / "NORMAL" / f"IM-{number:04d}-0001.jpeg", key, 64)
    for number, key in enumerate(pneumonia, start=1):
        save(folder / "PNEUMONIA" / f"person{number}_virus_{number}.jpeg", key, 64)


def usual(root: Path) -> Path:
    """60 Hannover films of 30 patients, 50 of covid-chestxray of 25, 100 normals of radiography."""
    repository(root, [(n, f"h{n:03d}", n // 2) for n in range(60)])
    licences = ("CC BY 4.0", "CC BY-NC-SA 4.0", "CC0", "")
    covid = [(1000 + n, xray(f"c{n:03d}.png", n // 2, license=licences[n // 2 % 4])) for n in range(50)]
    chestxray(
        root,
        [
            *covid,
            (2000, xray("side.png", 3, view="L")),
            (2001, xray("slice.png", 4, modality="CT", view="Axial")),
            (2002, xray("where.png", 5, view="")),
            (None, xray("gone.png", 6)),
        ],
    )
    radiography(root, range(5000, 5100))
    return root


def pixels(path: Path) -> npt.NDArray[np.uint8]:
    """The grey values of a file."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


APPEARANCES = (
    "Negative for Pneumonia",
    "Typical Appearance",
    "Indeterminate Appearance",
    "Atypical Appearance",
)


def siim(root: Path, films: Iterable[tuple[int, int, int]], side: int = 96) -> Path:
    """siim-covid19-detection of (key, patient, index of the appearance), as DICOM, a study for each film."""
    folder = root / "siim-covid19-detection"
    studies, images = [], []
    for key, patient, appearance in films:
        study, image = f"study{key:05d}", f"image{key:05d}"
        flags = {name: int(index == appearance) for index, name in enumerate(APPEARANCES)}
        studies.append({"id": f"{study}_study", **flags})
        box = "none 1 0 0 1 1" if appearance == 0 else "opacity 1 10 10 40 40 opacity 1 50 10 80 40"
        images.append({"id": f"{image}_image", "boxes": "", "label": box, "StudyInstanceUID": study})
        pixels_of = np.asarray(film(key, side))
        path = folder / "train" / study / "series" / f"{image}.dcm"
        dicom_file(path, pixels_of, PatientID=f"p{patient:03d}", StudyInstanceUID="1.2", Modality="DX")
    write_csv(folder / "train_study_level.csv", ("id", *APPEARANCES), studies)
    write_csv(folder / "train_image_level.csv", ("id", "boxes", "label", "StudyInstanceUID"), images)
    return folder


def bimcv(root: Path, part: str, films: Iterable[tuple[int, int, str, str]]) -> Path:
    """A part of BIMCV-COVID19 of (key, patient, view, findings as the table prints them), a session each."""
    folder = root / "BIMCV-COVID19" / part
    lines = ["PatientID\tReportID\tLabels"]
    for key, patient, view, findings in films:
        name = f"sub-S{patient:05d}_ses-E{key:05d}_run-1_bp-chest_vp-{view}_dx"
        place = folder / f"sub-S{patient:05d}" / f"ses-E{key:05d}" / "mod-rx"
        save(place / f"{name}.png", key)
        header = {"00280004": {"vr": "CS", "Value": ["MONOCHROME2"]}}
        (place / f"{name}.json").write_text(json.dumps(header))
        lines.append(f"sub-S{patient:05d}\tses-E{key:05d}\t{findings}")
    (folder / "derivatives/labels").mkdir(parents=True)
    (folder / "derivatives/labels/labels.tsv").write_text("\n".join([*lines, ""]))
    return folder
