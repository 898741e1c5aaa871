"""What is answered about harmonics, and how it joins the result and the checker's report of a balance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from pdnopt.checker import CheckReport, check_harmonics
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from pdnopt.result import Result

__all__ = ["Filtered", "as_checked"]


@dataclass(frozen=True)
class Filtered:
    """What filters do.

    Attributes
    ----------
    distortion, spectrum, compensation : DataFrame
        See `pdnopt.result.Result`.
    actions : tuple of Action
    measures, before : dict
        As they truly are, with and without compensation: "excess" (by how much the worst limit is broken, in parts of it,
        sum over phases of buses and points), "thd_v", "tdd" (the largest, percent).
    status : str
        Of the programme: "none" (nothing that filters could do), "optimal", "feasible", "no_incumbent".
    notes : tuple of str
    """

    distortion: pd.DataFrame
    spectrum: pd.DataFrame
    compensation: pd.DataFrame
    actions: tuple[Action, ...]
    measures: Mapping[str, float]
    before: Mapping[str, float]
    status: str
    notes: tuple[str, ...]

    def added_to(self, result: Result) -> Result:
        """Return the result of a balance with harmonics in it; a search that was cut off makes it "feasible"."""
        late = result.status == "optimal" and self.status not in ("none", "optimal")
        return replace(
            result,
            status="feasible" if late else result.status,
            objective={**result.objective, **self.measures},
            notes=(*result.notes, *self.notes),
            distortion=self.distortion,
            spectrum=self.spectrum,
            compensation=self.compensation,
        )


def as_checked(net: Any, plan: Plan, spectra: Any, filtered: Filtered, report: CheckReport) -> CheckReport:
    """Return the report with what the checker finds about harmonics of a plan."""
    return replace(report, issues=[*report.issues, *check_harmonics(net, plan, spectra, filtered.spectrum)])
