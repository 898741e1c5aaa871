"""The reconfiguration test systems of the data folder as pandapower networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pytest

from tests.outside import outside

__all__ = ["SYSTEMS", "best_known_kw", "data_folder", "system", "to_network"]

SYSTEMS = (
    "dnr_16_civanlar",
    "dnr_33_baran_wu",
    "dnr_69_baran_wu",
    "dnr_84_tpc",
    "dnr_118_zhang_matpower",
    "dnr_136_mantovani",
    "dnr_703_cemig",
    "rrdn_case1",
    "rrdn_case2",
    "rrdn_case4",
)


def data_folder() -> Path | None:
    """Return the folder of the outside data, or None where it is absent."""
    folder = outside()
    return folder if folder.is_dir() else None


def system(name: str) -> Any:
    """Return one system as a pandapower network; skip the test where the data are absent."""
    folder = data_folder()
    if folder is None:
        pytest.skip("no outside data: set PDNOPT_TEST_DATA")
    return to_network(json.loads((folder / "reconfiguration" / f"{name}.json").read_text()), name)


def best_known_kw(name: str) -> float:
    """Return the best known loss in kW that the table in the data folder's README tells."""
    folder = data_folder()
    assert folder is not None
    for row in (folder / "reconfiguration" / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in row.split("|")]
        if len(cells) > 4 and cells[1].split(" ")[0] == name:
            return float(cells[4])
    raise LookupError(f"no row of {name} in the README of the reconfiguration systems")


def to_network(case: dict[str, Any], name: str, min_vm_pu: float | None = None) -> Any:
    """Return a plain network: one line and one line switch a branch, named by the branch's id.

    A branch with ``switchable: false`` has no switch, and is out of service where it is open.
    """
    net = pp.create_empty_network(name=name)
    ids = [bus["id"] for bus in case["buses"]]
    limits = {} if min_vm_pu is None else {"min_vm_pu": min_vm_pu}
    buses = pp.create_buses(net, len(ids), vn_kv=case["base_kv"], name=[str(i) for i in ids], **limits)
    bus = dict(zip(ids, buses, strict=True))
    for slack in case["slack_buses"]:
        pp.create_ext_grid(net, bus[slack], vm_pu=case.get("slack_vm_pu", 1.0), name=f"source {slack}")
    loads = [b for b in case["buses"] if b["p_kw"] or b["q_kvar"]]
    pp.create_loads(
        net,
        [bus[b["id"]] for b in loads],
        p_mw=[b["p_kw"] / 1e3 for b in loads],
        q_mvar=[b["q_kvar"] / 1e3 for b in loads],
        name=[str(b["id"]) for b in loads],
    )
    branches = case["branches"]
    lines = pp.create_lines_from_parameters(
        net,
        [bus[b["from"]] for b in branches],
        [bus[b["to"]] for b in branches],
        length_km=1.0,
        r_ohm_per_km=[b["r_ohm"] for b in branches],
        x_ohm_per_km=[b["x_ohm"] for b in branches],
        c_nf_per_km=0.0,
        max_i_ka=[b["rating_a"] / 1e3 if b.get("rating_a") else 99999.0 for b in branches],
        name=[str(b["id"]) for b in branches],
    )
    fixed = np.array([not b.get("switchable", True) for b in branches])
    closed = np.array([bool(b["closed"]) for b in branches])
    net.line.loc[np.asarray(lines)[fixed & ~closed], "in_service"] = False
    free = np.flatnonzero(~fixed)
    pp.create_switches(
        net,
        buses=[bus[branches[k]["from"]] for k in free],
        elements=[int(lines[k]) for k in free],
        et="l",
        closed=[bool(closed[k]) for k in free],
        name=[str(branches[k]["id"]) for k in free],
    )
    return net
