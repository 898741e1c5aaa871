"""Parts of a programme: the same structure and the same numbers, of some nodes, feeders and inverters only.

A part knows what its own inverters change, in it and through everything that is in front of it; what others
change is given.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from pdnopt.balancing.data import Point, Structure
from pdnopt.balancing.reach import Reach, without_rounding

__all__ = ["Part", "Picker", "cut", "reach_part", "rows_of", "unpack"]

AXES = {
    "g": "i3", "j": "i3", "turn": "f3", "amps": "f3", "weight": "f3", "neutral": "c", "two": "b", "volt": "v",
    "volts": "v", "loss": "i3", "p": "i3", "q": "i3", "s": "i3", "b": "i",
}  # fmt: skip
"""What the entries of each vector of a `Point` are of, by the first word of its name."""


@dataclass(frozen=True)
class Part:
    """Positions in an `Area` (or in what is made of it): nodes, feeders, inverters, each ascending."""

    nodes: np.ndarray
    feeders: np.ndarray
    inverters: np.ndarray


def rows_of(which: np.ndarray) -> np.ndarray:
    """Return the three rows of each."""
    return np.asarray((3 * np.asarray(which)[:, None] + np.arange(3)).ravel())


def cut(s: Structure, part: Part) -> Structure:
    """Return the structure of a part: inverters elsewhere stay as they are."""
    v, f, i = rows_of(part.nodes), rows_of(part.feeders), rows_of(part.inverters)
    return replace(
        s,
        y=csr_array(s.y[v][:, v]),
        enters=csr_array(s.enters[v][:, i]),
        at_source=csr_array(s.at_source[f][:, i]),
        current=csr_array(s.current[f][:, v]),
        reach=reach_part(s, part, s.reach.voltage[v][:, i], s.reach.current[f][:, i]),
        two=csr_array(s.two[part.nodes][:, v]),
        limit=s.limit[part.feeders],
        scale=s.scale[part.feeders],
        counts=s.counts[part.feeders],
        v_min=s.v_min[v],
        v_max=s.v_max[v],
        loss=s.loss[part.inverters],
        sized_link=True,
    )


def reach_part(s: Structure, part: Part, voltage: csr_array, current: csr_array) -> Reach:
    """Return the reach of a part; its unbalance begins anew where it is entered."""
    before = csr_array(s.reach.before[part.nodes][:, part.nodes])
    whole = csr_array(s.two[part.nodes][:, rows_of(part.nodes)] @ voltage)
    beyond = without_rounding(csr_array(whole - before @ whole))
    return Reach(csr_array(voltage), csr_array(current), before, beyond)


class Picker:
    """Takes the numbers of many parts out of those of the whole, all at once.

    Parameters
    ----------
    structure : Structure
        Of the whole.
    parts : list of Part
    """

    def __init__(self, structure: Structure, parts: list[Part]) -> None:
        sizes = _sizes(structure)
        names = [field.name for field in fields(Point)]
        length = [sizes[AXES[name.split("_")[0]]] for name in names]
        begin = dict(zip(names, np.cumsum([0, *length[:-1]]), strict=True))
        position = np.cumsum(structure.counts) - 1
        self._where, self.shapes = [], []
        for part in parts:
            counted = part.feeders[structure.counts[part.feeders]]
            own = {
                "i3": rows_of(part.inverters), "f3": rows_of(part.feeders), "c": position[counted],
                "b": part.nodes, "v": rows_of(part.nodes), "i": part.inverters,
            }  # fmt: skip
            picked = [begin[name] + own[AXES[name.split("_")[0]]] for name in names]
            self._where.append(np.concatenate(picked))
            self.shapes.append([len(x) for x in picked])

    def pick(self, point: Point, which: Any = None) -> list[np.ndarray]:
        """Return the numbers of each part (of those in ``which``) as one vector."""
        whole = np.concatenate([getattr(point, field.name) for field in fields(Point)])
        return [whole[self._where[k]] for k in (range(len(self._where)) if which is None else which)]


def unpack(numbers: np.ndarray, shape: list[int], kind: type = Point) -> Any:
    """Return a point from a vector of all its numbers in the order of its fields."""
    parts = np.split(numbers, np.cumsum(shape)[:-1])
    return kind(**{field.name: part for field, part in zip(fields(kind), parts, strict=True)})


def _sizes(s: Structure) -> dict[str, int]:
    i, f = len(s.loss), len(s.limit)
    return {
        "i3": 3 * i,
        "f3": 3 * f,
        "c": int(s.counts.sum()),
        "b": s.two.shape[0],
        "v": s.y.shape[0],
        "i": i,
    }
