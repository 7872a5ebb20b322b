"""Loading from a Hub over HTTP: versions, the cache, content that is not as released, plain `datasets`."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.hub.client import Client, client_environment
from tests.hub.conftest import REPO
from tests.hub.faults import ANSWERS
from tests.hub.releases import build
from tests.hub.server import READER, WRITER, Hub

LOADED = """
import hashlib, json
def told(rows):
    # every column, the image by its decoded pixels
    names = [name for name in sorted(rows.features) if name != "image"]
    return [[hashlib.sha256(r["image"].tobytes()).hexdigest(), *(r[name] for name in names)] for r in rows]
"""

OURS = LOADED + "import covid_synth_data as csd\n"


@pytest.fixture
def both(hub: Hub, client: Client, first: Path, second: Path) -> Hub:
    """A Hub with both versions."""
    client.generation("publish", first, "--repo", REPO).ok()
    client.generation("publish", second, "--repo", REPO).ok()
    hub.log.clear()
    return hub


def ids(folder: Path, subset: str) -> list[str]:
    """The image_ids of a subset in a release folder."""
    shards = sorted((folder / "cyclegan").glob(f"{subset}-*.parquet"))
    return [one for shard in shards for one in pq.read_table(shard)["image_id"].to_pylist()]


def load(arguments: str = "", name: str = REPO, config: str = "gnc") -> str:
    """Code that prints the rows that ours loads."""
    return OURS + f"print(json.dumps(told(csd.load_dataset({name!r}, {config!r}, {arguments}))))"


def test_versions_side_by_side(both, client, first, second):
    found = {
        version: [row[2] for row in client.python(load(f"version={version!r}")).value]
        for version in ("1.0.0", "1.1.0", "latest", None)
    }
    assert found["1.0.0"] == ids(first, "gnc")
    assert found["1.1.0"] == found["latest"] == found[None] == ids(second, "gnc")
    default = client.python(OURS + f"print(len(csd.load_dataset({REPO!r})))").value
    assert default == len(ids(second, "gnc") + ids(second, "gpc"))


def test_ours_and_plain_datasets_give_the_same_rows(both, client, first):
    plain = (
        LOADED + "import datasets\n"
        f"print(json.dumps(told(datasets.load_dataset({REPO!r}, 'gnc', revision='v1.0.0', split='train'%s))))"
    )
    rows = client.python(plain % "").value
    assert [row[2] for row in rows] == ids(first, "gnc")
    assert len({row[0] for row in rows}) == len(rows)
    client.forget()
    assert client.python(plain % ", streaming=True").value == rows
    client.forget()
    assert client.python(load("version='1.0.0'")).value == rows
    assert client.python(load(f"root={str(first)!r}")).value == rows
    assert client.python(load("version='1.0.0', streaming=True")).value == rows
    client.forget()
    assert client.python(load("version='1.0.0', streaming=True")).value == rows


def test_features_and_config_are_the_same_wherever_it_comes_from(both, client, first):
    code = OURS + (
        f"a = csd.load_dataset({REPO!r}, 'gnc', version='1.0.0')\n"
        f"b = csd.load_dataset('covid-synth-cxr', 'gnc', root={str(first)!r})\n"
        "print(json.dumps([a.features == b.features, a.config_name, b.config_name, str(a.split)]))"
    )
    assert client.python(code).value == [True, "gnc", "gnc", "train"]


def test_only_what_is_asked_for_is_fetched_and_only_once(both, client, second):
    client.python(load(config="gpc")).ok()
    fetched = [line for line in both.log if line.startswith("GET /cdn/")]
    assert len(fetched) == len(list((second / "cyclegan").glob("gpc-*")))
    both.log.clear()
    client.python(load("version='1.1.0'", config="gpc")).ok()
    assert both.log == []


def test_a_checked_file_is_not_read_again_and_a_changed_one_is(both, client):
    probe = (
        "import hashlib\n"
        "from covid_synth_data.release import hub\n"
        "seen, real = [], hub.difference\n"
        "hub.difference = lambda path, file: (seen.append(file.path), real(path, file))[1]\n"
    )
    count = f"hub.fetch({REPO!r}, '1.0.0', ('gnc',))\nprint(len(seen))"
    assert client.python(probe + count).value == 3
    assert client.python(probe + count).value == 0
    shard = next(path.resolve() for path in client.home.rglob("gnc-00001-of-00003.parquet"))
    content = bytearray(shard.read_bytes())
    content[30] ^= 1
    shard.write_bytes(content)
    both.log.clear()
    assert "gnc-00001-of-00003.parquet of" in client.python(caught(load("version='1.0.0'"))).error
    assert both.log == []
    client.python(load("version='1.0.0'")).ok()
    assert len([line for line in both.log if line.startswith("GET /cdn/")]) == 1


def caught(code: str) -> str:
    """The same with errors of ours as the shell prints them."""
    indented = "\n".join("    " + line for line in code.splitlines())
    return f"from covid_synth_data.cli import guarded\ndef run():\n{indented}\nguarded(run)"


def test_what_is_not_there(both, client):
    run = lambda code: client.python(caught(code)).error  # noqa: E731
    assert "has no version 9.9.9; found 1.0.0, 1.1.0" in run(load("version='9.9.9'"))
    assert "'v1.0.0' is no version" in run(load("version='v1.0.0'"))
    assert "v1.0.0 does not hold the config 'gpc'; found subsets gnc" in run(
        load("version='1.0.0'", config="gpc")
    )
    assert "answer 404" in run(load(name="other/covid-synth-cxr"))
    assert "did you mean 'covid-synth-cxr'" in run(load(name="test-org/covid-synth-cx"))
    assert "a/b/covid-synth-cxr is no repository" in run(load("version='1.0.0'", name="a/b/covid-synth-cxr"))
    both.store.create("empty/covid-synth-cxr", private=False)
    assert "has no version" in run(load(name="empty/covid-synth-cxr"))
    both.store.add_ref(both.store.repos["empty/covid-synth-cxr"], "tags/v0.1.0", "main")
    assert "is not a release; found no manifest.json" in run(load(name="empty/covid-synth-cxr"))


def test_latest_is_the_highest_version_among_the_tags_and_not_the_head(hub, client, first, tmp_path):
    client.generation("publish", first, "--repo", REPO).ok()
    for version in ("1.9.0", "1.10.0"):
        client.generation(
            "publish", build(tmp_path / version / "covid-synth-cxr", version), "--repo", REPO
        ).ok()
    repo = hub.store.repos[REPO]
    hub.store.add_ref(repo, "tags/v2.0.0-rc1", "main")
    hub.store.add_ref(repo, "tags/nightly", "main")
    note = {"path": "NOTE.md", "content": b"by hand"}
    hub.store.commit(repo, "main", {"summary": "later"}, [("file", note)])
    code = "from covid_synth_data.release import hub\nimport json\n" + (
        f"print(json.dumps([hub.versions({REPO!r}), hub.resolve({REPO!r}, 'latest')]))"
    )
    assert client.python(code).value == [["1.0.0", "1.9.0", "1.10.0"], "1.10.0"]


def test_private_needs_a_token(hub, client, first):
    client.generation("publish", first, "--repo", REPO, "--private").ok()
    without = "import os; os.environ.pop('HF_TOKEN', None)\n" + load("version='1.0.0'")
    line = client.python(caught(without)).error
    assert "answer 401" in line
    assert "HF_TOKEN" in line
    done = client.python(load("version='1.0.0'"), token=READER)
    assert len(done.value) == 13
    assert READER not in done.out + done.err + "".join(hub.log)


def test_the_manifest_of_a_version_without_its_shards(both, client, first):
    code = "from covid_synth_data.release import loading\nimport json\n" + (
        f"a = loading.release_manifest({REPO!r}, '1.0.0')\n"
        f"b = loading.release_manifest('covid-synth-cxr', '1.0.0', root={str(first)!r})\n"
        f"newest = loading.release_manifest({REPO!r}).version\n"
        "print(json.dumps([a == b, newest, a.subsets['gnc'].learned_from.films]))"
    )
    assert client.python(code).value == [True, "1.1.0", ["phantom/gnc"]]
    assert not any("/cdn/" in line for line in both.log)


@pytest.mark.parametrize("path", ["manifest.json", "cyclegan/gnc-00001-of-00003.parquet"])
def test_a_corrupted_byte_is_noticed_and_not_kept(both, client, first, path):
    digest = hashlib.sha256((first / path).read_bytes()).hexdigest()
    both.faults.set(
        "corrupt", lambda request: request.method == "GET" and request.path.endswith((path, digest))
    )
    line = client.python(caught(load("version='1.0.0'"))).error
    assert both.faults.injected == 1
    assert path in line
    assert "removed; load again" in line
    assert len(client.python(load("version='1.0.0'")).value) == 13


def test_a_file_that_rots_in_the_cache_is_noticed_and_fetched_again(both, client):
    """At the size and time that it had when it was checked."""
    expected = client.python(load("version='1.0.0'")).value
    blob = next(path.resolve() for path in client.home.rglob("snapshots/*/cyclegan/gnc-00001-of-*.parquet"))
    times = (blob.stat().st_atime_ns, blob.stat().st_mtime_ns)
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 4
    blob.chmod(0o644)
    blob.write_bytes(content)
    os.utime(blob, ns=times)
    assert client.python(load("version='1.0.0'")).value == expected  # from the copy, which is whole
    for copy in client.home.rglob("*.arrow"):
        copy.unlink()
    line = client.python(caught(load("version='1.0.0'"))).error
    assert "is not as released" in line
    assert "removed; load again" in line
    assert client.python(load("version='1.0.0'")).value == expected


def test_a_hub_that_has_other_bytes_than_its_manifest_says(both, client, first):
    path = "cyclegan/gnc-00001-of-00003.parquet"
    repo = both.store.repos[REPO]
    other = (first / "cyclegan/gnc-00000-of-00003.parquet").read_bytes()
    digest = hashlib.sha256(other).hexdigest()
    note = {"path": path, "oid": digest}
    start = repo.resolve("v1.0.0")
    both.store.add_ref(repo, "heads/evil", "v1.0.0")
    bad = both.store.commit(repo, "evil", {"summary": "evil", "parentCommit": start.oid}, [("lfsFile", note)])
    repo.refs["tags/v1.0.0"] = repo.refs["tags/v1.0.1"] = bad.oid
    assert "v1.0.1 of test-org/covid-synth-cxr holds another version; found 1.0.0" in (
        client.python(caught(load("version='1.0.1'"))).error
    )
    line = client.python(caught(load("version='1.0.0'"))).error
    assert f"{path} of {REPO} is not as released" in line
    assert not any(digest == file.name for file in client.home.rglob("*"))


def process(hub_url: str, home: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Code in a fresh process, for what is read at import."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env=client_environment(hub_url, home, WRITER) | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_offline_from_the_cache(both, client):
    client.python(load("version='1.0.0'")).ok()
    client.python(load("version='1.1.0'")).ok()
    both.log.clear()
    code = OURS + (
        "import logging; logging.basicConfig()\n"
        f"wanted = [({REPO!r}, 'gnc', version) for version in ('1.0.0', None, '1.1.0')]\n"
        "loaded = [len(csd.load_dataset(name, config, version=v)) for name, config, v in wanted]\n"
        f"streamed = csd.load_dataset({REPO!r}, 'gnc', version='1.0.0', streaming=True)\n"
        "print(json.dumps([*loaded, len(list(streamed))]))\n"
    )
    more = f"csd.load_dataset({REPO!r}, 'gpc', version='1.1.0')"
    offline = process(both.url, client.home, caught(code + more), HF_HUB_OFFLINE="1")
    gone = process("http://127.0.0.1:9", client.home, caught(code))
    for done in (offline, gone):
        assert done.stdout.splitlines() == ["[13, 13, 13, 13]"], done
        assert "1.1.0 is the newest in the cache" in done.stderr
        assert "Traceback" not in done.stderr
    assert gone.returncode == 0
    line = offline.stderr.splitlines()[-1]
    assert line.startswith("error: cyclegan/gpc-00000-of-00001.parquet of")
    assert "v1.1.0 cannot be fetched; found HF_HUB_OFFLINE is set" in line
    assert both.log == []


def test_nothing_in_the_cache_and_no_network(hub, client):
    done = process("http://127.0.0.1:9", client.home, caught(load()))
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"error: the versions of {REPO} cannot be read")
    assert "127.0.0.1:9" in line
    assert "root= reads a release folder" in line


def test_the_benchmark_learns_from_the_hub_whom_the_generator_saw(both, client):
    code = (
        "from covid_synth_data.benchmark.data import released\nimport json\n"
        f"found, dataset, missing = released.load({REPO!r}, ['gnc'], None, '1.0.0')\n"
        f"learned = released.trained_on({REPO!r}, ['gnc'], None, '1.0.0')\n"
        "print(json.dumps([dataset.model_dump(), learned['gnc'].films, missing]))"
    )
    dataset, films, missing = client.python(code).value
    digest = next(client.home.rglob("manifest.json")).read_bytes()
    assert dataset == {
        "name": "covid-synth-cxr",
        "version": "1.0.0",
        "manifest_sha256": hashlib.sha256(digest).hexdigest(),
    }
    assert films == ["phantom/gnc"]
    assert missing == {}


def test_where_the_cache_cannot_link(both, client):
    """The Hub is asked what the manifest must hash to, as no link names it."""
    both.faults.set("corrupt", lambda one: one.method == "GET" and one.path.endswith("/manifest.json"))
    code = caught(load("version='1.0.0'"))
    bad, good = (process(both.url, client.home, code, HF_HUB_DISABLE_SYMLINKS="1") for _ in range(2))
    assert bad.returncode == 2
    assert "manifest.json of" in bad.stderr.splitlines()[-1]
    assert not any(path.is_symlink() for path in client.home.rglob("*"))
    assert good.returncode == 0
    assert len(good.stdout) > 1000
    (notes,) = (client.home / "ours" / "checked").iterdir()
    notes.write_text("damaged")
    again = process(both.url, client.home, code, HF_HUB_DISABLE_SYMLINKS="1")
    assert again.stdout == good.stdout


def test_a_damaged_answer_is_named_as_such(both, client):
    """The cause of a broken answer is the answer, not the place in its JSON (which read "found 9")."""
    for kind in ANSWERS:
        client.forget()
        both.faults.set(kind, lambda request: request.path.endswith("/refs"))
        done = client.python(f"from covid_synth_data.cli import guarded\nguarded(lambda: exec({load()!r}))")
        assert done.code == 2, done
        assert "found a damaged answer of 127.0.0.1:" in done.err
        assert "expected JSON in the form of the Hub" in done.err
        both.faults.set(None)
        assert client.python(load()).value
