"""The checker on compensation and on harmonics: what it must refuse, and that its own network agrees; command line."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pdnopt.checker import check, check_harmonics, harmonic_voltages
from pdnopt.library import load_case
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from pdnopt.session import solve
from tests.balance.pods import pod
from tests.balance.spectra import filtered, generated

VOLT = 415.0 / np.sqrt(3.0)
DEVICE = "asymmetric_sgen:MIM-0"


@pytest.fixture(scope="module")
def net() -> Any:
    return filtered(pod(s_max_kva=5.0))


def command(i_a: Any, order: Any = (3, 5), angle: Any = None, device: str = DEVICE) -> Action:
    angle = np.zeros(np.shape(i_a)).tolist() if angle is None else angle
    after = {"order": list(order), "i_a": list(i_a), "angle_degree": angle}
    return Action(1, 1.0, device, "compensate", None, after)


def kinds(net: Any, *actions: Action, **other: Any) -> set[str]:
    return {issue.kind for issue in check(net, Plan("balance", actions=actions, **other))}


def test_rms_of_all_harmonics_by_hand(net: Any) -> None:
    """5 kVA a phase at 239.6 V are 20.87 A; of it 0.6 and 0.8 make one."""
    most = 5e3 / VOLT
    assert most == pytest.approx(20.87, abs=0.01)
    assert kinds(net, command([[0.6 * most, 0, 0], [0.79 * most, 0, 0]])) == set()
    assert kinds(net, command([[0.6 * most, 0, 0], [0.81 * most, 0, 0]])) == {"Overload"}


def test_the_fundamental_takes_its_part(net: Any) -> None:
    """3 of 5 kVA: 4 of 5 are left."""
    lost = 3.0 * 1.03 / 0.97
    after = {"p_kw": [3.0, 0.0, -lost], "q_kvar": [0.0, 0.0, 0.0]}
    told = Action(1, 1.0, DEVICE, "setpoint", None, after)
    most = 5e3 / VOLT
    assert kinds(net, told, command([[0.78 * most, 0, 0]], order=[3])) == set()
    assert kinds(net, told, command([[0.84 * most, 0, 0]], order=[3])) == {"Overload"}


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        (command([[1.0, 0.0, 0.0]], order=[1]), "BadAction"),
        (command([[1.0, 0.0, 0.0]], order=[2.5]), "BadAction"),
        (command([[1.0, 0.0, 0.0]] * 2, order=[3, 3]), "BadAction"),
        (command([[float("nan"), 0.0, 0.0]], order=[3]), "BadAction"),
        (command([[-1.0, 0.0, 0.0]], order=[3]), "BadAction"),
        (command([[1.0, 0.0]], order=[3]), "BadAction"),
        (command([[1.0, 0.0, 0.0]], order=[3], device="asymmetric_sgen:NOBODY"), "UnknownDevice"),
    ],
)
def test_what_is_no_command(net: Any, action: Action, kind: str) -> None:
    assert kinds(net, action) == {kind}


def test_who_may_not_compensate() -> None:
    net = pod()
    told = command([[1.0, 0.0, 0.0]], order=[3], device="asymmetric_sgen:MIM-0")
    assert kinds(net, told) == {"NoFilter"}
    assert kinds(filtered(net), told) == set()
    assert kinds(net, told, failed=("asymmetric_sgen:MIM-0",)) == {"DeadDevice"}


def test_a_wrong_claim_is_refused() -> None:
    """The plan's maker says half of what is; or keeps its figures while the plan no longer compensates."""
    net = filtered(pod())
    frame = generated(net, (3, 5))
    result = solve(net, "balance", spectra=frame)
    assert check_harmonics(net, result.plan, frame, result.spectrum) == []
    wrong = result.spectrum.assign(after_percent=result.spectrum["before_percent"] / 2)
    assert "Disagrees" in {issue.kind for issue in check_harmonics(net, result.plan, frame, wrong)}
    silent = replace(result.plan, actions=tuple(a for a in result.plan.actions if a.action == "setpoint"))
    assert "Disagrees" in {issue.kind for issue in check_harmonics(net, silent, frame, result.spectrum)}
    assert Plan.from_json(result.plan.to_json()) == result.plan
    assert result.plan.apply(net).asymmetric_sgen["in_service"].all()


def test_a_limit_that_stays_broken_is_a_warning_with_its_figure() -> None:
    net = pod()
    frame = generated(net, (3, 5), 8.0)
    result = solve(net, "balance", spectra=frame)
    assert result.status == "optimal"
    broken = result.distortion[
        (result.distortion["kind"] == "voltage") & (result.distortion["broken_after"] != "")
    ]
    assert len(broken)
    assert {issue.severity for issue in result.issues} == {"warning"}
    assert {issue.id for issue in result.issues} == set(broken["place"])
    worst = broken["total_after_percent"].max()
    assert any(f"{worst:.2f} %" in str(issue) for issue in result.issues)
    assert "beyond" in str(result)


def test_a_phase_that_compensates_nothing_is_judged_by_its_apparent_power(net: Any) -> None:
    """At 0.98 pu 4.99 of 5 kVA are more than the rated current; harmonics of another phase do not change that."""
    after = {"p_kw": [0.0, 0.0, 0.0], "q_kvar": [0.0, 0.0, -4.99]}
    lost = Action(1, 1.0, DEVICE, "setpoint", None, after | {"p_kw": [-4.99 * 0.03, 0.0, 0.0]})
    assert kinds(net, lost) == set()
    assert kinds(net, lost, command([[1.0, 0.0, 0.0]], order=[3])) == set()
    assert kinds(net, lost, command([[0.0, 0.0, 1.0]], order=[3])) == {"Overload"}


def test_the_checkers_own_network_agrees_on_the_pod() -> None:
    """UPS outputs as sources, cables with their own zero sequence, and a rectifier's current before a UPS.

    Without magnetising currents, which the checker leaves out: they make up 0.2 % of voltages here.
    """
    net = load_case("mim_pod")
    net.trafo[["pfe_kw", "i0_percent"]] = 0.0
    frame = generated(net, (3, 5))
    frame.loc[len(frame)] = ["ups:UPS-A", 5, "b", 30.0, 10.0]
    result = solve(net, "balance", spectra=frame, time_limit_s=120.0)
    assert result.issues == []
    told_p = tuple(action for action in result.plan.actions if action.action == "setpoint")
    found = harmonic_voltages(net, replace(result.plan, actions=told_p), frame)
    told = result.spectrum[result.spectrum["kind"] == "voltage"].set_index(["place", "phase", "order"])
    names = net.bus["name"]
    seen = 0
    for row in found.itertuples():
        key = (f"bus:{names[row.bus]}", row.phase, row.order)
        if key in told.index:
            seen += 1
            assert told.at[key, "before_percent"] == pytest.approx(row.percent, rel=1e-4, abs=1e-5)
    assert seen > 80
    assert "bus:main A" in set(result.distortion["place"])


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pdnopt", *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_command_line_and_report(tmp_path: Path) -> None:
    net = filtered(pod())
    import pandapower as pp

    plant, table, report = tmp_path / "pod.json", tmp_path / "spectra.csv", tmp_path / "report.html"
    pp.to_json(net, str(plant))
    generated(net, (3, 5)).to_csv(table, index=False)
    code, out, err = run(
        "solve",
        str(plant),
        "balance",
        "--spectra",
        str(table),
        "--report",
        str(report),
        "--out",
        str(tmp_path / "p.json"),
    )
    assert (code, "TDD of current" in out) == (0, True), err
    actions = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))["actions"]
    assert [item["action"] for item in actions] == ["setpoint"] * 2 + ["compensate"] * 2
    page = report.read_text(encoding="utf-8")
    assert "IEEE 519-2022" in page
    assert page.count("Spectrum at") >= 2
    wrong = pd.read_csv(table)
    wrong.loc[0, "circuit"], wrong.loc[1, "order"] = "asymmetric_load:nobody", 1
    wrong.to_csv(table, index=False)
    code, _, err = run("solve", str(plant), "balance", "--spectra", str(table))
    assert code == 2
    assert "spectra[0].circuit" in err
    assert "spectra[1].order" in err
    assert "Traceback" not in err
