"""Scenario files: those that come along run, and everything that is wrong with one is told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

import pdnopt
from pdnopt.emulator import EmulatedPlant, load_scenario, packaged_scenarios, play
from pdnopt.errors import InputError
from pdnopt.risk.readings import read_sensors


def test_what_comes_along_runs_without_control() -> None:
    found = packaged_scenarios()
    assert {"demo_hour", "two_feed_storm", "row_of_small_switches"} <= set(found)
    for name in found:
        scenario = load_scenario(name)
        plant = EmulatedPlant(pdnopt.load_case(scenario.case), seed=scenario.seed)
        play(plant, scenario)
        plant.advance(scenario.duration_s)
        said = [item.what for item in plant.ledger.happenings]
        assert "fails" in said
        assert plant.ledger.trips, "without control something trips: that is what the scenario is for"


def test_the_demo_hour_peaks_at_ninety_percent_when_the_ups_fails() -> None:
    scenario = load_scenario("demo_hour")
    plant = EmulatedPlant(pdnopt.load_case("hall_4n3"), seed=scenario.seed)
    play(plant, scenario)
    plant.advance(1799.0)
    assert plant.world.demand.d_kw.sum() == pytest.approx(0.90 * 9600.0, rel=0.01)
    missing = plant.readings("load:R0010/A")
    assert all(r.value is None for r in missing)
    plant.advance(1801.0)
    assert plant.failed == ("ups:UPS-C",)


def test_wear_is_seen_by_the_sensors_and_marked_synthetic() -> None:
    plant = EmulatedPlant(pdnopt.load_case("hall_4n3"))
    plant.sensors.degrade("transfer:STS-A-B", -14 * 86400.0, 6e5)
    frame = plant.sensors.history(("transfer:STS-A-B", "transfer:STS-A-C"), days=21.0)
    readings = read_sensors(frame, plant.world.net)
    assert readings.synthetic
    worn, well = (readings.of(f"transfer:{name}")["voltage_fluctuation"] for name in ("STS-A-B", "STS-A-C"))
    week = 7 * 96
    # two weeks of wear: r = exp(14 d / 6.94 d) = 7.5, so s = sqrt(0.25^2 + 6.5 * 0.12^2) = 0.40 V at the end
    assert worn.iloc[-96:].median() == pytest.approx(0.39, abs=0.03)
    assert worn.iloc[:week].median() == pytest.approx(0.25, abs=0.02)
    assert well.iloc[-96:].median() == pytest.approx(0.25, abs=0.03)
    again = plant.sensors.now(("transfer:STS-A-B",))
    assert (again["value"].to_numpy() == plant.sensors.now(("transfer:STS-A-B",))["value"].to_numpy()).all()


BAD = """
name: bad
seed: -1
colour: blue
"""

BAD_EVENTS = """
load:
  profile: [[0, 0.8], [0, 3]]
  steps: 4
events:
  - {at_s: -5, fail: "ups:UPS-A"}
  - {at_s: 5, lie: "load:R1/A", kind: fibbing}
  - {at_s: 5}
  - {at_s: 5, fail: "ups:UPS-A", restore: "ups:UPS-A"}
  - {at_s: .nan, temperature: "ups:UPS-A", celsius: 400}
"""


def written(folder: Path, content: str) -> Path:
    path = folder / "bad.yaml"
    path.write_text(content, encoding="utf-8")
    return path


def test_everything_wrong_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as found:
        load_scenario(written(tmp_path, BAD))
    assert {(issue.kind, issue.path.split()[0]) for issue in found.value.issues} == {
        ("UnknownField", "bad.yaml:4"),
        ("Range", "bad.yaml:3"),
    }
    with pytest.raises(InputError) as found:
        load_scenario(written(tmp_path, BAD_EVENTS))
    assert [issue.path for issue in found.value.issues] == [
        "bad.yaml:4 load.steps",
        "bad.yaml:3 load.profile",
        "bad.yaml:6 events[0].at_s",
        "bad.yaml:7 events[1].kind",
        "bad.yaml:8 events[2]",
        "bad.yaml:9 events[3]",
        "bad.yaml:10 events[4].at_s",
        "bad.yaml:10 events[4].celsius",
    ]


@pytest.mark.parametrize(
    "content", ["a: [1", "a: &x 1\nb: *x", "!!python/object/apply:os.system ['true']", "[1, 2]", ""]
)
def test_broken_files(content: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        load_scenario(written(tmp_path, content))


def test_names_that_the_plant_does_not_have(tmp_path: Path) -> None:
    content = """
events:
  - {at_s: 1, fail: "ups:UPS-Q"}
  - {at_s: 1, lie: "load:Q", kind: frozen}
  - {at_s: 1, overload: all, factor: 2}
"""
    plant = EmulatedPlant(pdnopt.load_case("two_feed"))
    with pytest.raises(InputError) as found:
        play(plant, load_scenario(written(tmp_path, content)))
    assert [issue.id for issue in found.value.issues] == ["ups:UPS-Q", "load:Q"]
    with pytest.raises(InputError, match="demo_hour"):
        load_scenario(tmp_path / "nothing.yaml")
