"""The checks of results of U-Nets before they stand on the leaderboard; see `validating`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from covid_synth_data.benchmark.data import released
from covid_synth_data.benchmark.results import SegmentationResult, find, read_result
from covid_synth_data.benchmark.segmentation import data
from covid_synth_data.benchmark.suite import SegmentationSuite, load_suite
from covid_synth_data.ct.slices import Row
from covid_synth_data.leaderboard.submitted import Submitted, check_dataset, check_trained_on, wrong

Key = tuple[str, str, str]
"""Suite, its version, protocol."""


def identity(result: SegmentationResult) -> tuple[object, ...]:
    """The fields that the seeds of one row of the table share."""
    generators = result.composition.generators
    return (result.suite, result.protocol, result.profile, result.size, result.regime, *generators)


def check_one(submitted: Submitted) -> None:
    """Every slice and patient has a name, and the suite itself is one of U-Nets."""
    for row in submitted.result.slices:
        if not row.image_id.strip() or not row.patient_id.strip():
            raise wrong(
                submitted,
                "has a slice without a name or a patient",
                found=repr((row.image_id, row.patient_id)),
                expected="an image id and a patient id",
                hint="run that part again",
            )


def check_folds(submission: Sequence[Submitted]) -> None:
    """There are no folds."""


def check_against(submission: Sequence[Submitted], accepted: Path) -> None:
    """The test slices of each file are those of the accepted results."""
    known: dict[Key, dict[str, str]] = {}
    for path in find(accepted, "segmentation"):
        result = read_result(path)
        known.setdefault(_key(result), _tested(result))
    for submitted in submission:
        if _key(submitted.result) not in known:
            raise wrong(
                submitted,
                f"is of a protocol that {accepted} has no results of",
                found=" ".join(_key(submitted.result)),
                expected="a suite, version and protocol that is there",
                hint="for the first results of a protocol give --root instead of --against",
            )
        _check_slices(submitted, known[_key(submitted.result)])


def check_root(submission: Sequence[Submitted], root: str | Path) -> None:
    """Split the slices again: same test slices, and as many training slices of the same patients."""
    for submitted in submission:
        result = submitted.result
        rows = _split(result, root)
        _check_slices(submitted, {str(row["image_id"]): str(row["patient_id"]) for row in rows["test"]})
        for side in ("train", "validation"):
            stated, patients = getattr(result, side), {str(row["patient_id"]) for row in rows[side]}
            if (stated.slices, set(stated.patients)) != (len(rows[side]), patients):
                raise wrong(
                    submitted,
                    f"states slices for {side} that the protocol does not have",
                    found=f"{stated.slices} of {len(stated.patients)} patients",
                    expected=f"{len(rows[side])} of {len(patients)}",
                    hint="use the splits of the package",
                )


def check_release(submission: Sequence[Submitted], release: Path) -> None:
    """The release is the one that was trained on, and its generators never saw a test slice or patient."""
    for submitted in submission:
        result = submitted.result
        if result.dataset is None:
            continue
        check_dataset(submitted, result.dataset, release)
        config = _suite(result).data.config
        trained_on = released.trained_on(result.dataset.name, [config], release)[config]
        patients = set(trained_on.patients) if result.protocol_rule.apart == "patient" else set()
        slices = set(trained_on.films)
        check_trained_on(
            submitted,
            [row.image_id for row in result.slices if row.image_id in slices or row.patient_id in patients],
        )


def _key(result: SegmentationResult) -> Key:
    return result.suite, result.suite_version, result.protocol


def _tested(result: SegmentationResult) -> dict[str, str]:
    """The patient of each test slice."""
    return {row.image_id: row.patient_id for row in result.slices}


def _check_slices(submitted: Submitted, expected: Mapping[str, str]) -> None:
    tested = _tested(submitted.result)
    if different := sorted(tested.items() ^ expected.items()):
        raise wrong(
            submitted,
            "has the wrong test set",
            found=f"{len({name for name, _ in different})} slices differ, e.g. {different[0][0]}",
            expected=f"{len(expected)} slices, each of its patient",
            hint="use the source that the accepted results were made with",
        )


def _suite(result: SegmentationResult) -> SegmentationSuite:
    suite = load_suite(result.suite)
    assert isinstance(suite, SegmentationSuite)  # noqa: S101 - the result was held against it
    return suite


def _split(result: SegmentationResult, root: str | Path) -> dict[str, list[Row]]:
    """The slices of the protocol, as the suite has it split."""
    suite = _suite(result)
    protocol = suite.protocols[result.protocol]
    return data.split(suite, protocol, data.load_rows(suite, root), result.limit)[0]
