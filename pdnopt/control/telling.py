"""Alarms that follow from what is seen: what has failed, which meters are in doubt, clocks, sums that do not add up;
and of what keeps the loop from planning: too few readings, a slow solver."""

from __future__ import annotations

from pdnopt.alarms import Board, Severity
from pdnopt.control.beliefs import Beliefs
from pdnopt.control.picture import Picture, Pictures
from pdnopt.control.settings import LoopSettings
from pdnopt.protocols.readings import Quality

__all__ = ["sees_enough", "tell_lateness", "tell_state"]

LATE_FACTOR = 1.2
"""A plan may take so many times the solver's deadline, reading and checking included, before somebody is told."""


def tell_state(
    board: Board, pictures: Pictures, seen: Beliefs, picture: Picture, jump_s: float, t_s: float
) -> None:
    """Put up and take down the alarms that follow from what is seen."""
    names = set()
    for name in picture.failed:
        component, _, form = name.partition("@")
        names.add(component)
        what = f"{component} has failed" + (f" ({form.replace('_', ' ')})" if form else "")
        board.raise_alarm(t_s, component, "failed", Severity.MAJOR, what, "Repair it; it is not counted on.")
    board.only(t_s, "failed", names)
    doubtful: dict[str, str] = {}
    limited = pictures.parts_of(picture.limits_kw)  # what is capped may well stand still
    for (device, quantity), belief in seen.doubtful().items():
        if device in limited and belief.quality is Quality.SUSPECT:
            continue
        doubtful.setdefault(device, f"{quantity}: {belief.reason}")
    for device, reason in doubtful.items():
        board.raise_alarm(
            t_s,
            device,
            "meter",
            Severity.WARNING,
            f"{device}: {reason}",
            "Check the meter and the way to it.",
        )
    board.only(t_s, "meter", doubtful)
    if jump_s:
        text = f"the controller's clock has jumped by {jump_s:+.0f} s; it goes on by the one that cannot jump"
        board.raise_alarm(t_s, "", "clock", Severity.MAJOR, text, "Mend the time service.")
    for note in picture.notes:
        board.raise_alarm(
            t_s,
            note.split()[0],
            "balance",
            Severity.WARNING,
            note,
            "A meter lies, or load is drawn past the meters.",
        )
    board.only(t_s, "balance", {note.split()[0] for note in picture.notes})


def sees_enough(board: Board, blind: float, settings: LoopSettings, t_s: float) -> bool:
    """Return whether enough is read to plan at all; a person is told where it is not.

    Parameters
    ----------
    blind : float
        Part of the readings that is missing.
    """
    if blind < settings.blind_part:
        board.end(t_s, "", "blind")
        return True
    what = "nothing is read any more" if blind >= 1.0 else f"{100 * blind:.0f} % of the readings are missing"
    text = f"{what}: no commands are sent, devices go by their local rules"
    todo = "Look at the network to the devices and at the gateways."
    board.raise_alarm(t_s, "", "blind", Severity.CRITICAL, text, todo)
    return False


def tell_lateness(board: Board, trigger: str, took_s: float, settings: LoopSettings, t_s: float) -> None:
    """Tell a person where a plan has taken so long that an overload may have run out meanwhile."""
    if took_s <= LATE_FACTOR * settings.hard_s:
        board.end(t_s, "", "slow")
        return
    text = f"{trigger}: planning took {took_s:.1f} s"
    board.raise_alarm(t_s, "", "slow", Severity.MAJOR, text, "Look at the solver's process and the machine.")
