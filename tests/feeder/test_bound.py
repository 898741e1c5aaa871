"""The bound never exceeds, and the search reaches, the least loss over every configuration, found by brute force."""

from __future__ import annotations

import time

import numpy as np
import pytest

from pdnopt.feeder.bound import prove
from pdnopt.feeder.exchange import Point, exchanged, point_of, swaps
from pdnopt.feeder.network import Feeder
from pdnopt.feeder.relaxation import Relaxation, build_relaxation
from pdnopt.feeder.search import find_least_loss
from tests.feeder.drawn import draw_feeder, least_loss_kw

KINDS = [
    {},
    {"roots": 2},
    {"generation": True},
    {"trafo": True},
    {"roots": 2, "generation": True, "trafo": True},
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "+".join(kind) or "plain")
@pytest.mark.parametrize("seed", range(4))
def test_bound_and_search_against_brute_force(kind: dict[str, bool], seed: int) -> None:
    feeder = draw_feeder(seed, **kind)
    least = least_loss_kw(feeder)
    found = find_least_loss(feeder, [feeder.given])
    assert found is not None
    assert found.best.loss_kw == pytest.approx(least, rel=1e-9)
    bound = prove(feeder, found.best, 0.0, time.perf_counter() + 20.0)
    assert bound <= least * (1.0 + 1e-6)
    assert (
        bound >= (0.5 if "generation" in kind else 0.9) * least
    )  # power that flows back leaves the cones slack


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "+".join(kind) or "plain")
@pytest.mark.parametrize("seed", range(100, 140))
def test_bound_holds_on_many(kind: dict[str, bool], seed: int) -> None:
    feeder = draw_feeder(seed, extra=3 + seed % 2, **kind)
    found = find_least_loss(feeder, [feeder.given])
    assert found is not None
    least = least_loss_kw(feeder)
    assert found.best.loss_kw == pytest.approx(least, rel=1e-9)
    assert prove(feeder, found.best, 0.0, time.perf_counter() + 20.0) <= least * (1.0 + 1e-6)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "+".join(kind) or "plain")
def test_every_flow_lies_in_the_relaxation(kind: dict[str, bool]) -> None:
    """The AC power flow of the best configuration, written into the columns, keeps every row and costs its loss."""
    feeder = draw_feeder(7, **kind)
    found = find_least_loss(feeder, [feeder.given])
    assert found is not None
    best = found.best
    model = build_relaxation(feeder, best)
    x = _columns(model, best, feeder)
    rows = model.matrix @ x
    assert (rows >= model.row_low - 1e-9).all()
    assert (rows <= model.row_high + 1e-9).all()
    assert (x >= model.col_low - 1e-9).all()
    assert (x <= model.col_high + 1e-9).all()
    assert model.cost @ x + model.offset == pytest.approx(1.0, abs=1e-6)
    arc, a, b = model.flow_points(best, feeder)
    assert np.abs(model.tangents(arc, a, b) @ x).max() < 1e-9


def _columns(model: Relaxation, best: Point, feeder: Feeder) -> np.ndarray:
    """Return the relaxation's columns for an AC power flow. Twigs take exactly what they take."""
    tree, flow = best.tree, best.flow
    a_n, n = model.arcs.n, feeder.n
    x = np.zeros(len(model.cost))
    arc, a, b = model.flow_points(best, feeder)
    v = np.zeros(n)
    v[tree.node] = np.abs(flow.v_pu[0] / flow.scale[0]) ** 2
    w = v[model.arcs.source[arc]]
    u = w * model.arcs.c_in[arc]
    x[arc], x[a_n + arc], x[2 * a_n + arc], x[4 * a_n + arc] = 1.0, a * u, b * u, w
    x[3 * a_n + arc] = (a**2 + b**2) * u * model.arcs.weight[arc]
    x[5 * a_n : 5 * a_n + n] = v
    loose = [e for e in np.flatnonzero(feeder.y_half_pu) if model.arcs.free[model.arcs.edge == e].any()]
    h = len(loose)
    for k, e in enumerate(loose):
        shut = bool(tree.closed[e])
        at = 5 * a_n + n
        y, other = (np.where(shut, feeder.y_half_pu[e], feeder.y_open_pu[:, e]) / model.base_pu).tolist()
        t, d = v[feeder.tail[e]] / feeder.ratio[e] ** 2, v[feeder.head[e]]
        x[at + k], x[at + h + k] = y.real * t, other.real * d
        x[at + 2 * h + k], x[at + 3 * h + k] = y.imag * t, other.imag * d
    free = 5 * a_n + n + 4 * h
    if len(x) > free:  # what twigs take beyond the least: what the balances of their nodes still lack
        lacking = np.where(model.row_low == model.row_high, model.row_low - model.matrix @ x, 0.0)
        x[free:] = model.matrix[:, free:].T @ lacking
    return x


def test_a_dark_transformer_that_feeds_nothing_is_below_the_bound() -> None:
    """An unloaded end with a conductance may rest: the bound is that of the feeder without it."""
    feeder = draw_feeder(2)
    s, half = feeder.s_pu.copy(), np.zeros(feeder.m, dtype=complex)
    s[:, feeder.n - 1] = 0.0
    mine = (feeder.tail == feeder.n - 1) | (feeder.head == feeder.n - 1)
    without = type(feeder)(
        **{**feeder.__dict__, "s_pu": s, "y_half_pu": half, "y_open_pu": feeder.y_open_pu * 0}
    )
    half = np.where(mine, 0.2, 0.0).astype(complex)
    feeder = type(feeder)(**{**without.__dict__, "y_half_pu": half})
    found = find_least_loss(feeder, [feeder.given])
    assert found is not None
    assert found.best.loss_kw > 1.5 * least_loss_kw(without)
    assert prove(feeder, found.best, 0.0, time.perf_counter() + 20.0) <= least_loss_kw(without) * (1 + 1e-6)


def test_predicted_exchanges_are_those_of_held_currents() -> None:
    """The prediction is exact in the limit of small loads, where voltages do not move."""
    feeder = draw_feeder(3)
    small = type(feeder)(**{**feeder.__dict__, "s_pu": feeder.s_pu * 1e-5, "y_pu": feeder.y_pu * 0})
    small = type(feeder)(
        **{**small.__dict__, "y_half_pu": feeder.y_half_pu * 0, "y_open_pu": feeder.y_open_pu * 0}
    )
    found = find_least_loss(small, [small.given])
    assert found is not None
    point = found.best
    shut, opened, change = swaps(small, point)
    for e, b, gain in zip(shut, opened, change, strict=True):
        there = point_of(small, exchanged(point, int(e), int(b)))
        assert there is not None
        assert there.loss_kw - point.loss_kw == pytest.approx(gain, rel=1e-3, abs=1e-3 * point.loss_kw)
