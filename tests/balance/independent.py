"""`tests.balance.pods.pod` said again without pdnopt: impedances from its tables, and power-grid-model driven directly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import power_grid_model as pgm

__all__ = ["BASE_KW", "Pod", "SharedSource", "read_pod"]

BASE_KW = 100.0
ALPHA = np.exp(2j * np.pi / 3)
FORTESCUE = np.array([[1, 1, 1], [1, ALPHA**2, ALPHA], [1, ALPHA, ALPHA**2]])
"""Phases of (zero, positive, negative) sequence."""
PHASES = "abc"


@dataclass(frozen=True)
class Pod:
    """K PDUs on cables behind one Dyn transformer, in pu of 100 kW a phase and of the nominal voltage.

    Attributes
    ----------
    impedance : complex, shape (3 + 3K, 3K)
        Voltages of the board and of the PDUs by currents that enter at the PDUs: what is common is the transformer's.
    load : complex, shape (3K,)
    cable_rating, trafo_rating : float
        pu of current.
    """

    impedance: np.ndarray
    load: np.ndarray
    cable_rating: float
    trafo_rating: float


def read_pod(net: Any) -> Pod:
    """Read the tables of a pod."""
    kv, trafo = net.trafo["vn_lv_kv"].iloc[0], net.trafo.iloc[0]
    base = kv**2 * 1e3 / (3.0 * BASE_KW)
    scale = 3.0 * BASE_KW / 1e3 / trafo["sn_mva"]

    def of_trafo(vk: float, vkr: float) -> complex:
        return complex(vkr, np.sqrt(vk**2 - vkr**2)) / 100.0 * scale

    positive = of_trafo(trafo["vk_percent"], trafo["vkr_percent"])
    zero = of_trafo(trafo["vk0_percent"], trafo["vkr0_percent"])
    common = _phases(zero, positive)
    k = len(net.line)
    whole = np.zeros((3 + 3 * k, 3 * k), dtype=complex)
    for j in range(k):
        whole[:3, 3 * j : 3 * j + 3] = common
        for i in range(k):
            whole[3 + 3 * i : 6 + 3 * i, 3 * j : 3 * j + 3] = common
        line = net.line.iloc[j]
        z1 = complex(line["r_ohm_per_km"], line["x_ohm_per_km"]) * line["length_km"] / base
        z0 = complex(line["r0_ohm_per_km"], line["x0_ohm_per_km"]) * line["length_km"] / base
        whole[3 + 3 * j : 6 + 3 * j, 3 * j : 3 * j + 3] += _phases(z0, z1)
    p, q = ([f"{x}_{phase}_{u}" for phase in PHASES] for x, u in (("p", "mw"), ("q", "mvar")))
    load = 1e3 * (net.asymmetric_load[p].to_numpy(float) + 1j * net.asymmetric_load[q].to_numpy(float))
    amp = BASE_KW / (kv / np.sqrt(3.0) * 1e3)
    rated = trafo["sn_mva"] / (np.sqrt(3.0) * kv)
    return Pod(whole, load.ravel() / BASE_KW, float(net.line["max_i_ka"].iloc[0] / amp), float(rated / amp))


def _phases(zero: complex, positive: complex) -> np.ndarray:
    return np.asarray(FORTESCUE @ np.diag([zero, positive, positive]) @ np.linalg.inv(FORTESCUE))


class SharedSource:
    """AC power flow of a pod by power-grid-model, which only gets other set-points from one call to the next."""

    def __init__(self, net: Any) -> None:
        k, trafo = len(net.line), net.trafo.iloc[0]
        kv = trafo["vn_lv_kv"]
        node = pgm.initialize_array("input", "node", k + 2)
        node["id"], node["u_rated"] = np.arange(k + 2), [trafo["vn_hv_kv"] * 1e3, *[kv * 1e3] * (k + 1)]
        source = pgm.initialize_array("input", "source", 1)
        source["id"], source["node"], source["status"], source["u_ref"], source["sk"] = 100, 0, 1, 1.0, 1e15
        turn = pgm.initialize_array("input", "transformer", 1)
        for name, value in {
            "id": 200, "from_node": 0, "to_node": 1, "from_status": 1, "to_status": 1, "u1": trafo["vn_hv_kv"] * 1e3,
            "u2": kv * 1e3, "sn": trafo["sn_mva"] * 1e6, "uk": trafo["vk_percent"] / 100.0,
            "pk": trafo["vkr_percent"] / 100.0 * trafo["sn_mva"] * 1e6, "i0": trafo["i0_percent"] / 100.0,
            "p0": trafo["pfe_kw"] * 1e3, "winding_from": pgm.WindingType.delta, "winding_to": pgm.WindingType.wye_n,
            "clock": 5, "tap_side": pgm.BranchSide.from_side, "tap_pos": 0, "tap_nom": 0, "tap_min": 0, "tap_max": 0,
            "tap_size": 0.0,
        }.items():  # fmt: skip
            turn[name] = value
        line = pgm.initialize_array("input", "line", k)
        line["id"], line["from_node"], line["to_node"] = 300 + np.arange(k), 1, 2 + np.arange(k)
        line["from_status"] = line["to_status"] = 1
        km = net.line["length_km"].to_numpy(float)
        for name, column in (("r1", "r_ohm"), ("x1", "x_ohm"), ("r0", "r0_ohm"), ("x0", "x0_ohm")):
            line[name] = net.line[f"{column}_per_km"].to_numpy(float) * km
        line["c1"] = line["tan1"] = line["c0"] = line["tan0"] = 0.0
        load = pgm.initialize_array("input", "asym_load", k)
        load["id"], load["node"], load["status"], load["type"] = 400 + np.arange(k), 2 + np.arange(k), 1, 0
        for name, axis, unit in (("p_specified", "p", "mw"), ("q_specified", "q", "mvar")):
            load[name] = 1e6 * net.asymmetric_load[[f"{axis}_{x}_{unit}" for x in PHASES]].to_numpy(float)
        gen = pgm.initialize_array("input", "asym_gen", k)
        gen["id"], gen["node"], gen["status"], gen["type"] = 500 + np.arange(k), 2 + np.arange(k), 1, 0
        gen["p_specified"] = gen["q_specified"] = 0.0
        self._model = pgm.PowerGridModel(
            {
                "node": node,
                "source": source,
                "transformer": turn,
                "line": line,
                "asym_load": load,
                "asym_gen": gen,
            }
        )
        self._gen = pgm.initialize_array("update", "asym_gen", k)
        self._gen["id"] = 500 + np.arange(k)
        self._rating = (
            1e3 * np.r_[np.repeat(net.line["max_i_ka"].iloc[0], k), trafo["sn_mva"] / (np.sqrt(3.0) * kv)]
        )

    def measure(self, s_kva: np.ndarray) -> dict[str, float]:
        """Return the worst unbalance (part) and the worst spread (part of the rating) with set-points (3K,)."""
        by_pdu = s_kva.reshape(-1, 3) * 1e3
        self._gen["p_specified"], self._gen["q_specified"] = by_pdu.real, by_pdu.imag
        self._model.update(update_data={"asym_gen": self._gen})
        out = self._model.calculate_power_flow(symmetric=False, error_tolerance=1e-9)
        u = out["node"]["u_pu"] * np.exp(1j * out["node"]["u_angle"])
        sequence = u @ np.linalg.inv(FORTESCUE).T
        amps = np.vstack([out["line"]["i_from"], out["transformer"]["i_to"]]) / self._rating[:, None]
        return {
            "vuf": float((np.abs(sequence[:, 2]) / np.abs(sequence[:, 1])).max()),
            "spread": float((amps.max(axis=1) - amps.min(axis=1)).max()),
        }
