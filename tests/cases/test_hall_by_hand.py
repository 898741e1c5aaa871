"""hall_4n3: what every single failure does, by sums over cords, without pdnopt's response or power flow.

The sums
--------
A UPS passes one third of its load to each other one: at level L each carries 9600 L / 3 = 3200 L kW. For
good it carries 105 % of 2.4 MVA at power factor 0.99: 2494.8 kW. So the three hold 7484.4 kW (77.9 %); the
rest must go:

=====  ==========  =============  =============  ===========================
level  on a UPS    budget         must go        floors of priority 3 give
=====  ==========  =============  =============  ===========================
60 %   1920 kW     for good       nothing        -
75 %   2400 kW     for good       nothing        -
80 %   2560 kW     108 %, 1 h     195.6 kW       more
90 %   2880 kW     121 %, 10 min  1155.6 kW      more: capping is enough
95 %   3040 kW     128 %, 1 min   1635.6 kW      less: racks must be shed
=====  ==========  =============  =============  ===========================

Cable losses (0.2..0.3 %) come on top. Hard are the failures that take a UPS's output side: UPS-X, UPS out
X, QO-X, OUT X. A dead main X leaves UPS-X on its battery; MV 1, Utility-1, TX-A and so on do too, and there
a tie or a genset is in time.
"""

from typing import Any

import numpy as np
import pytest

from cases.hall import hall_4n3, load_level_kw
from pdnopt.acflow import FlowEngine
from pdnopt.plant.demand import read_demand, with_load_kw
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import read_grid
from pdnopt.response import flow_case, loadings, respond

LETTERS = "ABCD"
SUSTAINED_KW = 1.05 * 2400.0 * 0.99


@pytest.fixture(scope="module")
def net() -> Any:
    return hall_4n3()


def sources_of_sts(net: Any) -> dict[str, list[str]]:
    """Names of the PDUs that each STS output can be fed from, preferred first."""
    out: dict[str, list[str]] = {}
    for index, bus in zip(net.transfer.index, net.transfer["bus"], strict=True):
        rows = net.switch[net.switch["transfer"] == index].sort_values("closed", ascending=False)
        out[net.bus.at[bus, "name"]] = net.bus.loc[rows["bus"], "name"].to_list()
    return out


def lost_pdus(net: Any, table: str, name: str) -> set[str]:
    """PDUs (and STS outputs) without voltage at once after the failure of a component."""
    pdus = [b for b in net.bus["name"] if b.startswith("PDU-")]
    for head in ("UPS-", "UPS out ", "OUT ", "QO-"):
        if name.startswith(head) and table in ("ups", "bus", "switch") and name[len(head) :] in list(LETTERS):
            return {p for p in pdus if p[4] == name[len(head)]}
    for head in ("PDU-", "cable ", "F-"):
        if name.startswith(head):
            return {f"PDU-{name[len(head) :]}"}
    if table == "bus" and name.startswith("STS out "):
        return {name}
    if table == "transfer":
        return {name.replace("STS-", "STS out ")}
    return set()


def cords_of(net: Any, kw: Any) -> list[tuple[float, list[list[str]]]]:
    """Racks as kW and cords, each cord as the names of the PDUs that can feed it, preferred first."""
    sts = sources_of_sts(net)
    rows = net.load.loc[kw.index]
    racks: dict[str, list[tuple[float, list[str]]]] = {}
    for rack, bus, p in zip(rows["rack"], net.bus.loc[rows["bus"], "name"], kw, strict=True):
        path = [f"{bus}>{pdu}" for pdu in sts[bus]] if bus in sts else [bus]
        racks.setdefault(rack, []).append((float(p), path))
    return [(sum(p for p, _ in cords), [path for _, path in cords]) for cords in racks.values()]


def by_hand(racks: list[tuple[float, list[list[str]]]], lost: set[str]) -> tuple[dict[str, float], float]:
    """Sum over cords: kW on each UPS, and kW of racks without voltage."""
    on = dict.fromkeys(LETTERS, 0.0)
    dark = 0.0
    for total, cords in racks:
        alive = [[p for p in path if not lost & set(p.split(">"))][:1] for path in cords]
        feeds = [p.split(">")[-1] for path in alive for p in path]
        for pdu in feeds:
            on[pdu[4]] += total / len(feeds)
        dark += total if not feeds else 0.0
    return on, dark


def components(net: Any) -> list[tuple[str, str]]:
    names = [
        (table, name)
        for table in ("bus", "line", "trafo", "switch", "transfer", "ups")
        for name in net[table]["name"]
    ]
    own = net.ext_grid["kind"].isin(("utility", "genset"))
    return names + [("ext_grid", name) for name in net.ext_grid.loc[own, "name"]]


def test_every_single_failure_at_75_percent_stays_within_rating(net: Any) -> None:
    """No UPS gets more than its 2400 kW by cord sharing, and nobody is dark but racks behind a dead STS."""
    racks = cords_of(net, load_level_kw(net, 0.75))
    hard = 0
    seen: dict[frozenset[str], tuple[dict[str, float], float]] = {}
    for table, name in components(net):
        lost = lost_pdus(net, table, name)
        if frozenset(lost) not in seen:
            seen[frozenset(lost)] = by_hand(racks, lost)
        on, dark = seen[frozenset(lost)]
        assert sum(on.values()) + dark == pytest.approx(7200.0)
        assert max(on.values()) <= 2400.0 + 1e-6, (table, name)
        assert dark <= (60.0 if "STS" in name else 0.0), (table, name)
        hard += len(lost) == 12
    assert hard == 4 * 4


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize(
    ("level", "must_go_kw"), [(0.6, 0.0), (0.75, 0.0), (0.8, 195.6), (0.9, 1155.6), (0.95, 1635.6)]
)
def test_losing_a_ups(net: Any, letter: str, level: float, must_go_kw: float) -> None:
    on, dark = by_hand(cords_of(net, load_level_kw(net, level)), lost_pdus(net, "ups", f"UPS-{letter}"))
    assert dark == 0.0
    assert on.pop(letter) == 0.0
    assert list(on.values()) == pytest.approx([3200.0 * level] * 3)
    assert sum(max(p - SUSTAINED_KW, 0.0) for p in on.values()) == pytest.approx(must_go_kw, abs=0.1)


def test_capping_priority_3_is_enough_at_90_percent_and_not_at_95(net: Any) -> None:
    third = net.load["priority"] == 3
    third &= net.load["kind"] != "ups_input"
    floor_kw = 1000.0 * net.load.loc[third, "min_p_mw"].sum()
    give = {level: load_level_kw(net, level)[third[third].index].sum() - floor_kw for level in (0.9, 0.95)}
    assert give[0.9] == pytest.approx(1377.0, abs=5.0)
    assert give[0.95] == pytest.approx(1519.0, abs=5.0)
    assert give[0.9] > 1155.6 + 40.0
    assert give[0.95] < 1635.6


def test_random_draws_at_75_percent_need_no_action_either(net: Any) -> None:
    for seed in range(5):
        racks = cords_of(net, load_level_kw(net, 0.75, seed=seed))
        for letter in LETTERS:
            on, _ = by_hand(racks, lost_pdus(net, "ups", f"UPS-{letter}"))
            assert max(on.values()) < SUSTAINED_KW - 20.0


@pytest.mark.parametrize("level", [0.75, 0.95])
def test_ac_power_flow_and_response_agree_with_the_sums(net: Any, level: float) -> None:
    """Failures above the PDUs and of some PDUs: the sums plus cable losses; only UPSs near their limit."""
    kw = load_level_kw(net, level)
    grid = read_grid(net)
    demand = with_load_kw(read_demand(net, grid), kw)
    engine = FlowEngine(net)
    racks = cords_of(net, kw)
    cables = ("cable", "F-", "PDU", "STS")
    for table, name in components(net):
        if name.startswith(cables) and not name.endswith("01") and name != "STS-A-B":
            continue
        response = respond(grid, demand, parse_failed(net, [f"{table}:{name}"]))
        flow = engine.run(flow_case(net, response.grid, demand, [response.state]))
        on, dark = by_hand(racks, lost_pdus(net, table, name))
        given = np.nan_to_num(flow.ups_p_out_kw[0])
        want = np.array([on[letter] for letter in LETTERS])
        assert (given >= want - 1e-3).all(), (table, name)
        assert (given <= want * 1.004 + 1e-3).all(), (table, name)
        assert float(demand.d_kw[response.interrupted].sum()) == pytest.approx(dark)
        found = loadings(net, response.grid, flow, response.state)
        ups = (found.table == "ups") | np.char.endswith(np.array(found.name, dtype=str), "bypass")
        assert found.ratio[~ups & (found.table != "trafo")].max() < (0.85 if level == 0.75 else 1.0), name
        assert found.ratio[found.table == "trafo"].max() < (0.85 if level == 0.75 else 1.05), name
        if level == 0.75:
            assert found.ratio[ups].max() <= 1.05


@pytest.mark.parametrize(
    ("failed", "on_battery"),
    [
        ("bus:main A", "A"),
        ("line:busway B", "B"),
        ("trafo:TX-C", "C"),
        ("switch:QM-D", "D"),
        ("bus:MV 1", "AB"),
        ("ext_grid:Utility-2", "CD"),
        ("line:feeder 1", "AB"),
        ("switch:QG-A", ""),
    ],
)
def test_what_leaves_ups_on_battery_and_for_how_long(net: Any, failed: str, on_battery: str) -> None:
    """240 kWh (6 min at 2.4 MW): 8 min at 1800 kW, 6.3 min at 2280 kW. A genset (10.6 s) is in time."""
    grid = read_grid(net)
    demand = read_demand(net, grid)
    response = respond(grid, demand, parse_failed(net, [failed]))
    assert [LETTERS[k] for k in np.flatnonzero(response.state.ups_mode == "battery")] == list(on_battery)
    assert not response.interrupted.any()
    assert grid.upss.e_kwh == pytest.approx(240.0)
    assert (3600.0 * grid.upss.e_kwh / 1800.0 > 40 * 10.6).all()
