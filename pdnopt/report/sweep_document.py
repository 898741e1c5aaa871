"""The report of a sweep: one self-contained HTML file with a summary, a heat map and every contingency."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdnopt.report.pages import render, versions, write_page
from pdnopt.report.sweep_view import read_sweep_view

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["render_sweep_html", "write_sweep_report"]


def write_sweep_report(
    frame: pd.DataFrame, facts: Mapping[str, str], path: str | Path, when: datetime | None = None
) -> Path:
    """Write the report of a sweep as one self-contained HTML file.

    Parameters
    ----------
    frame : DataFrame
        What `pdnopt.sweep` returned.
    facts : mapping of str to str
        What went in, in the reader's words, for instance ``{"Network": "hall_4n3", "Load level": "90 %"}``.
        "Network" is in the title; "Fingerprint" is set as code.
    path : str or Path
        Missing folders are made; an existing file is replaced.
    when : datetime, optional
        The date on the report; default: now.

    Returns
    -------
    Path
        The file's absolute path.
    """
    return write_page(render_sweep_html(frame, facts, when), path)


def render_sweep_html(frame: pd.DataFrame, facts: Mapping[str, str], when: datetime | None = None) -> str:
    """Return the report of a sweep as HTML text. See `write_sweep_report`."""
    view: Any = read_sweep_view(frame, facts, when or datetime.now().astimezone())
    return render("sweep.html.j2", view=view, versions=versions())
