"""What is solved while nothing is wrong: shift, reserve and balance at their own periods, and plans for what may fail next.

One question at a time, and nobody waits for its answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pdnopt.alarms import Board, Severity
from pdnopt.control.beliefs import Beliefs
from pdnopt.control.desk import Answer, Ask
from pdnopt.control.foresight import Foresight
from pdnopt.control.picture import Picture
from pdnopt.control.planner import Planner
from pdnopt.control.playbook import Playbook
from pdnopt.control.settings import LoopSettings
from pdnopt.journal import Journal

__all__ = ["Ahead", "Job"]

HARD_FACTOR = 1.5


@dataclass(frozen=True)
class Job:
    """What is being solved, and for which state; ``contingency`` for the playbook only."""

    problem: str
    ask: Ask
    picture: Picture
    contingency: str = ""


@dataclass
class Ahead:
    """Asks, and hands out what came of it.

    Parameters
    ----------
    planner : Planner
        Not the one that answers failures, unless it is of this process.
    """

    planner: Planner
    playbook: Playbook
    foresight: Foresight
    board: Board
    journal: Journal
    settings: LoopSettings
    job: Job | None = None
    _due_s: dict[str, float] = field(default_factory=dict)

    def turn(self, picture: Picture, seen: Beliefs, now_s: float) -> tuple[str, Job, Answer] | str:
        """Ask the next question, or look for an answer; return what is going on, or a problem's answer.

        Parameters
        ----------
        now_s : float
            Monotonic.
        """
        if self.job is None:
            self.job = self._next(picture, seen, now_s)
            if self.job is None:
                return "watches"
            self.planner.begin(self.job.ask, self.settings.ahead_s * HARD_FACTOR)
        answer = self.planner.result()
        if answer is None:
            return f"watches; {self.job.problem} is being solved"
        job, self.job = self.job, None
        if job.contingency:
            self.playbook.keep(job.picture.fingerprint, job.contingency, answer)
            return f"prepares: {len(self.playbook.missing(picture))} contingencies left"
        return job.problem, job, answer

    def _next(self, picture: Picture, seen: Beliefs, now_s: float) -> Job | None:
        periods = {
            "shift": self.settings.shift_s,
            "reserve": self.settings.reserve_s,
            "balance": self.settings.balance_s,
        }
        for problem, period_s in periods.items():
            if period_s is None or now_s < self._due_s.setdefault(problem, now_s + period_s):
                continue
            self._due_s[problem] = now_s + period_s
            ask = self._question(problem, picture, seen)
            if ask is not None:
                return Job(problem, ask, picture)
        found = self.playbook.question(picture) if self.settings.playbook else None
        return None if found is None else Job("playbook", found[1], picture, found[0])

    def _question(self, problem: str, picture: Picture, seen: Beliefs) -> Ask | None:
        t_s = picture.t_s
        risk = self.foresight.risk(picture, seen, t_s) if problem != "balance" else None
        for component, reason, repair in self.foresight.advice():
            if not self.board.has(component, "wear"):
                self.journal.event(t_s, "maintenance", component=component, reason=reason, repair=repair)
            self.board.raise_alarm(t_s, component, "wear", Severity.WARNING, reason, repair)
        if problem == "shift" and risk is None:
            return None
        loads = self.foresight.loads(picture, t_s)
        if loads is not None:
            self.journal.forecast(t_s, loads)
        return Ask(problem, picture.numbers, (), self.settings.ahead_s, risk, loads)
