"""Random small plants: the solver's optimum is that of exhaustive search judged by the checker.

Tolerances, kW of unserved load of one priority. The solver may be worse by INDIFFERENT (0.1 kW: less than
that at the least critical priority is not worth a switch), its gap (5e-4 of the priority's demand) and
LOSSES. Brute force may be worse by LOSSES: 0.02 kW + 5e-4 of the demand, because it keeps ratings to 1e-4 and
the checker allows 5e-4 more. Where a priority differs by more than 0.02 kW within its tolerance, the less
critical ones are not compared: what is gained there may be spent here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest

from pdnopt import Session
from tests.bruteforce import Optimum, brute_force
from tests.plants import random_plant

SEEDS = range(40)
SOAK_SEEDS = range(40, 340)
INDIFFERENT_KW = 0.1
GAP = 5e-4
SAME_KW = 0.02


@lru_cache(maxsize=512)
def _both(seed: int) -> tuple[Any, Optimum | None]:
    net, failed = random_plant(seed)
    result = Session(net, "reroute", validate=False).solve(failed=failed, explain=False)
    return result, brute_force(net, failed)


def _difference(seed: int) -> str:
    """Return what differs between the solver and brute force, "" where nothing does.

    Brute force judges end states, each by a plan in one fixed order. Where the two differ, the best end state that
    any order of commands reaches is found by trying every order, and is what counts.
    """
    result, oracle = _both(seed)
    found = _against(result, oracle)
    if found:
        net, failed = random_plant(seed)
        found = _against(result, brute_force(net, failed, reachable=True))
    return found


def _against(result: Any, oracle: Optimum | None) -> str:
    if oracle is None:
        return "" if not result.ok else f"solver {result.unserved_by_priority}, brute force finds no plan"
    if not result.ok:
        why = "; ".join(f"{i.kind} {i.id} at {i.path}" for i in result.issues[:3])
        return f"worse: solver {result.status} ({why}), brute force {oracle.unserved_kw}"
    for priority, best_kw in oracle.unserved_kw.items():
        worse = result.unserved_by_priority[priority] - best_kw
        slack = SAME_KW + GAP * result.demand_by_priority[priority]
        if worse < -slack:
            return f"better: solver {result.unserved_by_priority}, brute force {oracle.unserved_kw}"
        if worse > slack + INDIFFERENT_KW:
            return f"worse: solver {result.unserved_by_priority}, brute force {oracle.unserved_kw}"
        if abs(worse) > SAME_KW:
            break
    return ""


NOT_YET = {
    12: "the only way is to switch a UPS off for a second, and with it a rack that may not be shed: not tried",
}
"""Seeds on which the solver returns "failed" (never a wrong plan) although brute force finds an end state."""


@pytest.mark.parametrize(
    "seed",
    [pytest.param(k, marks=pytest.mark.xfail(reason=NOT_YET[k])) if k in NOT_YET else k for k in SEEDS],
)
def test_same_optimum_as_brute_force(seed: int) -> None:
    assert _difference(seed) == "", random_plant(seed)[1]


@pytest.mark.soak
@pytest.mark.parametrize("seed", SOAK_SEEDS)
def test_same_optimum_as_brute_force_soak(seed: int) -> None:
    assert _difference(seed) == "", random_plant(seed)[1]


def test_a_good_share_is_forced_to_shed_or_cap() -> None:
    """At least 40 % of the plants lose load that has a path: ratings force it out, not the failure itself."""
    forced = 0
    for seed in SEEDS:
        result, oracle = _both(seed)
        lost_kw = sum((oracle.unserved_kw if oracle else result.unserved_by_priority).values())
        net, _ = random_plant(seed)
        kw = net.load["p_mw"].groupby(net.load["rack"]).sum() * 1000.0
        pathless_kw = sum(float(kw[name.partition(":")[2]]) for name in result.unservable)
        forced += lost_kw > pathless_kw + 0.2
    assert forced >= 0.4 * len(SEEDS)
