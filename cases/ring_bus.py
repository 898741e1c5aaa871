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
* Primary UPS 100 kW: one row alone is 96 kW / 0.97 = 99 kVA. Reserve UPS 120 kW: its zone takes 96 kW, 82 % of its
  kVA. Overload curve, efficiency, autonomy: `cases.ratings`.
* Choke: 5 % of the reserve UPS's rating, x/r = 30 (iron-core reactors; commonly quoted for isolated-parallel rings).
* Ring: 400 A busbar trunking (`ratings.busway`), which carries three zones; 12 m from board to board.
* Cable to the boards of cords A: `ratings.PDU_CABLE`, 20 m. Tap: static switch, 100 A (a group alone is 48 A),
  4 ms (`ratings.STS_MS`), moves by itself on loss of its board.
* Transformers carry both main boards, gensets their own (125 %).
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from cases import ratings as rt
from cases.bulk import Drawing
from cases.racks import draw_groups
from pdnopt.plant import (
    create_empty_plant,
    create_genset,
    create_overload_curve,
    create_racks,
    create_ups,
    create_utility,
)

__all__ = ["ring_bus"]

ROWS = 8
GROUPS = 3
RACKS_PER_GROUP = 4
GROUP_KW = 32.0
PRIMARY_MW = 0.10
RESERVE_MW = 0.12
POWER_FACTOR = 0.97
"""SOURCE: server power supplies with active correction at 30..50 % load (typical)."""
HOLDUP_MS = 12.0
"""SOURCE: 10..20 ms at full load is common for server power supplies (typical; 20 ms is the ITI curve)."""
CORD_A = 32.0
CHOKE_PART, CHOKE_X_OVER_R = 0.05, 30.0
RING_KA = 0.4
RING_LENGTH_KM = 0.012
FEEDER_LENGTH_KM = 0.02
MV_LENGTH_KM = 0.5
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
        96 racks, 192 circuits, 768 kW; 8 x 100 kW primary and 4 x 120 kW reserve UPSs, 24 taps.
    """
    d = Drawing()
    mains, gens = _supply(d)
    primary_in, primary_out, boards_a = _rows(d, mains)
    reserve_in, reserve_out, ring = _ring(d, mains)
    taps = [
        [d.bus(f"tap out {row + 1}-{group + 1}", rt.LV_KV) for group in range(GROUPS)] for row in range(ROWS)
    ]
    for row, outputs in enumerate(taps):
        sources = [ring[row], ring[ACROSS[row + 1] - 1]]
        for group, bus in enumerate(outputs):
            d.transfer(f"IBT-{row + 1}-{group + 1}", "IBT", bus, sources, TAP_KA, rt.STS_MS)
    net = create_empty_plant("ring_bus")
    d.write(net)
    create_overload_curve(net, "ups", rt.UPS_CURVE)
    create_overload_curve(net, "cast-resin", rt.CAST_RESIN_CURVE, recovery_s=14400.0)
    _sources(net, gens)
    for row in range(ROWS):
        bypass = mains[SIDE_OF_ROW[row]]
        _ups(net, primary_in[row], primary_out[row], f"P{row + 1}", PRIMARY_MW, bypass)
    for k in range(len(SIDE_OF_RESERVE)):
        bypass = mains[SIDE_OF_RESERVE[k]]
        _ups(net, reserve_in[k], reserve_out[k], f"R{k + 1}", RESERVE_MW, bypass)
    _racks(net, boards_a, taps, seed)
    return net


def _ka(mva: float, kv: float = rt.LV_KV) -> float:
    return mva / (sqrt(3.0) * kv)


def _total_mva() -> float:
    """All racks on the worst side of the UPSs, with their losses and HEADROOM."""
    return rt.HEADROOM * ROWS * GROUPS * GROUP_KW / 1000.0 / rt.UPS_EFFICIENCY[0][1] / rt.UPS_INPUT_PF


def _supply(d: Drawing) -> tuple[dict[str, int], dict[str, int]]:
    """Two utility feeds, MV boards, transformers, main boards with gensets; ties between the sides."""
    mains, gens, mv, incomers = {}, {}, {}, {}
    all_mva = _total_mva()
    frame = rt.breaker_ka(_ka(all_mva))
    for k, side in enumerate("AB", start=1):
        grid = d.bus(f"grid {k}", rt.MV_KV)
        mv[side] = d.bus(f"MV {k}", rt.MV_KV)
        feeder = d.line(f"feeder {k}", grid, mv[side], MV_LENGTH_KM, rt.mv_cable(0.1))
        d.switch(f"QF-{k}", grid, feeder, 0.63, rt.CLOSE_MS, et="l")
        incomer = d.switch(f"QI-{k}", mv[side], feeder, 0.63, rt.CLOSE_MS, et="l")
        mains[side], gens[side] = d.bus(f"main {side}", rt.LV_KV), d.bus(f"gen {side}", rt.LV_KV)
        kv, what = (rt.MV_KV, rt.LV_KV), rt.transformer(all_mva)
        trafo = d.trafo(f"TX-{side}", mv[side], mains[side], kv, what, "cast-resin")
        d.switch(f"QH-{side}", mv[side], trafo, 0.63, rt.CLOSE_MS, et="t")
        incomers[side] = d.switch(f"QM-{side}", mains[side], trafo, frame, rt.CLOSE_MS, et="t")
        genset = d.switch(f"QG-{side}", gens[side], mains[side], frame, rt.CLOSE_MS, closed=False)
        d.interlock(f"mains or genset {side}", [incomers[side], genset], 1)
        incomers[f"MV {side}"] = incomer
    tie_mv = d.switch("QT-MV", mv["A"], mv["B"], 0.63, rt.CLOSE_MS, closed=False)
    d.interlock("main-tie-main MV", [incomers["MV A"], incomers["MV B"], tie_mv], 2)
    tie = d.switch("QT", mains["A"], mains["B"], frame, rt.CLOSE_MS, closed=False)
    d.interlock("main-tie-main", [incomers["A"], incomers["B"], tie], 2)
    return mains, gens


def _ups_buses(d: Drawing, name: str, main: int, mw: float) -> tuple[int, int]:
    """Input breaker, input and output bus of one UPS."""
    ups_in, ups_out = d.bus(f"{name} in", rt.LV_KV), d.bus(f"{name} out", rt.LV_KV)
    input_mva = rt.HEADROOM * mw / rt.UPS_EFFICIENCY[-1][1] / rt.UPS_INPUT_PF
    d.switch(f"QU-{name}", main, ups_in, rt.breaker_ka(_ka(input_mva)), rt.CLOSE_MS)
    return ups_in, ups_out


def _rows(d: Drawing, mains: dict[str, int]) -> tuple[list[int], list[int], list[int]]:
    """Primary UPSs and the boards of cords A, one a row."""
    ins, outs, boards = [], [], []
    frame = rt.breaker_ka(_ka(rt.HEADROOM * PRIMARY_MW))
    for row in range(ROWS):
        ups_in, ups_out = _ups_buses(d, f"P{row + 1}", mains[SIDE_OF_ROW[row]], PRIMARY_MW)
        board = d.bus(f"row {row + 1} A", rt.LV_KV)
        cable = d.line(f"cable {row + 1}", ups_out, board, FEEDER_LENGTH_KM, rt.PDU_CABLE)
        d.switch(f"QO-P{row + 1}", ups_out, cable, frame, rt.CLOSE_MS, et="l")
        ins.append(ups_in)
        outs.append(ups_out)
        boards.append(board)
    return ins, outs, boards


def _ring(d: Drawing, mains: dict[str, int]) -> tuple[list[int], list[int], list[int]]:
    """Reserve UPSs, chokes and the ring with a breaker at both ends of every piece."""
    boards = [d.bus(f"RB{k + 1}", rt.LV_KV) for k in range(ROWS)]
    for k, board in enumerate(boards):
        following = (k + 1) % ROWS
        piece = d.line(
            f"ring {k + 1}-{following + 1}", board, boards[following], RING_LENGTH_KM, rt.busway(RING_KA)
        )
        d.switch(f"QS-{k + 1}", board, piece, RING_KA, rt.CLOSE_MS, et="l", closed=k % 2 == 0)
        d.switch(f"QN-{following + 1}", boards[following], piece, RING_KA, rt.CLOSE_MS, et="l")
    x_ohm = CHOKE_PART * rt.LV_KV**2 / RESERVE_MW
    frame = rt.breaker_ka(_ka(rt.HEADROOM * RESERVE_MW))
    choke = rt.Conductor(1000.0 * x_ohm / CHOKE_X_OVER_R, 1000.0 * x_ohm, frame)
    ins, outs = [], []
    for k, side in enumerate(SIDE_OF_RESERVE):
        ups_in, ups_out = _ups_buses(d, f"R{k + 1}", mains[side], RESERVE_MW)
        line = d.line(f"choke {k + 1}", ups_out, boards[2 * k], 0.001, choke)
        d.switch(f"QO-R{k + 1}", ups_out, line, frame, rt.CLOSE_MS, et="l")
        d.switch(f"QR-{k + 1}", boards[2 * k], line, frame, rt.CLOSE_MS, et="l")
        ins.append(ups_in)
        outs.append(ups_out)
    return ins, outs, boards


def _sources(net: Any, gens: dict[str, int]) -> None:
    """Utility feeds on the first two buses, and one genset a side for all UPSs of that side."""
    grids = net.bus.index[net.bus["name"].isin(("grid 1", "grid 2"))]
    for k, bus in enumerate(grids, start=1):
        create_utility(
            net,
            int(bus),
            f"Utility-{k}",
            vm_pu=rt.UTILITY_PU,
            max_p_mw=_total_mva(),
            sync_group="grid",
            s_sc_max_mva=500.0,
        )
    for side, bus in gens.items():
        rated = PRIMARY_MW * SIDE_OF_ROW.count(side) + RESERVE_MW * SIDE_OF_RESERVE.count(side)
        genset_mw = rt.GENSET_MARGIN * rated
        create_genset(
            net,
            bus,
            f"Genset-{side}",
            max_p_mw=genset_mw,
            start_s=rt.GENSET_START_S,
            fuel_mwh=rt.FUEL_H * genset_mw,
        )


def _ups(net: Any, ups_in: int, ups_out: int, name: str, mw: float, bypass: int) -> None:
    create_ups(
        net,
        ups_in,
        ups_out,
        name,
        p_rated_mw=mw,
        s_rated_mva=mw,
        bypass_bus=bypass,
        efficiency=[list(point) for point in rt.UPS_EFFICIENCY],
        input_pf=rt.UPS_INPUT_PF,
        overload_curve="ups",
        e_max_mwh=mw * rt.AUTONOMY_MIN / 60.0,
        p_charge_max_mw=rt.BATTERY_CHARGE * mw,
        walk_in_s=rt.UPS_WALK_IN_S,
        n_modules=4,
    )


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
