"""Bad input to a balance: every fault at once, named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
import pytest

from pdnopt.errors import InputError, Issue
from pdnopt.plant import create_storage
from pdnopt.session import Session
from tests.balance.pods import pod


def raised(net: Any, validate: bool = False, **keywords: Any) -> list[Issue]:
    """Return the issues, each with a path, what is allowed and what to do."""
    with pytest.raises(InputError) as caught:
        Session(net, "balance", validate=validate, **keywords).solve()
    assert all(issue.path and issue.todo and issue.allowed for issue in caught.value.issues)
    return list(caught.value.issues)


def issues_of(net: Any, **keywords: Any) -> set[tuple[str, str]]:
    return {(issue.kind, issue.id) for issue in raised(net, **keywords)}


def broken() -> Any:
    """Return a pod with one fault of every kind."""
    net = pod()
    net.bus["phases"] = ["abc", "abc", "ab", "abx"]
    net.asymmetric_load["phase_options"] = ["a,d", "b"]
    net.line.loc[1, "x0_ohm_per_km"] = np.nan
    net.asymmetric_sgen.loc[1, "s_max_mva"] = 0.0
    net.asymmetric_sgen.loc[0, "storage"] = 7.0
    return net


FAULTS = {
    ("NoSuchPhase", "net.asymmetric_load.p_c_mw", "asymmetric_load:load 0"),
    ("Enum", "net.bus.phases", "bus:PDU-1"),
    ("Enum", "net.asymmetric_load.phase_options", "asymmetric_load:load 0"),
    ("MissingZeroSequence", "net.line.x0_ohm_per_km", "line:cable 1"),
    ("NotGreater", "net.asymmetric_sgen.s_max_mva", "asymmetric_sgen:MIM-1"),
    ("InvalidId", "net.asymmetric_sgen.storage", "asymmetric_sgen:MIM-0"),
    ("InvalidId", "stale[0]", "asymmetric_sgen:NOBODY"),
    ("InvalidName", "failed[0]", "trafo:TX"),
    ("Enum", "minimize", ""),
    ("InvalidId", "solve(p_asymmetric_kw=...)", "asymmetric_load:9"),
}


@pytest.mark.parametrize("validate", [False, True])
def test_every_fault_of_network_and_call_at_once(validate: bool) -> None:
    found = raised(
        broken(), validate, stale=["asymmetric_sgen:NOBODY"], failed=["trafo:TX"], minimize=("peace",),
        p_asymmetric_kw=pd.Series({9: 1.0}),
    )  # fmt: skip
    told = {(issue.kind, issue.path, issue.id) for issue in found}
    assert told >= FAULTS
    assert len(found) == len({(issue.path, issue.id) for issue in found})  # none twice
    if not validate:
        assert told == FAULTS


def test_the_command_line_tells_them_all(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    pp.to_json(broken(), str(path))
    done = subprocess.run(
        [sys.executable, "-m", "pdnopt", "solve", str(path), "balance", "--stale", "asymmetric_sgen:NOBODY"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for kind, where, who in FAULTS:
        if not where.startswith(("failed", "minimize", "solve")):
            missing = [word for word in (kind, where.removeprefix("net."), who) if word not in done.stderr]
            assert missing == []


def test_the_value_and_what_is_allowed_are_told() -> None:
    by_path = {issue.path: issue for issue in raised(broken(), stale=["asymmetric_sgen:NOBODY"])}
    assert by_path["net.asymmetric_load.p_c_mw"].allowed == "0 MW: the bus has ab"
    assert by_path["net.asymmetric_load.p_c_mw"].value == pytest.approx(0.004 + 0.001)
    assert by_path["net.asymmetric_sgen.s_max_mva"].value == 0.0
    assert by_path["net.bus.phases"].value == "abx"
    assert by_path["net.asymmetric_load.phase_options"].value == "a,d"


def test_options_on_a_phase_that_the_bus_does_not_have() -> None:
    net = pod(kw=((9.0, 5.0, 0.0), (4.0, 8.0, 6.0)))
    net.bus["phases"] = ["abc", "abc", "ab", "abc"]
    net.asymmetric_load["phase_options"] = ["b,c", None]
    (issue,) = raised(net)
    assert (issue.kind, issue.id, issue.allowed) == (
        "NoSuchPhase",
        "asymmetric_load:load 0",
        "phases of its bus: a, b",
    )


@pytest.mark.parametrize(
    ("table", "column", "value", "kind"),
    [
        ("asymmetric_sgen", "s_max_mva", np.nan, "NonFinite"),
        ("asymmetric_sgen", "s_max_mva", -0.005, "NotGreater"),
        ("asymmetric_sgen", "s_max_mva", np.inf, "NonFinite"),
        ("asymmetric_sgen", "p_b_mw", np.nan, "NonFinite"),
        ("asymmetric_sgen", "q_c_mvar", np.inf, "NonFinite"),
        ("asymmetric_sgen", "loss_percent", 100.0, "Range"),
        ("storage", "max_e_mwh", np.nan, "NonFinite"),
        ("storage", "soc_percent", 120.0, "Range"),
    ],
)
def test_limits_that_are_none(table: str, column: str, value: float, kind: str) -> None:
    net = pod()
    net.asymmetric_sgen.loc[0, "storage"] = create_storage(net, 2, "DES", 0.001, 0.002, coupling="dc")
    net[table].loc[0, column] = value
    (issue,) = raised(net)
    assert (issue.kind, issue.path, issue.id) == (kind, f"net.{table}.{column}", "asymmetric_sgen:MIM-0")
    assert issue.value == pytest.approx(value, nan_ok=True)


def test_phases_that_are_not_there_and_ratings_that_are_none() -> None:
    net = pod()
    net.bus["phases"] = ["abc", "abc", "ab", "abx"]
    net.asymmetric_load["phase_options"] = ["a,d", None]
    net.asymmetric_sgen.loc[1, "s_max_mva"] = 0.0
    net.asymmetric_sgen.loc[0, "storage"] = 7.0
    assert issues_of(net) == {
        ("NoSuchPhase", "asymmetric_load:load 0"),
        ("Enum", "bus:PDU-1"),
        ("Enum", "asymmetric_load:load 0"),
        ("NotGreater", "asymmetric_sgen:MIM-1"),
        ("InvalidId", "asymmetric_sgen:MIM-0"),
    }


def test_zero_sequence_data_is_never_made_up() -> None:
    net = pod()
    net.line = net.line.drop(columns=["r0_ohm_per_km"])
    assert issues_of(net) == {
        ("MissingZeroSequence", "line:cable 0"),
        ("MissingZeroSequence", "line:cable 1"),
    }


def test_no_inverter() -> None:
    net = pod()
    net.asymmetric_sgen["in_service"] = False
    assert issues_of(net) == {("NoDevice", "")}


def test_keywords() -> None:
    net = pod()
    assert issues_of(net, failed=["line:cable 0", "asymmetric_sgen:X"], stale=["trafo:TX"]) == {
        ("InvalidName", "line:cable 0"),
        ("InvalidId", "asymmetric_sgen:X"),
        ("InvalidName", "trafo:TX"),
    }
    assert issues_of(net, minimize=("vuf", "peace")) == {("Enum", "")}
    assert issues_of(net, max_ramp_kva=float("nan")) == {("Range", "")}
    assert issues_of(net, max_ramp_kva=-1.0) == {("Range", "")}
    assert issues_of(net, peaks=3, risk={}) == {("UnknownField", "")}


def test_loads() -> None:
    kw = pd.Series({0: np.nan, 1: -1.0, 9: 3.0})
    assert issues_of(pod(), p_asymmetric_kw=kw) == {
        ("NonFinite", "asymmetric_load:0"),
        ("NonFinite", "asymmetric_load:1"),
        ("InvalidId", "asymmetric_load:9"),
    }


@pytest.mark.parametrize("keyword", ["loads", "max_moves", "spectra"])
def test_zones_are_not_taken_together_with_what_changes_the_plant(keyword: str) -> None:
    net = pod()
    given = {
        "loads": pd.DataFrame({0: net.load["p_mw"] * 1e3}, index=net.load.index),
        "max_moves": 1,
        "spectra": pd.DataFrame({"circuit": [], "order": [], "phase": [], "i_a": [], "angle_degree": []}),
    }
    found = {issue.kind: issue.value for issue in raised(net, zones=2, **{keyword: given[keyword]})}
    assert found["Conflict"] == f"zones and {keyword}"
