"""Fixed injections: static generators and shunts."""

from __future__ import annotations

from typing import Any

import numpy as np

from pdnopt.plant.grid.arrays import FloatArray
from pdnopt.plant.grid.nodes import NodeTable
from pdnopt.plant.tables import native_values
from pdnopt.units import KW_PER_MW

__all__ = ["read_injections"]


def read_injections(net: Any, nodes: NodeTable) -> tuple[FloatArray, FloatArray]:
    """Return the injections (kW, kvar) by node, generation positive."""
    p_kw, q_kvar = np.zeros(len(nodes.bus)), np.zeros(len(nodes.bus))

    def add(bus: Any, p: np.ndarray, q: np.ndarray, on: np.ndarray) -> None:
        at = nodes.of(bus)
        np.add.at(p_kw, at, np.where(on, p, 0.0) * KW_PER_MW)
        np.add.at(q_kvar, at, np.where(on, q, 0.0) * KW_PER_MW)

    if len(net.sgen):
        scale = native_values(net.sgen, "scaling", 1.0)
        add(
            net.sgen["bus"],
            net.sgen["p_mw"] * scale,
            net.sgen["q_mvar"] * scale,
            net.sgen["in_service"].to_numpy(bool),
        )
    if len(net.gen):
        add(
            net.gen["bus"],
            net.gen["p_mw"] * native_values(net.gen, "scaling", 1.0),
            np.zeros(len(net.gen)),
            net.gen["in_service"].to_numpy(bool),
        )
    if len(net.asymmetric_sgen):
        frame, scale = net.asymmetric_sgen, native_values(net.asymmetric_sgen, "scaling", 1.0)
        p = frame[["p_a_mw", "p_b_mw", "p_c_mw"]].sum(axis=1).to_numpy() * scale
        q = frame[["q_a_mvar", "q_b_mvar", "q_c_mvar"]].sum(axis=1).to_numpy() * scale
        add(frame["bus"], p, q, frame["in_service"].to_numpy(bool))
    if len(net.shunt):
        frame = net.shunt
        step = native_values(frame, "step", 1.0)
        add(frame["bus"], -frame["p_mw"] * step, -frame["q_mvar"] * step, frame["in_service"].to_numpy(bool))
    return p_kw, q_kvar
