"""One diagram: one layout, painted once for each moment."""

from __future__ import annotations

from dataclasses import dataclass

from pdnopt.diagram.collapse import Scheme, gather
from pdnopt.diagram.labels import node_label, parts_label
from pdnopt.diagram.layout import lay_out
from pdnopt.diagram.levels import grow
from pdnopt.diagram.ordering import arrange
from pdnopt.diagram.painting import Mark, Painter
from pdnopt.diagram.ports import assign
from pdnopt.diagram.situation import Situation
from pdnopt.diagram.wiring import read_wiring

__all__ = ["Diagram", "draw"]


@dataclass(frozen=True)
class Diagram:
    """A drawing of each moment, all with the same layout.

    Attributes
    ----------
    titles, pictures : tuple of str
        One a moment; a picture is an ``<svg>`` element that needs nothing else.
    width, height : float
        px at natural size.
    marks : tuple of Mark
        Where symbols and labels stand, for whoever checks that they keep apart.
    places : dict of str to str
        For every component of the scheme: "" if it is drawn itself, else the label of the block it is in.
    """

    titles: tuple[str, ...]
    pictures: tuple[str, ...]
    width: float
    height: float
    marks: tuple[Mark, ...]
    places: dict[str, str]


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
    return draw_scheme(situation, gather(situation, read_wiring(situation.grid, situation.demand)))


def draw_scheme(situation: Situation, scheme: Scheme) -> Diagram:
    """Draw a scheme, or the part of one, of a situation."""
    node_labels = [node_label(situation, node) for node in scheme.nodes]
    part_labels = [[parts_label(situation, parts) for parts in wire.parts] for wire in scheme.wires]
    tree = grow(scheme, situation)
    arrange(scheme, tree)
    ports = assign(scheme, tree, part_labels)
    layout = lay_out(scheme, tree, ports, node_labels, part_labels)
    painters = [
        Painter(situation, moment, k, scheme, layout, node_labels, part_labels)
        for k, moment in enumerate(situation.moments)
    ]
    pictures = tuple(painter.paint() for painter in painters)
    places: dict[str, str] = {}
    for node, label in zip(scheme.nodes, node_labels, strict=True):
        places.update(dict.fromkeys(node.inside or (), label.name))
        places.update(dict.fromkeys(node.names, "" if len(node.names) == 1 else label.name))
    for wire, labels in zip(scheme.wires, part_labels, strict=True):
        for parts, label in zip(wire.parts, labels, strict=True):
            places.update(dict.fromkeys(parts.names, "" if len(parts.names) == 1 else label.name))
    return Diagram(
        titles=tuple(moment.title for moment in situation.moments),
        pictures=pictures,
        width=layout.width,
        height=layout.height,
        marks=tuple(painters[0].marks),
        places=places,
    )
