"""Reports of a result, a sweep, a placement and a run: one self-contained HTML file each, to read, print and file."""

from pdnopt.plant.fingerprint import fingerprint
from pdnopt.report.document import render_html, write_report
from pdnopt.report.placement_document import render_placement_html, write_placement_report
from pdnopt.report.run_document import render_run_html, write_run_report
from pdnopt.report.sweep_document import render_sweep_html, write_sweep_report

__all__ = [
    "fingerprint",
    "render_html",
    "render_placement_html",
    "render_run_html",
    "render_sweep_html",
    "write_placement_report",
    "write_report",
    "write_run_report",
    "write_sweep_report",
]
