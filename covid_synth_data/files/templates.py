"""The HTML pages of this package are Jinja templates; all of them escape what they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2


def page(package: str, **names: Any) -> jinja2.Template:
    """The template `page.html.jinja` of a package, with these names; an undefined name in it is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= names
    return environment.get_template("page.html.jinja")
