"""The symbols, drawn around (0, 0) for a wire that runs down; IEC 60617 in spirit, plain enough for small prints."""

from __future__ import annotations

from pdnopt.diagram.svg import element, fixed, group

__all__ = ["HEIGHTS_PX", "NAMES", "symbol"]

HEIGHTS_PX = {
    "source": 26.0,
    "genset": 26.0,
    "ups": 26.0,
    "trafo": 23.0,
    "winding": 14.0,
    "switch": 11.0,
    "position": 10.0,
    "line": 14.0,
    "impedance": 14.0,
    "storage": 14.0,
}
"""Height of each symbol along its wire; a wire ends at its edge."""

NAMES = {
    "source": "utility feed",
    "genset": "genset",
    "ups": "UPS",
    "trafo": "transformer",
    "switch": "breaker or switch",
    "position": "position of an ATS or STS",
    "line": "cable, line or busway",
    "storage": "battery",
}


def symbol(kind: str, x: float, y: float, closed: float = 1.0, flat: bool = False) -> str:
    """Return a symbol at a place.

    ``closed`` is the part of switches in parallel that are closed, 0..1; ``flat`` turns the symbol for a wire
    that runs from left to right.
    """
    turn = " rotate(90)" if flat else ""
    return group(_SHAPES[kind](closed), transform=f"translate({fixed(x)} {fixed(y)}){turn}")


def _source(_: float) -> str:
    frame = element("rect", x=-11, y=-11, width=22, height=22, class_="body")
    return frame + element("path", d="M-11 0L0 -11M-11 11L11 -11M0 11L11 0", class_="thin")


def _genset(_: float) -> str:
    return element("circle", r=12, class_="body") + '<text class="letter" y="4.5">G</text>'


def _ups(_: float) -> str:
    frame = element("rect", x=-14, y=-13, width=28, height=26, rx=2, class_="body")
    waves = element("path", d="M-14 13L14 -13M-10 -6q2 -4 4 0t4 0M3 6q2 -4 4 0t4 0", class_="thin")
    return frame + waves


def _trafo(_: float) -> str:
    return element("circle", cy=-4.5, r=7, class_="body") + element("circle", cy=4.5, r=7, class_="ring")


def _winding(_: float) -> str:
    return element("circle", r=7, class_="body")


def _switch(closed: float) -> str:
    if closed >= 1.0:
        return element("rect", x=-5, y=-5, width=10, height=10, class_="full")
    frame = element("rect", x=-5, y=-5, width=10, height=10, class_="body open")
    return frame + (element("path", d="M-5 5V-5L5 5z", class_="full") if closed else "")


def _position(closed: float) -> str:
    if closed >= 1.0:
        return element("circle", r=4.5, class_="full")
    frame = element("circle", r=4.5, class_="body open")
    return frame + (element("path", d="M0 -4.5A4.5 4.5 0 0 0 0 4.5z", class_="full") if closed else "")


def _line(_: float) -> str:
    return element("rect", x=-2.5, y=-7, width=5, height=14, rx=2.5, class_="body")


def _impedance(_: float) -> str:
    return element("path", d="M0 -7l4 2l-8 3.5l8 3.5l-8 3.5l4 1.5", class_="thin")


def _storage(_: float) -> str:
    return element("path", d="M-10 -6H10M-5 -2H5M-10 2H10M-5 6H5", class_="thick")


def _stub(_: float) -> str:
    return element("path", d="M-9 -8H9L0 11z", class_="body")


_SHAPES = {
    "stub": _stub,
    "source": _source,
    "genset": _genset,
    "ups": _ups,
    "trafo": _trafo,
    "winding": _winding,
    "switch": _switch,
    "position": _position,
    "line": _line,
    "impedance": _impedance,
    "storage": _storage,
}
