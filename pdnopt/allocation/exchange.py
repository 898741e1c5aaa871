"""Better choices by exchange: one device moves, or two exchange the way they behave, whatever helps most.

Every row that must hold is a slack (kW; a part of loading is brought to kW). What is lowered is the least slack, smoothed,
tau log sum exp(-slack / tau), plus a price for what the devices cost. Its gradient prices every behaviour of every device
in one product of matrices; of the directions - from one behaviour to another - that promise most, all pairs of devices are
judged exactly, again by one product: exp(-(slack - a + b) / tau) = exp(-slack / tau) exp(a / tau) exp(-b / tau). tau falls
from step to step, and rises again a few times. No randomness, and steps are counted, not seconds: the same input gives the
same answer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import inf

import numpy as np

from pdnopt.allocation.ledger import Ledger

__all__ = ["Exchange", "Target"]

DEVICES = 400
"""Devices looked at in one step, others in the next."""

FIRST = 10
"""A first step moves at most one device in so many at once."""

ALIKE = 24
"""Devices that behave alike and are judged in one step; ROLLED: so many places further, others are."""

ROLLED = 37

DIRECTIONS = 12
"""Directions judged in one step; MORE where none of these helps."""

MORE = 48

CEILING = 250.0
"""Largest exponent: what is so much worse need not be known exactly."""

KEPT = 1e-7
"""Kilowatts by which a target may be missed and count as kept: rounding."""

LEAST = 1e-4
"""Of tau: a smaller gain is none."""


@dataclass(frozen=True)
class Target:
    """What is asked for: margins of at least ``margin_kw``, and a spread of at most ``spread`` where that is finite."""

    margin_kw: float
    spread: float = inf


@dataclass
class _Rows:
    """The rows of one target, and where the search stands.

    The rows of the spread follow those of the margins: for each reserve system and vector an upper and a lower one, around
    the middle of the loadings as they are.
    """

    section: np.ndarray
    gain: tuple[np.ndarray, ...]
    rest: np.ndarray
    n_margin: int
    half_kw: float
    load: np.ndarray
    shape: tuple[int, int]
    starts: np.ndarray
    sections: np.ndarray

    def slack(self) -> np.ndarray:
        """Return the slack of every row, kW."""
        out = self.rest - self.load
        if self.half_kw < inf:
            upper = self.load[self.n_margin : self.n_margin + self.shape[0] * self.shape[1]]
            part = upper.reshape(self.shape)
            middle = np.tile(0.5 * (part.max(axis=0) + part.min(axis=0)), self.shape[0])
            out[self.n_margin :] = self.half_kw + np.r_[middle - upper, upper - middle]
        return np.asarray(out)


@dataclass(frozen=True)
class _Scaled:
    """exp(power / tau) and its inverse, around the mean of each section; (D + 1, T), the last device being nobody."""

    tau: float
    out: np.ndarray
    back: np.ndarray

    @staticmethod
    def of(powers: tuple[np.ndarray, ...], tau: float) -> _Scaled:
        """Return them for the sections of kW, and of kVA behind them."""
        power = np.concatenate(powers, axis=1)
        power = np.vstack([power, np.zeros((1, power.shape[1]))])
        exponent = np.clip((power - power.mean(axis=0)) / tau, -CEILING, CEILING)
        return _Scaled(tau, np.exp(exponent), np.exp(-exponent))


class _Bill:
    """What devices cost by behaviour, (D, B), what is paid for it in kW of least slack, and the most that it may be."""

    def __init__(self, cost: np.ndarray, price_kw: float, most: float) -> None:
        self.cost, self.price_kw, self.most = cost, price_kw, most
        self.priced = price_kw * cost
        self._at = np.arange(len(cost))

    def spent(self, behaviour: np.ndarray) -> float:
        """Return what all devices cost together."""
        return float(self.cost[self._at, behaviour].sum())


class Exchange:
    """Search among whole choices.

    Parameters
    ----------
    ledger : Ledger
    scale_kw : float
        What margins, and loadings of reserve systems, are measured against.
    """

    def __init__(self, ledger: Ledger, scale_kw: float) -> None:
        self.ledger, self.scale_kw = ledger, scale_kw
        self.may = ledger.choice_of >= 0
        self.n, self.n_behaviours = self.may.shape
        self.steps = 0

    def rows(self, behaviour: np.ndarray, target: Target) -> _Rows:
        """Return the rows of a target, loaded as the devices behave."""
        ledger = self.ledger
        section, gain = ledger.section, ledger.gain
        rest, load = ledger.rest_kw - target.margin_kw, ledger.load_kw(behaviour)
        n_margin, shape = len(rest), (len(ledger.system_limit_kw), ledger.n_vectors)
        if target.spread < inf and shape[0]:
            scale = self.scale_kw / ledger.system_limit_kw[:, None]
            sides = tuple(np.repeat(one * scale, ledger.n_vectors, axis=0) for one in ledger.spread_gain)
            part = (ledger.system_part(behaviour) * self.scale_kw).ravel()
            v = np.tile(np.arange(ledger.n_vectors), shape[0])
            section = np.r_[section, v, v]
            gain = tuple(np.vstack([one, side, -side]) for one, side in zip(gain, sides, strict=True))
            rest, load = np.r_[rest, np.zeros(2 * len(part))], np.r_[load, part, -part]
        half = 0.5 * target.spread * self.scale_kw if len(rest) > n_margin else inf
        starts = np.flatnonzero(np.diff(section, prepend=-1) != 0)
        n_sections = ledger.power[0].shape[1]
        sections = np.concatenate([section[starts] + k * n_sections for k in range(len(gain))])
        return _Rows(section, gain, rest, n_margin, half, load, shape, starts, sections)

    def loaded(self, rows: _Rows, behaviour: np.ndarray) -> np.ndarray:
        """Return the load of the rows if devices behave so."""
        load = self.ledger.load_kw(behaviour)
        if len(rows.load) == rows.n_margin:
            return np.asarray(load)
        part = (self.ledger.system_part(behaviour) * self.scale_kw).ravel()
        return np.asarray(np.r_[load, part, -part])

    def least_kw(self, behaviour: np.ndarray, target: Target) -> float:
        """Return the least slack."""
        return float(self.rows(behaviour, target).slack().min(initial=inf))

    def improve(
        self,
        behaviour: np.ndarray,
        target: Target,
        taus: tuple[float, ...],
        *,
        enough_kw: float = 0.0,
        cost: np.ndarray | None = None,
        price_kw: float = 0.0,
        most: float = inf,
        steps: int = 10_000,
        deadline_s: float = inf,
    ) -> np.ndarray:
        """Return behaviours whose least slack is as large as the search finds, at most ``enough_kw``.

        Parameters
        ----------
        behaviour : int, shape (D,)
        target : Target
        taus : tuple of float
            Parts of the scale, from the first to the last.
        cost : float, shape (D, B), optional
            What each device costs by its behaviour; ``price_kw`` of least slack is paid for 1 of it.
        most : float
            What all devices may cost together.
        steps : int
            Moves and exchanges at most.
        """
        rows, now = self.rows(behaviour, target), behaviour.copy()
        best, reached = behaviour, float(rows.slack().min(initial=inf))
        bill = _Bill(np.zeros(self.may.shape) if cost is None else cost, price_kw, most)
        last = self.steps + steps
        for part in taus:
            tau, idle, offset = part * self.scale_kw, 0, 0
            scaled = _Scaled.of(self.ledger.power, tau)
            batch = max(1, self.n // FIRST)
            while batch > 0 and self.steps < last and time.perf_counter() < deadline_s:
                batch = self._leap(rows, now, bill, tau, batch)
            least = float(rows.slack().min(initial=inf))
            if least > reached:
                best, reached = now.copy(), least
            while reached < enough_kw and self.steps < last and time.perf_counter() < deadline_s:
                members, whole = self._members(offset)
                offset += 1
                if not self._step(rows, now, bill, members, scaled):
                    idle += 1
                    if idle >= whole:
                        break
                    continue
                idle = 0
                least = float(rows.slack().min(initial=inf))
                if least > reached:
                    best, reached = now.copy(), least
        return best

    def cheapen(
        self, behaviour: np.ndarray, target: Target, cost: np.ndarray, deadline_s: float
    ) -> np.ndarray:
        """Return behaviours of less cost that keep a target: device by device, the largest saving first."""
        rows, now = self.rows(behaviour, target), behaviour.copy()
        at = np.arange(self.n)
        better = rows.slack().min(initial=inf) >= -KEPT
        while better:
            better = False
            saving = np.where(self.may, cost[at, now][:, None] - cost, 0.0)
            d, b = np.nonzero(saving > 1e-9)
            for i in np.lexsort((b, d, -saving[d, b])):
                device, new, old = int(d[i]), int(b[i]), int(now[d[i]])
                if cost[device, new] >= cost[device, old] - 1e-9:
                    continue
                if time.perf_counter() > deadline_s:
                    return now
                change = self._shift(rows, device, -1, old, new)
                rows.load += change
                if rows.slack().min(initial=inf) < -KEPT:
                    rows.load -= change
                    continue
                now[device], better = new, True
        return now

    def _leap(self, rows: _Rows, now: np.ndarray, bill: _Bill, tau: float, batch: int) -> int:
        """Move many devices at once, as many as help, at most ``batch``; return how many next time (0: none did)."""
        slack = rows.slack()
        weight = np.exp(-(slack - slack.min(initial=inf)) / tau)
        everybody = np.arange(self.n)
        gain = self._gains(rows, now, bill.priced, everybody, weight / weight.sum())
        to = gain.argmax(axis=1)
        best = gain[everybody, to]
        order = np.lexsort((everybody, -best))
        order = order[best[order] > LEAST * tau][:batch]
        value, size = soft_kw(slack, tau), len(order)
        while size:
            mine = order[:size]
            trial = now.copy()
            trial[mine] = to[mine]
            was = rows.load
            rows.load = self.loaded(rows, trial)
            paid = bill.price_kw * (bill.spent(trial) - bill.spent(now))
            better = soft_kw(rows.slack(), tau) + paid < value - LEAST * tau
            if better and bill.spent(trial) <= bill.most + 1e-9:
                now[mine] = to[mine]
                self.steps += 1
                return 2 * size
            rows.load = was
            size //= 3
        return 0

    def _members(self, offset: int) -> tuple[np.ndarray, int]:
        """Return the devices of a step, and in how many steps all have had their turn."""
        turns = -(-self.n // DEVICES)
        members = np.arange(offset % turns, self.n, turns)
        return np.roll(members, -ROLLED * offset), turns

    def _step(self, rows: _Rows, now: np.ndarray, bill: _Bill, members: np.ndarray, scaled: _Scaled) -> bool:
        """Make the best exchanges that can be found among some devices; return whether there was one."""
        slack, tau = rows.slack(), scaled.tau
        least = float(slack.min(initial=inf))
        weight = np.exp(-(slack - least) / tau)
        total = float(weight.sum())
        weight /= total
        members = members[np.argsort(now[members], kind="stable")]
        at = now[members]
        first = np.searchsorted(at, np.arange(self.n_behaviours + 1))
        score = self._by_direction(self._gains(rows, at, bill.priced[members], members, weight), first)
        pair = np.maximum(score, score + score.T)
        pair = np.where(
            (pair > score.T) | (np.triu(pair) > 0.0), pair, -inf
        )  # of two that are one exchange, the first
        top = np.argpartition(-pair.ravel(), min(MORE, pair.size - 1))[:MORE]
        top = top[np.lexsort((top, -pair.ravel()[top]))]
        top = top[pair.ravel()[top] > 0.0]
        for some in (top[:DIRECTIONS], top[DIRECTIONS:]):
            if len(some):
                found = self._pairs(rows, weight, scaled, some, members, first, bill)
                if self._make(rows, now, bill, tau, least, total, found):
                    return True
        return False

    def _pairs(
        self,
        rows: _Rows,
        weight: np.ndarray,
        scaled: _Scaled,
        directions: np.ndarray,
        members: np.ndarray,
        first: np.ndarray,
        bill: _Bill,
    ) -> list[tuple[float, int, int, int, int]]:
        """Return for each direction the best device to go and the one that comes back (-1: none), with what it promises.

        exp(a s / tau) of a row that a pair loads with a part s of its power a is taken for 1 + s (exp(a / tau) - 1): exact
        for a whole part, as most are, else on the safe side.
        """
        old, new = np.divmod(directions, self.n_behaviours)
        more, less = [], []
        starts = rows.starts
        for gain in rows.gain:
            shift = (gain[:, new] - gain[:, old]) * weight[:, None]
            more.append(np.add.reduceat(np.maximum(shift, 0.0), starts, axis=0))
            less.append(np.add.reduceat(np.maximum(-shift, 0.0), starts, axis=0))
        up, down = np.concatenate(more).T, np.concatenate(less).T  # directions x sections
        go, goes = _block(members, first, old)
        back, comes = _block(members, first, new)
        go = np.where(goes, go, 0)
        goes &= self.may[go, new[:, None]]
        comes &= self.may[back, old[:, None]]
        back = np.concatenate([np.full((len(old), 1), self.n), back], axis=1)  # the last row: nobody
        sections = rows.sections
        out = scaled.out[go[:, :, None], sections] * up[:, None, :]
        out = np.concatenate([out, scaled.back[go[:, :, None], sections] * down[:, None, :]], axis=2)
        home = np.concatenate(
            [scaled.back[back[:, :, None], sections], scaled.out[back[:, :, None], sections]], axis=2
        )
        then = out @ home.transpose(0, 2, 1)
        change = scaled.tau * np.log(np.maximum(1.0 + then - (up + down).sum(axis=1)[:, None, None], 1e-300))
        change += (bill.priced[go, new[:, None]] - bill.priced[go, old[:, None]])[:, :, None]
        partner = back[:, 1:]
        change[:, :, 1:] += (bill.priced[partner, old[:, None]] - bill.priced[partner, new[:, None]])[
            :, None, :
        ]
        change = np.where(goes[:, :, None], change, inf)
        change[:, :, 1:] = np.where(comes[:, None, :], change[:, :, 1:], inf)
        flat = change.reshape(len(old), -1)
        best = flat.argmin(axis=1)
        found = []
        for j, (flat_at, value) in enumerate(
            zip(best.tolist(), flat[np.arange(len(old)), best].tolist(), strict=True)
        ):
            if value < -LEAST * scaled.tau:
                i, m = divmod(flat_at, back.shape[1])
                found.append((value, int(go[j, i]), int(back[j, m]) if m else -1, int(old[j]), int(new[j])))
        return sorted(found)

    def _make(
        self,
        rows: _Rows,
        now: np.ndarray,
        bill: _Bill,
        tau: float,
        least: float,
        total: float,
        found: list[tuple[float, int, int, int, int]],
    ) -> bool:
        """Make those exchanges that help after those before them; return whether there was one."""
        done: set[int] = set()
        value, spent = tau * np.log(total) - least, bill.spent(now)
        for _, d, e, old, new in found:
            if d in done or e in done:
                continue
            change = self._shift(rows, d, e, old, new)
            more = bill.cost[d, new] - bill.cost[d, old]
            more += bill.cost[e, old] - bill.cost[e, new] if e >= 0 else 0.0
            rows.load += change
            after = soft_kw(rows.slack(), tau)
            dear = more > 0.0 and spent + more > bill.most + 1e-9
            if dear or after + bill.price_kw * more > value - LEAST * tau:
                rows.load -= change
                continue
            value, spent = after, spent + more
            now[d] = new
            if e >= 0:
                now[e] = old
            done |= {d, e} - {-1}
            self.steps += 1
        return bool(done)

    def _gains(
        self, rows: _Rows, at: np.ndarray, priced: np.ndarray, members: np.ndarray, weight: np.ndarray
    ) -> np.ndarray:
        """Return what each device gains by each behaviour, to first order, kW; (members, B)."""
        price = priced.copy()
        some = np.flatnonzero(weight > 1e-6 * weight.max(initial=0.0))
        section = rows.section[some]
        first = np.flatnonzero(np.diff(section, prepend=-1) != 0)
        at_section, part = (members[:, None], section[first]), weight[some, None]
        for power, gain in zip(self.ledger.power, rows.gain, strict=True):
            price += power[at_section] @ np.add.reduceat(part * gain[some], first, axis=0)
        own = price[np.arange(len(members)), at]
        return np.where(self.may[members], own[:, None] - price, -inf)

    def _by_direction(self, gain: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Return the largest gain of any device from each behaviour to each other, (B, B).

        ``first``: where the devices of each behaviour begin, (B + 1,).
        """
        out = np.full((self.n_behaviours, self.n_behaviours), -inf)
        filled = np.flatnonzero(np.diff(first) > 0)
        if len(filled):
            out[filled] = np.maximum.reduceat(gain, first[filled], axis=0)
        np.fill_diagonal(out, -inf)
        return out

    def _shift(self, rows: _Rows, d: int, e: int, old: int, new: int) -> np.ndarray:
        """Return by how much each row is loaded more."""
        out = np.zeros(len(rows.load))
        for power, gain in zip(self.ledger.power, rows.gain, strict=True):
            more = power[d] - (power[e] if e >= 0 else 0.0)
            out += (gain[:, new] - gain[:, old]) * more[rows.section]
        return out


def _block(members: np.ndarray, first: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the devices of some behaviours, (n, most), and which of these entries are devices."""
    count = first[of + 1] - first[of]
    place = np.arange(min(int(count.max(initial=0)), ALIKE))
    at = np.minimum(first[of][:, None] + place, len(members) - 1)
    return members[at], place < count[:, None]


def soft_kw(slack: np.ndarray, tau: float) -> float:
    """Return tau log sum exp(-slack / tau): minus the least slack, smoothed."""
    least = float(slack.min(initial=inf))
    return float(tau * np.log(np.exp(-(slack - least) / tau).sum()) - least)
