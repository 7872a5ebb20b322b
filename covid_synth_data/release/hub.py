"""Releases on the Hub, or on a mirror named by HF_ENDPOINT: their versions, fetched once, checked once.

A version is the tag vX.Y.Z and never changes, so what is in the cache of `huggingface_hub` under a tag is
used without asking the network. Before a file is used the first time its content is compared with the
manifest of its tag; a file that differs is removed, so that the next call fetches it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from covid_synth_data.errors import CorruptRelease, HubError, OutputError, ReleaseError
from covid_synth_data.files.atomic import output_errors, write_text
from covid_synth_data.files.cache import cache_folder
from covid_synth_data.release import manifest, shards
from covid_synth_data.release.verification import HASHED, Difference, difference

LATEST: Final = "latest"

FETCHED: Final = 8
"""Files that are fetched at a time."""

_VERSION: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", re.ASCII)
_LOG: Final = logging.getLogger(__name__)


def ascending(tags: Iterable[str]) -> list[str]:
    """The versions among `tags` (vX.Y.Z alone; other tags are none of ours), oldest first."""
    return sorted(
        (tag[1:] for tag in tags if tag[:1] == "v" and _VERSION.fullmatch(tag[1:])), key=manifest.order
    )


def versions(repo: str) -> list[str]:
    """The versions that the dataset repository `repo` has published, oldest first. Raises `HubError`."""
    from huggingface_hub import HfApi

    with explained(f"the versions of {repo} cannot be read"):
        return ascending(tag.name for tag in HfApi().list_repo_refs(repo, repo_type="dataset").tags)


def resolve(repo: str, version: str | None, subsets: Iterable[str] = ()) -> str:
    """The version that is meant: itself, or for None and "latest" the newest one published.

    Without a network the newest in the cache that has `subsets`. Raises `HubError`, `ReleaseError`.
    """
    if version not in (None, LATEST):
        assert version is not None  # noqa: S101 - for the type checker
        if not _VERSION.fullmatch(version):
            raise ReleaseError(
                f"{version!r} is no version", expected="X.Y.Z, or latest", hint="leave the leading v out"
            )
        return version
    try:
        published = versions(repo)
    except HubError as error:
        cached = _cached_versions(repo, subsets)
        if not cached or not error.unreachable:
            raise
        _LOG.warning("%s cannot be asked for its versions; %s is the newest in the cache", repo, cached[-1])
        return cached[-1]
    if not published:
        raise ReleaseError(f"{repo} has no version", expected="a tag vX.Y.Z", hint="publish one first")
    return published[-1]


@dataclass(frozen=True)
class Snapshot:
    """A version, or the part of it that was asked for, in the cache of `huggingface_hub`."""

    folder: Path
    listed: manifest.Manifest

    def files(self, subsets: Iterable[str], others: Iterable[str] = ()) -> list[manifest.File]:
        """The shards of the subsets, and the other files whose path begins with one of `others`."""
        starts = tuple(others)
        more = [file for file in self.listed.files if not file.subset and file.path.startswith(starts)]
        return [file for subset in dict.fromkeys(subsets) for file in shards.of(self.listed, subset)] + more

    def holds(self, subsets: Iterable[str], others: Iterable[str] = ()) -> bool:
        """Whether all these files are there."""
        return all((self.folder / file.path).is_file() for file in self.files(subsets, others))


def fetch(repo: str, version: str, subsets: Iterable[str] = (), others: Iterable[str] = ()) -> Snapshot:
    """The manifest of a version and the files asked for, fetched where they are not in the cache.

    They are the shards of `subsets`, and the other files whose path begins with one of `others`. An
    interrupted call fetches only the rest when called again. Raises `ReleaseError` when the version is not
    published, `CorruptRelease` when a file is not as its manifest says, `HubError` when the Hub cannot be
    reached.
    """
    snapshot = _in_cache(repo, version)
    if snapshot is None:
        snapshot = _snapshot(repo, _download(repo, version, f"v{version}", manifest.NAME))
    if snapshot.listed.version != version:
        raise CorruptRelease(
            f"the tag v{version} of {repo} holds another version",
            found=snapshot.listed.version,
            expected=version,
            hint="tell who published it, and take another version",
        )
    _obtain(repo, snapshot, snapshot.files(subsets, tuple(others)))
    return snapshot


def _in_cache(repo: str, version: str) -> Snapshot | None:
    """The version as far as it is in the cache; None without its manifest."""
    from huggingface_hub import try_to_load_from_cache

    with explained(f"{repo} cannot be a repository"):
        path = try_to_load_from_cache(repo, manifest.NAME, revision=f"v{version}", repo_type="dataset")
    return _snapshot(repo, Path(path)) if isinstance(path, str) else None


def _snapshot(repo: str, path: Path) -> Snapshot:
    """The snapshot with the manifest at `path`, which stays in the cache only if it is what was published."""
    digest, expected = _hashes(repo, path)
    if digest != expected:
        _discard(path)
        raise CorruptRelease(
            f"{manifest.NAME} of {repo} is not what was published",
            found=digest[:12],
            expected=expected[:12],
            hint="the file was removed; load again to fetch it again",
        )
    return Snapshot(path.parent, manifest.read(path.parent))


def _hashes(repo: str, path: Path) -> tuple[str, str]:
    """The hash of the manifest at `path`, and the hash that the Hub states.

    The cache names content by the Hub's hash and links to it; where it cannot link, the Hub is asked.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    expected = path.resolve().name
    if expected == path.name:
        with explained(f"{repo} cannot be asked for the hash of its {path.name}"):
            infos = HfApi().get_paths_info(repo, [path.name], revision=path.parent.name, repo_type="dataset")
        expected = next((i.lfs.sha256 if i.lfs else i.blob_id for i in infos if isinstance(i, RepoFile)), "")
    content = path.read_bytes()
    return hashlib.sha256(content).hexdigest() if len(expected) == 64 else git_hash(content), expected


def _download(repo: str, version: str, revision: str, path: str) -> Path:
    """One file into the cache of `huggingface_hub`."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RevisionNotFoundError

    with explained(f"{path} of {repo} v{version} cannot be fetched"):
        try:
            return Path(hf_hub_download(repo, path, revision=revision, repo_type="dataset"))
        except RevisionNotFoundError as error:
            there = ", ".join(versions(repo)) or "none"
            raise ReleaseError(
                f"{repo} has no version {version}",
                found=there,
                expected="a published version",
                hint="leave version out for the newest",
            ) from error
        except EntryNotFoundError as error:
            if isinstance(error, LocalEntryNotFoundError):  # no network
                raise
            raise ReleaseError(
                f"{repo} v{version} is not a release",
                found=f"no {path}",
                expected=f"a file {path}",
                hint="check the name of the repository",
            ) from error


def cached_folders(repo: str) -> list[Path]:
    """The folders of the versions of `repo` that are in the cache, as far as they are there, oldest first."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    home = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="dataset")
    tags = [f"v{version}" for version in ascending(ref.name for ref in (home / "refs").glob("v*"))]
    try:
        commits = [(home / "refs" / tag).read_text(encoding="utf-8").strip() for tag in tags]
    except OSError:
        return []
    return [home / "snapshots" / commit for commit in commits]


def _cached_versions(repo: str, subsets: Iterable[str]) -> list[str]:
    wanted = tuple(subsets)
    snapshots = (
        Snapshot(folder, manifest.read(folder))
        for folder in cached_folders(repo)
        if (folder / manifest.NAME).is_file()
    )
    return [snapshot.listed.version for snapshot in snapshots if snapshot.holds(wanted)]


def git_hash(content: bytes) -> str:
    """The name that git and the Hub give a file of this content that is not stored as a large one."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _obtain(repo: str, snapshot: Snapshot, files: list[manifest.File], *, again: bool = False) -> None:
    """Fetch each file that is not there and compare it with the manifest.

    Not `again`, where that was done and the file has not been touched since. A file is hashed while others
    are still on their way.
    """
    notes = cache_folder() / "checked" / f"{snapshot.folder.name}.json"
    before = _read_notes(notes)

    def get(file: manifest.File) -> None:
        if not (snapshot.folder / file.path).is_file():
            _download(repo, snapshot.listed.version, snapshot.folder.name, file.path)

    def check(file: manifest.File) -> Difference | None:
        path = snapshot.folder / file.path
        known = not again and before.get(file.path) == _mark(path, file)
        return None if known else difference(snapshot.folder, file)

    with ThreadPoolExecutor(FETCHED) as fetching, ThreadPoolExecutor(HASHED) as hashing:
        arrived = zip(files, fetching.map(get, files), strict=True)
        checks = {file.path: hashing.submit(check, file) for file, _ in arrived}
    problems = {path: future.result() for path, future in checks.items()}
    bad = {path: problem for path, problem in problems.items() if problem}
    good = {file.path: _mark(snapshot.folder / file.path, file) for file in files if file.path not in bad}
    for path in bad:
        _discard(snapshot.folder / path)
    if good.items() - before.items():
        try:
            write_text(notes, json.dumps({**before, **good}))
        except OutputError as error:  # the release is whole all the same; it is checked again next time
            _LOG.warning("what was checked cannot be noted and will be checked again: %s", error)
    for path, (found, expected) in bad.items():
        raise CorruptRelease(
            f"{path} of {repo} is not as released",
            found=found,
            expected=expected,
            hint="the file was removed; load again to fetch it again",
        )


def check_again(repo: str, snapshot: Snapshot, files: list[manifest.File]) -> None:
    """Compare files with the manifest, every byte, whatever was noted of them before.

    One that differs is removed, so that the next call fetches it again. Raises `CorruptRelease`.
    """
    _obtain(repo, snapshot, files, again=True)


def _mark(path: Path, file: manifest.File) -> str:
    """The state of a file when its content was that of the manifest."""
    status = path.stat()
    return f"{status.st_size}|{status.st_mtime_ns}|{file.sha256}"


def _read_notes(path: Path) -> dict[str, str]:
    """The files that were checked before; notes that cannot be read cost a second check and nothing else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in content.items()} if isinstance(content, dict) else {}


def _discard(path: Path) -> None:
    """Take a bad file out of the cache: the entry of the snapshot and what it points to."""
    with output_errors(path):
        content = path.resolve()
        path.unlink(missing_ok=True)
        content.unlink(missing_ok=True)


def failures() -> tuple[type[Exception], ...]:
    """The errors of the client of the Hub: answers, connections, files, names and contents it refuses, and
    what comes of an answer that is not of the form that it expects."""
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    return (HTTPError, OSError, ValueError, RuntimeError, *_OTHER_FORM)


_OTHER_FORM: Final = (LookupError, TypeError, AttributeError)


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Failures of the client of the Hub become one line; `what` says what could not be done."""
    try:
        yield
    except failures() as error:
        raise refusal(error, what) from error


def refusal(error: BaseException, what: str) -> ReleaseError | OutputError:
    """The one line for a failure of the client of the Hub; `what` says what could not be done."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError

    causes = list(_causes(error))
    answer = next((cause for cause in causes if isinstance(cause, HfHubHTTPError)), None)
    host = urlsplit(constants.ENDPOINT).netloc.rpartition("@")[2]
    if answer is not None and answer.response is not None:
        said = answer.response.headers.get("X-Error-Message") or ""
        if answer.response.status_code == 400 and not said:
            said = str(error)
        return _answered(answer.response.status_code, said, what, host)
    kinds = {base.__name__ for cause in causes for base in type(cause).__mro__}
    unreachable = bool(kinds & {"TransportError", "ConnectionError", "TimeoutError"})
    disk = next((cause for cause in causes if isinstance(cause, OSError) and cause.errno), None)
    if disk is not None and not unreachable:
        return OutputError(
            what,
            found=str(disk.strerror).lower(),
            expected="a cache that can be written, with enough room",
            hint="free some space, or let HF_HOME name another folder",
        )
    if constants.HF_HUB_OFFLINE:
        return HubError(
            what,
            found="HF_HUB_OFFLINE is set",
            expected="a copy in the cache, or a network",
            hint="unset HF_HUB_OFFLINE, or give root= a release folder",
            unreachable=True,
        )
    if any(isinstance(cause, (*_OTHER_FORM, json.JSONDecodeError)) for cause in causes):
        return HubError(
            what,
            found=f"a damaged answer of {host} ({type(error).__name__}: {error})"[:200],
            expected="JSON in the form of the Hub",
            hint="check HF_ENDPOINT and any proxy between, then run the same again",
            unreachable=True,
        )
    said = next((line for cause in reversed(causes) for line in str(cause).splitlines() if line.strip()), "")
    return HubError(
        what,
        found=(said or type(error).__name__)[:200],
        expected=f"an answer of {host}, or a copy in the cache" if unreachable else None,
        hint="check the network and HF_ENDPOINT, then run the same again; root= reads a release folder",
        unreachable=unreachable,
    )


def _causes(error: BaseException) -> Iterable[BaseException]:
    """The error and what it came of. What its raiser hid (`from None`) says nothing of the cause: within a
    JSON error it is a number, the place where the text ended."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


_ANSWERS: Final = {
    400: ("a request that it takes", "mend what it names, and release again"),
    401: (
        "a repository that is there and a token that may use it",
        "check the name; for a private repository `hf auth login` or set HF_TOKEN",
    ),
    403: ("a token that may write there", "take a token with write access to this repository"),
    404: ("a repository that is there and a token that may use it", "check the name and HF_ENDPOINT"),
    412: ("that nobody pushes meanwhile", "nothing was overwritten; look at what was pushed, then run again"),
    429: ("fewer requests", "wait a few minutes and run the same again"),
}


def _answered(status: int, said: str, what: str, host: str) -> HubError:
    """The line for an answer of the Hub that is no success; `said` is its own explanation."""
    default = ("an answer that is no failure", "run the same again in a while")
    expected, hint = _ANSWERS.get(status, default)
    answer = f"answer {status} of {host}" + (f" ({' '.join(said.split())[:200].rstrip('.')})" if said else "")
    return HubError(what, found=answer, expected=expected, hint=hint, unreachable=status >= 500)
