"""The report of one result: one self-contained HTML file that a person can read, print and file."""

from pdnopt.report.document import render_html, write_report
from pdnopt.report.fingerprint import fingerprint

__all__ = ["fingerprint", "render_html", "write_report"]
