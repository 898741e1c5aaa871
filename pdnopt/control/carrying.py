"""The sequence that is on its way, if one is: begun, driven step by step, given up when something fails on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pdnopt.alarms import Board
from pdnopt.control.arbiter import Arbiter
from pdnopt.control.picture import Picture
from pdnopt.control.settings import LoopSettings
from pdnopt.control.trust import Trust
from pdnopt.control.verifying import Verifier
from pdnopt.executor import Execution, Executor, State, procedure_of, recoveries
from pdnopt.journal import Journal
from pdnopt.plan import Plan
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.commands import digest

__all__ = ["Carrier"]

LEAST_WAIT_S = 0.01


@dataclass(frozen=True)
class _Sequence:
    """What is carried out: for which problem, which plan, and what had failed when it was made."""

    problem: str
    plan: Plan
    failed: tuple[str, ...]
    execution: Execution


@dataclass
class Carrier:
    """Has plans carried out, one at a time.

    Parameters
    ----------
    executor : Executor
    journal : Journal
    clock : Clock
    settings : LoopSettings
    arbiter, board, trust
        Hear what goes out and how it ends.
    own_s : mapping
        Device -> the time that it takes for itself.
    confirm : callable, optional
        Asks a person about a step in an area whose mode is Manual; returns who has confirmed it, or None.
    """

    executor: Executor
    journal: Journal
    clock: Clock
    settings: LoopSettings
    arbiter: Arbiter
    board: Board
    trust: Trust
    own_s: Mapping[str, float]
    confirm: Callable[[Any], str | None] | None = None
    _now: _Sequence | None = None

    @property
    def busy(self) -> bool:
        """Whether a sequence is on its way."""
        return self._now is not None

    def begin(
        self,
        problem: str,
        plan: Plan,
        verifier: Verifier,
        picture: Picture,
        failed: tuple[str, ...],
        trigger: str,
        judged: Plan,
        origin_s: float,
        fencing: int,
    ) -> None:
        """Write a plan down and begin it. ``judged`` is what the checker has seen; ``plan`` what of it is sent.

        Its times count from ``origin_s``, when the plant was looked at: a plan that took long to make is late.
        """
        text = plan.to_json()
        self.journal.plan(
            self.clock.utc_s(), digest(text), problem, trigger, "verified", picture.fingerprint, text
        )
        back = recoveries(judged, verifier.errors) if len(judged.actions) else {}
        procedure = procedure_of(
            plan, fencing, self.own_s, back, self.settings.valid_s, self.settings.slack_s
        )
        self._now = _Sequence(problem, plan, failed, self.executor.begin(procedure, origin_s))
        self.arbiter.moved(problem, plan, self.clock.monotonic_s())

    def poll(self) -> State | None:
        """Do what is due; return how the sequence has ended, None while it goes on. An error of the journal is raised."""
        if self._now is None:
            return None
        execution = self._now.execution
        execution.poll()
        step = execution.awaited
        if step is not None:
            who = self.confirm(step) if self.confirm is not None else None
            if who:
                execution.confirm(step.number, who)
            else:
                execution.abort(f"step {step.number} was not confirmed")
        return self._finish(self._now) if execution.final else None

    def wait_s(self) -> float:
        """Return how long there is nothing to do for the sequence."""
        return LEAST_WAIT_S if self._now is None else max(self._now.execution.wait_s(), LEAST_WAIT_S)

    def look(self, picture: Picture) -> None:
        """Give the sequence up where something has failed since it was planned."""
        if self._now is None:
            return
        known = {name.partition("@")[0] for name in self._now.failed}
        new = [name for name in picture.failed if name.partition("@")[0] not in known]
        if new:
            self._now.execution.abort(f"{', '.join(new)} failed on the way")

    def abort(self, why: str) -> None:
        """Send no further step."""
        if self._now is not None and not self._now.execution.final:
            self._now.execution.abort(why)

    def drop(self) -> None:
        """Forget the sequence: nothing may be sent any more."""
        self._now = None

    def _finish(self, done: _Sequence) -> State:
        """Say how it ended, and whom not to count on."""
        self._now = None
        execution, t_s = done.execution, self.clock.utc_s()
        for device in execution.unknown:
            self.trust.withdraw(device)
        if execution.state is State.DONE:
            self.board.end(t_s, "", "stopped")
            self.trust.restore(item.device for item in done.plan.actions)
        self.journal.event(
            t_s,
            "ended",
            problem=done.problem,
            plan=digest(done.plan.to_json()),
            state=str(execution.state),
            reason=execution.reason,
        )
        return execution.state
