"""Plans written by hand, and small plants beside two_feed; every number is chosen for sums by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import cache, wraps
from typing import Any

import numpy as np
import pandapower as pp

from pdnopt.errors import Issue
from pdnopt.plan import Plan
from pdnopt.plant import (
    create_empty_plant,
    create_racks,
    create_switch,
    create_transfer,
    create_utility,
)
from pdnopt.plant.actions import Action

FULL = 10.0


def fresh(build: Callable[..., Any]) -> Callable[..., Any]:
    """Build once for the same arguments, hand out copies: building row by row is slow."""
    kept = cache(build)

    @wraps(build)
    def copied(*args: Any, **more: Any) -> Any:
        return deepcopy(kept(*args, **more))

    return copied


def act(step: int, t_s: float, device: str, action: str, before: Any, after: Any) -> Action:
    """One command."""
    return Action(step, t_s, device, action, before, after)


def caps(step: int, t_s: float, **to_kw: float) -> tuple[Action, ...]:
    """Cap (or shed, at 0 kW) racks of two_feed from their full 10 kW."""
    return tuple(
        act(step, t_s, f"rack:{name}", "cap" if kw else "shed", FULL, kw) for name, kw in to_kw.items()
    )


def mode(device: str, before: str, after: str) -> Action:
    """What a UPS does by itself."""
    return Action(0, 0.0, device, "mode", before, after)


def plan(
    failed: str | tuple[str, ...] = (),
    actions: Iterable[Action] = (),
    automatic: Iterable[Action] = (),
    **more: Any,
) -> Plan:
    """A plan for one failure or several."""
    names = (failed,) if isinstance(failed, str) else failed
    return Plan(failed=names, actions=tuple(actions), automatic=tuple(automatic), **more)


def found(issues: Iterable[Issue]) -> set[tuple[str, str]]:
    """Kinds and components."""
    return {(issue.kind, issue.id) for issue in issues}


A_OFF = mode("ups:UPS-A", "online", "off")
A_BATTERY = mode("ups:UPS-A", "online", "battery")
B_BATTERY = mode("ups:UPS-B", "online", "battery")
DOWN_TO_58 = {"R6": 4.0, "R7": 4.0, "R8": 4.0, "R3": 6.0}


def buses(net: Any, *names: str, kv: float = 0.4, **limits: float) -> list[int]:
    """Create buses."""
    return [int(pp.create_bus(net, kv, name=name, **limits)) for name in names]


def line(net: Any, a: int, b: int, name: str, amps: float = 1000.0, r_ohm: float = 0.001) -> int:
    """Create a short line with a rating in A."""
    return int(
        pp.create_line_from_parameters(
            net,
            a,
            b,
            length_km=1.0,
            r_ohm_per_km=r_ohm,
            x_ohm_per_km=r_ohm / 3,
            c_nf_per_km=0.0,
            max_i_ka=amps / 1000,
            name=name,
        )
    )


def rack(net: Any, at: list[int], name: str = "R1", kw: float = 10.0, **more: Any) -> None:
    """Create one rack with a cord to each bus."""
    create_racks(net, np.array([at]), [name], np.array([kw / 1000.0]), power_factor=1.0, **more)


@fresh
def two_mains(group: str = "", **more: Any) -> tuple[Any, dict[str, int]]:
    """Utilities A and B, switches QA and QB, mains tied by QT (open), outgoing switches to "left" and
    "right".
    """
    net = create_empty_plant()
    names = ("grid A", "grid B", "main A", "main B", "left", "right")
    bus = dict(zip(names, buses(net, *names), strict=True))
    create_utility(net, bus["grid A"], "A", sync_group=group, **more)
    create_utility(net, bus["grid B"], "B", sync_group=group, **more)
    create_switch(net, bus["grid A"], bus["main A"], "QA")
    create_switch(net, bus["grid B"], bus["main B"], "QB")
    create_switch(net, bus["main A"], bus["main B"], "QT", closed=False)
    create_switch(net, bus["main A"], bus["left"], "QL")
    create_switch(net, bus["main B"], bus["right"], "QR")
    return net, bus


@fresh
def behind_transfer(**more: Any) -> Any:
    """Rack R1 (10 kW) behind transfer T (100 ms, open) between the two mains."""
    net, bus = two_mains()
    (out,) = buses(net, "out")
    create_transfer(net, out, [bus["main A"], bus["main B"]], "T", **more)
    rack(net, [out])
    return net
