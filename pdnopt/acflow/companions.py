"""UPSs and their companions: which are on in which mode, and what the input draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.errors import InputError, Issue
from pdnopt.plant.names import component_name
from pdnopt.plant.tables import values
from pdnopt.units import KW_PER_MW

__all__ = ["Companions", "read_companions", "set_companions"]

INVERTING = ("online", "battery")
PASSING = ("bypass", "eco")


@dataclass(frozen=True)
class Companions:
    """U UPSs as arrays; positions are row numbers in the net's tables.

    Attributes
    ----------
    source, load, bypass : int, shape (U,)
        Companion ext_grid, load and bypass switch; -1 where there is no bypass.
    bypass_sign : float, shape (U,)
        +1 if the bypass switch's ``element`` is the output bus, else -1.
    in_bus, out_bus : int, shape (U,)
    p_rated_kw, s_rated_kva, tan_phi, p_charge_kw : float, shape (U,)
    curves : tuple of (loading, eta) arrays, one a UPS
    mode : object, shape (U,)
        Mode in the network, "off" where not in service.
    """

    source: np.ndarray
    load: np.ndarray
    bypass: np.ndarray
    bypass_sign: np.ndarray
    in_bus: np.ndarray
    out_bus: np.ndarray
    p_rated_kw: np.ndarray
    s_rated_kva: np.ndarray
    tan_phi: np.ndarray
    p_charge_kw: np.ndarray
    eta: np.ndarray
    curves: tuple[tuple[int, np.ndarray, np.ndarray], ...]
    mode: np.ndarray

    @property
    def n(self) -> int:
        """Number of UPSs."""
        return len(self.source)

    def eta_at(self, p_out_kw: np.ndarray) -> np.ndarray:
        """Return the efficiency at an output, shape (..., U). Linear between points, held outside them."""
        eta = np.broadcast_to(self.eta, p_out_kw.shape)
        if self.curves:
            eta = eta.copy()
            for k, loading, value in self.curves:
                eta[..., k] = np.interp(p_out_kw[..., k] / self.p_rated_kw[k], loading, value)
        return eta

    def input_kw(self, p_out_kw: np.ndarray) -> np.ndarray:
        """Return ``P_out / eta(P_out / p_rated) + P_charge`` in kW, shape (..., U).

        The charging power alone where P_out <= 0, as ``pdnopt.plant.create.ups_input_mw`` has it.
        """
        p_out_kw = np.asarray(p_out_kw, dtype=float)
        return np.asarray(np.where(p_out_kw > 0, p_out_kw / self.eta_at(p_out_kw), 0.0) + self.p_charge_kw)

    def loading_percent(self, p_kw: np.ndarray, q_kvar: np.ndarray) -> np.ndarray:
        """Return the worst of P/p_rated and S/s_rated in percent, shape (..., U)."""
        worst = np.maximum(np.abs(p_kw) / self.p_rated_kw, np.hypot(p_kw, q_kvar) / self.s_rated_kva)
        return np.asarray(100.0 * worst)


def _position_of_ups(net: Any, table: str) -> dict[int, int]:
    return {int(u): k for k, u in enumerate(values(net, table, "ups")) if u == u}


def read_companions(net: Any) -> Companions:
    """Read UPSs and find their companions.

    Raises
    ------
    InputError
        For a UPS without its ext_grid or its input load.
    """
    n = len(net.ups) if "ups" in net else 0
    if not n:
        whole, real = np.zeros(0, dtype=int), np.zeros(0)
        return Companions(
            whole,
            whole,
            whole,
            real,
            whole,
            whole,
            real,
            real,
            real,
            real,
            real,
            (),
            np.zeros(0, dtype=object),
        )
    index = [int(i) for i in net.ups.index]
    found = {table: _position_of_ups(net, table) for table in ("ext_grid", "load", "switch")}
    issues = [
        Issue(
            "MissingCompanion",
            f"net.{table}.ups",
            component_name(net, "ups", i),
            None,
            f"a row of net.{table} whose column 'ups' is {i}",
            "Make UPSs with pdnopt.plant.create_ups.",
        )
        for i in index
        for table in ("ext_grid", "load")
        if i not in found[table]
    ]
    if issues:
        raise InputError(issues)

    def of(name: str) -> np.ndarray:
        return values(net, "ups", name)

    bus = pd.Index(net.bus.index)
    out_bus = bus.get_indexer(of("out_bus").astype(int))
    bypass = np.array([found["switch"].get(i, -1) for i in index], dtype=int)
    far = bus.get_indexer(net.switch["element"].to_numpy(int))
    sign = np.array([-1.0 if b >= 0 and far[b] != o else 1.0 for b, o in zip(bypass, out_bus, strict=True)])
    p_rated = of("p_rated_mw") * KW_PER_MW
    s_rated = of("s_rated_mva") * KW_PER_MW
    efficiency = of("efficiency")
    flat = np.array([float(e) if isinstance(e, int | float) else np.nan for e in efficiency])
    curves = []
    for k in np.flatnonzero(np.isnan(flat)):
        table = np.asarray(efficiency[k], dtype=float)
        curves.append((int(k), table[:, 0], table[:, 1]))
    return Companions(
        source=np.array([found["ext_grid"][i] for i in index], dtype=int),
        load=np.array([found["load"][i] for i in index], dtype=int),
        bypass=bypass,
        bypass_sign=sign,
        in_bus=bus.get_indexer(of("in_bus").astype(int)),
        out_bus=out_bus,
        p_rated_kw=p_rated,
        s_rated_kva=np.where(np.isnan(s_rated), p_rated, s_rated),
        tan_phi=np.tan(np.arccos(np.clip(of("input_pf"), 1e-6, 1.0))),
        p_charge_kw=of("p_charge_mw") * KW_PER_MW,
        eta=flat,
        curves=tuple(curves),
        mode=np.where(of("in_service"), of("mode"), "off").astype(object),
    )


def set_companions(net: Any, ups: Companions, p_in_kw: np.ndarray) -> None:
    """Write in place what the modes mean for the companions, with the given input power in kW, shape (U,)."""
    if not ups.n:
        return

    def write(table: str, rows: np.ndarray, column: str, value: np.ndarray) -> None:
        frame = net[table]
        frame.loc[frame.index[rows], column] = value

    inverting, online = np.isin(ups.mode, INVERTING), ups.mode == "online"
    write("ext_grid", ups.source, "in_service", inverting)
    write("load", ups.load, "in_service", online)
    write("load", ups.load, "p_mw", np.where(online, p_in_kw, 0.0) / KW_PER_MW)
    write("load", ups.load, "q_mvar", np.where(online, p_in_kw * ups.tan_phi, 0.0) / KW_PER_MW)
    write("load", ups.load, "scaling", np.ones(ups.n))
    has = ups.bypass >= 0
    write("switch", ups.bypass[has], "closed", np.isin(ups.mode[has], PASSING))
