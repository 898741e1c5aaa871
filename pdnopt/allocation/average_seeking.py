"""The rule of founding document 9342414, as what the optimum is compared with: move load to the average.

For each reserve system whose load is more than ``threshold`` above the average: move racks from it to the system that has
least, as long as that helps. The document knows no contingencies, no load vectors, no paths.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pdnopt.allocation.choices import read_choices
from pdnopt.allocation.scenarios import ScenarioReader
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from pdnopt.plant.demand import read_demand, with_load_kw
from pdnopt.plant.grid import read_grid
from pdnopt.plant.state import initial_state
from pdnopt.units import DEFAULT_LATENCY_S

__all__ = ["average_seeking"]

THRESHOLD = 0.05
"""Part of the average by which a system must be above it; the document names a threshold, not its value."""


def average_seeking(net: Any, p_load_kw: Any = None, threshold: float = THRESHOLD) -> Plan:
    """Return the moves that the rule makes, one after another, as a plan before anything fails.

    Parameters
    ----------
    net : pandapowerNet
        Never changed.
    p_load_kw : Series, optional
        Predicted draws in kW, indexed like net.load.
    threshold : float
        Part of the average load of a reserve system.

    Returns
    -------
    Plan
        Not verified; ask ``pdnopt.check``.
    """
    grid = read_grid(net)
    demand = with_load_kw(read_demand(net, grid), p_load_kw)
    choices = read_choices(grid, demand, initial_state(grid, demand))
    reader = ScenarioReader(grid, demand, choices)
    gain = reader.read("", ()).p[:, : len(choices.station_node)].toarray()
    parts = reader.components
    rows = np.flatnonzero((parts.table == "ups") & parts.by_p & (np.abs(gain - 1.0) < 1e-12).any(axis=1))
    system = np.abs(gain[rows] - 1.0).argmin(axis=0)  # reserve system of each station
    cord_kw = np.where(reader.cord_device >= 0, demand.cord_kw, 0.0)
    kw = np.bincount(np.maximum(reader.cord_device, 0), weights=cord_kw, minlength=len(choices.name))
    at = [int(choices.kinds[k].active[h]) for k, h in zip(choices.kind, choices.held, strict=True)]
    stations = [choices.kinds[k].stations for k in choices.kind]
    load = np.zeros(len(rows))
    for d, position in enumerate(at):
        load[system[stations[d][position]]] += kw[d]
    average = load.mean()
    actions: list[Action] = []
    t_s = DEFAULT_LATENCY_S
    for y in range(len(load)):
        for d in [k for k, (s, p) in enumerate(zip(stations, at, strict=True)) if int(system[s[p]]) == y]:
            if load[y] - average <= threshold * average:
                break
            goals = [p for p in range(len(stations[d])) if int(system[stations[d][p]]) != y]
            if not goals:
                continue
            best = min(goals, key=lambda p: load[system[stations[d][p]]])
            to = int(system[stations[d][best]])
            if load[to] + kw[d] >= load[y]:
                continue
            names, switches = grid.switches.name, choices.switches[d]
            t_s += float(grid.transfers.transfer_s[choices.transfer[d]])
            before, after = names[int(switches[at[d]])], names[int(switches[best])]
            actions.append(
                Action(
                    len(actions) + 1, t_s, choices.name[d], "transfer", before, after, "average-seeking rule"
                )
            )
            load[y] -= kw[d]
            load[to] += kw[d]
            at[d] = best
    loads = {} if p_load_kw is None else {"load": {int(k): float(v) for k, v in p_load_kw.items()}}
    return Plan(problem="reserve", actions=tuple(actions), loads_kw=loads)
