"""``ring_bus``: eight primary and four reserve UPSs, and a reserve ring with intelligent bus taps (IBT).

::

    Utility 1 - MV 1 - TX-A - main A -+- P3 P4 P7 P8 (rows 3 4 7 8, cords A)
                 | QT-MV        | QT  +- R1, R3
    Utility 2 - MV 2 - TX-B - main B -+- P1 P2 P5 P6 (rows 1 2 5 6, cords A)
                                      +- R2, R4

    ring:  RB1 ===== RB2 --o-- RB3 ===== RB4 --o-- RB5 ===== RB6 --o-- RB7 ===== RB8 --o-- RB1
            |                   |                   |                   |
          choke               choke               choke               choke         === closed, --o-- open
            R1                  R2                  R3                  R4

* Row k has 12 racks in three groups of four. Cords A hang on the row's own primary UPS P-k; the cords B of each
  group on one tap, which stands on the ring board RB-k and can draw from the board across the open point instead
  (RB8 for RB1, RB3 for RB2, ...). So every tap reaches two reserve systems, and through the ring's breakers all four.
* Every rack draws 8 kW on average, exactly 32 kW a group and 96 kW a row, half on each cord.
* The ring runs open: one reserve system feeds a zone of two boards. The chokes are those of an isolated-parallel
  ring bus; they hold back fault current when a breaker joins two zones for the moment of a transfer in synchronism.
* Two taps, primaries and reserves are never on one transformer: what a tap can choose from, and the two cords of a
  rack, share nothing below the utility.

Ratings
-------
* Modular UPSs of 15 kW modules (10..25 kW are usual). Primary 90 kW: half of its row is 55 % of its kVA; a whole row
  (99 kVA, 110 %) it carries for ten minutes only. Reserve 120 kW: its zone takes 96 kW, 82 % of its kVA.
  Overload curve, efficiency, autonomy: `cases.ratings`.
* Choke: 5 % of the reserve UPS's rating, x/r = 30 (iron-core reactors; commonly quoted for isolated-parallel rings).
* Ring: 400 A busbar trunking (`ratings.busway`), which carries three zones; 12 m from board to board.
* Cable to the boards of cords A: `ratings.PDU_CABLE`, 20 m. Tap: static switch, 100 A (a group alone is 48 A),
  4 ms (`ratings.STS_MS`), moves by itself on loss of its board.
* Transformers, main boards and gensets: `cases.two_mains`.
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

ROWS = 8
GROUPS = 3
RACKS_PER_GROUP = 4
GROUP_KW = 32.0
PRIMARY_MW = 0.09
RESERVE_MW = 0.12
UPS_MODULE_MW = 0.015
POWER_FACTOR = 0.97
"""SOURCE: server power supplies with active correction at 30..50 % load (typical)."""
HOLDUP_MS = 12.0
"""SOURCE: 10..20 ms at full load is common for server power supplies (typical; 20 ms is the ITI curve)."""
CORD_A = 32.0
CHOKE_PART, CHOKE_X_OVER_R = 0.05, 30.0
RING_KA = 0.4
RING_LENGTH_KM = 0.012
FEEDER_LENGTH_KM = 0.02
TAP_KA = 0.1
SIDE_OF_ROW = "BBAABBAA"
"""Main board of each row's primary UPS."""
SIDE_OF_RESERVE = "ABAB"
ACROSS = {1: 8, 2: 3, 3: 2, 4: 5, 5: 4, 6: 7, 7: 6, 8: 1}
"""The board across the nearest open point of the ring."""


def ring_bus(seed: int = 0) -> Any:
    """Build the case.

    Parameters
    ----------
    seed : int
        Of the rack powers inside their groups, and of priorities and floors.

    Returns
    -------
    pandapowerNet
        96 racks, 192 circuits, 768 kW; 8 x 90 kW primary and 4 x 120 kW reserve UPSs, 24 taps.
    """
    plant = TwoMains(Drawing(), ROWS * GROUPS * GROUP_KW / 1000.0)
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
        ups_out = plant.draw_ups(f"P{row}", side, PRIMARY_MW)
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
        d.switch(f"QS-{k + 1}", board, piece, RING_KA, rt.CLOSE_MS, et="l", closed=k % 2 == 0)
        d.switch(f"QN-{following + 1}", boards[following], piece, RING_KA, rt.CLOSE_MS, et="l")
    x_ohm = CHOKE_PART * rt.LV_KV**2 / RESERVE_MW
    frame = rt.breaker_ka(line_ka(rt.HEADROOM * RESERVE_MW, rt.LV_KV))
    choke = rt.Conductor(1000.0 * x_ohm / CHOKE_X_OVER_R, 1000.0 * x_ohm, frame)
    for k, side in enumerate(SIDE_OF_RESERVE, start=1):
        ups_out, board = plant.draw_ups(f"R{k}", side, RESERVE_MW), boards[2 * k - 2]
        line = d.line(f"choke {k}", ups_out, board, 0.001, choke)
        d.switch(f"QO-R{k}", ups_out, line, frame, rt.CLOSE_MS, et="l")
        d.switch(f"QR-{k}", board, line, frame, rt.CLOSE_MS, et="l")
    return boards


def _taps(d: Drawing, ring: list[int]) -> list[list[int]]:
    """Taps of every row, on its board and on the one across the open point; returns their output buses."""
    outputs = []
    for row in range(1, ROWS + 1):
        sources = [ring[row - 1], ring[ACROSS[row] - 1]]
        buses = []
        for name in (f"{row}-{group}" for group in range(1, GROUPS + 1)):
            buses.append(d.bus(f"tap out {name}", rt.LV_KV))
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
