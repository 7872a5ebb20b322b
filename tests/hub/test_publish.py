"""Publishing to a Hub over HTTP: what is sent, what is refused, what a second run does."""

from __future__ import annotations

import shutil

import pytest

from tests.hub import releases
from tests.hub.conftest import REPO
from tests.hub.releases import build, content
from tests.hub.server import READER, WRITER

KEPT = ".gitattributes"


def published(hub, version: str) -> dict[str, str]:
    """Path to sha256 of every file at the tag of a version."""
    import hashlib

    files = hub.store.repos[REPO].resolve(f"v{version}").files
    return {
        path: entry.sha256 or hashlib.sha256(hub.store.path(entry.oid).read_bytes()).hexdigest()
        for path, entry in files.items()
        if path != KEPT
    }


def test_a_version_is_one_commit_and_a_tag_that_holds_exactly_the_folder(hub, client, first):
    done = client.generation("publish", first, "--repo", REPO, "--version", "1.0.0").ok()
    assert published(hub, "1.0.0") == content(first)
    repo = hub.store.repos[REPO]
    assert [commit.title for commit in repo.history("v1.0.0")] == ["Version 1.0.0", "initial commit"]
    assert not repo.private
    assert repo.resolve("v1.0.0").oid in done.out
    assert "8 files to send" in done.out
    assert "(a new repository)" in done.out
    assert done.err == ""


def test_again_is_a_no_op(hub, client, first):
    client.generation("publish", first, "--repo", REPO).ok()
    hub.log.clear()
    done = client.generation("publish", first, "--repo", REPO).ok()
    assert "already published" in done.out
    assert {line.split()[0] for line in hub.log} == {"GET"}


def test_a_newer_version_sends_what_changed_and_deletes_what_is_gone(hub, client, first, second):
    client.generation("publish", first, "--repo", REPO).ok()
    hub.log.clear()
    done = client.generation("publish", second, "--repo", REPO).ok()
    assert published(hub, "1.1.0") == content(second)
    assert published(hub, "1.0.0") == content(first)
    assert "delete  cyclegan/gnc-00000-of-00003.parquet" in done.out
    assert "keep    weights/recipe.toml" in done.out
    sent = set(hub.puts())
    assert sent == set(content(second).values()) & sent - set(content(first).values())
    older = client.generation("publish", first, "--repo", REPO).ok()
    assert "already published" in older.out


def test_a_dry_run_sends_nothing_and_needs_no_token(hub, client, first):
    anonymous = client.python(
        "import os, sys; del os.environ['HF_TOKEN']\n"
        f"sys.argv = ['g', 'publish', {str(first)!r}, '--repo', {REPO!r}, '--dry-run']\n"
        "from generation.__main__ import main; main()"
    ).ok()
    for path in content(first):
        assert f"send    {path}  {(first / path).stat().st_size:,} bytes" in anonymous.out
    assert "MB; 0 there already, 0 to delete" in anonymous.out
    assert not hub.store.repos
    assert {line.split()[0] for line in hub.log} == {"GET"}


def test_private(hub, client, first, second):
    client.generation("publish", first, "--repo", REPO, "--private").ok()
    assert hub.store.repos[REPO].private
    client.generation("publish", second, "--repo", REPO, "--private").ok()
    hub.store.repos[REPO].private = False
    assert (
        "is public; expected a private"
        in client.generation("publish", second, "--repo", REPO, "--private").error
    )


def test_a_tag_with_other_content_is_refused(hub, client, first, tmp_path):
    client.generation("publish", first, "--repo", REPO).ok()
    before = published(hub, "1.0.0"), dict(hub.store.repos[REPO].refs)
    other = build(tmp_path / "covid-synth-cxr", seed=1)
    line = client.generation("publish", other, "--repo", REPO).error
    assert f"{REPO} has another v1.0.0" in line
    assert "raise release.version" in line
    assert (published(hub, "1.0.0"), hub.store.repos[REPO].refs) == before


def test_an_older_version_does_not_follow_a_newer(hub, client, first, second):
    client.generation("publish", second, "--repo", REPO).ok()
    assert "is ahead of 1.0.0; found 1.1.0" in client.generation("publish", first, "--repo", REPO).error


def test_what_is_not_to_be_published(hub, client, first, tmp_path):
    copy = tmp_path / "covid-synth-cxr"
    shutil.copytree(first, copy)
    run = client.generation
    assert "found 1.0.0; expected 2.0.0" in run("publish", copy, "--repo", REPO, "--version", "2.0.0").error
    assert "expected ORG/covid-synth-cxr" in run("publish", copy, "--repo", "test-org/other").error
    assert "expected ORG/covid-synth-cxr" in run("publish", copy, "--repo", "covid-synth-cxr").error
    assert "is not a release" in run("publish", tmp_path, "--repo", REPO).error
    (copy / "stray.txt").write_text("x")
    assert "stray.txt: not in the manifest" in run("publish", copy, "--repo", REPO).error
    (copy / "stray.txt").unlink()
    shard = copy / "cyclegan/gnc-00000-of-00003.parquet"
    shard.write_bytes(shard.read_bytes()[:-1])
    assert "is not whole and cannot be published" in run("publish", copy, "--repo", REPO).error
    assert not hub.store.repos
    assert hub.log == []


def test_licences_that_forbid_reuse_must_be_asked_for(hub, client, tmp_path):
    bound = build(tmp_path / "covid-synth-cxr", licence="CC BY-NC 4.0")
    assert "CC BY-NC 4.0" in client.generation("publish", bound, "--repo", REPO).error
    assert hub.log == []
    client.generation("publish", bound, "--repo", REPO, "--licenses", "any").ok()


def test_who_pushes_meanwhile_is_noticed_and_not_overwritten(hub, client, first, second):
    client.generation("publish", first, "--repo", REPO).ok()
    repo, commit = hub.store.repos[REPO], hub.store.commit
    theirs = []

    def meanwhile(*arguments):
        if not theirs:
            note = {"path": "NOTE.md", "content": b"by hand"}
            theirs.append(commit(repo, "main", {"summary": "theirs"}, [("file", note)]))
        return commit(*arguments)

    hub.store.commit = meanwhile
    try:
        line = client.generation("publish", second, "--repo", REPO).error
    finally:
        del hub.store.commit
    assert "answer 412" in line
    assert "nothing was overwritten" in line
    assert repo.resolve("main") == theirs[0]
    assert sorted(repo.refs) == ["heads/main", "tags/v1.0.0"]
    preview = client.generation("publish", second, "--repo", REPO, "--dry-run").ok()
    assert "delete  NOTE.md" in preview.out


def test_a_tag_set_meanwhile_counts_if_it_stands_for_the_same(hub, client, first):
    add = hub.store.add_ref

    def twice(*arguments):
        add(*arguments)
        add(*arguments)

    hub.store.add_ref = twice
    try:
        client.generation("publish", first, "--repo", REPO).ok()
    finally:
        del hub.store.add_ref
    assert published(hub, "1.0.0") == content(first)


def test_what_arrives_otherwise_is_not_tagged(hub, client, first):
    commit = hub.store.commit

    def drops_a_file(repo, branch, header, operations):
        return commit(repo, branch, header, operations[1:])

    hub.store.commit = drops_a_file
    try:
        line = client.generation("publish", first, "--repo", REPO).error
    finally:
        del hub.store.commit
    assert "does not hold what was sent, so v1.0.0 was not set" in line
    assert list(hub.store.repos[REPO].refs) == ["heads/main"]
    client.generation("publish", first, "--repo", REPO).ok()
    assert published(hub, "1.0.0") == content(first)


def test_a_folder_that_changes_meanwhile_is_not_tagged(hub, client, first, tmp_path):
    copy = tmp_path / "covid-synth-cxr"
    shutil.copytree(first, copy)
    commit = hub.store.commit

    def touches(*arguments):
        (copy / "weights/gnc.safetensors").write_bytes(b"other weights")
        return commit(*arguments)

    hub.store.commit = touches
    try:
        line = client.generation("publish", copy, "--repo", REPO).error
    finally:
        del hub.store.commit
    assert "changed while it was published, so v1.0.0 was not set; found 1 files, e.g. weights/gnc" in line
    assert list(hub.store.repos[REPO].refs) == ["heads/main"]


@pytest.mark.parametrize(
    ("token", "says"), [(READER, "answer 403"), ("hf_unknown_secret_of_the_tests", "answer 401")]
)
def test_a_token_that_may_not(hub, client, first, token, says):
    done = client.generation("publish", first, "--repo", REPO, token=token)
    assert says in done.error
    assert not hub.store.repos
    assert token not in done.out + done.err + "".join(hub.log)


def test_no_token(hub, client, first):
    code = (
        "import os, sys; del os.environ['HF_TOKEN']\n"
        f"sys.argv = ['g', 'publish', {str(first)!r}, '--repo', {REPO!r}]\n"
        "from generation.__main__ import main; main()"
    )
    assert "no token to write to" in client.python(code).error


def test_the_token_is_nowhere_to_be_seen(hub, client, first, tmp_path):
    """Whatever fails, however loudly the client logs."""
    for kind, matches in (
        ("429", lambda request: request.path.endswith("/repos/create")),
        ("500", lambda request: request.path.endswith("/commit/main")),
        ("drop-after", lambda request: "/tag/" in request.path),
    ):
        hub.faults.set(kind, matches)
        loud = client.python(
            "import sys, logging, huggingface_hub.utils.logging as log\n"
            "logging.basicConfig(level=0); log.set_verbosity_debug()\n"
            f"sys.argv = ['g', 'publish', {str(first)!r}, '--repo', {REPO!r}]\n"
            "from generation.__main__ import main; main()"
        )
        assert loud.code == 2
        assert "DEBUG" in loud.err
        everything = loud.out + loud.err + "".join(hub.log)
        assert WRITER not in everything
        assert f"Bearer {WRITER[:6]}" not in everything
    for path in (client.home, first):
        assert not any(WRITER.encode() in file.read_bytes() for file in path.rglob("*") if file.is_file())


def test_answers_come_in_pages(hub, client, first, second):
    hub.page = 2
    try:
        client.generation("publish", first, "--repo", REPO).ok()
        client.generation("publish", second, "--repo", REPO).ok()
    finally:
        hub.page = 1000
    assert published(hub, "1.1.0") == content(second)


def test_a_card_with_bad_yaml_is_one_line(hub, client, tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "_card", lambda *_: "---\nlicense: [\n---\n")
    bad = build(tmp_path / "covid-synth-cxr")
    line = client.generation("publish", bad, "--repo", REPO).error
    assert "Invalid metadata in README.md" in line
    assert list(hub.store.repos[REPO].refs) == ["heads/main"]
    assert hub.puts() == []
