"""The drawing: everything is on it once, nothing overlaps, and it shows what is live, moved, failed and overloaded."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from html import escape
from typing import Any
from xml.etree import ElementTree

import pandapower.networks as pn
import pytest

import pdnopt
from pdnopt.diagram import Diagram, Situation, draw, read_situation
from pdnopt.diagram.areas import split
from pdnopt.diagram.collapse import gather
from pdnopt.diagram.levels import grow
from pdnopt.diagram.wiring import read_wiring
from pdnopt.plant.names import component_names
from tests.diagram.geometry import crossed, overlaid, overlaps
from tests.plants import LARGE, SMALL, random_plant

SVG = "{http://www.w3.org/2000/svg}"
PLANTS = {
    "two_feed": ("ups:UPS-A",),
    "hall_2n": ("ups:UPS-A",),
    "hall_3n2": ("trafo:TX-B",),
    "hall_4n3": ("ups:UPS-A",),
    "hall_catcher": ("ups:UPS-A",),
    "case33bw": ("line:5",),
    "create_cigre_network_mv": (),
    "mv_oberrhein": (),
}


def network(name: str) -> Any:
    return getattr(pn, name)() if hasattr(pn, name) else pdnopt.load_case(name)


@cache
def situation_of(name: str) -> Situation:
    return read_situation(network(name), pdnopt.Plan(failed=PLANTS[name]))


@cache
def drawn(name: str) -> Diagram:
    return draw(situation_of(name))


@pytest.fixture(scope="module")
def lost_ups() -> tuple[Any, pdnopt.Result, Situation, Diagram]:
    net = pdnopt.load_case("two_feed")
    result = pdnopt.solve(net, "reroute", failed=["ups:UPS-A"], explain=False)
    situation = read_situation(net, result.plan)
    return net, result, situation, draw(situation)


def parts(picture: str) -> dict[str, set[str]]:
    """Return the classes of everything with a tooltip, by the component's name."""
    root = ElementTree.fromstring(picture)
    found: dict[str, set[str]] = {}
    for item in root.iter(f"{SVG}g"):
        title = item.find(f"{SVG}title")
        if title is not None:
            name = (
                re.sub(r": [^:]*$", "", title.text or "")
                if (title.text or "").count(":") > 1
                else title.text or ""
            )
            found[name] = set((item.get("class") or "").split())
    return found


@pytest.mark.parametrize("name", PLANTS)
def test_every_component_is_drawn_once_or_in_a_named_block(name: str) -> None:
    net, sheets = network(name), drawn(name).sheets
    places: dict[str, str] = {}
    for sheet in sheets:  # of a plant in areas the backbone names the areas; their sheets say more
        places.update(sheet.places)
    pictures = "".join(sheet.pictures[0] for sheet in sheets)
    for table in ("ext_grid", "ups", "trafo", "switch", "line", "bus"):
        if table not in net or not len(net[table]):
            continue
        names = component_names(net, table)
        if table == "ext_grid" and "kind" in net.ext_grid:
            companions = net.ext_grid["kind"].isin(("ups", "storage"))
            names = [n for n, companion in zip(names, companions, strict=True) if not companion]
        for component in names:
            if table == "bus" and component not in places:
                continue  # what only passes power on is a point on a wire
            assert component in places
            title = re.escape(escape(component, quote=False))
            titles = re.findall(rf"<title>{title}(?:: [^<]*)?</title>", pictures)
            assert len(titles) == (0 if places[component] else 1), component


@pytest.mark.parametrize("name", PLANTS)
def test_every_load_is_in_one_block_of_racks(name: str) -> None:
    situation = situation_of(name)
    scheme = gather(situation, read_wiring(situation.grid, situation.demand))
    units = sorted(unit for node in scheme.nodes for unit in node.units)
    assert units == list(range(situation.demand.n))


@pytest.mark.parametrize("name", PLANTS)
def test_nothing_overlaps_and_no_wire_runs_through_a_symbol(name: str) -> None:
    for sheet in drawn(name).sheets:
        assert overlaps(sheet) == []
        assert crossed(sheet) == []
        assert overlaid(sheet) == []
        assert min(mark.x0 for mark in sheet.marks) >= 0
        assert max(mark.x1 for mark in sheet.marks) <= sheet.width


def _random_sheets(seed: int) -> tuple[Situation, Diagram]:
    net, failed = random_plant(seed, LARGE if seed % 2 else SMALL)
    situation = read_situation(net, pdnopt.Plan(failed=tuple(failed)))
    return situation, draw(situation)


@pytest.mark.parametrize("seed", range(12))
def test_random_plants_are_drawn_whole_and_clear(seed: int) -> None:
    check_random(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(12, 200))
def test_many_random_plants_are_drawn_whole_and_clear(seed: int) -> None:
    check_random(seed)


def check_random(seed: int) -> None:
    situation, diagram = _random_sheets(seed)
    (sheet,) = diagram.sheets
    assert (overlaps(sheet), crossed(sheet), overlaid(sheet)) == ([], [], [])
    grid = situation.grid
    for names in (
        grid.switches.name,
        grid.upss.name,
        grid.sources.name,
        grid.storages.name,
        situation.demand.name,
    ):
        assert set(names) <= set(sheet.places)


def test_what_has_no_voltage_is_dead(lost_ups: tuple[Any, pdnopt.Result, Situation, Diagram]) -> None:
    """Losing UPS-A takes OUT and PDU A; main A lives on Utility-A, side B on Utility-B."""
    *_, diagram = lost_ups
    before = parts(diagram.sheets[0].pictures[0])
    for name in ("bus:out A", "bus:PDU A", "line:feeder A", "switch:FA", "ups:UPS-A"):
        assert "dead" in before[name]
    for name, source in (
        ("bus:main A", "f0"),
        ("bus:main B", "f1"),
        ("bus:PDU B", "f1"),
        ("switch:QA", "f0"),
    ):
        assert source in before[name]
        assert "dead" not in before[name]
    assert "dead" in before["ext_grid:G"]  # stands by


def test_what_failed_moved_or_is_overloaded_is_marked(
    lost_ups: tuple[Any, pdnopt.Result, Situation, Diagram],
) -> None:
    *_, diagram = lost_ups
    before, after = (parts(picture) for picture in diagram.sheets[0].pictures)
    assert {"failed", "moved"} <= before["ups:UPS-A"]
    assert "moved" not in after["ups:UPS-A"]
    assert "over" in before["ups:UPS-B"]
    assert "over" not in after["ups:UPS-B"]
    assert "134" in diagram.sheets[0].pictures[0]


def test_a_switch_that_the_plan_closes_is_marked() -> None:
    net = pdnopt.load_case("two_feed")
    result = pdnopt.solve(net, "reroute", failed=["ext_grid:Utility-A"], explain=False)
    moved = {item.device for item in result.plan.actions if item.action in ("open", "close")}
    assert moved
    before, after = (parts(picture) for picture in draw(read_situation(net, result.plan)).sheets[0].pictures)
    for name in moved:
        assert "moved" in after[name]
        assert "moved" not in before[name]


def test_the_moments_say_what_the_result_says(
    lost_ups: tuple[Any, pdnopt.Result, Situation, Diagram],
) -> None:
    """80 kW of demand; all cords of side A are dead, so side B carries everything before the plan."""
    _, result, situation, _ = lost_ups
    before, after = situation.moments
    assert before.served_kw.sum() == pytest.approx(80.0)
    assert after.served_kw.sum() == pytest.approx(80.0 - result.unserved_kw, abs=1e-6)
    assert before.cord_live.sum() == 8
    assert before.percent["ups:UPS-B"] == pytest.approx(100 * 80.2 / 60.0, abs=0.1)
    worst = max(value for name, value in after.percent.items() if name == result.worst_component)
    assert worst == pytest.approx(result.worst_loading_percent, abs=0.05)


def test_a_ups_on_battery_is_told_from_one_on_the_mains() -> None:
    situation = read_situation(pdnopt.load_case("two_feed"), pdnopt.Plan(failed=("ups:UPS-A@rectifier",)))
    picture = draw(situation).sheets[0].pictures[0]
    found = parts(picture)
    assert "battery" in found["bus:out A"]
    assert "f0" in found["bus:main A"]
    assert "on battery" in picture
    assert "from batteries" in picture


def test_names_are_escaped() -> None:
    net = pdnopt.load_case("two_feed")
    net.bus.loc[net.bus.name == "PDU A", "name"] = "<b>&\"'"
    net.ups.loc[net.ups.name == "UPS-B", "name"] = "<script>alert(1)</script>"
    (sheet,) = draw(read_situation(net, pdnopt.Plan())).sheets
    root = ElementTree.fromstring(sheet.pictures[0])
    assert not [item for item in root.iter() if item.tag in (f"{SVG}b", f"{SVG}script")]
    assert any(text.text == "<b>&\"'" for text in root.iter(f"{SVG}text"))


def test_pictures_are_sound_xml_and_load_nothing() -> None:
    for name in PLANTS:
        for picture in drawn(name).sheets[0].pictures:
            ElementTree.fromstring(picture)
            assert not re.search(r"href|url\(|@import|<script|<image", picture)


def test_a_failure_that_the_network_does_not_know_is_bad_input() -> None:
    with pytest.raises(pdnopt.InputError):
        read_situation(pdnopt.load_case("two_feed"), pdnopt.Plan(failed=("ups:UPS-Z",)))


def test_a_network_that_the_flow_engine_cannot_hold_is_drawn_without_loadings() -> None:
    situation = read_situation(pn.example_multivoltage(), pdnopt.Plan())
    assert situation.remark.startswith("No AC power flow")
    assert all(not moment.percent for moment in situation.moments)
    assert draw(situation).sheets[0].pictures[0].startswith("<svg")


def test_both_moments_have_one_layout(lost_ups: tuple[Any, pdnopt.Result, Situation, Diagram]) -> None:
    *_, diagram = lost_ups
    texts = [
        {
            (t.get("x"), t.get("y"), t.text)
            for t in ElementTree.fromstring(p).iter(f"{SVG}text")
            if t.get("class") is None
        }
        for p in diagram.sheets[0].pictures
    ]
    assert texts[0] == texts[1]


def test_the_same_input_gives_the_same_picture() -> None:
    situation = situation_of("hall_4n3")
    assert draw(situation) == draw(situation)


@cache
def five_blocks() -> Situation:
    from cases.hall import hall

    return read_situation(hall("4N/3", 48.0, 400), pdnopt.Plan(failed=("ups:UPS-02A",)))


def test_a_large_plant_is_drawn_in_areas() -> None:
    diagram = draw(five_blocks())
    assert [sheet.name for sheet in diagram.sheets] == ["", *(f"MV 0{k}-1 – MV 0{k}-2" for k in range(1, 6))]
    assert [sheet.touched for sheet in diagram.sheets] == [True, False, True, False, False, False]
    assert len(diagram.tiles) == 2
    everything = {name for sheet in diagram.sheets for name in sheet.places}
    net = five_blocks().net
    for table in ("ups", "trafo", "switch"):
        assert set(component_names(net, table)) <= everything
    for sheet in diagram.sheets:
        assert ElementTree.fromstring(sheet.pictures[0]).tag == f"{SVG}svg"


def test_areas_part_the_loads() -> None:
    situation = five_blocks()
    scheme = gather(situation, read_wiring(situation.grid, situation.demand))
    found = split(scheme, grow(scheme, situation))
    assert found is not None
    _, areas = found
    assert sorted(unit for area in areas for unit in area.units) == list(range(situation.demand.n))


def test_a_plant_without_areas_is_not_parted() -> None:
    situation = situation_of("hall_4n3")
    scheme = gather(situation, read_wiring(situation.grid, situation.demand))
    assert split(scheme, grow(scheme, situation)) is None


def test_panels_that_differ_are_not_gathered() -> None:
    """One panel of hall_2n loses its cable: it is drawn beside the eleven that live."""
    net = pdnopt.load_case("hall_2n")
    (sheet,) = draw(read_situation(net, pdnopt.Plan(failed=("line:cable A03",)))).sheets
    assert sheet.places["bus:PDU-A03"] == ""
    assert sheet.places["bus:PDU-A04"].startswith("11 ")
    assert {"dead", "failed"} & parts(sheet.pictures[0])["line:cable A03"]


def test_an_empty_plan_leaves_both_moments_alike() -> None:
    situation = read_situation(pdnopt.load_case("two_feed"), pdnopt.Plan())
    before, after = situation.moments
    assert (before.feed == after.feed).all()
    assert replace(before, title="") is not before
    assert before.moved == after.moved == frozenset()
