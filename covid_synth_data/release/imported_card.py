"""The card of a release that `covid-synth import` or `covid-synth paint` wrote: what is stated of a set."""

from __future__ import annotations

from typing import Final

from covid_synth_data.release import manifest

PAINTED: Final = "painting"
"""The form of a config of lesion pairs that were painted into a user's films."""

_PAIRS: Final = (
    "Pairs of a film as it was and the same film with painted opacities. The first film of a pair is a real"
    " film: share it only where you may share that film. `mask` says how far a pixel belongs to the lesion, 0"
    " to 255; `pair_id`, `pattern` and `extent` (a share of both lungs) say what was painted."
)


def text(listed: manifest.Manifest) -> str:
    """The Markdown below the YAML of the card."""
    forms = {subset.imported.form for subset in listed.subsets.values() if subset.imported is not None}
    parts = [f"# {listed.name} {listed.version}\n"]
    if forms - {PAINTED}:
        parts.append(
            "Synthetic chest X-rays that were made elsewhere and brought into the form of a release by"
            " `covid-synth import`.\n"
        )
    if PAINTED in forms:
        parts.append("Lesion pairs that `covid-synth paint` made.\n")
    parts += ["Not for diagnosis.\n", *(_config(name, subset) for name, subset in listed.subsets.items())]
    return "\n".join(parts)


def _config(name: str, subset: manifest.Subset) -> str:
    rows = [("images", f"{subset.rows:,}"), ("generator", subset.generator)]
    about = []
    if subset.imported is not None:
        rows.append(("size", " x ".join(map(str, subset.imported.size)) + " pixels"))
        rows.append(("came as", subset.imported.form))
        about = [_PAIRS, ""] if subset.imported.form == PAINTED else []
    rows += [("licence", ", ".join(subset.licences)), ("learned from", learned_from(subset))]
    table = [f"| {key} | {value} |" for key, value in rows]
    return "\n".join([f"## {name}\n", *about, "| | |", "| --- | --- |", *table, ""])


def learned_from(subset: manifest.Subset) -> str:
    """In words, what real films the generator of a subset learned from, or its pairs show."""
    if subset.imported is not None and subset.imported.learned_from == "unknown":
        return "unknown: nobody can say whether a test film is among them"
    films, patients = len(subset.learned_from.films), len(subset.learned_from.patients)
    return f"{films:,} films of {patients:,} patients" if films or patients else "no real film"
