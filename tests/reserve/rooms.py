"""Synthetic rooms with reserve systems: every rack stands on a primary UPS and, by a tap, on one of several reserve UPSs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cases import ratings as rt
from cases.bulk import Drawing
from cases.two_mains import line_ka
from pdnopt.plant import create_empty_plant, create_overload_curve, create_racks, create_ups, create_utility

__all__ = ["load_vectors", "room"]

RACK_KW = 8.0


def room(
    racks: int,
    reserves: int,
    primaries: int,
    positions: int,
    *,
    seed: int = 0,
    reserve_part: float = 0.75,
    spread: float = 0.5,
    racks_per_tap: int = 1,
) -> Any:
    """Build a room.

    Parameters
    ----------
    racks, reserves, primaries : int
    positions : int
        Reserve boards that each tap reaches, drawn at random.
    reserve_part : float
        Rated kW of all reserve UPSs over the load of all racks.
    spread : float
        Powers are drawn from RACK_KW * (1 - spread) to RACK_KW * (1 + spread).
    racks_per_tap : int

    Returns
    -------
    pandapowerNet
        Half of every rack's power on each cord; taps stand on one of their positions, and prefer it.
    """
    rng = np.random.default_rng(seed)
    kw = RACK_KW * rng.uniform(1.0 - spread, 1.0 + spread, racks)
    d = Drawing()
    supply = _Supply(d)
    primary_mw = 1.3 * kw.sum() / primaries / 1000.0
    reserve_mw = reserve_part * kw.sum() / reserves / 1000.0
    boards = [supply.board(f"P{k + 1}", k % 2, primary_mw) for k in range(primaries)]
    catch = [supply.board(f"R{k + 1}", k % 2, reserve_mw) for k in range(reserves)]
    n_taps = -(-racks // racks_per_tap)
    outputs = []
    for tap in range(n_taps):
        bus = d.bus(f"tap out {tap + 1}", rt.LV_KV)
        at = np.sort(rng.permutation(reserves)[:positions])
        d.transfer(f"IBT-{tap + 1}", "IBT", bus, [catch[k] for k in at], 0.1, rt.STS_MS)
        outputs.append(bus)
    net = create_empty_plant("room")
    supply.write(net)
    _stand(net, rng.integers(positions, size=n_taps))
    create_racks(
        net,
        np.column_stack(
            [
                [boards[int(k)] for k in rng.integers(primaries, size=racks)],
                np.repeat(outputs, racks_per_tap)[:racks],
            ]
        ),
        [f"R{k + 1:05d}" for k in range(racks)],
        kw / 1000.0,
        power_factor=0.97,
        priority=rng.integers(1, 4, racks),
        min_p_mw=0.5 * kw / 1000.0,
        breaker_a=63.0,
        holdup_ms=12.0,
    )
    return net


class _Supply:
    """Two utility feeds; every UPS behind a transformer of its own, with an output board behind a breaker."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing
        self.mv = [drawing.bus(f"MV {k}", rt.MV_KV) for k in (1, 2)]
        self.ups: list[tuple[str, float, int, int, int]] = []

    def board(self, name: str, feed: int, mw: float) -> int:
        """Draw a UPS and what is above it; return its output board."""
        d = self.drawing
        buses = [d.bus(f"{what} {name}", rt.LV_KV) for what in ("main", "in", "out", "board")]
        main, ups_in, out, board = buses
        mva = rt.HEADROOM * mw / rt.UPS_EFFICIENCY[-1][1] / rt.UPS_INPUT_PF
        trafo = d.trafo(
            f"TX-{name}", self.mv[feed], main, (rt.MV_KV, rt.LV_KV), rt.transformer(mva), "cast-resin"
        )
        d.switch(f"QH-{name}", self.mv[feed], trafo, 0.63, rt.CLOSE_MS, et="t")
        d.switch(f"QU-{name}", main, ups_in, rt.breaker_ka(line_ka(mva, rt.LV_KV)), rt.CLOSE_MS)
        frame = rt.breaker_ka(1.5 * line_ka(mw, rt.LV_KV))
        busway = d.line(f"busway {name}", out, board, 0.02, rt.busway(frame))
        d.switch(f"QO-{name}", out, busway, frame, rt.CLOSE_MS, et="l")
        self.ups.append((name, mw, main, ups_in, out))
        return board

    def write(self, net: Any) -> None:
        """Write all of it into an empty plant."""
        self.drawing.write(net)
        create_overload_curve(net, "ups", rt.UPS_CURVE)
        create_overload_curve(net, "cast-resin", rt.CAST_RESIN_CURVE, recovery_s=14400.0)
        for k, bus in enumerate(self.mv, start=1):
            create_utility(net, bus, f"Utility-{k}", vm_pu=1.02, sync_group="grid", s_sc_max_mva=500.0)
        for name, mw, main, ups_in, out in self.ups:
            create_ups(
                net,
                ups_in,
                out,
                name,
                p_rated_mw=mw,
                s_rated_mva=mw / rt.UPS_OUTPUT_PF,
                bypass_bus=main,
                efficiency=[list(point) for point in rt.UPS_EFFICIENCY],
                input_pf=rt.UPS_INPUT_PF,
                overload_curve="ups",
                e_max_mwh=mw * rt.AUTONOMY_MIN / 60.0,
                p_charge_max_mw=0.0,
                walk_in_s=rt.UPS_WALK_IN_S,
                n_modules=4,
            )


def _stand(net: Any, at: np.ndarray) -> None:
    """Let every tap stand on one of its positions, and prefer it."""
    rows = net.switch.index[net.switch["transfer"].isin(net.transfer.index)].to_numpy()
    tap = net.switch.loc[rows, "transfer"].to_numpy(dtype=int)
    order = np.argsort(tap, kind="stable")
    rows, tap = rows[order], tap[order]
    first = np.searchsorted(tap, net.transfer.index.to_numpy())
    stands = rows[first + at]
    net.switch.loc[rows, "closed"] = np.isin(rows, stands)
    net.transfer["preferred"] = stands.astype(float)


def load_vectors(net: Any, n: int, seed: int = 0, spread: float = 0.2, level: float = 1.0) -> pd.DataFrame:
    """Return n load vectors in kW, each rack drawn around its own power, both cords alike; columns (step, scenario)."""
    rng = np.random.default_rng(seed)
    mine = net.load["rack"].to_numpy() != ""
    rows = net.load.loc[mine]
    unit, names = pd.factorize(rows["rack"])
    factor = level * rng.uniform(1.0 - spread, 1.0 + spread, (n, len(names)))
    kw = (rows["p_mw"].to_numpy(float) * 1000.0)[:, None] * factor[:, unit].T
    return pd.DataFrame(kw, index=rows.index, columns=pd.MultiIndex.from_product([[0], range(n)]))
