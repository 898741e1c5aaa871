"""Alarms that follow from what is seen: what has failed, which meters are in doubt, clocks, sums that do not add up."""

from __future__ import annotations

from pdnopt.alarms import Board, Severity
from pdnopt.control.beliefs import Beliefs
from pdnopt.control.picture import Picture, Pictures
from pdnopt.protocols.readings import Quality

__all__ = ["tell_state"]


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
