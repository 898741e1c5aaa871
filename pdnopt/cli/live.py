"""The control loop at work, on a terminal: sources and UPSs, what the loop does, what has happened, alarms.

It only looks at what the loop knows already; where the output is no terminal, `running` prints plain lines instead.
"""

from __future__ import annotations

import datetime
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pdnopt.control.ticks import LOOKS
from pdnopt.words import compact_names, number, plural, seconds, short

if TYPE_CHECKING:
    from pdnopt.loop import ControlLoop, Tick

__all__ = ["LiveView"]

BAR = 16
BAR_PERCENT = 125.0
"""A full bar is this part of the rating: an overload is seen. Beside a UPS stand its battery's charge, or how much of the
time that its overload may last is used."""
MOST_UPS, MOST_SOURCES, MOST_ALARMS, MOST_HAPPENINGS = 10, 6, 5, 9
REFRESH_S = 0.1
COLOURS = {"critical": "bold red", "major": "red", "warning": "yellow", "info": "dim"}


class LiveView:
    """Follows one loop while it is a context.

    Parameters
    ----------
    loop : ControlLoop
        Its ``on_tick`` is set.
    start_s : float, optional
        UTC of the beginning of a simulation: times are then told from there.
    console : Console, optional
    """

    def __init__(
        self, loop: ControlLoop, start_s: float | None = None, console: Console | None = None
    ) -> None:
        self._loop, self._start_s = loop, start_s
        self._tick: Tick | None = None
        self._happenings: deque[tuple[float, str]] = deque(maxlen=MOST_HAPPENINGS)
        self._slowest_s = 0.0
        self._drawn_s = float("-inf")
        self._live = Live(console=console, auto_refresh=False, transient=False)
        loop.on_tick = self.see

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draw()
        self._live.__exit__(kind, error, trace)

    def see(self, tick: Tick) -> None:
        """Take up one tick, and draw unless it was done a moment ago."""
        self._tick = tick
        self._slowest_s = max(self._slowest_s, tick.wall_s)
        if not tick.did.startswith(LOOKS) and (not self._happenings or self._happenings[-1][1] != tick.did):
            self._happenings.append((tick.t_s, tick.did))
        if time.monotonic() - self._drawn_s >= REFRESH_S:
            self._draw()

    def _draw(self) -> None:
        self._drawn_s = time.monotonic()
        self._live.update(self.render(), refresh=True)

    def render(self) -> RenderableType:
        """Return the whole view."""
        if self._tick is None:
            return Panel("reading the plant", title="pdnopt")
        top = Table.grid(expand=True, padding=(0, 1))
        top.add_column(ratio=3)
        top.add_column(ratio=2)
        top.add_row(
            Panel(self._plant(self._tick), title="Plant", title_align="left", border_style="dim"),
            Panel(self._state(self._tick), title="Loop", title_align="left", border_style="dim"),
        )
        return Group(
            self._headline(self._tick),
            top,
            Panel(self._past(), title="What happened", title_align="left", border_style="dim"),
            Panel(self._alarms(), title="Alarms", title_align="left", border_style="dim"),
        )

    def _headline(self, tick: Tick) -> Text:
        missing = tick.standing.unserved_kw
        text = Text(f" {self._when(tick.t_s)}  ", style="bold")
        text.append(f"{number(tick.picture.total_kw)} kW asked for, ")
        text.append(
            "all of it served" if missing < 0.05 else f"{number(missing)} kW not served",
            style="green" if missing < 0.05 else "bold yellow",
        )
        if tick.picture.failed:
            text.append(f"; out: {compact_names(tick.picture.failed, 5)}", style="red")
        return text

    def _plant(self, tick: Tick) -> RenderableType:
        table, sources = (Table.grid(padding=(0, 1)) for _ in range(2))
        for column in ("left", "left", "right", "left", "left"):
            table.add_column(justify=column, no_wrap=True)
        grid, seen = self._loop.pictures.grid, self._loop.seen
        for k, name in enumerate(grid.upss.name[:MOST_UPS]):
            p_kw = _number(seen.value(name, "p_kw", 0.0))
            part = 100.0 * p_kw / float(grid.upss.p_rated_kw[k])
            mode = str(seen.value(name, "mode", "?"))
            used = 100.0 * _number(seen.value(name, "overload_used", 0.0))
            battery = f"charge {number(_number(seen.value(name, 'soc_percent', float('nan'))), 0)} %"
            note = f"overload {number(used, 0)} %" if used > 0.5 else battery
            table.add_row(
                short(name),
                _bar(part),
                f"{number(part, 0)} %",
                Text(mode, style="" if mode == "online" else "yellow"),
                Text(note, style="bold red" if used > 0.5 else "dim"),
            )
        own = [name for name in grid.sources.name if seen.value(name, "running") is not None]
        for name in own[:MOST_SOURCES]:
            running = bool(seen.value(name, "running", False))
            p_kw = _number(seen.value(name, "p_kw", 0.0))
            sources.add_row(
                short(name),
                Text("on" if running else "stands by", style="" if running else "dim"),
                f"{number(p_kw)} kW",
            )
        return Group(table, Text(), sources)

    def _state(self, tick: Tick) -> RenderableType:
        loop = self._loop
        missing = len(loop.playbook.missing(tick.picture))
        all_pages = len(loop.playbook.components)
        rows = [
            ("does", tick.did),
            ("mode", str(loop.modes.default)),
            ("leads", f"yes, token {loop.fencing}" if tick.leads else "no, stands by"),
            ("playbook", f"{all_pages - missing} of {plural(all_pages, 'failure')} prepared"),
            ("tick", f"{seconds(tick.wall_s)}, at most {seconds(self._slowest_s)}"),
            ("racks dark", compact_names(sorted(tick.picture.dark), 4) or "none"),
            ("limited", plural(len(tick.picture.limits_kw), "unit")),
            ("not read", f"{number(100.0 * loop.seen.missing_part())} % of the readings"),
        ]
        rows += [
            (f"priority {p}", f"{number(kw)} kW not served")
            for p, kw in sorted(tick.standing.unserved_by_priority.items())
            if kw > 0.05
        ]
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column()
        for name, value in rows:
            table.add_row(name, value)
        return table

    def _past(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column()
        for t_s, text in self._happenings:
            table.add_row(self._when(t_s), Text(text, style="bold" if text.startswith("acts") else ""))
        return table if self._happenings else Text("nothing yet", style="dim")

    def _alarms(self) -> RenderableType:
        up = self._loop.board.up
        if not up:
            return Text("none", style="green")
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(style="dim", no_wrap=True)
        table.add_column()
        for alarm in up[:MOST_ALARMS]:
            severity = str(alarm.severity)
            table.add_row(
                Text(severity, style=COLOURS.get(severity, "")), self._when(alarm.since_s), alarm.text
            )
        if len(up) > MOST_ALARMS:
            table.add_row("", "", Text(f"and {len(up) - MOST_ALARMS} more: pdnopt alarms", style="dim"))
        return table

    def _when(self, t_s: float) -> str:
        if self._start_s is not None:
            whole = max(int(t_s - self._start_s), 0)
            return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
        return datetime.datetime.fromtimestamp(t_s, datetime.UTC).strftime("%H:%M:%S")


def _bar(percent: float) -> Text:
    """Return a bar with a mark at the rating, red beyond it."""
    limit = round(BAR * 100.0 / BAR_PERCENT)
    filled = min(round(BAR * max(percent, 0.0) / BAR_PERCENT), BAR)
    bar = Text()
    bar.append("█" * min(filled, limit), style="green" if percent <= 100.0 else "yellow")
    bar.append("█" * max(filled - limit, 0), style="red")
    bar.append("·" * max(limit - filled, 0), style="dim")
    bar.append("│" if filled <= limit else "", style="dim")
    bar.append(" " * (BAR - max(filled, limit)))
    return bar


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
