"""``campus``: 24 halls in 2N on the open medium-voltage rings of one substation; 20,000 rack circuits and more.

::

    Utility 1 - HV 1 -+- T1 - M1            each district of six halls hangs on two rings between two sections:
        110 kV  | QT  +- T3 - M3
    Utility 2 - HV 2 -+- T2 - M2            Mx -- 1 -- 2 -- 3 -o- 4 -- 5 -- 6 -- My     ring a: MV boards 1
                      +- T4 - M4            My -- 1 -- 2 -- 3 -o- 4 -- 5 -- 6 -- Mx     ring b: MV boards 2

* Districts 1..4 lie between M1 and M2, M2 and M3, M3 and M4, M4 and M1: always between sections of different
  utilities. So the two MV boards of a hall, and the two cords of a rack, share nothing below the utilities.
* A ring is open (-o-) in its middle: each section feeds three boards of it. There is a switch at both ends of every
  cable. Neighbouring sections and the two boards of a hall have open ties.
* A hall is a block of two lineups as in `cases.hall`: transformer, genset, UPS of 2.4 MW, PDUs, single-corded racks
  behind STSs. It carries 2.4 MW, so either lineup can carry all.

What is hard: its size, and that whatever happens on the MV side leaves UPSs on batteries that last about 12 minutes,
with three ways out: the open point of the ring, the tie in the hall, the gensets.

Ratings: `cases.ratings`, and

* Transformers 110/20 kV, 31.5 MVA, uk 12 %, no load 20 kW, load loss 125 kW. SOURCE: R10 series; 0.317 % of loss at
  the best point, peak efficiency of 99.68 % as Regulation (EU) 548/2014 asks of medium power transformers of this size
  (commonly quoted); uk 12 % is usual. Normally 48 % loaded, 97 % with a second section.
* Their curve: 130 % for half an hour. SOURCE: IEC 60076-7, short-time emergency loading of medium power transformers is
  up to 150 %; the time is ours, on the safe side.
* Rings: `ratings.mv_cable`, 650 A, ring main units 630 A; a whole ring with all its halls on one side is 440 A.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

from cases import ratings as rt
from cases.bulk import Drawing
from cases.hall_racks import Feeds, add_racks
from cases.lineups import Train
from cases.two_mains import line_ka
from pdnopt.plant import create_empty_plant, create_overload_curve, create_utility

__all__ = ["campus"]

HV_KV = 110.0
HALLS_PER_DISTRICT, HALLS, MOST_HALLS = 6, 24, 90
RACKS_PER_HALL = 440
UPS_MW = 2.4
LEVEL = 0.5
"""Load over installed UPS kW."""
GRID_TRANSFORMER = rt.Transformer(31.5, 125_000.0, 20_000.0, 12.0, "Yd")
GRID_CURVE = ((1.30, 1800.0),)
HV_LINE = rt.Conductor(0.12, 0.39, 0.645)
"""Overhead line 243-AL1/39-ST1A. SOURCE: EN 50182: 0.119 ohm/km, 645 A (commonly quoted)."""
HALLS_PER_HV_LINE = 48
"""Halls at full load that one overhead line carries: 48 times 2.54 MVA is 122 MVA."""
HV_LENGTH_KM, RING_HEAD_KM, RING_KM = 5.0, 0.8, 0.15
HV_FRAME_KA = 1.25
SECTION_FRAME_KA = 1.25
RING_FRAME_KA = 0.63
SWITCH_MS = 100.0
"""Vacuum breakers and motor-operated ring main units (typical: below 100 ms, and the order)."""


def campus(seed: int = 0, halls: int = HALLS) -> Any:
    """Build the case.

    Parameters
    ----------
    seed : int
        Of the rack powers and of who sits where.
    halls : int
        1 to 90; each has 440 racks (about 853 circuits) and two UPSs. There is one district for up to six halls, else an
        even number of districts with up to six halls each, so that every ring still ends at both utilities.

    Returns
    -------
    pandapowerNet
        24 halls: 10,560 racks, 57.6 MW; 48 UPSs of 2.4 MW and as many gensets.

    Raises
    ------
    ValueError
        ``halls`` is not from 1 to 90: beyond that the 110 kV switchgear would be too small.
    """
    if not 1 <= halls <= MOST_HALLS:
        raise ValueError(f"halls must be from 1 to {MOST_HALLS}, not {halls}")
    d = Drawing()
    train = Train(d, "2N", UPS_MW)
    sizes = _district_sizes(halls)
    grids, sections = _substation(d, max(2, len(sizes)), -(-halls // HALLS_PER_HV_LINE))
    for district, size in enumerate(sizes):
        ends = [sections[district], sections[(district + 1) % len(sections)]]
        _district(train, district, size, sum(sizes[:district]), ends)
    racks = halls * RACKS_PER_HALL
    installed_kw = 2000.0 * halls * UPS_MW
    feeds = Feeds.of(train)
    stss = feeds.draw_sts(d, racks, installed_kw / racks, train.names)
    net = create_empty_plant("campus")
    d.write(net)
    create_overload_curve(net, "ups", rt.UPS_CURVE)
    create_overload_curve(net, "cast-resin", rt.CAST_RESIN_CURVE, recovery_s=14400.0)
    create_overload_curve(net, "oil", GRID_CURVE, recovery_s=14400.0)
    for k, bus in enumerate(grids, start=1):
        create_utility(
            net,
            bus,
            f"Utility-{k}",
            vm_pu=rt.UTILITY_PU,
            max_p_mw=rt.HEADROOM * halls * train.input_mva,
            sync_group="grid",
            s_sc_max_mva=3000.0,
        )
    train.write(net)
    add_racks(net, feeds, stss, racks, LEVEL * installed_kw, seed)
    return net


def _district_sizes(halls: int) -> list[int]:
    """Return the halls of each district: one district, or an even number of them, as equal as can be."""
    n = -(-halls // HALLS_PER_DISTRICT)
    n += n > 1 and n % 2
    return [halls // n + (k < halls % n) for k in range(n)]


def _substation(d: Drawing, n_sections: int, n_lines: int) -> tuple[list[int], list[int]]:
    """Two 110 kV lines and busbars, a transformer and a section for each district; returns the grid buses and sections."""
    grids, bars, incomers = [], [], []
    for k in (1, 2):
        grids.append(d.bus(f"grid {k}", HV_KV))
        bars.append(d.bus(f"HV {k}", HV_KV))
        conductor = replace(HV_LINE, parallel=n_lines)
        line = d.line(f"HV line {k}", grids[-1], bars[-1], HV_LENGTH_KM, conductor)
        d.switch(f"QF-{k}", grids[-1], line, HV_FRAME_KA, SWITCH_MS, et="l")
        incomers.append(d.switch(f"QI-{k}", bars[-1], line, HV_FRAME_KA, SWITCH_MS, et="l"))
    tie = d.switch("QT-HV", bars[0], bars[1], HV_FRAME_KA, SWITCH_MS, closed=False)
    d.interlock("main-tie-main HV", [*incomers, tie], 2)
    sections, mains = [], []
    for k in range(1, n_sections + 1):
        bar = bars[(k - 1) % 2]
        sections.append(d.bus(f"M{k}", rt.MV_KV))
        trafo = d.trafo(f"T{k}", bar, sections[-1], (HV_KV, rt.MV_KV), GRID_TRANSFORMER, "oil")
        d.switch(f"QH-T{k}", bar, trafo, HV_FRAME_KA, SWITCH_MS, et="t")
        mains.append(d.switch(f"QM-T{k}", sections[-1], trafo, SECTION_FRAME_KA, SWITCH_MS, et="t"))
    for k in range(n_sections if n_sections > 2 else 1):
        after = (k + 1) % n_sections
        name = f"M{k + 1}-M{after + 1}"
        tie = d.switch(f"QT-{name}", sections[k], sections[after], SECTION_FRAME_KA, SWITCH_MS, closed=False)
        d.interlock(f"main-tie-main {name}", [mains[k], mains[after], tie], 2)
    return grids, sections


def _district(train: Train, district: int, halls: int, before: int, ends: list[int]) -> None:
    """Up to six halls, and two rings between two sections, the second the other way round."""
    d = train.drawing
    boards: list[list[int]] = [[], []]
    for hall in range(halls):
        prefix = f"{before + hall + 1:02d}"
        both = [d.bus(f"MV {prefix}-{k}", rt.MV_KV) for k in (1, 2)]
        train.block(prefix, both)
        d.switch(f"QT{prefix}-MV", both[0], both[1], RING_FRAME_KA, SWITCH_MS, closed=False)
        for ring, board in zip(boards, both, strict=True):
            ring.append(board)
    cable = rt.mv_cable(line_ka(HALLS_PER_DISTRICT * train.input_mva, rt.MV_KV))
    for letter, ring, (first, last) in zip("ab", boards, (ends, ends[::-1]), strict=True):
        for k, (near, far) in enumerate(pairwise([first, *ring, last])):
            name = f"{district + 1}{letter}{k}"
            length_km = RING_HEAD_KM if k in (0, halls) else RING_KM
            line = d.line(f"ring {name}", near, far, length_km, cable)
            opened = k == halls // 2
            d.switch(f"QL-{name}", near, line, RING_FRAME_KA, SWITCH_MS, et="l", closed=not opened)
            d.switch(f"QR-{name}", far, line, RING_FRAME_KA, SWITCH_MS, et="l")
