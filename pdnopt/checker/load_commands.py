"""Caps, sheds and restores: judged and carried out as arrays, since a plan may hold ten thousand of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from pdnopt.checker import tolerances as tol
from pdnopt.checker.demand_view import TABLES, DemandView
from pdnopt.checker.findings import Findings
from pdnopt.checker.outage import Outage
from pdnopt.checker.situation import Situation, Supply

__all__ = ["LOAD_TABLES", "LOAD_WORDS", "LoadCommands", "all_finite", "is_number", "plainly_numbered"]

LOAD_TABLES = ("rack", "load", "asymmetric_load")
LOAD_WORDS = ("cap", "shed", "restore")
_CAP, _SHED, _RESTORE = range(3)
_EXACT = (float, int, bool, str, type(None))


def is_number(value: Any) -> bool:
    """True for a real number that is no truth value (NaN and inf are numbers)."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(
        value, bool | np.bool_
    )


def all_finite(values: Collection[Any]) -> bool:
    """Return whether all are plain and finite floats; False says no more than that they must be looked at."""
    return set(map(type, values)) <= {float} and bool(
        np.isfinite(np.fromiter(values, dtype=float, count=len(values))).all()
    )


def plainly_numbered(item: Any) -> bool:
    """Return whether an action's time and both its ends are beyond doubt what numbers must be."""
    t_s, before, after = item.t_s, item.before, item.after
    return (
        type(t_s) is float
        and 0.0 <= t_s < np.inf
        and not (type(before) is float and not isfinite(before))
        and not (type(after) is float and not isfinite(after))
        and type(before) in _EXACT
        and type(after) in _EXACT
    )


@dataclass(frozen=True)
class LoadCommands:
    """Well-formed commands to units, in order; arrays have shape (commands,).

    Attributes
    ----------
    items : list of Action
    unit : int
    word : int
        Position in ``LOAD_WORDS``.
    before_kw, after_kw : float
        ``before`` is NaN where the plan says no number.
    """

    items: list[Any]
    unit: np.ndarray
    word: np.ndarray
    before_kw: np.ndarray
    after_kw: np.ndarray

    @staticmethod
    def of(items: Sequence[Any], demand: DemandView) -> LoadCommands:
        """Return well-formed load commands as arrays."""
        before = [float(item.before) if is_number(item.before) else np.nan for item in items]
        return LoadCommands(
            items=list(items),
            unit=np.array([demand.at[item.device] for item in items], dtype=int),
            word=np.array([LOAD_WORDS.index(item.action) for item in items], dtype=int),
            before_kw=np.array(before, dtype=float),
            after_kw=np.array([float(item.after) for item in items], dtype=float),
        )

    def check(self, s: Situation, now: Supply, demand: DemandView, out: Outage, findings: Findings) -> None:
        """Judge the commands against the situation in which they are given together."""
        d_kw, was_kw = demand.d_kw[self.unit], s.may_kw[self.unit]
        slack_kw = tol.SETPOINT * d_kw + tol.POWER_KW
        shed = self.word == _SHED
        other = ~(np.abs(self.before_kw - was_kw) <= slack_kw)
        not_off = shed & (self.after_kw > slack_kw)
        kept = shed & ~demand.sheddable[self.unit]
        kept[kept] = self._alive(kept, now, demand, out)
        outside = (self.after_kw < demand.floor_kw[self.unit] - slack_kw) | (self.after_kw > d_kw + slack_kw)
        outside &= ~shed
        more = (self.word == _CAP) & (self.after_kw > was_kw + slack_kw)
        less = (self.word == _RESTORE) & (self.after_kw < was_kw - slack_kw)
        for n in np.flatnonzero(other | not_off | kept | outside | more | less):
            item, k, was = self.items[n], self.unit[n], float(was_kw[n])
            after = float(self.after_kw[n])
            told = []
            if other[n]:
                allowed = f"before = {was!r}, as it stands then"
                told.append(("StateMismatch", item.before, allowed, "Solve again from the state as it is."))
            if not_off[n]:
                told.append(("BadAction", after, "0 kW when shed", "Use cap for a lower power."))
            if kept[n]:
                told.append(("Unsheddable", after, "a load that may be shed", "Shed or cap other load."))
            if outside[n]:
                allowed = f"{demand.floor_kw[k]:g} to {demand.d_kw[k]:g} kW, or 0 when shed"
                told.append(("CapLimit", after, allowed, "Cap within its limits, or shed it."))
            if more[n]:
                told.append(("BadAction", after, f"a cap below {was:g} kW", "Use restore to give more."))
            if less[n]:
                told.append(("BadAction", after, f"more than {was:g} kW", "Use cap to give less."))
            for kind, value, allowed, todo in told:
                findings.add(kind, f"plan.step[{item.step}]", item.device, value, allowed, todo)

    def apply(self, s: Situation) -> None:
        """Carry the commands out in place."""
        s.may_kw[self.unit] = self.after_kw

    def _alive(self, which: np.ndarray, now: Supply, demand: DemandView, out: Outage) -> np.ndarray:
        """Return whether the units of some commands have a living cord."""
        alive = []
        for k in self.unit[which]:
            cords = slice(demand.start[k], demand.start[k + 1] if k + 1 < demand.n else len(demand.unit))
            pairs = zip(demand.table[cords], demand.row[cords], strict=True)
            dead = np.array([out.row_dead[TABLES[t]][r] for t, r in pairs], dtype=bool)
            alive.append(bool((now.live[demand.node[cords]] & demand.works[cords] & ~dead).any()))
        return np.array(alive, dtype=bool)
