"""What the checker knows of a plant: its tables as arrays, read once. kW, kvar, kWh, s, pu."""

from __future__ import annotations

from typing import Any

import numpy as np

from pdnopt.checker.wiring import Wiring
from pdnopt.plant.names import component_names, find_component
from pdnopt.plant.tables import values
from pdnopt.units import KW_PER_MW, MS_PER_S

__all__ = ["PASSING", "PlantView"]

INVERTING = ("online", "battery")
PASSING = ("bypass", "eco")


def _native(net: Any, table: str, column: str, default: float) -> np.ndarray:
    """Return a numeric column of pandapower's own, ``default`` where it is missing or NaN."""
    frame = net[table]
    if column not in frame.columns:
        return np.full(len(frame), default)
    value = frame[column].to_numpy(dtype=float)
    return np.where(np.isnan(value), default, value)


def _rows_of(index: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the positions in ``index`` of wanted labels, -1 for NaN or a label that is not there."""
    at = {int(i): k for k, i in enumerate(index)}
    return np.array([-1 if np.isnan(v) else at.get(int(v), -1) for v in wanted], dtype=int)


class PlantView:
    """One network, read once; positions are rows of its tables, not indices.

    The attributes are arrays over the rows of ``net.ext_grid`` (``src_``), ``net.switch`` (``sw_``),
    ``net.ups`` (``ups_``), ``net.transfer`` (``tr_``), ``net.storage`` (``st_``) and ``net.bus`` (``bus_``).
    """

    def __init__(self, net: Any) -> None:
        self.net = net
        self._found: dict[str, tuple[str, int | str]] = {}
        self.wiring = Wiring(net)
        tables = ("bus", "line", "trafo", "trafo3w", "switch", "ext_grid", "ups", "transfer", "storage")
        self.names = {table: component_names(net, table) for table in (*tables, "interlock")}
        self.at: dict[str, dict[str, int]] = {}
        for table, names in self.names.items():
            indices = net[table].index if table in net else []
            self.at[table] = {f"{table}:{i}": k for k, i in enumerate(indices)}
            self.at[table].update({name: k for k, name in enumerate(names)})
        self._read_buses()
        self._read_switches()
        self._read_sources()
        self._read_upss()
        self._read_transfers()
        self._read_storages()
        self._read_interlocks()

    def _read_buses(self) -> None:
        net = self.net
        self.bus_vn_kv = net.bus["vn_kv"].to_numpy(float)
        self.bus_min_pu = _native(net, "bus", "min_vm_pu", -np.inf)
        self.bus_max_pu = _native(net, "bus", "max_vm_pu", np.inf)
        self.line_limit = _native(net, "line", "max_loading_percent", 100.0)
        self.trafo_limit = _native(net, "trafo", "max_loading_percent", 100.0)
        self.trafo3w_limit = _native(net, "trafo3w", "max_loading_percent", 100.0)

    def _read_switches(self) -> None:
        net = self.net
        self.n_sw = len(net.switch)
        self.sw_closed = net.switch["closed"].to_numpy(bool)
        remote = np.array([v == "remote" for v in values(net, "switch", "operation")], dtype=bool)
        self.sw_operable = remote & values(net, "switch", "operable")
        self.sw_t_s = values(net, "switch", "t_operate_ms") / MS_PER_S
        rating = _native(net, "switch", "in_ka", np.inf)
        self.sw_in_ka = np.where(rating > 0, rating, np.inf)
        n_ups = len(net.ups) if "ups" in net else 0
        n_tr = len(net.transfer) if "transfer" in net else 0
        none = np.full(self.n_sw, -1)
        self.sw_ups = _rows_of(net.ups.index, values(net, "switch", "ups")) if n_ups else none
        self.sw_transfer = (
            _rows_of(net.transfer.index, values(net, "switch", "transfer")) if n_tr else none.copy()
        )

    def _read_sources(self) -> None:
        net, wiring = self.net, self.wiring
        self.n_src = len(net.ext_grid)
        self.src_kind = values(net, "ext_grid", "kind")
        self.src_node = np.array([wiring.bus_at[int(b)] for b in net.ext_grid["bus"]], dtype=int)
        self.src_ok = net.ext_grid["in_service"].to_numpy(bool)
        self.src_genset = self.src_kind == "genset"
        self.src_companion = np.isin(self.src_kind.astype(str), ("ups", "storage"))
        self.src_max_kw = values(net, "ext_grid", "max_p_mw") * KW_PER_MW
        self.src_min_kw = values(net, "ext_grid", "min_p_mw") * KW_PER_MW
        self.src_start_s = values(net, "ext_grid", "start_s")
        self.src_step_kw = values(net, "ext_grid", "step_mw") * KW_PER_MW
        self.src_fuel_kwh = values(net, "ext_grid", "fuel_mwh") * KW_PER_MW
        self.src_group = np.array(
            [str(v).strip() for v in values(net, "ext_grid", "sync_group")], dtype=object
        )
        self.src_parallel = values(net, "ext_grid", "parallel")
        self.src_running = values(net, "ext_grid", "running")

    def _read_upss(self) -> None:
        net, wiring = self.net, self.wiring
        read = {
            c: values(net, "ups", c) for c in ("in_bus", "out_bus", "bypass_bus", "p_rated_mw", "s_rated_mva")
        }
        self.n_ups = len(read["in_bus"])
        self.ups_in = np.array([wiring.bus_node(v) for v in read["in_bus"]], dtype=int)
        self.ups_out = np.array([wiring.bus_node(v) for v in read["out_bus"]], dtype=int)
        self.ups_bypass_node = np.array([wiring.bus_node(v) for v in read["bypass_bus"]], dtype=int)
        self.ups_p_kw = read["p_rated_mw"] * KW_PER_MW
        s_kva = read["s_rated_mva"] * KW_PER_MW
        self.ups_s_kva = np.where(np.isnan(s_kva), self.ups_p_kw, s_kva)
        self.ups_e_kwh = (
            values(net, "ups", "e_max_mwh") * KW_PER_MW * values(net, "ups", "soc_percent") / 100.0
        )
        self.ups_modules = values(net, "ups", "n_modules")
        self.ups_temperature_c = values(net, "ups", "temperature_c")
        self.ups_ok = values(net, "ups", "in_service")
        self.ups_mode = np.where(self.ups_ok, values(net, "ups", "mode"), "off").astype(object)
        self.ups_src = np.full(self.n_ups, -1)
        self.ups_switch = np.full(self.n_ups, -1)
        if self.n_ups:
            owner = _rows_of(net.ups.index, values(net, "ext_grid", "ups"))
            for k in np.flatnonzero(owner >= 0):
                self.ups_src[owner[k]] = k
            for k in np.flatnonzero(self.sw_ups >= 0):
                self.ups_switch[self.sw_ups[k]] = k

    def _read_transfers(self) -> None:
        net, wiring = self.net, self.wiring
        self.tr_out = np.array([wiring.bus_node(v) for v in values(net, "transfer", "bus")], dtype=int)
        self.n_tr = len(self.tr_out)
        self.tr_s = values(net, "transfer", "transfer_ms") / MS_PER_S
        self.tr_closed_transition = values(net, "transfer", "transition") == "closed"
        ok = values(net, "transfer", "in_service")
        self.tr_stuck = values(net, "transfer", "stuck") | ~ok
        self.tr_auto = values(net, "transfer", "auto") & ~self.tr_stuck
        self.tr_min_dwell_s = values(net, "transfer", "min_dwell_s")
        self.tr_dwell_left_s = values(net, "transfer", "dwell_left_s")
        preferred = values(net, "transfer", "preferred")
        self.tr_preferred = _rows_of(net.switch.index, preferred) if self.n_tr else np.zeros(0, dtype=int)
        self.tr_positions = [np.flatnonzero(self.sw_transfer == k) for k in range(self.n_tr)]
        self.tr_feeds: list[np.ndarray] = []
        for k, rows in enumerate(self.tr_positions):
            tail, head = wiring.sw_tail[rows], wiring.sw_head[rows]
            self.tr_feeds.append(np.where(tail == self.tr_out[k], head, tail))

    def _read_storages(self) -> None:
        net, wiring = self.net, self.wiring
        frame = net.storage
        self.n_st = len(frame)
        self.st_node = np.array([wiring.bus_at[int(b)] for b in frame["bus"]], dtype=int)
        self.st_ok = frame["in_service"].to_numpy(bool)
        self.st_kw = np.where(
            self.st_ok, frame["p_mw"].to_numpy(float) * frame["scaling"].to_numpy(float), 0.0
        )
        self.st_kw = self.st_kw * KW_PER_MW
        self.st_max_kw = values(net, "storage", "max_p_mw") * KW_PER_MW
        self.st_min_kw = values(net, "storage", "min_p_mw") * KW_PER_MW
        size = _native(net, "storage", "max_e_mwh", np.inf) * KW_PER_MW
        soc = _native(net, "storage", "soc_percent", 100.0)
        self.st_size_kwh = size
        self.st_now_kwh = np.where(
            np.isfinite(size), np.where(np.isfinite(size), size, 0.0) * soc / 100.0, np.inf
        )
        floor = np.where(np.isfinite(size), size, 0.0) * values(net, "storage", "soc_min_percent") / 100.0
        self.st_floor_kwh = np.where(np.isfinite(size), floor, -np.inf)
        self.st_eta_in = values(net, "storage", "efficiency_charge")
        self.st_eta_out = values(net, "storage", "efficiency_discharge")
        self.st_src = np.full(self.n_st, -1)
        if self.n_st:
            owner = _rows_of(frame.index, values(net, "ext_grid", "storage"))
            for k in np.flatnonzero(owner >= 0):
                self.st_src[owner[k]] = k
        self.st_forms = values(net, "storage", "grid_forming") & self.st_ok & (self.st_src >= 0)

    def _read_interlocks(self) -> None:
        net = self.net
        at = {int(i): k for k, i in enumerate(net.switch.index)}
        switches = values(net, "interlock", "switches")
        self.lock_rows = [np.array([at[int(s)] for s in (group or ())], dtype=int) for group in switches]
        self.lock_max = values(net, "interlock", "max_closed").astype(int)

    def find(self, name: str, path: str) -> tuple[str, int | str]:
        """Return table and index of a component by name; looked up once. Raises InputError where there is none."""
        if name not in self._found:
            self._found[name] = find_component(self.net, name, path)
        return self._found[name]

    def closed_positions(self, closed: np.ndarray) -> np.ndarray:
        """Return how many positions of each transfer device are closed."""
        mine = self.sw_transfer[closed]
        return np.asarray(np.bincount(mine[mine >= 0], minlength=self.n_tr))

    def transfer_position(self, transfer: int, closed: np.ndarray) -> int:
        """Return the switch row that is closed in a transfer device, -1 for none."""
        rows = self.tr_positions[transfer]
        on = rows[closed[rows]]
        return int(on[0]) if len(on) else -1
