"""``hall``: a data hall in 2N, 3N/2, 4N/3 or block-redundant (catcher) topology, and the rooms built with it.

::

    Utility 1 -QF- cable -QI- MV 1 -QH- TX -QM- main -QU- busway - UPS -QO- OUT -F- cable - PDU -+- racks
                              QT-MV     genset -QG-+--- QB (manual) --------+- QX - TIE         +- STS - racks

* MV boards 1 and 2 are joined by QT-MV (open; main-tie-main: at most two of QI-1, QI-2, QT-MV are closed).
* A *lineup* (A, B, C, D) is everything from QH to its PDUs. The first half of the lineups hangs on MV 1,
  the rest on MV 2. Neighbours (A-B, C-D) have a tie QT between their main boards (open; main-tie-main again).
  Each main board has its genset, interlocked with QM. The static bypass of the UPS starts at its main board;
  the maintenance bypass QB is worked by hand only.
* OUT boards can be joined through QX and the bus TIE, all open, at most two closed: one UPS may carry
  another's board, if it can.
* A dual-corded rack has its cords on two lineups, and all pairs of lineups carry the same power: with n
  lineups each UPS passes an (n-1)-th of its load to each other one when it fails. So a load up to (n-1)/n of
  installed UPS kW rides through by cord sharing alone: 75 % in 4N/3, 66.7 % in 3N/2, 50 % in 2N.
* About 6.5 % of the racks have a single cord behind an STS, for each ordered pair of lineups (preferred,
  alternate) as many. They are of priority 2 and 3.
* "N+1 catcher": lineup R is the reserve. Every PDU of the others has an STS at its head: OUT of its lineup,
  else OUT R. A rack's cords are on two PDUs of its lineup.

A hall larger than one block (UPSs of at most 2.4 MW) is several blocks, each with its MV boards, on the same
two utility feeds. Ratings and sources: cases/ratings.py. What is hard about the rooms: cases/README.md.
"""

from __future__ import annotations

from itertools import combinations
from math import ceil
from typing import Any, Literal

from cases import ratings as rt
from cases.bulk import Drawing
from cases.hall_racks import Feeds, add_racks, load_level_kw, with_load
from cases.lineups import LETTERS, Train
from cases.two_mains import line_ka
from pdnopt.plant import create_empty_plant, create_overload_curve, create_utility

__all__ = [
    "LEVELS",
    "Topology",
    "hall",
    "hall_2n",
    "hall_3n2",
    "hall_4n3",
    "hall_catcher",
    "load_level_kw",
    "with_load",
]

Topology = Literal["2N", "3N/2", "4N/3", "N+1 catcher"]

UPS_MAX_MW = 2.4
"""Largest UPS system of one lineup: its transformer is then the largest standard one, 3.15 MVA."""
FEEDER_LENGTH_KM = 0.5


NAMES = {"2N": "hall_2n", "3N/2": "hall_3n2", "4N/3": "hall_4n3", "N+1 catcher": "hall_catcher"}
LEVELS: dict[str, float] = {"2N": 1 / 2, "3N/2": 2 / 3, "4N/3": 3 / 4, "N+1 catcher": 0.7}
"""Design load over installed UPS kW: (n-1)/n, what every single UPS failure leaves. In a catcher room that
would load the UPSs fully before any failure, so it is designed for less."""


class _Hall:
    """Draws a hall: blocks of lineups, each with its MV boards on both feeds."""

    def __init__(self, topology: str, mw: float) -> None:
        letters = LETTERS[topology]
        self.n_blocks = max(1, ceil(mw / (len(letters) * UPS_MAX_MW) - 1e-9))
        self.drawing = Drawing()
        self.train = Train(self.drawing, topology, mw / (self.n_blocks * len(letters)))
        self.grids = [self.drawing.bus(f"grid {k}", rt.MV_KV) for k in (1, 2)]
        for prefix in [""] if self.n_blocks == 1 else [f"{b + 1:02d}" for b in range(self.n_blocks)]:
            self.train.block(prefix, self._mv(prefix))

    def _mv(self, prefix: str) -> list[int]:
        """Two feeders, two boards, one tie. Each feeder carries the whole block."""
        d = self.drawing
        block_ka = line_ka(rt.HEADROOM * self.train.block_mva, rt.MV_KV)
        cable, frame = rt.mv_cable(block_ka), max(0.63, rt.breaker_ka(block_ka))
        boards, mains = [], []
        for k, grid in enumerate(self.grids, start=1):
            board = d.bus(f"MV {prefix}{'-' * bool(prefix)}{k}", rt.MV_KV)
            feeder = d.line(f"feeder {prefix}{'-' * bool(prefix)}{k}", grid, board, FEEDER_LENGTH_KM, cable)
            self._breaker(f"QF{prefix}-{k}", grid, feeder, frame, et="l")
            mains.append(self._breaker(f"QI{prefix}-{k}", board, feeder, frame, et="l"))
            boards.append(board)
        tie = self._breaker(f"QT{prefix}-MV", boards[0], boards[1], frame, closed=False)
        d.interlock(f"main-tie-main MV{prefix}", [*mains, tie], 2)
        return boards

    def _breaker(self, name: str, bus: int, element: int, in_ka: float, **keywords: Any) -> int:
        return self.drawing.switch(name, bus, element, in_ka, rt.CLOSE_MS, **keywords)

    def write(self, name: str) -> Any:
        """Return the network without racks."""
        net = create_empty_plant(name)
        self.drawing.write(net)
        create_overload_curve(net, "ups", rt.UPS_CURVE)
        create_overload_curve(net, "cast-resin", rt.CAST_RESIN_CURVE, recovery_s=14400.0)
        total_mw = rt.HEADROOM * self.n_blocks * len(self.train.letters) * self.train.ups_mw
        for k, bus in enumerate(self.grids, start=1):
            create_utility(
                net,
                bus,
                f"Utility-{k}",
                vm_pu=rt.UTILITY_PU,
                max_p_mw=total_mw,
                sync_group="grid",
                s_sc_max_mva=500.0,
            )
        self.train.write(net)
        return net


def hall(topology: Topology, mw: float, racks: int, seed: int = 0, level: float | None = None) -> Any:
    """Build a hall.

    Parameters
    ----------
    topology : {"2N", "3N/2", "4N/3", "N+1 catcher"}
    mw : float
        Installed UPS power.
    racks : int
        Racks; nearly all have two cords, so rack circuits are about twice as many.
    seed : int
        Of the rack powers and of who sits where. The same seed gives the same network.
    level : float, optional
        Load over installed UPS power; default the design level, `LEVELS`.

    Returns
    -------
    pandapowerNet

    Raises
    ------
    ValueError
        Unknown topology, or sizes that are not positive.
    """
    if topology not in LETTERS:
        raise ValueError(f"topology is one of {', '.join(LETTERS)}, not {topology!r}")
    nominal = LEVELS[topology]
    level = nominal if level is None else level
    if not (mw > 0 and racks >= 1 and level > 0):
        raise ValueError(f"mw, racks and level must be positive, not {mw}, {racks}, {level}")
    plan = _Hall(topology, mw)
    pairs, ordered = _pairs(plan)
    feeds = Feeds([[one.pdus for one in block] for block in plan.train.blocks], pairs, ordered)
    names = [[one.name for one in block] for block in plan.train.blocks]
    stss = feeds.draw_sts(plan.drawing, racks, mw * 1000.0 / racks, names)
    net = plan.write(NAMES[topology])
    add_racks(net, feeds, stss, racks, nominal * mw * 1000.0, seed)
    return net if level == nominal else with_load(net, level)


def _pairs(plan: _Hall) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the pairs of lineups for dual-corded racks, and the ordered pairs for racks behind an STS."""
    n = len(plan.train.letters)
    if plan.train.topology == "N+1 catcher":
        return [(k, k) for k in range(n - 1)], []
    pairs = list(combinations(range(n), 2))
    return pairs, pairs + [(b, a) for a, b in pairs]


def hall_4n3() -> Any:
    """Build the 9.6 MW room: 4 x 2.4 MW UPS, 500 racks (968 circuits), 7.2 MW of load (75 %).

    Above 77.9 % the loss of a UPS or of its output side (UPS-X, UPS out X, QO-X, OUT X) leaves the other
    three more than 105 %, which is what they carry for good: 3 x 2.4 MVA x 1.05 x 0.99 = 7484 kW for all
    racks. So 196 kW must go at 80 %, 1,156 kW at 90 % (within 10 min) and 1,636 kW at 95 % (within 1 min),
    and about 20 kW more for cable losses. Cap floors of priority 3 give 1,377 kW at 90 % and 1,519 kW at 95
    %: there racks must be shed. A main board that dies (main X) leaves its UPS 8 min of battery at 75 %,
    6.3 min at 95 %; then the same.
    """
    return hall("4N/3", 9.6, 500)


def hall_2n() -> Any:
    """Build a 4.8 MW 2N room: 2 x 2.4 MW UPS, 168 racks, 2.4 MW of load (50 %)."""
    return hall("2N", 4.8, 168)


def hall_3n2() -> Any:
    """Build a 7.2 MW 3N/2 room: 3 x 2.4 MW UPS, 336 racks, 4.8 MW of load (66.7 %)."""
    return hall("3N/2", 7.2, 336)


def hall_catcher() -> Any:
    """Build a 9.6 MW catcher room: 3 x 2.4 MW UPS and one that catches, 500 racks, 6.72 MW of load (70 %)."""
    return hall("N+1 catcher", 9.6, 500)
