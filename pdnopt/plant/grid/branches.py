"""Branches: lines, transformers, impedances, and three-winding transformers as stars of three."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.plant.grid.arrays import Branches
from pdnopt.plant.grid.nodes import NodeTable
from pdnopt.plant.names import component_names
from pdnopt.plant.tables import native_values, values
from pdnopt.units import KW_PER_MW, SQRT3, UNLIMITED_KA

__all__ = ["read_branches"]

_BRANCH_COLUMNS = (
    "table",
    "index",
    "tail",
    "head",
    "r",
    "x",
    "ratio",
    "s_max",
    "fixed",
    "ok",
    "curve",
    "used",
)


def read_branches(net: Any, nodes: NodeTable) -> Branches:
    """Read lines, transformers, impedances and three-winding transformers, in this order.

    The star point of a three-winding transformer is added to ``nodes``.
    """
    parts = [_lines(net), _trafos(net), _impedances(net), _trafo3ws(net, nodes)]
    names = [name for table in ("line", "trafo", "impedance") for name in component_names(net, table)]
    frame = (
        pd.concat([p for p in parts if len(p)], ignore_index=True)
        if any(len(p) for p in parts)
        else _empty_branches()
    )
    tail, head = [], []
    for table, index, a, b in zip(frame["table"], frame["index"], frame["tail"], frame["head"], strict=True):
        if table == "trafo3w":
            tail.append(int(a))
            head.append(int(b))
        else:
            tail.append(nodes.end(table, int(index), int(a)))
            head.append(nodes.end(table, int(index), int(b)))
    names += [f"trafo3w:{i}" for i in frame.loc[frame["table"] == "trafo3w", "index"]]
    return Branches(
        table=frame["table"].to_numpy(object),
        index=frame["index"].to_numpy(int),
        name=names,
        tail=np.array(tail, dtype=int),
        head=np.array(head, dtype=int),
        r_pu=frame["r"].to_numpy(float),
        x_pu=frame["x"].to_numpy(float),
        ratio=frame["ratio"].to_numpy(float),
        s_max_kva=frame["s_max"].to_numpy(float),
        p_fixed_kw=frame["fixed"].to_numpy(float),
        in_service=frame["ok"].to_numpy(bool),
        curve=frame["curve"].to_numpy(object),
        budget_used=frame["used"].to_numpy(float),
    )


def _empty_branches() -> pd.DataFrame:
    return pd.DataFrame(
        {c: pd.Series(dtype=object if c in ("table", "curve") else float) for c in _BRANCH_COLUMNS}
    )


def _loading_limit(frame: pd.DataFrame) -> np.ndarray:
    """Return max_loading_percent / 100; missing means 100 %."""
    return native_values(frame, "max_loading_percent", 100.0) / 100.0


def _lines(net: Any) -> pd.DataFrame:
    frame = net.line
    vn = net.bus["vn_kv"].reindex(frame["from_bus"]).to_numpy(float)
    parallel = native_values(frame, "parallel", 1.0)
    z_base = vn**2  # ohm on 1 MVA
    length = frame["length_km"].to_numpy(float)
    ka = frame["max_i_ka"].to_numpy(float)
    free = np.isnan(ka) | (ka >= UNLIMITED_KA)
    s_max = SQRT3 * np.where(free, 0.0, ka) * native_values(frame, "df", 1.0) * parallel * vn * KW_PER_MW
    return pd.DataFrame(
        {
            "table": "line",
            "index": frame.index.to_numpy(),
            "tail": frame["from_bus"].to_numpy(),
            "head": frame["to_bus"].to_numpy(),
            "r": frame["r_ohm_per_km"].to_numpy(float) * length / parallel / z_base,
            "x": frame["x_ohm_per_km"].to_numpy(float) * length / parallel / z_base,
            "ratio": 1.0,
            "s_max": np.where(free, inf, s_max * _loading_limit(frame)),
            "fixed": 0.0,
            "ok": frame["in_service"].to_numpy(bool),
            "curve": values(net, "line", "overload_curve"),
            "used": values(net, "line", "overload_used"),
        }
    )


def _tap_factor(frame: pd.DataFrame, side: str) -> np.ndarray:
    """Return 1 + (tap_pos - tap_neutral) * tap_step on the side that has the changer (ratio changers only)."""
    if "tap_pos" not in frame or "tap_side" not in frame:
        return np.ones(len(frame))
    on = (frame["tap_side"] == side).to_numpy(bool)
    if "tap_changer_type" in frame:
        on &= frame["tap_changer_type"].isin(["Ratio", "Symmetrical"]).to_numpy(bool)
    steps = native_values(frame, "tap_pos", 0.0) - native_values(frame, "tap_neutral", 0.0)
    return np.where(on, 1.0 + steps * native_values(frame, "tap_step_percent", 0.0) / 100.0, 1.0)


def _trafos(net: Any) -> pd.DataFrame:
    frame = net.trafo
    vn_hv = net.bus["vn_kv"].reindex(frame["hv_bus"]).to_numpy(float)
    vn_lv = net.bus["vn_kv"].reindex(frame["lv_bus"]).to_numpy(float)
    parallel = native_values(frame, "parallel", 1.0)
    sn = frame["sn_mva"].to_numpy(float) * parallel
    lv_rated = frame["vn_lv_kv"].to_numpy(float) * _tap_factor(frame, "lv")
    hv_rated = frame["vn_hv_kv"].to_numpy(float) * _tap_factor(frame, "hv")
    scale = (frame["vn_lv_kv"].to_numpy(float) / vn_lv) ** 2
    z = frame["vk_percent"].to_numpy(float) / 100.0 / sn * scale
    r = frame["vkr_percent"].to_numpy(float) / 100.0 / sn * scale
    return pd.DataFrame(
        {
            "table": "trafo",
            "index": frame.index.to_numpy(),
            "tail": frame["hv_bus"].to_numpy(),
            "head": frame["lv_bus"].to_numpy(),
            "r": r,
            "x": np.sqrt(np.maximum(z**2 - r**2, 0.0)),
            "ratio": (hv_rated / vn_hv) / (lv_rated / vn_lv),
            "s_max": sn * native_values(frame, "df", 1.0) * KW_PER_MW * _loading_limit(frame),
            "fixed": frame["pfe_kw"].to_numpy(float) * parallel,
            "ok": frame["in_service"].to_numpy(bool),
            "curve": values(net, "trafo", "overload_curve"),
            "used": values(net, "trafo", "overload_used"),
        }
    )


def _impedances(net: Any) -> pd.DataFrame:
    frame = net.impedance
    sn = frame["sn_mva"].to_numpy(float)
    return pd.DataFrame(
        {
            "table": "impedance",
            "index": frame.index.to_numpy(),
            "tail": frame["from_bus"].to_numpy(),
            "head": frame["to_bus"].to_numpy(),
            "r": frame["rft_pu"].to_numpy(float) / sn,
            "x": frame["xft_pu"].to_numpy(float) / sn,
            "ratio": 1.0,
            "s_max": inf,
            "fixed": 0.0,
            "ok": frame["in_service"].to_numpy(bool),
            "curve": "",
            "used": 0.0,
        }
    )


def _trafo3ws(net: Any, nodes: NodeTable) -> pd.DataFrame:
    """A three-winding transformer is three branches that meet in a star node (pandapower's own model)."""
    rows = []
    for index, row in net.trafo3w.iterrows():
        s = {side: float(row[f"sn_{side}_mva"]) for side in ("hv", "mv", "lv")}
        pairs = {("hv", "mv"): "hv", ("mv", "lv"): "mv", ("hv", "lv"): "lv"}
        vk, vkr = {}, {}
        for (a, b), column in pairs.items():
            base = min(s[a], s[b])
            vk[(a, b)] = float(row[f"vk_{column}_percent"]) / 100.0 / base
            vkr[(a, b)] = float(row[f"vkr_{column}_percent"]) / 100.0 / base
        vx = {p: float(np.sqrt(max(vk[p] ** 2 - vkr[p] ** 2, 0.0))) for p in pairs}
        hm, ml, hl = ("hv", "mv"), ("mv", "lv"), ("hv", "lv")
        star = nodes.add(nodes.node_of_bus[int(row["hv_bus"])], f"trafo3w:{index} star point")
        for side, plus, minus in (("hv", (hm, hl), ml), ("mv", (hm, ml), hl), ("lv", (ml, hl), hm)):
            rows.append(
                {
                    "table": "trafo3w",
                    "index": index,
                    "tail": nodes.end("trafo3w", int(index), int(row[f"{side}_bus"])),
                    "head": star,
                    "r": 0.5 * (vkr[plus[0]] + vkr[plus[1]] - vkr[minus]),
                    "x": 0.5 * (vx[plus[0]] + vx[plus[1]] - vx[minus]),
                    "ratio": 1.0,
                    "s_max": s[side] * KW_PER_MW,
                    "fixed": float(row["pfe_kw"]) if side == "hv" else 0.0,
                    "ok": bool(row["in_service"]),
                    "curve": "",
                    "used": 0.0,
                }
            )
    return pd.DataFrame(rows, columns=list(_BRANCH_COLUMNS)) if rows else _empty_branches()
