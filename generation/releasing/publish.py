"""From a release folder to a version on the Hub: one commit, then the tag vX.Y.Z, which never changes.

What makes a version is looked up anew at each start, so the same command goes on after any stop: files that
are there are not sent again, a commit that was made is not made twice, and the tag is set only after the
commit was listed and found to hold exactly the release. The commit names the one it follows, so that the Hub
refuses it when somebody pushed meanwhile. `HfApi.upload_folder` is not used: where the client stores files by
Xet it makes several commits of a folder, and a stop between two would leave half a release at the head.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from covid_synth_data import catalog
from covid_synth_data.errors import ConfigError, CorruptRelease, HubError, ReleaseError, VersionExists
from covid_synth_data.release import hub as remote
from covid_synth_data.release import manifest, verification, writing
from generation.releasing import licensing

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

Progress = Callable[[int, int], None]
Stamps = dict[str, tuple[int, int]]

KEPT: Final = (".gitattributes",)
"""Files that the Hub itself keeps in a repository."""


@dataclass(frozen=True)
class Plan:
    """The result of publishing.

    `head` is the commit to follow (None: no repository yet), `tagged` the commit of the version where it is
    published already; `send` and `keep` are files of the release, `delete` paths of older ones. `stamps` tell
    whether a file was touched after it was checked.
    """

    folder: Path
    repo: str
    listed: manifest.Manifest
    stamps: Stamps
    private: bool
    head: str | None
    tagged: str | None
    send: list[manifest.File] = field(default_factory=list)
    keep: list[manifest.File] = field(default_factory=list)
    delete: list[str] = field(default_factory=list)

    @property
    def tag(self) -> str:
        """The tag of the version."""
        return f"v{self.listed.version}"

    @property
    def files(self) -> list[manifest.File]:
        """The whole release."""
        return [*self.send, *self.keep]

    @property
    def size(self) -> int:
        """Bytes to send."""
        return sum(file.size for file in self.send)


def plan(
    folder: Path,
    repo: str,
    version: str | None = None,
    private: bool = False,
    progress: Progress | None = None,
    licences: str = "permissive",
) -> Plan:
    """Check the folder and compare it with the Hub; nothing is written.

    `progress` is that of `verification.verify`; `licences` is "permissive", or "any" for a release that is
    labelled as restricted. Raises `CorruptRelease` for a folder that is not whole, `ConfigError` for another
    version or name, `ReleaseError` for licences or an older version, `VersionExists` where the tag is there
    with other content, `HubError`.
    """
    listed, stamps = _checked(folder, repo, version, progress)
    licensing.check({name for subset in listed.subsets.values() for name in subset.licences}, licences)
    return _compare(folder, repo, listed, stamps, private)


def _compare(folder: Path, repo: str, listed: manifest.Manifest, stamps: Stamps, private: bool) -> Plan:
    """The steps for a folder that was checked."""
    files = [*listed.files, writing.entry(folder, manifest.NAME)]  # the manifest does not list itself
    api = _api()
    with remote.explained(f"{repo} cannot be read"):
        refs = _refs(api, repo)
        if refs is None:
            return Plan(folder, repo, listed, stamps, private, None, None, send=files)
        head, tags = refs
        if private and not api.repo_info(repo, repo_type="dataset").private:
            raise ConfigError(
                f"{repo} is public",
                expected="a private repository, as --private says",
                hint="make it private on the Hub, or publish without --private",
            )
        tagged = tags.get(f"v{listed.version}")
        on_hub = _tree(api, repo, tagged or head)
    send = [file for file in files if not _same(folder, file, on_hub.get(file.path))]
    keep = [file for file in files if file not in send]
    delete = sorted(set(on_hub) - {file.path for file in files} - set(KEPT))
    result = Plan(folder, repo, listed, stamps, private, head, tagged, send, keep, delete)
    if tagged and (send or delete):
        _refuse_other(result)
    newer = [
        version
        for version in remote.ascending(tags)
        if manifest.order(version) > manifest.order(listed.version)
    ]
    if newer and not tagged:
        raise ReleaseError(
            f"{repo} is ahead of {listed.version}",
            found=newer[-1],
            expected="nothing newer there",
            hint="raise release.version in the recipe and release again",
        )
    return result


def describe(planned: Plan) -> str:
    """The planned steps, one line for each file, to be read before they are done."""
    if planned.tagged:
        return f"already published: {planned.repo} {planned.tag} has every file as in {planned.folder}"
    where = "private " if planned.private else ""
    lines = [f"{planned.repo} {planned.tag}" + ("" if planned.head else f" (a new {where}repository)")]
    lines += [f"  send    {file.path}  {file.size:,} bytes" for file in planned.send]
    lines += [f"  keep    {file.path}" for file in planned.keep]
    lines += [f"  delete  {path}" for path in planned.delete]
    lines.append(
        f"{len(planned.send)} files to send, {planned.size / 1e6:,.1f} MB;"
        f" {len(planned.keep)} there already, {len(planned.delete)} to delete"
    )
    return "\n".join(lines)


def carry_out(planned: Plan) -> str:
    """Publish what was planned and return the commit that the tag stands for.

    Raises `HubError` where somebody pushed since the plan (nothing is overwritten) or the Hub does not
    answer, `CorruptRelease` where it holds other content than was sent; planning again goes on from there.
    """
    if planned.tagged:
        return planned.tagged
    api = _api()
    with remote.explained(f"{planned.repo} {planned.tag} cannot be published"):
        _need_token(planned.repo)
        if planned.head is None:
            api.create_repo(planned.repo, repo_type="dataset", private=planned.private, exist_ok=True)
            planned = _compare_again(planned)
        _check_untouched(planned)
        commit = planned.tagged or _commit(api, planned)
        _check_untouched(planned)
        _check_commit(api, planned, commit)
        _set_tag(api, planned, commit)
    return commit


def _compare_again(planned: Plan) -> Plan:
    return _compare(planned.folder, planned.repo, planned.listed, planned.stamps, planned.private)


def _stamps(folder: Path, listed: manifest.Manifest) -> Stamps:
    """Size and time of change of each file that is there."""
    paths = [
        path for path in (manifest.NAME, *(file.path for file in listed.files)) if (folder / path).is_file()
    ]
    stats = {path: (folder / path).stat() for path in paths}
    return {path: (status.st_size, status.st_mtime_ns) for path, status in stats.items()}


def _checked(
    folder: Path, repo: str, version: str | None, progress: Progress | None
) -> tuple[manifest.Manifest, Stamps]:
    """The manifest of a folder that is whole, and is what is to be published under this name."""
    listed = manifest.read(folder)
    stamps = _stamps(folder, listed)
    if version is not None and version.removeprefix("v") != listed.version:
        raise ConfigError(
            f"{folder} is not version {version}",
            found=listed.version,
            expected=version,
            hint="a version is set where it is made: release.version in the recipe",
        )
    organisation, _, name = repo.rpartition("/")
    if not organisation or name != listed.name:
        raise ConfigError(
            f"{repo} is no repository for {listed.name}",
            expected=f"ORG/{listed.name}",
            hint=f"the project's own is {catalog.REPOSITORIES.get(listed.name, 'not set')}",
        )
    report = verification.verify(folder, progress)
    if not report.whole:
        raise CorruptRelease(
            f"{folder} is not whole and cannot be published",
            found=f"{len(report.problems)} problems, the first is {report.problems[0]}",
            expected="every byte and count as its manifest says",
            hint=f"covid-synth verify {folder}",
        )
    return listed, stamps


def _api() -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(library_name="covid-synth-data")


def _need_token(repo: str) -> None:
    from huggingface_hub import get_token

    if not get_token():
        raise HubError(
            f"no token to write to {repo}",
            expected="a token with write access",
            hint="hf auth login, or set HF_TOKEN",
        )


def _refs(api: HfApi, repo: str) -> tuple[str, dict[str, str]] | None:
    """The commit of main, and each tag with its commit; None where there is no such repository (to see)."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        refs = api.list_repo_refs(repo, repo_type="dataset")
    except RepositoryNotFoundError:
        return None
    heads = {branch.name: branch.target_commit for branch in refs.branches}
    if "main" not in heads:
        raise HubError(f"{repo} has no branch main", found=", ".join(heads), hint="make one on the Hub")
    return heads["main"], {tag.name: tag.target_commit for tag in refs.tags}


def _tree(api: HfApi, repo: str, commit: str) -> dict[str, RepoFile]:
    from huggingface_hub.hf_api import RepoFile

    listed = api.list_repo_tree(repo, repo_type="dataset", revision=commit, recursive=True)
    return {file.path: file for file in listed if isinstance(file, RepoFile)}


def _same(folder: Path, file: manifest.File, on_hub: RepoFile | None) -> bool:
    """Whether the Hub has this content: by sha256 for large files, by git's hash for those in git itself."""
    if on_hub is None or on_hub.size != file.size:
        return False
    if on_hub.lfs is not None:
        return on_hub.lfs.sha256 == file.sha256
    content = (folder / file.path).read_bytes()
    return on_hub.blob_id == remote.git_hash(content) and hashlib.sha256(content).hexdigest() == file.sha256


def _refuse_other(planned: Plan) -> None:
    first = [file.path for file in planned.send] + planned.delete
    raise VersionExists(
        f"{planned.repo} has another {planned.tag}",
        found=f"{len(first)} files that differ, e.g. {first[0]}",
        expected="the content of the folder",
        hint="a version never changes: raise release.version in the recipe and release again",
    )


def _commit(api: HfApi, planned: Plan) -> str:
    """Send what is missing and commit it all at once on top of the head that was looked at."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    assert planned.head is not None  # noqa: S101 - the repository was made before
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationDelete(path_in_repo=path, is_folder=False) for path in planned.delete
    ]
    for file in planned.send:
        addition = CommitOperationAdd(path_in_repo=file.path, path_or_fileobj=planned.folder / file.path)
        addition.upload_info.sha256 = bytes.fromhex(file.sha256)  # known, so that no file is hashed twice
        operations.append(addition)
    if not operations:
        return planned.head
    done = api.create_commit(
        planned.repo,
        operations,
        repo_type="dataset",
        parent_commit=planned.head,
        commit_message=f"Version {planned.listed.version}",
    )
    return str(done.oid)


def _check_untouched(planned: Plan) -> None:
    """Files are sent under the hashes that were checked, so none may have changed since."""
    now = _stamps(planned.folder, planned.listed)
    touched = [path for path, stamp in planned.stamps.items() if now.get(path) != stamp]
    if touched:
        raise CorruptRelease(
            f"{planned.folder} changed while it was published, so {planned.tag} was not set",
            found=f"{len(touched)} files, e.g. {touched[0]}",
            expected="a folder left alone",
            hint=f"covid-synth verify {planned.folder}, then run the same command again",
        )


def _check_commit(api: HfApi, planned: Plan, commit: str) -> None:
    """Raise `CorruptRelease` unless the commit holds the release, all of it and nothing else."""
    on_hub = _tree(api, planned.repo, commit)
    wrong = [file.path for file in planned.files if not _same(planned.folder, file, on_hub.get(file.path))]
    wrong += sorted(set(on_hub) - {file.path for file in planned.files} - set(KEPT))
    if wrong:
        raise CorruptRelease(
            f"{planned.repo} does not hold what was sent, so {planned.tag} was not set",
            found=f"{len(wrong)} files that differ, e.g. {wrong[0]}",
            expected="the content of the folder",
            hint="run the same command again",
        )


def _set_tag(api: HfApi, planned: Plan, commit: str) -> None:
    """Tag the commit; a tag that somebody set meanwhile must stand for the same files."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        api.create_tag(
            planned.repo,
            tag=planned.tag,
            revision=commit,
            repo_type="dataset",
            tag_message=f"Version {planned.listed.version}",
        )
    except HfHubHTTPError as error:
        if error.response is None or error.response.status_code != 409:
            raise
        again = _compare_again(planned)
        if again.tagged is None:
            raise
