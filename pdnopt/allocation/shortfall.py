"""Where no allocation carries every contingency: the smallest changes that would make one.

Three ways, each by itself: more capacity (choices free, an LP in which every row may be widened at 1 a kW, the same kW for
all rows of a component), less load (choices as found: every device's load may be capped), one more position for a tap.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from scipy.sparse import csr_array, hstack, vstack

from pdnopt.allocation.exposure import Core, Frame
from pdnopt.allocation.inputs import Vectors
from pdnopt.allocation.positions import fewest_positions
from pdnopt.engine.highs import HighsModel

__all__ = ["Shortfall"]

MAX_ROUNDS = 30
MOST_NAMED = 4
POSITIONS_KW = 0.1
"""How near to its best the margin with more positions is sought before they are counted."""

FEW_CHOICES = 20_000
"""Up to so many choices the capacity LP leaves all of them free; beyond, it keeps those found."""


class Shortfall:
    """What an allocation lacks under one core."""

    def __init__(self, core: Core, frame: Frame, formulation: Any, vectors: Vectors) -> None:
        self.core, self.frame, self.formulation, self.vectors = core, frame, formulation, vectors

    def notes(self, chosen: np.ndarray, deadline_s: float) -> tuple[str, ...]:
        """Return in words what is missing and what would help."""
        out = []
        names = self.row_names()
        capacity = self.capacity_kw(chosen, deadline_s)
        if capacity is not None:
            total, by_row = capacity
            parts = [f"{names[r]} {kw:.1f} kW" for r, kw in _largest(by_row)]
            out.append(
                f"every contingency would be carried with {total:.1f} kW more capacity: {', '.join(parts)}"
            )
        cap = self.cap_kw(chosen)
        if cap is not None:
            total, by_device = cap
            parts = [f"{self.core.choices.name[d]} {kw:.1f} kW" for d, kw in _largest(by_device)]
            out.append(f"or with {total:.1f} kW of load capped: {', '.join(parts)}")
        else:
            out.append("capping the load behind the devices alone would not be enough")
        out.append(self._positions(deadline_s))
        return tuple(out)

    def _positions(self, deadline_s: float) -> str:
        """Return in words which devices would need one more position."""
        choices = self.core.choices
        found = fewest_positions(self.formulation, self.core, self.frame, POSITIONS_KW, deadline_s)
        if found is None:
            return "no one more position for each device was found to be enough"
        parts = [f"{choices.name[d]} at {choices.station_name[q]}" for d, q in found.added[:MOST_NAMED]]
        more = f" and {len(found.added) - MOST_NAMED} more" if len(found.added) > MOST_NAMED else ""
        least = "" if found.bound == len(found.added) else f" (at least {found.bound} are needed)"
        word = "position" if len(found.added) == 1 else "positions"
        return f"or with {len(found.added)} more {word}{least}: {', '.join(parts)}{more}"

    def row_names(self) -> list[str]:
        """Return the component of each row of the core; of components that carry the same, the first that binds."""
        return [self.frame.reader.components.name[e] for e in self.core.component]

    def capacity_kw(self, chosen: np.ndarray, deadline_s: float) -> tuple[float, np.ndarray] | None:
        """Return the least capacity to be added in all, and by row, in kW of load: a lower bound and its split (LP)."""
        core = self.core
        n_rows = core.rest_kw.shape[1]
        if sum(int(may.sum()) for may in self.frame.allowed) > FEW_CHOICES:
            short = np.maximum(-(core.rest_kw - core.hung_kw(chosen)).min(axis=(0, 2)), 0.0)
            return float(short.sum()), short
        pairs = [(d, int(k)) for d, may in enumerate(self.frame.allowed) for k in np.flatnonzero(may)]
        device, choice = np.array([d for d, _ in pairs]), np.array([k for _, k in pairs])
        n = len(pairs)
        rows = np.zeros((0, 3), dtype=int)
        slack = core.rest_kw - core.hung_kw(chosen)
        one = csr_array((np.ones(n), (device, np.arange(n))), shape=(len(core.choices.name), n + n_rows))
        x = None
        for _ in range(MAX_ROUNDS):
            fresh = _tightest(slack, rows)
            if x is not None and not len(fresh):
                break
            rows = np.vstack([rows, fresh])
            block = csr_array(self.formulation.coefficients(core, device, choice, rows))
            wide = csr_array(
                (-np.ones(len(rows)), (np.arange(len(rows)), rows[:, 1])), shape=(len(rows), n_rows)
            )
            matrix = csr_array(vstack([one, hstack([block, wide])]))
            rest = core.rest_kw[rows[:, 0], rows[:, 1], rows[:, 2]]
            model = HighsModel(relax=True)
            n_one = one.shape[0]
            model.load(
                matrix,
                np.r_[np.ones(n_one), np.full(len(rows), -np.inf)],
                np.r_[np.ones(n_one), rest],
                np.zeros(n + n_rows),
                np.r_[np.ones(n), np.full(n_rows, 1e7)],
                np.zeros(n + n_rows, dtype=bool),
            )
            model.set_cost(np.r_[np.zeros(n), np.ones(n_rows)])
            outcome = model.solve(deadline_s)
            if outcome.x is None or time.perf_counter() > deadline_s:
                return None
            x = outcome.x
            weights = [
                np.zeros((len(m), s.shape[1])) for m, s in zip(core.choices.members, core.stands, strict=True)
            ]
            for d, k, weight in zip(device, choice, x[:n], strict=True):
                kind = int(core.choices.kind[d])
                weights[kind][int(np.searchsorted(core.choices.members[kind], d)), k] = weight
            slack = core.rest_kw + x[n:][None, :, None] - core.hung_by_parts_kw(weights)
        assert x is not None
        return float(x[n:].sum()), x[n:]

    def cap_kw(self, chosen: np.ndarray) -> tuple[float, np.ndarray] | None:
        """Return the least load to be capped in all, and by device, kW, with the choices as they are; None: not enough."""
        core = self.core
        slack = core.rest_kw - core.hung_kw(chosen)
        rows = np.argwhere(slack < -1e-6)
        n = len(chosen)
        if not len(rows):
            return 0.0, np.zeros(n)
        block = self.formulation.coefficients(core, np.arange(n), chosen, rows)
        short = -slack[rows[:, 0], rows[:, 1], rows[:, 2]]
        load_kw = np.maximum(core.p_kw.max(axis=(0, 2)), 1e-9)
        model = HighsModel(relax=True)
        matrix = csr_array(block)
        model.load(
            matrix, short, np.full(len(rows), np.inf), np.zeros(n), np.ones(n), np.zeros(n, dtype=bool)
        )
        model.set_cost(load_kw)
        outcome = model.solve()
        if outcome.x is None:
            return None
        return float(outcome.objective), outcome.x * load_kw


def _tightest(slack: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return rows that are broken, not known yet: of every component and vector the tightest scenario."""
    c = slack.argmin(axis=0)
    least = np.take_along_axis(slack, c[None], axis=0)[0]
    r, v = np.nonzero(least < -1e-6)
    seen = {tuple(row) for row in known.tolist()}
    return np.array(
        [row for row in np.column_stack([c[r, v], r, v]).tolist() if tuple(row) not in seen], dtype=int
    ).reshape(-1, 3)


def _largest(values_kw: np.ndarray) -> list[tuple[int, float]]:
    order = np.argsort(-values_kw, kind="stable")[:MOST_NAMED]
    return [(int(k), float(values_kw[k])) for k in order if values_kw[k] > 1e-6]
