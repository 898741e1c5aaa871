"""``two_feed``: two utility feeds, two UPSs, eight dual-corded racks. Every answer can be found by hand.

::

    Utility A          Utility B          Genset G
       |                  |                  |
      QA                 QB                 QG  (open)
       |                  |                  |
    main A ---- tie QT (open) ---- main B    |
       |  \\________________________|_________|     (QG closes onto main A)
     UPS-A              UPS-B
       |                  |
    out A ---- tie QX (open) ---- out B
      FA                 FB
    PDU A              PDU B
       \\__ racks R1..R8 __/      (each 10 kW, 5 kW a cord)

Ratings are round numbers chosen for sums by hand, in the range of catalogue devices:

* UPS 60 kW / 60 kVA, eta 0.96 (flat), overload 125 % for 600 s, 150 % for 60 s (typical catalogue
  values, e.g. Schneider Galaxy VS technical specifications: 125 % 10 min, 150 % 1 min), battery 10 kWh.
* PDU feeders 400 V, 200 A; copper cable 70 mm2, r = 0.268 ohm/km, x = 0.082 ohm/km (IEC 60228 class 2;
  reactance typical of single-core LV cable in trefoil), 20 m.
* Genset 150 kW, ready in 10 s (NFPA 110 type 10).
"""

from __future__ import annotations

from typing import Any

import pandapower as pp

from pdnopt.plant import (
    create_empty_plant,
    create_genset,
    create_interlock,
    create_overload_curve,
    create_racks,
    create_switch,
    create_ups,
    create_utility,
)

__all__ = ["two_feed"]

N_RACKS = 8
RACK_KW = 10.0


def two_feed() -> Any:
    """Build the case.

    Returns
    -------
    pandapowerNet
        Racks R1, R2 priority 1; R3..R5 priority 2, cap-able to 6 kW; R6..R8 priority 3, cap-able to 4 kW.
    """
    import numpy as np

    net = create_empty_plant("two_feed")
    kv = 0.4
    bus = {
        name: int(pp.create_bus(net, kv, name=name, min_vm_pu=0.9, max_vm_pu=1.1))
        for name in ("grid A", "grid B", "gen", "main A", "main B", "out A", "out B", "PDU A", "PDU B")
    }
    create_utility(net, bus["grid A"], "Utility-A", max_p_mw=0.2)
    create_utility(net, bus["grid B"], "Utility-B", max_p_mw=0.2)
    create_genset(net, bus["gen"], "G", max_p_mw=0.15, min_p_mw=0.0, start_s=10.0)
    qa = create_switch(net, bus["grid A"], bus["main A"], "QA")
    create_switch(net, bus["grid B"], bus["main B"], "QB")
    qg = create_switch(net, bus["gen"], bus["main A"], "QG", closed=False)
    create_switch(net, bus["main A"], bus["main B"], "QT", closed=False)
    create_interlock(net, [qa, qg], "QA-QG", max_closed=1)
    create_overload_curve(net, "ups", [(1.25, 600.0), (1.5, 60.0)])
    for side in "AB":
        create_ups(
            net,
            bus[f"main {side}"],
            bus[f"out {side}"],
            f"UPS-{side}",
            p_rated_mw=0.06,
            s_rated_mva=0.06,
            bypass_bus=bus[f"main {side}"],
            efficiency=0.96,
            overload_curve="ups",
            e_max_mwh=0.010,
        )
    create_switch(net, bus["out A"], bus["out B"], "QX", closed=False)
    for side in "AB":
        line = int(
            pp.create_line_from_parameters(
                net,
                bus[f"out {side}"],
                bus[f"PDU {side}"],
                length_km=0.02,
                r_ohm_per_km=0.268,
                x_ohm_per_km=0.082,
                c_nf_per_km=0.0,
                max_i_ka=0.2,
                name=f"feeder {side}",
            )
        )
        create_switch(net, bus[f"out {side}"], line, f"F{side}", et="l")
    racks = np.tile([bus["PDU A"], bus["PDU B"]], (N_RACKS, 1))
    create_racks(
        net,
        racks,
        [f"R{k + 1}" for k in range(N_RACKS)],
        np.full(N_RACKS, RACK_KW / 1000.0),
        power_factor=1.0,
        priority=np.array([1, 1, 2, 2, 2, 3, 3, 3]),
        min_p_mw=np.array([np.nan, np.nan, 0.006, 0.006, 0.006, 0.004, 0.004, 0.004]),
    )
    return net
