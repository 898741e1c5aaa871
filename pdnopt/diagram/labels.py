"""The words of a drawing: what stands beside a component, and what changes from moment to moment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite

from pdnopt.diagram.collapse import Node, Parts
from pdnopt.diagram.situation import Moment, Situation
from pdnopt.diagram.text import common_name, text_width
from pdnopt.words import kw, number, percent, plural, short

__all__ = [
    "NAME_PX",
    "NOTE_PX",
    "Label",
    "node_label",
    "note_of_node",
    "note_of_parts",
    "parts_label",
    "served_of",
]

NAME_PX = 11.0
NOTE_PX = 10.0
LONGEST = 26
"""Characters of a name; a longer one is cut, the whole name is in the tooltip."""

MAJOR = ("trafo", "winding", "ups")
"""Kinds whose loading is always written; of others only where it is high."""

HIGH_PERCENT = 80.0


class Label:
    """A name, and a note at each moment. ``width_px`` is the room that they need."""

    def __init__(self, name: str, notes: tuple[str, ...]) -> None:
        self.name = name if len(name) <= LONGEST else name[: LONGEST - 1] + "\u2026"
        self.notes = notes
        self.width_px = max(
            text_width(self.name, NAME_PX), *(text_width(note, NOTE_PX) for note in notes), 0.0
        )

    @property
    def has_note(self) -> bool:
        """True if there is a note at any moment."""
        return any(self.notes)


def plain(name: str) -> str:
    """Return a component's name for a drawing: without its table, and "bus 3" as "3"."""
    return re.sub(r"^bus (?=\d)", "", short(name))


def parts_label(situation: Situation, parts: Parts) -> Label:
    """Return the label of components in series."""
    names = [plain(name) for name in parts.names]
    name = names[0] if len(names) == 1 else f"{len(names)} \u00d7 {common_name(names)}".rstrip(" \u00d7")
    if parts.kind in ("line", "impedance") and len(names) > 1:
        name = ""  # the switch beside it says how many
    if is_position(situation, parts):
        name = ""  # the frame of its device says which
    elif parts.kind == "switch" and (situation.grid.switches.ups[list(parts.positions)] >= 0).all():
        name = "bypass"
    return Label(name, tuple(note_of_parts(situation, moment, parts) for moment in situation.moments))


def is_position(situation: Situation, parts: Parts) -> bool:
    """Return whether parts are positions of transfer devices."""
    return parts.kind == "switch" and int(situation.grid.switches.transfer[parts.positions[0]]) >= 0


def note_of_parts(situation: Situation, moment: Moment, parts: Parts) -> str:
    """Return mode and loading of components in words; "" for nothing to say."""
    words = []
    if parts.kind == "ups":
        modes = {str(moment.state.ups_mode[k]) for k in parts.positions}
        words += ["on battery" if mode == "battery" else mode for mode in sorted(modes - {"online"})]
    found = max((moment.percent.get(name, 0.0) for name in parts.names), default=0.0)
    if found > 0.5 and (parts.kind in MAJOR or found >= HIGH_PERCENT):
        words.append(percent(found))
    return ", ".join(words)


def node_label(situation: Situation, node: Node) -> Label:
    """Return the label of a node."""
    names = [plain(name) for name in node.names]
    if node.kind == "areas":
        name = names[0] if len(names) == 1 else plural(len(names), "area")
    elif node.kind == "racks":
        many = "rack" if node.names[0].startswith("rack:") else "load"
        name = names[0] if len(names) == 1 else plural(len(names), many)
        if node.transfers:
            name = f"{_devices(situation, node)}: {name}"
    elif len(names) == 1:
        name = names[0]
    else:
        name = f"{len(names)} \u00d7 {common_name(names)}".rstrip(" \u00d7")
        name = _devices(situation, node) if node.transfers else name
    if node.kind == "bar":  # a bar has room for one line only
        name = ", ".join(filter(None, (name, _goes_to(situation, node))))
    return Label(name, tuple(note_of_node(situation, moment, node) for moment in situation.moments))


def served_of(situation: Situation, moment: Moment, units: Sequence[int]) -> str:
    """Return the demand of units, and what of it is served where that is less."""
    demand_kw = float(situation.demand.d_kw[list(units)].sum())
    served_kw = float(moment.served_kw[list(units)].sum())
    digits = 1 if demand_kw < 100.0 else 0
    total = f"{number(demand_kw, digits)}\u00a0kW"
    return total if served_kw > demand_kw - 0.05 else f"{number(served_kw, digits)} of {total}"


def _devices(situation: Situation, node: Node) -> str:
    """Return the transfer devices of a node in words."""
    found = situation.grid.transfers
    if len(node.transfers) == 1:
        return plain(found.name[node.transfers[0]])
    kinds = {str(found.kind[t]) for t in node.transfers}
    return f"{len(node.transfers)} \u00d7 {kinds.pop() if len(kinds) == 1 else 'transfer'}"


def _goes_to(situation: Situation, node: Node) -> str:
    """Return where a node's transfer devices go first, in words; "" where that was not asked, or is not one place."""
    found = situation.grid.transfers
    names = {situation.backing.get(str(found.name[t]), "") for t in node.transfers}
    return f"then {plain(min(names))}" if len(names) == 1 and "" not in names else ""


def note_of_node(situation: Situation, moment: Moment, node: Node) -> str:
    """Return what a node does at a moment, in words."""
    if node.is_load:
        return ", ".join(filter(None, (served_of(situation, moment, node.units), _goes_to(situation, node))))
    if node.transfers:
        return _goes_to(situation, node)
    if node.kind == "source":
        if node.names[0] in situation.failed:
            return "failed"
        k = node.position
        if not moment.state.source_on[k]:
            return "stand-by" if moment.state.source_ok[k] else "not available"
        found = moment.percent.get(node.names[0], float("nan"))
        return percent(found) if isfinite(found) else ""
    if node.kind == "storage":
        k = node.position
        if moment.state.storage_on[k]:
            return "holds its island"
        power = float(moment.state.storage_kw[k])
        return f"{number(abs(power))}\u00a0kW {'in' if power > 0 else 'out'}" if abs(power) > 0.05 else ""
    if node.kind == "generator":
        return kw(float(situation.grid.injection_p_kw[node.position]))
    return ""
