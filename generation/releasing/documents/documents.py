"""Write the documents of a release and list them in the manifest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from covid_synth_data.benchmark.reporting.collect import Group
from covid_synth_data.files.atomic import write_text
from covid_synth_data.generators import weights
from covid_synth_data.release import manifest, writing
from generation.releasing import licensing
from generation.releasing.documents import credits, croissant, dataset, measured, model, render, scorecard

README: Final = "README.md"
LICENCE: Final = "LICENSE.md"
SHEETS: Final = "sheets"


def complete(
    folder: Path,
    listed: manifest.Manifest,
    new_credits: Iterable[credits.Credit] = (),
    results: Path | None = None,
    groups: Sequence[Group] | None = None,
) -> manifest.Manifest:
    """Write the documents of the release `folder`; returns `listed` with them. The manifest is not written.

    `new_credits` come to those that the release has already; `results` is a folder of result files,
    whose numbers for this version go into the card, and `groups` are what `collect` read in it before. The
    same inputs give the same bytes. Raises `ResultError`, `WeightsError`, `CorruptRelease`, `OutputError`.
    """
    shown = measured.read(results, listed, groups)
    shown = scorecard.added(shown, results, listed)
    sheets = sorted(path.relative_to(folder).as_posix() for path in (folder / SHEETS).glob("*.png"))
    named = credits.merged(credits.read(folder), new_credits)
    pages = {path.with_suffix(".md"): path for path in _weights(listed)}
    texts = {str(page): _model_card(folder, path, listed) for page, path in pages.items()}
    if named:
        texts[credits.FILE] = credits.to_csv(named)
    texts[LICENCE] = licence(listed)
    texts[README] = dataset.card(listed, shown, named, sheets)
    made = {*texts, *sheets, croissant.NAME}
    kept = [file for file in listed.files if file.path not in made and not _outdated(file.path)]
    bare = listed.model_copy(update={"files": kept})
    texts[croissant.NAME] = json.dumps(croissant.describe(bare), indent=1, ensure_ascii=False) + "\n"
    for path, text in texts.items():
        write_text(folder / path, text)
    return bare.model_copy(update={"files": [*kept, *(writing.entry(folder, path) for path in sorted(made))]})


def licence(listed: manifest.Manifest) -> str:
    """`LICENSE.md`: the licences of the images, and their terms."""
    names = dataset.licences_of(listed)
    return (
        render.environment()
        .get_template("LICENSE.md.jinja")
        .render(
            manifest=listed,
            licences=[
                (name, licensing.addresses([name], ""), licensing.needs_credit(name)) for name in names
            ],
            restricted=licensing.restricted(names),
            shared_alike=licensing.shared_alike(names),
        )
    )


def _weights(listed: manifest.Manifest) -> list[Path]:
    return sorted({Path(subset.weights) for subset in listed.subsets.values() if subset.weights})


def _model_card(folder: Path, path: Path, listed: manifest.Manifest) -> str:
    return model.card(weights.read_card(folder / path), path.as_posix(), listed)


def _outdated(path: str) -> bool:
    """Whether a listed file is a sheet that is no longer there."""
    return path.startswith(f"{SHEETS}/")
