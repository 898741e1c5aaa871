"""Racks of a hall: powers, who sits where, priorities and cap floors; and load levels.

Powers are drawn (in proportion to 7..22 kW), sorted and dealt out to the groups (pairs of lineups) like
cards, forth and back, and scaled so that each group has its exact part. Within a group a rack goes to the
PDUs that carry least so far. Priorities are 30 % : 40 % : 30 % of the racks, shuffled inside each group.
Cap floors: `cases.racks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import combinations
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cases import ratings as rt
from cases.racks import PART_OF_PRIORITY, floor_parts
from pdnopt.plant import create_racks
from pdnopt.plant.tables import values

if TYPE_CHECKING:
    from cases.bulk import Drawing
    from cases.lineups import Train

__all__ = ["Feeds", "add_racks", "load_level_kw", "with_load"]

LOW_KW, HIGH_KW = 7.0, 22.0
SINGLE_PART = 0.065
"""Part of the racks that has one cord."""
RACKS_PER_STS = 4
CORD_A = (32.0, 63.0)
"""IEC 60309 three-phase circuits of a cord: 22 and 43 kVA at 400 V."""
SMALL_RACK_KW = 12.0
"""Up to this nominal power a rack has 32 A cords: one cord alone carries it at full load of the hall."""
SPREAD = 0.10
"""Standard deviation of a rack's power around its nominal, in a random draw (log-normal, cut at +-25 %)."""


@dataclass
class Feeds:
    """PDU buses by block and lineup; pairs of lineups for two cords, ordered pairs for one cord."""

    pdus: list[list[list[int]]]
    pairs: list[tuple[int, int]]
    ordered: list[tuple[int, int]]
    load_kw: dict[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, train: Train) -> Feeds:
        """Return the feeds of all blocks: every pair of lineups, or in a catcher block each lineup with itself."""
        pdus = [[one.pdus for one in block] for block in train.blocks]
        n = len(train.letters)
        if train.topology == "N+1 catcher":
            return cls(pdus, [(k, k) for k in range(n - 1)], [])
        pairs = list(combinations(range(n), 2))
        return cls(pdus, pairs, pairs + [(b, a) for a, b in pairs])

    def n_single(self, racks: int) -> int:
        """Return how many racks have one cord: near SINGLE_PART, so that the pairs share the rest evenly."""
        n_groups = len(self.pairs) * len(self.pdus)
        if not self.ordered or racks < 4 * n_groups:
            return 0
        about = round(SINGLE_PART * racks)
        return about + min(((racks - about) % n_groups, (racks - about) % n_groups - n_groups), key=abs)

    def draw_sts(
        self, drawing: Drawing, racks: int, full_kw: float, names: list[list[str]]
    ) -> list[list[int]]:
        """Draw the STSs of single-corded racks; return their output buses, one list an ordered pair.

        ``full_kw`` is the average power of a rack when the load is 100 % of installed UPS kW.
        """
        single = self.n_single(racks)
        if not single:
            return []
        groups = len(self.ordered) * len(self.pdus)
        per_group = max(1, ceil(single / groups / RACKS_PER_STS))
        most = ceil(single / groups / per_group)  # racks on one STS
        in_ka = rt.breaker_ka(rt.HEADROOM * most * full_kw / rt.RACK_PF / (sqrt(3.0) * rt.LV_KV) / 1000.0)
        buses = []
        for block, lineups in enumerate(self.pdus):
            turn = [0] * len(lineups)
            for a, b in self.ordered:
                group = []
                for k in range(per_group):
                    name = f"{names[block][a]}-{names[block][b]}" + (f"-{k + 1}" if per_group > 1 else "")
                    bus = drawing.bus(f"STS out {name}", rt.LV_KV)
                    sources = []
                    for side in (a, b):
                        sources.append(lineups[side][turn[side] % len(lineups[side])])
                        turn[side] += 1
                    drawing.sts(f"STS-{name}", bus, sources, in_ka, rt.STS_MS)
                    group.append(bus)
                buses.append(group)
        return buses

    def least_loaded(self, candidates: Sequence[int], kw: float, avoid: int = -1) -> int:
        """Return the PDU that carries least so far, and add ``kw`` to it."""
        best = min((c for c in candidates if c != avoid), key=lambda c: self.load_kw.get(c, 0.0))
        self.load_kw[best] = self.load_kw.get(best, 0.0) + kw
        return best


def add_racks(net: Any, feeds: Feeds, stss: list[list[int]], racks: int, total_kw: float, seed: int) -> None:
    """Add the racks; together they draw ``total_kw``."""
    rng = np.random.default_rng(seed)
    single = feeds.n_single(racks) if stss else 0
    draw = rng.uniform(LOW_KW, HIGH_KW, racks)
    draw *= total_kw / draw.sum()
    rng.shuffle(draw)
    dual_groups = [(block, pair) for block in range(len(feeds.pdus)) for pair in feeds.pairs]
    dual_kw = total_kw * (racks - single) / racks
    dual_kw_of, dual_group = _deal(draw[single:], len(dual_groups), dual_kw)
    priority = _priorities(rng, dual_group, len(dual_groups), single / racks)
    buses = np.empty((racks - single, 2), dtype=int)
    for k in np.argsort(-dual_kw_of, kind="stable"):
        block, (a, b) = dual_groups[dual_group[k]]
        buses[k, 0] = feeds.least_loaded(feeds.pdus[block][a], dual_kw_of[k] / 2)
        buses[k, 1] = feeds.least_loaded(feeds.pdus[block][b], dual_kw_of[k] / 2, avoid=buses[k, 0])
    names = [f"R{k + 1:0{max(4, len(str(racks)))}d}" for k in range(racks)]
    _create(net, rng, buses, names[: racks - single], dual_kw_of, priority)
    if not single:
        return
    single_kw_of, group = _deal(draw[:single], len(stss), total_kw - dual_kw)
    turn = np.zeros(len(stss), dtype=int)
    out = np.empty((single, 1), dtype=int)
    for k, g in enumerate(group):
        out[k, 0] = stss[g][turn[g] % len(stss[g])]
        turn[g] += 1
    less_critical = np.where(np.arange(single) % 3 == 0, 2, 3)
    _create(net, rng, out, names[racks - single :], single_kw_of, less_critical)


def _deal(kw: np.ndarray, n_groups: int, total_kw: float) -> tuple[np.ndarray, np.ndarray]:
    """Deal powers out to groups, forth and back in falling order; scale each group to its part."""
    place = np.arange(len(kw)) % (2 * n_groups)
    group = np.empty(len(kw), dtype=int)
    group[np.argsort(-kw, kind="stable")] = np.minimum(place, 2 * n_groups - 1 - place)
    sums = np.bincount(group, weights=kw, minlength=n_groups)
    used = sums > 0
    scaled = kw * (total_kw / used.sum() / np.where(used, sums, 1.0))[group]
    return scaled, group


def _priorities(rng: np.random.Generator, group: np.ndarray, n_groups: int, single_part: float) -> np.ndarray:
    """Return priorities, shuffled in each group; of single-corded racks 1/3 are priority 2, 2/3 are 3."""
    dual_part = 1.0 - single_part
    ones = PART_OF_PRIORITY[1] / dual_part
    twos = (PART_OF_PRIORITY[2] - single_part / 3.0) / dual_part
    out = np.empty(len(group), dtype=int)
    for g in range(n_groups):
        mine = np.flatnonzero(group == g)
        place = (np.arange(len(mine)) + 0.5) / max(len(mine), 1)
        out[rng.permutation(mine)] = np.where(place < ones, 1, np.where(place < ones + twos, 2, 3))
    return out


def _create(
    net: Any,
    rng: np.random.Generator,
    buses: np.ndarray,
    names: list[str],
    kw: np.ndarray,
    priority: np.ndarray,
) -> None:
    part = floor_parts(rng, priority)
    rows = create_racks(
        net,
        buses,
        names,
        kw / 1000.0,
        power_factor=rt.RACK_PF,
        priority=priority,
        min_p_mw=part * kw / 1000.0,
    )
    amperes = np.where(kw <= SMALL_RACK_KW, *CORD_A)
    net.load.loc[rows.ravel(), "breaker_a"] = np.repeat(amperes, buses.shape[1])


def load_level_kw(net: Any, level: float, seed: int | None = None) -> pd.Series:
    """Return rack powers at a load level.

    Parameters
    ----------
    level : float
        Load over installed UPS power (the sum of ``net.ups.p_rated_mw``).
    seed : int, optional
        Draws each rack around its nominal (both cords alike); without it all racks scale alike.

    Returns
    -------
    pandas.Series : kW, index = the rows of ``net.load`` that are demand; sum = level * installed UPS kW.
    """
    demand = (values(net, "load", "kind") != "ups_input") & net.load["in_service"].to_numpy(bool)
    rows = net.load.loc[demand]
    kw = (rows["p_mw"] * rows["scaling"]).to_numpy(float) * 1000.0
    if seed is not None:
        rack = values(net, "load", "rack")[demand]
        name = np.where(rack == "", rows.index.astype(str), rack)
        unit, units = pd.factorize(name)
        noise = np.random.default_rng(seed).normal(0.0, SPREAD, len(units))
        kw = kw * np.clip(np.exp(noise), 0.75, 1.25)[unit]
    installed_kw = float(net.ups["p_rated_mw"].sum()) * 1000.0
    return pd.Series(kw * (level * installed_kw / kw.sum()), index=rows.index)


def with_load(net: Any, level: float, seed: int | None = None) -> Any:
    """Return a copy of the network at a load level; reactive power follows at constant power factor.

    Cap floors stay as they are in kW, or at the load where that is less.
    """
    out = deepcopy(net)
    kw = load_level_kw(net, level, seed)
    before = (net.load.loc[kw.index, "p_mw"] * net.load.loc[kw.index, "scaling"] * 1000.0).to_numpy(float)
    ratio = np.where(before > 0, kw.to_numpy(float) / np.where(before > 0, before, 1.0), 1.0)
    for column in ("p_mw", "q_mvar"):
        out.load.loc[kw.index, column] = net.load.loc[kw.index, column] * ratio
    if "min_p_mw" in out.load:  # an optional column
        out.load.loc[kw.index, "min_p_mw"] = np.minimum(
            out.load.loc[kw.index, "min_p_mw"].to_numpy(float), out.load.loc[kw.index, "p_mw"].to_numpy(float)
        )
    return out
