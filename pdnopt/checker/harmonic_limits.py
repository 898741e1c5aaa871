"""Harmonics of a plan, said again: voltages from the tables, against the limits of IEEE 519-2022, table 1.

A limit that stays broken is a warning: the plan may still be the best that can be done. A plan under which some bus is
distorted otherwise than was told is refused. Compensation is rated by `pdnopt.checker.filters`.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.checker.filters import COMPENSATE, commanded, flow_by_phase, phasors
from pdnopt.checker.findings import Findings
from pdnopt.checker.harmonic_network import HarmonicNetwork
from pdnopt.errors import InputError, Issue, PowerFlowError

__all__ = ["check_harmonics", "harmonic_voltages"]

CLASSES = ((1.0, 5.0, 8.0), (69.0, 3.0, 5.0), (161.0, 1.5, 2.5), (np.inf, 1.0, 1.5))
"""Up to which kV: limit of a single harmonic and of THD, percent (table 1, as commonly quoted, not re-read)."""
AGREED_PART, AGREED_PERCENT = 0.02, 0.005
"""By how much a voltage may differ from what was told: of itself, and of the fundamental."""
ROUNDING = 1e-3
LETTERS = "abc"


def harmonic_voltages(net: Any, plan: Any, spectra: Any) -> pd.DataFrame:
    """Return the harmonics of every live bus with a plan carried out, percent of its fundamental voltage.

    Columns bus (index label), phase, order, percent.

    Raises
    ------
    PowerFlowError
        The state has no fundamental flow.
    """
    after = _carried_out(net, plan)
    flow = flow_by_phase(after)
    network = HarmonicNetwork(flow)
    frame = pd.DataFrame(spectra)
    parts = []
    for order in sorted({int(h) for h in frame["order"]}):
        amps = np.zeros((network.n, 3), dtype=complex)
        for row in frame[frame["order"].astype(int) == order].to_dict("records"):
            bus, k, current = _drawn(flow, row)
            amps[network.node[bus], k] -= current
        for item in plan.actions:
            told = commanded(item) if item.action == COMPENSATE else None
            if told is not None and order in told[0]:
                h = int(np.flatnonzero(told[0] == order)[0])
                bus = int(flow.asymmetric_sgen.at[_row(flow, item.device)[1], "bus"])
                turn = np.radians(told[2][h]) + order * np.angle(phasors(flow, bus))
                amps[network.node[bus]] += told[1][h] * np.exp(1j * turn)
        volts = network.volts(order, amps)
        buses = list(network.node)
        one = (
            np.array([np.abs(phasors(flow, b)) * flow.bus.at[b, "vn_kv"] for b in buses]) * 1e3 / np.sqrt(3.0)
        )
        size = 100.0 * np.abs(volts[[network.node[b] for b in buses]]) / one
        parts.append(
            pd.DataFrame(
                {
                    "bus": np.repeat(buses, 3),
                    "phase": np.tile(list(LETTERS), len(buses)),
                    "order": order,
                    "percent": size.ravel(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def check_harmonics(net: Any, plan: Any, spectra: Any, told: pd.DataFrame | None = None) -> list[Issue]:
    """Return what is wrong with the harmonics of a plan.

    Parameters
    ----------
    spectra : DataFrame
        Columns circuit, order, phase, i_a or percent, angle_degree (`pdnopt.balancing.harmonics.spectra`).
    told : DataFrame, optional
        What the plan's maker says: columns place, kind, phase, order, after_percent.
    """
    findings = Findings()
    try:
        found = harmonic_voltages(net, plan, spectra)
    except (PowerFlowError, InputError) as error:
        findings.add("Diverged", "plan.end", "", str(error), "a state with a solution", "Take load off it.")
        return findings.issues
    names = {int(bus): _bus_name(net, int(bus)) for bus in found["bus"].unique()}
    _limits(net, found, names, findings)
    if told is not None:
        said = told[told["kind"] == "voltage"].set_index(["place", "phase", "order"])["after_percent"]
        key = list(zip(found["bus"].map(names), found["phase"], found["order"], strict=True))
        claim = said.reindex(pd.MultiIndex.from_tuples(key)).to_numpy(float)
        true = found["percent"].to_numpy(float)
        apart = np.abs(claim - true)
        for k in np.flatnonzero(apart > AGREED_PART * true + AGREED_PERCENT):
            place, phase, order = key[k]
            allowed = f"{true[k]:.3f} %, recomputed from the tables (within {100 * AGREED_PART:g} %)"
            path = f"plan.end.h{order}.{phase}"
            findings.add(
                "Disagrees", path, place, f"{claim[k]:.3f} %", allowed, "Report it; do not send the plan."
            )
    return findings.issues


def _limits(net: Any, found: pd.DataFrame, names: dict[int, str], findings: Findings) -> None:
    """Say which bus is beyond which limit in its worst phase."""
    thd = found.assign(square=found["percent"] ** 2).groupby(["bus", "phase"])["square"].sum() ** 0.5
    todo = "More filters there, less distortion from the circuits, or a stiffer source."
    whole_bus = thd.groupby("bus").max()
    for bus, worst in zip(whole_bus.index.tolist(), whole_bus.to_numpy(float), strict=True):
        kv = float(net.bus.at[bus, "vn_kv"])
        single, whole = next((s, t) for top, s, t in CLASSES if kv <= top)
        if worst > whole * (1.0 + ROUNDING):
            words = f"at most {whole:g} % (IEEE 519-2022 table 1)"
            findings.add("Harmonics", "plan.end.thd_v", names[bus], f"{worst:.2f} %", words, todo, "warning")
        own = found[(found["bus"] == bus) & (found["percent"] > single * (1.0 + ROUNDING))]
        peaks = own.groupby("order")["percent"].max()
        for order, percent in zip(peaks.index.tolist(), peaks.to_numpy(float), strict=True):
            words = f"at most {single:g} % (IEEE 519-2022 table 1)"
            path = f"plan.end.v_h{order}"
            findings.add("Harmonics", path, names[bus], f"{percent:.2f} %", words, todo, "warning")


def _bus_name(net: Any, bus: int) -> str:
    name = net.bus.at[bus, "name"]
    unique = isinstance(name, str) and name and (net.bus["name"] == name).sum() == 1
    return f"bus:{name}" if unique else f"bus:{bus}"


def _row(net: Any, component: str) -> tuple[str, int]:
    """Return table and index of "table:name" or "table:index", names first."""
    table, _, word = component.partition(":")
    hits = net[table].index[net[table]["name"] == word] if "name" in net[table] else []
    return table, int(hits[0]) if len(hits) == 1 else int(word)


def _carried_out(net: Any, plan: Any) -> Any:
    """Return a copy with the plan's loads and set-points, and without what has failed."""
    after = deepcopy(net)
    for name in plan.failed:
        table, row = _row(net, str(name))
        after[table].loc[row, "in_service"] = False
    for table, rows in plan.loads_kw.items():
        parts = ("",) if table == "load" else tuple(f"{k}_" for k in LETTERS)
        for row, kw in rows.items():
            before = sum(after[table].at[row, f"p_{k}mw"] for k in parts) * 1e3
            for column in (c for k in parts for c in (f"p_{k}mw", f"q_{k}mvar")):
                after[table].loc[row, column] *= kw / before if before > 0 else 0.0
            after[table].loc[row, "scaling"] = 1.0
    for item in plan.actions:
        if item.action == "setpoint":
            table, row = _row(net, item.device)
            for k, letter in enumerate(LETTERS):
                after[table].loc[row, f"p_{letter}_mw"] = item.after["p_kw"][k] / 1e3
                after[table].loc[row, f"q_{letter}_mvar"] = item.after["q_kvar"][k] / 1e3
            after[table].loc[row, "scaling"] = 1.0
    return after


def _drawn(flow: Any, row: dict[Any, Any]) -> tuple[int, int, complex]:
    """Return bus, phase and phasor (A) of one line of spectra."""
    table, index = _row(flow, str(row["circuit"]))
    if table == "ups":
        table, index = "load", int(flow.load.index[flow.load["ups"] == index][0])
    line = flow[table].loc[index]
    bus, k = int(line["bus"]), LETTERS.index(str(row["phase"]).strip().lower())
    v = phasors(flow, bus)
    size = row.get("i_a", np.nan)
    if size is None or size != size:
        if table == "load":
            s = np.full(3, complex(line["p_mw"], line["q_mvar"]) / 3.0)
        else:
            s = np.array([complex(line[f"p_{c}_mw"], line[f"q_{c}_mvar"]) for c in LETTERS])
        amps = s * line["scaling"] * 1e3 * np.sqrt(3.0) / float(flow.bus.at[bus, "vn_kv"])
        if line.get("type") == "delta":
            between = np.conj(amps / np.array([v[0] - v[1], v[1] - v[2], v[2] - v[0]]))
            one = between - between[[2, 0, 1]]
        else:
            one = np.conj(amps / v)
        size = row["percent"] / 100.0 * abs(one[k])
    turn = np.radians(row["angle_degree"]) + int(row["order"]) * np.angle(v[k])
    return bus, k, complex(size * np.exp(1j * turn))
