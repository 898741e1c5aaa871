"""``assess``: from sensor readings to failure probabilities, reasons and advice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.errors import InputError, Issue
from pdnopt.plant.names import find_component
from pdnopt.risk.assessment import MODEL, READINGS, Assessment, BatteryOutlook, ComponentRisk
from pdnopt.risk.battery import LI_ION_18650, WINDOW, Fade, end_of_life
from pdnopt.risk.features import voltage_fluctuation
from pdnopt.risk.hazard import DAY_S
from pdnopt.risk.kinds import model_of
from pdnopt.risk.maintenance import advise
from pdnopt.risk.meters import STILL, MeterReport
from pdnopt.risk.monitoring import LEARN_S, LOADS, Monitor, Sign
from pdnopt.risk.rates import Rate, rate_of
from pdnopt.risk.readings import Readings, read_sensors
from pdnopt.risk.reasons import explain_sign
from pdnopt.risk.repairs import repair_of
from pdnopt.risk.sensors import SENSORS

__all__ = ["assess"]

GRID_S = 900.0
"""Readings are averaged over a quarter of an hour: shorter than any lag of a reference, long enough to be quiet."""
DENSE_S = 20.0
"""A voltage that is read at least so often shows its fluctuation."""
NOTABLE_PART = 0.3
"""Of the logarithm of the hazard or the odds: a sign that moves it by less is not named."""
NOTABLE_Z = 3.0
CYCLES = (10, 50, 100)
SOON_CYCLES = 50
LIKELY = 0.1
"""Probability of the end of life within `SOON_CYCLES` from which on a battery is a driver."""


def assess(
    sensors: pd.DataFrame | Readings,
    net: Any = None,
    *,
    horizon: int = 12,
    step_s: float = 300.0,
    learn_s: float = LEARN_S,
    events: bool = False,
    history: pd.DataFrame | None = None,
    components: Iterable[str] = (),
    fade: Fade = LI_ION_18650,
    end_of_life_at: float = 0.8,
    machine: str = "II",
    meters: MeterReport | None = None,
) -> Assessment:
    """Judge how likely components are to fail within a horizon, and why.

    Parameters
    ----------
    sensors : DataFrame or Readings
        Long or wide table of readings with times that have a zone; see `pdnopt.risk.read_sensors`.
    net : pandapowerNet, optional
        The plant; components are looked up in it.
    horizon : int
        Steps.
    step_s : float
        Length of a step, s.
    learn_s : float
        How long from its first reading on a component is taken to be well: its reference is learnt then.
    events : bool
        Whether to look for sudden events too (`pdnopt.risk.detector`); they are named, and take no part in the probability.
    history : DataFrame, optional
        The plant's own experience: columns ``kind`` (table), ``failures``, ``unit_years``; updates the prior of that kind.
    components : iterable of str
        Components without sensors to include: they get what the prior of their kind says.
    fade : Fade
        How batteries of this kind fade.
    end_of_life_at : float
        State of health at which a battery is to be replaced.
    machine : str
        Class of machine of ISO 20816 for vibration, "I" to "IV".
    meters : MeterReport, optional
        What `judge_meters` found, to be shown beside.

    Returns
    -------
    Assessment
        Its ``frame`` is what ``solve(..., risk=...)`` takes.

    Raises
    ------
    InputError
        Everything that is wrong with the arguments and the readings, at once.
    """
    issues = _arguments(horizon, step_s, learn_s, end_of_life_at, machine)
    rates = _history(history, issues)
    readings: Readings | None = None
    try:
        readings = sensors if isinstance(sensors, Readings) else read_sensors(sensors, net)
    except InputError as error:
        issues += error.issues
    extra = _extra(net, components, issues)
    if issues or readings is None:
        raise InputError(issues)
    edges_s = step_s * np.arange(1, horizon + 1)
    found = []
    for component in dict.fromkeys([*readings.components, *extra]):
        series = readings.of(component)
        rate = rates.get(component.partition(":")[0], rate_of(component))
        battery = _battery(series, fade, end_of_life_at)
        signs, notes = _follow(component, series, learn_s, events)
        synthetic = readings.synthetic and bool(series)
        found.append(_judge(component, rate, signs, notes, battery, edges_s, machine, synthetic))
    found.sort(key=lambda c: (-c.weekly, c.component))
    at = max((s.index[-1] for s in readings.series.values() if len(s)), default=pd.Timestamp.now("UTC"))
    return Assessment(at, horizon, step_s, tuple(found), meters)


def _judge(
    component: str,
    rate: Rate,
    signs: list[Sign],
    notes: list[str],
    battery: BatteryOutlook | None,
    edges_s: np.ndarray,
    machine: str,
    synthetic_readings: bool,
) -> ComponentRisk:
    model = model_of(component, rate)
    values: dict[tuple[str, str], np.ndarray] = {("", ""): np.zeros(())}
    for sign in signs:
        values[sign.sensor, "level"] = np.asarray(sign.level)
        values[sign.sensor, "trend"] = np.asarray(sign.trend_per_day)
    x = model.x(values)
    failed_by = model.cumulative(x, edges_s)
    weekly = float(model.probability(x, 7 * DAY_S))
    parts: dict[str, float] = {}
    for covariate, part in zip(model.covariates, model.contributions(x), strict=True):
        parts[covariate.sensor] = parts.get(covariate.sensor, 0.0) + float(part)
    by_sensor = {sign.sensor: sign for sign in signs}
    drivers = {
        sensor: part
        for sensor, part in sorted(parts.items(), key=lambda item: -item[1])
        if part > NOTABLE_PART and sensor in by_sensor and abs(by_sensor[sensor].z) > NOTABLE_Z
    }
    reasons = [explain_sign(by_sensor[sensor], machine) for sensor in drivers]
    unusual = [s for s in signs if s.sensor not in drivers and abs(s.z) > NOTABLE_Z and s.sensor not in parts]
    reasons += [explain_sign(sign, machine) + " (no part in the probability)" for sign in unusual]
    reasons += [
        f"{SENSORS[s.sensor].words}: {s.event_words} (no part in the probability)" for s in signs if s.event
    ]
    told = list(drivers)
    if battery is not None and battery.within[SOON_CYCLES] > LIKELY:
        told.append("battery")
        reasons.append(
            f"battery at {battery.health:.0%} of its capacity: {battery.within[SOON_CYCLES]:.0%} chance of falling to "
            f"{battery.limit:.0%} within {SOON_CYCLES} cycles (prior: {battery.source})"
        )
    uses_model = model.synthetic and bool(signs)
    marks = [text for text, applies in ((READINGS, synthetic_readings), (MODEL, uses_model)) if applies]
    return ComponentRisk(
        component=component,
        health=float(model.health(x)),
        probability=np.diff(failed_by, prepend=0.0),
        weekly=weekly,
        signs=tuple(sorted(signs, key=lambda s: -parts.get(s.sensor, 0.0))),
        contributions=drivers,
        reasons=(*reasons, *notes),
        advice=advise(component.partition(":")[0], tuple(told), weekly, float(model.health(x))),
        repair=repair_of(component),
        battery=battery,
        base_rate=rate.source,
        synthetic=tuple(marks),
    )


def _follow(
    component: str, series: dict[str, pd.Series], learn_s: float, events: bool
) -> tuple[list[Sign], list[str]]:
    """Run a component's readings through a monitor; return what its sensors say, and notes on what they do not."""
    series = dict(series)
    notes = []
    voltage = series.get("voltage")
    if voltage is not None and "voltage_fluctuation" not in series and _step_s(voltage) <= DENSE_S:
        series["voltage_fluctuation"] = voltage_fluctuation(voltage, every_s=GRID_S)
    for sensor in list(series):
        if SENSORS[sensor].role == "state":
            continue
        run = _standing(series[sensor])
        if run:
            notes.append(
                f"{SENSORS[sensor].words} has been the very same {run} times: the sensor is suspect, left out"
            )
            series[sensor] = series[sensor].iloc[: len(series[sensor]) - run + 1]
    symptoms = [s for s in series if SENSORS[s].role == "symptom"]
    if not symptoms:
        return [], notes
    load = next((s for s in LOADS if s in series), None)
    used = [
        *symptoms,
        *([load] if load else []),
        *(["ambient_temperature"] if "ambient_temperature" in series else []),
    ]
    window = pd.Timedelta(seconds=max(GRID_S, max(_step_s(series[s]) for s in used)))
    grid = pd.DataFrame({s: series[s].resample(window).mean() for s in used})
    monitor = Monitor(component, symptoms, learn_s, events)
    for time, row in zip(grid.index, grid.to_numpy(), strict=True):
        monitor.update(time, dict(zip(used, row, strict=True)))
    if monitor.learnt < 1.0:
        days = learn_s / DAY_S
        notes.append(
            f"reference still being learnt, {monitor.learnt * days:.1f} of {days:g} days: the prior speaks"
        )
    elif load is None:
        notes.append("no load is read: symptoms are not compared at equal load")
    return monitor.signs(), notes


def _standing(series: pd.Series) -> int:
    """Return how many last readings are the very same, 0 if that is usual; two days and a dozen readings at least."""
    values = series.dropna()
    moved = np.flatnonzero(np.diff(values.to_numpy()) != 0)
    run = len(values) - 1 - int(moved[-1]) if len(moved) else 0
    if run < STILL or len(moved) < STILL:
        return 0
    usual = int(np.diff(moved, prepend=-1).max())
    return run if run > 3 * usual else 0


def _step_s(series: pd.Series) -> float:
    """Return the usual time between two readings, s."""
    steps = np.diff(series.index.to_numpy()) / np.timedelta64(1, "s")
    return float(np.median(steps)) if len(steps) else GRID_S


def _battery(series: dict[str, pd.Series], fade: Fade, limit: float) -> BatteryOutlook | None:
    """Return the outlook of a battery whose capacity or state of health is read; a reading is a cycle."""
    if "state_of_health" in series:
        health = series["state_of_health"].dropna().to_numpy() / 100.0
    elif "battery_capacity" in series:
        capacity = series["battery_capacity"].dropna().to_numpy()
        health = capacity / capacity[0] if len(capacity) else capacity
    else:
        return None
    if not len(health):
        return None
    p, left = end_of_life(health, CYCLES, fade, limit)
    now = float(np.median(health[-min(3, WINDOW) :]))
    return BatteryOutlook(now, limit, left, dict(zip(CYCLES, map(float, p), strict=True)), fade.source)


def _arguments(horizon: int, step_s: float, learn_s: float, limit: float, machine: str) -> list[Issue]:
    issues = []
    if not (isinstance(horizon, int) and horizon >= 1):
        issues.append(
            Issue("Range", "horizon", "", horizon, "a whole number, at least 1", "Give the number of steps.")
        )
    for name, value in (("step_s", step_s), ("learn_s", learn_s)):
        if not (np.isfinite(value) and value > 0):
            issues.append(Issue("Range", name, "", value, "a finite time above 0 s", "Give seconds."))
    if not 0.0 < limit < 1.0:
        issues.append(Issue("Range", "end_of_life_at", "", limit, "above 0, below 1", "Write 0.8 for 80 %."))
    if machine not in ("I", "II", "III", "IV"):
        issues.append(Issue("Enum", "machine", "", machine, "I, II, III or IV", "See ISO 20816-1."))
    return issues


def _history(history: pd.DataFrame | None, issues: list[Issue]) -> dict[str, Rate]:
    """Return the rates of the kinds that the plant has experience with."""
    if history is None:
        return {}
    missing = [c for c in ("kind", "failures", "unit_years") if c not in history]
    if missing:
        allowed = "columns kind, failures, unit_years"
        issues.append(
            Issue("Schema", "history", "", list(history.columns), allowed, f"Add {', '.join(missing)}.")
        )
        return {}
    rates: dict[str, Rate] = {}
    for row in history.to_dict("records"):
        try:
            kind = str(row["kind"])
            rates[kind] = rates.get(kind, rate_of(f"{kind}:")).update(
                float(row["failures"]), float(row["unit_years"])
            )
        except InputError as error:
            issues += error.issues
    return rates


def _extra(net: Any, components: Iterable[str], issues: list[Issue]) -> list[str]:
    """Return components without sensors that are to be included, checked."""
    out = []
    for name in components:
        try:
            if net is not None:
                find_component(net, name, "components")
        except InputError as error:
            issues += error.issues
            continue
        out.append(name)
    return out
