"""What a Hub keeps: content-addressed objects, immutable commits, branches and tags. No HTTP here."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LFS_SUFFIXES = (".parquet", ".safetensors", ".png", ".jpg", ".bin", ".arrow")
LFS_SIZE = 10 * 2**20


class Refused(Exception):
    """An answer other than success: status, the Hub's error code, a message, whether the repo is known."""

    def __init__(self, status: int, message: str, code: str | None = None, commit: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.commit = status, message, code, commit


@dataclass(frozen=True)
class Entry:
    """A file of a commit: `oid` is git's hash of what git stores, `sha256` that of a large file's content."""

    oid: str
    size: int
    sha256: str | None = None

    @property
    def etag(self) -> str:
        return self.sha256 or self.oid

    def info(self, path: str) -> dict[str, Any]:
        """As `tree` and `paths-info` list it."""
        listed: dict[str, Any] = {"type": "file", "path": path, "size": self.size, "oid": self.oid}
        if self.sha256:
            listed["lfs"] = {"oid": self.sha256, "size": self.size, "pointerSize": 134}
        return listed


@dataclass(frozen=True)
class Commit:
    """Never changed once made."""

    oid: str
    parent: str | None
    title: str
    files: dict[str, Entry]


@dataclass
class Repo:
    """`refs` maps heads/NAME and tags/NAME to commits."""

    name: str
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def resolve(self, revision: str) -> Commit:
        for full in (f"heads/{revision}", f"tags/{revision}", revision.removeprefix("refs/")):
            if full in self.refs:
                return self.commits[self.refs[full]]
        if revision in self.commits:
            return self.commits[revision]
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def entry(self, revision: str, path: str) -> tuple[Commit, Entry]:
        commit = self.resolve(revision)
        if path not in commit.files:
            raise Refused(404, f"{path} does not exist on {revision}", "EntryNotFound", commit.oid)
        return commit, commit.files[path]

    def add_commit(self, branch: str, title: str, files: dict[str, Entry]) -> Commit:
        parent = self.refs.get(f"heads/{branch}")
        content = json.dumps([parent, title, {path: vars(entry) for path, entry in sorted(files.items())}])
        commit = Commit(hashlib.sha1(content.encode()).hexdigest(), parent, title, files)
        self.commits[commit.oid] = commit
        self.refs[f"heads/{branch}"] = commit.oid
        return commit

    def history(self, revision: str) -> list[Commit]:
        """Newest first."""
        found: list[Commit] = []
        oid: str | None = self.resolve(revision).oid
        while oid is not None:
            found.append(self.commits[oid])
            oid = found[-1].parent
        return found


class Store:
    """All repositories; objects lie in `folder`, named by their hash. One lock makes each change atomic."""

    def __init__(self, folder: Path) -> None:
        self.objects = folder / "objects"
        self.objects.mkdir(parents=True, exist_ok=True)
        self.repos: dict[str, Repo] = {}
        self.lock = threading.RLock()

    def clear(self) -> None:
        with self.lock:
            self.repos.clear()
            for path in self.objects.iterdir():
                path.unlink()

    def path(self, etag: str) -> Path:
        return self.objects / etag

    def put_git(self, content: bytes) -> Entry:
        """Keep a small file as git would."""
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        self.path(oid).write_bytes(content)
        return Entry(oid, len(content))

    def put_large(self, sha256: str, size: int, read: Callable[[int], bytes], exact: bool) -> None:
        """Keep a large file once all has come and its hash is `sha256`.

        It has `size` bytes, or where its length was not told (not `exact`) at most as many.
        """
        digest, left = hashlib.sha256(), size
        temporary = self.objects / f"{sha256}.{threading.get_ident()}.part"
        try:
            with temporary.open("wb") as file:
                while left and (chunk := read(min(left, 1 << 20))):
                    digest.update(chunk)
                    file.write(chunk)
                    left -= len(chunk)
            if left and exact:
                raise ConnectionError(f"{left} bytes did not come")
            if digest.hexdigest() != sha256:
                raise Refused(400, f"content is not {sha256}")
            shutil.move(temporary, self.path(sha256))
        finally:
            temporary.unlink(missing_ok=True)

    def large(self, sha256: str) -> Entry:
        path = self.path(sha256)
        if not path.is_file():
            raise Refused(400, f"LFS pointer pointed to a file that does not exist: {sha256}")
        size = path.stat().st_size
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        return Entry(hashlib.sha1(b"blob %d\0" % len(pointer) + pointer).hexdigest(), size, sha256)

    def create(self, name: str, private: bool) -> Repo:
        with self.lock:
            if name in self.repos:
                raise Refused(409, "You already created this dataset repo")
            repo = self.repos[name] = Repo(name, private)
            attributes = "".join(
                f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES
            )
            repo.add_commit("main", "initial commit", {".gitattributes": self.put_git(attributes.encode())})
            return repo

    def commit(
        self, repo: Repo, branch: str, header: dict[str, Any], operations: list[tuple[str, Any]]
    ) -> Commit:
        """Apply the operations of a commit request, all or none."""
        with self.lock:
            if f"heads/{branch}" not in repo.refs:
                raise Refused(404, f"Invalid rev id: {branch}", "RevisionNotFound")
            head = repo.refs[f"heads/{branch}"]
            if header.get("parentCommit") not in (None, head):
                raise Refused(412, f"A commit has happened since. Expected {header['parentCommit']}")
            files = dict(repo.commits[head].files)
            for kind, value in operations:
                path = value["path"]
                if kind == "file":
                    files[path] = self.put_git(value["content"])
                elif kind == "lfsFile":
                    files[path] = self.large(value["oid"])
                elif kind == "deletedFile" and path in files:
                    del files[path]
                elif kind == "deletedFolder":
                    files = {
                        name: e for name, e in files.items() if not name.startswith(path.rstrip("/") + "/")
                    }
                else:
                    raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
            return repo.add_commit(branch, header["summary"], files)

    def add_ref(self, repo: Repo, ref: str, revision: str) -> None:
        with self.lock:
            commit = repo.resolve(revision)
            if ref in repo.refs:
                raise Refused(409, f"Reference already exists: refs/{ref}")
            repo.refs[ref] = commit.oid

    def remove_ref(self, repo: Repo, ref: str) -> None:
        with self.lock:
            if repo.refs.pop(ref, None) is None:
                raise Refused(404, f"no refs/{ref}", "RevisionNotFound")
