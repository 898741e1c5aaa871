"""A plant through time: what a shift or a rule commands is carried out, step by step, and failures are judged by `reroute`.

Nothing here uses the model of a shift: after a failure the plant's own devices respond (`pdnopt.response`) and a verified
reroute says what stays unserved.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

import pdnopt
from pdnopt.plant.demand import read_demand
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import read_grid
from pdnopt.response import respond
from pdnopt.shifting.prices import Prices
from pdnopt.shifting.rules import RULES

__all__ = ["Course", "Judge", "follow"]


@dataclass
class Course:
    """What one policy did in T steps: the network at the beginning of each step after its commands, and what that took.

    ``moved``: names of the devices that moved in each step. ``commands``: of all kinds, by step. ``discharged_kwh``: at the
    AC side, by step. ``refused``: plans that the checker refused. ``worst_percent``: highest loading by AC flow, by step.
    """

    nets: list[Any] = field(default_factory=list)
    moved: list[list[str]] = field(default_factory=list)
    discharged_kwh: list[float] = field(default_factory=list)
    lost_kwh: list[float] = field(default_factory=list)
    refused: int = 0
    commands: list[int] = field(default_factory=list)
    worst_percent: list[float] = field(default_factory=list)


def follow(
    net: Any,
    policy: str,
    risk: pd.DataFrame,
    n_steps: int,
    step_s: float,
    session_keywords: dict[str, Any],
    loads: pd.DataFrame | None = None,
    keep: bool = True,
    watch: Any = None,
) -> Course:
    """Run a policy in receding horizon; ``risk`` and ``loads`` have a column for every step that is ever looked at.

    ``keep``: keep a copy of the network of every step. ``watch(t, net)`` is called after every step.
    """
    horizon = session_keywords.get("horizon", 12)
    now = deepcopy(net)
    course = Course()
    session = None
    decided: dict[tuple[bytes, ...], tuple[dict[str, str], dict[str, float], bool, float]] = {}
    for t in range(n_steps):
        window = risk.iloc[:, t : t + horizon].copy()
        window.columns = range(horizon)
        ahead = None
        if loads is not None:
            ahead = loads.iloc[:, t : t + horizon].copy()
            ahead.columns = range(horizon)
            now.load.loc[loads.index, "p_mw"] = ahead.iloc[:, 0].to_numpy() / 1000.0
        key = (
            *_state(now),
            window.to_numpy().tobytes(),
            b"" if ahead is None else ahead.to_numpy().tobytes(),
        )
        if key not in decided:  # the same state and outlook as before: the same decision
            if session is None:
                keywords = {**session_keywords, "risk": window, "loads": ahead, "step_s": step_s}
                session = pdnopt.Session(now, "shift", validate=False, **keywords)
            else:
                session.update(now)
            decided[key] = _decide(session, policy, window, ahead)
        moves, power, ok, worst_percent = decided[key]
        course.refused += not ok
        course.worst_percent.append(worst_percent)
        course.commands.append(len(moves) + (len(power) if policy == "pdnopt" else 0))
        _carry_out(now, moves, power, step_s, course)
        if keep:
            course.nets.append(deepcopy(now))
        if watch is not None:
            watch(t, now)
    return course


def _state(net: Any) -> tuple[bytes, ...]:
    storage = net.storage[["p_mw", "soc_percent"]].to_numpy(float) if len(net.storage) else np.zeros(0)
    return (net.switch["closed"].to_numpy().tobytes(), storage.round(6).tobytes())


def _decide(
    session: Any, policy: str, risk: pd.DataFrame, loads: Any
) -> tuple[dict[str, str], dict[str, float], bool, float]:
    """Return where devices are to move, battery powers, whether the checker verified it, and the highest loading, %."""
    if policy != "pdnopt":
        return (*_ruled(session, RULES[policy], risk, loads), True, float("nan"))
    result = session.solve(risk=risk, loads=loads)
    commands = list(result.plan.actions) if result.ok else []
    moves = {a.device: str(a.after) for a in commands if a.action == "transfer"}
    power = {a.device: float(a.after) for a in commands if a.action == "power"}
    return moves, power, result.ok, result.worst_loading_percent


def _ruled(
    session: Any, rule: Any, risk: pd.DataFrame, loads: Any
) -> tuple[dict[str, str], dict[str, float]]:
    runner = session._runner
    options = session.options.but({"risk": risk, "loads": loads})
    told, hazards, bounds = runner._inputs(runner.plant.demand, options, options.step_s)
    reader, names, ends = runner.reader_of([hazard.name for hazard in hazards], options)
    command = rule(runner.data(reader, names, ends, told, hazards, bounds, options))
    devices, switches = runner.plant.devices, runner.plant.grid.switches.name
    moved = np.flatnonzero(command.position != devices.held)
    moves = {devices.name[d]: switches[devices.switch[d, command.position[d]]] for d in moved}
    power = dict(zip(runner.plant.batteries.name, command.power_kw.tolist(), strict=True))
    return moves, power


def _carry_out(
    net: Any, moves: dict[str, str], power: dict[str, float], step_s: float, course: Course
) -> None:
    switch_at = {f"switch:{name}": k for k, name in zip(net.switch.index, net.switch["name"], strict=True)}
    device_at = {
        f"transfer:{name}": k for k, name in zip(net.transfer.index, net.transfer["name"], strict=True)
    }
    for device, after in moves.items():
        rows = net.switch.index[net.switch["transfer"] == device_at[device]]
        net.switch.loc[rows, "closed"] = False
        net.switch.loc[switch_at[after], "closed"] = True
    hours, discharged, lost = step_s / 3600.0, 0.0, 0.0
    for k in net.storage.index:
        kw = power.get(f"storage:{net.storage.at[k, 'name']}", 1000.0 * float(net.storage.at[k, "p_mw"]))
        stored = (
            kw * net.storage.at[k, "efficiency_charge"]
            if kw > 0
            else kw / net.storage.at[k, "efficiency_discharge"]
        )
        net.storage.loc[k, "p_mw"] = kw / 1000.0
        percent = net.storage.at[k, "soc_percent"] + 100.0 * stored * hours / (
            1000.0 * net.storage.at[k, "max_e_mwh"]
        )
        net.storage.loc[k, "soc_percent"] = round(float(percent), 9)  # 100.00000000000001 is full
        discharged += max(-kw, 0.0) * hours
        lost += abs(kw - stored) * hours
    course.moved.append(list(moves))
    course.discharged_kwh.append(discharged)
    course.lost_kwh.append(lost)


class Judge:
    """What failures cost in states of a network, by response and reroute; answers are kept."""

    def __init__(self, hold_s: float, prices: Prices) -> None:
        self.hold_s, self.prices = hold_s, prices
        self._known: dict[Any, tuple[float, float]] = {}

    def after(self, net: Any, failed: tuple[str, ...]) -> tuple[float, float]:
        """Return kWh-equivalents lost, and unserved kWh of priority 1, after a failure."""
        key = (
            net.switch["closed"].to_numpy().tobytes(),
            net.storage["soc_percent"].to_numpy(float).round(1).tobytes(),
        )
        key = (*key, net.load["p_mw"].to_numpy(float).round(6).tobytes(), failed)
        if key not in self._known:
            self._known[key] = self._judge(net, failed)
        return self._known[key]

    def _judge(self, net: Any, failed: tuple[str, ...]) -> tuple[float, float]:
        still = deepcopy(net)
        still.storage["p_mw"] = 0.0
        result = pdnopt.solve(
            still,
            "reroute",
            failed=list(failed),
            horizon_s=self.hold_s,
            explain=False,
            validate=False,
            time_limit_s=20.0,
            gap=0.01,
        )
        hours = self.hold_s / 3600.0
        cost = sum(self.prices.of(p) * kw * hours for p, kw in result.unserved_by_priority.items())
        grid = read_grid(still)
        demand = read_demand(still, grid)
        hit = respond(grid, demand, parse_failed(still, list(failed))).interrupted
        weight = np.array([self.prices.of(p) for p in demand.priority])
        cost += self.prices.interruption_h * float((weight * demand.d_kw)[hit].sum())
        return cost, result.unserved_by_priority.get(1, 0.0) * hours
