"""The card of a release of imported images: what is stated of each config, and what is unknown."""

from __future__ import annotations

from covid_synth_data.release import manifest


def text(listed: manifest.Manifest) -> str:
    """The Markdown below the YAML of the card."""
    parts = [
        f"# {listed.name} {listed.version}\n",
        "Synthetic chest X-rays that were made elsewhere and brought into the form of a release by"
        " `covid-synth import`. Not for diagnosis.\n",
    ]
    parts += [_config(name, subset) for name, subset in listed.subsets.items()]
    return "\n".join(parts)


def _config(name: str, subset: manifest.Subset) -> str:
    rows = [("images", f"{subset.rows:,}"), ("generator", subset.generator)]
    if subset.imported is not None:
        rows.append(("size", " x ".join(map(str, subset.imported.size)) + " pixels"))
        rows.append(("came as", subset.imported.form))
    rows += [("licence", ", ".join(subset.licences)), ("learned from", learned_from(subset))]
    table = [f"| {key} | {value} |" for key, value in rows]
    return "\n".join([f"## {name}\n", "| | |", "| --- | --- |", *table, ""])


def learned_from(subset: manifest.Subset) -> str:
    """In words, what real films the generator of a subset learned from."""
    if subset.imported is not None and subset.imported.learned_from == "unknown":
        return "unknown: nobody can say whether a test film is among them"
    films, patients = len(subset.learned_from.films), len(subset.learned_from.patients)
    return f"{films:,} films of {patients:,} patients" if films or patients else "no real film"
