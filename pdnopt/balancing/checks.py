"""What is wrong with a network, or with what is asked, before set-points are worked out: everything at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pdnopt.acflow.three_phase import missing_zero_sequence
from pdnopt.balancing.flow import PHASES
from pdnopt.balancing.inverters import told_rows
from pdnopt.balancing.loads import loads_kw
from pdnopt.balancing.network import not_held
from pdnopt.errors import InputError, Issue
from pdnopt.plant.names import component_name, find_component
from pdnopt.plant.tables import values

__all__ = ["check_call", "check_inputs", "check_pairs", "check_phases", "check_terms"]

TABLE = "asymmetric_sgen"


def check_inputs(net: Any, terms: Sequence[str], options: Any) -> list[Issue]:
    """Return every fault of the network and of the call."""
    out = [*check_phases(net), *not_held(net), *missing_zero_sequence(net)]
    if not told_rows(net).any():
        todo = "Add some with pdnopt.plant.create_micro_inverter."
        allowed = "a micro-inverter (kind 'mim') in service at a bus with voltage"
        out.append(Issue("NoDevice", f"net.{TABLE}", "", 0, allowed, todo))
    return out + check_call(net, terms, options)


def check_call(net: Any, terms: Sequence[str], options: Any) -> list[Issue]:
    """Return every fault of the keywords of a call: terms, failed and stale inverters, loads."""
    out = [*check_terms(terms, options), *check_pairs(options), *_names(net, options)]
    try:
        loads_kw(net, options)
    except InputError as error:
        out += error.issues
    return out


def check_terms(terms: Sequence[str], options: Any) -> list[Issue]:
    """Return what is wrong with ``minimize``."""
    asked = tuple(options.minimize or terms)
    if set(asked) <= set(terms) and len(set(asked)) == len(asked):
        return []
    allowed = f"each at most once: {', '.join(terms)}"
    return [Issue("Enum", "minimize", "", list(asked), allowed, "Correct the terms.")]


APART = (
    ("loads", "spectra"),
    ("spectra", "max_moves"),
    ("zones", "loads"),
    ("zones", "max_moves"),
    ("zones", "spectra"),
)
"""Keywords of which one says something about a plant that another one changes."""


def check_pairs(options: Any) -> list[Issue]:
    """Return the keywords that are not taken together: none of them is ignored silently."""
    given = {name for pair in APART for name in pair if _is_given(getattr(options, name))}
    todo = "Ask for one of them, carry it out, and ask for the other then."
    return [
        Issue("Conflict", f"solve({one}=..., {other}=...)", "", f"{one} and {other}", "one of them", todo)
        for one, other in APART
        if {one, other} <= given
    ]


def _is_given(value: Any) -> bool:
    """Return whether a keyword says something (a frame of loads does)."""
    return value is not None and value is not False


def _names(net: Any, options: Any) -> list[Issue]:
    """Return the names that are no inverter in service."""
    issues = []
    mine = set(net[TABLE].index[told_rows(net)])
    for path, names in (("failed", options.failed), ("stale", options.stale)):
        for position, name in enumerate(names):
            where = f"{path}[{position}]"
            try:
                table, index = find_component(net, name, where)
            except InputError as error:
                issues += error.issues
                continue
            if table != TABLE or index not in mine:
                allowed = "a micro-inverter in service, for instance asymmetric_sgen:MIM-A1"
                todo = "Answer other failures by problem 'reroute' first."
                issues.append(Issue("InvalidName", where, name, name, allowed, todo))
    return issues


def check_phases(net: Any) -> list[Issue]:
    """Return what is wrong with phases of loads, names of phases, and limits of inverters: every one named."""
    present, issues = _present_phases(net)
    return [*issues, *_phase_options(net, present), *_absent_phases(net, present), *_limits(net)]


def _present_phases(net: Any) -> tuple[dict[int, str], list[Issue]]:
    """Return the phases that ``net.bus.phases`` gives to buses, and its words that are no phases."""
    present, issues = {}, []
    for row, text in zip(net.bus.index, net.bus.get("phases", ()), strict=False):
        if text is None or text != text or text == "":
            continue
        if not isinstance(text, str) or not set(text) <= set(PHASES) or len(set(text)) != len(text):
            who, todo = component_name(net, "bus", int(row)), "Write for example 'abc' or 'b'."
            allowed = "letters of a, b, c, each once"
            issues.append(Issue("Enum", "net.bus.phases", who, text, allowed, todo))
            continue
        present[int(row)] = text
    return present, issues


def _phase_options(net: Any, present: dict[int, str]) -> list[Issue]:
    """Return the options that are no phases, and those that the load's bus does not have."""
    loads, issues = net.asymmetric_load, []
    if "phase_options" not in loads:
        return []
    path = "net.asymmetric_load.phase_options"
    for row, text, bus in zip(loads.index, loads["phase_options"], loads["bus"], strict=True):
        words = [] if text is None or text != text else [part.strip() for part in str(text).split(",")]
        has = present.get(bus, "".join(PHASES))
        who = component_name(net, "asymmetric_load", int(row))
        if any(word not in ("", *PHASES) for word in words):
            todo = "Write for example 'a,b'."
            issues.append(Issue("Enum", path, who, text, "letters of a, b, c with commas between", todo))
        elif any(word not in has for word in words):
            todo = "Leave out the phases that the bus does not have."
            issues.append(Issue("NoSuchPhase", path, who, text, f"phases of its bus: {', '.join(has)}", todo))
    return issues


def _absent_phases(net: Any, present: dict[int, str]) -> list[Issue]:
    """Return the powers on phases that their bus does not have."""
    issues = []
    todo = "Move it to a phase that the bus has."
    for table in ("asymmetric_load", TABLE):
        frame = net[table]
        for row in frame.index[frame["bus"].isin(list(present))]:
            has = present[int(frame.at[row, "bus"])]
            for phase in PHASES:
                drawn = abs(frame.at[row, f"p_{phase}_mw"]) + abs(frame.at[row, f"q_{phase}_mvar"])
                if phase not in has and drawn > 0:
                    path, who = f"net.{table}.p_{phase}_mw", component_name(net, table, int(row))
                    allowed = f"0 MW: the bus has {has}"
                    issues.append(Issue("NoSuchPhase", path, who, float(drawn), allowed, todo))
    return issues


def _limits(net: Any) -> list[Issue]:
    """Return ratings, losses and present set-points of inverters that are no limits, and batteries that are not there."""
    frame, issues = net[TABLE], []
    mims = np.flatnonzero(told_rows(net))
    columns = (
        {name: values(net, TABLE, name) for name in ("s_max_mva", "loss_percent", "storage")}
        if len(frame)
        else {}
    )
    for at in mims:
        who = component_name(net, TABLE, int(frame.index[at]))

        def fault(kind: str, name: str, value: float, allowed: str, todo: str, who: str = who) -> None:
            issues.append(Issue(kind, f"net.{name}", who, value, allowed, todo))

        rating, loss, battery = (
            float(columns[name][at]) for name in ("s_max_mva", "loss_percent", "storage")
        )
        if not (np.isfinite(rating) and rating > 0.0):
            kind = "NotGreater" if np.isfinite(rating) else "NonFinite"
            todo = "Give the apparent power of one phase, in MVA."
            fault(kind, f"{TABLE}.s_max_mva", rating, "a finite number, more than 0 MVA", todo)
        if not 0.0 <= loss < 100.0:
            fault("Range", f"{TABLE}.loss_percent", loss, "from 0 to below 100 %", "Correct the number.")
        for name in [f"{word}_{k}_{unit}" for word, unit in (("p", "mw"), ("q", "mvar")) for k in PHASES]:
            now = float(frame[name].iloc[at])
            if not np.isfinite(now):
                todo = "Write the present set-point; 0 if it gives nothing."
                fault("NonFinite", f"{TABLE}.{name}", now, "a finite number", todo)
        if battery == battery and battery not in net.storage.index:
            todo = "Correct the index, or leave it empty."
            fault("InvalidId", f"{TABLE}.storage", battery, "a row of net.storage", todo)
        elif battery == battery:
            for name, most in (("max_e_mwh", np.inf), ("soc_percent", 100.0)):
                held = float(net.storage.at[int(battery), name])
                if not (np.isfinite(held) and 0.0 <= held <= most):
                    kind = "Range" if np.isfinite(held) else "NonFinite"
                    allowed = "a finite number, 0 MWh or more" if name == "max_e_mwh" else "from 0 to 100 %"
                    fault(kind, f"storage.{name}", held, allowed, "Correct the battery on its DC link.")
    return issues
