"""Write the report: gather what it shows, render the template, write one file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from pdnopt.diagram import Situation, draw, read_situation
from pdnopt.errors import InputError, PlanError
from pdnopt.plant.fingerprint import fingerprint
from pdnopt.report.allocation_view import read_allocation
from pdnopt.report.balance_view import read_balance
from pdnopt.report.harmonics_view import read_harmonics
from pdnopt.report.loadings import read_loadings
from pdnopt.report.pages import render, versions, write_page
from pdnopt.report.shift_view import read_shift
from pdnopt.report.view import ReportView, read_view
from pdnopt.result import Result

__all__ = ["render_html", "write_report"]


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
    return write_page(render_html(result, net, when), path)


def render_html(result: Result, net: Any, when: datetime | None = None) -> str:
    """Return the report as HTML text. See `write_report`."""
    situation, remark = _situation(result, net)
    view: ReportView = read_view(
        result,
        read_loadings(situation) if situation else [],
        remark,
        result.fingerprint or fingerprint(net),
        versions(),
        when or datetime.now().astimezone(),
    )
    return render(
        "report.html.j2",
        view=view,
        diagram=draw(situation) if situation else None,
        allocation=read_allocation(result),
        shift=read_shift(result),
        balance=read_balance(result),
        harmonics=read_harmonics(result),
    )


def _backing(result: Result) -> dict[str, str]:
    """Return where each transfer device goes first, of a result that says so."""
    found = result.backing
    return {} if found is None else dict(zip(found["device"], found["next"], strict=True))


def _situation(result: Result, net: Any) -> tuple[Situation | None, str]:
    """Return what to draw, or None; and what could not be found, in words."""
    try:
        situation = read_situation(net, result.plan, _backing(result))
    except (InputError, PlanError) as error:
        text = str(error).splitlines()[0]
        return None, f"No AC power flow of the network as the failure left it: {text}"
    return situation, situation.remark
