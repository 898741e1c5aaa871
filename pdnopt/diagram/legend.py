"""The key below a drawing: what each colour, dash, symbol and mark in it means."""

from __future__ import annotations

from collections.abc import Iterable

from pdnopt.diagram.labels import NAME_PX, plain
from pdnopt.diagram.situation import Situation
from pdnopt.diagram.style import feed_class
from pdnopt.diagram.svg import element, fixed, group, text_element
from pdnopt.diagram.symbols import NAMES, symbol
from pdnopt.diagram.text import text_width

__all__ = ["legend"]

ROW_PX = 24.0
SAMPLE_PX = 30.0
TEXT_PX = 8.0
BETWEEN_PX = 18.0
MOST_FEEDS = 8


def legend(situation: Situation, kinds: Iterable[str], width: float, y: float) -> tuple[str, float]:
    """Return the key's SVG and its height, px.

    Parameters
    ----------
    kinds : iterable of str
        Kinds of symbols that the drawing has.
    width : float
        Where its rows wrap.
    y : float
        Where it begins.
    """
    entries = [*_feeds(situation), ("dead", _line("dead"), "without voltage")]
    present = set(kinds)
    for kind, name in NAMES.items():
        if kind in present:
            entries.append(("ink", symbol(kind, SAMPLE_PX / 2, 0.0), name))
    if "switch" in present:
        entries.append(("ink", symbol("switch", SAMPLE_PX / 2, 0.0, 0.0), "open"))
    box = {"x": 5, "y": -8, "width": 20, "height": 16, "rx": 4}
    entries += [
        ("ink", element("rect", **box, class_="halo"), "moved since the picture before"),
        ("ink", element("path", d="M7 -7l14 14m0 -14l-14 14", class_="cross"), "failed"),
        ("ink", element("rect", **box, class_="hot"), "beyond its rating"),
        ("ink", element("path", d="M1 4L29 2V6L1 5z", class_="full"), "the wider, the more loaded"),
    ]
    if "racks" in present:
        bar = element("rect", x=1, y=-2, width=28, height=4, class_="missing")
        entries.append(
            ("ink", bar + element("rect", x=1, y=-2, width=19, height=4, class_="served"), "load served")
        )
    x, row, out = 0.0, 0, []
    for look, sample, words in entries:
        room = SAMPLE_PX + TEXT_PX + text_width(words, NAME_PX) + BETWEEN_PX
        if x and x + room > width - 28:
            x, row = 0.0, row + 1
        at = f"translate({fixed(x + 14)} {fixed(y + 14 + ROW_PX * row)})"
        text = text_element(words, SAMPLE_PX + TEXT_PX, 4)
        out.append(group(sample + text, class_=f"entry {look}", transform=at))
        x += room
    return group("".join(out), class_="entries"), ROW_PX * (row + 1) + 12


def _line(look: str) -> str:
    return element("path", d="M0 0H30", class_=f"w {look}", stroke_width=2.4)


def _feeds(situation: Situation) -> list[tuple[str, str, str]]:
    """Return one entry for every source that feeds something at any moment."""
    used = {int(k) for moment in situation.moments for k in set(moment.feed.tolist()) if k >= 0}
    found = []
    for k in sorted(used)[:MOST_FEEDS]:
        look = feed_class(situation.feeds, k)
        name = plain(situation.feeds[k].name)
        found.append(
            (look, _line(look), f"from {name if situation.feeds[k].kind != 'battery' else 'batteries'}")
        )
    return found
