"""The Hub's endpoints: paths, JSON shapes, headers and error codes, as the clients expect them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

import yaml

from tests.hub.store import LFS_SIZE, LFS_SUFFIXES, Commit, Entry, Refused, Repo

if TYPE_CHECKING:
    from tests.hub.server import Body, Hub

DATE = "2026-01-01T00:00:00.000Z"


@dataclass
class Answer:
    """Content is bytes, or a file of the store that is sent as it is."""

    status: int = 200
    content: bytes | Path = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)


def as_json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(
        status, json.dumps(content).encode(), {"Content-Type": "application/json"} | (headers or {})
    )


@dataclass
class Call:
    """One request to an endpoint."""

    hub: Hub
    headers: Message
    query: dict[str, list[str]]
    body: Body

    def json(self) -> Any:
        return json.loads(self.body.all())

    @property
    def right(self) -> str | None:
        """What the token allows: "read", "write", None without a token."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not token:
            return None
        if token not in self.hub.tokens:
            raise Refused(401, "Invalid credentials in Authorization header")
        return self.hub.tokens[token]

    def repo(self, name: str, write: bool = False) -> Repo:
        """The repository, if the caller may see it and, with `write`, change it."""
        right, repo = self.right, self.hub.store.repos.get(name)
        if repo is None or (repo.private and right is None):
            if right is None:
                raise Refused(401, "Invalid username or password.", "RepoNotFound")
            raise Refused(404, "Repository not found", "RepoNotFound")
        if write and right is None:
            raise Refused(401, "Invalid username or password.")
        if write and right != "write":
            raise Refused(403, "You don't have the rights to write to this repository")
        return repo


def whoami(call: Call) -> Answer:
    if call.right is None:
        raise Refused(401, "Invalid username or password.")
    return as_json(
        {
            "type": "user",
            "id": "1",
            "name": "tester",
            "fullname": "Tester",
            "email": None,
            "orgs": [],
            "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": call.right}},
        }
    )


def create(call: Call) -> Answer:
    if call.right != "write":
        raise Refused(403 if call.right else 401, "You don't have the rights to create a repository here")
    asked = call.json()
    assert asked["type"] == "dataset", asked
    name = f"{asked.get('organization') or 'tester'}/{asked['name']}"
    private = asked.get("visibility") == "private" or bool(asked.get("private"))
    content = {"url": f"{call.hub.url}/datasets/{name}", "name": name, "id": "1"}
    try:
        call.hub.store.create(name, private)
    except Refused as refused:
        return as_json(content | {"error": refused.message}, refused.status)
    return as_json(content)


def validate_yaml(call: Call) -> Answer:
    text = call.json()["content"]
    try:
        front = yaml.safe_load(text.split("---")[1]) if text.startswith("---") else {}
        if not isinstance(front, dict):
            raise yaml.YAMLError("metadata must be a mapping")
    except yaml.YAMLError as error:
        return as_json({"errors": [{"message": str(error)}], "warnings": []}, 400)
    return as_json({"errors": [], "warnings": []})


def info(call: Call, name: str, revision: str = "") -> Answer:
    repo = call.repo(name)
    commit = repo.resolve(revision or "main")
    return as_json(
        {
            "_id": "1",
            "id": name,
            "author": name.partition("/")[0],
            "sha": commit.oid,
            "private": repo.private,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "createdAt": DATE,
            "lastModified": DATE,
            "siblings": [{"rfilename": path} for path in sorted(commit.files)],
        }
    )


def refs(call: Call, name: str) -> Answer:
    repo = call.repo(name)
    listed: dict[str, Any] = {"branches": [], "converts": [], "tags": [], "pullRequests": []}
    for ref, oid in sorted(repo.refs.items()):
        kind, _, short = ref.partition("/")
        listed["branches" if kind == "heads" else "tags"].append(
            {"name": short, "ref": f"refs/{ref}", "targetCommit": oid}
        )
    return as_json(listed)


def _expanded(call: Call, commit: Commit, listed: dict[str, Any], expand: bool) -> dict[str, Any]:
    if expand:
        listed["lastCommit"] = {"id": commit.oid, "title": commit.title, "date": DATE}
        status = {"status": "safe", "avScan": None, "pickleImportScan": None}
        listed["securityFileStatus"] = status if listed["type"] == "file" else None
    return listed


def _folders(files: dict[str, Entry]) -> set[str]:
    return {parent.as_posix() for path in files for parent in Path(path).parents} - {"."}


def _folder_info(path: str) -> dict[str, Any]:
    return {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}


def tree(call: Call, name: str, revision: str, below: str = "") -> Answer:
    commit = call.repo(name).resolve(revision)
    folders = _folders(commit.files)
    if below and below not in folders:
        raise Refused(404, f"{below} does not exist", "EntryNotFound", commit.oid)
    prefix = f"{below}/" if below else ""
    recursive = call.query.get("recursive", [""])[0].lower() == "true"
    expand = call.query.get("expand", [""])[0].lower() == "true"
    names = [path for path in sorted({*commit.files, *folders}) if path.startswith(prefix)]
    if not recursive:
        names = [path for path in names if "/" not in path.removeprefix(prefix)]
    start = int(call.query.get("cursor", ["0"])[0])
    end = start + call.hub.page
    listed = [
        _expanded(
            call,
            commit,
            commit.files[path].info(path) if path in commit.files else _folder_info(path),
            expand,
        )
        for path in names[start:end]
    ]
    headers = {}
    if end < len(names):
        where = f"{call.hub.url}/api/datasets/{name}/tree/{quote(revision, safe='')}" + (
            f"/{quote(below)}" if below else ""
        )
        options = f"recursive={recursive}&expand={expand}&cursor={end}"
        headers["Link"] = f'<{where}?{options}>; rel="next"'
    return as_json(listed, headers=headers)


def paths_info(call: Call, name: str, revision: str) -> Answer:
    commit = call.repo(name).resolve(revision)
    content = call.body.all()
    if "json" in call.headers.get("Content-Type", ""):
        asked = json.loads(content)
        paths, expand = asked["paths"], bool(asked.get("expand"))
    else:
        form = parse_qs(content.decode())
        paths, expand = form.get("paths", []), form.get("expand", [""])[0].lower() == "true"
    folders = _folders(commit.files)
    listed = [commit.files[path].info(path) for path in paths if path in commit.files]
    listed += [_folder_info(path) for path in paths if path in folders]
    return as_json([_expanded(call, commit, one, expand) for one in listed])


def commits(call: Call, name: str, revision: str) -> Answer:
    history = call.repo(name).history(revision)
    return as_json(
        [{"id": c.oid, "title": c.title, "message": "", "date": DATE, "authors": []} for c in history]
    )


def preupload(call: Call, name: str, revision: str) -> Answer:
    commit = call.repo(name, write=True).resolve(revision)
    answers = []
    for file in call.json()["files"]:
        path, there = file["path"], commit.files.get(file["path"])
        large = (
            path.endswith(LFS_SUFFIXES)
            or file["size"] > LFS_SIZE
            or b"\0" in base64.b64decode(file["sample"])
        )
        answers.append(
            {
                "path": path,
                "uploadMode": "lfs" if large else "regular",
                "shouldIgnore": False,
                "oid": there.etag if there else None,
            }
        )
    return as_json({"files": answers, "commitOid": commit.oid})


def batch(call: Call, name: str) -> Answer:
    call.repo(name, write=True)
    asked = call.json()
    assert asked["operation"] == "upload", asked
    objects = []
    for one in asked["objects"]:
        oid = one["oid"]
        answer: dict[str, Any] = {"oid": oid, "size": one["size"]}
        if not call.hub.store.path(oid).is_file():
            answer["actions"] = {
                "upload": {"href": f"{call.hub.cdn}/lfs/{oid}?signature={call.hub.sign('put ' + oid)}"},
                "verify": {"href": f"{call.hub.url}/datasets/{name}.git/info/lfs/objects/verify"},
            }
        objects.append(answer)
    return as_json({"transfer": "basic", "objects": objects})


def put_large(call: Call, oid: str) -> Answer:
    """The bucket behind the Hub: a signed address instead of a token."""
    if "Authorization" in call.headers:
        call.hub.errors.append("a token was sent to the bucket")
    if call.query.get("signature") != [call.hub.sign("put " + oid)]:
        raise Refused(403, "SignatureDoesNotMatch")
    size = int(call.headers.get("Content-Length") or 2**40)
    call.hub.store.put_large(oid, size, call.body.read, exact="Content-Length" in call.headers)
    call.body.all()
    return Answer(200)


def verify_large(call: Call, name: str) -> Answer:
    call.repo(name, write=True)
    asked = call.json()
    if call.hub.store.large(asked["oid"]).size != asked["size"]:
        raise Refused(400, "another size")
    return as_json({})


def commit(call: Call, name: str, revision: str) -> Answer:
    repo = call.repo(name, write=True)
    lines = [json.loads(line) for line in call.body.all().splitlines()]
    assert lines[0]["key"] == "header", lines[0]
    operations = []
    for line in lines[1:]:
        value = dict(line["value"])
        if line["key"] == "file":
            assert value["encoding"] == "base64", value["encoding"]
            value["content"] = base64.b64decode(value["content"])
        operations.append((line["key"], value))
    made = call.hub.store.commit(repo, revision, lines[0]["value"], operations)
    url = f"{call.hub.url}/datasets/{name}/commit/{made.oid}"
    return as_json({"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""})


def add_branch(call: Call, name: str, ref: str) -> Answer:
    asked = call.json()
    start = asked.get("startingPoint") or "main"
    call.hub.store.add_ref(call.repo(name, write=True), f"heads/{ref}", start)
    return as_json({}, 201)


def add_tag(call: Call, name: str, revision: str) -> Answer:
    call.hub.store.add_ref(call.repo(name, write=True), f"tags/{call.json()['tag']}", revision)
    return as_json({}, 201)


def remove_tag(call: Call, name: str, ref: str) -> Answer:
    call.hub.store.remove_ref(call.repo(name, write=True), f"tags/{ref}")
    return as_json({})


def resolve(call: Call, name: str, revision: str, path: str) -> Answer:
    found, entry = call.repo(name).entry(revision, path)
    headers = {"X-Repo-Commit": found.oid, "ETag": f'"{entry.oid}"', "Accept-Ranges": "bytes"}
    if entry.sha256 is None:
        return Answer(200, call.hub.store.path(entry.oid), headers)
    signature = call.hub.sign("get " + entry.sha256)
    headers |= {
        "X-Linked-Etag": f'"{entry.sha256}"',
        "X-Linked-Size": str(entry.size),
        "Location": f"{call.hub.cdn}/cdn/{entry.sha256}?signature={signature}",
    }
    return Answer(302, b"", headers)


def get_large(call: Call, oid: str) -> Answer:
    """The CDN behind the Hub."""
    if "Authorization" in call.headers:
        call.hub.errors.append("a token was sent to the CDN")
    if call.query.get("signature") != [call.hub.sign("get " + oid)]:
        raise Refused(403, "SignatureDoesNotMatch")
    return Answer(200, call.hub.store.path(oid), {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"})


NAME = r"(?P<name>[^/]+/[^/]+)"
REVISION = r"(?P<revision>[^/]+)"
API = f"/api/datasets/{NAME}"
LFS = r"/datasets/(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects"

ROUTES = [
    ("GET", "/api/whoami-v2", whoami),
    ("POST", "/api/repos/create", create),
    ("POST", "/api/validate-yaml", validate_yaml),
    ("GET", f"{API}/refs", refs),
    ("GET", f"{API}/tree/{REVISION}(/(?P<below>.+))?", tree),
    ("GET", f"{API}/commits/{REVISION}", commits),
    ("GET", f"{API}/revision/{REVISION}", info),
    ("GET", API, info),
    ("POST", f"{API}/paths-info/{REVISION}", paths_info),
    ("POST", f"{API}/preupload/{REVISION}", preupload),
    ("POST", f"{API}/commit/{REVISION}", commit),
    ("POST", f"{API}/branch/(?P<ref>[^/]+)", add_branch),
    ("POST", f"{API}/tag/{REVISION}", add_tag),
    ("DELETE", f"{API}/tag/(?P<ref>[^/]+)", remove_tag),
    ("POST", f"{LFS}/batch", batch),
    ("POST", f"{LFS}/verify", verify_large),
    ("PUT", "/lfs/(?P<oid>[0-9a-f]{64})", put_large),
    ("GET", f"/datasets/{NAME}/resolve/{REVISION}/(?P<path>.+)", resolve),
    ("GET", "/cdn/(?P<oid>[0-9a-f]{64})", get_large),
]
"""Method, path and function; HEAD goes where GET does."""
