"""The least cost of a small shift by trying every sequence of positions, with sums written out: no model, no response."""

from __future__ import annotations

from itertools import product

import numpy as np

from tests.shift.rows import Drawn

__all__ = ["best", "cost_of"]

WEIGHT = {1: 10.0, 2: 3.0, 3: 1.0}
INTERRUPTION_H = 1.25
WEAR_KWH = 0.08
HORIZON_H = 1.0
HOLDUP_MS = 20.0
LEVEL = 0.9
STEP_S = 300.0


def best(drawn: Drawn) -> tuple[float, list[tuple[int, ...]]]:
    """Return the least cost and a sequence that has it."""
    states = list(product(*(range(len(rack["sources"])) for rack in drawn.racks)))
    states = [state for state in states if within(drawn, state)]
    loss = {state: {h: after(drawn, state, h) for h in drawn.hazards} for state in states}
    end = {state: sum(must_go(drawn, state, [name]) for name in ups_names(drawn)) for state in states}
    found = (np.inf, [])
    for sequence in product(states, repeat=drawn.n_steps):
        cost = cost_of(drawn, list(sequence), loss, end)
        if cost < found[0] - 1e-12:
            found = (cost, list(sequence))
    return found


def ups_names(drawn: Drawn) -> list[str]:
    return [f"ups:UPS-{'ABC'[k]}" for k in range(len(drawn.ups_kw))]


def within(drawn: Drawn, state: tuple[int, ...]) -> bool:
    """Whether no UPS is over its rating with nothing failed."""
    load = [0.0] * len(drawn.ups_kw)
    for rack, position in zip(drawn.racks, state, strict=True):
        load[rack["sources"][position]] += rack["kw"]
    for rack in drawn.fixed:
        load[rack["boards"][0]] += rack["kw"]
    return all(kw <= rating + 1e-9 for kw, rating in zip(load, drawn.ups_kw, strict=True))


def ends(drawn: Drawn, state: tuple[int, ...], failed: list[str]) -> list[int | None]:
    """Return the UPS on which each device ends, None for none; the first living one of its order."""
    dead = {"ABC".index(name[-1]) for name in failed if name.startswith("ups:")}
    out: list[int | None] = []
    for k, (rack, position) in enumerate(zip(drawn.racks, state, strict=True)):
        name = f"transfer:T{k + 1}"
        if name in failed:
            out.append(None)
            continue
        order = [position] if f"{name}@stuck" in failed else _order(rack, position)
        living = [rack["sources"][p] for p in order if rack["sources"][p] not in dead]
        out.append(living[0] if living else None)
    return out


def _order(rack: dict, position: int) -> list[int]:
    """Where it stands, then the preferred position, then table order; preferred is where it stands at first."""
    first = [position, rack["on"]]
    return list(dict.fromkeys([*first, *range(len(rack["sources"]))]))


def must_go(drawn: Drawn, state: tuple[int, ...], failed: list[str]) -> float:
    """Return what is over the living UPSs' ratings, the least critical first, weighted kWh."""
    dead = {"ABC".index(name[-1]) for name in failed if name.startswith("ups:")}
    hangs: dict[int, list[tuple[int, float]]] = {k: [] for k in range(len(drawn.ups_kw)) if k not in dead}
    for rack, at in zip(drawn.racks, ends(drawn, state, failed), strict=True):
        if at is not None:
            hangs[at].append((rack["priority"], rack["kw"]))
    for rack in drawn.fixed:
        if rack["boards"][0] not in dead:
            hangs[rack["boards"][0]].append((rack["priority"], rack["kw"]))
    cost = 0.0
    for k, loads in hangs.items():
        over = sum(kw for _, kw in loads) - drawn.ups_kw[k]
        for priority, kw in sorted(loads, reverse=True):
            gone = min(max(over, 0.0), kw)
            over -= gone
            cost += WEIGHT[priority] * gone * HORIZON_H
    return cost


def after(drawn: Drawn, state: tuple[int, ...], hazard: str) -> float:
    """Return the expected kWh-equivalents that a failure costs in a state."""
    failed = hazard.split(" + ")
    dead = {"ABC".index(name[-1]) for name in failed if name.startswith("ups:")}
    cost = must_go(drawn, state, failed)
    for rack in drawn.fixed:
        if rack["boards"][0] in dead:
            cost += WEIGHT[rack["priority"]] * rack["kw"] * (HORIZON_H + INTERRUPTION_H)
    for rack, position, end in zip(drawn.racks, state, ends(drawn, state, failed), strict=True):
        dark = WEIGHT[rack["priority"]] * rack["kw"] * (HORIZON_H + INTERRUPTION_H)
        blink = WEIGHT[rack["priority"]] * rack["kw"] * INTERRUPTION_H
        if end is None:
            cost += dark
        elif rack["sources"][position] in dead:
            stays = rack["fail_auto"] if rack["auto"] else 0.0
            slow = not rack["auto"] or rack["transfer_ms"] > HOLDUP_MS
            cost += stays * dark + (1.0 - stays) * blink * slow
    return cost


def cost_of(drawn: Drawn, sequence: list[tuple[int, ...]], loss: dict, end: dict) -> float:
    """Return the cost of a sequence of states; infinite where it breaks a limit on moves."""
    moves = np.zeros((drawn.n_steps, len(drawn.racks)), dtype=bool)
    before = tuple(rack["on"] for rack in drawn.racks)
    cost = 0.0
    for t, state in enumerate(sequence):
        for d, rack in enumerate(drawn.racks):
            if state[d] == before[d]:
                continue
            moves[t, d] = True
            dark = WEIGHT[rack["priority"]] * rack["kw"] * (HORIZON_H + INTERRUPTION_H)
            blink = WEIGHT[rack["priority"]] * rack["kw"] * INTERRUPTION_H * (rack["transfer_ms"] > HOLDUP_MS)
            cost += rack["fail_move"] * dark + (1.0 - rack["fail_move"]) * blink
            cost += WEAR_KWH * rack["move_cost"] * (1.0 + 1e-3 * t)
        before = state
    kw = np.array([rack["kw"] for rack in drawn.racks])
    if (moves.sum(axis=1) > drawn.keywords.get("max_moves", np.inf)).any():
        return np.inf
    if (moves @ kw > drawn.keywords.get("max_shift_kw", np.inf)).any():
        return np.inf
    for d, rack in enumerate(drawn.racks):
        when = np.flatnonzero(moves[:, d]) * STEP_S
        if (np.diff(when) < rack["min_dwell_s"]).any():
            return np.inf
    p, losses = [], []
    for h, hazard in enumerate(drawn.hazards):
        still = 1.0
        for t, state in enumerate(sequence):
            p.append(still * drawn.p[h, t])
            losses.append(loss[state][hazard])
            still *= 1.0 - drawn.p[h, t]
    q, lost = np.array(p), np.array(losses)
    return cost + float(q @ lost) + end[sequence[-1]] + drawn.keywords["guard"] * _tail(q, lost)


def _tail(q: np.ndarray, lost: np.ndarray) -> float:
    """Return the sum of probabilities times the mean of the worst (1 - LEVEL) part of the losses."""
    total = q.sum()
    if total <= 0:
        return 0.0
    left, out = (1.0 - LEVEL) * total, 0.0
    for k in np.argsort(-lost):
        part = min(q[k], left)
        out += part * lost[k]
        left -= part
    return out / (1.0 - LEVEL)
