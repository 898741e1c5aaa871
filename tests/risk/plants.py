"""A tree of meters with load that moves, and faults put into it, for tests and the benchmark. Synthetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

PARENTS: dict[str, str | None] = {
    "root": None,
    **dict.fromkeys("ABC", "root"),
    **{f"{panel}{k}": panel for panel in "ABC" for k in (1, 2, 3, 4)},
}
LEAVES = [node for node in PARENTS if node not in PARENTS.values()]
CLASS_PERCENT = 0.5
MINUTES = 240
FAULT_MINUTES = 60
SCALE, OFFSET_KW, DRAW_KW, LATE_MINUTES = 1.1, 8.0, 8.0, 10
FAULTS = ("none", "scale", "offset", "stuck", "dead meter", "clock", "unmetered draw", "plant")


@dataclass(frozen=True)
class Scene:
    """Readings with one fault in them: where and what."""

    readings: pd.DataFrame
    parents: Mapping[str, str | None]
    fault: str
    node: str


def above(node: str, parents: Mapping[str, str | None] = PARENTS) -> list[str]:
    """Return a node and all above it."""
    out = [node]
    while (up := parents[out[-1]]) is not None:
        out.append(up)
    return out


def scene(fault: str, seed: int, doubled: bool = False) -> Scene:
    """Return four hours of readings with a fault; ``doubled``: a second meter at every node but the leaves."""
    rng = np.random.default_rng(seed)
    t = np.arange(MINUTES)
    time = pd.date_range("2026-01-01", periods=MINUTES, freq="60s", tz="UTC")
    load = {}
    for leaf in LEAVES:
        wave = 0.2 * np.sin(2 * np.pi * t / MINUTES * rng.uniform(0.5, 2) + rng.uniform(0, 6))
        wander = 0.0075 * np.cumsum(rng.standard_normal(MINUTES)) + 0.02 * rng.standard_normal(MINUTES)
        load[leaf] = rng.uniform(20, 60) * (1 + wave + wander)
    node = str(rng.choice([n for n in PARENTS if n != "root"]))
    draw = np.zeros(MINUTES)
    if fault == "unmetered draw":
        node = str(rng.choice(list("ABC")))
        draw[:] = DRAW_KW
    if fault == "plant":
        node = str(rng.choice(LEAVES))
        load[node][-FAULT_MINUTES:] = 0.0
    meters = [*PARENTS, *([f"{n}#2" for n in PARENTS if n not in LEAVES] if doubled else [])]
    columns = {}
    for meter in meters:
        place = meter.partition("#")[0]
        power = sum(values for leaf, values in load.items() if place in above(leaf))
        if fault == "unmetered draw" and place in above(node):
            power = power + draw
        error = CLASS_PERCENT / 100 * rng.uniform(-1, 1)
        columns[meter] = power * (1 + error) * (1 + 5e-4 * rng.standard_normal(MINUTES))
    frame = pd.DataFrame(columns, index=time)
    last = frame.index[-FAULT_MINUTES:]
    if fault == "scale":
        frame[node] *= SCALE
    elif fault == "offset":
        frame[node] += OFFSET_KW
    elif fault == "stuck":
        frame.loc[last, node] = frame[node].iloc[-FAULT_MINUTES]
    elif fault == "dead meter":
        frame.loc[last, node] = 0.0
    elif fault == "clock":
        frame[node] = frame[node].shift(LATE_MINUTES).bfill()
    return Scene(frame, PARENTS, fault, node)


def verdict_on(scene_: Scene, report: object) -> str:
    """Return "right", "right meter" (but a factor taken for an offset), "named" (among what cannot be told apart), "missed"
    or "wrong"."""
    verdicts = report.verdicts  # type: ignore[attr-defined]
    if scene_.fault == "none":
        return "wrong" if verdicts else "right"
    if not verdicts:
        return "missed"
    first = verdicts[0]
    if first.cause == "ambiguous":
        kind = "unmetered draw at" if scene_.fault == "unmetered draw" else "meter"
        told = {
            f"{'unmetered draw at' if 'drawn at' in first.words else 'meter'} {first.node}",
            *first.alternatives,
        }
        return "named" if f"{kind} {scene_.node}" in told and len(verdicts) == 1 else "wrong"
    if len(verdicts) > 1 or first.node != scene_.node:
        return "wrong"
    if first.cause == scene_.fault:
        return "right"
    return "right meter" if {first.cause, scene_.fault} == {"scale", "offset"} else "wrong"
