"""IEEE 13 and 123 against OpenDSS: every difference with its cause. ``python -m tests.acflow.three_phase_table``.

OpenDSS itself measures what each simplification costs: the circuit is simplified step by step, and the change of
the voltages is the price of that step. An engine is then compared with the OpenDSS circuit that holds just what
the engine can hold; what is left is the engine's own error (line model, tolerances). Writes docs/THREE_PHASE.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FEEDERS = {"IEEE 13": ("13Bus", "IEEE13Nodeckt.dss"), "IEEE 123": ("123Bus", "IEEE123Master.dss")}
TAPS = {
    "IEEE 13": {"reg1": 10, "reg2": 8, "reg3": 11},
    "IEEE 123": {"reg1a": 7, "reg2a": -1, "reg3a": 0, "reg3c": -1, "reg4a": 8, "reg4b": 1, "reg4c": 5},
}
BANKS = {
    "IEEE 13": (("reg1", "reg2", "reg3"),),
    "IEEE 123": (("reg1a",), ("reg2a",), ("reg3a", "reg3c"), ("reg4a", "reg4b", "reg4c")),
}
LEFT_OUT = ("610",)
"""123: the unloaded bus behind the delta-delta transformer, which has no reference to earth."""
VK_FLOOR = 5e-4
"""runpp_3ph is singular with the 0.001 % regulators of the 123: they get 0.05 % in the pandapower network."""
STEP = 0.00625  # one of 32 steps of a regulator of +-10 %
STEPS = ("as published", "one tap a bank", "constant power", "wye loads", "constant-kvar capacitors")
SOURCE_VA = {"IEEE 13": 2e10, "IEEE 123": 4160.0**2 / 1e-4}
F_HZ = 60.0


@dataclass
class Circuit:
    """What the engines need of a solved OpenDSS circuit; buses by name, phases 0, 1, 2, SI units."""

    base_v: dict[str, float]  # line-to-line
    volts: dict[tuple[str, int], float]  # pu by bus and phase
    lines: list[tuple[str, str, list[int], np.ndarray, np.ndarray]]  # buses, phases, z in ohm, c in F
    trafos: list[
        tuple[str, str, float, float, float, float, float, bool]
    ]  # hv, lv, u1, u2, sn, r, x pu, delta-wye
    loads: list[tuple[str, np.ndarray, int]]  # bus, VA by phase, 0 power 1 impedance 2 current
    capacitors: list[tuple[str, np.ndarray]]  # bus, var by phase at nominal voltage
    source: tuple[str, float, float]  # bus, pu, short-circuit VA


def solved(feeder: str, folder: Path, step: int) -> Circuit:
    """Return the circuit after ``step`` simplifications, solved by OpenDSS with fixed taps."""
    import opendssdirect as dss

    here = os.getcwd()
    sub, master = FEEDERS[feeder]

    def do(text: str) -> None:
        dss.Text.Command(text)

    try:
        do("clear")
        do(f'compile "{folder / "ieee_dss" / sub / master}"')
        do("set controlmode=off maxiterations=100 tolerance=1e-9")
        for bank in BANKS[feeder]:
            mean = sum(TAPS[feeder][r] for r in bank) / len(bank)
            for regulator in bank:
                tap = TAPS[feeder][regulator] if step < 1 else mean
                do(f"transformer.{regulator}.wdg=2 tap={1 + STEP * tap}")
        names = list(dss.Loads.AllNames())
        for name in names:
            if step >= 2:
                do(f"load.{name}.model=1")
                do(f"load.{name}.vminpu=0.3 vmaxpu=2")
            if step >= 3:
                _to_wye(dss, do, name)
        if step >= 4:
            for name in list(dss.Capacitors.AllNames()):
                dss.Capacitors.Name(name)
                bus, n = dss.CktElement.BusNames()[0], dss.CktElement.NumPhases()
                do(
                    f"new load.cap_{name} bus1={bus} phases={n} conn=wye model=1 kv={dss.Capacitors.kV()} kw=0 "
                    f"kvar={-dss.Capacitors.kvar()} vminpu=0.3 vmaxpu=2"
                )
                do(f"capacitor.{name}.enabled=no")
        do("solve")
        if not dss.Solution.Converged():
            raise RuntimeError(f"OpenDSS did not converge on {feeder}")
        return _read(dss, SOURCE_VA[feeder])
    finally:
        os.chdir(here)


def _to_wye(dss: Any, do: Any, name: str) -> None:
    """Replace a delta load: half of each branch's power on each of its two phases."""
    dss.Loads.Name(name)
    if not dss.Loads.IsDelta():
        return
    bus, *phases = dss.CktElement.BusNames()[0].split(".")
    phases = phases or ["1", "2", "3"]
    kv, kw, kvar = dss.Loads.kV(), dss.Loads.kW(), dss.Loads.kvar()
    do(f"load.{name}.enabled=no")
    for phase in phases:
        do(
            f"new load.{name}_{phase} bus1={bus}.{phase} phases=1 conn=wye model=1 kv={kv / 3**0.5} "
            f"kw={kw / len(phases)} kvar={kvar / len(phases)} vminpu=0.3 vmaxpu=2"
        )


def _phases(bus: str) -> tuple[str, list[int]]:
    name, *nodes = bus.split(".")
    return name, [int(n) - 1 for n in nodes] if nodes else [0, 1, 2]


def _read(dss: Any, source_va: float) -> Circuit:
    volts, base = {}, {}
    for node, v in zip(dss.Circuit.AllNodeNames(), dss.Circuit.AllBusMagPu(), strict=True):
        name, phase = node.split(".")
        volts[(name, int(phase) - 1)] = v
    for name in dss.Circuit.AllBusNames():
        dss.Circuit.SetActiveBus(name)
        base[name] = dss.Bus.kVBase() * 3**0.5 * 1e3
    lines = []
    for name in dss.Lines.AllNames():
        dss.Circuit.SetActiveElement(f"Line.{name}")
        if not dss.CktElement.Enabled():
            continue
        ends = [_phases(b) for b in dss.CktElement.BusNames()]
        n = len(ends[0][1])
        raw = np.array(dss.CktElement.YPrim())
        y = (raw[0::2] + 1j * raw[1::2]).reshape(2 * n, 2 * n)
        z = -np.linalg.inv(y[:n, n:])
        c = 2 * (y[:n, :n] + y[:n, n:]).imag / (2 * np.pi * F_HZ)
        lines.append((ends[0][0], ends[1][0], ends[0][1], z, c))
    trafos, banks = [], set()
    for name in dss.Transformers.AllNames():
        dss.Circuit.SetActiveElement(f"Transformer.{name}")
        hv, lv = (_phases(b)[0] for b in dss.CktElement.BusNames())
        if (hv, lv) in banks:
            continue
        banks.add((hv, lv))
        single = dss.CktElement.NumPhases() == 1
        dss.Transformers.Name(name)
        u, r, delta = [], [], []
        for wdg in (1, 2):
            dss.Transformers.Wdg(wdg)
            u.append(dss.Transformers.kV() * 1e3 * (3**0.5 if single else 1) * dss.Transformers.Tap())
            r.append(dss.Transformers.R() / 100)
            delta.append(bool(dss.Transformers.IsDelta()))
        if all(delta):
            continue  # 123: 61s-610, no load behind it
        sn = dss.Transformers.kVA() * 1e3 * (3 if single else 1)
        trafos.append((hv, lv, u[0], u[1], sn, sum(r), dss.Transformers.Xhl() / 100, delta[0]))
    loads = []
    for name in dss.Loads.AllNames():
        dss.Loads.Name(name)
        if not dss.CktElement.Enabled():
            continue
        bus, phases = _phases(dss.CktElement.BusNames()[0])
        power = np.zeros(3, complex)
        power[phases[: dss.CktElement.NumPhases()] if not dss.Loads.IsDelta() else phases] = (
            (dss.Loads.kW() + 1j * dss.Loads.kvar())
            * 1e3
            / (len(phases) if dss.Loads.IsDelta() else dss.CktElement.NumPhases())
        )
        loads.append((bus, power, {1: 0, 2: 1, 5: 2}[int(dss.Loads.Model())]))
    capacitors = []
    for name in dss.Capacitors.AllNames():
        dss.Capacitors.Name(name)
        if dss.CktElement.Enabled():
            bus, phases = _phases(dss.CktElement.BusNames()[0])
            q = np.zeros(3)
            q[phases] = dss.Capacitors.kvar() * 1e3 / len(phases)
            capacitors.append((bus, q))
    dss.Vsources.First()
    return Circuit(
        base,
        volts,
        lines,
        trafos,
        loads,
        capacitors,
        (_phases(dss.CktElement.BusNames()[0])[0], dss.Vsources.PU(), source_va),
    )


def by_sequence(matrix: np.ndarray) -> tuple[complex, complex]:
    """Return (positive, zero) sequence of a phase matrix, as if transposed; missing phases do not matter."""
    n = len(matrix)
    own = np.trace(matrix) / n
    mutual = (matrix.sum() - np.trace(matrix)) / (n * (n - 1)) if n > 1 else 0.0
    return own - mutual, own + 2 * mutual


def power_grid_model(c: Circuit, matrices: bool) -> dict[tuple[str, int], float]:
    """Solve with power-grid-model; lines as full matrices (``asym_line``) or by sequence (``line``)."""
    from power_grid_model import PowerGridModel, initialize_array

    names = [b for b in c.base_v if c.base_v[b] > 0]
    at = {b: k for k, b in enumerate(names)}
    node = initialize_array("input", "node", len(names))
    node["id"], node["u_rated"] = np.arange(len(names)), [c.base_v[b] for b in names]
    next_id = len(names)
    kind = "asym_line" if matrices else "line"
    line = initialize_array("input", kind, len(c.lines))
    line["id"] = next_id + np.arange(len(line))
    next_id += len(line)
    for k, (a, b, phases, z, cap) in enumerate(c.lines):
        line["from_node"][k], line["to_node"][k] = at[a], at[b]
        if matrices:
            full = np.diag(
                np.full(3, 1e5 + 0j)
            )  # a missing phase: no current, so any large impedance will do
            full[np.ix_(phases, phases)] = z
            farad = np.zeros((3, 3))
            farad[np.ix_(phases, phases)] = cap
            for i in range(3):
                for j in range(i + 1):
                    key = "abc"[i] + "abc"[j]
                    line[f"r_{key}"][k], line[f"x_{key}"][k] = full[i, j].real, full[i, j].imag
                    line[f"c_{key}"][k] = farad[i, j]
        else:
            (z1, z0), (c1, c0) = by_sequence(z), by_sequence(cap)
            line["r1"][k], line["x1"][k], line["r0"][k], line["x0"][k] = z1.real, z1.imag, z0.real, z0.imag
            line["c1"][k], line["c0"][k], line["tan1"][k], line["tan0"][k] = c1.real, c0.real, 0, 0
    line["from_status"] = line["to_status"] = 1
    trafo = initialize_array("input", "transformer", len(c.trafos))
    trafo["id"] = next_id + np.arange(len(trafo))
    next_id += len(trafo)
    for k, (hv, lv, u1, u2, sn, r, x, delta) in enumerate(c.trafos):
        trafo[k]["from_node"], trafo[k]["to_node"] = at[hv], at[lv]
        trafo[k]["u1"], trafo[k]["u2"], trafo[k]["sn"] = u1, u2, sn
        # power-grid-model refers the impedance to u2, OpenDSS to the winding's rating without its tap
        scale = (c.base_v[lv] / u2) ** 2 if abs(u2 / c.base_v[lv] - 1) < 0.11 else 1.0
        trafo[k]["uk"], trafo[k]["pk"] = np.hypot(r, x) * scale, r * sn * scale
        trafo[k]["winding_from"], trafo[k]["winding_to"], trafo[k]["clock"] = (
            (2, 1, 1) if delta else (1, 1, 0)
        )
    for column, value in {
        "i0": 0,
        "p0": 0,
        "tap_side": 0,
        "tap_pos": 0,
        "tap_min": 0,
        "tap_max": 0,
        "tap_size": 0,
    }.items():
        trafo[column] = value
    trafo["from_status"] = trafo["to_status"] = 1
    source = initialize_array("input", "source", 1)
    source["id"], source["node"], source["status"] = next_id, at[c.source[0]], 1
    source["u_ref"], source["sk"], source["rx_ratio"] = c.source[1], c.source[2], 0.25
    load = initialize_array("input", "asym_load", len(c.loads) + len(c.capacitors))
    load["id"], load["status"] = next_id + 1 + np.arange(len(load)), 1
    rows = [*c.loads, *((bus, -1j * q, 1) for bus, q in c.capacitors)]
    load["node"] = [at[bus] for bus, _, _ in rows]
    load["type"] = [t for _, _, t in rows]
    load["p_specified"], load["q_specified"] = [s.real for _, s, _ in rows], [s.imag for _, s, _ in rows]
    tables = {"node": node, kind: line, "transformer": trafo, "source": source, "asym_load": load}
    out = PowerGridModel(tables).calculate_power_flow(
        symmetric=False, error_tolerance=1e-7, max_iterations=50
    )
    return {(b, p): float(out["node"]["u_pu"][k, p]) for k, b in enumerate(names) for p in range(3)}


def pandapower_net(c: Circuit) -> tuple[Any, dict[str, int]]:
    """Return the circuit as a pandapower network: sequence lines, constant power."""
    import pandapower as pp

    net = pp.create_empty_network(f_hz=F_HZ, sn_mva=1.0)
    at = {b: int(pp.create_bus(net, v / 1e3, name=b)) for b, v in c.base_v.items() if v > 0}
    pp.create_ext_grid(
        net,
        at[c.source[0]],
        vm_pu=c.source[1],
        s_sc_max_mva=c.source[2] / 1e6,
        rx_max=0.25,
        r0x0_max=0.25,
        x0x_max=1.0,
    )
    for a, b, _, z, cap in c.lines:
        (z1, z0), (c1, c0) = by_sequence(z), by_sequence(cap)
        # the switches have no reactance, which pandapower's start from a DC flow divides by
        z1, z0 = (complex(v.real, v.imag or 1e-7) for v in (z1, z0))
        pp.create_line_from_parameters(
            net, at[a], at[b], 1.0, z1.real, z1.imag, c1.real * 1e9, 1.0,
            r0_ohm_per_km=z0.real, x0_ohm_per_km=z0.imag, c0_nf_per_km=c0.real * 1e9,
        )  # fmt: skip
    for hv, lv, u1, u2, sn, r, x, delta in c.trafos:
        if x < VK_FLOOR:
            r, x = 0.0, VK_FLOOR
        pp.create_transformer_from_parameters(
            net, at[hv], at[lv], sn_mva=sn / 1e6, vn_hv_kv=u1 / 1e3, vn_lv_kv=u2 / 1e3, vkr_percent=100 * r,
            vk_percent=100 * np.hypot(r, x), pfe_kw=0, i0_percent=0, shift_degree=30 if delta else 0,
            vector_group="Dyn" if delta else "YNyn", vk0_percent=100 * np.hypot(r, x), vkr0_percent=100 * r,
            mag0_percent=1e9, mag0_rx=0, si0_hv_partial=0.5,
        )  # fmt: skip
    for bus, s, _ in [*c.loads, *((bus, -1j * q, 0) for bus, q in c.capacitors)]:
        p, q = s.real / 1e6, s.imag / 1e6
        pp.create_asymmetric_load(
            net, at[bus], p_a_mw=p[0], p_b_mw=p[1], p_c_mw=p[2], q_a_mvar=q[0], q_b_mvar=q[1], q_c_mvar=q[2]
        )
    return net, at


def pandapower_volts(c: Circuit) -> dict[tuple[str, int], float]:
    """Solve with ``powerflow(engine="pandapower", three_phase=True)``."""
    from pdnopt.acflow import powerflow

    net, at = pandapower_net(c)
    res = powerflow(net, engine="pandapower", three_phase=True).res_bus_3ph
    return {(b, p): float(res.at[i, f"vm_{'abc'[p]}_pu"]) for b, i in at.items() for p in range(3)}


def product_volts(c: Circuit) -> dict[tuple[str, int], float]:
    """Solve with ``powerflow(engine="pgm", three_phase=True)``."""
    from pdnopt.acflow import powerflow

    net, at = pandapower_net(c)
    res = powerflow(net, engine="pgm", three_phase=True).res_bus_3ph
    return {(b, p): float(res.at[i, f"vm_{'abc'[p]}_pu"]) for b, i in at.items() for p in range(3)}


Volts = dict[tuple[str, int], float]


def difference(a: Volts, b: Volts) -> list[tuple[float, float]]:
    """Return (max, mean) of the voltage difference in pu for phases a, b, c over the nodes that both have."""
    out = []
    for phase in range(3):
        d = np.array([abs(a[k] - b[k]) for k in a if k in b and k[1] == phase and k[0] not in LEFT_OUT])
        out.append((float(d.max()), float(d.mean())))
    return out


Row = tuple[str, str, list[tuple[float, float]]]


def table(folder: Path) -> list[Row]:
    """Return (feeder, what, [(max, mean) for phases a, b, c]) for every simplification and every engine."""
    from pdnopt.errors import PowerFlowError

    rows: list[Row] = []
    for feeder in FEEDERS:
        steps = [solved(feeder, folder, k) for k in range(len(STEPS))]
        for k in range(1, len(STEPS)):
            what = f"cost of '{STEPS[k]}' (OpenDSS to OpenDSS)"
            rows.append((feeder, what, difference(steps[k].volts, steps[k - 1].volts)))
        for name, solve, k in (
            ("power-grid-model, phase matrices (asym_line)", lambda c: power_grid_model(c, True), 3),
            ("power-grid-model, sequence lines", lambda c: power_grid_model(c, False), 3),
            ("powerflow(engine='pgm', three_phase=True)", product_volts, 4),
            ("powerflow(engine='pandapower', three_phase=True)", pandapower_volts, 4),
        ):
            try:
                found = solve(steps[k])
            except PowerFlowError:
                rows.append((feeder, f"{name}: does not converge", []))
                continue
            rows.append((feeder, f"{name} against OpenDSS '{STEPS[k]}'", difference(steps[k].volts, found)))
            rows.append((feeder, f"{name} against OpenDSS as published", difference(steps[0].volts, found)))
    return rows


def markdown(rows: list[Row]) -> str:
    """Return the rows as a table."""
    lines = [
        "| feeder | what | a max | a mean | b max | b mean | c max | c mean |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for feeder, what, phases in rows:
        numbers = " | ".join(f"{v:.2e}" for pair in phases for v in pair) or " | ".join("-" * 6)
        lines.append(f"| {feeder} | {what} | {numbers} |")
    return "\n".join(lines)


INTRODUCTION = """# Three-phase power flow against OpenDSS

Made by `python -m tests.acflow.three_phase_table` (needs the IEEE feeders, see `tests/acflow/conftest.py`).
Voltage differences in pu, by phase, over all buses: largest and mean.

OpenDSS measures what each simplification costs, one after another; an engine is then compared with the OpenDSS
circuit that holds just what the engine can hold, so that what is left is the engine's own.

| cause | power-grid-model | pandapower (runpp_3ph) |
|---|---|---|
| regulators with a tap a phase | one tap for all phases: mean of the bank | the same |
| constant-current and constant-impedance loads | held (kept as constant power in the steps) | constant power only |
| OpenDSS turns constant power into impedance below 0.95 pu | not done; switched off in the step | the same |
| delta loads | not held: half of a branch's power on each of its phases | held; replaced in the step all the same |
| single-phase capacitors | held as constant impedance (raw model); `powerflow`: constant kvar | constant kvar |
| untransposed lines | phase matrices (`asym_line`): held; `powerflow` and `line`: mean sequence impedances | sequence only |
| source impedance | in all sequences (raw model); `powerflow`: ideal | in negative and zero sequence |
| regulators without impedance | held | singular at 0.02 %: 0.05 % in the networks for `powerflow` |
| 123: delta-delta transformer 61s-610 without load | left out, bus 610 is not compared | the same |

"""


def document(rows: list[Row]) -> str:
    """Return docs/THREE_PHASE.md."""
    reading = """
## What it says
- With phase matrices power-grid-model is OpenDSS to about 1e-5 pu: the conversion is right, and what is left
  is OpenDSS's neglected shunts and the tolerance of both.
- With sequence lines (all that a pandapower network can say) the untransposed feeders of IEEE differ by up to
  2e-2 pu on the 13-bus and 6e-3 pu on the 123-bus feeder. In a data centre circuits are short cables with
  nearly symmetrical matrices; where they are not, use measured matrices.
- `engine="pgm"` and `engine="pandapower"` see the same network and differ from each other far less than either
  does from OpenDSS.
- The rest is the price of the simplifications above, chiefly of one tap for a bank of single-phase regulators,
  which data-centre networks do not have.

European LV feeder (`pandapower.networks.ieee_european_lv_asymmetric`): runpp_3ph against the stored reference
6e-6 pu (its rounding); power-grid-model against runpp_3ph 6.3e-4 pu with the network's `mag0_percent = 100` (a
zero-sequence magnetising path that power-grid-model does not have, and a Dyn transformer neither), 6e-6 pu with
`mag0_percent = 1e9`; what is left is the tolerance at which runpp_3ph stops.
"""
    return INTRODUCTION + markdown(rows) + "\n" + reading


if __name__ == "__main__":
    import logging
    import warnings

    from tests.outside import outside

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    target = Path(__file__).resolve().parents[2] / "docs" / "THREE_PHASE.md"
    target.write_text(document(table(outside("three_phase"))))
    print(target.read_text())
