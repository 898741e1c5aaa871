"""Bad input to a balance: every fault at once, named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pdnopt.errors import InputError
from pdnopt.session import Session
from tests.balance.pods import pod


def issues_of(net: Any, **keywords: Any) -> set[tuple[str, str]]:
    with pytest.raises(InputError) as caught:
        Session(net, "balance", validate=False, **keywords).solve()
    assert all(issue.todo and issue.allowed for issue in caught.value.issues)
    return {(issue.kind, issue.id) for issue in caught.value.issues}


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
    assert issues_of(net, max_ramp_kva=-1.0) == {("Range", "")}
    assert issues_of(net, peaks=3, risk={}) == {("UnknownField", "")}


def test_loads() -> None:
    kw = pd.Series({0: np.nan, 1: -1.0, 9: 3.0})
    assert issues_of(pod(), p_asymmetric_kw=kw) == {
        ("NonFinite", "asymmetric_load:0"),
        ("NonFinite", "asymmetric_load:1"),
        ("InvalidId", "asymmetric_load:9"),
    }
