"""Scenario files: what happens to an emulated plant and when, in YAML.

::

    name: UPS lost at the peak          # all of this is optional but `events` or `load`
    case: hall_4n3                      # which network it is written for
    seed: 7                             # of meters and loads
    duration_s: 3600
    load:
      profile: [[0, 0.80], [1800, 0.90], [3600, 0.84]]   # seconds, part of the installed UPS kW; straight lines between
      step_s: 30                        # loads change so often
      noise: 0.02                       # each load, relative, standard deviation
    events:
      - {at_s: 0, degrade: "transfer:STS-A-B", onset_s: -864000, growth_s: 400000}   # its contacts wear since ten days
      - {at_s: 600, lie: "load:R0001/A", kind: frozen}   # noisy, missing, frozen, biased, disagreeing
      - {at_s: 900, truth: "load:R0001/A"}
      - {at_s: 1800, fail: "ups:UPS-B"}  # as in `solve --failed`
      - {at_s: 3000, restore: "ups:UPS-B"}
      - {at_s: 100, overload: "rack:R0001", factor: 1.5}  # or "all"; times what it asks for otherwise
      - {at_s: 200, operator: "switch:QT", action: close, value: true}
      - {at_s: 300, misbehave: "transfer:STS-A-B", kind: stall_open, times: 1}   # or no_move
      - {at_s: 400, local: "ups:UPS-A"}  # refuses commands until `remote`
      - {at_s: 400, skew: "ups:UPS-A", seconds: 3600}     # its clock is wrong
      - {at_s: 500, temperature: "ups:UPS-A", celsius: 38}

Everything that is wrong with a file is told at once, with the line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from pdnopt.emulator.metering import LIES, Lie
from pdnopt.emulator.plant import MISBEHAVIOURS, EmulatedPlant
from pdnopt.errors import InputError, Issue
from pdnopt.protocols.documents import read_document
from pdnopt.protocols.fields import Field, check_fields, number, text, whole

__all__ = ["Event", "LoadProfile", "Scenario", "load_scenario", "packaged_scenarios", "play"]

MOST_EVENTS = 10_000
YEAR_S = 366 * 86400.0

_NAME = text(longest=500)
_EVENTS: dict[str, dict[str, Field]] = {
    "fail": {},
    "restore": {},
    "lie": {
        "kind": text(one_of=LIES),
        "size": number(-10.0, 10.0, required=False),
        "quantity": text(required=False),
        "path": text(required=False),
    },
    "truth": {},
    "misbehave": {"kind": text(one_of=MISBEHAVIOURS), "times": whole(1, 1000, required=False)},
    "local": {},
    "remote": {},
    "operator": {"action": text(), "value": Field("a value of the action")},
    "overload": {"factor": number(0.0, 10.0)},
    "degrade": {
        "onset_s": number(-YEAR_S, YEAR_S, required=False),
        "growth_s": number(1.0, YEAR_S, required=False),
    },
    "temperature": {"celsius": number(-40.0, 90.0)},
    "skew": {"seconds": number(-YEAR_S, YEAR_S)},
}


@dataclass(frozen=True)
class Event:
    """One line of a scenario: at ``at_s``, ``word`` happens to ``target``."""

    at_s: float
    word: str
    target: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadProfile:
    """Demand over time: (seconds, part of the installed UPS kW), straight lines between; ``noise`` of each load."""

    points: tuple[tuple[float, float], ...]
    step_s: float = 30.0
    noise: float = 0.0

    def level(self, t_s: float) -> float:
        """Return the part of the installed UPS kW at a time."""
        times, parts = zip(*self.points, strict=True)
        return float(np.interp(t_s, times, parts))


@dataclass(frozen=True)
class Scenario:
    """What happens to a plant."""

    name: str
    case: str
    seed: int
    duration_s: float
    load: LoadProfile | None
    events: tuple[Event, ...]


def packaged_scenarios() -> dict[str, Path]:
    """Return the scenarios that come with pdnopt, by name."""
    import cases

    folder = Path(str(cases.__file__)).parent / "scenarios"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_scenario(name: str | Path) -> Scenario:
    """Read a scenario: one that comes with pdnopt by its name, or a file.

    Raises
    ------
    InputError
        Everything that is wrong with it, each with its line.
    """
    known = packaged_scenarios()
    path = known.get(str(name), Path(name))
    if not path.is_file():
        allowed = f"a file, or one of {', '.join(known)}"
        raise InputError(Issue("File", "scenario", "", str(name), allowed, "Correct the name."))
    document = read_document(path)
    data = document.data
    issues = _issues(data, document.where)
    if issues:
        raise InputError(issues)
    load = data.get("load")
    profile = None
    if load is not None:
        points = tuple((float(t), float(part)) for t, part in load["profile"])
        profile = LoadProfile(points, float(load.get("step_s", 30.0)), float(load.get("noise", 0.0)))
    events = []
    for item in data.get("events") or ():
        word = next(key for key in item if key in _EVENTS)
        detail = {key: value for key, value in item.items() if key not in ("at_s", word)}
        events.append(Event(float(item["at_s"]), word, item[word], detail))
    last = max((event.at_s for event in events), default=0.0)
    return Scenario(
        name=data.get("name", path.stem),
        case=data.get("case", ""),
        seed=int(data.get("seed", 0)),
        duration_s=float(data.get("duration_s", last + 600.0)),
        load=profile,
        events=tuple(sorted(events, key=lambda event: event.at_s)),
    )


def _issues(data: Any, where: Callable[[str], str]) -> list[Issue]:
    top = {
        "name": text(required=False, longest=500),
        "case": text(required=False, longest=500),
        "seed": whole(0, 2**31 - 1, required=False),
        "duration_s": number(1.0, YEAR_S, required=False),
        "load": Field("a mapping with profile, step_s, noise", lambda v: isinstance(v, dict), required=False),
        "events": Field(
            f"a list of at most {MOST_EVENTS} events",
            lambda v: isinstance(v, list) and len(v) <= MOST_EVENTS,
            required=False,
        ),
    }
    issues = check_fields(data, top, "", where=where)
    if issues:
        return issues
    if data.get("load") is not None:
        fields = {
            "profile": Field(
                "pairs [seconds, part of the installed UPS kW up to 2], times rising", _is_profile
            ),
            "step_s": number(0.1, 86400.0, required=False),
            "noise": number(0.0, 1.0, required=False),
        }
        issues += check_fields(data["load"], fields, "load", where=where)
    for k, item in enumerate(data.get("events") or ()):
        path = f"events[{k}]"
        words = [key for key in item if key in _EVENTS] if isinstance(item, dict) else []
        if len(words) != 1:
            allowed = "at_s and one of " + ", ".join(_EVENTS)
            issues.append(
                Issue("Event", where(path), "", str(item)[:80], allowed, "Say one thing that happens.")
            )
            continue
        word = words[0]
        fields = {"at_s": number(0.0, YEAR_S), word: _NAME, **_EVENTS[word]}
        issues += check_fields(item, fields, path, str(item.get(word))[:80], where=where)
    return issues


def _is_profile(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    for pair in value:
        if not (isinstance(pair, list) and len(pair) == 2):
            return False
        if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in pair):
            return False
    times = [pair[0] for pair in value]
    return all(0 <= pair[1] <= 2 for pair in value) and all(b > a for a, b in pairwise(times))


# --- playing


def play(plant: EmulatedPlant, scenario: Scenario) -> None:
    """Let a plant do what a scenario says; call it before time begins.

    Raises
    ------
    InputError
        Names that this plant does not have, all at once.
    """
    issues = [issue for event in scenario.events for issue in _unknown(plant, event)]
    if issues:
        raise InputError(issues)
    if scenario.load is not None:
        _Demand(plant, scenario.load, scenario.seed).begin()
    for event in scenario.events:
        plant.at(event.at_s, lambda event=event: _happen(plant, event))  # type: ignore[misc]


def _unknown(plant: EmulatedPlant, event: Event) -> list[Issue]:
    path = f"events at {event.at_s:g} s: {event.word}"
    if event.word in ("fail", "restore"):
        return plant.unknown_failure(event.target)
    if event.word == "overload":
        known = event.target == "all" or event.target in plant.world.demand.at
    elif event.word == "degrade":
        known = event.target in plant.world.view.at["transfer"]
    elif event.word == "temperature":
        known = event.target in plant.world.view.at["ups"]
    else:
        known = event.target in plant.devices
    if known:
        return []
    return [
        Issue("InvalidId", path, event.target, event.target, "a device of this plant", "Correct the name.")
    ]


def _happen(plant: EmulatedPlant, event: Event) -> None:
    target, detail = event.target, event.detail
    if event.word == "fail":
        plant.fail(target)
    elif event.word == "restore":
        if target in plant.failed:
            plant.restore(target)
    elif event.word == "lie":
        size = float(detail.get("size", 0.02 if detail["kind"] == "noisy" else 0.2))
        plant.meters.lie(
            target, Lie(detail["kind"], size, detail.get("quantity", ""), detail.get("path", ""))
        )
        plant.ledger.say(plant.t_s, target, "lies", detail["kind"])
    elif event.word == "truth":
        plant.meters.tell_the_truth(target)
    elif event.word == "misbehave":
        plant.misbehave(target, detail["kind"], int(detail.get("times", 1)))
    elif event.word in ("local", "remote"):
        (plant.local.add if event.word == "local" else plant.local.discard)(target)
        plant.ledger.say(plant.t_s, target, event.word)
    elif event.word == "operator":
        plant.operator(target, detail["action"], detail["value"])
    elif event.word == "overload":
        plant.overload(target, float(detail["factor"]))
    elif event.word == "degrade":
        onset_s, growth_s = detail.get("onset_s", event.at_s), detail.get("growth_s", 12 * 86400.0)
        plant.sensors.degrade(target, float(onset_s), float(growth_s))
    elif event.word == "temperature":
        plant.set_temperature(target, float(detail["celsius"]))
    else:
        plant.meters.skew_s[target] = float(detail["seconds"])


class _Demand:
    """Lets the loads of a plant follow a profile."""

    def __init__(self, plant: EmulatedPlant, profile: LoadProfile, seed: int) -> None:
        self.plant, self.profile = plant, profile
        self._rng = np.random.default_rng([seed, 1])
        d = plant.world.demand
        self._installed_kw = float(plant.world.view.ups_p_kw.sum()) or float(d.d_kw.sum())
        self._given_kw = d.p_kw.copy()
        self._noise = np.zeros(d.n)

    def begin(self) -> None:
        """Set the loads of the beginning; each step sets those of the next."""
        self._step()

    def _step(self) -> None:
        d, profile = self.plant.world.demand, self.profile
        factor = profile.level(self.plant.t_s) * self._installed_kw / float(self._given_kw.sum())
        if profile.noise:
            keep = 0.9  # from one step to the next, so that loads wander instead of jumping
            self._noise = keep * self._noise + np.sqrt(1 - keep**2) * self._rng.standard_normal(d.n)
        kw = self._given_kw * factor * np.clip(1.0 + profile.noise * self._noise, 0.2, 2.0)[d.unit]
        loads: dict[str, dict[int, float]] = {}
        for n, table in enumerate(("load", "asymmetric_load")):
            mine = d.table == n
            index = self.plant.world.net[table].index[d.row[mine]]
            loads[table] = dict(zip(index.tolist(), kw[mine].tolist(), strict=True))
        self.plant.set_loads(loads)
        end = profile.points[-1][0]
        if self.plant.t_s < end or profile.noise:
            self.plant.at(self.plant.t_s + profile.step_s, self._step)
