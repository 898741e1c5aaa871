"""A journal played back: how the plant stood at a moment, what was done, and what another decision would have come to.

The other decision is carried out on an emulated plant that begins in the recorded state; so is doing nothing, and so is what
was really sent after that moment. All three are judged by the same emulated plant.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pdnopt.checker import Checker
from pdnopt.control.beliefs import Believing
from pdnopt.control.picture import Picture, Pictures, with_numbers
from pdnopt.emulator import EmulatedPlant
from pdnopt.errors import InputError, Issue
from pdnopt.journal import Past
from pdnopt.plan import Plan
from pdnopt.plant.files import network_from_text
from pdnopt.session import Session

SENT_S = 60.0
"""Commands of so long after the moment count as the answer to it: what the world did later is not played again."""

__all__ = ["Comparison", "Course", "network_of", "picture_at", "replay_at"]


@dataclass(frozen=True)
class Course:
    """What came of one decision; energies in kWh by priority."""

    name: str
    actions: int
    unserved_kwh: dict[str, float]
    trips: int
    interrupted_kw: float
    worst: str


@dataclass(frozen=True)
class Comparison:
    """A moment, and what decisions at it would have come to.

    Attributes
    ----------
    t_s : float
        UTC.
    failed : tuple of str
        What had failed by then.
    courses : tuple of Course
        Nothing; what was sent; the other problem's plan.
    plan : Plan or None
        Of the other problem.
    status : str
        Of the other solve.
    """

    t_s: float
    failed: tuple[str, ...]
    courses: tuple[Course, ...]
    plan: Plan | None
    status: str


def network_of(past: Past) -> Any:
    """Return the network that a journal was written for. Raises InputError where it holds none."""
    text = past.meta("network")
    if text is None:
        todo = "Only `pdnopt run` writes it."
        raise InputError(Issue("Missing", "journal", str(past.path), "network", "the network as given", todo))
    return network_from_text(text)


def picture_at(past: Past, pictures: Pictures, t_s: float) -> Picture:
    """Return the plant as it was believed to be at a moment. Raises InputError before the first scan."""
    readings = past.readings_at(t_s)
    if not readings:
        first, last = past.span_s()
        allowed = f"a time from {first:.0f} to {last:.0f} (UTC seconds)"
        raise InputError(Issue("Range", "--at", "", t_s, allowed, "Choose a moment that was recorded."))
    return pictures.picture(Believing().judge(readings, t_s), t_s)


def replay_at(past: Past, t_s: float, problem: str, horizon_s: float = 900.0) -> Comparison:
    """Return what another decision would have come to.

    Parameters
    ----------
    past : Past
    t_s : float
        UTC.
    problem : str
        Solved on the plant as it was then.
    horizon_s : float
        The emulated plants live so long.
    """
    net = network_of(past)
    pictures = Pictures(net)
    picture = picture_at(past, pictures, t_s)
    then = with_numbers(pictures.base, picture.numbers)
    keywords: dict[str, Any] = {"failed": picture.failed} if problem == "reroute" else {}
    result = Session(then, problem, validate=False).solve(**keywords)
    plan = result.plan if result.ok else None
    if plan is not None and any(issue.severity == "error" for issue in Checker(then).check(plan)):
        plan = None
    courses = [
        _course("nothing", then, picture, (), horizon_s),
        _course("what was sent", then, picture, _sent(past, t_s, horizon_s), horizon_s),
    ]
    if plan is not None:
        told = tuple((item.t_s, item.device, item.action, item.after) for item in plan.actions)
        courses.append(_course(f"{problem} instead", then, picture, told, horizon_s))
    return Comparison(t_s, picture.failed, tuple(courses), plan, result.status)


def _sent(past: Past, t_s: float, horizon_s: float) -> tuple[tuple[float, str, str, Any], ...]:
    """Return the commands that were carried out in the time after a moment: seconds after it, device, action, value."""
    rows = past.connection.execute(
        "SELECT command.t_s, body FROM command JOIN outcome ON command.id = outcome.command"
        " WHERE outcome.outcome = 'done' AND command.t_s >= ? AND command.t_s < ? ORDER BY command.rowid",
        (t_s, t_s + min(SENT_S, horizon_s)),
    ).fetchall()
    bodies = [(float(at) - t_s, json.loads(body)) for at, body in rows]
    return tuple((at, body["device"], body["action"], body["value"]) for at, body in bodies)


def _tell(plant: EmulatedPlant, device: str, action: str, value: Any) -> None:
    plant.command(device, action, value)


def _course(
    name: str,
    net: Any,
    picture: Picture,
    told: tuple[tuple[float, str, str, Any], ...],
    horizon_s: float,
) -> Course:
    plant = EmulatedPlant(net)
    for item in picture.failed:
        plant.fail(item)
    for device, limit_kw in picture.limits_kw.items():
        plant.command(device, "cap", limit_kw)
    for at_s, device, action, value in told:
        plant.at(at_s, partial(_tell, plant, device, action, value))
    plant.advance(horizon_s)
    ledger = plant.ledger
    over = max(ledger.violations.items(), key=lambda item: item[1].worst, default=None)
    worst = (
        ""
        if over is None
        else f"{over[0]}: at most {100 * over[1].worst:.0f} %, over its limit for {over[1].seconds:.0f} s"
    )
    return Course(
        name,
        len(told),
        {str(k): float(np.round(v, 6)) for k, v in sorted(ledger.unserved_kwh.items())},
        len(ledger.trips),
        float(sum(ledger.interrupted_kw.values())),
        worst,
    )
