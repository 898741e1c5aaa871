"""Reports of a result and of a sweep: one self-contained HTML file each that a person can read, print and file."""

from pdnopt.plant.fingerprint import fingerprint
from pdnopt.report.document import render_html, write_report
from pdnopt.report.sweep_document import render_sweep_html, write_sweep_report

__all__ = ["fingerprint", "render_html", "render_sweep_html", "write_report", "write_sweep_report"]
