"""What every page shares: the templates' environment, the versions of the software, writing one file."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pdnopt.words import kw, number, percent, plural, seconds, short

__all__ = ["render", "versions", "write_page"]

TOOLS = ("pdnopt", "pandapower", "power-grid-model", "highspy", "pyomo")


def render(template: str, **values: Any) -> str:
    """Return a template of this package filled in; text is escaped unless the template says otherwise."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pdnopt.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(kw=kw, number=number, percent=percent, seconds=seconds, short=short)
    environment.globals.update(plural=plural)
    return environment.get_template(template).render(**values)


def write_page(text: str, path: str | Path) -> Path:
    """Write a page and return its absolute path. Missing folders are made; an existing file is replaced."""
    file = Path(path).resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def versions() -> tuple[tuple[str, str], ...]:
    """Return the versions of Python and of what pdnopt computes with."""
    found = [("Python", platform.python_version())]
    for name in TOOLS:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return tuple(found)
