"""The plant as arrays: read once at pandapower's border, in kW, kvar, kVA, pu and seconds.

A :class:`Grid` holds what does not change between two solves: nodes, branches, switches, sources, UPSs,
transfer devices, batteries, interlocks. Demand is in :mod:`pdnopt.plant.demand`, what is switched how in
:mod:`pdnopt.plant.state`. The classes are in `arrays`; every other module reads one of them.
"""

from pdnopt.plant.grid.arrays import (
    Branches,
    Grid,
    Interlocks,
    Nodes,
    Sources,
    Storages,
    Switches,
    Transfers,
    Upss,
)
from pdnopt.plant.grid.reading import read_grid
from pdnopt.plant.grid.sameness import same_structure

__all__ = [
    "Branches",
    "Grid",
    "Interlocks",
    "Nodes",
    "Sources",
    "Storages",
    "Switches",
    "Transfers",
    "Upss",
    "read_grid",
    "same_structure",
]
