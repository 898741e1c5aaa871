"""The overview of a plant in areas: one tile an area, with what feeds it, what of it is served and what is overloaded."""

from __future__ import annotations

import numpy as np

from pdnopt.diagram.areas import Area
from pdnopt.diagram.labels import LONGEST, served_of
from pdnopt.diagram.situation import Moment, Situation
from pdnopt.diagram.style import css, feed_class
from pdnopt.diagram.svg import element, fixed, group, text_element
from pdnopt.words import number, percent, plural

__all__ = ["overview"]

TILE_PX = 208.0
TALL_PX = 74.0
APART_PX = 12.0
A_ROW = 5


def overview(situation: Situation, moment: Moment, areas: list[Area], touched: list[bool]) -> str:
    """Return the overview of one moment as an ``<svg>`` element."""
    rows = -(-len(areas) // A_ROW)
    width = min(len(areas), A_ROW) * (TILE_PX + APART_PX) + APART_PX
    height = rows * (TALL_PX + APART_PX) + APART_PX
    tiles = [
        _tile(
            situation,
            moment,
            area,
            changed,
            APART_PX + (k % A_ROW) * (TILE_PX + APART_PX),
            APART_PX + (k // A_ROW) * (TALL_PX + APART_PX),
        )
        for k, (area, changed) in enumerate(zip(areas, touched, strict=True))
    ]
    return group(
        f"<style>{css()}</style>" + "".join(tiles),
        tag="svg",
        title=f"Areas: {moment.title}",
        class_="oneline tiles",
        viewBox=f"0 0 {fixed(width)} {fixed(height)}",
        width=fixed(width),
        height=fixed(height),
        role="img",
        xmlns="http://www.w3.org/2000/svg",
    )


def _tile(situation: Situation, moment: Moment, area: Area, touched: bool, x: float, y: float) -> str:
    units = list(area.units)
    noun = "rack" if all(situation.demand.name[u].startswith("rack:") for u in units) else "load"
    demand_kw = float(situation.demand.d_kw[units].sum())
    served_kw = float(moment.served_kw[units].sum())
    part = min(max(served_kw / demand_kw, 0.0), 1.0) if demand_kw > 0 else 1.0
    worst, name = _worst(moment, area)
    over = worst > 100.05
    look = "tile touched" if touched else "tile"
    frame = element("rect", x=x, y=y, width=TILE_PX, height=TALL_PX, rx=5, class_="block")
    halo = element("rect", x=x - 3, y=y - 3, width=TILE_PX + 6, height=TALL_PX + 6, rx=7, class_="halo")
    title = area.name if len(area.name) <= LONGEST else area.name[: LONGEST - 1] + "\u2026"
    text = text_element(title, x + 12, y + 19, font_weight=650)
    text += text_element(
        f"{plural(len(units), noun)}, {served_of(situation, moment, area.units)}",
        x + 12,
        y + 35,
        class_="note",
    )
    if worst > 0:
        shown = f"{percent(worst)} {name.partition(':')[2]}"
        shown = shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "\u2026"
        text += text_element(shown, x + 12, y + 50, class_="note over" if over else "note")
    bar_y = y + TALL_PX - 14
    wide = TILE_PX - 24
    bars = element("rect", x=x + 12, y=bar_y, width=wide, height=5, class_="missing")
    at = x + 12
    for feed, share in _feeds(moment, situation, area):
        look_feed = feed_class(situation.feeds, feed)
        bars += group(
            element("rect", x=at, y=bar_y, width=wide * part * share, height=5, class_="served"),
            class_=look_feed,
        )
        at += wide * part * share
    shown = f"{number(100 * part)}\u00a0% served"
    return group(
        ("" if not touched else halo) + frame + text + bars, title=f"{area.name}: {shown}", class_=look
    )


def _worst(moment: Moment, area: Area) -> tuple[float, str]:
    """Return the highest loading in an area and whose it is."""
    names = {name for wire in area.scheme.wires for parts in wire.parts for name in parts.names}
    return max(((moment.percent.get(name, 0.0), name) for name in names), default=(0.0, ""))


def _feeds(moment: Moment, situation: Situation, area: Area) -> list[tuple[int, float]]:
    """Return the sources that feed the cords of an area and the share of each."""
    demand = situation.demand
    mine = np.isin(demand.cord_unit, area.units) & (moment.cord_kw > 0)
    total = float(moment.cord_kw[mine].sum())
    feed = moment.feed[demand.cord_node]
    found = np.unique(feed[mine])
    return (
        [(int(f), float(moment.cord_kw[mine & (feed == f)].sum()) / total) for f in found]
        if total > 0
        else []
    )
