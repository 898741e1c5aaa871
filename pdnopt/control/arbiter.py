"""One judge over all problems, so that they never contradict each other.

Order: reroute, shift, reserve, balance. A plan of a lower rank is let out only if

1. no sequence is on its way;
2. the plant is still as it was when the plan was asked for;
3. nothing is wrong: no failure that has not been answered, no load unserved, no overload;
4. no device in it was moved for a higher rank within ``hold_s``;
5. every device in it says reliably where it is and does as it is told.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from pdnopt.plan import Plan

__all__ = ["RANK", "Arbiter", "Proposal"]

SHOWN = 3
"""Devices that an objection names."""

RANK = {"reroute": 0, "shift": 1, "reserve": 2, "balance": 3}


@dataclass(frozen=True)
class Proposal:
    """A plan that asks to be carried out; ``fingerprint`` is of the state that it was made for."""

    problem: str
    plan: Plan
    fingerprint: str


@dataclass
class Arbiter:
    """Remembers who moved what, and says yes or why not.

    Parameters
    ----------
    hold_s : float
        A device that a higher rank has moved stays where it is for so long.
    """

    hold_s: float = 900.0
    _moved: dict[str, tuple[int, float]] = field(default_factory=dict)

    def objection(
        self,
        proposal: Proposal,
        now_s: float,
        fingerprint: str,
        *,
        busy: bool = False,
        wrong: str = "",
        doubtful: Collection[str] = (),
    ) -> str:
        """Return why a plan must not go out now, "" where it may.

        Parameters
        ----------
        now_s : float
            Monotonic.
        fingerprint : str
            Of the plant now.
        busy : bool
            Whether a sequence is on its way.
        wrong : str
            What is wrong with the plant now, "" nothing.
        doubtful : collection of str
            Devices that are not to be relied on.
        """
        rank = RANK[proposal.problem]
        if busy:
            return "a sequence is on its way"
        if proposal.fingerprint != fingerprint:
            return "the plant has changed since"
        devices = {item.device for item in proposal.plan.actions}
        untrusted = sorted(devices & set(doubtful))
        if untrusted:
            more = f" and {len(untrusted) - SHOWN} more" if len(untrusted) > SHOWN else ""
            return f"not to be relied on: {', '.join(untrusted[:SHOWN])}{more}"
        if rank == 0:
            return ""
        if wrong:
            return wrong
        for device in sorted(devices):
            by, at_s = self._moved.get(device, (len(RANK), float("-inf")))
            if by < rank and now_s - at_s < self.hold_s:
                return f"{device} was moved for {_name(by)} {now_s - at_s:.0f} s ago"
        return ""

    def moved(self, problem: str, plan: Plan, now_s: float) -> None:
        """Note that a plan has gone out."""
        for item in plan.actions:
            self._moved[item.device] = (RANK[problem], now_s)


def _name(rank: int) -> str:
    return next(name for name, number in RANK.items() if number == rank)
