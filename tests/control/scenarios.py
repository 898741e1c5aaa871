"""Random scenarios: a plant, what fails in it, and one of the twenty faults of the controller's world; all by the seed.

``strict`` faults leave the controller able to act: then no critical load may go unserved that a plan could serve, and
nothing may trip where a plan existed. The others take its means away: then it must say so, and send nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pdnopt.control.desk import Answer, Ask
from pdnopt.emulator import Lie
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from tests.control.rig import Rig, planner_of
from tests.plants import random_failure

__all__ = ["FAULTS", "Outcome", "play"]

QUIET_S, END_S = 3.0, 33.0
PLANTS = 12
TOLERANCE_KW = 0.6


@dataclass(frozen=True)
class Fault:
    """One of the twenty: how it is brought about; whether the controller can still do its duty; what alarm it must raise."""

    name: str
    arrange: Callable[[Rig], None]
    strict: bool = True
    alarm: str = ""


def _killed(rig: Rig) -> None:
    rig.kill_in = int(rig.rng.integers(0, 12))


def _reply_lost(rig: Rig) -> None:
    rig.faults(lose_reply=0.15)


def _no_move(rig: Rig) -> None:
    for device in _movable(rig):
        if rig.rng.random() < 0.5:
            rig.plant.misbehave(device, "no_move")


def _stalls(rig: Rig) -> None:
    for device in rig.loop.pictures.grid.transfers.name:
        rig.plant.misbehave(device, "stall_open")


def _out_of_sync(rig: Rig) -> None:
    """A UPS loses its rectifier and follows no source any more while something is on its way."""
    upss = rig.loop.pictures.grid.upss.name
    if upss:
        name = f"{upss[int(rig.rng.integers(len(upss)))]}@rectifier"
        _later(rig, float(rig.rng.uniform(0.3, 1.5)), lambda: rig.plant.fail(name))


def _slow_solver(rig: Rig) -> None:
    """Plans that come late: the plant has gone on meanwhile."""

    def spoil(ask: Ask, answer: Answer) -> Answer:
        rig.clock.sleep(float(rig.rng.uniform(0.0, 6.0)))
        return answer

    rig.planner.spoil = spoil


def _operator(rig: Rig) -> None:
    devices = _movable(rig)
    if not devices:
        return
    device = devices[int(rig.rng.integers(len(devices)))]
    action = "transfer" if device.startswith("transfer") else "open"

    def move() -> None:
        rig.plant.operator(device, action, None if action == "transfer" else False)

    _later(rig, float(rig.rng.uniform(0.3, 3.0)), move)


def _blind(part: float) -> Callable[[Rig], None]:
    def arrange(rig: Rig) -> None:
        for device in rig.loop.pictures.devices:
            if rig.rng.random() < part:
                rig.plant.meters.lie(device, Lie("missing"))

    return arrange


def _load_meters_missing(rig: Rig) -> None:
    for device in rig.loop.pictures.demand.cord_name:
        if rig.rng.random() < 0.1:
            rig.plant.meters.lie(device, Lie("missing", quantity="p_kw"))


def _frozen(rig: Rig) -> None:
    names = rig.loop.pictures.demand.cord_name
    rig.plant.meters.lie(names[int(rig.rng.integers(len(names)))], Lie("frozen", quantity="p_kw"))


def _disagreeing(rig: Rig) -> None:
    names = rig.loop.pictures.demand.cord_name
    rig.plant.meters.lie(
        names[int(rig.rng.integers(len(names)))], Lie("disagreeing", -0.5, quantity="p_kw", path="way1")
    )


def _clock(rig: Rig) -> None:
    rig.clock.skew_s += 3600.0 * (1 if rig.rng.random() < 0.5 else -1)


def _messages(rig: Rig) -> None:
    rig.faults(duplicate=0.4, late=0.3, late_s=float(rig.rng.uniform(0.2, 8.0)), delay_s=0.02, jitter_s=0.02)


def _solver_gone(rig: Rig) -> None:
    """It hangs, or dies, now and then."""

    def spoil(ask: Ask, answer: Answer) -> Answer:
        if rig.rng.random() < 0.6:
            rig.clock.sleep(rig.settings.hard_s)
            return Answer("late" if rig.rng.random() < 0.5 else "died", why="test")
        return answer

    rig.planner.spoil = spoil


def _solver_lies(rig: Rig) -> None:
    """It calls optimal what is not: commands missing, devices moved that must not, loads that are not there."""

    def spoil(ask: Ask, answer: Answer) -> Answer:
        if rig.rng.random() < 0.3:
            return Answer("infeasible", why="test")
        if answer.plan is None:
            return answer
        return replace(answer, plan=_spoilt(rig, answer.plan))

    rig.planner.spoil = spoil


def _spoilt(rig: Rig, plan: Plan) -> Plan:
    choice = int(rig.rng.integers(4))
    actions = list(plan.actions)
    if choice == 0 and actions:
        del actions[int(rig.rng.integers(len(actions)))]
    elif choice == 1:
        devices = [name for name in _movable(rig) if name.startswith("switch")]
        if devices:
            device = devices[int(rig.rng.integers(len(devices)))]
            now = rig.loop.pictures.is_closed(device)
            step = max((item.step for item in actions), default=0) + 1
            t_s = max((item.t_s for item in actions), default=0.5) + 5.0
            actions.append(Action(step, t_s, device, "open" if now else "close", now, not now))
    elif choice == 2:
        actions = [
            replace(item, after=float("nan")) if item.action == "cap" else replace(item, t_s=0.0)
            for item in actions
        ]
    return replace(plan, actions=tuple(actions))


def _disk(rig: Rig) -> None:
    rig.disk.fails_at = rig.disk.commits + 1 + int(rig.rng.integers(6))


def _second_failure(rig: Rig) -> None:
    names = random_failure(rig.net, rig.rng, 1)
    _later(rig, float(rig.rng.uniform(0.2, 4.0)), lambda: [rig.plant.fail(name) for name in names][-1])


def _all_commands_lost(rig: Rig) -> None:
    """Nothing that is sent arrives; readings do. The executor is as good as gone."""
    for driver in rig.drivers:
        driver.side = _Deaf()


def _nothing(rig: Rig) -> None:
    return


class _Deaf:
    def select(self, command: Any) -> Any:
        from pdnopt.protocols.commands import Refusal, Reply

        return Reply(False, Refusal.UNREACHABLE, "no answer")

    def operate(self, command: Any, ticket: int) -> Any:
        return self.select(command)

    def cancel(self, command: Any, ticket: int) -> None:
        return


FAULTS = (
    Fault("0 none", _nothing),
    Fault("1 killed", _killed),
    Fault("2 reply lost", _reply_lost),
    Fault("3 accepted, does not move", _no_move, strict=False),
    Fault("4 stalls open", _stalls, strict=False),
    Fault("5 sources fall out of step", _out_of_sync),
    Fault("6 plans come late", _slow_solver, strict=False),
    Fault("7 an operator moves a switch", _operator),
    Fault("10 no command arrives", _all_commands_lost, strict=False),
    Fault("11 meters of loads missing", _load_meters_missing),
    Fault("11 a fifth of all missing", _blind(0.2), strict=False),
    Fault("11 all missing", _blind(1.0), strict=False, alarm="blind"),
    Fault("12 a meter is frozen", _frozen),
    Fault("13 meters disagree", _disagreeing),
    Fault("14 the clock jumps", _clock, alarm="clock"),
    Fault("15 messages late, twice, out of order", _messages),
    Fault("16 the solver hangs or dies", _solver_gone, strict=False),
    Fault("17 the solver lies", _solver_lies, strict=False),
    Fault("19 the disk fails", _disk, strict=False, alarm="halted"),
    Fault("20 a second failure on the way", _second_failure),
)


def _later(rig: Rig, delay_s: float, do: Callable[[], Any]) -> None:
    rig.plant.at(rig.plant.t_s + delay_s, lambda: _ignore(do()))


def _ignore(_: Any) -> None:
    return


def _movable(rig: Rig) -> list[str]:
    w = rig.plant.world
    switches = [
        name
        for k, name in enumerate(rig.loop.pictures.names("switch"))
        if w.view.sw_transfer[k] < 0 and w.view.sw_ups[k] < 0 and w.view.sw_operable[k]
    ]
    return [*switches, *rig.loop.pictures.grid.transfers.name]


@dataclass(frozen=True)
class Outcome:
    """What came of a scenario; ``broken`` says which part of the invariant does not hold."""

    seed: int
    plant: str
    fault: str
    failed: tuple[str, ...]
    broken: tuple[str, ...]
    kills: int
    did: tuple[str, ...]

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.fault} on {self.plant}, {self.failed}: {self.broken}; {self.did}"


def play(seed: int) -> Outcome:
    """Play the scenario of a seed and judge it."""
    fault = FAULTS[seed % len(FAULTS)]
    turn = seed // len(FAULTS)
    name = "two_feed" if turn % 4 == 0 else str(turn * 7 % PLANTS)
    rig = Rig(name, seed)
    try:
        rig.run(QUIET_S)
        failed = tuple(random_failure(rig.net, rig.rng, 1))
        fault.arrange(rig)
        for item in failed:
            rig.plant.fail(item)
        rig.run(END_S)
        broken = tuple(_broken(rig, fault, failed))
        return Outcome(
            seed, name, fault.name, failed, broken, rig.kills, tuple(t.did for t in rig.loop.ticks[-8:])
        )
    finally:
        rig.close()


def _broken(rig: Rig, fault: Fault, failed: tuple[str, ...]) -> list[str]:
    out = []
    if rig.unjournalled:
        out.append(f"sent before it was written: {rig.unjournalled}")
    told = {name: n for name, n in rig.actuations().items() if n}
    asked: dict[str, set[str]] = {}
    for command in rig.operated:
        asked.setdefault(command.device, set()).add(command.id)
    twice = [name for name, n in told.items() if n > len(asked.get(name, ()))]
    if twice:
        out.append(f"told twice: {twice}")
    wrong = rig.misjudged()
    if wrong and not rig.loop.halted:
        out.append(f"believed elsewhere, without an alarm: {wrong}")
    still_open = [] if rig.loop.halted or rig.loop.carrier.busy else rig.journal.open_commands()
    if still_open:
        out.append(f"open in the journal: {[item.command.id for item in still_open]}")
    spared = fault.alarm == "halted" and rig.disk.commits < (rig.disk.fails_at or 0)
    if fault.alarm and not spared and not rig.loop.board.has("", fault.alarm):
        out.append(f"no alarm {fault.alarm!r}")
    critical = rig.unserved().get(1, 0.0)
    raised = [alarm.kind for alarm in rig.loop.board.up]
    if not rig.loop.halted:
        raised += [row["kind"] for row in rig.journal.alarms()]
    alarmed = [kind for kind in raised if kind not in ("failed", "wear", "meter", "balance")]
    if critical > TOLERANCE_KW and (fault.strict or not alarmed):
        best = rig.best_unserved().get(1, 0.0)
        if critical > best + TOLERANCE_KW:
            out.append(f"{critical:.1f} kW critical unserved, {best:.1f} kW by the best plan")
    if rig.plant.ledger.trips and (fault.strict or not alarmed) and _avoidable(rig, failed):
        first = rig.plant.ledger.trips[0]
        out.append(f"{first.component} {first.what} at {first.t_s:.1f} s")
    return out


def _avoidable(rig: Rig, failed: tuple[str, ...]) -> bool:
    """Whether a verified plan for all that failed exists from the network as given."""
    names = tuple(sorted(rig.plant.failed))
    answer = planner_of(rig.name).answer(Ask("reroute", {}, names, 10.0), 10.0)
    return answer.plan is not None and set(names) == set(failed)
