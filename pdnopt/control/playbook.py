"""Plans for what may fail next, made while nothing has failed: one for every contingency of the present state."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pdnopt.candidates import contingencies
from pdnopt.control.desk import Answer, Ask
from pdnopt.control.picture import Picture
from pdnopt.plan import Plan

__all__ = ["Playbook", "likely"]

KEPT_STATES = 4
PREPARED = ("ups", "ext_grid", "trafo", "transfer", "storage")


def likely(net: Any) -> list[str]:
    """Return the contingencies that plans are made for unless it is said otherwise."""
    return [name for name in contingencies(net) if name.partition(":")[0] in PREPARED]


@dataclass
class Playbook:
    """Plans by state and by what fails.

    A plan belongs to the positions, modes and failures that it was made for (`Picture.fingerprint`); that the loads have
    moved on is for the checker to judge when it is needed.

    Parameters
    ----------
    components : sequence of str
        What may fail, one at a time.
    time_limit_s : float
        For each plan.
    """

    components: Sequence[str]
    time_limit_s: float = 1.0
    _pages: OrderedDict[str, dict[str, Plan | None]] = field(default_factory=OrderedDict)

    def missing(self, picture: Picture) -> list[str]:
        """Return the contingencies of which this state has no plan yet."""
        page = self._pages.get(picture.fingerprint, {})
        return [name for name in self.components if name not in page and name not in picture.failed]

    def question(self, picture: Picture) -> tuple[str, Ask] | None:
        """Return a contingency of which this state has no plan yet, and what to ask; None where it has all."""
        self._pages.setdefault(picture.fingerprint, {})
        self._pages.move_to_end(picture.fingerprint)
        while len(self._pages) > KEPT_STATES:
            self._pages.popitem(last=False)
        for name in self.missing(picture)[:1]:
            failed = tuple(sorted({*picture.failed, name}))
            return name, Ask("reroute", picture.numbers, failed, self.time_limit_s)
        return None

    def keep(self, fingerprint: str, name: str, answer: Answer) -> None:
        """Keep what came of a question.

        One that found no plan is not asked again in this state, unless the solver was late or has died.
        """
        if answer.status not in ("late", "died") and fingerprint in self._pages:
            self._pages[fingerprint][name] = answer.plan

    def plan_for(self, fingerprint: str, before: Sequence[str], now: Sequence[str]) -> Plan | None:
        """Return the plan that a state had for what has failed since; None where there is none."""
        page = self._pages.get(fingerprint, {})
        for name in now:
            if name in before:
                continue
            found = page.get(name) or page.get(name.partition("@")[0])
            if found is not None:
                return found
        return None
