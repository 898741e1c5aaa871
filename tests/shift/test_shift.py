"""What a shift decides, on plants where it can be said in advance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import pdnopt
from pdnopt.cli import app
from tests.shift.rows import row

TWO = [
    {"kw": 10.0, "priority": 1, "sources": [0, 1], "on": 0, "fail_auto": 0.1, "fail_move": 0.0},
    {"kw": 8.0, "priority": 3, "sources": [0, 1], "on": 0, "fail_auto": 0.1, "fail_move": 0.0},
]
QUIET = {"explain": False, "components": ["ups"], "guard": 0.0}


def risk(p: float, name: str = "ups:UPS-A", steps: int = 12) -> pd.DataFrame:
    return pd.DataFrame([[p] * steps], index=[name])


def battery(device: int, **changes: Any) -> dict[str, Any]:
    return {
        "device": device,
        "p_max_mw": 0.012,
        "e_max_mwh": 0.010,
        "soc_percent": 50.0,
        "soc_min_percent": 10.0,
        "efficiency_charge": 0.95,
        "efficiency_discharge": 0.95,
        "grid_forming": True,
        "cycle_cost_per_kwh": 0.08,
        **changes,
    }


def test_a_move_pays_exactly_from_the_risk_on_at_which_it_costs_less() -> None:
    """Priority 1, 10 kW: staying loses p * 0.1 * 10 kW * 10 * (1 + 1.25) h = 22.5 p; moving wears 0.08 kWh."""
    net = row([100.0, 100.0], TWO[:1])
    threshold = 0.08 / 22.5
    for factor, moves in ((0.98, 0), (1.02, 1)):
        result = pdnopt.solve(net, "shift", risk=risk(factor * threshold, steps=1), horizon=1, **QUIET)
        assert result.status == "optimal"
        assert len(result.plan.actions) == moves


def test_the_critical_load_goes_first_and_not_more_than_allowed_in_a_step() -> None:
    net = row([100.0, 100.0], TWO)
    result = pdnopt.solve(net, "shift", risk=risk(0.05), max_moves=1, **QUIET)
    frame = result.schedule
    assert frame["device"].tolist() == ["transfer:T1", "transfer:T2"]
    assert frame["step"].tolist() == [1, 2]
    assert [action.device for action in result.plan.actions] == ["transfer:T1"]
    assert pdnopt.check(net, result.plan) == []
    by_area = pdnopt.solve(net, "shift", risk=risk(0.05), max_moves=1, areas={"transfer:T2": "east"}, **QUIET)
    assert by_area.schedule["step"].tolist() == [1, 1]
    by_kw = pdnopt.solve(net, "shift", risk=risk(0.05), max_shift_kw=10.0, **QUIET)
    assert by_kw.schedule["step"].tolist() == [1, 2]


def test_a_slow_transfer_needs_a_battery_to_bridge_it() -> None:
    """An ATS of 100 ms interrupts its rack: 10 kW * 10 * 1.25 h = 125 kWh-eq, more than the risk. A battery bridges it."""
    slow = [{**TWO[0], "transfer_ms": 100.0}]
    alone = pdnopt.solve(row([100.0, 100.0], slow), "shift", risk=risk(0.01), **QUIET)
    assert not alone.plan.actions
    net = row([100.0, 100.0], slow, batteries=[battery(0)])
    bridged = pdnopt.solve(net, "shift", risk=risk(0.01), **QUIET)
    moves = bridged.schedule[bridged.schedule["action"] == "transfer"]
    assert moves["device"].tolist() == ["transfer:T1"]
    assert moves["kwh"].iloc[0] == pytest.approx(10.0 * 0.1 / 3600.0)
    assert bridged.interrupted_kw == 0.0
    assert "storage:DES-1 bridges the transfer of transfer:T1: 10.0 kW for 100 ms, 0.28 Wh" in bridged.notes
    weak = row([100.0, 100.0], slow, batteries=[battery(0, p_max_mw=0.009)])
    assert not (pdnopt.solve(weak, "shift", risk=risk(0.01), **QUIET).schedule["action"] == "transfer").any()


def test_energy_is_kept_and_charged_for_the_failure_that_is_feared() -> None:
    """Losing UPS-A leaves 18 kW on 12 kW: the battery gives (e - 1 kWh) * 0.95 of the 6 kWh that must go in an hour.

    UPS-A (20 kW) carries 10 kW, so that it charges with 10 kW at most: 5 kWh + 3 * 10 kW / 12 * 0.95 are enough.
    """
    net = row(
        [20.0, 12.0],
        [TWO[0] | {"fail_auto": 0.0}, {**TWO[1], "on": 1, "fail_auto": 0.0}],
        batteries=[battery(0)],
    )
    result = pdnopt.solve(net, "shift", risk=risk(0.01), **{**QUIET, "components": ["ext_grid"]})
    assert result.status == "optimal"
    stored = result.timeline["stored_kwh"].to_numpy()
    needed = 1.0 + 6.0 / 0.95
    assert stored[0] == pytest.approx(5.0 + 0.95 * 10.0 / 12.0, abs=1e-4)
    assert (stored[2:] >= needed - 1e-6).all()
    assert stored.max() <= 10.0 + 1e-9
    assert result.timeline["at_stake_kwh"].iloc[3] == pytest.approx(0.0, abs=1e-6)
    assert (result.timeline["charge_kw"] <= 10.0 + 1e-3).all()
    calm = pdnopt.solve(net, "shift", risk=risk(1e-7), **{**QUIET, "components": ["ext_grid"]})
    assert not calm.plan.actions


def test_it_does_not_chatter() -> None:
    """A risk that comes and goes around the threshold from step to step moves nothing twice."""
    net = row([100.0, 100.0], [{**TWO[0], "min_dwell_s": 900.0}])
    p = np.tile([0.02, 0.0], 6)
    frame = pd.DataFrame([p, p[::-1]], index=["ups:UPS-A", "ups:UPS-B"])
    result = pdnopt.solve(net, "shift", risk=frame, prices={"wear_kwh": 0.3}, **QUIET)
    steps = result.schedule["step"].to_numpy()
    assert (np.diff(steps) >= 3).all()
    dear = pdnopt.solve(net, "shift", risk=frame, prices={"wear_kwh": 3.0}, **QUIET)
    assert not len(dear.schedule)


def test_a_predicted_overload_is_moved_away_before_it_comes() -> None:
    net = row([20.0, 30.0], TWO)
    rows = net.load.index[net.load["rack"] != ""]
    loads = pd.DataFrame([[10.0] * 12, [8.0] * 6 + [12.0] * 6], index=rows, columns=range(12))
    result = pdnopt.solve(net, "shift", loads=loads, **{**QUIET, "components": ["ext_grid"]})
    assert result.status == "optimal"
    assert len(result.schedule) == 1
    assert result.schedule["step"].iloc[0] <= 7
    assert result.bill["nominal"] == pytest.approx(0.0, abs=1e-9)


def test_the_end_is_safe_for_every_single_failure_where_that_can_be() -> None:
    """Fixed 15 kW on B (20 kW): 10 + 8 kW on A would be 18 kW; after losing A, 33 kW of 20 kW. C takes them both."""
    racks = [{**rack, "sources": [0, 1, 2], "preferred": 0} for rack in TWO]
    fixed = [{"kw": 15.0, "priority": 2, "boards": [1]}]
    net = row([20.0, 20.0, 40.0], racks, fixed)
    result = pdnopt.solve(net, "shift", **QUIET)
    assert result.bill["end"] == pytest.approx(0.0, abs=1e-6)
    after = result.schedule.groupby("device")["after"].last()
    assert len(after) >= 1
    assert not any("not N-1 safe" in note for note in result.notes)


def test_quantiles_weigh_by_the_range_they_stand_for() -> None:
    from pdnopt.shifting.course import read_course

    net = row([100.0, 100.0], TWO)
    rows = net.load.index[net.load["rack"] != ""]
    columns = pd.MultiIndex.from_product([range(2), [0.1, 0.5, 0.9]])
    loads = pd.DataFrame(10.0, index=rows, columns=columns)
    session = pdnopt.Session(net, "shift", horizon=2, **QUIET)
    weight = read_course(session._runner.plant.demand, loads, 2, 300.0).weight
    assert weight == pytest.approx([0.3, 0.4, 0.3])
    assert session.solve(loads=loads).ok


def test_the_grid_peak_is_shaved_only_when_asked_and_costs_no_safety() -> None:
    net = row([100.0, 100.0], TWO, batteries=[battery(0, soc_percent=100.0)])
    rows = net.load.index[net.load["rack"] != ""]
    loads = pd.DataFrame([[10.0] * 12, [8.0] * 10 + [20.0] * 2], index=rows, columns=range(12))
    plain = pdnopt.solve(net, "shift", loads=loads, **QUIET)
    shaved = pdnopt.solve(net, "shift", loads=loads, minimize=("cost", "grid_peak"), **QUIET)
    assert not (plain.schedule["action"] == "power").any()
    saved = 30.0 / 0.96 - shaved.objective["grid_peak"]
    assert saved > 5.0
    safety = [
        r.bill["expected"] + r.bill["nominal"] + r.bill["end"] + r.bill["moves"] for r in (plain, shaved)
    ]
    assert safety[1] <= safety[0] + 1e-5


def test_the_same_input_gives_the_same_plan_and_nothing_given_is_changed() -> None:
    net = row([100.0, 100.0], TWO, batteries=[battery(0)])
    before = pdnopt.plant.fingerprint.fingerprint(net)
    plans = [pdnopt.solve(net, "shift", risk=risk(0.02), **QUIET).plan.to_json() for _ in range(2)]
    assert plans[0] == plans[1]
    assert pdnopt.plant.fingerprint.fingerprint(net) == before


def test_a_session_goes_on_from_where_the_plant_is() -> None:
    net = row([100.0, 100.0], TWO)
    session = pdnopt.Session(net, "shift", risk=risk(0.05), max_moves=1, **QUIET)
    moved = []
    for _ in range(3):
        result = session.solve()
        assert result.ok
        moved.append(len(result.plan.actions))
        net = result.plan.apply(net)
        session.update(net)
    assert moved == [1, 1, 0]


def test_the_screen_and_the_command_line() -> None:
    arguments = ["solve", "hall_4n3", "shift", "--horizon", "4", "--max-moves", "1"]
    arguments += ["--risk", "transfer:STS-A-B@stuck + ups:UPS-A=0.2/h", "--risk", "ups:UPS-A=0.01"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "transfer transfer:STS-A-B" in done.stdout
    assert "kWh-eq at risk avoided" in done.stdout
    bad = CliRunner().invoke(
        app, ["solve", "hall_4n3", "shift", "--risk", "ups:UPS-A=often", "--risk", "=0.1"]
    )
    assert bad.exit_code == 2
    assert bad.output.count("Format at --risk") == 2


def test_the_report_has_the_timeline(tmp_path: Path) -> None:
    from pdnopt.report import write_report

    net = row([100.0, 100.0], TWO, batteries=[battery(0)])
    result = pdnopt.solve(net, "shift", risk=risk(0.05), max_moves=1, **QUIET)
    page = write_report(result, net, tmp_path / "shift.html").read_text(encoding="utf-8")
    for text in (
        "Load by feed",
        "Charge of the batteries",
        "Risk",
        "T2/2",
        "intended",
        "expected loss to failures",
    ):
        assert text in page
    held = pdnopt.solve(net, "shift", **QUIET)
    assert "Nothing that could be moved now" in write_report(held, net, tmp_path / "held.html").read_text(
        "utf-8"
    )


def test_a_bound_on_the_critical_load_at_risk_moves_it_though_the_risk_is_small() -> None:
    """1e-6 that T1 is stuck while UPS-A dies: 10 kW of priority 1. No expected cost moves it; a bound of 5 kW does."""
    net = row([100.0, 100.0], TWO)
    rare = risk(1e-6, "transfer:T1@stuck + ups:UPS-A")
    assert not pdnopt.solve(net, "shift", risk=rare, **QUIET).plan.actions
    bound = pdnopt.solve(net, "shift", risk=rare, max_at_risk_kw=5.0, **QUIET)
    assert [action.device for action in bound.plan.actions] == ["transfer:T1"]


def test_the_rules_do_what_the_documents_say() -> None:
    """Greedy: 50 kW a step, the riskiest and largest first; all at once: everything; nobody moves without risk."""
    from pdnopt.shifting.rules import all_at_once, greedy, never, threshold

    racks = [{**TWO[0], "kw": kw} for kw in (30.0, 25.0, 15.0)]
    net = row([100.0, 100.0], racks, batteries=[battery(0, p_max_mw=0.04)])
    session = pdnopt.Session(net, "shift", horizon=1, step_s=300.0, **QUIET)

    def data(p: float) -> Any:
        options = session.options.but({"risk": risk(p, steps=1)})
        runner = session._runner
        told, hazards, bounds = runner._inputs(runner.plant.demand, options, 300.0)
        reader, names, ends = runner.reader_of([hazard.name for hazard in hazards], options)
        return runner.data(reader, names, ends, told, hazards, bounds, options)

    assert never(data(0.1)).position.tolist() == [0, 0, 0]
    assert greedy(data(0.1)).position.tolist() == [1, 0, 1]
    assert all_at_once(data(0.1)).position.tolist() == [1, 1, 1]
    told = threshold(data(0.1))
    assert told.position.tolist() == [1, 1, 0]  # the mean is 23.3 kW
    assert told.power_kw[0] == pytest.approx(-30.0)
    for rule in (greedy, all_at_once, threshold):
        assert rule(data(1e-6)).position.tolist() == [0, 0, 0]


def test_a_session_gives_what_a_new_solve_gives() -> None:
    """The LP of a session starts from its last basis; the decision is the same."""
    net = row([100.0, 100.0], TWO, batteries=[battery(0)])
    session = pdnopt.Session(net, "shift", risk=risk(0.001), **QUIET)
    session.solve()
    again = session.solve(risk=risk(0.05), max_moves=1)
    fresh = pdnopt.solve(net, "shift", risk=risk(0.05), max_moves=1, **QUIET)
    assert again.plan.to_json() == fresh.plan.to_json()
    assert again.objective["cost"] == pytest.approx(fresh.objective["cost"], rel=1e-6)
