"""Public names of a package that are imported on first use, so that importing the package stays quick."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def exports(
    package: str, where: Mapping[str, str], modules: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package that imports its public names on first use.

    `where` says per name the module that defines it, relative to the package; `modules` are the submodules
    that are public themselves. The package assigns both functions where `TYPE_CHECKING` is false, so that a
    type checker sees the real imports alone and refuses a misspelt name.
    """
    public = frozenset(modules)

    def load(name: str) -> Any:
        if name in where:
            return getattr(importlib.import_module(f"{package}.{where[name]}"), name)
        if name in public:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        return list(importlib.import_module(package).__all__)

    return load, names
