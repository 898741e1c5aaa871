"""Measured current spectra of circuits, checked all at once, as currents drawn from the network.

One row is one harmonic of one phase of one circuit:

=============  =====================================================================================================
circuit        ``"load:name"``, ``"asymmetric_load:name"``, or ``"ups:name"`` for what the input of a UPS draws
order          whole number from 2 to 50
phase          a, b or c: the current is that of this phase's conductor
i_a, percent   rms in A, or in percent of the fundamental current of the phase: one of the two
angle_degree   of the current drawn, in degrees of the harmonic, counted from the fundamental voltage of the same phase at
               the circuit's bus (as meters have it): the phasor is ``i exp(j (angle + h arg v1))``
=============  =====================================================================================================

So the same device has the same rows on every phase. What is not told is taken to be nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.balancing.flow import PHASES
from pdnopt.balancing.harmonics.limits import MOST_ORDER
from pdnopt.balancing.network import PhaseNetwork
from pdnopt.errors import InputError, Issue
from pdnopt.plant.names import find_component
from pdnopt.units import KW_PER_MW, SQRT3

__all__ = ["Spectra", "drawn", "read_spectra"]

NEEDED = ("circuit", "order", "phase", "angle_degree")
SIZES = ("i_a", "percent")
TABLES = ("load", "asymmetric_load", "ups")
PATH = "spectra"


@dataclass(frozen=True)
class Spectra:
    """M harmonics: which row of which table (of "ups": its input load), order, phase, and size.

    Attributes
    ----------
    orders : int, shape (H,)
        Those that occur, ascending.
    table : tuple of str, length M
    row : int, shape (M,)
        Index label.
    order, phase : int, shape (M,)
        Place in ``orders``; 0, 1, 2.
    size : float, shape (M,)
        A, or percent where ``relative``.
    angle_rad : float, shape (M,)
    """

    orders: np.ndarray
    table: tuple[str, ...]
    row: np.ndarray
    order: np.ndarray
    phase: np.ndarray
    size: np.ndarray
    relative: np.ndarray
    angle_rad: np.ndarray


def read_spectra(net: Any, network: PhaseNetwork, frame: Any) -> Spectra:
    """Read a table of spectra.

    Raises
    ------
    InputError
        Columns that are missing, circuits that the network does not have or that have no voltage, orders, phases, sizes and
        angles that are none, phases on which a circuit draws nothing, rows that occur twice: all named at once.
    """
    data = pd.DataFrame(frame)
    lacking = [name for name in NEEDED if name not in data]
    if not set(SIZES) & set(data.columns):
        lacking.append("i_a or percent")
    if lacking or not len(data):
        allowed = f"columns {', '.join(NEEDED)}, and i_a or percent; at least one row"
        got = list(map(str, data.columns)) if lacking else 0
        todo = "Give one row for every circuit, order and phase."
        raise InputError(
            Issue("Missing" if lacking else "Empty", PATH, ", ".join(lacking), got, allowed, todo)
        )
    data = data.reset_index(drop=True)
    issues: list[Issue] = []
    places = _circuits(net, network, data["circuit"], issues)
    order = _orders(data, issues)
    phase = _phases(net, data, places, issues)
    size, relative = _sizes(data, issues)
    angle = _numbers(data["angle_degree"])
    for k in np.flatnonzero(~np.isfinite(angle)).tolist():
        allowed, todo = "a finite number of degrees", "Measure it: without angles currents cannot be added."
        issues.append(_issue("NonFinite", data, k, "angle_degree", allowed, todo))
    seen: dict[tuple[Any, ...], int] = {}
    for k, key in enumerate(zip(places, order, phase, strict=True)):
        if key[0] is not None and np.isfinite(key[1]) and key[2] >= 0:
            if key in seen:
                allowed, todo = f"one row for each (row {seen[key]} is the same)", "Remove one."
                issues.append(_issue("NotUnique", data, k, "circuit", allowed, todo))
            seen.setdefault(key, k)
    if issues:
        raise InputError(issues)
    orders, of = np.unique(order.astype(int), return_inverse=True)
    known = [place for place in places if place is not None]
    return Spectra(
        orders,
        tuple(place[0] for place in known),
        np.array([place[1] for place in known], dtype=int),
        of,
        phase,
        size,
        relative,
        np.radians(angle),
    )


def _issue(kind: str, data: pd.DataFrame, k: int, column: str, allowed: str, todo: str) -> Issue:
    value = data[column].iloc[k]
    value = value.item() if isinstance(value, np.generic) else value
    return Issue(kind, f"{PATH}[{k}].{column}", str(data["circuit"].iloc[k]), value, allowed, todo)


def _numbers(column: pd.Series) -> np.ndarray:
    return pd.to_numeric(column, errors="coerce").to_numpy(float)


def _circuits(
    net: Any, network: PhaseNetwork, names: pd.Series, issues: list[Issue]
) -> list[tuple[str, int] | None]:
    """Return the row of net.load or net.asymmetric_load of every line of the table."""
    known: dict[str, tuple[str, int] | None] = {}
    at = pd.Index(net.bus.index)
    for k, name in enumerate(names.astype(str)):
        if name in known:
            continue
        known[name] = None
        path = f"{PATH}[{k}].circuit"
        try:
            table, index = find_component(net, name, path)
        except InputError as error:
            issues += error.issues
            continue
        if table not in TABLES:
            allowed, todo = (
                "a row of net.load, net.asymmetric_load or net.ups",
                "Name the circuit that draws it.",
            )
            issues.append(Issue("InvalidName", path, name, name, allowed, todo))
            continue
        if table == "ups":
            unit = int(net.ups.index.get_loc(index))
            table, index = "load", int(net.load.index[network.model.ups.load[unit]])
        row = net[table].loc[index]
        if not row["in_service"] or network.node[at.get_loc(row["bus"])] < 0:
            allowed, todo = "a circuit in service at a bus with voltage", "Leave it out: it draws nothing."
            issues.append(Issue("Dead", path, name, name, allowed, todo))
            continue
        known[name] = (table, int(index))
    return [known[name] for name in names.astype(str)]


def _orders(data: pd.DataFrame, issues: list[Issue]) -> np.ndarray:
    order = _numbers(data["order"])
    good = np.isfinite(order) & (order % 1 == 0) & (order >= 2) & (order <= MOST_ORDER)
    for k in np.flatnonzero(~good).tolist():
        allowed, todo = (
            f"a whole number from 2 to {MOST_ORDER}",
            "Leave out the fundamental and interharmonics.",
        )
        issues.append(_issue("Range", data, k, "order", allowed, todo))
    return np.where(good, order, np.nan)


def _phases(
    net: Any, data: pd.DataFrame, places: list[tuple[str, int] | None], issues: list[Issue]
) -> np.ndarray:
    """Return 0, 1, 2, or -1 for a word that is none; a phase on which the circuit draws nothing is told."""
    words = data["phase"].astype(str).str.strip().str.lower()
    phase = np.array([PHASES.index(word) if word in PHASES else -1 for word in words], dtype=int)
    draws: dict[tuple[str, int], np.ndarray] = {}
    for k, (which, place) in enumerate(zip(phase, places, strict=True)):
        if which < 0:
            issues.append(_issue("Enum", data, k, "phase", "a, b or c", "Correct the phase."))
        elif place is not None:
            if place not in draws:
                draws[place] = _conductors(net, *place)
            if not draws[place][which]:
                has = ", ".join(p for p, on in zip(PHASES, draws[place], strict=True) if on) or "none"
                allowed, todo = f"a phase of the circuit ({has})", "Move it to the phase that draws."
                issues.append(_issue("NoSuchPhase", data, k, "phase", allowed, todo))
    return phase


def _conductors(net: Any, table: str, index: int) -> np.ndarray:
    """Return on which phases a circuit draws power in the table."""
    if table == "load":
        return np.ones(3, dtype=bool)
    row = net[table].loc[index]
    on = np.array([abs(row[f"p_{k}_mw"]) + abs(row[f"q_{k}_mvar"]) > 0 for k in PHASES], dtype=bool)
    return np.asarray(on | np.roll(on, 1)) if row.get("type", "wye") == "delta" else on


def _sizes(data: pd.DataFrame, issues: list[Issue]) -> tuple[np.ndarray, np.ndarray]:
    """Return sizes, and whether they are percent of the fundamental."""
    given = {name: _numbers(data[name]) if name in data else np.full(len(data), np.nan) for name in SIZES}
    told = {
        name: data[name].notna().to_numpy() if name in data else np.zeros(len(data), bool) for name in SIZES
    }
    both = told["i_a"] & told["percent"]
    relative = told["percent"] & ~both
    size = np.where(relative, given["percent"], given["i_a"])
    for k in np.flatnonzero(both | ~np.isfinite(size) | (size < 0)).tolist():
        column = "percent" if relative[k] or "i_a" not in data else "i_a"
        kind = "NotUnique" if both[k] else ("NonFinite" if not np.isfinite(size[k]) else "Range")
        allowed, todo = (
            "a finite number from 0, in one of i_a and percent",
            "Turn signs into angles; fill gaps.",
        )
        issues.append(_issue(kind, data, k, column, allowed, todo))
    return size, relative


def drawn(net: Any, network: PhaseNetwork, spectra: Spectra, v: np.ndarray, ups_kw: np.ndarray) -> np.ndarray:
    """Return the harmonic currents drawn from every row of the network, A, complex, shape (H, 3N).

    ``net`` holds the powers from which percentages are counted (constant power at ``v``, pu), ``ups_kw`` those of inputs.
    """
    ups = network.ups
    inputs = {
        int(net.load.index[row]): kw * complex(1.0, tan)
        for row, kw, tan in zip(ups.load, ups_kw, ups.tan_phi, strict=True)
    }
    at = pd.Index(net.bus.index)
    out = np.zeros((len(spectra.orders), 3 * network.n), dtype=complex)
    fundamental: dict[tuple[str, int], np.ndarray] = {}
    for k, place in enumerate(zip(spectra.table, spectra.row.tolist(), strict=True)):
        node = network.node[at.get_loc(net[place[0]].at[place[1], "bus"])]
        own = v[3 * node : 3 * node + 3]
        size = spectra.size[k]
        if spectra.relative[k]:
            if place not in fundamental:
                s_kva = _powers_kva(net, *place)
                if place[0] == "load" and place[1] in inputs:
                    s_kva = np.full(3, inputs[place[1]] / 3.0)
                fundamental[place] = _fundamental_a(net, *place, s_kva, own, network.vn_kv[node])
            size *= fundamental[place][spectra.phase[k]] / 100.0
        turn = spectra.angle_rad[k] + spectra.orders[spectra.order[k]] * np.angle(own[spectra.phase[k]])
        out[spectra.order[k], 3 * node + spectra.phase[k]] += size * np.exp(1j * turn)
    return out


def _powers_kva(net: Any, table: str, index: int) -> np.ndarray:
    """Return the powers of the three phases of a circuit (of a delta: ab, bc, ca)."""
    row = net[table].loc[index]
    if table == "load":
        s = np.full(3, complex(row["p_mw"], row["q_mvar"]) / 3.0)
    else:
        s = np.array([complex(row[f"p_{k}_mw"], row[f"q_{k}_mvar"]) for k in PHASES])
    return np.asarray(s * row["scaling"] * KW_PER_MW)


def _fundamental_a(
    net: Any, table: str, index: int, s_kva: np.ndarray, v: np.ndarray, vn_kv: float
) -> np.ndarray:
    """Return the fundamental currents of the three conductors of a circuit, A."""
    s = s_kva / (vn_kv / SQRT3)  # A at 1 pu
    if net[table].loc[index].get("type", "wye") == "delta":
        branch = np.conj(s / (v - np.roll(v, -1)))
        return np.asarray(np.abs(branch - np.roll(branch, 1)))
    return np.asarray(np.abs(s / v))
