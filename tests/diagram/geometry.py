"""What must hold of every sheet: nothing overlaps, and no wire runs through a symbol or across a bar."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np

SLACK_PX = 0.5


def overlaps(sheet: Any) -> list[tuple[Any, Any]]:
    """Return the pairs of symbols and labels whose boxes overlap."""
    marks = sheet.marks
    box = np.array([(m.x0, m.y0, m.x1, m.y1) for m in marks])
    hit = (
        (box[:, None, 0] < box[None, :, 2] - SLACK_PX)
        & (box[None, :, 0] < box[:, None, 2] - SLACK_PX)
        & (box[:, None, 1] < box[None, :, 3] - SLACK_PX)
        & (box[None, :, 1] < box[:, None, 3] - SLACK_PX)
    )
    return [(marks[i], marks[j]) for i, j in zip(*np.nonzero(np.triu(hit, 1)), strict=True)]


def wires(picture: str) -> list[list[tuple[float, float]]]:
    """Return the polylines of all wires."""
    found = re.findall(r'<path d="(M[^"H]*)" class="w ', picture)
    return [[(float(x), float(y)) for x, y in (p.split() for p in d[1:].split("L"))] for d in found]


def crossed(sheet: Any) -> list[tuple[str, list[tuple[float, float]]]]:
    """Return the symbols and bars that a wire runs right through."""
    boxes = [m for m in sheet.marks if m.kind == "symbol"]
    through = []
    for line in wires(sheet.pictures[0]):
        for (x0, y0), (x1, y1) in pairwise(line):
            low_x, high_x, low_y, high_y = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
            for m in boxes:
                if low_x == high_x:
                    bad = m.x0 + 1 < x0 < m.x1 - 1 and low_y < m.y0 - 1 and high_y > m.y1 + 1
                else:
                    bad = m.y0 + 1 < y0 < m.y1 - 1 and low_x < m.x0 - 1 and high_x > m.x1 + 1
                if bad:
                    through.append((m.owner, line))
    return through


def overlaid(sheet: Any) -> list[tuple[Any, Any]]:
    """Return pairs of vertical pieces of different wires that lie on each other for more than a lane's height."""
    pieces = []
    for line in wires(sheet.pictures[0]):
        pieces += [
            (x0, min(y0, y1), max(y0, y1), tuple(line)) for (x0, y0), (x1, y1) in pairwise(line) if x0 == x1
        ]
    pieces.sort()
    return [
        (a, b)
        for k, a in enumerate(pieces)
        for b in pieces[k + 1 : k + 12]
        if abs(a[0] - b[0]) < 2 and min(a[2], b[2]) - max(a[1], b[1]) > 10 and a[3][0] != b[3][0]
    ]
