"""Better choices by steepest descent: many devices move at once while that helps, at last one by one.

Every row that must hold is a slack (kW, or a part of loading brought to kW). The least slack is raised by lowering
tau log sum exp(-slack / tau), whose gradient prices all choices of all devices in one product of matrices. No randomness.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from pdnopt.allocation.exposure import Core

__all__ = ["Descent", "Target", "soft_least"]

FIRST_PART = 0.1
"""Part of the devices that may move in the first step."""

TAUS = (0.005, 0.002, 0.001)
"""Of the scale: how far from the worst row others count."""

STEPS = 60
"""Steps at each tau."""

SINGLES = 30
"""Single moves tried before a tau is given up."""

FLAT = 1e-9

SWAP_TAUS = (0.002, 0.001, 5e-4)
"""Of the scale, while devices are exchanged."""

SWAPS = 150
"""Exchanges at each tau."""

DIRECTIONS = 8
"""Directions looked at for each exchange."""


@dataclass(frozen=True)
class Target:
    """What is asked for: margins of at least ``margin_kw``, and a spread of at most ``spread`` where that is finite."""

    margin_kw: float
    spread: float = inf


class Descent:
    """Search among whole choices of one core.

    Parameters
    ----------
    formulation : Reserve
    data : Core
    allowed : list of bool arrays, (members, K), by kind
    scale_kw : float
        What margins are measured against.
    """

    def __init__(self, formulation: Any, data: Core, allowed: list[np.ndarray], scale_kw: float) -> None:
        self.formulation, self.data, self.allowed, self.scale_kw = formulation, data, allowed, scale_kw
        self.rows = np.argwhere(np.isfinite(data.rest_kw))
        self._c, self._r, self._v = self.rows.T
        self._rest = data.rest_kw[self._c, self._r, self._v]
        self.spread_rows = np.array(
            [(0, r, v) for v in range(data.n_vectors) for r in data.system], dtype=int
        ).reshape(-1, 3)

    def slack_kw(self, hung_kw: np.ndarray, target: Target) -> np.ndarray:
        """Return the slack of every row beyond the target: margins, then the spread's upper and lower side."""
        margin = self._rest - hung_kw[self._c, self._r, self._v] - target.margin_kw
        if not target.spread < inf or not len(self.spread_rows):
            return np.asarray(margin)
        part = self._part(hung_kw)
        middle = 0.5 * (part.max(axis=0) + part.min(axis=0))
        beyond = (0.5 * target.spread - (part - middle).T.ravel()) * self.scale_kw
        below = (0.5 * target.spread + (part - middle).T.ravel()) * self.scale_kw
        return np.concatenate([margin, beyond, below])

    def _part(self, hung_kw: np.ndarray) -> np.ndarray:
        data = self.data
        return np.asarray((hung_kw[0, data.system] + data.system_base_kw) / data.system_limit_kw[:, None])

    def _prices(self, weight: np.ndarray) -> list[np.ndarray]:
        """Return what each choice adds to the weighted rows, by kind (members, K)."""
        n, m = len(self.rows), len(self.spread_rows)
        rows, dual = self.rows, weight[:n]
        if len(weight) > n:
            scale = self.scale_kw / self.data.system_limit_kw[self.spread_rows[:, 1] - self.data.system[0]]
            rows = np.vstack([rows, self.spread_rows])
            dual = np.r_[dual, (weight[n : n + m] - weight[n + m :]) * scale]
        some = np.abs(dual) > 1e-7 * np.abs(dual).max(initial=0.0)
        return [
            self.formulation.priced(self.data, k, rows[some], dual[some])
            for k in range(len(self.data.choices.kinds))
        ]

    def raise_least(
        self, chosen: np.ndarray, target: Target, deadline_s: float, enough_kw: float = 0.0
    ) -> np.ndarray:
        """Return choices whose least slack is as large as descent finds, at most ``enough_kw``."""
        best = chosen
        for part in TAUS:
            best, least = self._at(best, target, part * self.scale_kw, deadline_s, enough_kw)
            if least >= enough_kw or time.perf_counter() > deadline_s:
                break
        return best

    def _at(
        self, chosen: np.ndarray, target: Target, tau: float, deadline_s: float, enough_kw: float
    ) -> tuple[np.ndarray, float]:
        slack = self.slack_kw(self.data.hung_kw(chosen), target)
        value, batch = soft_least(slack, tau), max(1, int(FIRST_PART * len(chosen)))
        best, least = chosen, float(slack.min(initial=inf))
        for _ in range(STEPS):
            if least >= enough_kw or time.perf_counter() > deadline_s:
                break
            weight = np.exp(-(slack - slack.min()) / tau)
            device, choice = self._gains(chosen, weight / weight.sum())
            moved = False
            for first, last in _portions(len(device), batch):
                trial = chosen.copy()
                trial[device[first:last]] = choice[first:last]
                fresh = self.data.hung_kw(trial)
                fresh_slack = self.slack_kw(fresh, target)
                soft = soft_least(fresh_slack, tau)
                if soft < value - FLAT * abs(value):
                    chosen, slack, value, moved = trial, fresh_slack, soft, True
                    batch = min(2 * (last - first), len(chosen))
                    break
            if not moved:
                break
            if slack.min(initial=inf) > least:
                best, least = chosen, float(slack.min(initial=inf))
        return best, least

    def swap(self, chosen: np.ndarray, target: Target, deadline_s: float, enough_kw: float) -> np.ndarray:
        """Return better choices by exchanging the choices of two devices: what that shifts can be as little as it must.

        Along each of the few directions (from a choice to another) that help most, the device that gains most is moved, and
        every device that stands there is tried as the one that moves back.
        """
        hung, best, reached = self.data.hung_kw(chosen), chosen, -inf
        for tau in (part * self.scale_kw for part in SWAP_TAUS):
            for _ in range(SWAPS):
                slack = self.slack_kw(hung, target)
                least = float(slack.min(initial=inf))
                if least > reached:
                    best, reached = chosen, least
                if reached >= enough_kw or time.perf_counter() > deadline_s:
                    return best
                weight = np.exp(-(slack - least) / tau)
                found = self._best_swap(chosen, hung, target, weight / weight.sum(), least, tau)
                if found is None:
                    break
                d, k, partner = found
                old = int(chosen[d])
                chosen = chosen.copy()
                hung = self._step(hung, d, old, k)
                chosen[d] = k
                if partner >= 0:
                    hung = self._step(hung, partner, k, old)
                    chosen[partner] = old
        return best

    def _best_swap(
        self,
        chosen: np.ndarray,
        hung: np.ndarray,
        target: Target,
        weight: np.ndarray,
        least: float,
        tau: float,
    ) -> tuple[int, int, int] | None:
        """Return a device, its new choice and the device that takes its old one (-1: none), or None where nothing helps."""
        room = self.data.rest_kw - hung - target.margin_kw
        best, value = None, -FLAT
        seen: set[tuple[int, int, int]] = set()
        for d, k in zip(*self._gains(chosen, weight), strict=True):
            kind, old = int(self.data.choices.kind[d]), int(chosen[d])
            if (kind, old, int(k)) in seen:
                continue
            seen.add((kind, old, int(k)))
            members = self.data.choices.members[kind]
            partners = members[(chosen[members] == k) & self.allowed[kind][:, old]]
            change = self._change(room, hung, target, int(d), old, int(k), partners, least, tau)
            j = int(change.argmin())
            if change[j] < value:
                best, value = (int(d), int(k), int(partners[j - 1]) if j else -1), float(change[j])
            if len(seen) >= DIRECTIONS:
                break
        return best

    def _change(
        self,
        room: np.ndarray,
        hung: np.ndarray,
        target: Target,
        d: int,
        old: int,
        new: int,
        partners: np.ndarray,
        least: float,
        tau: float,
    ) -> np.ndarray:
        """Return by how much sum exp(-slack / tau) changes if d moves alone, or with each partner; (1 + partners,)."""
        data = self.data
        stands = data.stands[int(data.choices.kind[d])]
        c = np.arange(len(stands))
        out = np.zeros(1 + len(partners))
        shifts = []
        for gain, power in ((data.kp, data.p_kw), (data.ks, data.s_kva)):
            if not gain.any():
                continue
            there = np.where((stands[:, new] >= 0)[:, None], gain[c, :, np.maximum(stands[:, new], 0)], 0.0)
            here = np.where((stands[:, old] >= 0)[:, None], gain[c, :, np.maximum(stands[:, old], 0)], 0.0)
            moves = np.concatenate([power[:, d : d + 1], power[:, d : d + 1] - power[:, partners]], axis=1)
            shifts.append((there - here, moves))
        touched = np.zeros(room.shape[:2], dtype=bool)
        for diff, _ in shifts:
            touched |= diff != 0.0
        touched &= np.isfinite(room[:, :, 0])
        at_c, at_r = np.nonzero(touched)
        load = sum(diff[at_c, at_r][:, None, None] * moves[at_c] for diff, moves in shifts)
        now = room[at_c, at_r][:, None, :]
        out += np.exp(-(now - load - least) / tau).sum(axis=(0, 2)) - np.exp(-(now - least) / tau).sum()
        if target.spread < inf and len(data.system):
            shift = sum(diff[0, data.system][:, None, None] * moves[0] for diff, moves in shifts)
            for sign in (1.0, 0.0):
                part = hung[0, data.system][:, None, :] + sign * shift + data.system_base_kw[:, None, :]
                part = part / data.system_limit_kw[:, None, None]
                middle = 0.5 * (part.max(axis=0) + part.min(axis=0))
                for side in (1.0, -1.0):
                    slack = (0.5 * target.spread - side * (part - middle)) * self.scale_kw
                    total = np.exp(-(slack - least) / tau).sum(axis=(0, 2))
                    out += total if sign else -total
        return np.asarray(out)

    def _gains(self, chosen: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return devices that gain by a move, and the move; the largest gain first."""
        device, choice, gain = [], [], []
        for k, (members, price) in enumerate(
            zip(self.data.choices.members, self._prices(weight), strict=True)
        ):
            price = np.where(self.allowed[k], price, inf)
            to = price.argmin(axis=1)
            at = np.arange(len(members))
            device.append(members)
            choice.append(to)
            gain.append(price[at, chosen[members]] - price[at, to])
        d, to_choice, g = (np.concatenate(part) for part in (device, choice, gain))
        some = np.flatnonzero(g > 1e-9 * max(g.max(initial=0.0), 1e-12))
        order = some[np.argsort(-g[some], kind="stable")]
        return d[order], to_choice[order]

    def cheapen(
        self, chosen: np.ndarray, cost: tuple[np.ndarray, ...], target: Target, fits: Any, deadline_s: float
    ) -> np.ndarray:
        """Return choices of less cost that keep the target: device by device, the largest saving first.

        ``fits(chosen)`` says whether other limits hold.
        """
        slack_of = self.slack_kw
        hung = self.data.hung_kw(chosen)
        for _ in range(3):
            saving = [
                (float(c[chosen[d]] - c[k]), d, int(k))
                for d, c in enumerate(cost)
                for k in np.flatnonzero(self._may(d) & (c < c[chosen[d]] - 1e-12))
            ]
            saving.sort(key=lambda item: (-item[0], item[1], item[2]))
            better = False
            for _, d, k in saving:
                if time.perf_counter() > deadline_s:
                    return chosen
                if cost[d][k] >= cost[d][chosen[d]] - 1e-12:
                    continue
                step = self._step(hung, d, int(chosen[d]), k)
                if slack_of(step, target).min(initial=inf) < -1e-7:
                    continue
                trial = chosen.copy()
                trial[d] = k
                if fits(trial):
                    chosen, hung, better = trial, step, True
            if not better:
                break
        return chosen

    def _may(self, d: int) -> np.ndarray:
        choices = self.data.choices
        k = int(choices.kind[d])
        return np.asarray(self.allowed[k][int(np.searchsorted(choices.members[k], d))])

    def _step(self, hung_kw: np.ndarray, d: int, old: int, new: int) -> np.ndarray:
        """Return the load of the rows after one device has moved."""
        data = self.data
        stands = data.stands[int(data.choices.kind[d])]
        out = hung_kw.copy()
        c = np.arange(len(stands))
        for choice, sign in ((old, -1.0), (new, 1.0)):
            at = stands[:, choice]
            live = (at >= 0)[:, None, None]
            q = np.maximum(at, 0)
            load = data.kp[c, :, q][:, :, None] * data.p_kw[c, d][:, None, :]
            load = load + data.ks[c, :, q][:, :, None] * data.s_kva[c, d][:, None, :]
            out += sign * np.where(live, load, 0.0)
        return out


def _portions(n: int, batch: int) -> Iterator[tuple[int, int]]:
    """Return which of n moves to try together: the first ``batch``, fewer and fewer, then one by one."""
    size = min(batch, n)
    while size > 1:
        yield 0, size
        size //= 3
    for k in range(min(n, SINGLES)):
        yield k, k + 1


def soft_least(slack: np.ndarray, tau: float) -> float:
    """Return tau log sum exp(-slack / tau): minus the least slack, smoothed."""
    if not len(slack):
        return -inf
    least = float(slack.min())
    return float(tau * np.log(np.exp(-(slack - least) / tau).sum()) - least)
