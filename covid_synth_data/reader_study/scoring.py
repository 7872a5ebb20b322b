"""Scoring a study: how often readers found the real film, and whether guessing would do as well.

A pair is a forced choice between two films whose sides were thrown with a coin, so a reader who cannot tell
is right in half of the pairs whatever the habit, and the number of right answers is binomial.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

from covid_synth_data.errors import ResultError
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics.detection import Proportion, proportion
from covid_synth_data.reader_study.study import Answers, Key, read

POOLED_NOTE = (
    "All readers saw the same pairs, so their answers are not independent: the pooled interval and p are too"
    " narrow where readers agree. The numbers of each reader have no such flaw."
)


class Confusion(FrozenModel):
    """The confusion table. Each pair holds one film of each kind, so right and wrong come in twos."""

    real_called_real: int
    real_called_synthetic: int
    synthetic_called_real: int
    synthetic_called_synthetic: int


class SideBias(FrozenModel):
    """The share of answers "left", with the two-sided p against one half; `real_left` is how often the real
    film was there. Right answers by the side of the real film; None where it was never on that side."""

    left: Proportion
    p_value: float
    real_left: int
    right_when_left: Proportion | None
    right_when_right: Proportion | None


class Seconds(FrozenModel):
    """Time on the screen per pair."""

    median: float
    least: float
    most: float
    total: float


class Reader(FrozenModel):
    """The score of one reader. `p_value` is the exact two-sided binomial p against guessing; `confidence`
    gives right answers by stated confidence ("none" where none was stated)."""

    reader: str
    accuracy: Proportion
    p_value: float
    confusion: Confusion
    sides: SideBias
    seconds: Seconds
    confidence: dict[str, Proportion]


class Pair(FrozenModel):
    """How many of the readers were right about a pair."""

    pair: str
    real_film: str
    synthetic_film: str
    right: int
    readers: int


class Pooled(FrozenModel):
    """All answers together. `agreement` is the share of (two readers, pair) with the same answer, None for
    a single reader; `note` says what the numbers cannot."""

    accuracy: Proportion
    p_value: float
    confusion: Confusion
    agreement: Proportion | None
    all_right: int
    all_wrong: int
    note: str


class Score(FrozenModel):
    """The whole study."""

    study: str
    title: str
    pairs: int
    readers: list[Reader]
    pooled: Pooled
    by_pair: list[Pair]


def score(answers: Sequence[str | Path], key: str | Path) -> Score:
    """Score the exported answers of one or more readers.

    Raises `ResultError` for a file that is damaged, of another study, with pairs unknown, missing or twice,
    and for a reader who is there twice.
    """
    known = read(Path(key), Key)
    if len({pair.id for pair in known.pairs}) != len(known.pairs):
        raise ResultError(f"{key} holds a pair twice", hint="ask for the key that was made with the page")
    if not answers:
        raise ResultError("no answers to score", expected="the files that readers exported")
    by_reader: dict[str, tuple[Path, Answers]] = {}
    for path in map(Path, answers):
        content = _checked(path, known)
        if content.reader in by_reader:
            raise ResultError(
                f"reader {content.reader!r} is there twice",
                found=f"{by_reader[content.reader][0]} and {path}",
                expected="one file for each reader",
                hint="leave one out, or change the code of one reader",
            )
        by_reader[content.reader] = path, content
    everyone = [content for _, content in by_reader.values()]
    return Score(
        study=known.study,
        title=known.title,
        pairs=len(known.pairs),
        readers=[_reader(content, known) for content in everyone],
        pooled=_pooled(everyone, known),
        by_pair=_by_pair(everyone, known),
    )


def _checked(path: Path, key: Key) -> Answers:
    """The answers in `path`, which must be all of this study's pairs, each once."""
    content = read(path, Answers)
    if content.study != key.study:
        raise ResultError(
            f"{path} answers another study",
            found=content.study[:12],
            expected=f"{key.study[:12]}, that of the key",
            hint="give the key that was made with that page",
        )
    ids = [pair.id for pair in key.pairs]
    answered = [answer.pair for answer in content.answers]
    strange = [pair for pair in answered if pair not in set(ids)]
    twice = [pair for pair in dict.fromkeys(answered) if answered.count(pair) > 1]
    missing = [number for number, pair in enumerate(ids, 1) if pair not in set(answered)]
    for problem, names in (
        ("pairs that the key does not have", strange),
        ("pairs answered twice", twice),
        ("pairs without an answer", missing),
    ):
        if names:
            raise ResultError(
                f"{path} has {len(names)} {problem}",
                found=f"the first is {names[0]}",
                expected=f"each of the {len(ids)} pairs once",
                hint="ask the reader to finish the page and to export again",
            )
    return content


def _p_value(right: int, n: int) -> float:
    from scipy import stats

    return float(stats.binomtest(right, n, 0.5, alternative="two-sided").pvalue)


def _confusion(right: int, n: int) -> Confusion:
    wrong = n - right
    return Confusion(
        real_called_real=right,
        real_called_synthetic=wrong,
        synthetic_called_real=wrong,
        synthetic_called_synthetic=right,
    )


def _share(hits: Sequence[bool]) -> Proportion | None:
    return proportion(sum(hits), len(hits)) if hits else None


def _reader(content: Answers, key: Key) -> Reader:
    truth = {pair.id: pair.real for pair in key.pairs}
    hits = [answer.real == truth[answer.pair] for answer in content.answers]
    left = [answer.real == "left" for answer in content.answers]
    seconds = [answer.seconds for answer in content.answers]
    where = [truth[answer.pair] for answer in content.answers]
    levels: dict[str, list[bool]] = {}
    for answer, hit in zip(content.answers, hits, strict=True):
        levels.setdefault("none" if answer.confidence is None else str(answer.confidence), []).append(hit)
    return Reader(
        reader=content.reader,
        accuracy=proportion(sum(hits), len(hits)),
        p_value=_p_value(sum(hits), len(hits)),
        confusion=_confusion(sum(hits), len(hits)),
        sides=SideBias(
            left=proportion(sum(left), len(left)),
            p_value=_p_value(sum(left), len(left)),
            real_left=where.count("left"),
            right_when_left=_share([hit for hit, side in zip(hits, where, strict=True) if side == "left"]),
            right_when_right=_share([hit for hit, side in zip(hits, where, strict=True) if side == "right"]),
        ),
        seconds=Seconds(median=median(seconds), least=min(seconds), most=max(seconds), total=sum(seconds)),
        confidence={level: proportion(sum(levels[level]), len(levels[level])) for level in sorted(levels)},
    )


def _sides(content: Answers) -> dict[str, str]:
    return {answer.pair: answer.real for answer in content.answers}


def _pooled(everyone: Sequence[Answers], key: Key) -> Pooled:
    answers = [_sides(content) for content in everyone]
    right = [[sides[pair.id] == pair.real for sides in answers] for pair in key.pairs]
    n = len(key.pairs) * len(answers)
    hits = sum(map(sum, right))
    same = [
        sides[pair.id] == other[pair.id] for sides, other in combinations(answers, 2) for pair in key.pairs
    ]
    return Pooled(
        accuracy=proportion(hits, n),
        p_value=_p_value(hits, n),
        confusion=_confusion(hits, n),
        agreement=_share(same),
        all_right=sum(map(all, right)),
        all_wrong=sum(not any(row) for row in right),
        note=POOLED_NOTE,
    )


def _by_pair(everyone: Sequence[Answers], key: Key) -> list[Pair]:
    answers = [_sides(content) for content in everyone]
    return [
        Pair(
            pair=pair.id,
            real_film=pair.real_film,
            synthetic_film=pair.synthetic_film,
            right=sum(sides[pair.id] == pair.real for sides in answers),
            readers=len(answers),
        )
        for pair in key.pairs
    ]


def text(result: Score) -> str:
    """The score as text."""
    lines = [
        f"{result.title} Study {result.study[:12]}, {result.pairs} pairs, {len(result.readers)} readers."
    ]
    for reader in result.readers:
        lines += ["", f"{reader.reader}: {_accuracy(reader)}", *(f"  {line}" for line in _details(reader))]
    pooled = result.pooled
    lines += ["", f"all readers: {_accuracy(pooled)}"]
    if pooled.agreement is not None:
        lines.append(
            f"  two readers gave the same answer in {_cell(pooled.agreement)} of the cases;"
            f" all were right in {pooled.all_right} pairs, all wrong in {pooled.all_wrong}"
        )
    lines.append(f"  {pooled.note}")
    hard = sorted((pair for pair in result.by_pair if pair.right < pair.readers), key=lambda pair: pair.right)
    if hard:
        lines += ["", "pairs that were mistaken (right / readers, real film, synthetic film):"]
        lines += [f"  {p.right} / {p.readers}  {p.real_film}  {p.synthetic_film}" for p in hard]
    return "\n".join(lines)


def _accuracy(scored: Any) -> str:
    return f"{_cell(scored.accuracy)} right, p = {scored.p_value:.2g} against guessing"


def _cell(share: Proportion) -> str:
    return f"{share.count} of {share.n} = {share.value:.3f} [{share.low:.3f} to {share.high:.3f}]"


def _details(reader: Reader) -> list[str]:
    c, sides, seconds = reader.confusion, reader.sides, reader.seconds
    lines = [
        f"real called real {c.real_called_real}, real called synthetic {c.real_called_synthetic},"
        f" synthetic called real {c.synthetic_called_real},"
        f" synthetic called synthetic {c.synthetic_called_synthetic}",
        f"answered left {sides.left.count} of {sides.left.n} times, p = {sides.p_value:.2g}"
        f" against no side (real was left {sides.real_left} times)",
        f"seconds per pair: median {seconds.median:.1f}, {seconds.least:.1f} to {seconds.most:.1f},"
        f" {seconds.total:.0f} in all",
    ]
    stated = {level: share for level, share in reader.confidence.items() if level != "none"}
    if stated:
        lines.append(
            "right by confidence: " + "; ".join(f"{level}: {_cell(share)}" for level, share in stated.items())
        )
    return lines
