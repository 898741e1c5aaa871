"""The programme of T steps with some load vectors each, as arrays: one block a step and load vector.

Blocks of a step share what is decided (p, q, s, b of every inverter): a set-point holds for each of its load vectors. Each
term is the mean of the blocks'. With h the length of a step, R the ramp, e stored energy, c and d what a battery takes and
gives:

    term = mean of the blocks' terms                                                            (C1)
    b_t = d_t - c_t,  |b_t| counts as c_t + d_t                                                 (C2)
    e_t = e_(t-1) + h (eta_c c_t - d_t / eta_d),   least <= e_t <= most                         (C3)
    |p_t - p_(t-1)| <= R,  |q_t - q_(t-1)| <= R                                                 (C4)

Units: pu of 100 kW, energy in pu of 100 kWh. What a battery takes and gives at once only burns energy: effort forbids it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from scipy.sparse import block_diag, coo_array, csr_array, vstack

from pdnopt.balancing.compilation import Compilation, Linear
from pdnopt.balancing.data import Nothing, Point

__all__ = ["CoursePoint", "Stack", "nothing_of"]

SHARED = ("p", "q", "s", "b", "b_abs")


@dataclass(frozen=True)
class CoursePoint:
    """The numbers of one solve.

    Attributes
    ----------
    points : tuple of Point
        One a block.
    step_h : float
    ramp : float
        pu; inf: none.
    stored, least, most : float, shape (I,)
        pu of energy; ``follows``: inverters whose battery is followed.
    charge, discharge : float, shape (I,)
    eta_charge, eta_discharge : float, shape (I,)
    """

    points: tuple[Point, ...]
    step_h: float
    ramp: float
    follows: np.ndarray
    stored: np.ndarray
    least: np.ndarray
    most: np.ndarray
    charge: np.ndarray
    discharge: np.ndarray
    eta_charge: np.ndarray
    eta_discharge: np.ndarray


class Stack:
    """Blocks of one compilation, with the interface of a `Compilation`.

    Parameters
    ----------
    base : Compilation
        Of one step.
    steps : int, shape (K,)
        The step of each block, 0 ... T - 1.
    terms : tuple of str
    """

    def __init__(self, base: Compilation, steps: np.ndarray, terms: tuple[str, ...]) -> None:
        self.base, self.steps, self.terms = base, steps, terms
        self.blocks, self.n_steps = len(steps), int(steps.max()) + 1
        shared = np.concatenate([base.column[name] for name in SHARED])
        own = np.setdiff1d(np.arange(base.n), shared)
        size = len(base.column["b"])
        self._spread = [
            np.arange(base.n) for _ in range(self.blocks)
        ]  # column of the base -> column here, by block
        for k, step in enumerate(steps):
            self._spread[k][shared] = step * len(shared) + np.arange(len(shared))
            self._spread[k][own] = self.n_steps * len(shared) + k * len(own) + np.arange(len(own))
        self.extra = self.n_steps * len(shared) + self.blocks * len(own)
        at = self.extra + np.arange(3 * self.n_steps * size).reshape(3, self.n_steps, size)
        self.charge, self.discharge, self.stored = at
        after = self.extra + 3 * self.n_steps * size
        self.n = after + len(terms)
        first = {int(step): k for k, step in reversed(list(enumerate(steps)))}
        self._first = [first[step] for step in range(self.n_steps)]
        self.column = {
            **{f"t_{term}": np.array([after + j]) for j, term in enumerate(terms)},
            "spread": self._spread[0][base.column["spread"]],
        }
        nz = sum(len(place) for place in base.places.values())
        self._nz = nz
        self.places = {
            name: np.concatenate([place + k * nz for k in range(self.blocks)])
            for name, place in base.places.items()
        }
        self._ramps = 4 * (self.n_steps - 1) * 3 * size
        count = base.family.max(initial=-1) + 1
        families = [base.family + k * count for k in range(self.blocks)]
        self.family = np.concatenate([*families, self.blocks * count + np.arange(self._ramps)])
        rows = len(base.family)
        beside = [base.beside + k * rows for k in range(self.blocks)]
        alone = self.blocks * rows + np.repeat(np.arange(self._ramps)[:, None], 3, axis=1)
        self.beside = np.concatenate([*beside, alone])
        sizes = [np.where(base.size_column < 0, -1, at[base.size_column]) for at in self._spread]
        self.size_column = np.concatenate([*sizes, np.full(self._ramps, -1)])
        self.n_equal = self.blocks * base.n_equal + len(terms) + 3 * self.n_steps * size

    def concerns(self, name: str) -> np.ndarray:
        """Return which rows of the pool have a variable in them."""
        return np.concatenate(
            [np.tile(self.base.concerns(name), self.blocks), np.zeros(self._ramps, dtype=bool)]
        )

    def at(self, point: CoursePoint) -> Linear:
        """Return the programme at a point."""
        parts = [self.base.at(each) for each in point.points]
        low, high = np.full(self.n, -inf), np.full(self.n, inf)
        for part, at in zip(parts, self._spread, strict=True):
            low[at], high[at] = np.maximum(low[at], part.low), np.minimum(high[at], part.high)
        self._bounds(point, low, high)
        rows, level = self._equations(point)
        ramps = self._ramp_rows()
        pool = vstack([*(self._wide(part.pool, k) for k, part in enumerate(parts)), ramps])
        none = csr_array((self._ramps, self._nz * self.blocks))
        inner = csr_array(block_diag([part.pool_defined for part in parts]))
        return Linear(
            equal=csr_array(vstack([*(self._wide(part.equal, k) for k, part in enumerate(parts)), rows])),
            level=np.concatenate([*(part.level for part in parts), level]),
            low=low,
            high=high,
            pool=csr_array(pool),
            pool_defined=csr_array(vstack([inner, none])),
            floor=np.concatenate([*(part.floor for part in parts), np.full(self._ramps, -point.ramp)]),
            put=csr_array(vstack([self._wide(part.put, k) for k, part in enumerate(parts)])),
            at_zero=np.concatenate([part.at_zero for part in parts]),
        )

    def values(self, linear: Linear, u: np.ndarray) -> dict[str, np.ndarray]:
        """Return what is decided by step, (T, ...); what equations define by block, (K, ...), flat."""
        z = linear.defined(u)
        out = {name: z[place] for name, place in self.places.items()}
        for name in SHARED:
            at = [self._spread[k][self.base.column[name]] for k in self._first]
            out[name] = u[np.array(at)]
        return out | {"stored": u[self.stored], "charge": u[self.charge], "discharge": u[self.discharge]}

    def _wide(self, matrix: csr_array, block: int) -> csr_array:
        """Return a matrix of a block in the columns of all."""
        entries = coo_array(matrix)
        at = (entries.row, self._spread[block][entries.col])
        return csr_array((entries.data, at), shape=(matrix.shape[0], self.n))

    def _bounds(self, point: CoursePoint, low: np.ndarray, high: np.ndarray) -> None:
        follows = point.follows
        for at, least, most in (
            (self.charge, np.zeros(len(follows)), point.charge),
            (self.discharge, np.zeros(len(follows)), point.discharge),
            (self.stored, point.least, point.most),
        ):
            low[at] = np.where(follows, least, 0.0)
            high[at] = np.where(follows, most, 0.0)
        for k in self._first:
            b = self._spread[k][self.base.column["b"]]
            low[b] = np.where(follows, -point.charge, low[b])
            high[b] = np.where(follows, point.discharge, high[b])

    def _equations(self, point: CoursePoint) -> tuple[csr_array, np.ndarray]:
        """(C1), (C2), (C3)."""
        size = len(point.follows)
        rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        level = np.zeros(len(self.terms) + 3 * self.n_steps * size)
        for j, term in enumerate(self.terms):
            blocks = np.array([at[self.base.column[f"t_{term}"]].item() for at in self._spread])
            rows.append((np.full(len(blocks), j), blocks, np.full(len(blocks), -1.0 / len(blocks))))
            rows.append((np.array([j]), self.column[f"t_{term}"], np.ones(1)))
        used = np.where(point.follows, 1.0, 0.0)
        for t, first in enumerate(self._first):
            power = len(self.terms) + t * size + np.arange(size)
            energy = power + self.n_steps * size
            size_of = energy + self.n_steps * size
            b, b_abs = (self._spread[first][self.base.column[name]] for name in ("b", "b_abs"))
            rows += [
                (size_of, b_abs, used), (size_of, self.discharge[t], -used), (size_of, self.charge[t], -used),
                (power, b, used), (power, self.discharge[t], -np.ones(size)), (power, self.charge[t], np.ones(size)),
                (energy, self.stored[t], np.ones(size)),
                (energy, self.charge[t], -used * point.step_h * point.eta_charge),
                (energy, self.discharge[t], used * point.step_h / point.eta_discharge),
            ]  # fmt: skip
            if t:
                rows.append((energy, self.stored[t - 1], -used))
            else:
                level[energy] = used * point.stored
        row, column, data = (np.concatenate(part) for part in zip(*rows, strict=True))
        return csr_array((data, (row, column)), shape=(len(level), self.n)), level

    def _ramp_rows(self) -> csr_array:
        """(C4), as ``row @ u >= -R``."""
        pairs = []
        for t in range(1, self.n_steps):
            for name in ("p", "q"):
                now, before = (self._spread[self._first[s]][self.base.column[name]] for s in (t, t - 1))
                pairs += [(now, before), (before, now)]
        if not pairs:
            return csr_array((0, self.n))
        plus, minus = (np.concatenate(side) for side in zip(*pairs, strict=True))
        row = np.arange(len(plus))
        data = np.r_[np.ones(len(plus)), -np.ones(len(plus))]
        return csr_array((data, (np.r_[row, row], np.r_[plus, minus])), shape=(len(plus), self.n))


def nothing_of(nothing: Nothing | None, blocks: int) -> Nothing | None:
    """Return when nothing is left of the leading terms in any block; their values are means."""
    if nothing is None:
        return None

    def measure(values: dict[str, Any]) -> dict[str, float]:
        each = [
            nothing.measure({name: np.split(values[name], blocks)[k] for name in nothing.boxes})
            for k in range(blocks)
        ]
        return {term: float(np.mean([found[term] for found in each])) for term in each[0]}

    boxes = {name: np.tile(half, blocks) for name, half in nothing.boxes.items()}
    return Nothing(nothing.terms, boxes, nothing.idle, measure)
