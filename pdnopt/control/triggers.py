"""When the plant is to be planned for: something is lost, changed, overloaded, not served, or runs down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdnopt.control.picture import Picture
from pdnopt.control.settings import LoopSettings
from pdnopt.control.standing import Standing

__all__ = ["Memory", "trigger_of"]

UNSERVED_KW = 1.0
GROWN, FALLEN = 1.005, 0.97
"""Parts of the demand at the last try: more than the first makes an overload news, less than the second a shortage."""


@dataclass
class Memory:
    """What the loop knows from one tick to the next.

    Attributes
    ----------
    settled : (fingerprint, what cannot be counted on) or None
        The situation that has been dealt with.
    stable, stable_failed : str, tuple of str
        The last such situation: whose page of the playbook holds.
    reached : (what cannot be counted on, unserved kW by priority) or None
        What the plan that was just carried out was to come to.
    tried_s, tried_demand_kw, pause_s : float
        When the plant was planned for last, for how much load; not before so much later is it again.
    halted : str
        Why nothing is sent any more.
    written_s, renew_s : float
        When a tick was written last; when the lease is to be renewed.
    """

    settled: tuple[str, tuple[str, ...]] | None = None
    stable: str = ""
    stable_failed: tuple[str, ...] = ()
    reached: tuple[tuple[str, ...], Mapping[int, float]] | None = None
    tried_s: float = float("-inf")
    tried_demand_kw: float = float("inf")
    pause_s: float = 0.0
    halted: str = ""
    written_s: float = float("-inf")
    renew_s: float = float("-inf")


def trigger_of(
    know: Memory,
    settings: LoopSettings,
    picture: Picture,
    standing: Standing,
    over: tuple[str, ...],
    failed: tuple[str, ...],
    now_s: float,
) -> str:
    """Return why the plant is to be planned for now, "" where it is not.

    Parameters
    ----------
    over : tuple of str
        Components over their rating.
    failed : tuple of str
        What cannot be counted on.
    now_s : float
        Monotonic.
    """
    if now_s < know.tried_s + know.pause_s:
        return ""
    if know.settled != (picture.fingerprint, failed):
        new = sorted(set(failed) - set(know.settled[1])) if know.settled else []
        return f"lost {', '.join(new)}" if new else "the plant has changed"
    due = now_s >= know.tried_s + settings.interval_s
    if over and due and picture.total_kw > know.tried_demand_kw * GROWN:
        return f"{over[0]} is overloaded"
    lacking = standing.unserved_kw > UNSERVED_KW
    if now_s >= know.tried_s + settings.retry_s:
        if over:
            return f"{over[0]} is overloaded"
        if lacking:
            return f"{standing.unserved_kw:.0f} kW are not served"
        if _runs_down(picture):
            return "energy runs down"
    return "demand has fallen" if lacking and picture.total_kw < FALLEN * know.tried_demand_kw else ""


def _runs_down(picture: Picture) -> bool:
    """Whether a battery or a tank is being emptied, so that what holds now will not hold for ever."""
    modes = picture.numbers.get("ups", {}).get("mode", ())
    powers = picture.numbers.get("storage", {}).get("p_mw", ())
    gensets = picture.numbers.get("ext_grid", {}).get("running", ())
    return "battery" in modes or any(p < 0 for p in powers) or any(on is True for on in gensets)
