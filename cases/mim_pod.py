"""``mim_pod``: a 415/240 V pod of single-phase racks, unbalanced, with micro-inverters (MIM) at its PDUs.

::

    UPS-A - QO-A - OUT A - F-A1..F-A6 - cables - PDU-A1 .. PDU-A6
                    QX |                            : cords A, 240 V, phase to neutral
    UPS-B - QO-B - OUT B - F-B1..F-B6 - cables - PDU-B1 .. PDU-B6     : cords B, on the same phase

* 108 racks of 4 kW on average, 18 on each pair of PDUs, both cords on one phase. Of each pair's 72 kW 36 % hang on
  phase a, 34 % on b, 30 % on c, exactly: what is left where circuits were given away one by one.
* Every PDU has a micro-inverter of 5 kVA a phase with an active filter, the A side's with a 10 kWh battery on its DC
  link. They inject nothing as given: their set-points are what `balance` decides.
* Transformers and the boards before the UPSs: `cases.two_mains`, at 415 V. QX joins the OUT boards, open.

What is hard: each UPS has room for the whole pod (432 kW, 99 % of 450 kVA) and phase a has not (107 % of a third).
Who looks at three-phase sums finds nothing to do.

Ratings
-------
* 415/240 V: IEC 60038 has 230/400 V; 240/415 V is its predecessor and usual in data halls, as it gives 240 V racks.
* UPS 450 kVA: half the pod 49.5 %. Curve, efficiency, autonomy: `cases.ratings`.
* PDU 160 A (a whole pair is 103 A on average); cable 70 mm2 Cu, 25 m: r of IEC 60228 class 2, 0.268 ohm/km at
  20 degC; 246 A in air (IEC 60364-5-52 table B.52.12, method E, commonly quoted), grouping 0.8; x = 0.08 ohm/km.
* Zero sequence: a neutral as thick as a phase makes r0 = r + 3 r = 4 r; x0 = 4 x alike.
* Cords 32 A, 240 V (IEC 60309, 7.7 kVA).
* Micro-inverter: 5 kVA a phase, 3 % loss (typical of three-phase string inverters of 15 kW, 97..98 % with filter).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cases import ratings as rt
from cases.bulk import Drawing
from cases.racks import draw_groups
from cases.two_mains import TwoMains, line_ka
from pdnopt.plant import (
    create_empty_plant,
    create_micro_inverter,
    create_single_phase_racks,
    create_storage,
)

__all__ = ["mim_pod"]

KV = 0.415
PAIRS = 6
RACKS_PER_PHASE = 6
PAIR_KW = 72.0
PHASE_PARTS = (0.36, 0.34, 0.30)
UPS_MW = 0.45
UPS_MODULE_MW = 0.05
POWER_FACTOR = 0.97
"""SOURCE: server power supplies with active correction at 30..50 % load (typical)."""
HOLDUP_MS = 12.0
"""SOURCE: server power supplies, 10..20 ms at full load (typical)."""
CORD_A = 32.0
PDU_KA = 0.16
PDU_LENGTH_KM = 0.025
PDU_CABLE = rt.Conductor(0.268 * (1.0 + 0.00393 * 70.0), 0.08, 0.246, df=0.8)
ZERO_SEQUENCE = 4.0
MIM_MVA = 0.005
MIM_LOSS_PERCENT = 3.0
BATTERY_MWH, BATTERY_MW = 0.010, 0.010
SOC_PERCENT, SOC_MIN_PERCENT = 90.0, 10.0


def mim_pod(seed: int = 0) -> Any:
    """Build the case.

    Parameters
    ----------
    seed : int
        Of the rack powers inside each phase of a pair, and of priorities and floors.

    Returns
    -------
    pandapowerNet
        108 racks, 216 single-phase circuits, 432 kW; 2 UPSs of 450 kW, 12 PDUs, 12 micro-inverters.
    """
    plant = TwoMains(Drawing(), PAIRS * PAIR_KW / 1000.0, KV)
    boards, pdus = {}, {}
    for side in "AB":
        boards[side], pdus[side] = _side(plant, side)
    tie_ka = rt.breaker_ka(line_ka(rt.HEADROOM * UPS_MW, KV))
    plant.drawing.switch("QX", boards["A"], boards["B"], tie_ka, rt.CLOSE_MS, closed=False)
    net = create_empty_plant("mim_pod")
    plant.write(net, UPS_MODULE_MW)
    for name, of in (("r0", "r"), ("x0", "x")):
        net.line[f"{name}_ohm_per_km"] = ZERO_SEQUENCE * net.line[f"{of}_ohm_per_km"]
    net.line["c0_nf_per_km"] = 0.0
    _racks(net, pdus, seed)
    _micro_inverters(net, pdus)
    return net


def _side(plant: TwoMains, side: str) -> tuple[int, list[int]]:
    """UPS, output board, cables and PDUs of one side; returns the board and the PDUs."""
    d = plant.drawing
    ups_out = plant.draw_ups(f"UPS-{side}", side, UPS_MW)
    board = d.bus(f"OUT {side}", KV)
    d.switch(f"QO-{side}", ups_out, board, rt.breaker_ka(line_ka(rt.HEADROOM * UPS_MW, KV)), rt.CLOSE_MS)
    pdus = []
    for name in (f"{side}{k}" for k in range(1, PAIRS + 1)):
        pdus.append(d.bus(f"PDU-{name}", KV))
        cable = d.line(f"cable {name}", board, pdus[-1], PDU_LENGTH_KM, PDU_CABLE)
        d.switch(f"F-{name}", board, cable, PDU_KA, rt.CLOSE_MS, et="l")
    return board, pdus


def _racks(net: Any, pdus: dict[str, list[int]], seed: int) -> None:
    """Racks in groups of one pair and one phase, so that each phase of a pair has its exact part."""
    rng = np.random.default_rng(seed)
    for phase, part in enumerate(PHASE_PARTS):
        draw = draw_groups(rng, PAIRS, RACKS_PER_PHASE, part * PAIR_KW)
        pair = np.repeat(np.arange(PAIRS), RACKS_PER_PHASE)
        buses = np.column_stack([np.array(pdus[side])[pair] for side in "AB"])
        create_single_phase_racks(
            net,
            buses,
            np.full(buses.shape, phase),
            [f"R{p + 1}{'abc'[phase]}{k % RACKS_PER_PHASE + 1}" for k, p in enumerate(pair)],
            draw.p_mw.ravel(),
            power_factor=POWER_FACTOR,
            priority=draw.priority.ravel(),
            min_p_mw=draw.min_p_mw.ravel(),
            holdup_ms=HOLDUP_MS,
            breaker_a=CORD_A,
        )


def _micro_inverters(net: Any, pdus: dict[str, list[int]]) -> None:
    """One at each PDU; those of side A with a battery."""
    for side, buses in pdus.items():
        for k, bus in enumerate(buses, start=1):
            storage = None
            if side == "A":
                storage = create_storage(
                    net,
                    bus,
                    f"DES-{side}{k}",
                    p_max_mw=BATTERY_MW,
                    e_max_mwh=BATTERY_MWH,
                    soc_percent=SOC_PERCENT,
                    soc_min_percent=SOC_MIN_PERCENT,
                    coupling="dc",
                )
            create_micro_inverter(
                net, bus, f"MIM-{side}{k}", MIM_MVA, storage, MIM_LOSS_PERCENT, active_filter=True
            )
