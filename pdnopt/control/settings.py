"""Times and limits of the loop."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LoopSettings"]


@dataclass(frozen=True)
class LoopSettings:
    """Times and limits of the loop.

    Attributes
    ----------
    interval_s : float
        From one tick to the next where nothing happens.
    rest_s : float
        After something has happened, devices get so long to come to rest before the plant is read.
    soft_s, hard_s : float
        Of the solver: best plan so far; killed.
    valid_s, slack_s : float
        Of a plan: no step is sent later than so long after it was made, or so much later than it was verified for.
    retry_s : float
        Load that is not served is tried for again so often, where nothing else has changed.
    distrust_s, doubt_s : float
        A device that did not do as it was told is not counted on for so long; one that refused, or could not be read, for
        ``doubt_s``, and for twice as long each time that it does so again.
    thin_part, blind_part : float
        From this part of missing readings on: no plans but for failures; no plans at all.
    ahead_s : float
        Of the solver, for what is no answer to a failure: shift, reserve, balance and the playbook. Nobody waits for it.
    playbook : bool
        Whether plans are made for what may fail next.
    shift_s, reserve_s, balance_s : float or None
        Periods of the other problems; None: never.
    """

    interval_s: float = 5.0
    rest_s: float = 0.2
    soft_s: float = 1.0
    hard_s: float = 2.5
    valid_s: float = 120.0
    slack_s: float = 3.0
    retry_s: float = 60.0
    distrust_s: float = 300.0
    doubt_s: float = 10.0
    thin_part: float = 0.2
    blind_part: float = 0.5
    ahead_s: float = 20.0
    playbook: bool = True
    shift_s: float | None = 300.0
    reserve_s: float | None = None
    balance_s: float | None = None
