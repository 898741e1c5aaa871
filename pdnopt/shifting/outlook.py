"""A solution in words of the plant: where every device stands, what batteries do, what it costs - step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdnopt.shifting.data import Columns, ShiftData

__all__ = ["Bill", "Outlook", "read_outlook"]


@dataclass(frozen=True)
class Bill:
    """The cost of a shift by its parts, kWh-equivalents."""

    expected: float
    nominal: float
    moves: float
    cycling: float
    end: float
    guard: float

    @property
    def total(self) -> float:
        """Everything that is minimised."""
        return self.expected + self.nominal + self.moves + self.cycling + self.end + self.guard

    @property
    def honest(self) -> float:
        """What is expected to be paid: all but the terms that only guide."""
        return self.expected + self.nominal + self.moves + self.cycling


@dataclass(frozen=True)
class Outlook:
    """A decided course of T steps.

    Attributes
    ----------
    position : int, shape (T, D)
    charge_kw, discharge_kw, stored_kwh : float, shape (T, B)
        Of the batteries; stored at the end of the step.
    cap_kw : float, shape (V, J, N)
        Caps before anything fails.
    beyond_kw : float, shape (T,)
        What no cap can keep within limits.
    at_stake : float, shape (T,)
        Expected kWh-equivalents lost to failures in the step.
    unsafe : tuple of (name, kW)
        Single failures that the end state would not carry, the worst first.
    """

    position: np.ndarray
    charge_kw: np.ndarray
    discharge_kw: np.ndarray
    stored_kwh: np.ndarray
    cap_kw: np.ndarray
    beyond_kw: np.ndarray
    at_stake: np.ndarray
    unsafe: tuple[tuple[str, float], ...]
    bill: Bill

    def moves(self, held: np.ndarray) -> np.ndarray:
        """Return which devices move at the beginning of each step, bool (T, D)."""
        before = np.vstack([held[None, :], self.position[:-1]])
        return np.asarray(self.position != before)


def read_outlook(
    data: ShiftData, columns: Columns, cost: np.ndarray, x: np.ndarray, constant: float
) -> Outlook:
    """Read a point of the programme; ``cost`` is its objective's coefficients."""
    n_steps = data.course.n_steps
    position = x[columns.x].argmax(axis=2).T
    at_stake = (cost[columns.x] * x[columns.x]).sum(axis=(0, 2))
    expected = float(at_stake.sum())
    n_failures = len(data.failures)
    for stake, at in zip(data.failures, columns.shed[1 : 1 + n_failures], strict=True):
        lost = (cost[at] * x[at]).sum(axis=(1, 2)) + stake.fixed_loss * stake.p
        np.add.at(at_stake, stake.step, lost)
        expected += float(lost.sum())
    nominal = float(
        (cost[columns.shed[0]] * x[columns.shed[0]]).sum() + cost[columns.slack] @ x[columns.slack]
    )
    nominal += float(data.nominal.fixed_loss @ data.nominal.p)
    moves = float((cost[columns.m] * x[columns.m]).sum())
    cycling = float(sum((cost[at] * x[at]).sum() for at in (columns.charge, columns.discharge)))
    ends = columns.shed[1 + n_failures :]
    end = float(sum((cost[at] * x[at]).sum() for at in ends))
    total = float(cost @ x) + constant
    bill = Bill(expected, nominal, moves, cycling, end, total - expected - nominal - moves - cycling - end)
    left = [
        (stake.name, float(x[at].sum(axis=(1, 2)).max())) for stake, at in zip(data.ends, ends, strict=True)
    ]
    beyond = np.zeros(n_steps)
    np.maximum.at(beyond, data.nominal.step, x[columns.slack])
    return Outlook(
        position=position,
        charge_kw=x[columns.charge].sum(axis=2).T,
        discharge_kw=x[columns.discharge].sum(axis=2).T,
        stored_kwh=x[columns.e].T,
        cap_kw=x[columns.shed[0]],
        beyond_kw=beyond,
        at_stake=at_stake,
        unsafe=tuple(sorted((item for item in left if item[1] > 0.05), key=lambda item: -item[1])),
        bill=bill,
    )
