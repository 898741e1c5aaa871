"""Every single-branch fault of two systems against the exhaustive enumeration of the data folder."""

from __future__ import annotations

import csv
import json

import pytest

import pdnopt
from tests.feeder.systems import data_folder, to_network

FEW = {"dnr_16_civanlar": ("1", "10"), "dnr_33_baran_wu": ("1", "7", "25")}
FOLDER = data_folder()
LIMITED = "min_loss_kw_vmin>=0.90"


def faults(name: str) -> list[dict[str, str]]:
    if FOLDER is None:
        return []
    with (FOLDER / "restoration" / f"n1_{name}.csv").open() as file:
        return list(csv.DictReader(file))


def cases(few: bool) -> list[tuple[str, str, float | None]]:
    return [
        (name, row["fault_branch"], v_min)
        for name, mine in FEW.items()
        for row in faults(name)
        for v_min in (None, 0.90)
        if (row["fault_branch"] in mine) == few
    ]


def restored(name: str, fault: str, v_min: float | None, time_limit_s: float) -> pdnopt.Result:
    assert FOLDER is not None
    case = json.loads((FOLDER / "reconfiguration" / f"{name}.json").read_text())
    net = to_network(case, name, v_min)
    return pdnopt.solve(
        net, "reroute", failed=[f"switch:{fault}"], minimize=("unserved", "losses"), time_limit_s=time_limit_s
    )


def compare(name: str, fault: str, v_min: float | None) -> None:
    row = next(row for row in faults(name) if row["fault_branch"] == fault)
    result = restored(name, fault, v_min, 10.0)
    assert result.ok
    expected = row["min_loss_kw" if v_min is None else LIMITED]
    unservable_kw = float(row["p_kw_unservable"])
    if expected in ("", "nan"):
        if float(row["p_kw_restorable"]) > 0:
            assert result.unserved_kw > unservable_kw
            assert any("voltage" in reason.limit for reason in result.reasons)
        return
    assert result.unserved_kw == pytest.approx(unservable_kw, abs=1e-3)
    assert result.losses_kw <= float(expected) * 1.005 + 1e-9
    assert result.losses_kw >= float(expected) * (1 - 1e-4)
    assert result.bound["losses"] <= float(expected) * (1 + 1e-4)


@pytest.mark.skipif(FOLDER is None, reason="no outside data: set PDNOPT_TEST_DATA")
@pytest.mark.parametrize(("name", "fault", "v_min"), cases(few=True))
def test_faults(name: str, fault: str, v_min: float | None) -> None:
    compare(name, fault, v_min)


@pytest.mark.soak
@pytest.mark.skipif(FOLDER is None, reason="no outside data: set PDNOPT_TEST_DATA")
@pytest.mark.parametrize(("name", "fault", "v_min"), cases(few=False))
def test_every_other_fault(name: str, fault: str, v_min: float | None) -> None:
    compare(name, fault, v_min)
