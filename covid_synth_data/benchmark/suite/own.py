"""A classifier of the user in a suite that does not name it: trained on the suite's films and regimes."""

from __future__ import annotations

from collections.abc import Sequence

from covid_synth_data.benchmark.suite.classification import ClassificationSuite, Model
from covid_synth_data.classifiers import own
from covid_synth_data.classifiers.registry import CLASSIFIERS
from covid_synth_data.errors import ConfigError


def with_models(suite: ClassificationSuite, asked: Sequence[str]) -> tuple[ClassificationSuite, list[str]]:
    """The suite with those of `asked` that are the user's, and the names of all as the suite has them.

    Raises `ConfigError` for a module that is not there, `UnknownName` for an attribute that it lacks.
    """
    added: dict[str, Model] = {}
    names: list[str] = []
    for text in asked:
        imported = None if text in suite.models else own.named(text)
        if imported is None:
            names.append(text)
            continue
        name, origin = imported
        if name in suite.models or name in CLASSIFIERS or (name in added and added[name].own != origin):
            raise ConfigError(
                f"the classifier {text} would be called as another one",
                found=name,
                expected="a name of its own",
                hint="rename the attribute",
            )
        own.factory(origin)
        added[name] = Model(weights="none", own=origin)
        names.append(name)
    return suite.model_copy(update={"models": {**suite.models, **added}}), names
