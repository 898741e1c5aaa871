"""The control loop: sense, validate, forecast, risk, solve, check, execute, read back, journal - every interval, and at once
when something happens.

One thread. Time, ways to the devices, disk and solver are handed in, so that a simulated day is the same twice and the same
code runs a real plant. Whatever goes wrong in it, the order is: first nothing unsafe (no command without the journal, the
lease, a checked plan and known devices), then the best that can still be done, then a person is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from pdnopt.alarms import Alarm, Board, Severity
from pdnopt.control.ahead import Ahead
from pdnopt.control.arbiter import Arbiter, Proposal
from pdnopt.control.beliefs import Beliefs, Believing
from pdnopt.control.carrying import Carrier
from pdnopt.control.desk import Answer
from pdnopt.control.foresight import Foresight
from pdnopt.control.ladder import Decision, Ladder, Rung
from pdnopt.control.lease import Lease, LeaseError
from pdnopt.control.picture import Picture, Pictures, with_numbers
from pdnopt.control.planner import Planner
from pdnopt.control.playbook import Playbook, likely
from pdnopt.control.settings import LoopSettings
from pdnopt.control.standing import (
    Standing,
    out_of_count,
    overloaded,
    pinned_numbers,
    standing_of,
    stay_plan,
    worse,
)
from pdnopt.control.telling import sees_enough, tell_lateness, tell_state
from pdnopt.control.ticks import Tick, is_idle, write_tick
from pdnopt.control.timekeeping import SteadyClock
from pdnopt.control.times import own_times_s
from pdnopt.control.triggers import Memory, trigger_of
from pdnopt.control.trust import Trust
from pdnopt.control.verifying import Verifier, as_carried_out
from pdnopt.control.watching import PollingWatch, Watch
from pdnopt.errors import PdnoptError
from pdnopt.executor import Executor, Modes, Paths, State
from pdnopt.journal import Journal, JournalError
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.readings import Quality

__all__ = ["ControlLoop", "LoopSettings", "Tick"]

WRITE_S = 60.0
MOST_LOOKS = 10
"""Times that the plant is read again while a device is on its way; one that takes longer is planned around."""


class ControlLoop:
    """The controller of one plant.

    Parameters
    ----------
    net : pandapowerNet
        As given and valid: what there is, and how it is rated. How it stands is read from the devices.
    paths : Paths
        The ways to the devices.
    journal : Journal
    clock : Clock
    planner : Planner
    modes : Modes
        Of the areas.
    lease : Lease, optional
        Where a standby may take over; without one this controller leads, with token 1.
    watch : Watch, optional
        Default: polls the devices that say how the plant is switched.
    beat : callable, optional
        Tells every device that the leader lives (token); the devices' watchdogs listen for it.
    told : callable, optional
        Hears every new alarm; must not block.
    background : Planner, optional
        Solves what is no answer to a failure; default: ``planner``, which must then be one of this process.
    foresight : Foresight, optional
    settings : LoopSettings, optional
    components : sequence of str, optional
        What the playbook is prepared for; default: sources, UPSs, transformers, transfer devices and batteries.
    confirm : callable, optional
        Asks a person about a step in an area whose mode is Manual; returns who has confirmed it, or None.
    """

    def __init__(
        self,
        net: Any,
        paths: Paths,
        journal: Journal,
        clock: Clock,
        planner: Planner,
        modes: Modes,
        *,
        lease: Lease | None = None,
        watch: Watch | None = None,
        beat: Callable[[int], None] | None = None,
        told: Callable[[Alarm], None] | None = None,
        background: Planner | None = None,
        foresight: Foresight | None = None,
        settings: LoopSettings | None = None,
        components: Sequence[str] | None = None,
        confirm: Callable[[Any], str | None] | None = None,
    ) -> None:
        self.settings = settings or LoopSettings()
        self.pictures = Pictures(net)
        self.paths, self.journal, self.planner, self.modes = paths, journal, planner, modes
        self.clock = SteadyClock(clock)
        self.lease, self._beat = lease, beat
        self.board = Board(journal, told)
        self.trust = Trust(self.board, self.clock, self.settings)
        self.believing = Believing()
        self.arbiter = Arbiter()
        may_fail = likely(net) if components is None else list(components)
        self.playbook = Playbook(may_fail, self.settings.soft_s)
        self.ladder = Ladder(
            self.pictures, planner, self.playbook, self.settings.soft_s, self.settings.hard_s
        )
        self.watch: Watch = watch or PollingWatch(paths, self.clock, self.pictures.status_devices)
        self.executor = Executor(paths, journal, self.clock, modes, self.trust.alarm)
        self.own_s = own_times_s(self.pictures.grid)
        self.carrier = Carrier(
            self.executor,
            journal,
            self.clock,
            self.settings,
            self.arbiter,
            self.board,
            self.trust,
            self.own_s,
            confirm,
        )
        self.ticks: list[Tick] = []
        self.on_tick: Callable[[Tick], None] | None = None
        self.seen = Beliefs({})
        self._know = Memory()
        self.ahead = Ahead(
            background or planner, self.playbook, foresight or Foresight(), self.board, journal, self.settings
        )
        self._next_tick_s = float("-inf")

    # --- running

    @property
    def halted(self) -> str:
        """Why no commands are sent any more, "" where they are."""
        return self._know.halted

    @property
    def fencing(self) -> int:
        """The leader's token."""
        return 1 if self.lease is None else self.lease.token

    def start(self) -> None:
        """Find out how the last life ended: read back what the journal holds open, send nothing.

        What could not be found out is alarmed; the first tick then plans from what is really there.
        """
        try:
            if self.lease is None:
                self._find_out()
            else:
                self._leads()
            self.journal.event(self.clock.utc_s(), "started", token=self.fencing)
        except PdnoptError as error:
            self._halt(str(error))

    def run(self, until_s: float) -> None:
        """Run until ``until_s`` on the monotonic clock."""
        while self.clock.monotonic_s() < until_s:
            if self.carrier.busy:
                self._drive(until_s)
            elif self.clock.monotonic_s() >= self._next_tick_s:
                self.tick()
            elif self.watch.wait(min(self._next_tick_s, until_s)):
                self.clock.sleep(self.settings.rest_s)
                self.tick()

    def close(self) -> None:
        """Send nothing more and let a standby take over."""
        self.carrier.abort("the controller is stopped")
        if self.lease is not None:
            with suppress(LeaseError):
                self.lease.give_up()
        with suppress(JournalError):
            self.journal.event(self.clock.utc_s(), "stopped", token=self.fencing)
        self.planner.close()
        self.ahead.planner.close()

    # --- one tick

    def tick(self) -> Tick:
        """Sense, and do what is to be done."""
        began = time.perf_counter()
        self._next_tick_s = self.clock.monotonic_s() + self.settings.interval_s
        leads, did = False, "observes"
        picture = self._at_rest()
        standing = standing_of(self.pictures, picture)
        over = overloaded(self.pictures, self.seen)
        try:
            leads = self._leads()
            blind = self.seen.missing_part()
            if leads and blind < 1.0 and self._beat is not None and not self._know.halted:
                self._beat(self.fencing)
            if self._know.halted:
                did = f"halted: {self._know.halted}"
            elif not leads:
                did = "stands by"
            elif sees_enough(self.board, blind, self.settings, self.clock.utc_s()) and not self.carrier.busy:
                did = self._act(picture, standing, over, blind)
        except PdnoptError as error:
            self._halt(str(error))
            did = f"halted: {error}"
        made = Tick(self.clock.utc_s(), picture, standing, did, time.perf_counter() - began, leads, over)
        self._write(made)
        self.ticks.append(made)
        del self.ticks[:-1000]
        if self.on_tick is not None:
            self.on_tick(made)
        return made

    def _write(self, made: Tick) -> None:
        """Write a tick down: every one that did more than look, and one a minute."""
        if self._know.halted or (is_idle(made) and made.t_s - self._know.written_s < WRITE_S):
            return
        self._know.written_s = made.t_s
        try:
            write_tick(self.journal, made)
        except JournalError as error:
            self._halt(str(error))

    def _at_rest(self) -> Picture:
        """Read everything; where a device is on its way, once more when it has arrived."""
        picture = self._observe()
        for _ in range(MOST_LOOKS):
            moving = [
                name for name in self.pictures.grid.transfers.name if self.seen.value(name, "moving", False)
            ]
            if not moving or self.carrier.busy:
                break
            self.clock.sleep(self.settings.rest_s)
            picture = self._observe()
        return picture

    def _observe(self) -> Picture:
        """Read everything, judge it, write it down."""
        readings = self.paths.read_every_path(self.pictures.devices)
        told = {item.device for item in readings if item.quality is not Quality.MISSING}
        silent = [name for name in self.pictures.devices if name not in told]
        if silent and told:  # an answer may have been lost once
            again = self.paths.read_every_path(silent)
            asked = set(silent)
            readings = [*(item for item in readings if item.device not in asked), *again]
        now_s = self.clock.utc_s()
        self.watch.rebase(readings)
        self.seen = self.believing.judge(readings, now_s)
        picture = self.pictures.picture(self.seen, now_s)
        try:
            self.journal.scan(now_s, readings)
        except JournalError as error:
            self._halt(str(error))
        tell_state(self.board, self.pictures, self.seen, picture, self.clock.jump_s, now_s)
        return picture

    # --- deciding

    def _act(self, picture: Picture, standing: Standing, over: tuple[str, ...], blind: float) -> str:
        now_s = self.clock.monotonic_s()
        know = self._know
        distrusted = self.trust.lacking()
        failed = out_of_count(self.pictures, picture, distrusted)
        trigger = trigger_of(know, self.settings, picture, standing, over, failed, now_s)
        if trigger:
            return self._reroute(picture, standing, over, failed, distrusted, trigger, now_s)
        if blind >= self.settings.thin_part:
            return "holds: too little is read for anything but failures"
        wrong = ""
        if over:
            wrong = f"{over[0]} is overloaded"
        elif standing.unserved_kw > 1.0:
            wrong = f"{standing.unserved_kw:.0f} kW are not served"
        found = self.ahead.turn(picture, self.seen, now_s)
        if isinstance(found, str):
            return found
        problem, job, answer = found
        return self._propose(problem, answer, job.picture, picture, failed, wrong, now_s)

    def _reroute(
        self,
        picture: Picture,
        standing: Standing,
        over: tuple[str, ...],
        failed: tuple[str, ...],
        distrusted: frozenset[str],
        trigger: str,
        now_s: float,
    ) -> str:
        know = self._know
        know.tried_s, know.tried_demand_kw = now_s, picture.total_kw
        t_s = self.clock.utc_s()
        if self._nothing_to_gain(picture, standing, failed):
            self._settle(picture, failed)
            self.journal.event(t_s, "stays", trigger=trigger, unserved_kw=standing.unserved_kw)
            return f"stays ({trigger})"
        asked = pinned_numbers(self.pictures, picture, distrusted)
        wrong = bool(over) or standing.unserved_kw > 1.0
        decision = self.ladder.reroute(asked, failed, know.stable, know.stable_failed, wrong)
        t_s = self.clock.utc_s()
        took_s = self.clock.monotonic_s() - now_s
        tell_lateness(self.board, trigger, took_s, self.settings, t_s)
        if self._outdated(picture, now_s):
            know.settled, self._next_tick_s = None, self.clock.monotonic_s()
            self.journal.event(
                t_s, "dropped", trigger=trigger, why="the plant has changed while it was planned for"
            )
            return f"drops the plan ({trigger}): the plant has changed meanwhile"
        if self._may_stay(decision, picture, standing, failed):
            self._settle(picture, failed)
            self.journal.event(t_s, "stays", trigger=trigger, unserved_kw=standing.unserved_kw)
            return f"stays ({trigger})"
        if decision.plan is None:
            know.pause_s = min(max(2 * know.pause_s, self.settings.interval_s), self.settings.retry_s)
            self.journal.event(t_s, "holds", trigger=trigger, tried=list(decision.tried))
            self.board.raise_alarm(
                t_s,
                "",
                "no plan",
                Severity.CRITICAL,
                f"{trigger}: no verified plan ({'; '.join(decision.tried)}); the plant is left as it is",
                "Decide by hand: see what is lost and what is overloaded.",
            )
            return f"holds ({trigger})"
        self.board.end(t_s, "", "no plan")
        know.pause_s = 0.0
        solved = decision.rung is Rung.SOLVED and decision.answer is not None
        know.reached = (failed, decision.answer.unserved_by_priority) if solved and decision.answer else None
        plan = as_carried_out(decision.plan, picture.limits_kw, picture.demand_kw)
        if decision.rung is Rung.SOLVED:
            self.board.end(t_s, "", "fallback")
        else:
            text = f"{trigger}: planned {decision.rung} ({'; '.join(decision.tried)})"
            self.board.raise_alarm(t_s, "", "fallback", Severity.MAJOR, text, "Look at the solver's process.")
            know.pause_s = self.settings.interval_s  # something better is asked for again
        if not plan.actions:
            if decision.rung is Rung.SOLVED:
                self._settle(picture, failed)
            return f"stays ({trigger}), {decision.rung}"
        self.carrier.begin(
            "reroute",
            plan,
            decision.verifier,
            picture,
            failed,
            trigger,
            decision.plan,
            now_s,
            self.fencing,
        )
        return f"acts ({trigger}): {len(plan.actions)} actions, {decision.rung}"

    def _nothing_to_gain(self, picture: Picture, standing: Standing, failed: tuple[str, ...]) -> bool:
        """Whether all is served, or as much as the plan that was just carried out was proved to; and to stay is verified."""
        reached = self._know.reached
        proved = reached[1] if reached is not None and reached[0] == failed else {}
        if worse(standing.unserved_by_priority, proved, picture.total_kw):
            return False
        verifier = Verifier(with_numbers(self.pictures.base, picture.numbers), failed)
        return not verifier.errors(stay_plan(picture, failed))

    def _outdated(self, picture: Picture, asked_s: float) -> bool:
        """Whether a plan took so long that the plant was looked at again, and is another one."""
        if self.clock.monotonic_s() - asked_s <= self.settings.soft_s:
            return False
        now = self._observe()
        return (now.fingerprint, now.failed) != (picture.fingerprint, picture.failed)

    def _may_stay(
        self, decision: Decision, picture: Picture, standing: Standing, failed: tuple[str, ...]
    ) -> bool:
        """Whether to do nothing is verified, and no plan is known that serves more."""
        answer = decision.answer
        if decision.plan is None or answer is None or decision.rung is not Rung.SOLVED:
            return False
        if worse(standing.unserved_by_priority, answer.unserved_by_priority, picture.total_kw):
            return False
        return not decision.verifier.errors(stay_plan(picture, failed))

    def _settle(self, picture: Picture, failed: tuple[str, ...]) -> None:
        know = self._know
        know.settled = (picture.fingerprint, failed)
        know.stable, know.stable_failed, know.reached = picture.fingerprint, failed, None
        know.pause_s = 0.0
        self.board.end(self.clock.utc_s(), "", "no plan")

    # --- what the other problems propose

    def _propose(
        self,
        problem: str,
        answer: Answer,
        asked: Picture,
        picture: Picture,
        failed: tuple[str, ...],
        wrong: str,
        now_s: float,
    ) -> str:
        if answer.plan is None or not answer.plan.actions:
            return f"{problem}: nothing to do" if answer.plan is not None else f"{problem}: {answer.status}"
        doubtful = {name for name, _ in self.seen.doubtful()} | picture.unknown | self.trust.lacking()
        proposal = Proposal(problem, answer.plan, asked.fingerprint)
        objection = self.arbiter.objection(
            proposal, now_s, picture.fingerprint, wrong=wrong or _lost(failed), doubtful=doubtful
        )
        t_s = self.clock.utc_s()
        if objection:
            self.journal.event(t_s, "not let out", problem=problem, why=objection)
            return f"{problem}: not let out: {objection}"
        verifier = Verifier(with_numbers(self.pictures.base, picture.numbers), answer.plan.failed)
        errors = verifier.errors(answer.plan)
        if errors:
            self.journal.event(t_s, "refused", problem=problem, why=str(errors[0]))
            return f"{problem}: the checker refuses it: {errors[0].kind}"
        self.carrier.begin(
            problem, answer.plan, verifier, picture, failed, problem, answer.plan, now_s, self.fencing
        )
        return f"acts ({problem}): {len(answer.plan.actions)} actions"

    # --- carrying out

    def _drive(self, until_s: float) -> None:
        """Do what is due of the sequence on its way, and look meanwhile whether something fails."""
        try:
            if not self._leads():
                self.carrier.abort("another controller leads")
            ended = self.carrier.poll()
        except PdnoptError as error:
            self._halt(str(error))
            return
        if not self.carrier.busy:
            if ended is not State.DONE:
                self._know.reached = None
            self._know.settled = None  # what was reached is looked at before anything is believed of it
            self._next_tick_s = self.clock.monotonic_s()
            return
        now_s = self.clock.monotonic_s()
        if self.watch.wait(min(now_s + self.carrier.wait_s(), max(until_s, now_s + 0.01))):
            self.carrier.look(self._observe())

    # --- leading, and what ends it

    def _leads(self) -> bool:
        if self.lease is None:
            return True
        now_s = self.clock.monotonic_s()
        if self.lease.leads and now_s < self._know.renew_s:
            return True
        self._know.renew_s = now_s + self.lease.term_s / 8.0
        led = self.lease.token > 0 and self.lease.leads
        leads = self.lease.renew()
        if leads != led:
            self.journal.event(self.clock.utc_s(), "leads" if leads else "stands by", token=self.lease.token)
            self._know.settled = None
            if leads:
                if self._beat is not None:
                    self._beat(self.lease.token)  # which ends what the leader before had selected
                self._find_out()
        return leads

    def _find_out(self) -> None:
        """Read back what the journal holds open: after a start, and whenever this controller comes to lead."""
        for item in self.executor.settle(self.own_s):
            if item.outcome == "unknown":
                self.trust.withdraw(item.command.device)

    def _halt(self, reason: str) -> None:
        """Send nothing more: the plant is only watched from now on, and a person is told."""
        if not self._know.halted:
            self._know.halted = reason
            self.board.raise_alarm(
                self.clock.utc_s(),
                "",
                "halted",
                Severity.CRITICAL,
                f"no commands are sent any more: {reason}",
                "Mend what it says, then start the controller again.",
            )
        self.carrier.drop()


def _lost(failed: tuple[str, ...]) -> str:
    return "" if not failed else f"{failed[0]} is lost"
