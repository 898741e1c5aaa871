"""``ring_bus``: ten primary and five reserve UPSs, and a reserve ring with intelligent bus taps (IBT).

::

    Utility 1 - MV 1 - TX-A - main A -+-(preferred)- ATS of P3 P4 P7 P8, R1, R3, R5
                 | QT-MV        | QT
    Utility 2 - MV 2 - TX-B - main B -+-(preferred)- ATS of P1 P2 P5 P6 P9 P10, R2, R4

    ring:  RB1 == RB2 --o-- RB3 == RB4 --o-- RB5 == RB6 --o-- RB7 == RB8 --o-- RB9 == RB10 --o-- RB1
            |                |                |                |                |
          choke            choke            choke            choke            choke        == closed, --o-- open
            R1               R2               R3               R4               R5

* Row k has 12 racks in four groups of three. Cords A hang on the row's own primary UPS P-k; the cords B of each group on
  one tap. A tap stands on the ring board RB-k of its row; the second position of the four taps of a row is a board in
  each of the four other zones. So every tap reaches two reserve systems, and through the ring's breakers all five.
* Every rack draws 15 kW on average, exactly 45 kW a group and 180 kW a row, half on each cord: 1800 kW, 75 % of the
  UPSs' 2400 kW.
* The ring runs open: one reserve system feeds a zone of two boards. The chokes are those of an isolated-parallel
  ring bus; they hold back fault current when a breaker joins two zones for the moment of a transfer in synchronism.
* Every UPS is fed by an automatic transfer switch (ATS) from both main boards; its battery bridges the move. So a
  utility, transformer or main board can be lost without any command.

Why these numbers
-----------------
Half of all load stands on the n reserve systems. When one is lost the others carry n / (n - 1) of what they had: of their
rating at most (n - 1) / n can be used, 75 % with four of them and not a kVA to spare at power factor 0.97, 80 % with five.
That is reached only if the taps of one zone go to all the others in equal parts: hence a second position in each other
zone, and as many taps a row as there are other zones. With every tap's second position on the neighbour across the open
point, each of two neighbours takes half of a zone: 150 %, so that 67 % (at 110 % for an hour: 73 %) would be the end.
As given all four taps of a row stand in one zone: above 67 % the loss of a primary overloads it for good; moving two of
them away before is what `pdnopt solve ring_bus reserve` finds.

Ratings
-------
* Modular UPSs of 15 kW modules (10..25 kW are usual). Primary 120 kW: half of its row is 77 % of its kVA. Reserve 240 kW:
  its zone takes 180 kW, 77 % of its kVA, with the choke 78 %. Overload curve, efficiency, autonomy: `cases.ratings`.
* Choke: 5 % of the reserve UPS's rating, x/r = 30 (iron-core reactors; commonly quoted for isolated-parallel rings).
* Ring: 630 A busbar trunking (`ratings.busway`): a zone on another zone's reserve; 12 m from board to board.
* Cable to the boards of cords A: `ratings.PDU_CABLE`, 20 m. Tap: static switch, 100 A (a group alone is 68 A),
  4 ms (`ratings.STS_MS`), moves by itself on loss of its board. Rack circuits: 40 A (preferred value of IEC 60898-1).
* Transformers, main boards and gensets: `cases.two_mains`; one side carries 95 % of the installed UPS kW.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cases import ratings as rt
from cases.bulk import Drawing
from cases.racks import draw_groups
from cases.two_mains import TwoMains, line_ka
from pdnopt.plant import create_empty_plant, create_racks

__all__ = ["ring_bus"]

ZONES = 5
BOARDS_PER_ZONE = 2
ROWS = ZONES * BOARDS_PER_ZONE
GROUPS = ZONES - 1
RACKS_PER_GROUP = 3
GROUP_KW = 45.0
PRIMARY_MW = 0.12
RESERVE_MW = 0.24
MOST_MW = 0.95 * (ROWS * PRIMARY_MW + ZONES * RESERVE_MW)
"""Load that transformers and utilities are made for."""
UPS_MODULE_MW = 0.015
POWER_FACTOR = 0.97
"""SOURCE: server power supplies with active correction at 30..50 % load (typical)."""
HOLDUP_MS = 12.0
"""SOURCE: 10..20 ms at full load is common for server power supplies (typical; 20 ms is the ITI curve)."""
CORD_A = 40.0
CHOKE_PART, CHOKE_X_OVER_R = 0.05, 30.0
RING_KA = 0.63
RING_LENGTH_KM = 0.012
FEEDER_LENGTH_KM = 0.02
TAP_KA = 0.1
SIDE_OF_ROW = "BBAABBAABB"
"""Main board that each row's primary UPS prefers."""
SIDE_OF_RESERVE = "ABABA"
"""The other one: with nothing failed the two cords of a rack share nothing below the utility."""


def ring_bus(seed: int = 0) -> Any:
    """Build the case.

    Parameters
    ----------
    seed : int
        Of the rack powers inside their groups, and of priorities and floors.

    Returns
    -------
    pandapowerNet
        120 racks, 240 circuits, 1800 kW; 10 x 120 kW primary and 5 x 240 kW reserve UPSs, 40 taps.
    """
    plant = TwoMains(Drawing(), MOST_MW)
    boards_a = _rows(plant)
    ring = _ring(plant)
    taps = _taps(plant.drawing, ring)
    net = create_empty_plant("ring_bus")
    plant.write(net, UPS_MODULE_MW)
    _racks(net, boards_a, taps, seed)
    return net


def _rows(plant: TwoMains) -> list[int]:
    """Primary UPSs and the boards of cords A, one a row; returns the boards."""
    d, boards = plant.drawing, []
    frame = rt.breaker_ka(line_ka(rt.HEADROOM * PRIMARY_MW, rt.LV_KV))
    for row, side in enumerate(SIDE_OF_ROW, start=1):
        ups_out = plant.draw_ups(f"P{row}", side, PRIMARY_MW, both_mains=True)
        boards.append(d.bus(f"row {row} A", rt.LV_KV))
        cable = d.line(f"cable {row}", ups_out, boards[-1], FEEDER_LENGTH_KM, rt.PDU_CABLE)
        d.switch(f"QO-P{row}", ups_out, cable, frame, rt.CLOSE_MS, et="l")
    return boards


def _ring(plant: TwoMains) -> list[int]:
    """Reserve UPSs, chokes and the ring with a breaker at both ends of every piece; returns the boards."""
    d = plant.drawing
    boards = [d.bus(f"RB{k + 1}", rt.LV_KV) for k in range(ROWS)]
    for k, board in enumerate(boards):
        following = (k + 1) % ROWS
        name = f"ring {k + 1}-{following + 1}"
        piece = d.line(name, board, boards[following], RING_LENGTH_KM, rt.busway(RING_KA))
        d.switch(f"QS-{k + 1}", board, piece, RING_KA, rt.CLOSE_MS, et="l", closed=k % BOARDS_PER_ZONE == 0)
        d.switch(f"QN-{following + 1}", boards[following], piece, RING_KA, rt.CLOSE_MS, et="l")
    x_ohm = CHOKE_PART * rt.LV_KV**2 / RESERVE_MW
    frame = rt.breaker_ka(line_ka(rt.HEADROOM * RESERVE_MW, rt.LV_KV))
    choke = rt.Conductor(1000.0 * x_ohm / CHOKE_X_OVER_R, 1000.0 * x_ohm, frame)
    for k, side in enumerate(SIDE_OF_RESERVE, start=1):
        ups_out = plant.draw_ups(f"R{k}", side, RESERVE_MW, both_mains=True)
        board = boards[BOARDS_PER_ZONE * (k - 1)]
        line = d.line(f"choke {k}", ups_out, board, 0.001, choke)
        d.switch(f"QO-R{k}", ups_out, line, frame, rt.CLOSE_MS, et="l")
        d.switch(f"QR-{k}", board, line, frame, rt.CLOSE_MS, et="l")
    return boards


def _taps(d: Drawing, ring: list[int]) -> list[list[int]]:
    """Taps of every row, on its board and on one of each other zone; returns their output buses."""
    outputs = []
    for row in range(ROWS):
        buses = []
        for group in range(1, GROUPS + 1):
            name = f"{row + 1}-{group}"
            buses.append(d.bus(f"tap out {name}", rt.LV_KV))
            sources = [ring[row], ring[(row + BOARDS_PER_ZONE * group) % ROWS]]
            d.transfer(f"IBT-{name}", "IBT", buses[-1], sources, TAP_KA, rt.STS_MS)
        outputs.append(buses)
    return outputs


def _racks(net: Any, boards_a: list[int], taps: list[list[int]], seed: int) -> None:
    """Cords A on the row's board, cords B on the group's tap."""
    draw = draw_groups(np.random.default_rng(seed), ROWS * GROUPS, RACKS_PER_GROUP, GROUP_KW)
    cord_a = np.repeat(boards_a, GROUPS * RACKS_PER_GROUP)
    cord_b = np.repeat(np.ravel(taps), RACKS_PER_GROUP)
    create_racks(
        net,
        np.column_stack([cord_a, cord_b]),
        [f"R{k + 1:03d}" for k in range(len(cord_a))],
        draw.p_mw.ravel(),
        power_factor=POWER_FACTOR,
        priority=draw.priority.ravel(),
        min_p_mw=draw.min_p_mw.ravel(),
        holdup_ms=HOLDUP_MS,
        breaker_a=CORD_A,
    )
