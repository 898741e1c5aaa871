"""Voltages at harmonic orders from the tables: phase by phase in ohms, transformers by how their windings are joined.

A line is a 3x3 matrix of self and mutual impedances. A transformer is three windings: those of the other side are rotated
and joined so that the voltage across each is what its side sees, y = inv(z) between them; a side without an earthed neutral
carries no zero sequence; magnetising currents are left out. Sources are impedances to earth. r is that of the tables, x
grows with the order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csc_array, lil_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import spsolve

from pdnopt.plant.tables import values

__all__ = ["HarmonicNetwork"]

ONES = np.ones((3, 3)) / 3.0
EARTHED = {"dyn": (False, True), "ynyn": (True, True)}
"""Whether hv and lv have an earthed neutral; every other group: neither."""
TURN = np.exp(-2j * np.pi / 3 * np.arange(3))
OPENED = {"l": "line", "t": "trafo"}


def _matrix(z1: complex, z0: complex) -> np.ndarray:
    """Return the phase matrix of a positive- and a zero-sequence value."""
    return np.asarray(z1 * (np.eye(3) - ONES) + z0 * ONES)


def _joined(shift_degree: float) -> np.ndarray:
    """Return what each winding sees of the other side's phases, so that the positive sequence lags by ``shift_degree``."""
    found = None
    for other in (None, 1, 2):
        for sign in (1.0, -1.0):
            for by in range(3):
                one = np.roll(np.eye(3), by, axis=1)
                m = sign * one if other is None else (one - np.roll(one, other, axis=1)) / np.sqrt(3.0)
                angle = np.degrees(np.angle((m @ TURN)[0]))
                if abs((angle + shift_degree + 180.0) % 360.0 - 180.0) < 1e-6:
                    found = m
    if found is None:
        raise ValueError(f"shift of {shift_degree} degrees is no clock number")
    return np.asarray(found)


class HarmonicNetwork:
    """The live part of a network after `powerflow(three_phase=True)`, in volts and amperes."""

    def __init__(self, flow: Any) -> None:
        self.flow = flow
        live = flow.res_bus_3ph["vm_a_pu"].notna() & (flow.res_bus_3ph["vm_a_pu"] > 0)
        switch = flow.switch
        z_ohm = switch["z_ohm"].fillna(0.0) if "z_ohm" in switch else 0.0 * switch.index.to_series()
        between = (switch["et"] == "b") & switch["closed"].astype(bool)
        bus = pd.Index(flow.bus.index[live])
        tied = switch[between & (z_ohm <= 0)]
        ends = np.array([bus.get_indexer(pd.Index(tied[end])) for end in ("bus", "element")]).reshape(2, -1)
        ends = ends[:, (ends >= 0).all(axis=0)]
        joined = coo_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(len(bus), len(bus)))
        self.n, part = connected_components(joined, directed=False)
        self.node = dict(zip(bus.tolist(), part.tolist(), strict=True))
        self.weak = [(k, float(z_ohm[k])) for k in switch.index[between & (z_ohm > 0)]]
        shut = switch[~switch["closed"].astype(bool) & switch["et"].isin(list(OPENED))]
        self.open = {(OPENED[et], int(k)) for et, k in zip(shut["et"], shut["element"], strict=True)}

    def volts(self, order: int, amps: np.ndarray) -> np.ndarray:
        """Return the voltages (V, phase to neutral, (n, 3)) of currents that enter every node (A, (n, 3))."""
        y = lil_array((3 * self.n, 3 * self.n), dtype=complex)
        for a, b, blocks in (*self._lines(order), *self._transformers(order), *self._switches(order)):
            at = (slice(3 * a, 3 * a + 3), slice(3 * b, 3 * b + 3))
            for i in (0, 1):
                for j in (0, 1):
                    y[at[i], at[j]] = y[at[i], at[j]].toarray() + blocks[i][j]
        for n, own in self._sources(order):
            at_own = slice(3 * n, 3 * n + 3)
            y[at_own, at_own] = y[at_own, at_own].toarray() + own
        return np.asarray(spsolve(csc_array(y), amps.ravel())).reshape(-1, 3)

    def _live(self, table: str, ends: tuple[str, str]) -> Any:
        frame = self.flow[table]
        for k, row in frame[frame["in_service"].astype(bool)].iterrows():
            a, b = (self.node.get(row[end]) for end in ends)
            if a is not None and b is not None and (table, int(k)) not in self.open:
                yield a, b, row

    def _lines(self, h: int) -> Any:
        omega = 2.0 * np.pi * self.flow.f_hz * h
        for a, b, row in self._live("line", ("from_bus", "to_bus")):
            length, n = row["length_km"], row["parallel"]
            z1, z0 = (
                complex(row[f"r{s}_ohm_per_km"], h * row[f"x{s}_ohm_per_km"]) * length / n for s in ("", "0")
            )
            c1, c0 = (0.5j * omega * row[f"c{s}_nf_per_km"] * 1e-9 * length * n for s in ("", "0"))
            y, half = np.linalg.inv(_matrix(z1, z0)), _matrix(c1, c0)
            yield a, b, ((y + half, -y), (-y, y + half))

    def _transformers(self, h: int) -> Any:
        for a, b, row in self._live("trafo", ("hv_bus", "lv_bus")):
            kv = {side: float(row[f"vn_{side}_kv"]) for side in ("hv", "lv")}
            if row.get("tap_changer_type") in ("Ratio", "Symmetrical", "Ideal") and row["tap_side"] in kv:
                step = (row["tap_pos"] - row["tap_neutral"]) * row["tap_step_percent"] / 100.0
                kv[row["tap_side"]] *= 1.0 + float(np.nan_to_num(step))
            base = kv["lv"] ** 2 / row["sn_mva"] / row["parallel"] / 100.0
            z1, z0 = (
                base * complex(row[f"vkr{s}_percent"], h * np.sqrt(row[f"vk{s}_percent"] ** 2 - row[f"vkr{s}_percent"] ** 2))
                for s in ("", "0")
            )  # fmt: skip
            hv, lv = EARTHED.get(str(row["vector_group"]).lower(), (False, False))
            see = _joined(float(row["shift_degree"])) * kv["lv"] / kv["hv"]
            far = see if hv and lv else see - see @ ONES
            near = np.eye(3) if lv else np.eye(3) - ONES
            y = np.linalg.inv(_matrix(z1, z0))
            yield a, b, ((far.T @ y @ far, -far.T @ y @ near), (-near.T @ y @ far, near.T @ y @ near))

    def _switches(self, h: int) -> Any:
        for k, z in self.weak:
            a, b = (self.node.get(self.flow.switch.at[k, end]) for end in ("bus", "element"))
            if a is not None and b is not None and a != b:
                y = np.eye(3) * np.sqrt(5.0) / z / complex(2.0, h)
                yield a, b, ((y, -y), (-y, y))

    def _sources(self, h: int) -> Any:
        flow = self.flow
        for _, row in flow.ext_grid[flow.ext_grid["in_service"].astype(bool)].iterrows():
            n = self.node.get(row["bus"])
            if n is None:
                continue
            kv2 = float(flow.bus.at[row["bus"], "vn_kv"]) ** 2
            of_ups = row.get("ups", np.nan)
            if of_ups == of_ups and row.get("kind") == "ups":
                u = flow.ups.index.get_loc(int(of_ups))
                s = values(flow, "ups", "s_rated_mva")[u]
                s = values(flow, "ups", "p_rated_mw")[u] if np.isnan(s) else s
                r, x = (values(flow, "ups", f"{part}_out_percent")[u] / 100.0 for part in "rx")
                z1 = z0 = complex(r, h * x) * kv2 / s
            else:
                x1 = kv2 / row["s_sc_max_mva"] / np.hypot(1.0, row["rx_max"])
                z1 = complex(row["rx_max"], h) * x1
                z0 = complex(row["r0x0_max"], h) * row["x0x_max"] * x1
            yield n, np.linalg.inv(_matrix(z1, z0))
