"""A feeder as arrays: nodes that loads hang on, edges that one or more switches open or close as a whole.

Everything is per unit on 1 MVA and the nominal voltages of the nodes, so 1 pu of power is 1,000 kW.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pdnopt.errors import PdnoptError

__all__ = ["Feeder", "NotRadialError"]


class NotRadialError(PdnoptError):
    """The network is not one that radial configurations describe; the message says why."""


@dataclass(frozen=True)
class Feeder:
    """N nodes and E edges that some radial configuration may use.

    Attributes
    ----------
    root : int, shape (R,)
        Nodes that voltage sources hold; ``root_v_pu`` at these magnitudes.
    root_p_max_pu : float, shape (R,)
        Most active power that each source gives, pu; inf: no limit.
    s_pu : complex, shape (3, N)
        Power drawn at 1 pu voltage: constant power, constant current, constant impedance.
    y_pu : complex, shape (N,)
        Shunts at nodes; what they draw is no loss.
    v_min_pu, v_max_pu : float, shape (N,)
        Limits; 0 and inf where there is none.
    tail, head : int, shape (E,)
    z_pu : complex, shape (E,)
        Series impedance, on the head's side of the ideal ratio at the tail (``ratio``: v_tail / v_head at no load).
    y_half_pu : complex, shape (E,)
        Half of the pi's shunt admittance, at either end of the impedance; its active power is a loss.
    y_open_pu : complex, shape (2, E)
        What an open edge draws at its tail and its head: a charged line hangs on an end that has no switch.
    i_max_pu : float, shape (E,)
        Largest current, pu of the head's nominal voltage; inf: no limit.
    closable, openable : bool, shape (E,)
        May be closed; may be open. What is not openable is in every configuration.
    switches : tuple of int arrays, length E
        Positions in the Grid's switches: an edge is closed if all of them are.
    given : bool, shape (E,)
        Closed in the state that was read.
    node_of_bus : int, shape (buses,)
        Node of each row of ``net.bus``; -1 where no source can reach it.
    hanging : bool
        A charged branch that can never be closed may hang on one end; it is not among the edges.
    """

    root: np.ndarray
    root_v_pu: np.ndarray
    root_p_max_pu: np.ndarray
    s_pu: np.ndarray
    y_pu: np.ndarray
    v_min_pu: np.ndarray
    v_max_pu: np.ndarray
    tail: np.ndarray
    head: np.ndarray
    z_pu: np.ndarray
    ratio: np.ndarray
    y_half_pu: np.ndarray
    y_open_pu: np.ndarray
    i_max_pu: np.ndarray
    closable: np.ndarray
    openable: np.ndarray
    switches: tuple[np.ndarray, ...]
    given: np.ndarray
    node_of_bus: np.ndarray
    hanging: bool = False

    @property
    def n(self) -> int:
        """Number of nodes."""
        return len(self.y_pu)

    @property
    def m(self) -> int:
        """Number of edges."""
        return len(self.tail)

    @cached_property
    def neighbours(self) -> list[list[tuple[int, int]]]:
        """Return (edge, node at its other end) of each node, every edge that may be closed."""
        out: list[list[tuple[int, int]]] = [[] for _ in range(self.n)]
        for e in np.flatnonzero(self.closable):
            a, b = int(self.tail[e]), int(self.head[e])
            out[a].append((int(e), b))
            out[b].append((int(e), a))
        return out

    @cached_property
    def limited(self) -> bool:
        """Whether any voltage, current or source has a limit."""
        return bool(
            (self.v_min_pu > 0).any()
            or np.isfinite(self.v_max_pu).any()
            or np.isfinite(self.i_max_pu).any()
            or np.isfinite(self.root_p_max_pu).any()
        )
