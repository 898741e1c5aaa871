"""One diagram: for every sheet one layout, painted once for each moment."""

from __future__ import annotations

from dataclasses import dataclass, field

from pdnopt.diagram.areas import Area, split
from pdnopt.diagram.collapse import Scheme, gather
from pdnopt.diagram.labels import node_label, parts_label
from pdnopt.diagram.layout import Layout, lay_out
from pdnopt.diagram.levels import Tree, grow
from pdnopt.diagram.ordering import arrange
from pdnopt.diagram.overview import overview
from pdnopt.diagram.painting import Mark, Painter
from pdnopt.diagram.ports import assign
from pdnopt.diagram.situation import Situation
from pdnopt.diagram.wiring import read_wiring

__all__ = ["Diagram", "Sheet", "draw"]

PORTRAIT_PX = 900.0

WIDEST_PX = 3000.0
"""A wider plant is drawn in areas, where it has some."""


@dataclass(frozen=True)
class Sheet:
    """A drawing of each moment, all with the same layout.

    Attributes
    ----------
    name : str
        Of the area; "" for the whole plant or its backbone.
    titles, pictures : tuple of str
        One a moment; a picture is an ``<svg>`` element that needs nothing else.
    width, height : float
        px at natural size.
    marks : tuple of Mark
        Where symbols and labels stand, for whoever checks that they keep apart.
    places : dict of str to str
        For every component on it: "" if it is drawn itself, else the label of the block it is in.
    touched : bool
        Whether the failure or the plan changes anything on it.
    """

    name: str
    titles: tuple[str, ...]
    pictures: tuple[str, ...]
    width: float
    height: float
    marks: tuple[Mark, ...]
    places: dict[str, str]
    touched: bool = True


@dataclass(frozen=True)
class Diagram:
    """The whole plant on one sheet, or its backbone and after it a sheet for every area.

    ``tiles`` is an overview of the areas for each moment, as SVG; empty without areas.
    """

    titles: tuple[str, ...]
    sheets: tuple[Sheet, ...]
    tiles: tuple[str, ...] = field(default_factory=tuple)

    @property
    def wide(self) -> bool:
        """True if a sheet is too wide for a page in portrait."""
        return any(sheet.width > PORTRAIT_PX for sheet in self.sheets)


def draw(situation: Situation) -> Diagram:
    """Draw a situation.

    Parameters
    ----------
    situation : Situation
        From `read_situation`.

    Returns
    -------
    Diagram
    """
    scheme = gather(situation, read_wiring(situation.grid, situation.demand))
    titles = tuple(moment.title for moment in situation.moments)
    plan = _Plan(situation, scheme)
    parts = split(scheme, plan.tree) if plan.layout.width > WIDEST_PX else None
    if parts is None:
        return Diagram(titles, (plan.sheet(""),))
    backbone, areas = parts
    sheets = [_Plan(situation, backbone).sheet("")]
    touched = [_is_touched(situation, area) for area in areas]
    for area, changed in zip(areas, touched, strict=True):
        sheets.append(_Plan(situation, area.scheme).sheet(area.name, changed))
    tiles = tuple(overview(situation, moment, areas, touched) for moment in situation.moments)
    return Diagram(titles, tuple(sheets), tiles)


class _Plan:
    """A scheme laid out."""

    def __init__(self, situation: Situation, scheme: Scheme) -> None:
        self.situation, self.scheme = situation, scheme
        self.node_labels = [node_label(situation, node) for node in scheme.nodes]
        self.part_labels = [[parts_label(situation, parts) for parts in wire.parts] for wire in scheme.wires]
        self.tree: Tree = grow(scheme, situation)
        arrange(scheme, self.tree)
        switches = situation.grid.switches
        positions = frozenset(
            name for name, device in zip(switches.name, switches.transfer, strict=True) if device >= 0
        )
        ports = assign(scheme, self.tree, self.part_labels, positions)
        self.layout: Layout = lay_out(scheme, self.tree, ports, self.node_labels, self.part_labels, positions)

    def sheet(self, name: str, touched: bool = True) -> Sheet:
        """Paint it; where nothing changes, the last moment only."""
        moments = self.situation.moments if touched else self.situation.moments[-1:]
        painters = [
            Painter(self.situation, moment, self.scheme, self.layout, self.node_labels, self.part_labels)
            for moment in moments
        ]
        pictures = tuple(painter.paint() for painter in painters)
        return Sheet(
            name=name,
            titles=tuple(moment.title for moment in moments),
            pictures=pictures,
            width=self.layout.width,
            height=self.layout.height,
            marks=tuple(painters[0].marks),
            places=self._places(),
            touched=touched,
        )

    def _places(self) -> dict[str, str]:
        places: dict[str, str] = {}
        for node, label in zip(self.scheme.nodes, self.node_labels, strict=True):
            if node.kind == "stub":
                continue
            places.update(dict.fromkeys(node.inside or (), label.name))
            places.update(dict.fromkeys(node.names, "" if len(node.names) == 1 else label.name))
        for wire, labels in zip(self.scheme.wires, self.part_labels, strict=True):
            for parts, label in zip(wire.parts, labels, strict=True):
                alone = len(parts.names) == 1
                places.update(dict.fromkeys(parts.names, "" if alone else label.name or "panels"))
        return places


def _is_touched(situation: Situation, area: Area) -> bool:
    """Return whether an area looks different from how it was given, or is not served in full."""
    moments = (situation.given, *situation.moments)
    names = {name for node in area.scheme.nodes for name in (*node.names, *(node.inside or ()))}
    names |= {name for wire in area.scheme.wires for parts in wire.parts for name in parts.names}
    if names & situation.failed or any(names & moment.moved for moment in moments):
        return True
    points = [p for node in area.scheme.nodes for p in node.points]
    if any((moment.feed[points] != situation.given.feed[points]).any() for moment in moments):
        return True
    units = list(area.units)
    return any(
        (moment.served_kw[units] < situation.demand.d_kw[units] - 0.05).any() for moment in situation.moments
    )
