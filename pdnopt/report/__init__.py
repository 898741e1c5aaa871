"""The report of one result: one self-contained HTML file that a person can read, print and file."""

from pdnopt.plant.fingerprint import fingerprint
from pdnopt.report.document import render_html, write_report

__all__ = ["fingerprint", "render_html", "write_report"]
