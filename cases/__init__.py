"""Ready-made plants: a table of names, and `build`. Importing this package imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

__all__ = ["CASES", "CaseInfo", "build"]


@dataclass(frozen=True)
class CaseInfo:
    """One case: its name, what it teaches in one line, and where its builder lives."""

    name: str
    line: str
    module: str
    builder: str

    def build(self) -> Any:
        """Return the network, built anew."""
        return getattr(import_module(self.module), self.builder)()


CASES: dict[str, CaseInfo] = {
    info.name: info
    for info in (
        CaseInfo(
            "two_feed",
            "8 dual-corded racks on two feeds: every answer by hand",
            "cases.two_feed",
            "two_feed",
        ),
        CaseInfo(
            "hall_2n",
            "4.8 MW 2N room, 168 racks: one side alone carries all up to 50 %",
            "cases.hall",
            "hall_2n",
        ),
        CaseInfo(
            "hall_3n2",
            "7.2 MW 3N/2 room, 336 racks: three lineups in a ring of pairs, safe up to 66.7 %",
            "cases.hall",
            "hall_3n2",
        ),
        CaseInfo(
            "hall_4n3",
            "9.6 MW 4N/3 room, 500 racks on all six pairs of UPSs: shared redundancy, safe up to 75 %",
            "cases.hall",
            "hall_4n3",
        ),
        CaseInfo(
            "hall_catcher",
            "9.6 MW block-redundant room, 500 racks behind STSs: one UPS catches whichever fails",
            "cases.hall",
            "hall_catcher",
        ),
        CaseInfo(
            "ring_bus",
            "8 primary and 4 reserve UPSs, 96 racks: taps on an open reserve ring are moved before it overloads",
            "cases.ring_bus",
            "ring_bus",
        ),
        CaseInfo(
            "micro_ats_row",
            "48 racks, a micro-ATS and a 10 kWh battery every 3 m: batteries end the overload that the ATSs make",
            "cases.micro_ats_row",
            "micro_ats_row",
        ),
        CaseInfo(
            "node_mesh",
            "a tree of 64 power nodes of 10 kW modules with open ties at each level: lost nodes are fed around",
            "cases.node_mesh",
            "node_mesh",
        ),
        CaseInfo(
            "mim_pod",
            "108 single-phase racks at 415/240 V with micro-inverters: a phase is full before its UPS is",
            "cases.mim_pod",
            "mim_pod",
        ),
    )
}
"""The cases by name. A builder is imported when it is called, from this fixed table only."""


def build(name: str) -> Any:
    """Return a case by name, built anew.

    Raises
    ------
    KeyError
        No such case; the message names those there are.
    """
    if name not in CASES:
        raise KeyError(f"no case {name!r}; there are {', '.join(CASES)}")
    return CASES[name].build()
