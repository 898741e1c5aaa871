"""The report of a run: one self-contained HTML file, from its journal alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pdnopt.report.pages import render, versions, write_page
from pdnopt.report.panels import HEIGHT, WIDTH
from pdnopt.report.run_view import read_run

if TYPE_CHECKING:
    from pdnopt.journal import Past

__all__ = ["render_run_html", "write_run_report"]


def write_run_report(past: Past, path: str | Path) -> Path:
    """Write the report of a run as one self-contained HTML file.

    Parameters
    ----------
    past : Past
        The journal (`pdnopt.journal.read_past`).
    path : str or Path
        Missing folders are made; an existing file is replaced.

    Returns
    -------
    Path
        The file's absolute path.

    Raises
    ------
    InputError
        The journal holds no scan.
    """
    return write_page(render_run_html(past), path)


def render_run_html(past: Past) -> str:
    """Return the report as HTML text. See `write_run_report`."""
    view = read_run(past)
    return render("run.html.j2", view=view, versions=versions(), width=WIDTH, height=HEIGHT)
