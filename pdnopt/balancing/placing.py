"""Where should micro-inverters stand? Ratings of a given sum that leave the least voltage unbalance at the worst bus."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.acflow.three_phase import missing_zero_sequence
from pdnopt.balancing.checks import check_phases
from pdnopt.balancing.data import S_BASE_KW
from pdnopt.balancing.flow import PHASES, PhaseFlow, read_injections
from pdnopt.balancing.inverters import Inverters, read_inverters
from pdnopt.balancing.network import TO_PHASES, not_held, read_phase_network
from pdnopt.balancing.placing_programme import Located, locate
from pdnopt.balancing.points import Area, Sight, look, read_area
from pdnopt.errors import InputError, Issue
from pdnopt.plan import Plan
from pdnopt.plant import create_micro_inverter
from pdnopt.plant.names import component_name
from pdnopt.units import KW_PER_MW

__all__ = ["InverterPlacement", "place_inverters"]

ROUNDS = 6
AGREED = 2e-5
"""|V2| / |V1| of the linear model and of the flow agree within this, 0.002 %."""
LEAST_PART = 1e-4
"""Ratings below this part of the sum are left out, and the others take it."""
TO_SEQUENCE = np.linalg.inv(TO_PHASES)


@dataclass(frozen=True)
class InverterPlacement:
    """Ratings of new micro-inverters, and the voltage unbalance that they leave.

    Attributes
    ----------
    ratings : DataFrame
        Index: bus; columns: bus name, ``s_max_kva`` of each phase, and the set-points for which it is meant
        (``p_a_kw`` ... ``q_c_kvar``).
    vuf_before_percent, vuf_percent : float
        Largest |V2| / |V1| of all buses before and with these set-points, by power flow of all phases.
    bound_percent : float
        Proved by the linear model at that flow: no ratings of the same sum at the places asked for leave less.
    total_kva : float
        Sum that was allowed, all phases of all inverters.
    loss_percent : float
    """

    ratings: pd.DataFrame
    vuf_before_percent: float
    vuf_percent: float
    bound_percent: float
    total_kva: float
    loss_percent: float

    def apply(self, net: Any) -> Any:
        """Return a new network with the inverters, which inject nothing yet: solve problem 'balance' on it."""
        out = deepcopy(net)
        for bus, row in self.ratings.iterrows():
            name = f"MIM at {row['bus']}"
            create_micro_inverter(
                out, int(str(bus)), name, float(row["s_max_kva"]) / KW_PER_MW, loss_percent=self.loss_percent
            )
        return out


def place_inverters(
    net: Any, total_kva: float, buses: Sequence[int] | None = None, loss_percent: float = 3.0
) -> InverterPlacement:
    """Return where micro-inverters of ``total_kva`` in all leave the least voltage unbalance at the worst bus.

    Parameters
    ----------
    net : pandapowerNet
        With zero-sequence data of its lines. Inverters that it already has stay as they are.
    total_kva : float
        All phases of all new inverters together. Not more of it is used than helps.
    buses : sequence of int, optional
        Where one may stand; the default is every bus with an unbalanced load.
    loss_percent : float
        Of the apparent power. The new inverters have no batteries.

    Returns
    -------
    InverterPlacement

    Raises
    ------
    InputError
        Faults of the arguments and of the network, all at once.

    Notes
    -----
    Ratings of lines and voltage limits are not part of the question: problem 'balance' keeps them with the new inverters.
    The programme is in `pdnopt.balancing.placing_programme`.
    """
    places = _places(net, buses)
    issues = [*_check(net, total_kva, places, loss_percent), *check_phases(net)]
    issues += [*not_held(net), *missing_zero_sequence(net)]
    if issues:
        raise InputError(issues)
    base = Plan(problem="balance").apply(net)
    base.asymmetric_sgen = base.asymmetric_sgen.assign(kind="")  # those there are stay as they are
    for bus in places:
        create_micro_inverter(base, bus, f"place {bus}", total_kva / KW_PER_MW)
    network = read_phase_network(base)
    inverters = read_inverters(base, network, 0.0)
    told = read_injections(base, network, inverters.index)
    flow = PhaseFlow(network)

    def sight(s_kva: np.ndarray) -> Sight:
        return look(flow, told, inverters, flow.solve(told, inverters.rows, s_kva).v, s_kva)

    s_kva = np.zeros(3 * len(inverters.index), dtype=complex)
    now = sight(s_kva)
    area = read_area(base, network, inverters, now)
    before = float(now.unbalance[area.nodes].max(initial=0.0))
    for _ in range(ROUNDS):
        found = _solve(area, inverters, now, s_kva, loss_percent, total_kva)
        s_kva = found.s_pu * S_BASE_KW
        now = sight(s_kva)
        after = float(now.unbalance[area.nodes].max(initial=0.0))
        if abs(after - found.worst) <= AGREED:
            break
    ratings = _table(base, inverters, found, total_kva)
    return InverterPlacement(
        ratings, 100.0 * before, 100.0 * after, 100.0 * found.bound, float(total_kva), float(loss_percent)
    )


def _places(net: Any, buses: Sequence[int] | None) -> list[int]:
    if buses is not None:
        return list(dict.fromkeys(buses))
    rows = net.asymmetric_load
    return [int(bus) for bus in pd.unique(rows.loc[rows["in_service"].astype(bool), "bus"])]


def _check(net: Any, total_kva: float, places: list[int], loss_percent: float) -> list[Issue]:
    issues = []
    for name, value, allowed, fits in (
        ("total_kva", total_kva, "a finite number above 0 kVA", np.isfinite(total_kva) and total_kva > 0),
        ("loss_percent", loss_percent, "from 0 to below 100 %", 0.0 <= loss_percent < 100.0),
    ):
        if not fits:
            issues.append(
                Issue("Range", f"place_inverters({name}=...)", "", value, allowed, "Correct the number.")
            )
    live = set(net.bus.index[net.bus["in_service"].astype(bool)])
    for bus in places:
        if bus not in live:
            path, todo = "place_inverters(buses=...)", "Correct the index, or put the bus in service."
            issues.append(Issue("InvalidId", path, f"bus:{bus}", bus, "a row of net.bus in service", todo))
    if not places:
        todo = "Name buses where inverters may stand."
        issues.append(Issue("NoDevice", "place_inverters(buses=...)", "", 0, "at least one bus", todo))
    return issues


def _solve(
    area: Area, inverters: Inverters, now: Sight, s_kva: np.ndarray, loss_percent: float, total_kva: float
) -> Located:
    """Solve the programme at a flow: deviations of currents are g (p - jq) less the currents there are."""
    sequence = now.v.reshape(-1, 3)[area.nodes] @ TO_SEQUENCE.T
    one, two = np.abs(sequence[:, 1]), sequence[:, 2]
    at = now.v[inverters.rows]
    reach = (area.structure.two @ area.structure.reach.voltage).toarray()
    still = two - reach @ np.conj(s_kva / S_BASE_KW / at)
    effect = reach / np.conj(at)
    return locate(still / one, effect / one[:, None], loss_percent / 100.0, total_kva / S_BASE_KW)


def _table(net: Any, inverters: Inverters, found: Located, total_kva: float) -> pd.DataFrame:
    kva = found.rating_pu * S_BASE_KW
    keep = 3.0 * kva > LEAST_PART * total_kva
    kva = kva[keep] * min(1.0, total_kva / max(3.0 * kva[keep].sum(), 1e-12))
    bus = net.asymmetric_sgen.loc[inverters.index[keep], "bus"].to_numpy(int)
    s = found.s_pu.reshape(-1, 3)[keep] * S_BASE_KW
    columns: dict[str, Any] = {"bus": [component_name(net, "bus", int(k)).partition(":")[2] for k in bus]}
    columns["s_max_kva"] = kva
    for k, phase in enumerate(PHASES):
        columns[f"p_{phase}_kw"], columns[f"q_{phase}_kvar"] = s[:, k].real, s[:, k].imag
    return pd.DataFrame(columns, index=pd.Index(bus, name="bus_index"))
