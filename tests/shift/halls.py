"""Large plants of single-corded circuits, each behind a bypass module between two UPSs, with a risk to shift for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cases import ratings as rt
from cases.bulk import Drawing
from cases.two_mains import line_ka
from pdnopt.plant import create_empty_plant, create_racks, create_ups, create_utility

__all__ = ["circuits", "course", "risks"]

RACK_KW = 8.0


def circuits(n: int, n_ups: int = 8, *, seed: int = 0, level: float = 0.8, fail_auto: float = 0.02) -> Any:
    """Build a plant of ``n`` circuits; ``level`` is the load over the rating of all UPSs.

    Each circuit reaches two UPSs, drawn at random, and stands on one of them. ``fail_auto`` of the modules is drawn
    log-uniform from a tenth of it to ten times as much.
    """
    rng = np.random.default_rng(seed)
    kw = RACK_KW * rng.uniform(0.5, 1.5, n)
    mw = kw.sum() / level / n_ups / 1000.0
    d = Drawing()
    mv = d.bus("MV", rt.MV_KV)
    mains, outs, boards = [], [], []
    for k in range(1, n_ups + 1):
        main, out, board = (d.bus(f"{what} {k}", rt.LV_KV) for what in ("main", "UPS out", "board"))
        what = rt.transformer(rt.HEADROOM * mw / 0.9)
        d.switch(
            f"QH-{k}",
            mv,
            d.trafo(f"TX-{k}", mv, main, (rt.MV_KV, rt.LV_KV), what, ""),
            0.63,
            rt.CLOSE_MS,
            et="t",
        )
        frame = rt.breaker_ka(2.0 * line_ka(mw, rt.LV_KV))
        d.switch(
            f"QO-{k}",
            out,
            d.line(f"busway {k}", out, board, 0.02, rt.busway(frame)),
            frame,
            rt.CLOSE_MS,
            et="l",
        )
        mains.append(main)
        outs.append(out)
        boards.append(board)
    buses = []
    for k in range(n):
        bus = d.bus(f"circuit {k + 1}", rt.LV_KV)
        at = rng.permutation(n_ups)[:2]
        d.transfer(f"SBM-{k + 1}", "SBM", bus, [boards[i] for i in at], 0.063, rt.STS_MS)
        buses.append(bus)
    net = create_empty_plant(f"{n} circuits")
    d.write(net)
    create_utility(net, mv, "Utility", s_sc_max_mva=500.0)
    for k, (main, out) in enumerate(zip(mains, outs, strict=True), start=1):
        create_ups(net, main, out, f"UPS-{k}", p_rated_mw=mw, s_rated_mva=mw / 0.9, e_max_mwh=mw / 6.0)
    create_racks(
        net,
        np.array(buses)[:, None],
        [f"R{k + 1:05d}" for k in range(n)],
        kw / 1000.0,
        power_factor=0.97,
        priority=rng.integers(1, 4, n),
        min_p_mw=0.5 * kw / 1000.0,
    )
    net.transfer["fail_auto"] = np.minimum(fail_auto * 10.0 ** rng.uniform(-1.0, 1.0, n), 1.0)
    return net


def risks(n_ups: int, n_steps: int, *, hot: int = 2, seed: int = 0, per_hour: float = 0.2) -> pd.DataFrame:
    """Return a risk frame: every UPS, and as many pairs as make 20 rows; the first ``hot`` UPSs are at risk."""
    rng = np.random.default_rng(seed)
    names = [f"ups:UPS-{k + 1}" for k in range(n_ups)]
    pairs = [f"{names[i]} + {names[j]}" for i in range(n_ups) for j in range(i + 1, n_ups)]
    rows = [*names, *(pairs[k] for k in sorted(rng.permutation(len(pairs))[: max(20 - n_ups, 0)]))]
    p = np.full((len(rows), n_steps), 1e-5)
    p[:hot] = per_hour / 12.0 * np.linspace(0.5, 1.5, n_steps)
    return pd.DataFrame(p, index=rows)


def course(net: Any, n_steps: int, scenarios: int = 1, *, seed: int = 0) -> pd.DataFrame:
    """Return a forecast in kW: each circuit wanders by about 3 %."""
    rng = np.random.default_rng(seed)
    mine = net.load["rack"].to_numpy() != ""
    kw = 1000.0 * net.load.loc[mine, "p_mw"].to_numpy(float)
    factor = 1.0 + 0.03 * rng.standard_normal((len(kw), n_steps, scenarios))
    columns = pd.MultiIndex.from_product([range(n_steps), range(scenarios)])
    frame = kw[:, None] * factor.clip(0.9, 1.1).reshape(len(kw), -1)
    return pd.DataFrame(frame, index=net.load.index[mine], columns=columns)
