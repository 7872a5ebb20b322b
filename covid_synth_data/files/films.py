"""Films of real sets for `datasets`: addresses that give, when they are read, an 8-bit upright PNG.

`datasets` decodes a cell by rules of its own: 16-bit files stay 16-bit, DICOM is not read at all. So the cell
of a file that is not plain (`pixels.is_plain`) holds an address instead of the path. Whoever reads the
address gets the film as `pixels.load_grey` decodes it, encoded as PNG: in `dataset[i]["image"]`, in worker
processes, and in bytes that are embedded into a file. Nothing else of the file goes with it, so no header of
a patient does. The scheme is known to fsspec through an entry point of this package.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import fsspec
from PIL import Image

from covid_synth_data import schema
from covid_synth_data.errors import BadImage
from covid_synth_data.files import dicom, nifti, pixels
from covid_synth_data.files.atomic import replacing

if TYPE_CHECKING:
    import datasets

_LEVEL: Final = 1
"""Of compression: films are often read and seldom stored."""

_BATCH: Final = 64


def cells(paths: Iterable[str]) -> list[str]:
    """The cell of each file: its path if Pillow reads the file as it is, otherwise its address.

    Reads headers, no pixels. Raises `MissingExtra` where there are DICOM files and pydicom is not installed.
    """
    fsspec.register_implementation(pixels.ADDRESS, FilmFiles, clobber=True)
    addresses = []
    for path in paths:
        if path.lower().endswith(dicom.DICOM_SUFFIXES):
            dicom.register()
        addresses.append(path if not path or pixels.is_plain(path) else pixels.address_of(path))
    return addresses


class FilmFiles(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """Read-only: a film's address opens as the bytes of an 8-bit upright grey PNG."""

    protocol = pixels.ADDRESS
    cachable = True

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        """The quoted path of the file; a bracket in it stays no pattern."""
        return path.removeprefix(f"{pixels.ADDRESS}://")

    def _open(self, path: str, mode: str = "rb", **options: Any) -> io.BytesIO:
        """Raises `BadImage`."""
        if mode != "rb":
            raise NotImplementedError("films are only read")
        return io.BytesIO(png(pixels.load_grey(pixels.file_of(f"{pixels.ADDRESS}://{path}"))))


def png(grey: pixels.Grey) -> bytes:
    """A grey film (height, width) as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG", compress_level=_LEVEL)
    return buffer.getvalue()


def write_parquet(
    rows: datasets.Dataset, path: str | Path, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write a Dataset as one parquet file that stands alone: `datasets` reads it without any other file.

    It holds every image: the bytes of the image's own file where every reader shows them alike, otherwise an
    upright 8-bit grey PNG. Label maps keep their values. Paths of this machine and headers of DICOM files are
    left out. `progress` gets (rows written, all rows). Raises `BadImage`, `OutputError`.
    """
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = schema.rows(rows).with_format("arrow")
    images = [name for name, kind in rows.features.items() if isinstance(kind, datasets.Image)]
    kinds = {name: datasets.Image(mode=schema.IMAGE_MODE if name == "image" else None) for name in images}
    features = datasets.Features({**rows.features, **kinds})
    with replacing(Path(path)) as temporary, pq.ParquetWriter(temporary, features.arrow_schema) as writer:
        done = 0
        for batch in plain.iter(_BATCH):
            for name in images:
                column = [_embedded(cell, labels=name == "mask") for cell in batch[name].to_pylist()]
                kind = features[name].pa_type
                batch = batch.set_column(batch.column_names.index(name), name, pa.array(column, kind))
            writer.write_table(batch.cast(features.arrow_schema))
            done += len(batch)
            if progress:
                progress(done, len(rows))


def _embedded(cell: dict[str, Any] | None, *, labels: bool) -> dict[str, Any] | None:
    """A cell with its bytes, under the bare name of its file."""
    if cell is None or (cell["bytes"] is None and not cell["path"]):
        return None
    content = cell["bytes"]
    if nifti.is_reference(content):
        return {"bytes": png(nifti.decode(content)), "path": None}
    name = Path(pixels.file_of(cell["path"])).name if cell["path"] else None
    stored = pixels.content_of(cell)
    if labels or _is_plain(cell, content):
        return {"bytes": _read(stored), "path": name}
    return {"bytes": png(pixels.load_grey(cell)), "path": f"{Path(name).stem}.png" if name else None}


def _is_plain(cell: dict[str, Any], content: bytes | None) -> bool:
    """Whether the encoded image goes as it is: readers that convert it to "L" get what `load_grey` gives."""
    if content is not None:
        return not dicom.has_magic(content) and pixels.is_flat(content)
    return not cell["path"].startswith(f"{pixels.ADDRESS}://")


def _read(stored: Path | bytes) -> bytes:
    if isinstance(stored, bytes):
        return stored
    try:
        return stored.read_bytes()
    except OSError as error:
        raise BadImage(
            f"cannot read {stored}",
            found=(error.strerror or str(error)).lower(),
            expected="an image of the source",
            hint="download that part of the source again",
        ) from error
