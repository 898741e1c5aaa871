"""What to do, never silence: the best plan that is verified in time, else one that was made before, else shed what is least
critical, else hold.

Every rung ends at the same gate: the independent checker, in this process, on the plant as it is now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pdnopt.control.desk import Answer, Ask
from pdnopt.control.picture import Picture, Pictures, with_numbers
from pdnopt.control.planner import Planner
from pdnopt.control.playbook import Playbook
from pdnopt.control.relief import relief_plan
from pdnopt.control.verifying import Verifier, fitted
from pdnopt.errors import PdnoptError
from pdnopt.plan import Plan
from pdnopt.response import respond_network

__all__ = ["Decision", "Ladder", "Rung"]

MOST_ISSUES = 3


class Rung(StrEnum):
    """Where a decision comes from."""

    SOLVED = "solved now"
    PLAYBOOK = "from the playbook"
    RELIEF = "by shedding the least critical load"
    HOLD = "hold"


@dataclass(frozen=True)
class Decision:
    """What is to be done, and why it is that.

    ``plan`` is None where nothing may be done; ``tried`` says of each rung above why it was not taken.
    """

    rung: Rung
    plan: Plan | None
    verifier: Verifier
    unserved_kw: float = float("nan")
    tried: tuple[str, ...] = ()
    answer: Answer | None = None


@dataclass
class Ladder:
    """The fallback ladder of one plant.

    Parameters
    ----------
    pictures : Pictures
    planner : Planner
    playbook : Playbook
    soft_s, hard_s : float
        After ``soft_s`` the solver gives the best it has; after ``hard_s`` it is killed.
    """

    pictures: Pictures
    planner: Planner
    playbook: Playbook
    soft_s: float = 1.0
    hard_s: float = 2.5

    def reroute(
        self,
        picture: Picture,
        failed: Sequence[str],
        stable: str = "",
        stable_failed: Sequence[str] = (),
        wrong: bool = True,
    ) -> Decision:
        """Decide what to do about what has failed.

        Parameters
        ----------
        picture : Picture
            Now.
        failed : sequence of str
            What cannot be counted on: what has failed, and what does not do as it is told.
        stable : str
            Fingerprint of the last quiet state, whose page of the playbook is looked at.
        stable_failed : sequence of str
            What had failed then.
        wrong : bool
            Whether something is overloaded or dark: only then load is shed without a solver.
        """
        verifier = Verifier(with_numbers(self.pictures.base, picture.numbers), failed)
        tried: list[str] = []
        ask = Ask("reroute", picture.numbers, tuple(failed), self.soft_s)
        answer = self.planner.answer(ask, self.hard_s)
        if answer.plan is not None:
            refused = self._refused(verifier, answer.plan)
            if not refused:
                return Decision(Rung.SOLVED, answer.plan, verifier, answer.unserved_kw, (), answer)
            tried.append(f"solved now: the checker refuses it: {refused}")
        else:
            tried.append(f"solved now: {answer.status}: {answer.why}".rstrip(": "))
        found = self.playbook.plan_for(stable, stable_failed, failed)
        if found is None:
            tried.append("playbook: no plan for this")
        else:
            try:
                plan = fitted(found, verifier.net, failed, picture.demand_kw)
            except PdnoptError as error:
                tried.append(f"playbook: {error}")
            else:
                refused = self._refused(verifier, plan)
                if not refused:
                    return Decision(Rung.PLAYBOOK, plan, verifier, float("nan"), tuple(tried), answer)
                tried.append(f"playbook: the checker refuses it: {refused}")
        if wrong:
            try:
                automatic = respond_network(verifier.net, list(failed)).automatic
            except PdnoptError as error:
                tried.append(f"relief: {error}")
            else:
                relief = relief_plan(self.pictures, picture, failed, automatic, verifier.errors)
                if relief is not None:
                    return Decision(Rung.RELIEF, relief, verifier, float("nan"), tuple(tried), answer)
                tried.append("relief: not even shedding all that may be shed is enough")
        return Decision(Rung.HOLD, None, verifier, float("nan"), tuple(tried), answer)

    def _refused(self, verifier: Verifier, plan: Plan) -> str:
        if tuple(plan.failed) != verifier.failed:
            return f"it answers {', '.join(plan.failed) or 'nothing'}"
        errors = verifier.errors(plan)
        return "; ".join(f"{issue.kind} {issue.id}".strip() for issue in errors[:MOST_ISSUES])
