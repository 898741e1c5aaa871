"""What ``failed=[...]`` takes away: dead zones, locked switches, devices that cannot do all they could (rule
1).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pdnopt.checker.plant_view import PlantView
from pdnopt.errors import InputError, Issue
from pdnopt.plant.names import rack_rows

__all__ = ["Outage", "read_outage"]

MILDER = {
    "ups": ("rectifier", "to_bypass", "module"),
    "transfer": ("stuck",),
    "switch": ("stuck_open", "stuck_closed"),
    "load": ("psu",),
    "asymmetric_load": ("psu",),
}
FAULTS = ("bus", "line", "trafo", "trafo3w", "impedance")
BEHIND_BREAKER = ("sgen", "asymmetric_sgen", "gen", "shunt")


@dataclass
class Outage:
    """The effect of a set of failures on one plant. Arrays over the rows of the tables, as in PlantView.

    Attributes
    ----------
    node_dead : bool, shape (n_node,)
        Inside a fault zone.
    sw_locked : bool
        Cannot be moved by anybody.
    sw_forced : int
        1: closes first, 0: opens first, -1: stays.
    sw_failed : bool
        The switch itself has failed, or borders a fault zone: it must never carry power again.
    line_out, trafo_out : bool
    src_dead, ups_dead, st_dead, tr_stuck : bool
    ups_no_rectifier, ups_no_inverter : bool
    ups_factor : float
        Part of both ratings that is left (lost modules).
    row_dead : dict of str to bool array
        Load rows (cords) whose supply or load has failed, by table.
    taken_out : list of (table, row)
        Elements that the flow engine can only be told of through the network itself.
    """

    node_dead: np.ndarray
    sw_locked: np.ndarray
    sw_forced: np.ndarray
    sw_failed: np.ndarray
    line_out: np.ndarray
    trafo_out: np.ndarray
    src_dead: np.ndarray
    ups_dead: np.ndarray
    st_dead: np.ndarray
    tr_stuck: np.ndarray
    ups_no_rectifier: np.ndarray
    ups_no_inverter: np.ndarray
    ups_factor: np.ndarray
    row_dead: dict[str, np.ndarray]
    taken_out: list[tuple[str, int]] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    supplies: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    """What has voltage in the situations met so far (`situation.supply`); nothing above changes once read."""

    @staticmethod
    def none(view: PlantView) -> Outage:
        """Return the outage that takes nothing away."""
        net = view.net
        n_sw, n_ups = view.n_sw, view.n_ups
        return Outage(
            node_dead=np.zeros(view.wiring.n_node, dtype=bool),
            sw_locked=np.zeros(n_sw, dtype=bool),
            sw_forced=np.full(n_sw, -1),
            sw_failed=np.zeros(n_sw, dtype=bool),
            line_out=np.zeros(len(net.line), dtype=bool),
            trafo_out=np.zeros(len(net.trafo), dtype=bool),
            src_dead=np.zeros(view.n_src, dtype=bool),
            ups_dead=np.zeros(n_ups, dtype=bool),
            st_dead=np.zeros(view.n_st, dtype=bool),
            tr_stuck=view.tr_stuck.copy(),
            ups_no_rectifier=np.zeros(n_ups, dtype=bool),
            ups_no_inverter=np.zeros(n_ups, dtype=bool),
            ups_factor=np.ones(n_ups),
            row_dead={t: np.zeros(len(net[t]), dtype=bool) for t in ("load", "asymmetric_load")},
        )


def read_outage(view: PlantView, failed: Sequence[str]) -> Outage:
    """Read names such as ``"ups:UPS-A@rectifier"``; names that mean nothing become issues."""
    out = Outage.none(view)
    zone: set[int] = set()
    for k, text in enumerate(failed):
        path = f"failed[{k}]"
        name, _, form = str(text).partition("@")
        try:
            table, index = view.find(name, path)
        except InputError as error:
            whole = None
            if form:  # a name may hold an @ itself
                try:
                    whole = view.find(str(text), path)
                except InputError:
                    whole = None
            if whole is None:
                out.issues += error.issues
                continue
            (table, index), form = whole, ""
        if form and form not in MILDER.get(table, ()):
            allowed = ", ".join(f"@{f}" for f in MILDER.get(table, ())) or "no milder form"
            out.issues.append(
                Issue("InvalidName", path, str(text), form, allowed, "Correct the word behind @.")
            )
        elif table == "interlock":
            out.issues.append(
                Issue(
                    "InvalidName",
                    path,
                    str(text),
                    table,
                    "a component that can fail",
                    "Fail a switch instead.",
                )
            )
        elif table in FAULTS:
            _fault(view, out, zone, table, int(index))
        elif table == "ext_grid" and not _is_companion(view, int(index)):
            row = int(view.net.ext_grid.index.get_loc(index))
            out.src_dead[row] = True
            zone.add(int(view.src_node[row]))  # its zone: a dead utility is never fed from behind
        else:
            _HANDLERS[table](view, out, form, index)
    _clear_zones(view, out, zone)
    return out


def _is_companion(view: PlantView, index: int) -> bool:
    """True for the output of a UPS or the inverter of a battery."""
    row = view.net.ext_grid.index.get_loc(index)
    return bool((view.ups_src == row).any() or (view.st_src == row).any())


def _fault(view: PlantView, out: Outage, zone: set[int], table: str, index: int) -> None:
    if table == "bus":
        zone.add(view.wiring.bus_at[index])
        return
    zone.update(view.wiring.nodes_of[(table, index)])
    if table == "line":
        out.line_out[view.net.line.index.get_loc(index)] = True
    elif table == "trafo":
        out.trafo_out[view.net.trafo.index.get_loc(index)] = True


def _clear_zones(view: PlantView, out: Outage, zone: set[int]) -> None:
    """Let the blocks of the faulted nodes die and open the switches at their borders.

    A switch stuck closed cannot clear the fault: the zone then reaches to the next switches.
    """
    w = view.wiring
    if zone:
        dead = set(w.block[sorted(zone)].tolist())
        tail, head = w.block[w.sw_tail], w.block[w.sw_head]
        welded = out.sw_forced == 1
        while True:
            reach = welded & (np.isin(tail, list(dead)) | np.isin(head, list(dead)))
            more = set(tail[reach].tolist()) | set(head[reach].tolist())
            if more <= dead:
                break
            dead |= more
        out.node_dead = np.isin(w.block, list(dead))
        border = out.node_dead[w.sw_tail] | out.node_dead[w.sw_head]
        out.sw_locked |= border
        out.sw_failed |= border
        out.sw_forced[border & ~welded] = 0
        out.line_out |= out.node_dead[w.ends["line"]].any(axis=1)
        out.trafo_out |= out.node_dead[w.ends["trafo"]].any(axis=1)
        out.src_dead |= out.node_dead[view.src_node]
        out.st_dead |= out.node_dead[view.st_node]
        if view.n_ups:
            out.ups_dead |= out.node_dead[view.ups_out]
            out.ups_no_rectifier |= out.node_dead[view.ups_in]
    for k in np.flatnonzero(out.ups_dead):
        _lock_open(out, view.ups_switch[k])
    if view.n_src:
        owned = view.ups_src[out.ups_dead]
        out.src_dead[owned[owned >= 0]] = True
        owned = view.st_src[out.st_dead]
        out.src_dead[owned[owned >= 0]] = True


def _lock_open(out: Outage, switch: int) -> None:
    if switch >= 0:
        out.sw_locked[switch] = out.sw_failed[switch] = True
        out.sw_forced[switch] = 0


def _switch(view: PlantView, out: Outage, form: str, index: int | str) -> None:
    k = view.net.switch.index.get_loc(index)
    out.sw_locked[k] = True
    out.sw_forced[k] = 1 if form == "stuck_closed" else 0
    out.sw_failed[k] = form == ""
    if form == "stuck_closed":
        if view.sw_ups[k] >= 0:  # a static bypass that conducts: the inverter may not run beside it
            out.ups_no_inverter[view.sw_ups[k]] = True
        if view.sw_transfer[k] >= 0:  # the device is exclusive: its other positions open
            rows = view.tr_positions[view.sw_transfer[k]]
            out.sw_forced[rows[rows != k]] = 0


def _transfer(view: PlantView, out: Outage, form: str, index: int | str) -> None:
    k = view.net.transfer.index.get_loc(index)
    out.tr_stuck[k] = True
    if not form:
        for row in view.tr_positions[k]:
            _lock_open(out, int(row))


def _ups(view: PlantView, out: Outage, form: str, index: int | str) -> None:
    k = view.net.ups.index.get_loc(index)
    if form == "rectifier":
        out.ups_no_rectifier[k] = True
    elif form == "to_bypass":
        out.ups_no_inverter[k] = True
    elif form == "module":
        n = max(float(view.ups_modules[k]), 1.0)
        if n <= 1.0:  # its only one: the static bypass is left
            out.ups_no_inverter[k] = True
        else:
            out.ups_factor[k] *= (n - 1.0) / n
    else:
        out.ups_dead[k] = True


def _source(view: PlantView, out: Outage, form: str, index: int | str) -> None:
    k = view.net.ext_grid.index.get_loc(index)
    out.src_dead[k] = True
    out.ups_dead |= view.ups_src == k
    out.st_dead |= view.st_src == k


def _storage(view: PlantView, out: Outage, form: str, index: int | str) -> None:
    out.st_dead[view.net.storage.index.get_loc(index)] = True


def _load(table: str) -> Callable[[PlantView, Outage, str, int | str], None]:
    def fail(view: PlantView, out: Outage, form: str, index: int | str) -> None:
        out.row_dead[table][view.net[table].index.get_loc(index)] = True

    return fail


def _rack(view: PlantView, out: Outage, form: str, index: int | str) -> None:
    for table, rows in rack_rows(view.net, str(index)).items():
        for row in rows:
            out.row_dead[table][view.net[table].index.get_loc(row)] = True


def _through_the_network(table: str) -> Callable[[PlantView, Outage, str, int | str], None]:
    def fail(view: PlantView, out: Outage, form: str, index: int | str) -> None:
        out.taken_out.append((table, int(index)))

    return fail


_HANDLERS: dict[str, Callable[[PlantView, Outage, str, int | str], None]] = {
    "switch": _switch,
    "transfer": _transfer,
    "ups": _ups,
    "ext_grid": _source,
    "storage": _storage,
    "load": _load("load"),
    "asymmetric_load": _load("asymmetric_load"),
    "rack": _rack,
    **{table: _through_the_network(table) for table in BEHIND_BREAKER},
}
