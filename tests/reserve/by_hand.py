"""The worst margin of a room (`rooms.room`) by plain sums: no response, no power flow, no model of pdnopt."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

SUSTAINED = 1.10
"""cases.ratings.UPS_CURVE: 110 % for an hour."""


@dataclass
class Room:
    """Racks by primary and tap, reserve UPSs, and which reserves a tap reaches, in table order."""

    kw: np.ndarray
    kva_per_kw: float
    primary: np.ndarray
    tap: np.ndarray
    reach: list[list[int]]
    rated_kva: np.ndarray

    @classmethod
    def of(cls, net: Any) -> Room:
        """Read a room from its tables."""
        cords = net.load[net.load["rack"] != ""]
        a, b = cords.iloc[0::2], cords.iloc[1::2]
        reserve = net.ups[net.ups["name"].str.startswith("R")].reset_index(drop=True)
        board = {net.bus.at[i, "name"]: i for i in net.bus.index}
        of_board = {board[f"board {name}"]: k for k, name in enumerate(reserve["name"])}
        reach = []
        for tap in net.transfer.index:
            rows = net.switch[net.switch["transfer"] == tap]
            reach.append([of_board[bus] for bus in rows["bus"]])
        tap_of = {bus: k for k, bus in enumerate(net.transfer["bus"])}
        s_per_p = np.hypot(1.0, a["q_mvar"].iloc[0] / a["p_mw"].iloc[0])
        return cls(
            kw=1000.0 * (a["p_mw"].to_numpy() + b["p_mw"].to_numpy()),
            kva_per_kw=float(s_per_p),
            primary=a["bus"].to_numpy(),
            tap=np.array([tap_of[bus] for bus in b["bus"]]),
            reach=reach,
            rated_kva=1000.0 * reserve["s_rated_mva"].to_numpy(),
        )

    def choices(self) -> list[list[tuple[int, int]]]:
        """Return every pair (active, next) of every tap."""
        return [[(x, y) for x in reach for y in reach if x != y] or [(reach[0], -1)] for reach in self.reach]

    def order(self, tap: int, active: int, following: int) -> list[int]:
        """Return the reserves that a tap tries, in order."""
        rest = [x for x in self.reach[tap] if x not in (active, following)]
        return [active, *([following] if following >= 0 else []), *rest]

    def margin_kw(self, pairs: tuple[tuple[int, int], ...]) -> float:
        """Return the worst margin of the reserve UPSs over nothing failed and every UPS lost, kW of load."""
        orders = [self.order(tap, *pair) for tap, pair in enumerate(pairs)]
        worst = np.inf
        n = len(self.rated_kva)
        losses: list[tuple[int, int]] = [
            (-1, -1),
            *((k, -1) for k in range(n)),
            *((-1, p) for p in set(self.primary.tolist())),
        ]
        for reserve, primary in losses:
            load = np.zeros(n)
            for kw, of_rack, tap in zip(self.kw, self.primary, self.tap, strict=True):
                at = next((x for x in orders[tap] if x != reserve), None)
                if at is not None:
                    load[at] += kw if of_rack == primary else kw / 2.0
            limit = self.rated_kva / self.kva_per_kw * (1.0 if (reserve, primary) == (-1, -1) else SUSTAINED)
            alive = np.arange(n) != reserve
            worst = min(worst, float((limit - load)[alive].min()))
        return worst

    def best(self) -> tuple[float, tuple[tuple[int, int], ...]]:
        """Return the best worst margin over all choices, by trying all."""
        return max(
            ((self.margin_kw(pairs), pairs) for pairs in product(*self.choices())), key=lambda item: item[0]
        )
