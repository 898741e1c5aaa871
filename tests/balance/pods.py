"""Small pods and synthetic halls with micro-inverters, for tests and benchmarks. All loads are drawn, none is measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandapower as pp

from pdnopt.plant import create_empty_plant, create_micro_inverter

__all__ = ["hall", "pod"]

KV = 0.415


def _line(net: Any, a: int, b: int, name: str, km: float, most_ka: float = 0.16) -> None:
    index = pp.create_line_from_parameters(net, a, b, km, 0.342, 0.08, 0.0, most_ka, name=name)
    for column, value in (("r0_ohm_per_km", 1.368), ("x0_ohm_per_km", 0.32), ("c0_nf_per_km", 0.0)):
        net.line.loc[index, column] = value


def pod(
    kw: tuple[tuple[float, float, float], ...] = ((9.0, 5.0, 4.0), (4.0, 8.0, 6.0)),
    s_max_kva: float = 5.0,
    km: float = 0.1,
    loss_percent: float = 3.0,
) -> Any:
    """Return PDUs on cables of their own behind one Dyn transformer, each with loads by phase and one micro-inverter."""
    net = create_empty_plant("pod")
    mv, board = pp.create_bus(net, 20.0, name="MV"), pp.create_bus(net, KV, name="board")
    pp.create_ext_grid(net, mv, name="utility", s_sc_max_mva=500.0, rx_max=0.1, r0x0_max=0.1, x0x_max=1.0)
    trafo = pp.create_transformer_from_parameters(
        net, mv, board, 0.16, 20.0, KV, 1.1, 6.0, 0.5, 0.2, 150.0, name="TX",
        vector_group="Dyn", vk0_percent=6.0, vkr0_percent=1.1, mag0_percent=1e9, mag0_rx=0.0, si0_hv_partial=0.5,
    )  # fmt: skip
    assert trafo == 0
    for k, phases in enumerate(kw):
        bus = pp.create_bus(net, KV, name=f"PDU-{k}")
        _line(net, board, bus, f"cable {k}", km)
        power = {f"p_{phase}_mw": x / 1e3 for phase, x in zip("abc", phases, strict=True)}
        reactive = {f"q_{phase}_mvar": 0.25 * x / 1e3 for phase, x in zip("abc", phases, strict=True)}
        pp.create_asymmetric_load(net, bus, name=f"load {k}", **power, **reactive)
        create_micro_inverter(net, bus, f"MIM-{k}", s_max_kva / 1e3, loss_percent=loss_percent)
    return net


def hall(n: int, seed: int = 0) -> Any:
    """Return n PDUs with one micro-inverter each, 20 on each transformer's board; loads drawn around 6 kW a phase."""
    rng = np.random.default_rng(seed)
    net = create_empty_plant("hall")
    mv = pp.create_bus(net, 20.0, name="MV")
    pp.create_ext_grid(net, mv, name="utility", s_sc_max_mva=500.0, rx_max=0.1, r0x0_max=0.1, x0x_max=1.0)
    board = -1
    for k in range(n):
        if k % 20 == 0:
            board = pp.create_bus(net, KV, name=f"board {k // 20}")
            pp.create_transformer_from_parameters(
                net, mv, board, 0.63, 20.0, KV, 1.1, 6.0, 0.9, 0.2, 150.0, name=f"TX {k // 20}",
                vector_group="Dyn", vk0_percent=6.0, vkr0_percent=1.1, mag0_percent=1e9, mag0_rx=0.0,
                si0_hv_partial=0.5,
            )  # fmt: skip
        bus = pp.create_bus(net, KV, name=f"PDU-{k}")
        _line(net, board, bus, f"cable {k}", 0.03)
        kw = 6.0 * rng.uniform(0.7, 1.3, 3)
        power = {f"p_{phase}_mw": x / 1e3 for phase, x in zip("abc", kw, strict=True)}
        reactive = {f"q_{phase}_mvar": 0.25 * x / 1e3 for phase, x in zip("abc", kw, strict=True)}
        pp.create_asymmetric_load(net, bus, name=f"load {k}", **power, **reactive)
        create_micro_inverter(net, bus, f"MIM-{k}", 0.005)
    return net
