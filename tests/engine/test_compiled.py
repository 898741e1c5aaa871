"""The compiled arrays are the Pyomo model, and updates land where they should."""

import numpy as np
import pyomo.environ as pyo
import pytest

from pdnopt.engine.compiled import compile_model, slot


def small_model() -> pyo.ConcreteModel:
    m = pyo.ConcreteModel()
    m.x = pyo.Var([0, 1], bounds=(0, 10))
    m.w = pyo.Var([("a", 2)], bounds=(0, 10))
    m.z = pyo.Var(domain=pyo.Binary)
    m.first = pyo.Objective(expr=3 * m.x[0] + 5)
    m.second = pyo.Objective(expr=m.z - m.x[1])
    m.range = pyo.Constraint(expr=(1, m.x[0] + 2 * m.x[1], 8))
    m.equal = pyo.Constraint([7], rule=lambda _, k: m.w["a", 2] - m.z == 0)
    m.at_most = pyo.Constraint(expr=m.x[1] <= slot(0.0) * m.z)
    return m


def test_a_range_becomes_one_row_and_names_are_readable() -> None:
    c = compile_model(small_model())
    row = int(c.rows("range", [None])[0])
    assert (c.row_low[row], c.row_high[row]) == (1.0, 8.0)
    assert sorted(c.row_names) == ["at_most", "equal(7)", "range"]
    assert "w(a,2)" in c.col_names
    assert not any("[" in name for name in c.row_names + c.col_names)


def test_terms_keep_their_order_cost_and_constant() -> None:
    c = compile_model(small_model())
    assert list(c.cost) == ["first", "second"]
    assert c.offset == {"first": 5.0, "second": 0.0}
    x = c.columns("x", [0, 1])
    assert c.cost["first"][x].tolist() == [3.0, 0.0]


def test_an_update_writes_the_coefficient_it_names() -> None:
    c = compile_model(small_model())
    z = c.columns("z", [None])
    at = c.entries(c.rows("at_most", [None]), z)
    c.matrix.data[at] = -4.0
    dense = c.matrix.toarray()
    assert dense[c.rows("at_most", [None])[0], z[0]] == -4.0


def test_a_place_that_does_not_exist_is_an_error() -> None:
    c = compile_model(small_model())
    with pytest.raises(KeyError, match="slot"):
        c.entries(c.rows("range", [None]), c.columns("z", [None]))


def test_maximising_is_refused() -> None:
    m = pyo.ConcreteModel()
    m.x = pyo.Var(bounds=(0, 1))
    m.o = pyo.Objective(expr=m.x, sense=pyo.maximize)
    m.c = pyo.Constraint(expr=m.x <= 1)
    with pytest.raises(ValueError, match="minimised"):
        compile_model(m)


def test_bounds_skip_missing_columns() -> None:
    c = compile_model(small_model())
    before = c.col_high.copy()
    c.set_bounds(np.array([-1]), 0.0, 0.0)
    assert (c.col_high == before).all()
