"""Harmonics: which currents should active filters inject, so that voltages and currents are least distorted?

Sets
----
H orders (h), V bus phases (n), J phases of feeders and sources (j), K phases of inverters (k).

Data
----
Y_h admittance with sources (pu); V0_hn, I0_hj voltages and currents without compensation; |V1|_n fundamental voltage; IL_j
demand current; limits of IEEE 519; room_k = sqrt(Imax^2 - |I1|^2), what the fundamental set-point leaves of the rms rating.
Voltages and currents are in percent of 1 pu.

Variables
---------
c_hk              compensation current, complex, delivered
dv_hn             change of voltages, complex
m_hn, m_hj        sizes of single harmonics
r_n, r_j, r_k     rms over all harmonics
x_n, x_j          how far beyond a limit, in parts of it

Minimise, one after another
---------------------------
excess      sum of x                                                                        (H1)
thd_v       largest r_n / |V1|_n, percent                                                   (H2)
tdd         largest r_j / IL_j, percent                                                     (H3)
filtering   sum of r_k                                                                      (H4)

subject to
----------
Y_h dv_h = E c_h                                                                            (1)
m_hn >= |V0 + dv|,  m_hj >= |I0 + B_h dv|                                                   (2)
r_n >= sqrt(sum_h m_hn^2),  r_j, r_k alike                                                  (3)
r_k <= room_k                                                                               (4)
m_hn <= limit_h |V1| (1 + x_n),  r_n <= limit_THD |V1| (1 + x_n)                            (5)
m_hj <= limit_h IL (1 + x_j),    r_j <= limit_TDD IL (1 + x_j)                              (6)

(2) and (3) are circles of two numbers at a time, in a tree: real and imaginary part (folded into a quarter), then orders
two by two. Each is a polygon outside its circle: every size is at least the true one, and (4) to (6) are never broken.
`sure` says what it costs: sizes are too large by at most 1 / sure(H), 4.0 % at 9 to 16 orders. A worst THD that is found
is above the true optimum by at most (1 / sure(H) - 1) times the worst THD without compensation: the optimum's currents
times sure(H) keep every polygon, and their voltages lie between those of nothing and of the optimum.
(5), (6): `pdnopt.balancing.harmonics.limits`.

Source: Ben-Tal, Nemirovski 2001, Mathematics of Operations Research 26(2), "On polyhedral approximations of the second-order
cone", section 3 (the tree); the lexicographic order is the project's own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import ceil, cos, log2, pi, sin
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from pdnopt.balancing.harmonics.data import FilterPoint, FilterStructure

__all__ = ["HARMONICS", "Harmonics", "HarmonicsModel", "sure"]

LEAF, NODE = 4, 8
"""Sides of the polygon in a quarter of a circle: of real and imaginary part, of two sizes."""


def sure(h: int) -> float:
    """Return which part of a rating the polygons are sure to use with h orders: 0.962 at up to 16."""
    return cos(pi / (4 * LEAF)) * cos(pi / (4 * NODE)) ** ceil(log2(max(h, 1)))


@dataclass(frozen=True)
class HarmonicsModel:
    """The cvxpy problem, its parameters by the names of `FilterPoint`, and its variables by theirs."""

    problem: Any
    parameters: dict[str, Any]
    variables: dict[str, Any]
    terms: tuple[str, ...]


class Harmonics:
    """Compensation currents of inverters with active filters."""

    terms = ("excess", "thd_v", "tdd", "filtering")

    def build(self, structure: FilterStructure) -> HarmonicsModel:
        """Return the programme of one network and set of orders; its numbers are parameters (DPP)."""
        import cvxpy as cp

        sizes = _sizes(structure)
        par = {f.name: cp.Parameter(sizes[f.name], name=f.name) for f in fields(FilterPoint)}
        var = self.variables(structure)
        voltage, rms_v = self.constraint_voltages(structure, par, var)
        current, rms_i = self.constraint_currents(structure, par, var)
        inject, rms_k = self.constraint_room(structure, par, var)
        rows = [
            *self.constraint_flow(structure, var),
            *voltage,
            *current,
            *inject,
            *self.objectives(par, var, rms_v, rms_i, rms_k),
        ]
        problem = cp.Problem(cp.Minimize(sum(var[f"t_{name}"] for name in self.terms)), rows)
        return HarmonicsModel(problem, par, var, self.terms)

    def variables(self, s: FilterStructure) -> dict[str, Any]:
        """Return the variables that are not made inside the tree of (2), (3)."""
        import cvxpy as cp

        hv, hk, v, j = s.y.shape[0], s.enters.shape[1], s.y.shape[0] // s.h, s.current.shape[0] // s.h
        shapes = {"c_re": hk, "c_im": hk, "dv_re": hv, "dv_im": hv, "x_v": v, "x_i": j}
        out: dict[str, Any] = {name: cp.Variable(size, name=name) for name, size in shapes.items()}
        return out | {f"t_{name}": cp.Variable(name=f"t_{name}") for name in self.terms}

    def constraint_flow(self, s: FilterStructure, var: dict[str, Any]) -> list[Any]:
        """(1): every row divided by its diagonal, so that short cables and weak lines count alike."""
        size = csr_array(np.abs(s.y.diagonal())[:, None])
        y, e = csr_array(s.y.multiply(size.power(-1))), csr_array(s.enters.multiply(size.power(-1)))
        c_re, c_im, re, im = (var[name] for name in ("c_re", "c_im", "dv_re", "dv_im"))
        return [y.real @ re - y.imag @ im == e.real @ c_re, y.imag @ re + y.real @ im == e.real @ c_im]

    def constraint_voltages(
        self, s: FilterStructure, par: dict[str, Any], var: dict[str, Any]
    ) -> tuple[list[Any], Any]:
        """(2), (3), (5) of voltages; with them r_n."""
        rows, single, total = _rms(par["v_re"] + var["dv_re"], par["v_im"] + var["dv_im"], s.h, "v")
        return rows + _within(single, total, par["v_single"], par["v_thd"], var["x_v"], s.h), total

    def constraint_currents(
        self, s: FilterStructure, par: dict[str, Any], var: dict[str, Any]
    ) -> tuple[list[Any], Any]:
        """(2), (3), (6) of currents; with them r_j."""
        b, re, im = s.current, var["dv_re"], var["dv_im"]
        along = par["i_re"] + b.real @ re - b.imag @ im
        across = par["i_im"] + b.imag @ re + b.real @ im
        rows, single, total = _rms(along, across, s.h, "i")
        return rows + _within(single, total, par["i_single"], par["i_tdd"], var["x_i"], s.h), total

    def constraint_room(
        self, s: FilterStructure, par: dict[str, Any], var: dict[str, Any]
    ) -> tuple[list[Any], Any]:
        """(3), (4) of inverters; with them r_k."""
        rows, _, total = _rms(var["c_re"], var["c_im"], s.h, "c")
        return [*rows, total <= par["room"]], total

    def objectives(
        self, par: dict[str, Any], var: dict[str, Any], rms_v: Any, rms_i: Any, rms_k: Any
    ) -> list[Any]:
        """(H1) to (H4)."""
        import cvxpy as cp

        return [
            var["t_excess"] == cp.sum(var["x_v"]) + cp.sum(var["x_i"]),
            rms_v <= par["v_one"] * var["t_thd_v"],
            rms_i <= par["i_load"] * var["t_tdd"],
            var["t_filtering"] == cp.sum(rms_k),
        ]


HARMONICS = Harmonics()


def _rms(re: Any, im: Any, h: int, name: str) -> tuple[list[Any], Any, Any]:
    """Return rows, sizes of single harmonics (h times n) and the rms over h (n) of a vector that lies order after order."""
    import cvxpy as cp

    size = re.shape[0]
    n = size // h
    x, y, single = (cp.Variable(size, name=f"{part}_{name}") for part in ("x", "y", "m"))
    rows = [x >= re, x >= -re, y >= im, y >= -im, *_quarter(single, x, y, LEAF)]
    level = [single[k * n : (k + 1) * n] for k in range(h)]
    depth = 0
    while len(level) > 1:
        pairs = len(level) // 2
        above = cp.Variable(pairs * n, name=f"r{depth}_{name}")
        rows += _quarter(
            above, cp.hstack(level[0 : 2 * pairs : 2]), cp.hstack(level[1 : 2 * pairs : 2]), NODE
        )
        level = [above[k * n : (k + 1) * n] for k in range(pairs)] + level[2 * pairs :]
        depth += 1
    return rows, single, level[0]


def _quarter(size: Any, x: Any, y: Any, sides: int) -> list[Any]:
    """Return size >= sqrt(x^2 + y^2) for x, y >= 0, too large by at most 1 / cos(pi / (4 sides))."""
    angles = pi / 2 * np.arange(sides + 1) / sides
    grow = 1.0 / cos(pi / (4 * sides))
    return [size >= float(grow * cos(d)) * x + float(grow * sin(d)) * y for d in angles]


def _within(single: Any, total: Any, each: Any, whole: Any, x: Any, h: int) -> list[Any]:
    """Return single <= each (1 + x) and total <= whole (1 + x) with x >= 0."""
    import cvxpy as cp

    return [
        single <= each + cp.multiply(each, cp.hstack([x] * h)),
        total <= whole + cp.multiply(whole, x),
        x >= 0,
    ]


def _sizes(s: FilterStructure) -> dict[str, int]:
    """Return the length of every vector of a FilterPoint."""
    hv, hj, k = s.y.shape[0], s.current.shape[0], s.enters.shape[1] // s.h
    v, j = hv // s.h, hj // s.h
    return {
        "v_re": hv, "v_im": hv, "i_re": hj, "i_im": hj, "v_one": v, "v_single": hv, "v_thd": v,
        "i_load": j, "i_single": hj, "i_tdd": j, "room": k,
    }  # fmt: skip
