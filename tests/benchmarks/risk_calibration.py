"""How good are the failure probabilities, and how early does a warning come?

Transfer switches are SYNTHETIC (no public failure series exists): fleets of `pdnopt.risk.synthetic` with seeds that nothing
was learnt or chosen on. Batteries (NASA), repair times and outages (LANL), a fan (UCI 846) are real; those parts need
PDNOPT_TEST_DATA. The meters' faults are put into synthetic readings of a tree.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from pdnopt.risk import calibration, end_of_life, fit_repairs, judge_meters, lanl_events, learn_fade
from pdnopt.risk.battery import WINDOW
from pdnopt.risk.features import vibration_features
from pdnopt.risk.hazard import DAY_S
from pdnopt.risk.kinds import learnt_ats
from pdnopt.risk.rates import PRIORS
from pdnopt.risk.scoring import Calibration
from pdnopt.risk.synthetic import STEP_S, Fleet, ats_fleet
from pdnopt.risk.wear import Watch, watch_fleet
from tests.benchmarks._reporting import Aims, Table, machine
from tests.risk.data import risk_data
from tests.risk.plants import CLASS_PERCENT, FAULTS, scene, verdict_on

DAYS = 120.0
HELD_OUT_SEEDS = (901, 902, 903)
THRESHOLD_SEED = 800
"""Of the fleet that fixed thresholds are chosen on."""
ALARM = 0.1
"""Probability of failing within 7 days at which a warning is given; the advice is then "within 24 h"."""
OUTCOMES = ("right", "right meter", "named", "missed", "wrong")
YEAR_S = 365.25 * DAY_S


def judged(watch: Watch, horizon_days: float) -> Calibration:
    """Return the calibration of a watched fleet, once a day."""
    model = learnt_ats()
    p = model.probability(model.x(watch.values), horizon_days * DAY_S)
    use = watch.alive & (watch.at_s[:, None] + horizon_days * DAY_S <= watch.end_s)
    use[np.arange(len(use)) % 4 != 0] = False
    return calibration(p[use], watch.fails_within(horizon_days * DAY_S)[use], synthetic=watch.synthetic)


def row(table: Table, name: str, found: Calibration) -> None:
    """Print one calibration."""
    parts = (found.brier, found.reliability, found.resolution, found.uncertainty)
    table.row(name, *(f"{part:.4f}" for part in parts), f"{found.skill:.2f}", f"{found.ratio:.2f}")


def leads_and_false(fleet: Fleet, at_s: np.ndarray, alarm: np.ndarray) -> tuple[np.ndarray, float]:
    """Return lead times in days of worn members that failed (0: missed), and false alarms per component-year.

    ``alarm`` is (times, members). The lead counts from the first alarm after the onset of wear. An alarm before the onset,
    or of a member that never wears, is false: the first one of each member, per year of members without wear.
    """
    began = alarm & (at_s[:, None] >= fleet.onset_s[None, :]) & (at_s[:, None] < fleet.failure_s[None, :])
    first_s = np.where(began.any(axis=0), at_s[began.argmax(axis=0)], np.inf)
    lead = (
        np.where(np.isfinite(first_s), fleet.failure_s - np.minimum(first_s, DAYS * DAY_S), 0.0)[fleet.worn]
        / DAY_S
    )
    well_s = np.minimum(np.minimum(fleet.onset_s, fleet.failure_s), DAYS * DAY_S)
    early = alarm & (at_s[:, None] < well_s[None, :])
    until_s = np.where(early.any(axis=0), at_s[early.argmax(axis=0)], well_s)
    return lead, float(early.any(axis=0).sum() / ((until_s - at_s[0]).clip(min=0).sum() / YEAR_S))


def above(values: np.ndarray, level: float) -> np.ndarray:
    """Return (times, members) whether a reading lies above a level; none where there is none."""
    return (np.nan_to_num(values, nan=-np.inf) > level).T


def threshold_for(fleet: Fleet, values: np.ndarray, since: int, allowed: float) -> float:
    """Return the lowest fixed threshold with at most ``allowed`` false alarms per component-year on a fleet."""
    at_s = np.arange(values.shape[1]) * STEP_S
    for level in np.nanquantile(values, np.linspace(0.9, 1.0, 400)):
        if leads_and_false(fleet, at_s[since:], above(values[:, since:], level))[1] <= allowed:
            return float(level)
    return float(np.nanmax(values))


def early_warning(table: Table, fleet: Fleet, watch: Watch) -> tuple[float, float, float]:
    """Print lead times of our warning and of fixed thresholds with as few false alarms; return figures for the aims."""
    model = learnt_ats()
    p = model.probability(model.x(watch.values), 7 * DAY_S)
    ours, false = leads_and_false(fleet, watch.at_s, (p >= ALARM) & watch.alive)
    past = ats_fleet(len(fleet.failure_s), DAYS, THRESHOLD_SEED)
    since = int(watch.at_s[0] // STEP_S)
    at_s = np.arange(len(fleet.time)) * STEP_S
    best = 0.0
    rows = [(f"probability of failing within 7 days at {ALARM:.0%}", ours, false)]
    for name, then, now in (
        ("fixed threshold on temperature", past.temperature, fleet.temperature),
        ("fixed threshold on voltage fluctuation", past.voltage_fluctuation, fleet.voltage_fluctuation),
    ):
        level = threshold_for(past, then, since, max(false, 0.02))
        lead, wrong = leads_and_false(fleet, at_s[since:], above(now[:, since:], level))
        rows.append((f"{name} ({level:.3g})", lead, wrong))
        best = max(best, float(np.median(lead)))
    for name, lead, wrong in rows:
        found = lead[lead > 0]
        middle = f"{np.median(found):.1f}" if len(found) else "-"
        table.row(
            name,
            len(lead),
            f"{(lead > 0).mean():.0%}",
            middle,
            f"{np.quantile(lead, 0.1):.1f}",
            f"{wrong:.2f}",
        )
    return float(np.median(ours)), best, false


def batteries(folder: Path, table: Table) -> list[Calibration]:
    """Print the calibration of end of life on NASA's cells, each left out in turn."""
    data = pd.read_csv(folder / "nasa_battery_capacity_cycles.csv")
    cells = {str(name): part["soh"].to_numpy() for name, part in data.groupby("battery_id")}
    found = []
    for cycles in (10, 20, 40):
        said: list[float] = []
        came: list[bool] = []
        for name, health in cells.items():
            fade = learn_fade([other for key, other in cells.items() if key != name])
            end = int(np.flatnonzero(health <= 0.8)[0])
            for c in range(WINDOW, end):
                said.append(float(end_of_life(health[:c], [cycles], fade)[0][0]))
                came.append(end < c + cycles)
        one = calibration(np.array(said), np.array(came), edges=(0, 0.05, 0.3, 0.7, 0.95, 1))
        row(table, f"REAL: NASA cell reaches 80 % within {cycles} cycles, cell left out ({len(said)})", one)
        found.append(one)
    return found


def fan(folder: Path) -> float:
    """Return the smallest area under the ROC curve over speeds: imbalance of a real fan, from one-second windows."""
    data = pd.read_parquet(folder / "uci846_fan_vibration.parquet")
    data.columns = ["weights", "speed", "x", "y", "z"]
    areas = []
    for speed in range(50, 101, 5):
        rms = {
            k: np.array([vibration_features(w).rms for w in np.split(part["x"].to_numpy(), 60)])
            for k, part in data[data["speed"] == speed].groupby("weights")
        }
        bad, good = np.concatenate([rms[1], rms[2]]), rms[3]
        areas.append(float((bad[:, None] > good[None, :]).mean()))
    return min(areas)


def main() -> int:
    """Print all tables; return 1 where an aim is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=400, help="transfer switches in each fleet")
    parser.add_argument("--scenes", type=int, default=10, help="scenes for each fault of a meter")
    options = parser.parse_args()
    print(machine(), "\n")
    fleets = [ats_fleet(options.members, DAYS, seed) for seed in HELD_OUT_SEEDS]
    begun = time.process_time()
    watches = [watch_fleet(fleet) for fleet in fleets]
    update_us = 1e6 * (time.process_time() - begun) / sum(f.temperature.size for f in fleets)
    print("\nSYNTHETIC transfer switches: probabilities by horizon\n")
    scores = Table(
        "what", "Brier", "reliability", "resolution", "uncertainty", "skill", "expected / observed"
    )
    by_days = {}
    for days in (1, 7, 14):
        for seed, watch in zip(HELD_OUT_SEEDS, watches, strict=True):
            by_days[days, seed] = judged(watch, days)
            row(scores, f"SYNTHETIC fleet {seed}: fails within {days} d", by_days[days, seed])
    folder = risk_data()
    real = batteries(folder, scores) if folder is not None else []
    print("\nSYNTHETIC: reliability, within 7 days\n")
    bins = Table("fleet", "from", "to", "cases", "forecast", "observed")
    for seed in HELD_OUT_SEEDS:
        for b in by_days[7, seed].table.itertuples():
            bins.row(seed, b.low, b.high, b.n, f"{b.forecast:.3f}", f"{b.observed:.3f}")
    if real:
        print("\nREAL (NASA cells): reliability, 80 % within 20 cycles\n")
        cells = Table("from", "to", "cases", "forecast", "observed")
        for b in real[1].table.itertuples():
            cells.row(b.low, b.high, b.n, f"{b.forecast:.2f}", f"{b.observed:.2f}")
    print("\nSYNTHETIC: how early, at as few false alarms\n")
    alarms = Table("alarm", "worn", "warned", "median lead, d", "10 % have less, d", "false a component-year")
    leads = [early_warning(alarms, fleet, watch) for fleet, watch in zip(fleets, watches, strict=True)]
    print("\nSYNTHETIC readings: faults of meters and of the plant\n")
    verdicts = Table("fault", *OUTCOMES)
    counts = Counter[str]()
    for fault in FAULTS:
        scenes = [scene(fault, k) for k in range(1000, 1000 + options.scenes)]
        mine = Counter(verdict_on(s, judge_meters(s.readings, s.parents, CLASS_PERCENT)) for s in scenes)
        verdicts.row(fault, *(mine[o] for o in OUTCOMES))
        counts += mine
    if folder is not None:
        print("\nREAL (LANL): repair times by cause, one row an event\n")
        repairs = Table("cause", "events", "rows", "median of events, min", "lognormal median, min", "log sd")
        events = lanl_events(folder / "lanl_failures_1996_2005.csv.xz")
        for cause, repair in fit_repairs(events).items():
            own = events[events["cause"] == cause]
            repairs.row(
                cause,
                len(own),
                own["rows"].sum(),
                f"{own['duration_min'].median():.0f}",
                f"{repair.median_min:.0f}",
                f"{repair.log_sd:.2f}",
            )
        years = (events["start"].max() - events["start"].min()).total_seconds() / YEAR_S
        outages = int((events["cause"] == "Power Outage").sum())
        site = PRIORS["ext_grid"].update(outages, years)
        low, high = site.interval_per_year()
        prior = PRIORS["ext_grid"].mean_per_year
        print(
            f"\nREAL (LANL): {outages} outages of one site in {years:.1f} years. A year: {prior:.2f} by the prior,"
        )
        print(f"{site.mean_per_year:.1f} (90 %: {low:.1f} to {high:.1f}) after these\n")
    print("\nAims\n")
    aims = Aims()
    week = [by_days[7, seed] for seed in HELD_OUT_SEEDS]
    ratio = float(np.mean([c.ratio for c in week]))
    aims.add(
        "SYNTHETIC: failures expected over observed, 7 d", f"{ratio:.2f}", "0.8 to 1.25", 0.8 <= ratio <= 1.25
    )
    skill = float(np.mean([c.skill for c in week]))
    aims.add("SYNTHETIC: Brier skill, 7 d", f"{skill:.2f}", "at least 0.4", skill >= 0.4)
    ours, best = (float(np.mean([lead[k] for lead in leads])) for k in (0, 1))
    aims.add("SYNTHETIC: median lead of all worn switches", f"{ours:.1f} d", "at least 7 d", ours >= 7)
    aims.add(
        "SYNTHETIC: the best fixed threshold's, as few false alarms",
        f"{best:.1f} d",
        "less than ours",
        best < ours,
    )
    false = float(np.mean([lead[2] for lead in leads]))
    aims.add("SYNTHETIC: false alarms a component-year", f"{false:.2f}", "at most 0.5", false <= 0.5)
    bad = counts["wrong"] + counts["missed"]
    total = sum(counts.values())
    aims.add("SYNTHETIC: meter or plant misjudged", f"{bad} of {total}", "at most 5 %", bad <= 0.05 * total)
    aims.add("one reading of one channel", f"{update_us:.2f} µs CPU", "at most 1 ms", update_us <= 1000)
    if real:
        worst = min(c.skill for c in real)
        aims.add(
            "REAL: Brier skill of end of life, worst horizon", f"{worst:.2f}", "at least 0.3", worst >= 0.3
        )
        ratios = [c.ratio for c in real]
        text = f"{min(ratios):.2f} to {max(ratios):.2f}"
        aims.add(
            "REAL: expected over observed", text, "0.75 to 1.33", 0.75 <= min(ratios) <= max(ratios) <= 1.33
        )
    if folder is not None:
        area = fan(folder)
        aims.add(
            "REAL: imbalance of a fan at equal speed, 1 s, worst AUC",
            f"{area:.3f}",
            "at least 0.9",
            area >= 0.9,
        )
    return int(not aims.met)


if __name__ == "__main__":
    sys.exit(main())
