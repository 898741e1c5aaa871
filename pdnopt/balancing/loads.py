"""What loads draw: the tables', and what replaces it, as injections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.balancing.flow import Injections, read_owned_injections
from pdnopt.balancing.inverters import Inverters
from pdnopt.balancing.network import PhaseNetwork
from pdnopt.errors import InputError, Issue
from pdnopt.plan import Plan
from pdnopt.plant.names import component_name
from pdnopt.units import KW_PER_MW

__all__ = ["Loads", "draws_kw", "loads_kw"]

TABLES = ("load", "asymmetric_load")
SAME_KW = 1e-9


def draws_kw(net: Any, table: str) -> pd.Series:
    """Return what every row draws by the tables, all phases together, scaling included."""
    frame = net[table]
    columns = ["p_mw"] if table == "load" else ["p_a_mw", "p_b_mw", "p_c_mw"]
    draws: pd.Series = frame[columns].sum(axis=1) * frame["scaling"] * KW_PER_MW
    return draws


class Loads:
    """The loads of one network.

    A row that is replaced keeps its phases and its power factor: its injections are multiplied, as long as every row draws
    what its table says. Where cords took over from dead ones they do not, and the network is written anew.
    """

    def __init__(self, net: Any, base: Any, network: PhaseNetwork, inverters: Inverters) -> None:
        self._net, self._base, self._network, self._inverters = net, base, network, inverters
        self.now, self._owner = read_owned_injections(base, network, inverters.index)
        self._kw = {table: draws_kw(net, table) for table in TABLES}
        demand = {table: np.ones(len(net[table]), dtype=bool) for table in TABLES}
        demand["load"][network.ups.load] = False  # inputs of UPSs
        self._plain = all(
            bool((np.abs(draws_kw(base, table) - self._kw[table])[demand[table]] <= SAME_KW).all())
            for table in TABLES
        )

    def at(self, replaced: Mapping[str, Mapping[int, float]]) -> Injections:
        """Return the injections of `owned` alone."""
        return self.owned(replaced)[0]

    def owned(self, replaced: Mapping[str, Mapping[int, float]]) -> tuple[Injections, dict[str, np.ndarray]]:
        """Return the injections with the demands (kW) of some rows replaced, by table and row; and the row of each.

        Raises
        ------
        InputError
            A row that draws nothing by its table is to draw something: its phases are not known.
        """
        if not replaced:
            return self.now, self._owner
        issues = []
        factor = np.ones(len(self.now.s_pu))
        for table, rows in replaced.items():
            told = pd.Series(rows, dtype=float)
            before = self._kw[table].reindex(told.index).to_numpy(float)
            for k in np.flatnonzero((before == 0.0) & (told.to_numpy() > 0.0)).tolist():
                who = component_name(self._net, table, int(told.index[k]))
                todo = "Give it a power in the table first: its phases come from there."
                issues.append(
                    Issue(
                        "NoPhases", f"net.{table}", who, float(told.iloc[k]), "0 kW: it draws nothing", todo
                    )
                )
            with np.errstate(divide="ignore", invalid="ignore"):
                times = np.where(before > 0.0, told.to_numpy() / before, 1.0)
            own = self._owner.get(table, np.full(len(factor), -1))
            at = told.index.get_indexer(pd.Index(own))
            factor *= np.where((at >= 0) & (own >= 0), times[at], 1.0)
        if issues:
            raise InputError(issues)
        if not self._plain:
            base = Plan("balance", loads_kw=replaced).apply(self._net)
            return read_owned_injections(base, self._network, self._inverters.index)
        now = self.now
        return Injections(now.plus, now.minus, now.s_pu * factor, now.z, now.i), self._owner


def loads_kw(net: Any, options: Any) -> dict[str, dict[int, float]]:
    """Return the demands that replace the tables', as a plan keeps them.

    Raises
    ------
    InputError
        Rows that are no load, NaN, and negative powers; all at once.
    """
    issues, out = [], {}
    for table, keyword in (("load", "p_load_kw"), ("asymmetric_load", "p_asymmetric_kw")):
        given = getattr(options, keyword)
        if given is None:
            continue
        series = pd.Series(given, dtype=float)
        for row, kw in zip(series.index.to_numpy(), series.to_numpy(float), strict=True):
            path = f"solve({keyword}=...)"
            if row not in net[table].index:
                todo = "Correct the index."
                issues.append(Issue("InvalidId", path, f"{table}:{row}", row, f"a row of net.{table}", todo))
            elif not (np.isfinite(kw) and kw >= 0):
                todo = "Fill the gap, or leave the row out."
                issues.append(
                    Issue("NonFinite", path, f"{table}:{row}", kw, "a finite number, 0 kW or more", todo)
                )
        out[table] = {
            int(row): float(kw)
            for row, kw in zip(series.index.to_numpy(), series, strict=True)
            if row in net[table].index
        }
    if issues:
        raise InputError(issues)
    return {table: rows for table, rows in out.items() if rows}
