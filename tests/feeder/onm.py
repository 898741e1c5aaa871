"""The restoration case of PowerModelsONM on the IEEE 13-bus feeder as balanced pandapower networks, one a step.

Source: lanl-ansi/PowerModelsONM.jl, test/data/ieee13_*; what its tests assert is in onm_ieee13_expected.json.
Kept from the files: lines, switches, loads and their shapes, sun, batteries, the generator, ratings and voltage
limits, who may move which switch when, and that no two microgrids may share an island.
docs/RESTORATION.md lists what a balanced network cannot say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp

from pdnopt.plant.create import create_genset, create_interlock, create_storage, create_switch, create_utility

__all__ = [
    "Case",
    "Standing",
    "block_of",
    "demand_kw",
    "first_standing",
    "microgrid_rules",
    "movable",
    "read_case",
    "standing_after",
    "to_network",
]

BASE_KV = 4.16
LOW_KV = 0.48
SOURCE_BUS = "rg60"
"""Behind the regulators: upstream, the file divides the impedance of the transformer by 1000."""

M_PER = {"mi": 1609.344, "ft": 0.3048}
UNLIMITED_KA = 99999.0
CONSTANT_Z = "2"


@dataclass(frozen=True)
class Case:
    """The files: objects of the feeder by class and name, settings, and the events in their order."""

    objects: Mapping[str, Mapping[str, Mapping[str, str]]]
    settings: Mapping[str, Any]
    events: tuple[Mapping[str, Any], ...]

    @property
    def switches(self) -> tuple[str, ...]:
        """Names of the switches, in the order of the file."""
        return tuple(name for name, line in self.objects["line"].items() if line.get("switch") == "y")

    @property
    def batteries(self) -> tuple[str, ...]:
        return tuple(self.objects["storage"])

    def factor(self, values: Mapping[str, str], step: int) -> float:
        """Return what the daily shape of an object says for a step, counted from 1; 1 without a shape."""
        shape = values.get("daily")
        return 1.0 if shape is None else _numbers(self.objects["loadshape"][shape.lower()]["mult"])[step - 1]

    def microgrid(self, bus: str) -> str:
        """Return the microgrid that a bus belongs to, '' for none."""
        return str(self.settings["bus"].get(bus, {}).get("microgrid_id", ""))


@dataclass(frozen=True)
class Standing:
    """What one step hands to the next: which switches are closed, and the energy in the batteries, in kWh."""

    closed: Mapping[str, bool]
    energy_kwh: Mapping[str, float]
    genset_on: bool = True


def read_case(folder: Path) -> Case:
    """Read the folder onm_ieee13."""
    return Case(
        _objects((folder / "ieee13_feeder.dss").read_text()),
        json.loads((folder / "ieee13_settings.json").read_text()),
        tuple(json.loads((folder / "ieee13_events.json").read_text())),
    )


def _objects(text: str) -> dict[str, dict[str, dict[str, str]]]:
    """Return the ``New class.name key=value ...`` statements; a line that begins with ``~`` continues the last."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    values: dict[str, str] = {}
    for raw in text.splitlines():
        line = re.split(r"!|//", raw)[0].strip()
        head = re.match(r"(?i)new\s+(\w+)\.(\w+)(.*)", line)
        edit = re.match(r"(?i)(\w+)\.(\w+)\.(\w+=.*)", line)
        if edit:
            values = found[edit[1].lower()][edit[2].lower()]
            line = edit[3]
        elif head:
            values = {}
            found.setdefault(head[1].lower(), {})[head[2].lower()] = values
            line = head[3]
        elif not line.startswith("~"):
            continue
        for key, value in re.findall(r"([%\w]+)\s*=\s*(\([^)]*\)|\[[^\]]*\]|[^\s]+)", line):
            values[key.lower()] = value.strip()
    return found


def _numbers(text: str) -> list[float]:
    return [float(x) for x in re.findall(r"-?\d+\.?\d*", text)]


def _bus(text: str) -> tuple[str, tuple[int, ...]]:
    """Return the bus and the phases of ``671.1.3``; all three where none is named."""
    name, *phases = text.lower().split(".")
    return name, tuple(int(p) for p in phases) or (1, 2, 3)


def impedance_ohm_per_km(case: Case, line: Mapping[str, str]) -> tuple[float, float]:
    """Return r, x of the three-phase line that loses as much when the same power is shared by three phases.

    Mean own minus mean mutual impedance, times three over the number of phases.
    """
    code = case.objects["linecode"][line["linecode"].lower()]
    out = []
    for name in ("rmatrix", "xmatrix"):
        rows = [_numbers(row) for row in code[name].strip("()[]").split("|")]
        own = np.mean([row[-1] for row in rows])
        mutual = [value for row in rows for value in row[:-1]]
        z_per_unit = own - (np.mean(mutual) if mutual else 0.0)
        out.append(float(z_per_unit / M_PER[code["units"]] * 1e3 * 3.0 / len(rows)))
    return out[0], out[1]


def demand_kw(case: Case, name: str, step: int) -> tuple[float, float, tuple[int, ...]]:
    """Return kW, kvar and phases of a load in a step, at nominal voltage of its bus.

    A constant-impedance load draws its rated power at its own rated voltage: several are rated at 4.16 kV from
    phase to neutral and so draw a third of it.
    """
    load = case.objects["load"][name]
    bus, phases = _bus(load["bus1"])
    factor = case.factor(load, step)
    if load["model"] == CONSTANT_Z:
        bus_kv = (LOW_KV if bus == "634" else BASE_KV) / np.sqrt(3.0)
        rated_kv = float(load["kv"])
        near = round(rated_kv / bus_kv, 1) == 1.0
        factor *= 1.0 if near else float((bus_kv / rated_kv) ** 2)
    return float(load["kw"]) * factor, float(load["kvar"]) * factor, phases


def source_vm_pu(case: Case) -> float:
    """Return the voltage behind the regulators: the source's, times the mean of the three taps."""
    taps = [_numbers(unit["taps"])[-1] for unit in case.objects["transformer"].values() if "taps" in unit]
    source = next(iter(case.objects["circuit"].values()))
    return float(source["pu"]) * float(np.mean(taps))


def block_of(case: Case) -> dict[str, str]:
    """Return by bus the first bus (in alphabetical order) of its block: what no switch divides."""
    objects = case.objects
    label: dict[str, str] = {}
    pairs = [
        (_bus(line["bus1"])[0], _bus(line["bus2"])[0], name in case.switches)
        for name, line in objects["line"].items()
    ]
    pairs.append(("633", "634", False))
    for a, b, _ in pairs:
        label.setdefault(a, a)
        label.setdefault(b, b)
    for _ in label:
        for a, b, switched in pairs:
            if not switched:
                label[a] = label[b] = min(label[a], label[b])
    return label


def microgrid_rules(case: Case) -> tuple[set[str], list[list[str]]]:
    """Return what 'no two microgrids in one island' means: switches that stay open, and sets with one closed at most.

    A switch between two microgrids stays open; of the switches from a block outside all microgrids to
    microgrids one may be closed. Raises ValueError where two blocks outside are joined: the rule would need more.
    """
    label = block_of(case)
    grid_of = {label[bus]: case.microgrid(bus) for bus in label if case.microgrid(bus)}
    open_for_good: set[str] = set()
    around: dict[str, list[str]] = {}
    for name in case.switches:
        line = case.objects["line"][name]
        ends = [label[_bus(line[end])[0]] for end in ("bus1", "bus2")]
        outside = [block for block in ends if block not in grid_of]
        if len(outside) == 2:
            raise ValueError(f"switch {name} joins two blocks outside all microgrids")
        if outside:
            around.setdefault(outside[0], []).append(name)
        else:
            open_for_good.add(name)
    return open_for_good, [names for names in around.values() if len(names) > 1]


def movable(case: Case, step: int) -> dict[str, bool]:
    """Return by switch whether the events let it be moved in a step."""
    may = dict.fromkeys(case.switches, True)
    for event in case.events:
        if event["timestep"] <= step and "dispatchable" in event["event_data"]:
            name = event["affected_asset"].split(".")[1]
            may[name] = event["event_data"]["dispatchable"] in (True, "YES")
    return may


def to_network(
    case: Case, step: int, start: Standing, shed: tuple[str, ...] = (), fixed: bool = False
) -> Any:
    """Return the network of one step, in the state in which the step before left it.

    Parameters
    ----------
    step : int
        1 to 8.
    shed : tuple of str
        Loads taken out of service.
    fixed : bool
        No switch of the case may be moved.
    """
    net = pp.create_empty_network(name=f"ieee13 step {step}")
    names = sorted(block_of(case))
    limits = {"min_vm_pu": 0.9, "max_vm_pu": 1.1}
    kv = [LOW_KV if name == "634" else BASE_KV for name in names]
    buses = pp.create_buses(net, len(names), vn_kv=kv, name=names, **limits)
    bus = dict(zip(names, (int(b) for b in buses), strict=True))
    create_utility(net, bus[SOURCE_BUS], "grid", vm_pu=source_vm_pu(case), sync_group="feeder")
    _branches(net, case, bus)
    _switches(net, case, bus, step, start, fixed)
    _loads(net, case, bus, step, shed)
    _supplies(net, case, bus, step, start)
    return net


def _branches(net: Any, case: Case, bus: Mapping[str, int]) -> None:
    for name, line in case.objects["line"].items():
        if name in case.switches:
            continue
        r, x = impedance_ohm_per_km(case, line)
        pp.create_line_from_parameters(
            net,
            bus[_bus(line["bus1"])[0]],
            bus[_bus(line["bus2"])[0]],
            length_km=float(line["length"]) * M_PER[line["units"]] / 1e3,
            r_ohm_per_km=r,
            x_ohm_per_km=x,
            c_nf_per_km=0.0,
            max_i_ka=UNLIMITED_KA,
            name=name,
        )
    unit = case.objects["transformer"]["xfm1"]
    r_percent = 2.0 * float(unit["%r"])
    rated_kva = float(unit["kva"])
    pp.create_transformer_from_parameters(
        net,
        bus["633"],
        bus["634"],
        sn_mva=rated_kva / 1e3,
        vn_hv_kv=BASE_KV,
        vn_lv_kv=LOW_KV,
        vkr_percent=r_percent,
        vk_percent=float(np.hypot(r_percent, float(unit["xhl"]))),
        pfe_kw=0.0,
        i0_percent=0.0,
        max_loading_percent=100.0 * float(case.settings["transformer"]["xfm1"]["sm_ub"]) / rated_kva,
        name="xfm1",
    )
    for name, unit in case.objects["capacitor"].items():
        pp.create_shunt(net, bus[_bus(unit["bus1"])[0]], q_mvar=-float(unit["kvar"]) / 1e3, name=name)


def _switches(net: Any, case: Case, bus: Mapping[str, int], step: int, start: Standing, fixed: bool) -> None:
    stay_open, exclusive = microgrid_rules(case)
    may = movable(case, step)
    index = {}
    for name in case.switches:
        line = case.objects["line"][name]
        limit = case.settings["switch"][name]["cm_ub"][0]
        index[name] = create_switch(
            net,
            bus[_bus(line["bus1"])[0]],
            bus[_bus(line["bus2"])[0]],
            name,
            closed=start.closed[name],
            operation="locked" if fixed or name in stay_open or not may[name] else "remote",
            in_ka=UNLIMITED_KA if limit is None else limit / 1e3,
        )
    for names in exclusive:
        create_interlock(net, [index[name] for name in names], "one microgrid: " + ", ".join(names))


def _loads(net: Any, case: Case, bus: Mapping[str, int], step: int, shed: tuple[str, ...]) -> None:
    for name, load in case.objects["load"].items():
        p_kw, q_kvar, _ = demand_kw(case, name, step)
        pp.create_load(
            net,
            bus[_bus(load["bus1"])[0]],
            p_mw=p_kw / 1e3,
            q_mvar=q_kvar / 1e3,
            name=name,
            in_service=name not in shed,
        )


def _supplies(net: Any, case: Case, bus: Mapping[str, int], step: int, start: Standing) -> None:
    for name, sun in case.objects["pvsystem"].items():
        at, p_mw = bus[_bus(sun["bus1"])[0]], float(sun["kva"]) * case.factor(sun, step) / 1e3
        pp.create_sgen(net, at, p_mw=p_mw, q_mvar=0.0, name=name)
    for name, unit in case.objects["generator"].items():
        at = bus[_bus(unit["bus1"])[0]]
        own = int(pp.create_bus(net, BASE_KV, name=f"generator {name}", min_vm_pu=0.9, max_vm_pu=1.1))
        create_genset(net, own, f"generator {name}", max_p_mw=float(unit["kw"]) / 1e3, sync_group="feeder")
        create_switch(net, own, at, f"generator {name} breaker", closed=start.genset_on)
    largest: dict[int, float] = {}
    for unit in case.objects["storage"].values():
        at = bus[_bus(unit["bus1"])[0]]
        largest[at] = max(largest.get(at, 0.0), float(unit["kwrated"]))
    for name, unit in case.objects["storage"].items():
        at, p_kw, e_kwh = bus[_bus(unit["bus1"])[0]], float(unit["kwrated"]), float(unit["kwhrated"])
        create_storage(
            net,
            at,
            name,
            p_max_mw=p_kw / 1e3,
            e_max_mwh=e_kwh / 1e3,
            soc_percent=100.0 * start.energy_kwh[name] / e_kwh,
            efficiency_charge=float(unit["%effcharge"]) / 100.0,
            efficiency_discharge=float(unit["%effdischarge"]) / 100.0,
            grid_forming=p_kw == largest[at],
        )


def first_standing(case: Case) -> Standing:
    """Return the state before step 1: the events open all switches, the batteries hold what the file says."""
    energy_kwh = {name: float(unit["kwhstored"]) for name, unit in case.objects["storage"].items()}
    return Standing(dict.fromkeys(case.switches, False), energy_kwh)


def standing_after(case: Case, start: Standing, end: Any) -> Standing:
    """Return what a step of one hour leaves; ``end`` is its end state with an AC power flow in it."""
    closed = dict(zip(end.switch["name"], end.switch["closed"].astype(bool), strict=True))
    p_mw = end.storage["p_mw"].to_numpy(float).copy()
    for row, battery in enumerate(end.storage.index):
        companion = end.ext_grid.index[(end.ext_grid["storage"] == battery) & end.ext_grid["in_service"]]
        if len(companion):
            p_mw[row] = -float(end.res_ext_grid.at[companion[0], "p_mw"])
    energy_kwh = {
        name: start.energy_kwh[name] + 1e3 * float(p)
        for name, p in zip(end.storage["name"], p_mw, strict=True)
    }
    genset = next(iter(case.objects["generator"]))
    return Standing(
        {name: closed[name] for name in case.switches}, energy_kwh, closed[f"generator {genset} breaker"]
    )
