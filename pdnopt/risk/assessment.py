"""What an assessment found: probabilities that plug into `solve`, reasons, advice, and one screen of text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.risk.maintenance import Advice
from pdnopt.risk.meters import MeterReport
from pdnopt.risk.monitoring import Sign
from pdnopt.risk.repairs import RepairTime
from pdnopt.words import SPACE, number, seconds

__all__ = ["Assessment", "BatteryOutlook", "ComponentRisk"]

MOST_ON_SCREEN = 8
READINGS, MODEL = "synthetic readings", "coefficients from synthetic runs"


@dataclass(frozen=True)
class BatteryOutlook:
    """When a battery reaches its end of life. Not part of the failure probability: a worn battery still carries something.

    Parameters
    ----------
    health : float
        State of health now, 0..1.
    limit : float
        End of life.
    cycles_left : float
        At the expected drift; infinite where it does not fall.
    within : dict
        Cycles -> probability of reaching the limit within them.
    source : str
        Whose fade was taken as the prior.
    """

    health: float
    limit: float
    cycles_left: float
    within: dict[int, float]
    source: str


@dataclass(frozen=True)
class ComponentRisk:
    """One component.

    Parameters
    ----------
    component : str
    health : float
        1 as new, towards 0 as its sensors speak for a failure; see the model of its kind.
    probability : ndarray
        Of failing in each step of the horizon.
    weekly : float
        Of failing within 7 days.
    signs : tuple of Sign
        What its sensors say, the strongest driver first.
    contributions : dict
        Sensor -> its part in the logarithm of the hazard, or of the odds that wear has begun.
    reasons : tuple of str
    advice : Advice
    repair : RepairTime
    battery : BatteryOutlook or None
    base_rate : str
        Where the base rate comes from.
    synthetic : tuple of str
        What of it is synthetic; empty: nothing.
    """

    component: str
    health: float
    probability: np.ndarray
    weekly: float
    signs: tuple[Sign, ...]
    contributions: dict[str, float]
    reasons: tuple[str, ...]
    advice: Advice
    repair: RepairTime
    battery: BatteryOutlook | None
    base_rate: str
    synthetic: tuple[str, ...]

    @property
    def within_horizon(self) -> float:
        """Return the probability of failing within the horizon."""
        return float(self.probability.sum())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "component": self.component,
            "health": self.health,
            "probability": [float(p) for p in self.probability],
            "within_horizon": self.within_horizon,
            "within_7_days": self.weekly,
            "anomaly": {sign.sensor: sign.score for sign in self.signs},
            "signs": [vars(sign) for sign in self.signs],
            "contributions": self.contributions,
            "reasons": list(self.reasons),
            "action": self.advice.action,
            "urgency": self.advice.urgency,
            "within_h": self.advice.within_h,
            "repair_median_min": self.repair.median_min,
            "repair_source": self.repair.source,
            "battery": None if self.battery is None else vars(self.battery),
            "base_rate": self.base_rate,
            "synthetic": list(self.synthetic),
        }


@dataclass(frozen=True)
class Assessment:
    """What `assess` found, the component most at risk first.

    Parameters
    ----------
    at : Timestamp
        Time of the last reading.
    horizon : int
        Steps.
    step_s : float
        Length of one, s.
    components : tuple of ComponentRisk
    meters : MeterReport or None
    """

    at: pd.Timestamp
    horizon: int
    step_s: float
    components: tuple[ComponentRisk, ...]
    meters: MeterReport | None = None

    @property
    def synthetic(self) -> bool:
        """Return whether readings or coefficients came from a generator, for any component."""
        return any(c.synthetic for c in self.components)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Return probabilities of failing in each step: what ``solve(..., risk=...)`` takes.

        Index component names, columns steps 0, 1, ...; ``attrs["synthetic"]`` says whether anything was.
        """
        frame = pd.DataFrame(
            np.array([c.probability for c in self.components]).reshape(len(self.components), self.horizon),
            index=pd.Index([c.component for c in self.components], name="component"),
            columns=pd.RangeIndex(self.horizon, name="step"),
        )
        frame.attrs.update(synthetic=self.synthetic, step_s=self.step_s)
        return frame

    def to_frame(self) -> pd.DataFrame:
        """Return one row a component: health, probabilities, drivers, reasons, advice, repair, and what is synthetic."""
        frame = pd.DataFrame(
            [
                {
                    "component": c.component,
                    "health": c.health,
                    "within_horizon": c.within_horizon,
                    "within_7_days": c.weekly,
                    "drivers": ", ".join(c.contributions),
                    "reasons": "; ".join(c.reasons),
                    "action": c.advice.action,
                    "urgency": c.advice.urgency,
                    "repair_median_min": c.repair.median_min,
                    "synthetic": ", ".join(c.synthetic),
                }
                for c in self.components
            ]
        )
        frame.attrs["synthetic"] = self.synthetic
        return frame

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``pdnopt risk --json`` prints them."""
        return {
            "status": "ok",
            "at": self.at.isoformat(),
            "horizon": self.horizon,
            "step_s": self.step_s,
            "synthetic": self.synthetic,
            "components": [c.to_dict() for c in self.components],
            "meters": [] if self.meters is None else self.meters.to_frame().to_dict("records"),
        }

    def __str__(self) -> str:
        span = seconds(self.horizon * self.step_s)
        lines = [f"risk at {self.at:%Y-%m-%d %H:%M %Z}: {len(self.components)} components, horizon {span}"]
        what = sorted({text for c in self.components for text in c.synthetic})
        if what:
            lines.append(f"SYNTHETIC: {' and '.join(what)}; what is marked * rests on them")
        lines.append(f"  {'component':28} {'health':>7} {span:>10} {'7 days':>10}")
        for c in self.components[:MOST_ON_SCREEN]:
            star = "*" if c.synthetic else ""
            lines.append(
                f"  {c.component + star:28} {c.health:7.3f} {_chance(c.within_horizon):>10} {_chance(c.weekly):>10}"
            )
            lines += [f"      {reason}" for reason in c.reasons]
            if c.advice.action != "none":
                lines.append(
                    f"      do: {c.advice.action}; {c.advice.urgency}; a repair takes {_repair(c.repair)}"
                )
        rest = len(self.components) - MOST_ON_SCREEN
        if rest > 0:
            worst = self.components[MOST_ON_SCREEN]
            lines.append(f"  and {rest} more, none above {_chance(worst.weekly)} within 7 days")
        if self.meters is not None:
            lines += [f"  {line}" for line in str(self.meters).splitlines()]
        return "\n".join(lines)


def _repair(repair: RepairTime) -> str:
    """Return a repair time as a person reads it."""
    low, high = (repair.median_min * np.exp(side * repair.log_sd) for side in (-1.0, 1.0))
    return f"{repair.median_min / 60.0:.1f} h, two in three {low / 60.0:.1f} to {high / 60.0:.1f} h"


def _chance(p: float) -> str:
    """Return a probability as a person reads it."""
    if p >= 0.001:
        return f"{number(100.0 * p, 1)}{SPACE}%"
    return f"{p:.0e}"
