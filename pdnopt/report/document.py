"""Write the report: gather what it shows, render the template, write one file."""

from __future__ import annotations

import platform
from dataclasses import replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pdnopt.acflow import powerflow
from pdnopt.errors import InputError, PlanError, PowerFlowError
from pdnopt.report.fingerprint import fingerprint
from pdnopt.report.loadings import Loading, compare
from pdnopt.report.view import ReportView, read_view
from pdnopt.report.words import kw, number, percent, plural, seconds, short
from pdnopt.result import Result

__all__ = ["render_html", "write_report"]

TOOLS = ("pdnopt", "pandapower", "power-grid-model", "highspy", "pyomo")


def write_report(result: Result, net: Any, path: str | Path, when: datetime | None = None) -> Path:
    """Write the report of a result as one self-contained HTML file.

    Parameters
    ----------
    result : Result
    net : pandapowerNet
        The network that was solved. Never changed.
    path : str or Path
        Missing folders are made; an existing file is replaced.
    when : datetime, optional
        The date on the report; default: now.

    Returns
    -------
    Path
        The file's absolute path.
    """
    text = render_html(result, net, when)
    file = Path(path).resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def render_html(result: Result, net: Any, when: datetime | None = None) -> str:
    """Return the report as HTML text. See `write_report`."""
    import jinja2

    loadings, remark = _loadings(result, net)
    view: ReportView = read_view(
        result, loadings, remark, fingerprint(net), _versions(), when or datetime.now().astimezone()
    )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pdnopt.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(kw=kw, number=number, percent=percent, seconds=seconds, short=short)
    environment.globals.update(plural=plural)
    return environment.get_template("report.html.j2").render(view=view)


def _loadings(result: Result, net: Any) -> tuple[list[Loading], str]:
    """Return loadings after the failure and after the plan, by AC power flow, and what could not be found."""
    remarks = []
    states: list[Any] = []
    for plan, name in (
        (replace(result.plan, actions=()), "as the failure left it"),
        (result.plan, "after the plan"),
    ):
        try:
            states.append(powerflow(plan.apply(net)))
        except (InputError, PlanError, PowerFlowError) as error:
            states.append(None)
            remarks.append(f"No AC power flow of the network {name}: {str(error).splitlines()[0]}")
    return compare(states[0], states[1], result.plan.failed), " ".join(remarks)


def _versions() -> tuple[tuple[str, str], ...]:
    found = [("Python", platform.python_version())]
    for name in TOOLS:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return tuple(found)
