"""A circuit of OpenDSS as the arrays of `PhaseFlow`, and OpenDSS's own answer. Taps fixed, loads constant power."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from pdnopt.acflow.companions import read_companions
from pdnopt.balancing.data import S_BASE_KW
from pdnopt.balancing.flow import Injections, PhaseFlow
from pdnopt.plant import create_empty_plant
from tests.balance.linear import voltages

__all__ = ["CIRCUITS", "errors_percent"]

STEP = 0.00625
CIRCUITS: dict[str, tuple[str, dict[str, int]]] = {
    "IEEE 13": ("ieee_dss/13Bus/IEEE13Nodeckt.dss", {"reg1": 10, "reg2": 8, "reg3": 11}),
    "IEEE 123": (
        "ieee_dss/123Bus/IEEE123Master.dss",
        {"reg1a": 7, "reg2a": -1, "reg3a": 0, "reg3c": -1, "reg4a": 8, "reg4b": 1, "reg4c": 5},
    ),
    "pmd case3_unbalanced": ("pmd/case3_unbalanced.dss", {}),
    "pmd case2_diag": ("pmd/case2_diag.dss", {}),
    "pmd case3_unbalanced_delta_loads": ("pmd/case3_unbalanced_delta_loads.dss", {}),
    "pmd case3_unbalanced_switch": ("pmd/case3_unbalanced_switch.dss", {}),
    "pmd case4_phase_drop": ("pmd/case4_phase_drop.dss", {}),
    "pmd case5_phase_drop": ("pmd/case5_phase_drop.dss", {}),
}


@dataclass(frozen=True)
class Circuit:
    """``flow`` and ``told`` in pu; ``volts``: OpenDSS at base load, complex pu, by node of its admittance matrix."""

    flow: PhaseFlow
    told: Injections
    volts: np.ndarray


def read_circuit(name: str, folder: Path) -> Circuit:
    """Compile a circuit, and read its matrix (without loads), its loads and its answer."""
    import opendssdirect as dss

    path, taps = CIRCUITS[name]
    here = os.getcwd()
    try:
        for text in (
            "clear",
            f"set defaultbasefreq={50 if name.startswith('pmd') else 60}",
            f'compile "{folder / path}"',
            "set controlmode=off maxiterations=100 tolerance=1e-9",
        ):
            dss.Text.Command(text)
        for regulator, tap in taps.items():
            dss.Text.Command(f"transformer.{regulator}.wdg=2 tap={1 + STEP * tap}")
        for load in dss.Loads.AllNames():
            dss.Text.Command(f"load.{load}.model=1")
            dss.Text.Command(f"load.{load}.vminpu=0.3 vmaxpu=2")
        dss.Text.Command("solve")
        assert dss.Solution.Converged()
        order = [node.lower() for node in dss.Circuit.YNodeOrder()]
        base = _bases(dss, order)
        volts = _complex(dss.Circuit.YNodeVArray()) / base
        told = _loads(dss, {node: k for k, node in enumerate(order)})
        for load in dss.Loads.AllNames():
            dss.Text.Command(f"load.{load}.enabled=no")
        dss.Text.Command("solve")
        y = _complex(dss.Circuit.SystemY()).reshape(len(order), len(order))
        at = {node.lower(): k for k, node in enumerate(dss.Circuit.YNodeOrder())}
        same = [at[node] for node in order]  # the order of nodes changes with what is enabled
        y = y[np.ix_(same, same)] * np.outer(base, base) / (1e3 * S_BASE_KW)
        alone = _complex(dss.Circuit.YNodeVArray())[same] / base
    finally:
        os.chdir(here)
    n = -(-len(order) // 3)
    wide = np.eye(3 * n, dtype=complex)
    wide[: len(order), : len(order)] = y
    still = np.ones(3 * n, dtype=complex)
    still[: len(order)] = alone
    nothing = read_companions(create_empty_plant("no UPS"))
    network: Any = SimpleNamespace(
        y=csr_array(wide),
        slack=np.zeros(3 * n, dtype=bool),
        v_slack=still,
        n=n,
        ups=nothing,
        node=np.zeros(0),
    )
    flow = PhaseFlow(network)
    flow.no_load = wide @ still  # what the source injects: OpenDSS has it behind an impedance
    return Circuit(flow, told, volts)


def _complex(pairs: Any) -> np.ndarray:
    raw = np.asarray(pairs, dtype=float)
    return np.asarray(raw[0::2] + 1j * raw[1::2])


def _bases(dss: Any, order: list[str]) -> np.ndarray:
    out = {}
    for bus in dss.Circuit.AllBusNames():
        dss.Circuit.SetActiveBus(bus)
        out[bus.lower()] = dss.Bus.kVBase() * 1e3
    return np.array([out[node.split(".")[0]] for node in order])


def _loads(dss: Any, at: dict[str, int]) -> Injections:
    plus, minus, power = [], [], []
    for load in dss.Loads.AllNames():
        dss.Loads.Name(load)
        bus, *nodes = dss.CktElement.BusNames()[0].lower().split(".")
        rows = [at[f"{bus}.{node}"] for node in (nodes or ["1", "2", "3"]) if node != "0"]
        s = complex(dss.Loads.kW(), dss.Loads.kvar()) / S_BASE_KW
        if dss.Loads.IsDelta() or (len(rows) == 2 and dss.CktElement.NumPhases() == 1):
            pairs = (
                [(rows[0], rows[1])] if len(rows) == 2 else list(zip(rows, rows[1:] + rows[:1], strict=True))
            )
        else:
            pairs = [(row, -1) for row in rows]
        for a, b in pairs:
            plus.append(a)
            minus.append(b)
            power.append(s / len(pairs))
    zero = np.zeros(len(power), dtype=complex)
    return Injections(np.array(plus), np.array(minus), np.array(power), zero, zero)


def errors_percent(name: str, folder: Path) -> dict[str, float]:
    """Return the largest voltage error in percent of nominal at base load, by the words of `linear.voltages`."""
    circuit = read_circuit(name, folder)
    k = len(circuit.volts)
    return {
        word: float(100.0 * np.abs(np.abs(v[:k]) - np.abs(circuit.volts)).max())
        for word, v in voltages(circuit.flow, circuit.told).items()
    }
