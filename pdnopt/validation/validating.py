"""``validate``: every fault of a network at once, the errors first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pdnopt.errors import Issue
from pdnopt.validation import devices, electrical, feeds, references, topology, values
from pdnopt.validation.graph import read_graph, read_units
from pdnopt.validation.view import Findings, View

__all__ = ["validate"]


def validate(net: Any) -> list[Issue]:
    """Check a network and return all that is wrong with it; an empty list means fit to decide on.

    Parameters
    ----------
    net : pandapowerNet
        With or without pdnopt's tables. It is never changed.

    Returns
    -------
    list of Issue
        Errors first, then warnings, each in a fixed order. Whatever the tables hold, nothing is raised.

    Notes
    -----
    On a plain pandapower network (none of pdnopt's tables or columns) some rules of a plant are warnings,
    because published cases break them for good reason: `SignConvention` (pumped storage, net feed-in
    as negative load), `ParallelSources` (meshed transmission), `VoltageMismatch`, `UnitImplausible` and
    `StateConflict` (saved results), and bounds of the columns that pdnopt shares with pandapower.
    """
    frames = _as_mapping(net)
    if frames is None:
        todo = "Build one with pdnopt.plant.create_empty_plant, or load one with pdnopt.load_case."
        return [Issue("NotANetwork", "net", "", type(net).__name__, "a pandapowerNet", todo)]
    view = View(frames)
    found = Findings(view)
    with np.errstate(all="ignore"):
        _run(found, "tables", lambda: values.check_tables(view, found))
        _run(found, "values", lambda: values.check_values(view, found))
        _run(found, "references", lambda: references.check_references(view, found))
        _run(found, "electrical", lambda: electrical.check_electrical(view, found))
        _run(found, "topology", lambda: _wiring(view, found))
        _run(found, "ups", lambda: devices.check_upss(view, found))
        _run(found, "overload curves", lambda: devices.check_curves(view, found))
        _run(found, "racks", lambda: devices.check_racks(view, found))
        _run(found, "results", lambda: devices.check_conflicts(view, found))
        _run(found, "names", lambda: references.check_names(view, found))
    return sorted(found.issues, key=lambda issue: issue.severity != "error")


def _wiring(view: View, found: Findings) -> None:
    graph, units = read_graph(view), read_units(view)
    for name, check in (
        ("sources", lambda: topology.check_sources(view, found, graph)),
        ("islands", lambda: topology.check_unserved(view, found, graph, units)),
        ("ratings", lambda: topology.check_zero_ratings(view, found, graph, units)),
        ("switching", lambda: topology.check_switching(view, found, graph)),
        ("units", lambda: electrical.check_units_of_measure(view, found, units)),
        ("capacity", lambda: feeds.check_capacity(view, found, graph, units)),
        ("common mode", lambda: feeds.check_common_mode(view, found, graph, units)),
    ):
        _run(found, name, check)


def _as_mapping(net: Any) -> Any | None:
    """Return the network if its tables can be had by name."""
    try:
        return net if hasattr(net, "get") and hasattr(net, "keys") and "bus" in net else None
    except Exception:
        return None


def _run(found: Findings, name: str, check: Callable[[], None]) -> None:
    """Run one group of checks. Garbage that it cannot stand is a finding too, never an exception."""
    try:
        check()
    except Exception as reason:
        value = f"{type(reason).__name__}: {reason}"[:200]
        todo = "Correct the other findings first; if none is left, please report this one."
        found.one("Unchecked", "net", "", value, f"tables on which the check '{name}' can run", todo)
