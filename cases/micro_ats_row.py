"""``micro_ats_row``: a row of racks with a micro-ATS and a 10 kWh battery every three metres, between two feeds.

::

    UPS-A - QO-A - cable - A1 = A2 = ... = A6 =QS-A= A7 = ... = A12          busway A, fed from the left
                            |    |          |         |          |
                           M1   M2         M6        M7         M12          micro-ATSs, each with its drop and battery
                            |    |          |         |          |
                           B1 = B2 = ... = B6 =QS-B= B7 = ... = B12 - cable - QO-B - UPS-B      fed from the right

* Each micro-ATS stands between both busways at its place and moves within 4 ms; odd ones prefer A, even ones B. Behind
  it is a drop with a battery that can form an island.
* Racks are dual-corded: the eight racks at M1 and M2 have cord A on drop 1 and cord B on drop 2, and so on. They draw
  8 kW on average, exactly 64 kW a pair of drops, 384 kW in the row.
* Both busways have a disconnector in the middle (QS). A fault beyond it leaves the half before it alive.

What is hard: when a UPS or the beginning of a busway is lost, all micro-ATSs move to the other side before anybody
notices, and its UPS stands at 132 % for one minute. Only the batteries, told to discharge, keep every rack.

Ratings
-------
* UPS 300 kVA, half a row 66 %. Curve, efficiency, autonomy: `cases.ratings`.
* Busway 630 A (a whole row is 571 A), 3 m from drop to drop: `ratings.busway`. Cable of 20 m: two runs of
  `ratings.PDU_CABLE`.
* Micro-ATS 100 A, 4 ms: below the 5 ms asked of it, and inside the hold-up of 10 ms. SOURCE: static switches transfer
  within a quarter of a cycle (typical).
* Battery 10 kWh lithium ion with a 40 kW converter behind a breaker of 63 A (QD), used from 90 to 10 % of charge, 95 %
  each way. SOURCE: cells for UPSs give 4..6 C for minutes, and 90 % round trip is usual with the converter (typical).
* Cycle cost 0.08 a kWh: 500 a kWh of pack over 6,000 cycles (commonly quoted).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from cases import ratings as rt
from cases.bulk import Drawing
from cases.racks import draw_groups
from cases.two_mains import TwoMains, line_ka
from pdnopt.plant import create_empty_plant, create_racks, create_storage

__all__ = ["micro_ats_row"]

PLACES = 12
RACKS_PER_PAIR = 8
PAIR_KW = 64.0
UPS_MW = 0.3
UPS_MODULE_MW = 0.05
POWER_FACTOR = 0.97
"""SOURCE: server power supplies with active correction at 30..50 % load (typical)."""
HOLDUP_MS = 10.0
"""SOURCE: the short end of what server power supplies hold at full load (typical 10..20 ms)."""
CORD_A = 32.0
BUSWAY_KA = 0.63
SPACING_KM = 0.003
FEEDER_LENGTH_KM = 0.02
MICRO_ATS_KA = 0.1
MICRO_ATS_MS = 4.0
BATTERY_MWH, BATTERY_MW = 0.010, 0.040
BATTERY_KA = 0.063
SOC_PERCENT, SOC_MIN_PERCENT = 90.0, 10.0
ONE_WAY_EFFICIENCY = 0.95
CYCLE_COST_PER_KWH = 0.08


def micro_ats_row(seed: int = 0) -> Any:
    """Build the case.

    Parameters
    ----------
    seed : int
        Of the rack powers inside their pairs, and of priorities and floors.

    Returns
    -------
    pandapowerNet
        48 racks, 96 circuits, 384 kW; 2 UPSs of 300 kW, 12 micro-ATSs and batteries.
    """
    plant = TwoMains(Drawing(), PLACES / 2 * PAIR_KW / 1000.0)
    busways = [_busway(plant, "A", range(PLACES)), _busway(plant, "B", range(PLACES - 1, -1, -1))]
    drops, terminals = _drops(plant.drawing, busways)
    net = create_empty_plant("micro_ats_row")
    plant.write(net, UPS_MODULE_MW)
    for k, terminal in enumerate(terminals, start=1):
        create_storage(
            net,
            terminal,
            f"DES-{k}",
            p_max_mw=BATTERY_MW,
            e_max_mwh=BATTERY_MWH,
            soc_percent=SOC_PERCENT,
            soc_min_percent=SOC_MIN_PERCENT,
            efficiency_charge=ONE_WAY_EFFICIENCY,
            efficiency_discharge=ONE_WAY_EFFICIENCY,
            grid_forming=True,
            cycle_cost_per_kwh=CYCLE_COST_PER_KWH,
        )
    _racks(net, drops, seed)
    return net


def _busway(plant: TwoMains, side: str, way: range) -> list[int]:
    """UPS, cable and busway of one side, fed at the first place of ``way``; returns its buses by place."""
    d = plant.drawing
    buses = [d.bus(f"{side}{k + 1}", rt.LV_KV) for k in range(PLACES)]
    ups_out = plant.draw_ups(f"UPS-{side}", side, UPS_MW)
    frame = rt.breaker_ka(line_ka(rt.HEADROOM * UPS_MW, rt.LV_KV))
    cable = rt.Conductor(
        rt.PDU_CABLE.r_ohm_per_km, rt.PDU_CABLE.x_ohm_per_km, rt.PDU_CABLE.max_i_ka, parallel=2, df=0.8
    )
    feeder = d.line(f"feeder {side}", ups_out, buses[way[0]], FEEDER_LENGTH_KM, cable)
    d.switch(f"QO-{side}", ups_out, feeder, frame, rt.CLOSE_MS, et="l")
    for n, (near, far) in enumerate(pairwise(way), start=1):
        name = f"busway {side} {near + 1}-{far + 1}"
        piece = d.line(name, buses[near], buses[far], SPACING_KM, rt.busway(BUSWAY_KA))
        if n == PLACES // 2:
            d.switch(f"QS-{side}", buses[near], piece, BUSWAY_KA, rt.CLOSE_MS, et="l")
    return buses


def _drops(d: Drawing, busways: list[list[int]]) -> tuple[list[int], list[int]]:
    """Micro-ATSs and battery breakers; returns the buses behind them."""
    drops, terminals = [], []
    for k in range(PLACES):
        sources = [busway[k] for busway in (busways if k % 2 == 0 else busways[::-1])]
        drops.append(d.bus(f"drop {k + 1}", rt.LV_KV))
        d.transfer(f"M{k + 1}", "micro-ATS", drops[-1], sources, MICRO_ATS_KA, MICRO_ATS_MS)
        terminals.append(d.bus(f"battery {k + 1}", rt.LV_KV))
        d.switch(f"QD-{k + 1}", drops[-1], terminals[-1], BATTERY_KA, rt.CLOSE_MS)
    return drops, terminals


def _racks(net: Any, drops: list[int], seed: int) -> None:
    """Cords A on the odd drop of a pair, cords B on the even one."""
    draw = draw_groups(np.random.default_rng(seed), PLACES // 2, RACKS_PER_PAIR, PAIR_KW)
    create_racks(
        net,
        np.repeat(np.reshape(drops, (-1, 2)), RACKS_PER_PAIR, axis=0),
        [f"R{k + 1:02d}" for k in range(draw.p_mw.size)],
        draw.p_mw.ravel(),
        power_factor=POWER_FACTOR,
        priority=draw.priority.ravel(),
        min_p_mw=draw.min_p_mw.ravel(),
        holdup_ms=HOLDUP_MS,
        breaker_a=CORD_A,
    )
