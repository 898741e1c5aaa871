"""Every bad input of FIELD_NOTES that concerns a network, one test an item, on ``two_feed``."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pandapower as pp
import pandas as pd
import pytest

from cases.two_feed import two_feed
from pdnopt.plant import (
    create_interlock,
    create_overload_curve,
    create_rack,
    create_storage,
    create_switch,
    create_transfer,
    create_utility,
)
from pdnopt.validation import validate

MAIN_A, MAIN_B, OUT_A, OUT_B, PDU_A, PDU_B = 3, 4, 5, 6, 7, 8
_BUILT = two_feed()


@pytest.fixture
def net():
    return copy.deepcopy(_BUILT)


@functools.cache
def with_ats():
    net = copy.deepcopy(_BUILT)
    out = int(pp.create_bus(net, 0.4, name="ATS out"))
    create_transfer(net, out, [PDU_A, PDU_B], "ATS", in_ka=0.05)
    create_rack(net, [out], "S1", 0.010, power_factor=1.0)
    return net


@pytest.fixture
def ats():
    """two_feed with an ATS between the PDUs and one single-corded rack of 10 kW behind it."""
    return copy.deepcopy(with_ats())


def kinds(net):
    return {issue.kind for issue in validate(net)}


def one(net, kind, severity="error"):
    """The only finding of a kind; it says where, who, what, what would do and what to do."""
    found = [issue for issue in validate(net) if issue.kind == kind]
    assert len(found) == 1, [str(i) for i in validate(net)]
    issue = found[0]
    assert issue.severity == severity
    assert issue.path.startswith("net")
    assert issue.allowed
    assert issue.todo
    return issue


def test_the_case_is_clean(net, ats):
    assert validate(_BUILT) == []
    assert validate(ats) == []


def test_01_duplicate_id(net):
    net.load.index = [0, 0, *range(2, len(net.load))]
    issue = one(net, "NotUnique")
    assert (issue.path, issue.id, issue.value) == ("net.load.index", "load:0", 0)


@pytest.mark.parametrize(
    ("table", "column", "row", "id_"),
    [
        ("load", "bus", 2, "load:R1/A"),
        ("line", "from_bus", 0, "line:feeder A"),
        ("ext_grid", "bus", 0, "ext_grid:Utility-A"),
        ("ups", "in_bus", 0, "ups:UPS-A"),
        ("ups", "bypass_bus", 1, "ups:UPS-B"),
        ("switch", "bus", 0, "switch:QA"),
        ("switch", "element", 0, "switch:QA"),
        ("load", "ups", 0, "load:UPS-A input"),
        ("ext_grid", "ups", 3, "ext_grid:UPS-A output"),
    ],
)
def test_02_dangling_reference(net, table, column, row, id_):
    net[table].loc[row, column] = 999
    found = [i for i in validate(net) if i.kind == "InvalidId"]
    assert [(i.path, i.value) for i in found] == [(f"net.{table}.{column}", 999)]
    assert found[0].id.startswith(id_.partition(":")[0])


def test_02_dangling_references_of_devices(ats):
    ats.transfer.loc[0, "preferred"] = 0.0  # QA is none of its positions
    assert one(ats, "InvalidId").path == "net.transfer.preferred"
    ats.transfer.loc[0, "preferred"] = np.nan
    ats.interlock.at[0, "switches"] = [0, 77]
    assert one(ats, "InvalidId").value == 77
    ats.interlock.at[0, "switches"] = "QA, QG"
    assert one(ats, "WrongType").id == "interlock:QA-QG"


def test_02_unknown_curve_and_switch_at_the_wrong_end(net):
    net.ups.loc[0, "overload_curve"] = "nonsense"
    assert one(net, "InvalidId").path == "net.ups.overload_curve"
    net.ups.loc[0, "overload_curve"] = ""
    line_switch = net.switch.index[net.switch.et == "l"][0]
    net.switch.loc[line_switch, "bus"] = PDU_B
    assert one(net, "InvalidId").allowed == "an end of the line it switches"


@pytest.mark.parametrize(
    ("table", "column", "row", "value"),
    [("line", "to_bus", 0, OUT_A), ("switch", "element", 3, MAIN_A), ("ups", "out_bus", 0, MAIN_A)],
)
def test_03_self_loop(net, table, column, row, value):
    net[table].loc[row, column] = value
    assert "SameValue" in kinds(net)


def test_04_r_and_x_zero(net):
    net.line.loc[1, ["r_ohm_per_km", "x_ohm_per_km"]] = 0.0
    assert one(net, "BothZero").id == "line:feeder B"


@pytest.mark.parametrize(
    ("table", "column"),
    [("line", "max_i_ka"), ("ext_grid", "max_p_mw"), ("ups", "p_rated_mw"), ("switch", "in_ka")],
)
def test_05_negative_rating(net, table, column):
    net[table].loc[0, column] = -0.1
    assert one(net, "NotGreater").path == f"net.{table}.{column}"


def test_06_zero_rating_on_a_critical_feed(net):
    net.line.loc[0, "max_i_ka"] = 0.0
    net.switch.loc[0, "in_ka"] = 0.0
    found = [i for i in validate(net) if i.kind == "NotGreater"]
    assert [(i.id, i.severity) for i in found] == [("line:feeder A", "error"), ("switch:QA", "error")]
    net.line.loc[0, "max_i_ka"] = np.nan  # nor is a missing one
    net.switch.loc[0, "in_ka"] = np.nan
    assert one(net, "NonFinite").id == "line:feeder A"
    net.load["priority"] = 3.0
    assert one(net, "NonFinite", "warning").id == "line:feeder A"


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("load", "p_mw"),
        ("bus", "vn_kv"),
        ("ups", "p_rated_mw"),
        ("line", "r_ohm_per_km"),
        ("overload_curve", "max_s"),
    ],
)
def test_07_nan_in_a_required_field(net, table, column):
    net[table].loc[0, column] = np.nan
    assert one(net, "NonFinite").path == f"net.{table}.{column}"


def test_07_nan_in_an_optional_field_is_its_default(net):
    for column in ("min_p_mw", "breaker_a", "priority", "share", "max_p_mw"):
        net.load[column] = np.nan
    net.ext_grid["max_p_mw"] = np.nan
    assert validate(net) == []


def test_08_infinity(net):
    net.line.loc[0, "max_i_ka"] = np.inf
    net.load.loc[3, "q_mvar"] = -np.inf
    net.ups.loc[0, "e_max_mwh"] = np.inf
    found = [i for i in validate(net) if i.kind == "NonFinite"]
    assert {i.path for i in found} == {"net.line.max_i_ka", "net.load.q_mvar", "net.ups.e_max_mwh"}


def test_08_infinity_where_it_is_the_default(net):
    net.ext_grid["max_p_mw"], net.ext_grid["min_p_mw"] = np.inf, -np.inf
    net.ext_grid["fuel_mwh"] = np.inf
    net.overload_curve["temperature_c"] = np.inf
    assert validate(net) == []
    net.ext_grid.loc[0, "max_p_mw"] = -np.inf
    assert "NonFinite" in kinds(net)


def test_09_large_number_as_no_limit(net):
    net.line.loc[0, "max_i_ka"] = 1e20
    net.ext_grid.loc[0, "max_p_mw"] = 1e20
    assert [i.kind for i in validate(net)] == ["MagnitudeError"] * 2
    net.line.loc[0, "max_i_ka"] = 99999.0
    net.ext_grid.loc[0, "max_p_mw"] = np.inf
    assert validate(net) == []


def test_10_wrong_unit(net):
    net.load.loc[net.load["rack"] == "R1", "p_mw"] = 5.0  # kW written where MW stands
    assert one(net, "UnitImplausible").id == "rack:R1"


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("line", "max_i_ka", 200.0),  # A
        ("line", "length_km", 20.0),  # m
        ("ups", "p_rated_mw", 60.0),  # kW
        ("load", "breaker_a", 0.032),  # kA
        ("ups", "e_max_mwh", 10.0),  # kWh
    ],
)
def test_10_other_units(net, table, column, value):
    net[table].loc[0, column] = value
    assert "UnitImplausible" in {i.kind for i in validate(net) if i.path == f"net.{table}.{column}"}


def test_10_a_load_of_megawatts_at_low_voltage(net):
    pp.create_load(net, MAIN_A, p_mw=10.0, name="chiller")
    assert one(net, "UnitImplausible").id == "load:chiller"


def test_11_voltage_mismatch(net):
    net.bus.loc[PDU_A, "vn_kv"] = 0.48
    assert one(net, "VoltageMismatch").id == "line:feeder A"
    net.bus.loc[PDU_A, "vn_kv"] = 0.4
    net.bus.loc[0, "vn_kv"] = 10.0
    issue = one(net, "VoltageMismatch")
    assert (issue.id, issue.value) == ("switch:QA", "10 kV and 0.4 kV")


def test_12_no_source(net):
    net.ext_grid.loc[net.ext_grid.kind != "ups", "in_service"] = False
    assert "NoSource" in kinds(net)


def test_13_island_with_critical_load(net):
    bus = int(pp.create_bus(net, 0.4, name="lonely"))
    create_rack(net, [bus], "L1", 0.01, priority=1)
    issue = one(net, "UnservedIsland")
    assert (issue.id, issue.value) == ("rack:L1", "bus:lonely")
    net.load.loc[net.load["rack"] == "L1", "priority"] = 3.0
    assert one(net, "UnservedIsland", "warning").id == "rack:L1"
    switch = create_switch(net, bus, PDU_A, "QL", closed=False)
    assert validate(net) == []  # a plan may close it
    net.switch.loc[switch, "operation"] = "locked"
    assert "UnservedIsland" in kinds(net)


def test_13_critical_load_that_is_dead_as_given(net):
    net.switch.loc[net.switch.name.isin(["FA", "FB"]), "closed"] = False
    found = [i for i in validate(net) if i.kind == "UnservedIsland"]
    assert [(i.id, i.severity) for i in found] == [("rack:R1", "warning"), ("rack:R2", "warning")]


def test_14_generator_with_the_wrong_sign(net):
    pp.create_sgen(net, MAIN_A, p_mw=-0.05, name="PV")
    assert one(net, "SignConvention").id == "sgen:PV"
    net.sgen["allow_negative"] = True
    assert validate(net) == []
    pp.create_asymmetric_sgen(net, PDU_A, p_a_mw=-0.001, p_b_mw=0.001, p_c_mw=0.0)
    assert one(net, "SignConvention").path == "net.asymmetric_sgen.p_a_mw"
    net.asymmetric_sgen["kind"] = "mim"  # moves power between phases
    assert validate(net) == []


@pytest.mark.parametrize("value", [120.0, -1.0])
def test_15_state_of_charge_outside(net, value):
    create_storage(net, PDU_A, "DES", 0.02, 0.01)
    net.ups.loc[0, "soc_percent"] = value
    net.storage.loc[0, "soc_percent"] = value
    found = [i for i in validate(net) if i.kind == "Range"]
    assert {i.path for i in found} == {"net.ups.soc_percent", "net.storage.soc_percent"}


def test_16_bounds_crossed(net):
    create_storage(net, PDU_A, "DES", 0.02, 0.01)
    net.storage["min_e_mwh"] = 0.02
    assert one(net, "BoundsCrossed").id == "storage:DES"
    net.storage["min_e_mwh"] = 0.0
    net.storage["soc_min_percent"], net.storage["soc_max_percent"] = 80.0, 20.0
    assert "BoundsCrossed" in {i.kind for i in validate(net) if i.severity == "error"}
    net.storage["soc_max_percent"] = 100.0
    net.bus.loc[0, "min_vm_pu"] = 1.2
    assert one(net, "BoundsCrossed").id == "bus:grid A"


@pytest.mark.parametrize("value", [0.0, 1.2, 96.0, [[0.5, 0.95], [1.0, 1.1]]])
def test_17_efficiency(net, value):
    net.ups["efficiency"] = pd.Series([0.96, value], dtype=object)
    assert one(net, "Range").id == "ups:UPS-B"


def test_17_efficiency_curves(net):
    net.ups["efficiency"] = pd.Series([[[0.25, 0.94], [1.0, 0.96]], "96 %"], dtype=object)
    assert one(net, "WrongType").id == "ups:UPS-B"
    net.ups["efficiency"] = pd.Series([0.96, [[1.0, 0.96], [0.25, 0.94]]], dtype=object)
    assert one(net, "CurveOrder").id == "ups:UPS-B"
    create_storage(net, PDU_A, "DES", 0.02, 0.01, efficiency_charge=0.0)
    assert "Range" in kinds(net)


def test_18_tap_outside(net):
    hv = int(pp.create_bus(net, 20.0, name="MV"))
    net.ext_grid.loc[0, "bus"] = hv
    pp.create_transformer(net, hv, 0, std_type="0.4 MVA 20/0.4 kV", name="T1", tap_pos=7)
    issue = one(net, "TapRange")
    assert (issue.id, issue.value, issue.allowed) == ("trafo:T1", 7, "-2 to 2")


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("switch", "closed", "maybe"),
        ("switch", "et", "x"),
        ("switch", "operation", "sometimes"),
        ("load", "in_service", 2),
        ("ups", "mode", "turbo"),
        ("ext_grid", "kind", "nuclear"),
        ("ext_grid", "running", "yes"),
        ("load", "sheddable", "no"),
    ],
)
def test_19_word_that_is_not_one(net, table, column, value):
    net[table][column] = net[table][column].astype(object)
    net[table].loc[0, column] = value
    issue = one(net, "Enum")
    assert (issue.path, issue.value) == (f"net.{table}.{column}", value)


def test_20_identical_sources(ats):
    second = ats.switch.index[ats.switch.name == "ATS/2"][0]
    ats.switch.loc[second, "bus"] = PDU_A
    assert one(ats, "SameSource").id == "transfer:ATS"


def test_21_tap_beyond_its_rating(ats):
    limit_kva = 3**0.5 * 0.4 * 0.05 * 1000  # 34.6 kVA
    ats.load.loc[ats.load["rack"] == "S1", "p_mw"] = limit_kva / 1000 * 0.999
    assert validate(ats) == []
    ats.load.loc[ats.load["rack"] == "S1", "p_mw"] = limit_kva / 1000 * 1.001
    found = [i for i in validate(ats) if i.kind == "CapacityError"]
    assert [i.id for i in found] == ["switch:ATS/1", "switch:ATS/2"]
    ats.switch.loc[ats.switch.name == "ATS/1", "in_ka"] = 0.1
    assert one(ats, "CapacityError").id == "switch:ATS/2"  # the reserve tap alone


def test_21_what_hangs_on_a_device_includes_devices_behind_it(ats):
    behind = int(pp.create_bus(ats, 0.4, name="behind"))
    first = int(ats.transfer.at[0, "bus"])
    create_transfer(ats, behind, [first, PDU_B], "second", in_ka=0.05)
    create_rack(ats, [behind], "S2", 0.030, power_factor=1.0)  # 10 + 30 kW through 34.6 kVA
    found = [i for i in validate(ats) if i.kind == "CapacityError"]
    assert [i.id for i in found] == ["switch:ATS/1", "switch:ATS/2"]
    ats.switch.loc[ats.switch.name == "second/1", "closed"] = False
    ats.switch.loc[ats.switch.name == "second/2", "closed"] = True
    assert "CapacityError" not in kinds(ats)


def test_22_cords_that_share_a_component(net):
    net.switch.loc[net.switch.name == "FB", "closed"] = False
    net.switch.loc[net.switch.name == "QX", "closed"] = False
    pp.create_line_from_parameters(net, OUT_A, PDU_B, 0.02, 0.268, 0.082, 0.0, 0.2, name="wrong")
    issue = one(net, "CommonModeWarning", "warning")
    assert issue.id == "bus:out A"
    assert "rack:R1" in issue.value
    assert "8 in all" not in issue.value


def test_22_one_utility_is_no_common_mode_but_one_board_is(net):
    net.switch.loc[net.switch.name == "QB", "closed"] = False
    pp.create_switch(net, 0, MAIN_B, et="b", name="QAB")  # both mains from utility A's own bus
    assert "CommonModeWarning" not in kinds(net)
    net.switch.loc[net.switch.name == "QAB", "bus"] = MAIN_A  # main B through main A
    assert one(net, "CommonModeWarning", "warning").id == "bus:main A"


def test_22_in_a_mesh_only_what_every_path_passes(net):
    net.switch.loc[net.switch.name == "QB", "closed"] = False
    middle = [int(pp.create_bus(net, 0.4, name=f"ring {k}")) for k in range(2)]
    for bus in middle:
        pp.create_line_from_parameters(net, 0, bus, 0.02, 0.268, 0.082, 0.0, 1.0)
        pp.create_line_from_parameters(net, bus, MAIN_B, 0.02, 0.268, 0.082, 0.0, 1.0)
        pp.create_line_from_parameters(net, bus, MAIN_A, 0.02, 0.268, 0.082, 0.0, 1.0)
    assert "CommonModeWarning" not in kinds(net)
    net.switch.loc[net.switch.name == "QA", "closed"] = False
    pp.create_line_from_parameters(net, 0, middle[0], 0.02, 0.268, 0.082, 0.0, 1.0)
    net.line.loc[(net.line.from_bus == 0) & (net.line.to_bus == middle[1]), "in_service"] = False
    assert one(net, "CommonModeWarning", "warning").id == "bus:ring 0"


def test_22_transfer_device_with_one_feed_twice(ats):
    extra = int(pp.create_bus(ats, 0.4, name="extra"))
    pp.create_line_from_parameters(ats, PDU_A, extra, 0.02, 0.268, 0.082, 0.0, 0.2)
    second = ats.switch.index[ats.switch.name == "ATS/2"][0]
    ats.switch.loc[second, "bus"] = extra
    issue = one(ats, "CommonModeWarning", "warning")
    assert (issue.path, issue.id, issue.value) == ("net.transfer.bus", "bus:PDU A", "transfer:ATS")


def test_23_open_switch_carrying_power(net):
    pp.runpp(net)
    assert validate(net) == []
    qt = net.switch.index[net.switch.name == "QT"][0]
    net.res_switch.loc[qt, "i_ka"] = 0.05
    issue = one(net, "StateConflict")
    assert issue.id == "switch:QT"


@pytest.mark.parametrize(
    ("mode", "paths"),
    [
        ("bypass", ["net.ext_grid.in_service", "net.load.in_service", "net.switch.closed"]),
        ("battery", ["net.load.in_service"]),
        ("off", ["net.ext_grid.in_service", "net.load.in_service"]),
    ],
)
def test_23_companions_against_the_mode(net, mode, paths):
    net.ups.loc[0, "mode"] = mode
    found = [i for i in validate(net) if i.kind == "StateConflict"]
    assert [i.path for i in found] == paths
    assert {i.id for i in found} == {"ups:UPS-A"}


def test_27_negative_load(net):
    net.load.loc[2, "p_mw"] = -0.005
    assert one(net, "SignConvention").path == "net.load.p_mw"
    net.load["allow_negative"] = net.load.index == 2
    assert "SignConvention" not in kinds(net)


# --- beyond the list


def test_parallel_sources(net):
    net.switch.loc[net.switch.name == "QT", "closed"] = True
    issue = one(net, "ParallelSources")
    assert issue.value == "ext_grid:Utility-A, ext_grid:Utility-B"
    net.ext_grid.loc[[0, 1], "sync_group"] = "grid"
    assert "ParallelSources" in kinds(net)
    net.ext_grid.loc[[0, 1], "parallel"] = True
    assert "ParallelSources" not in kinds(net)
    net.switch.loc[net.switch.name == "QX", "closed"] = True  # two inverters on one bus
    assert "ParallelSources" in kinds(net)


def test_two_positions_closed(ats):
    ats.switch.loc[ats.switch.name == "ATS/2", "closed"] = True
    assert one(ats, "TransferExclusive").id == "transfer:ATS"


def test_interlock_violated(net):
    create_utility(net, 2, "spare")
    net.ext_grid.loc[net.ext_grid.name == "G", "in_service"] = False
    create_interlock(net, [0, 1, 2], "two of three", max_closed=2)
    assert "Interlock" not in kinds(net)
    net.interlock.loc[1, "max_closed"] = 1
    assert one(net, "Interlock").value == "switch:QA, switch:QB"


def test_companions_missing_or_elsewhere(net):
    whole = copy.deepcopy(net)
    net.ext_grid = net.ext_grid[net.ext_grid.name != "UPS-A output"]
    net.load = net.load[net.load.name != "UPS-A input"]
    found = [i for i in validate(net) if i.kind == "MissingCompanion"]
    assert [i.path for i in found] == ["net.ext_grid.ups", "net.load.ups"]
    whole.load.loc[0, "bus"] = MAIN_B
    assert one(whole, "CompanionMismatch").path == "net.load.bus"
    whole.load.loc[0, "bus"] = MAIN_A
    whole.ups.loc[0, "bypass_bus"] = np.nan
    assert one(whole, "MissingCompanion").path == "net.switch.ups"


def test_cords_that_disagree(net):
    cord = net.load.index[net.load["rack"] == "R4"][0]
    net.load.loc[cord, "priority"] = 3.0
    issue = one(net, "CordMismatch", "warning")
    assert (issue.id, issue.value) == ("rack:R4", [2.0, 3.0])
    net.load.loc[cord, "priority"] = 2.0
    net.load.loc[cord, "share"] = 0.9
    assert one(net, "CordMismatch", "warning").path == "net.load.share"


def test_curves(net):
    create_overload_curve(net, "rising", [(1.1, 60.0), (1.2, 600.0)])
    assert one(net, "CurveOrder").path == "net.overload_curve.max_s"
    net.overload_curve = net.overload_curve[net.overload_curve["name"] == "ups"].iloc[::-1]
    assert one(net, "CurveOrder").path == "net.overload_curve.ratio"


def test_ambiguous_names(net):
    net.load.loc[[2, 3], "name"] = "twin"
    issue = one(net, "AmbiguousName", "warning")
    assert issue.id == "load:twin"


def test_all_faults_at_once_and_in_one_order(net):
    net.line.loc[0, "max_i_ka"] = -1.0
    net.load.loc[2, "bus"] = 999
    net.ups.loc[0, "efficiency"] = 2.0
    net.switch["closed"] = net.switch["closed"].astype(object)
    net.switch.loc[0, "closed"] = "maybe"
    net.load.loc[[4, 5], "name"] = "twin"
    first = validate(net)
    assert {"NotGreater", "InvalidId", "Range", "Enum", "AmbiguousName"} <= {i.kind for i in first}
    assert [str(i) for i in first] == [str(i) for i in validate(net)]
    severities = [i.severity for i in first]
    assert severities == sorted(severities)  # "error" before "warning"


def test_nothing_is_changed(net):
    before = {k: v.copy() for k, v in net.items() if isinstance(v, pd.DataFrame)}
    validate(net)
    for name, frame in before.items():
        pd.testing.assert_frame_equal(frame, net[name])
