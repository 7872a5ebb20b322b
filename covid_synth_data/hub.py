"""Released datasets: found in a folder or on the Hub, loaded with `datasets`, verified by their manifest."""

from __future__ import annotations

import errno
import hashlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from covid_synth_data import catalog, manifest
from covid_synth_data.errors import CorruptRelease, CovidSynthError, OutputError, ReleaseError, UnknownName

if TYPE_CHECKING:
    import datasets

_CANNOT_WRITE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG)


def entry(name: str, config: str | None = None) -> catalog.DatasetEntry:
    """The catalog entry of a config; the default config where `config` is None. Raises `UnknownName`."""
    configs = {item.config: item for item in catalog.DATASETS if item.dataset == name}
    if not configs:
        raise UnknownName("dataset", name, {item.dataset for item in catalog.DATASETS})
    if config is None:
        return next((item for item in configs.values() if item.default), next(iter(configs.values())))
    if config not in configs:
        raise UnknownName(f"config of {name}", config, configs)
    return configs[config]


def load_dataset(
    name: str,
    config: str | None = None,
    split: str = "train",
    version: str | None = None,
    root: str | Path | None = None,
    streaming: bool = False,
) -> datasets.Dataset:
    """A config of a released dataset, in `schema.SYNTHETIC_COLUMNS`, images decoded when they are read.

    `root` is a release folder, or a folder that holds one named `name`; without it the Hub repository of
    `catalog.REPOSITORIES` is read, at the tag v`version` (None: its newest). With `streaming` the result is
    a `datasets.IterableDataset` that reads shards as it goes. Raises `UnknownName`, `ReleaseError` when the
    version or config is not there, `CorruptRelease` when files of the config are missing or cut short.
    """
    import datasets
    import yaml

    chosen = entry(name, config)
    if split != "train":
        raise UnknownName("split", split, ["train"])
    if root is None:
        return _from_hub(name, chosen.config, version, streaming)
    folder = _folder(Path(root), name)
    listed = manifest.read(folder)
    if version is not None and version != listed.version:
        raise ReleaseError(
            f"{folder} is another version", found=listed.version, expected=version,
            hint="leave version out, or give the folder of that version",
        )  # fmt: skip
    missing = [subset for subset in chosen.subsets if subset not in listed.subsets]
    if missing:
        raise ReleaseError(
            f"{folder} does not hold the config {chosen.config!r}",
            found="subsets " + ", ".join(sorted(listed.subsets)), expected=", ".join(chosen.subsets),
            hint="release the missing subset into the same folder, or load one that is there",
        )  # fmt: skip
    _check_sizes(folder, listed, chosen.subsets)
    # Besides raising, datasets logs a shard that it cannot read; the error below says it once.
    logging.getLogger("datasets.packaged_modules.parquet.parquet").setLevel(logging.CRITICAL)
    try:
        return datasets.load_dataset(str(folder), chosen.config, split=split, streaming=streaming)
    except (OSError, ValueError, yaml.YAMLError, datasets.exceptions.DatasetsError) as error:
        raise _unreadable(folder, chosen.config, error) from error


def _folder(root: Path, name: str) -> Path:
    """`root` itself or `root`/`name`, whichever has a manifest (`root` where neither has, for the error)."""
    below = root / name
    return below if not (root / manifest.NAME).is_file() and below.is_dir() else root


def _unreadable(folder: Path, config: str, error: Exception) -> CovidSynthError:
    """The error for a config that `datasets` could not read, or could not keep in its cache."""
    import datasets

    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, OSError) and cause.errno in _CANNOT_WRITE:
        return OutputError(
            f"cannot write to the cache {datasets.config.HF_DATASETS_CACHE}",
            found=(cause.strerror or str(cause)).lower(), expected="a writable place with enough room",
            hint="free some space, or let HF_DATASETS_CACHE name another folder",
        )  # fmt: skip
    return CorruptRelease(
        f"the config {config!r} of {folder} cannot be read",
        found=(str(cause).splitlines() or [type(cause).__name__])[0], expected="the files as released",
        hint=f"covid-synth verify {folder} says which file differs; fetch the release again",
    )  # fmt: skip


def _from_hub(name: str, config: str, version: str | None, streaming: bool) -> Any:
    import datasets
    from huggingface_hub.errors import HfHubHTTPError

    repository = catalog.REPOSITORIES[name]
    revision = f"v{version}" if version else None
    try:
        return datasets.load_dataset(
            repository, config, split="train", revision=revision, streaming=streaming
        )
    except (OSError, ValueError, HfHubHTTPError, datasets.exceptions.DatasetsError) as error:
        raise ReleaseError(
            f"{repository} {revision or '(newest)'} cannot be read from the Hub",
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
            expected="a published version and a network, or a copy in the cache",
            hint="give root= a release folder to read a local one",
        ) from error


def _check_sizes(folder: Path, listed: manifest.Manifest, subsets: tuple[str, ...]) -> None:
    """The quick part of `verify`, done on every load: each shard is there and has its size."""
    for file in listed.files:
        if file.subset in subsets:
            path = folder / file.path
            found = path.stat().st_size if path.is_file() else None
            if found != file.size:
                raise CorruptRelease(
                    f"{path} is not as released", found="no file" if found is None else f"{found} bytes",
                    expected=f"{file.size} bytes", hint="fetch the release again, or run covid-synth verify",
                )  # fmt: skip


@dataclass
class Report:
    """What `verify` found: files and bytes read, and one line per problem (none: the release is whole)."""

    files: int = 0
    size: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """True when nothing is wrong."""
        return not self.problems


def verify(folder: str | Path, progress: Callable[[int, int], None] | None = None) -> Report:
    """Check every byte and every count of a release against its manifest, reading each file once.

    `progress` gets (bytes read, all bytes). Finds changed, missing, cut and added files, symbolic links, and
    row counts that differ between shards and manifest. Raises `ReleaseError` when `folder` is no release.
    """
    folder = Path(folder)
    listed = manifest.read(folder)
    report = Report()
    total = sum(file.size for file in listed.files)
    with ThreadPoolExecutor(4) as pool:
        for file, problem in zip(
            listed.files, pool.map(lambda f: _check(folder, f), listed.files), strict=True
        ):
            report.files += 1
            report.size += file.size
            if problem:
                report.problems.append(problem)
            if file.subset:
                report.rows[file.subset] = report.rows.get(file.subset, 0) + (file.rows or 0)
            if progress:
                progress(report.size, total)
    known = {file.path for file in listed.files} | {manifest.NAME}
    report.problems += [
        f"{path.relative_to(folder)}: not in the manifest"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() not in known and not _ignored(path, folder)
    ]
    for name, subset in listed.subsets.items():
        if report.rows.get(name, 0) != subset.rows:
            report.problems.append(f"{name}: found {report.rows.get(name, 0)} rows, expected {subset.rows}")
    return report


def _ignored(path: Path, folder: Path) -> bool:
    """Hidden files and folders (.git, .cache) are no part of a release."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _check(folder: Path, file: manifest.File) -> str | None:
    """What is wrong with one listed file, or None."""
    path = folder / file.path
    if path.is_symlink() or not path.is_file():
        return f"{file.path}: " + ("a symbolic link" if path.is_symlink() else "missing")
    size = path.stat().st_size
    if size != file.size:
        return f"{file.path}: found {size} bytes, expected {file.size}"
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    if digest != file.sha256:
        return f"{file.path}: content differs (sha256 {digest[:12]}, expected {file.sha256[:12]})"
    if file.rows is not None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with path.open("rb") as handle:  # pyarrow opens no path that is not UTF-8
                rows = pq.read_metadata(handle).num_rows
        except (pa.ArrowException, OSError) as error:
            return f"{file.path}: not a parquet file ({str(error).splitlines()[0]})"
        if rows != file.rows:
            return f"{file.path}: found {rows} rows, expected {file.rows}"
    return None
