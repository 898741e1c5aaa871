"""Halls of thousands of micro-inverters: pods as `mim_pod`'s, drawn, none measured.

Each pod is a UPS, PDU transformers on its output board, and rows of racks behind every PDU with a
micro-inverter each. What is uneven: phases of a pod a little (circuits are given away in the same order
everywhere), those of a PDU more, those of a row most; inverters of three sizes without regard to who needs one.
So some rows can be evened out and some cannot.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd

from pdnopt.plant import create_empty_plant, create_micro_inverter, create_ups

__all__ = ["pods"]

KV = 0.415
ROW_KW = 2.1
"""A phase of a row on average."""
SIZES_MVA = (0.0002, 0.0004, 0.0008)
"""A phase of a micro-inverter: together a fifth of the load."""


def _more(net: Any, table: str, count: int, **columns: Any) -> None:
    """Repeat a table's last row and write columns over it: much quicker than to create row by row."""
    frame = net[table]
    new = frame.iloc[[-1] * count].copy()
    new.index = np.arange(frame.index[-1] + 1, frame.index[-1] + 1 + count)
    net[table] = pd.concat([frame, new])
    for name, value in columns.items():
        net[table].loc[new.index, name] = value


def pods(
    n: int = 2,
    pdus: int = 3,
    rows: int = 4,
    seed: int = 0,
    ups_part: float = 0.95,
    skew: float = 0.03,
    tight: int = 1,
    times: float = 1.0,
) -> Any:
    """Return ``n`` pods with ``pdus`` PDUs of ``rows`` rows each: n x pdus x rows inverters.

    Parameters
    ----------
    seed : int
        Of loads and of inverters' sizes.
    ups_part : float
        Load of a UPS, of its rating.
    skew : float
        Of a pod's phases a and c.
    tight : int
        So many pods, the first ones, have phases so far apart that their UPS is overloaded on phase a.
    times : float
        Loads, ratings, and admittances of busways, so many times.
    """
    rng = np.random.default_rng(seed)
    net = create_empty_plant(f"{n} pods of {pdus * rows} micro-inverters, drawn")
    mv = pp.create_bus(net, 20.0, name="MV")
    pp.create_ext_grid(net, mv, name="utility", s_sc_max_mva=500.0, rx_max=0.1, r0x0_max=0.1, x0x_max=1.0)
    each = pdus * rows
    row_kw = times * ROW_KW
    mw = 3.0 * row_kw * each / 1e3
    for k in range(n):
        inlet, board = (pp.create_bus(net, KV, name=f"{word} {k}") for word in ("IN", "OUT"))
        _trafo(net, mv, inlet, 20.0, 1.5 * mw, 6.0, f"TX {k}")
        create_ups(net, inlet, board, f"UPS-{k}", mw / ups_part / 0.97, bypass_bus=inlet)
        for m in range(pdus):
            pdu = pp.create_bus(net, KV, name=f"PDU {k}.{m}")
            # 4 %: dry type isolation transformers of 75 to 300 kVA have 3 to 6 % (typical)
            _trafo(net, board, pdu, KV, 1.5 * mw / pdus, 4.0, f"PDU {k}.{m}")
    at = np.repeat(net.bus.index[net.bus["name"].astype(str).str.startswith("PDU")].to_numpy(int), rows)
    total = n * each
    names = [f"{k // each}.{k % each // rows}.{k % rows}" for k in range(total)]
    first = pp.create_bus(net, KV, name=f"row {names[0]}")
    _more(net, "bus", total - 1, name=[f"row {name}" for name in names[1:]])
    bus = first + np.arange(total)
    line = pp.create_line_from_parameters(
        net,
        int(at[0]),
        first,
        0.02,
        0.727 / times,
        0.08 / times,
        0.0,
        0.063 * times,
        name=f"busway {names[0]}",
    )
    for column, value in (
        ("r0_ohm_per_km", 2.9 / times),
        ("x0_ohm_per_km", 0.32 / times),
        ("c0_nf_per_km", 0.0),
    ):
        net.line.loc[line, column] = value
    metres = rng.uniform(10.0, 30.0, total)
    _more(
        net, "line", total - 1, name=[f"busway {name}" for name in names[1:]], from_bus=at[1:], to_bus=bus[1:],
        length_km=metres[1:] / 1e3,
    )  # fmt: skip
    kw = row_kw * rng.uniform(0.6, 1.4, (total, 3))
    kw *= np.repeat(rng.uniform(0.9, 1.1, (n * pdus, 3)), rows, axis=0)
    by_pod = np.where(np.arange(n)[:, None] < tight, 2.5 * skew, skew) * np.array([1.0, 0.0, -1.0])
    kw = kw.reshape(n, each, 3)
    kw *= row_kw * (1.0 + by_pod)[:, None, :] / kw.mean(axis=1, keepdims=True)
    mw_by_phase = kw.reshape(total, 3) / 1e3
    phases = {f"p_{k}_mw": mw_by_phase[:, j] for j, k in enumerate("abc")}
    phases |= {f"q_{k}_mvar": 0.25 * mw_by_phase[:, j] for j, k in enumerate("abc")}
    pp.create_asymmetric_load(
        net, first, name=f"racks {names[0]}", **{c: float(v[0]) for c, v in phases.items()}
    )
    _more(
        net, "asymmetric_load", total - 1, name=[f"racks {name}" for name in names[1:]], bus=bus[1:],
        **{column: value[1:] for column, value in phases.items()},
    )  # fmt: skip
    size = times * rng.choice(SIZES_MVA, total)
    create_micro_inverter(net, first, f"MIM {names[0]}", float(size[0]))
    _more(
        net, "asymmetric_sgen", total - 1, name=[f"MIM {name}" for name in names[1:]], bus=bus[1:],
        s_max_mva=size[1:],
    )  # fmt: skip
    return net


def _trafo(net: Any, hv: int, lv: int, kv: float, mva: float, vk_percent: float, name: str) -> None:
    pp.create_transformer_from_parameters(
        net, hv, lv, mva, kv, KV, 1.1, vk_percent, 0.0, 0.0, 150.0, name=name, vector_group="Dyn",
        vk0_percent=vk_percent, vkr0_percent=1.1, mag0_percent=1e9, mag0_rx=0.0, si0_hv_partial=0.5,
    )  # fmt: skip
