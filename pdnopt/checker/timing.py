"""Steps and times of a plan (rule 12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pdnopt.checker.commands import Commands
from pdnopt.checker.findings import Findings
from pdnopt.checker.load_commands import LOAD_TABLES
from pdnopt.checker.plant_view import PlantView
from pdnopt.checker.tolerances import TIME_S

__all__ = ["check_timing"]


def _sort_of(item: Any) -> str:
    table = str(item.device).partition(":")[0]
    if table in LOAD_TABLES:
        return "load up" if item.action == "restore" else "load down"
    if item.action == "prefer":
        return "setting"
    if table == "ext_grid":
        return f"genset {item.action}"
    if table == "storage":
        return "storage power" if item.action == "power" else "storage form"
    return "device"


def device_time_s(view: PlantView, commands: Commands, item: Any) -> float:
    """Return the shortest time in which a command takes effect, seconds."""
    table = item.device.partition(":")[0]
    k = commands.position(item.device)
    if k is None or item.action == "prefer":
        return 0.0
    if table == "switch":
        return float(view.sw_t_s[k])
    if table == "transfer":
        return float(view.tr_s[k])
    if table == "ext_grid":
        return float(view.src_start_s[k]) if item.action == "start" else 0.0
    if table == "ups" and view.ups_switch[k] >= 0:
        return float(view.sw_t_s[view.ups_switch[k]])
    return 0.0


def check_timing(
    view: PlantView, commands: Commands, findings: Findings, actions: Sequence[Any], latency_s: float
) -> None:
    """Steps are numbered 1, 2, ... in order; each holds one sort of command; no time is shorter than can be.

    The first command takes effect at ``latency_s`` plus the device's time, later steps follow one another.
    While a genset starts, other steps go on. A plan may wait longer than it must.
    """
    last, cursor_s = 0, latency_s
    steps: dict[int, list[Any]] = {}
    for item in actions:
        if item.step not in (last, last + 1) or item.step < 1:
            allowed = f"step {max(last, 1)} or {last + 1}"
            todo = "Number the steps 1, 2, ... in the order of sending."
            findings.add("StepOrder", f"plan.step[{item.step}]", item.device, item.step, allowed, todo)
        last = item.step
        steps.setdefault(item.step, []).append(item)
    for step, items in steps.items():
        path = f"plan.step[{step}]"
        sorts = sorted({_sort_of(item) for item in items})
        if len(sorts) > 1 or (sorts == ["device"] and len(items) > 1):
            allowed = "load commands of one direction, settings, genset starts, storage powers, or one device's action"
            findings.add("StepMixed", path, items[-1].device, ", ".join(sorts), allowed, "Split the step.")
        if len({item.device for item in items}) < len(items):
            twice = [item.device for item in items]
            name = next(d for d in twice if twice.count(d) > 1)
            findings.add("StepMixed", path, name, name, "one command a device in a step", "Split the step.")
        if sorts in (["load down"], ["load up"]) and min(item.t_s for item in items) >= cursor_s - TIME_S:
            times = [item.t_s for item in items]  # no command takes a time of its own
            if max(times) - min(times) > TIME_S:
                findings.add(
                    "TimeOrder", path, items[0].device, items[0].t_s, "one time a step", "Split the step."
                )
            cursor_s = max(cursor_s, *times)
            continue
        starting = sorts[0] == "genset start"
        ends = []
        for item in items:
            earliest = cursor_s + device_time_s(view, commands, item)
            ends.append(item.t_s - device_time_s(view, commands, item) if starting else item.t_s)
            if item.t_s < earliest - TIME_S:
                todo = "Let each step follow the one before, with its device's time."
                findings.add("TimeOrder", path, item.device, item.t_s, f"at {earliest:g} s or later", todo)
        if sorts[0].startswith("load") and max(i.t_s for i in items) - min(i.t_s for i in items) > TIME_S:
            findings.add(
                "TimeOrder", path, items[0].device, items[0].t_s, "one time a step", "Split the step."
            )
        cursor_s = max(cursor_s, max(ends))
