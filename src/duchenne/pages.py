"""Self-contained HTML pages: one look for all of them, no network, light and dark, screens and paper."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape


def render_page(package: str, template: str, values: Mapping[str, Any]) -> str:
    """Fills a template that lies in a package; it may extend `page.jinja`, which holds the common look.

    Args:
        package: dotted name of the package that holds the template.
        template: file name.
        values: for the template; a name that is missing is an error, text is escaped.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "."), PackageLoader("duchenne", ".")]),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


def jpeg_uri(jpeg: bytes) -> str:
    """A JPEG as an address that a page can hold."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def png_uri(png: bytes) -> str:
    """A PNG as an address that a page can hold."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
