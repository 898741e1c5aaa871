"""How wide a text is, estimated without a font, so that labels can be kept apart."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["common_name", "text_width", "widest"]

NARROW = frozenset("iljtfrI.,:;|!'()[]/ -")
WIDE = frozenset("mwMWO@%QGDHNCU&+=<>×…–—")
NARROW_EM, PLAIN_EM, WIDE_EM = 0.38, 0.60, 0.88
"""A little more than Helvetica, Segoe UI, Roboto and DejaVu Sans need on average for such letters."""


def text_width(text: str, size_px: float) -> float:
    """Return the width in px that a line of text may take in a sans-serif font of that size."""
    em = sum(NARROW_EM if c in NARROW else WIDE_EM if c in WIDE else PLAIN_EM for c in text)
    return em * size_px


def widest(lines: Sequence[str], size_px: float) -> float:
    """Return the width of the widest line."""
    return max((text_width(line, size_px) for line in lines), default=0.0)


def common_name(names: Sequence[str]) -> str:
    """Return what many names have in common: ``PDU-A01 .. PDU-A12`` -> ``PDU-A``; "" if nothing."""
    first, last = min(names), max(names)
    length = next((k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    stem = first[:length] if length < len(first) else first
    return re.sub(r"[\s\-_/.:0-9]+$", "", stem) if len(names) > 1 else first
