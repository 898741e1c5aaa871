"""The report of a placement: one self-contained HTML file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdnopt.plant.fingerprint import fingerprint
from pdnopt.report.pages import render, versions, write_page
from pdnopt.report.placement_view import read_placement_view

if TYPE_CHECKING:
    from pdnopt.placement import Placement

__all__ = ["render_placement_html", "write_placement_report"]


def write_placement_report(
    found: Placement, net: Any, path: str | Path, when: datetime | None = None
) -> Path:
    """Write the report of a placement as one self-contained HTML file.

    Parameters
    ----------
    found : Placement
        What `pdnopt.place` returned.
    net : pandapowerNet
        The network that it was asked about. Never changed.
    path : str or Path
        Missing folders are made; an existing file is replaced.
    when : datetime, optional
        The date on the report; default: now.

    Returns
    -------
    Path
        The file's absolute path.
    """
    return write_page(render_placement_html(found, net, when), path)


def render_placement_html(found: Placement, net: Any, when: datetime | None = None) -> str:
    """Return the report of a placement as HTML text. See `write_placement_report`."""
    view = read_placement_view(found, fingerprint(net), when or datetime.now().astimezone())
    return render("placement.html.j2", view=view, versions=versions())
