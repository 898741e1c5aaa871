"""Branches as pandapower sees them: every line, transformer and impedance as one pi with a complex ratio.

pandapower's own conversion is asked for the numbers, so that tap changers, tap tables, leakage ratios, vector
groups and the T-model of transformers mean here exactly what they mean to ``runpp`` - read once, on a network
in which everything is in service and no switch exists, so that each bus and branch keeps its place.
"""

from __future__ import annotations

from collections.abc import Hashable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from math import radians
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.errors import InputError, Issue
from pdnopt.plant.memory import Memory

__all__ = ["BranchArrays", "read_branches"]

TABLES = ("line", "trafo", "trafo3w", "impedance")
SWITCH_RX_RATIO = 2.0
"""r/x of a bus-bus switch with ``z_ohm``: runpp's default ``switch_rx_ratio``."""


@dataclass(frozen=True)
class BranchArrays:
    """B pi-branches; the star points of three-winding transformers are extra nodes behind the buses.

    Attributes
    ----------
    table : object, shape (B,)
        "line", "trafo", "trafo3w" (three each: hv, mv, lv), "impedance" or "switch" (bus-bus with z_ohm).
    row : int, shape (B,)
        Row number in the net's table.
    tail, head : int, shape (B,)
        Nodes; the tail is a line's from bus, a transformer's hv bus.
    r_ohm, x_ohm, g_s, b_s : float, shape (B,)
        Referred to the head's side.
    ratio : float, shape (B,)
        Off-nominal ratio at the tail, pu.
    shift_rad : float, shape (B,)
    in_service : bool, shape (B,)
    n_node : int
        Buses and star points.
    vn_star_kv : float, shape (n_node - n_bus,)
    """

    table: np.ndarray
    row: np.ndarray
    tail: np.ndarray
    head: np.ndarray
    r_ohm: np.ndarray
    x_ohm: np.ndarray
    g_s: np.ndarray
    b_s: np.ndarray
    ratio: np.ndarray
    shift_rad: np.ndarray
    in_service: np.ndarray
    n_node: int
    vn_star_kv: np.ndarray

    def of(self, table: str) -> slice:
        """Return where the branches of one table stand."""
        hits = np.flatnonzero(self.table == table)
        return slice(int(hits[0]), int(hits[-1]) + 1) if len(hits) else slice(0, 0)


def read_branches(net: Any) -> BranchArrays:
    """Read all branches of a network.

    Raises
    ------
    InputError
        For an impedance or transformer whose pi is not symmetric (``rft_pu != rtf_pu``): it has no
        counterpart in power-grid-model.
    """
    from pandapower.pypower import idx_brch, idx_bus

    ppc, lookup, position = _kept(net)
    branch, bus = ppc["branch"].real, ppc["bus"].real
    n_bus = len(net.bus)
    node = np.full(len(bus), -1)
    node[lookup] = np.arange(n_bus)
    star = np.flatnonzero(node < 0)
    node[star] = n_bus + np.arange(len(star))
    table, row, ok = [], [], []
    for name in TABLES:
        if name not in position:
            continue
        times = 3 if name == "trafo3w" else 1
        n = len(net[name])
        table += [name] * (n * times)
        row.append(np.tile(np.arange(n), times))
        ok.append(np.tile(net[name]["in_service"].to_numpy(bool), times))
    branch = branch[: len(table)]
    # to_ppc moves these columns out of the array, into keys that exist only where something is not 0
    extra = {
        name: np.asarray(ppc.get(f"branch_{name}", np.zeros(len(branch)))).real[: len(branch)]
        for name in ("g", "r_asym", "x_asym", "g_asym", "b_asym")
    }
    lop = np.column_stack([extra[name] for name in ("r_asym", "x_asym", "g_asym", "b_asym")])
    uneven = np.flatnonzero(np.abs(lop).max(axis=1, initial=0.0) > 1e-12)
    if len(uneven):
        rows = np.concatenate(row)
        raise InputError(
            [
                Issue(
                    "NotHeld",
                    f"net.{table[k]}",
                    f"{table[k]}:{net[table[k]].index[rows[k]]}",
                    "unsymmetrical pi",
                    "equal impedance from both ends, leakage ratios of 0.5",
                    "Use powerflow(net, engine='pandapower').",
                )
                for k in uneven
            ]
        )
    tail = node[branch[:, idx_brch.F_BUS].astype(int)]
    head = node[branch[:, idx_brch.T_BUS].astype(int)]
    vn_star = bus[star, idx_bus.BASE_KV]
    vn = np.r_[net.bus["vn_kv"].to_numpy(float), vn_star]
    z_base = vn[head] ** 2 / ppc["baseMVA"]
    ratio = branch[:, idx_brch.TAP]
    out = [
        branch[:, idx_brch.BR_R] * z_base,
        branch[:, idx_brch.BR_X] * z_base,
        extra["g"] / z_base,
        branch[:, idx_brch.BR_B] / z_base,
        np.where(ratio == 0, 1.0, ratio),
        branch[:, idx_brch.SHIFT] * radians(1.0),
    ]
    weak = _switch_impedances(net)
    m = len(weak)
    if m:
        z = net.switch["z_ohm"].to_numpy(float)[weak]
        at = pd.Index(net.bus.index)
        xz = z / np.sqrt(1 + SWITCH_RX_RATIO**2)
        # pandapower refers z_ohm to the switch's bus; both ends have one nominal voltage
        out = [
            np.r_[a, b]
            for a, b in zip(out, (xz * SWITCH_RX_RATIO, xz, 0 * z, 0 * z, 0 * z + 1, 0 * z), strict=True)
        ]
        tail = np.r_[tail, at.get_indexer(net.switch["bus"].to_numpy(int)[weak])]
        head = np.r_[head, at.get_indexer(net.switch["element"].to_numpy(int)[weak])]
        table += ["switch"] * m
        row.append(weak)
        ok.append(np.ones(m, dtype=bool))
    r_ohm, x_ohm, g_s, b_s, tap, shift_rad = out
    return BranchArrays(
        table=np.array(table, dtype=object),
        row=np.concatenate(row).astype(int) if row else np.zeros(0, dtype=int),
        tail=tail.astype(int),
        head=head.astype(int),
        r_ohm=r_ohm,
        x_ohm=x_ohm,
        g_s=g_s,
        b_s=b_s,
        ratio=tap,
        shift_rad=shift_rad,
        in_service=np.concatenate(ok) if ok else np.zeros(0, dtype=bool),
        n_node=n_bus + len(star),
        vn_star_kv=vn_star,
    )


def _switch_impedances(net: Any) -> np.ndarray:
    """Return the rows of bus-bus switches that have an impedance of their own."""
    if not len(net.switch) or "z_ohm" not in net.switch:
        return np.zeros(0, dtype=int)
    z = net.switch["z_ohm"].fillna(0.0).to_numpy(float)
    return np.flatnonzero((net.switch["et"].to_numpy() == "b") & (z > 0))


@cache
def _empty() -> Any:
    """Return an empty network on 1 MVA, to be copied: making one costs 0.1 s."""
    import pandapower as pp

    return pp.create_empty_network(sn_mva=1.0)


KEPT = Memory(32)
"""pandapower's conversion takes 50 ms, as long as a solve; a plant that is read again and again has the same branches."""

CHARACTERISTICS = ("trafo_characteristic_table", "trafo_characteristic_spline", "characteristic")


def _kept(net: Any) -> tuple[dict[str, Any], np.ndarray, dict[str, tuple[int, int]]]:
    """Return what `_all_in_service` does; nobody may change it."""
    if any(name in net and len(net[name]) for name in CHARACTERISTICS):
        return _all_in_service(net)
    parts: list[Hashable] = [float(net.f_hz)]
    for name in ("bus", *TABLES):
        frame = net[name]
        parts += [name, frame.index.to_numpy().tobytes()]
        for column in frame.columns:
            if column == "in_service":
                continue
            values = frame[column].to_numpy()
            parts += [str(column), repr(values.tolist()) if values.dtype == object else values.tobytes()]
    return KEPT.recall(tuple(parts), lambda: _all_in_service(net))


def _all_in_service(net: Any) -> tuple[dict[str, Any], np.ndarray, dict[str, tuple[int, int]]]:
    """Return pandapower's arrays of the bare network, the place of each bus, and of each table."""
    import pandapower as pp
    from pandapower.converter.pypower.to_ppc import to_ppc

    bare = deepcopy(_empty())
    bare["f_hz"] = net.f_hz
    for name in ("bus", *TABLES):
        frame = net[name].copy()
        frame["in_service"] = True
        bare[name] = frame
    for name in CHARACTERISTICS:
        if name in net:
            bare[name] = net[name]
    # a reference at every bus: pandapower drops buses that nothing holds
    pp.create_ext_grid(bare, bare.bus.index[0])
    sources = bare.ext_grid.loc[bare.ext_grid.index.repeat(len(bare.bus))].reset_index(drop=True)
    sources["bus"] = bare.bus.index.to_numpy().astype(sources["bus"].dtype)
    bare.ext_grid = sources
    ppc = to_ppc(bare, True, trafo_model="t", check_connectivity=False, init="flat", mode="pf")
    lookups = bare._pd2ppc_lookups
    return ppc, lookups["bus"][bare.bus.index.to_numpy()], lookups["branch"]
