"""What every case must be: valid, the same each time, within its limits, kept by JSON, and safe as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp

from pdnopt.acflow import powerflow
from pdnopt.checker import check
from pdnopt.plan import Plan
from pdnopt.plant.files import read_network, write_network
from pdnopt.plant.tables import COLUMNS, values
from pdnopt.validation import validate

__all__ = ["assert_engines_agree", "assert_kept_by_json", "assert_same_each_time", "assert_sound", "racks_of"]


def assert_sound(net: Any) -> Any:
    """Valid; an empty plan is safe; every loading and voltage within limits. Returns the power flow."""
    assert validate(net) == []
    assert check(net, Plan()) == []
    flow = powerflow(net)
    for table in ("ups", "line", "trafo"):
        if len(net[table]):
            assert flow[f"res_{table}"]["loading_percent"].max() <= 100.0, table
    amperes, rated = flow.res_switch["i_ka"].fillna(0.0).to_numpy(), net.switch["in_ka"].to_numpy(float)
    assert (amperes <= rated).all()
    assert flow.res_bus["vm_pu"].dropna().between(0.95, 1.05).all()
    source = flow.res_ext_grid["p_mw"].fillna(0.0).to_numpy()
    assert (source <= values(net, "ext_grid", "max_p_mw")).all()
    return flow


def assert_engines_agree(net: Any) -> None:
    """The fast engine and pandapower give the same voltages and powers."""
    ours, theirs = powerflow(net, engine="pgm"), powerflow(net, engine="pandapower")
    np.testing.assert_allclose(ours.res_bus["vm_pu"], theirs.res_bus["vm_pu"], atol=1e-6)
    np.testing.assert_allclose(ours.res_ext_grid["p_mw"], theirs.res_ext_grid["p_mw"], atol=1e-6)


def assert_same_each_time(net: Any, again: Any, other: Any) -> None:
    """Built twice, a case is the same to the letter; another seed is another case."""
    text = pp.to_json(net)
    assert text == pp.to_json(again)
    assert text != pp.to_json(other)


def assert_kept_by_json(net: Any, path: Path) -> None:
    """Every column of PLANT.md, and the power flow, survive a file."""
    write_network(net, path)
    back = read_network(path)
    for item in COLUMNS:
        if item.table in net and item.name in net[item.table]:
            old, new = values(net, item.table, item.name), values(back, item.table, item.name)
            assert list(map(repr, old)) == list(map(repr, new)) or np.allclose(old, new, equal_nan=True), item
    flow, flow_back = powerflow(net), powerflow(back)
    np.testing.assert_allclose(flow.res_bus["vm_pu"], flow_back.res_bus["vm_pu"], atol=1e-9)


def racks_of(net: Any, table: str = "load") -> Any:
    """Racks as rows: kW, cords, priority and cap floor in kW (NaN: none)."""
    frame = net[table]
    rows = frame[frame["rack"] != ""].copy()
    if table == "asymmetric_load":
        rows["p_mw"] = rows[["p_a_mw", "p_b_mw", "p_c_mw"]].sum(axis=1)
    return rows.groupby("rack", sort=False).agg(
        kw=("p_mw", lambda p: 1000.0 * p.sum()),
        cords=("p_mw", "size"),
        priority=("priority", "first"),
        floor_kw=("min_p_mw", lambda p: 1000.0 * p.sum(min_count=1)),
    )
