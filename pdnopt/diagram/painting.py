"""Paint a layout at one moment: wires by source and loading, symbols, labels, and what failed, moved or is over."""

from __future__ import annotations

from dataclasses import dataclass

from pdnopt.diagram.collapse import Node, Parts, Scheme
from pdnopt.diagram.labels import NAME_PX, Label, note_of_node, note_of_parts
from pdnopt.diagram.layout import Box, Layout, Run
from pdnopt.diagram.legend import legend
from pdnopt.diagram.situation import Moment, Situation
from pdnopt.diagram.style import css, feed_class, wire_px
from pdnopt.diagram.svg import element, fixed, group, text_element
from pdnopt.diagram.symbols import HEIGHTS_PX, symbol
from pdnopt.diagram.text import text_width

__all__ = ["Mark", "Painter"]

OVER_PERCENT = 100.05
NARROWEST_PX = 640.0
SWITCHES = ("switch", "position")


@dataclass(frozen=True)
class Mark:
    """The box of a symbol, a block or a label, px; ``owner`` is the component's name."""

    kind: str
    owner: str
    x0: float
    y0: float
    x1: float
    y1: float


class Painter:
    """Paints one moment; ``marks`` fills while it does."""

    def __init__(
        self,
        situation: Situation,
        moment: Moment,
        scheme: Scheme,
        layout: Layout,
        node_labels: list[Label],
        part_labels: list[list[Label]],
    ) -> None:
        self.s, self.moment = situation, moment
        self.scheme, self.layout = scheme, layout
        self.node_labels, self.part_labels = node_labels, part_labels
        self.marks: list[Mark] = []
        self.kinds: set[str] = {"racks"} & {node.kind for node in scheme.nodes}

    def paint(self) -> str:
        """Return the ``<svg>`` element."""
        runs = sorted(self.layout.runs.items())
        wires = "".join(self._wire(k, run) for k, run in runs)
        frames = "".join(self._frame(n) for n, node in enumerate(self.scheme.nodes) if node.transfers)
        nodes = "".join(self._node(n) for n in sorted(self.layout.boxes))
        parts = "".join(self._parts_of(k, run) for k, run in runs)
        wide = max(self.layout.width, NARROWEST_PX)
        key, tall = legend(self.s, self.kinds, wide, self.layout.height)
        width, height = fixed(wide), fixed(self.layout.height + tall)
        return group(
            f"<style>{css()}</style>" + wires + frames + nodes + parts + key,
            tag="svg",
            title=f"One-line diagram: {self.moment.title}",
            class_="oneline",
            viewBox=f"0 0 {width} {height}",
            width=width,
            height=height,
            role="img",
            xmlns="http://www.w3.org/2000/svg",
        )

    # --- electrical facts ---------------------------------------------------------------------------------

    def _class_at(self, point: int) -> str:
        return feed_class(self.s.feeds, int(self.moment.feed[point]))

    def _closed(self, parts: Parts) -> float:
        """Return the part of components in parallel that conduct, 0..1."""
        if parts.kind == "switch":
            return sum(bool(self.moment.state.closed[k]) for k in parts.positions) / len(parts.positions)
        if parts.kind == "ups":
            modes = [self.moment.state.ups_mode[k] for k in parts.positions]
            return sum(mode in ("online", "battery") for mode in modes) / len(modes)
        return float(parts.on)

    def _percent(self, names: tuple[str, ...]) -> float:
        return max((self.moment.percent.get(name, 0.0) for name in names), default=0.0)

    def _flags(self, names: tuple[str, ...]) -> str:
        """Return the classes of what failed, moved or is over its limit."""
        flags = []
        if self.s.failed.intersection(names):
            flags.append("failed")
        if self.moment.moved.intersection(names):
            flags.append("moved")
        if self._percent(names) > OVER_PERCENT:
            flags.append("over")
        return " ".join(flags)

    # --- wires --------------------------------------------------------------------------------------------

    def _wire(self, k: int, run: Run) -> str:
        wire = self.scheme.wires[k].turned() if run.turned else self.scheme.wires[k]
        percent = max((self._percent(parts.names) for parts in wire.parts), default=0.0)
        out = []
        for i, leg in enumerate(run.legs):
            point = wire.points[min(i, len(wire.points) - 1)]
            look = self._class_at(point)
            d = "M" + "L".join(f"{fixed(x)} {fixed(y)}" for x, y in leg)
            px = wire_px(percent) if look != "dead" else 1.3
            out.append(element("path", d=d, class_=f"w {look}", stroke_width=px))
            if i == 0:
                out += [element("circle", cx=x, cy=y, r=2.2, class_=f"dot {look}") for x, y in run.dots]
        return "".join(out)

    def _parts_of(self, k: int, run: Run) -> str:
        wire = self.scheme.wires[k].turned() if run.turned else self.scheme.wires[k]
        labels = self.part_labels[k][::-1] if run.turned else self.part_labels[k]
        out = []
        for i, (parts, spot) in enumerate(zip(wire.parts, run.spots, strict=True)):
            before, after = wire.points[i], wire.points[i + 1]
            out.append(self._part(parts, labels[i], spot, (before, after), run.flat))
        return "".join(out)

    def _part(
        self, parts: Parts, label: Label, spot: tuple[float, float], ends: tuple[int, int], flat: bool
    ) -> str:
        x, y = spot
        kind = parts.kind
        if kind == "switch" and int(self.s.grid.switches.transfer[parts.positions[0]]) >= 0:
            kind = "position"
        live = [end for end in ends if self.moment.feed[end] >= 0]
        closed = self._closed(parts)
        look = self._class_at(live[0]) if live and (closed or kind in SWITCHES) else "dead"
        flags = self._flags(parts.names)
        self.kinds.add(kind)
        half = HEIGHTS_PX[kind] / 2
        wide = {"ups": 14.0, "trafo": 8.0, "winding": 8.0, "line": 3.0}.get(kind, 6.0)
        if flat:
            half, wide = wide, half
        marks = self._marks(flags, x, y, wide, half)
        self._mark("symbol", parts.names[0], x - wide, y - half, x + wide, y + half)
        note = note_of_parts(self.s, self.moment, parts)
        text = self._side_text(label, note, parts.names[0], x, y, wide, flat)
        return group(
            marks[0] + symbol(kind, x, y, closed, flat) + marks[1] + text,
            title=_tooltip(parts.names, note),
            class_=f"part {kind} {look} {flags}".strip(),
        )

    def _side_text(
        self, label: Label, note: str, owner: str, x: float, y: float, wide: float, flat: bool
    ) -> str:
        if flat:
            if label.name:
                half = text_width(label.name, NAME_PX) / 2
                top = y - 14 - (12 if label.has_note else 0)
                self._mark("label", owner, x - half, top - 10, x + half, y - 12)
            low = y - 14 - (11 if label.has_note else 0)
            out = text_element(label.name, x, low, class_="mid") if label.name else ""
            return out + (text_element(note, x, y - 14, class_="note mid") if note else "")
        left = x + max(wide + 7.5, 11.0)
        base = y - 1 if label.has_note else y + 4
        out = ""
        if label.name:
            self._mark(
                "label", owner, left, base - 9, left + label.width_px, base + (13 if label.has_note else 3)
            )
            out = text_element(label.name, left, base)
        return out + (text_element(note, left, base + 12, class_="note") if note else "")

    def _marks(self, flags: str, x: float, y: float, wide: float, half: float) -> tuple[str, str]:
        """Return what is painted below and above a symbol."""
        below = above = ""
        if "moved" in flags:
            below = element(
                "rect",
                x=x - wide - 5,
                y=y - half - 5,
                width=2 * wide + 10,
                height=2 * half + 10,
                rx=5,
                class_="halo",
            )
        if "over" in flags:
            above += element(
                "rect",
                x=x - wide - 3,
                y=y - half - 3,
                width=2 * wide + 6,
                height=2 * half + 6,
                rx=3,
                class_="hot",
            )
        if "failed" in flags:
            d = f"M{fixed(x - 9)} {fixed(y - 9)}l18 18m0 -18l-18 18"
            above += element("path", d=d, class_="cross")
        return below, above

    # --- nodes --------------------------------------------------------------------------------------------

    def _node(self, n: int) -> str:
        node, box, label = self.scheme.nodes[n], self.layout.boxes[n], self.node_labels[n]
        note = note_of_node(self.s, self.moment, node)
        if node.is_head:
            return self._head(node, box, label, note)
        if node.is_load:
            return self._racks(node, box, label, note)
        look = self._class_at(node.points[0])
        flags = self._flags(node.names)
        title = _tooltip(node.names, note)
        if node.kind == "bar":
            body = element(
                "rect", x=box.x0, y=box.y0, width=box.x1 - box.x0, height=box.y1 - box.y0, rx=2, class_="bar"
            )
            x, y = self.layout.captions[n]
            self._mark("symbol", node.names[0], box.x0, box.y0, box.x1, box.y1)
            self._mark("label", node.names[0], x, y - 9, x + text_width(label.name, NAME_PX), y + 2)
            text = text_element(label.name, x, y)
            cross = self._marks(flags.replace("over", ""), (box.x0 + box.x1) / 2, box.y0 + 2, 6, 6)[1]
            return group(body + text + cross, title=title, class_=f"node {look} {flags}".strip())
        return self._block(node, box, label, note, f"node {look} {flags}".strip())

    def _head(self, node: Node, box: Box, label: Label, note: str) -> str:
        x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
        kind, look = "stub", self._class_at(node.points[0])
        if node.kind == "source":
            kind = "genset" if self.s.feeds[node.position].kind == "genset" else "source"
            on = self.moment.state.source_on[node.position] and not self.moment.state.dead[node.points[0]]
            look = feed_class(self.s.feeds, node.position if on else -1)
            self.kinds.add(kind)
        flags = self._flags(node.names)
        marks = self._marks(flags, x, y, 12, 12)
        self._mark("symbol", node.names[0], x - 12, y - 13, x + 12, y + 13)
        text = self._side_text(label, note, node.names[0], x, y, 12, False)
        content = marks[0] + symbol(kind, x, y) + marks[1] + text
        title = f"from {node.names[0]}" if kind == "stub" else _tooltip(node.names, note)
        return group(content, title=title, class_=f"source {look} {flags}".strip())

    def _block(self, node: Node, box: Box, label: Label, note: str, look: str) -> str:
        stack = ""
        if node.kind == "block":
            stack = element(
                "rect",
                x=box.x0 + 4,
                y=box.y0 - 4,
                width=box.x1 - box.x0,
                height=box.y1 - box.y0,
                rx=3,
                class_="stack",
            )
        body = element(
            "rect", x=box.x0, y=box.y0, width=box.x1 - box.x0, height=box.y1 - box.y0, rx=3, class_="block"
        )
        self._mark("symbol", node.names[0], box.x0, box.y0, box.x1, box.y1)
        battery = 12.0 if node.kind == "storage" else 0.0
        mid, y = (box.x0 + box.x1) / 2 + battery, (box.y0 + box.y1) / 2
        text = text_element(label.name, mid, y + (-2 if note else 4), class_="mid")
        text += text_element(note, mid, y + 11, class_="note mid") if note else ""
        if battery:
            self.kinds.add("storage")
            text += symbol("storage", box.x0 + 16, y)
        return group(stack + body + text, title=_tooltip(node.names, note), class_=look)

    def _racks(self, node: Node, box: Box, label: Label, note: str) -> str:
        units = list(node.units)
        demand_kw = float(self.s.demand.d_kw[units].sum())
        served_kw = float(self.moment.served_kw[units].sum())
        part = min(max(served_kw / demand_kw, 0.0), 1.0) if demand_kw > 0 else 1.0
        dead = part <= 0.0
        look = "racks dead" if dead else "racks capped" if part < 0.9995 else "racks"
        wide = box.x1 - box.x0
        body = element("rect", x=box.x0, y=box.y0, width=wide, height=box.y1 - box.y0, rx=3, class_="block")
        y = box.y1 - 6
        track = element("rect", x=box.x0 + 3, y=y, width=wide - 6, height=3.0, class_="missing")
        fill = element("rect", x=box.x0 + 3, y=y, width=(wide - 6) * part, height=3.0, class_="served")
        mid = (box.x0 + box.x1) / 2
        self._mark("symbol", node.names[0], box.x0, box.y0, box.x1, box.y1)
        text = text_element(label.name, mid, box.y0 + 13, class_="mid")
        text += text_element(note, mid, box.y0 + 25, class_="note mid")
        return group(body + track + fill + text, title=_tooltip(node.names, note), class_=look)

    def _frame(self, n: int) -> str:
        """Return the frame around the positions of a transfer device."""
        spots = []
        for k, run in self.layout.runs.items():
            wire = self.scheme.wires[k]
            if n not in (wire.a, wire.b):
                continue
            parts = wire.parts[::-1] if run.turned else wire.parts
            for part, spot in zip(parts, run.spots, strict=True):
                if part.kind == "switch" and int(self.s.grid.switches.transfer[part.positions[0]]) >= 0:
                    spots.append(spot)
        if not spots:
            return ""
        x0, x1 = min(x for x, _ in spots) - 9, max(x for x, _ in spots) + 9
        y0, y1 = min(y for _, y in spots) - 9, max(y for _, y in spots) + 9
        return element("rect", x=x0, y=y0, width=x1 - x0, height=y1 - y0, rx=4, class_="frame")

    def _mark(self, kind: str, owner: str, x0: float, y0: float, x1: float, y1: float) -> None:
        self.marks.append(Mark(kind, owner, x0, y0, x1, y1))


def _tooltip(names: tuple[str, ...], note: str) -> str:
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"{shown}: {note}" if note else shown
