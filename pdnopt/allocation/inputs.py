"""Load vectors and other inputs of an allocation; every fault at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.allocation.choices import Choices
from pdnopt.errors import InputError, Issue
from pdnopt.plant.demand import Demand
from pdnopt.plant.failures import Outage, parse_failed
from pdnopt.plant.grid import Grid
from pdnopt.plant.names import NAMED_TABLES, component_name, component_names, find_component
from pdnopt.units import KW_PER_MW

__all__ = ["Vectors", "check_devices", "outages_of", "read_risk", "read_vectors"]

NOW = "now"


@dataclass(frozen=True)
class Vectors:
    """Load vectors: kW of each cord, (cords, V), and what they are called. The first is the load now."""

    cord_kw: np.ndarray
    labels: tuple[str, ...]


def read_vectors(demand: Demand, loads: Any, step_s: float | None, horizon_s: float) -> Vectors:
    """Return the load now and the vectors of ``loads``; rows that these lack keep what they draw now.

    Raises
    ------
    InputError
        NaN, infinite or negative powers, rows that are no load, a forecast shorter than the horizon; all at once.
    """
    if loads is None:
        return Vectors(demand.cord_kw[:, None], (NOW,))
    frame = loads.to_frame() if isinstance(loads, pd.Series) else pd.DataFrame(loads)
    issues: list[Issue] = []
    kw = frame.to_numpy(float)
    for bad, kind, allowed, todo in (
        (~np.isfinite(kw), "NonFinite", "a finite number of kW", "Fill the gap first."),
        (kw < 0, "NegativeLoad", ">= 0 kW", "Model generation as sgen."),
    ):
        for i, j in np.argwhere(bad)[:5]:
            issues.append(
                Issue(kind, f"loads[{frame.columns[j]!r}]", f"load:{frame.index[i]}", kw[i, j], allowed, todo)
            )
    known = demand.cord_row[demand.cord_table == "load"]
    strange = frame.index[~frame.index.isin(known)].tolist()
    if strange:
        issues.append(
            Issue(
                "InvalidId",
                "loads",
                "",
                strange[:5],
                "rows of net.load that are demand",
                "Correct the index.",
            )
        )
    if frame.index.has_duplicates:
        twice = list(frame.index[frame.index.duplicated()][:5])
        issues.append(Issue("NotUnique", "loads", "", twice, "one row a load", "Remove the duplicates."))
    if not frame.shape[1]:
        issues.append(
            Issue("Empty", "loads", "", 0, "at least one column", "Give a load vector, or leave it out.")
        )
    if step_s is not None:
        first = (
            frame.columns.get_level_values(0) if isinstance(frame.columns, pd.MultiIndex) else frame.columns
        )
        covers_s = step_s * first.nunique()
        if covers_s < horizon_s - 1e-9:
            todo = "Give more steps, or a shorter horizon_s."
            issues.append(
                Issue("HorizonError", "loads", "", covers_s, f"steps that cover {horizon_s:g} s", todo)
            )
    if issues:
        raise InputError(issues)
    cord_kw = np.repeat(demand.cord_kw[:, None], kw.shape[1] + 1, axis=1)
    place = np.full(len(demand.cord_row), -1)
    mine = np.flatnonzero(demand.cord_table == "load")
    place[mine] = frame.index.get_indexer(pd.Index(demand.cord_row[mine]))
    cord_kw[place >= 0, 1:] = kw[place[place >= 0]]
    labels = [
        " ".join(str(part) for part in name) if isinstance(name, tuple) else str(name)
        for name in frame.columns
    ]
    return Vectors(cord_kw, (NOW, *labels))


def check_devices(
    grid: Grid, choices: Choices, demand: Demand, cord_device: np.ndarray, ups_of_station: np.ndarray
) -> None:
    """Raise InputError for devices with which no allocation makes sense; all at once.

    A tap to nowhere, a device whose dwell contradicts itself, a reserve system smaller than its largest rack.
    """
    issues: list[Issue] = []
    tr, ups = grid.transfers, grid.upss
    for k in np.flatnonzero(tr.in_service):
        if not len(tr.positions[k]):
            issues.append(
                Issue(
                    "NoPosition",
                    "net.switch.transfer",
                    tr.name[k],
                    0,
                    "at least one position",
                    "Give the device switches, or take it out of service.",
                )
            )
        if tr.dwell_left_s[k] > tr.min_dwell_s[k]:
            issues.append(
                Issue(
                    "BoundsCrossed",
                    "net.transfer.dwell_left_s",
                    tr.name[k],
                    float(tr.dwell_left_s[k]),
                    f"at most min_dwell_s, {tr.min_dwell_s[k]:g} s",
                    "Correct one of the two.",
                )
            )
    if issues:
        raise InputError(issues)
    if not len(choices.name):
        todo = "Check that taps have loads only on their outputs; see net.transfer."
        raise InputError(
            Issue("NoDevice", "net.transfer", "", 0, "a transfer device that feeds load only", todo)
        )
    behind = np.flatnonzero(cord_device >= 0)
    largest: dict[int, tuple[float, str]] = {}
    for cord in behind:
        unit = int(demand.cord_unit[cord])
        d = int(cord_device[cord])
        kw = float(demand.d_kw[unit])
        if kw > largest.get(d, (-1.0, ""))[0]:
            largest[d] = (kw, demand.name[unit])
    for d, (kw, rack) in sorted(largest.items()):
        for q in choices.kinds[choices.kind[d]].stations:
            at = int(ups_of_station[q])
            if at >= 0 and ups.p_rated_kw[at] < kw - 1e-9:
                issues.append(
                    Issue(
                        "CapacityError",
                        "net.ups.p_rated_mw",
                        ups.name[at],
                        float(ups.p_rated_kw[at]) / KW_PER_MW,
                        f"at least {kw / KW_PER_MW:g} MW, the whole of {rack} behind {choices.name[d]}",
                        "Take the position away, or the rack elsewhere.",
                    )
                )
    if issues:
        raise InputError(issues)


def _plain_outages(net: Any, names: Sequence[str]) -> dict[str, Outage]:
    """Return the outages of whole components by name, as `parse_failed` reads them; of many, that one is too slow."""
    out: dict[str, Outage] = {}
    twice = set()
    plain = {name.partition(":")[0] for name in names} & set(NAMED_TABLES) - {"ext_grid", "rack"}
    for table in sorted(plain & set(net.keys())):
        for name, index in zip(component_names(net, table), net[table].index.tolist(), strict=True):
            if name in out:
                twice.add(name)
            out[name] = Outage(table, int(index), "failed", name)
    return {name: outage for name, outage in out.items() if name not in twice}


def outages_of(
    net: Any, names: Sequence[str], doubles: Iterable[Sequence[str]]
) -> list[tuple[str, list[Outage]]]:
    """Return every contingency with its outages."""
    known = _plain_outages(net, names)
    out = [(name, [known[name]] if name in known else parse_failed(net, [name])) for name in names]
    issues = []
    for k, pair in enumerate(doubles):
        if isinstance(pair, str) or len(pair) != 2:
            issues.append(
                Issue(
                    "Format",
                    f"doubles[{k}]",
                    "",
                    pair,
                    "a pair of component names",
                    'Write ("ups:A", "ups:B").',
                )
            )
            continue
        out.append((" + ".join(pair), parse_failed(net, list(pair))))
    if issues:
        raise InputError(issues)
    return out


def read_max_moves(value: int | None) -> float:
    """Return how many devices may move in one plan, infinite for None. Raises InputError."""
    if value is None:
        return inf
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        allowed, todo = "a whole number from 0", "Correct the value, or leave it out."
        raise InputError(Issue("Range", "solve(max_moves=...)", "", value, allowed, todo))
    return float(value)


def read_risk(net: Any, evacuate: Sequence[str], risk: Any) -> dict[str, float]:
    """Return what a kW on a component counts as load to be evacuated: 1 where told so, else its probability of failing.

    Raises
    ------
    InputError
        Unknown components, probabilities outside 0..1; all at once.
    """
    issues: list[Issue] = []
    out: dict[str, float] = {}
    frame = (
        pd.DataFrame()
        if risk is None
        else (risk.to_frame() if isinstance(risk, pd.Series) else pd.DataFrame(risk))
    )
    told = [("evacuate", name, 1.0) for name in evacuate]
    for name, row in frame.iterrows():
        p = row.to_numpy(float)
        if not (np.isfinite(p).all() and (p >= 0).all() and (p <= 1).all()):
            issues.append(
                Issue("Range", "risk", str(name), p.tolist(), "probabilities from 0 to 1", "Correct the row.")
            )
            continue
        told.append(("risk", str(name), float(p.max(initial=0.0))))
    for path, name, weight in told:
        try:
            table, index = find_component(net, name, path)
        except InputError as error:
            issues += error.issues
            continue
        name = name if table == "rack" else component_name(net, table, int(index))
        out[name] = max(out.get(name, 0.0), weight)
    if issues:
        raise InputError(issues)
    return out
