"""What `pdnopt.place` returns: who is placed where, who is refused and why, and how much power is stranded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.errors import Issue, SolveError
from pdnopt.placement.adding import with_racks
from pdnopt.placement.racks import NewRacks
from pdnopt.placement.refusals import Refusal
from pdnopt.placement.room import MOMENTS, NORMALLY
from pdnopt.placement.verification import Verdict
from pdnopt.words import compact_names

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Placement"]

SHOWN = 8
"""Lines of each list on the screen."""


@dataclass(frozen=True)
class Placement:
    """New racks in their places.

    Attributes
    ----------
    status : str
        "optimal" (proved within the gap), "feasible", or "failed": AC power flow found faults that stayed (``issues``).
    placed : dict
        Rack -> names of the buses of its cords.
    buses : dict
        Rack -> pandapower indices of these buses.
    refused : tuple of Refusal
    installed_kw, existing_kw, asked_kw, placed_kw : float
        UPSs in service; racks that are there already; all new racks; those that are placed.
    bound_kw : float
        No placement of these racks places more: proved for the model without losses (in a tree a relaxation of the truth).
    value, value_bound : float
        Placed kW weighted by priority, and its bound.
    fed_by : dict
        Bus of a place -> the UPS or source that feeds it without a failure.
    exposed : dict
        Rack -> failures in which no plan could feed it (its own panel, where it has one cord).
    already_over : tuple of str
        What is beyond what it may carry without any of the new racks adding to it.
    verdict : Verdict
        AC power flow of every contingency.
    issues : tuple of Issue
        What AC power flow found and further search did not mend; empty = verified.
    rounds : int
        Times that the limits were tightened to what AC power flow found, and the problem solved again, plus one.
    timings : dict
        ``read_s``, ``solve_s``, ``verify_s``, ``total_s``.
    """

    network: str
    status: str
    rule: str
    racks: NewRacks
    placed: dict[str, tuple[str, ...]]
    buses: dict[str, tuple[int, ...]]
    refused: tuple[Refusal, ...]
    installed_kw: float
    existing_kw: float
    asked_kw: float
    placed_kw: float
    bound_kw: float
    value: float
    value_bound: float
    fed_by: dict[str, str]
    exposed: dict[str, tuple[str, ...]]
    already_over: tuple[str, ...]
    verdict: Verdict
    issues: tuple[Issue, ...]
    rounds: int
    power_factor: float
    timings: dict[str, float]

    @property
    def verified(self) -> bool:
        """True where AC power flow found nothing in any contingency."""
        return not self.issues

    @property
    def stranded_percent(self) -> float:
        """Share of installed UPS kW that was asked for and cannot be allocated, percent."""
        return self._stranded(self.placed_kw)

    @property
    def stranded_bound_percent(self) -> float:
        """Stranded power of the best placement that the bound leaves possible, percent."""
        return self._stranded(self.bound_kw)

    @property
    def gap_percent(self) -> float:
        """(Bound - value) / bound, percent."""
        return 100.0 * max(self.value_bound - self.value, 0.0) / max(self.value_bound, 1e-9)

    def _stranded(self, placed_kw: float) -> float:
        if self.installed_kw <= 0:
            return float("nan")
        wanted_kw = min(self.installed_kw, self.existing_kw + self.asked_kw)
        return 100.0 * max(wanted_kw - self.existing_kw - placed_kw, 0.0) / self.installed_kw

    def to_frame(self) -> pd.DataFrame:
        """Return one row a rack: name, p_kw, status, feeds, and what binds for those that are refused."""
        import pandas as pd

        why = {refusal.rack: refusal for refusal in self.refused}
        rows = []
        for name, p_kw in zip(self.racks.name, self.racks.p_kw, strict=True):
            refusal = why.get(name)
            feeds = self.placed.get(name, refusal.feeds if refusal else ())
            rows.append(
                {
                    "name": name,
                    "p_kw": float(p_kw),
                    "status": "refused" if refusal else "placed",
                    "feed_a": feeds[0] if feeds else "",
                    "feed_b": feeds[1] if len(feeds) > 1 else "",
                    "contingency": refusal.contingency if refusal else "",
                    "moment": refusal.moment if refusal else "",
                    "component": refusal.component if refusal else "",
                    "lacks_kw": refusal.lacks_kw if refusal else 0.0,
                    "exposed_to": ", ".join(self.exposed.get(name, ())),
                }
            )
        return pd.DataFrame(rows)

    def margins(self) -> pd.DataFrame:
        """Return one row a contingency and moment by AC power flow: worst component, and its use of what it may carry."""
        import pandas as pd

        v = self.verdict
        return pd.DataFrame(
            {
                "contingency": v.contingency,
                "moment": [MOMENTS[m] for m in v.moment],
                "worst_component": v.worst,
                "use_percent": 100.0 * v.use,
            }
        )

    def apply(self, net: Any) -> Any:
        """Return a new network with the placed racks in it; redundant ones are sheddable, the others are not."""
        return with_racks(net, self.racks, self.buses, self.power_factor)

    def raise_for_status(self) -> None:
        """Raise SolveError where AC power flow refused the placement."""
        if self.issues:
            raise SolveError("the placement is not verified", self.issues)

    def to_dict(self) -> dict[str, Any]:
        """Return the placement as plain values, for JSON."""
        return {
            "network": self.network,
            "status": self.status,
            "rule": self.rule,
            "installed_kw": self.installed_kw,
            "existing_kw": self.existing_kw,
            "asked_kw": self.asked_kw,
            "placed_kw": self.placed_kw,
            "bound_kw": self.bound_kw,
            "stranded_percent": self.stranded_percent,
            "stranded_bound_percent": self.stranded_bound_percent,
            "gap_percent": self.gap_percent,
            "racks": self.to_frame().to_dict(orient="records"),
            "margins": self.margins().to_dict(orient="records"),
            "already_over": list(self.already_over),
            "issues": [issue.to_dict() for issue in self.issues],
            "timings": self.timings,
        }

    def __str__(self) -> str:
        words = {
            "optimal": "proved within the gap, verified failure by failure by AC power flow",
            "feasible": "verified failure by failure by AC power flow; more may be possible",
            "failed": "AC power flow refused it: do not build it",
        }
        on = f" on {self.network}" if self.network else ""
        n = len(self.racks.name)
        lines = [
            f"place {n} rack{'' if n == 1 else 's'}{on}, {self.rule}",
            f"{self.status.upper()}: {words[self.status]}",
            f"  placed       {len(self.placed):6d} of {n} racks, {self.placed_kw:.1f} of {self.asked_kw:.1f} kW"
            f" (at most {self.bound_kw:.1f} kW can be)",
            f"  load now     {self.existing_kw:8.1f} kW, with the new racks {self.existing_kw + self.placed_kw:.1f} kW"
            f" of {self.installed_kw:.1f} kW of UPS",
        ]
        if self.installed_kw > 0:
            lines.append(
                f"  stranded     {self.stranded_percent:8.2f} % of installed UPS kW;"
                f" no placement strands less than {self.stranded_bound_percent:.2f} %"
            )
        if len(self.verdict.use):
            top = int(np.argmax(self.verdict.use))
            moment = self.verdict.moment[top]
            when = "" if moment == NORMALLY else f" after {self.verdict.contingency[top]}"
            lines.append(
                f"  worst        {100 * self.verdict.use[top]:8.2f} % of what {self.verdict.worst[top]}"
                f" may carry {MOMENTS[moment]}{when} (AC)"
            )
        lines += self._lists()
        lines.append(
            "  time         " + "  ".join(f"{k[:-2]} {1e3 * v:.0f} ms" for k, v in self.timings.items())
        )
        return "\n".join(lines)

    def _lists(self) -> list[str]:
        lines = []
        by_feeds: dict[tuple[str, ...], list[str]] = {}
        for name, feeds in self.placed.items():
            by_feeds.setdefault(feeds, []).append(name)
        if by_feeds:
            lines.append("  where")
            lines += [
                f"    {' + '.join(feeds)}: {compact_names(names)}"
                for feeds, names in list(by_feeds.items())[:SHOWN]
            ]
            lines += _more(by_feeds)
        if self.refused:
            lines.append("  refused")
            lines += [f"    {r.rack} ({r.p_kw:.1f} kW): {r.reason}" for r in self.refused[:SHOWN]]
            lines += _more(self.refused)
        if self.exposed:
            lines.append(f"  lost with their own panel: {compact_names(self.exposed)}")
        lines += [f"  already over, without the new racks: {text}" for text in self.already_over[:SHOWN]]
        lines += [f"  {issue}" for issue in self.issues[:SHOWN]]
        return lines


def _more(items: Any) -> list[str]:
    return [f"    and {len(items) - SHOWN} more (to_frame() has all)"] if len(items) > SHOWN else []
