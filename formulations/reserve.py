"""Reserve: which reserve system does every rack stand on, and which does it go to, before anything fails?

Sets        D transfer devices, K_d choices of device d - pairs (active, next) of its positions, C scenarios (0: nothing
            failed), R components that choices can load, Y reserve systems (a part of R), V load vectors
Data        p_dcv, s_dcv   kW and kVA that hang on device d in scenario c once the cords have shared
            q_cdk          station on which d ends in c if k is chosen (the plant's own response)
            kp_crq, ks_crq load of r per kW and kVA at station q; base_crv what no choice moves; limit_cr, what r carries
                           for the horizon: all in kW of load
            u_d, e_dk, a_dk, h_dk, o_dk   cost of a move; kW on units to be evacuated; loss in kW; harmonics; cost
Variables   x_dk in {0, 1}, margin_kw, spread, high_v, low_v
Minimise, strictly one after another (`minimize`)
    (R1) evacuated = sum e_dk x_dk                                                    [kW]
    (R2) margin    = - margin_kw, the worst over C, R and V                            [kW of load]
    (R3) balance   = spread of the reserve systems' loading with nothing failed        [1]
    (R4) moves     = sum u_d over devices that leave their position; the least critical move first
    (R5) losses    = sum a_dk x_dk                                                    [kW]
    (R6) quality   = sum h_dk x_dk, harmonics of the reserve systems by the load on them [kW %]
    (R7) cost      = sum o_dk x_dk                                                    [1/h]
subject to
    (1) sum_k x_dk = 1                                            every device stands somewhere
    (2) load_crv = base_crv + sum_dk (kp_cr,q p_dcv + ks_cr,q s_dcv) x_dk,   q = q_cdk
    (3) load_crv + margin_kw <= limit_cr
    (4) low_v <= load_0rv / limit_0r <= high_v,  high_v - low_v <= spread             for r in Y
    (5) sum of devices that move <= max_moves
    (6) x_dk = 0 for choices that stand on an evacuated unit, where the others allow it: by (R1)

Linear because no choice changes which cords live: where one choice keeps an output live in a scenario, those that would
lose it are left out (`pdnopt.allocation.exposure`). kVA are summed by their sizes: exact at one power factor, on the safe
side else. Lines, transformers and voltages come in through factors from the AC power flow of the network as given.
Sources: the isolated-parallel and catcher rules of thumb that this replaces are in `pdnopt.baselines`; (2)-(3) is the
failover capacity constraint of online demand scheduling with failovers and of Flex's offline placement.

There is no Pyomo model here. C x R x V rows and thousands of pairs are never all written: rows are made when they bind and
columns when they pay (`pdnopt.allocation.search`), from the arrays of an Exposure. A modelling layer would be built anew in
every round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdnopt.allocation.exposure import Core

__all__ = ["RESERVE", "Reserve"]

TERMS = ("evacuated", "margin", "balance", "moves", "losses", "quality", "cost")

CRITICAL_WEIGHT = 1e-3
"""A move of load of priority p costs 1 + CRITICAL_WEIGHT * (10 - p): fewest moves first, then the least critical ones."""

SETTING_WEIGHT = 1e-4
"""A device that only looks elsewhere first costs as much of a move."""


@dataclass(frozen=True)
class Reserve:
    """The registered formulation."""

    name: str = "reserve"
    kind: str = "allocation"
    terms: tuple[str, ...] = TERMS

    def coefficients(
        self, data: Core, device: np.ndarray, choice: np.ndarray, rows: np.ndarray
    ) -> np.ndarray:
        """Equation (2): what each column x_dk adds to each row (c, r, v); shape (rows, columns)."""
        kind_of = data.choices.kind[device]
        c, r, v = rows[:, 0], rows[:, 1], rows[:, 2]
        out = np.zeros((len(rows), len(device)))
        for k in np.unique(kind_of):
            mine = np.flatnonzero(kind_of == k)
            q = data.stands[k][np.ix_(c, choice[mine])] if len(c) else np.zeros((0, len(mine)), dtype=int)
            at = np.maximum(q, 0)
            d = device[mine]
            load = data.kp[c[:, None], r[:, None], at] * data.p_kw[c[:, None], d[None, :], v[:, None]]
            load += data.ks[c[:, None], r[:, None], at] * data.s_kva[c[:, None], d[None, :], v[:, None]]
            out[:, mine] = np.where(q >= 0, load, 0.0)
        return out

    def priced(self, data: Core, kind: int, rows: np.ndarray, dual: np.ndarray) -> np.ndarray:
        """Return sum over rows of dual * coefficient for every choice of a kind's devices; shape (members, K)."""
        members = data.choices.members[kind]
        n_choices = len(data.choices.kinds[kind].active)
        out = np.zeros((len(members), n_choices))
        keys, group = np.unique(rows[:, [0, 2]], axis=0, return_inverse=True)
        value = np.zeros((2, len(keys), data.kp.shape[2]))
        np.add.at(value[0], group.ravel(), dual[:, None] * data.kp[rows[:, 0], rows[:, 1]])
        np.add.at(value[1], group.ravel(), dual[:, None] * data.ks[rows[:, 0], rows[:, 1]])
        q = data.stands[kind][keys[:, 0]]
        at, live = np.maximum(q, 0), q >= 0
        index = np.arange(len(keys))[:, None]
        for worth, power in ((value[0], data.p_kw), (value[1], data.s_kva)):
            if worth.any():
                hangs = power[keys[:, 0][:, None], members[None, :], keys[:, 1][:, None]]
                out += hangs.T @ np.where(live, worth[index, at], 0.0)
        return out

    def move_cost(self, data: Core, priority: np.ndarray, per_device: np.ndarray) -> tuple[np.ndarray, ...]:
        """Equation (R4): u_d for every choice that stands elsewhere than now, by device."""
        out = []
        for d, held in enumerate(data.choices.held):
            kind = data.choices.kinds[data.choices.kind[d]]
            cost = np.zeros(len(kind.active))
            moved = kind.active != kind.active[held]
            cost[moved] = per_device[d] * (1.0 + CRITICAL_WEIGHT * (10.0 - priority[d]))
            cost[~moved & (kind.following != kind.following[held])] = SETTING_WEIGHT
            out.append(cost)
        return tuple(out)

    def station_cost(self, data: Core, per_kw: np.ndarray) -> tuple[np.ndarray, ...]:
        """Equations (R1), (R5)-(R7): a cost by kW on the station where a choice stands with nothing failed, by device."""
        out = []
        load_kw = data.p_kw[0].mean(axis=1)
        for d in range(len(data.choices.name)):
            station = data.stands[data.choices.kind[d]][0]
            out.append(np.where(station >= 0, per_kw[np.maximum(station, 0)], 0.0) * load_kw[d])
        return tuple(out)

    def moved(self, data: Core) -> tuple[np.ndarray, ...]:
        """Equation (5): 1 for every choice that stands elsewhere than now, by device."""
        kinds, held = data.choices.kinds, data.choices.held
        pairs: Sequence[int] = data.choices.kind.tolist()
        return tuple((kinds[k].active != kinds[k].active[held[d]]).astype(float) for d, k in enumerate(pairs))


RESERVE = Reserve()
