"""Connected parts of small graphs are found without scipy: they must be the same, numbers included."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pdnopt.plant.graph import SMALL, connected_parts


def _by_scipy(n: int, tail: np.ndarray, head: np.ndarray) -> np.ndarray:
    graph = coo_array((np.ones(len(tail)), (tail, head)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1])


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_have_the_parts_that_scipy_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 300))
    edges = rng.integers(0, n, (2, int(rng.integers(0, 2 * n))))
    np.testing.assert_array_equal(connected_parts(n, *edges), _by_scipy(n, *edges))


@pytest.mark.parametrize("n", [SMALL, SMALL + 1])
def test_a_shuffled_chain_is_one_part_on_both_sides_of_the_change_of_method(n: int) -> None:
    order = np.random.default_rng(n).permutation(n)
    assert not connected_parts(n, order[:-1], order[1:]).any()


def test_parts_are_numbered_by_their_first_nodes() -> None:
    part = connected_parts(6, np.array([5, 3]), np.array([1, 2]))
    assert part.tolist() == [0, 1, 2, 2, 3, 1]


def test_no_nodes() -> None:
    assert connected_parts(0, np.zeros(0, dtype=int), np.zeros(0, dtype=int)).shape == (0,)
