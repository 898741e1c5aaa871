"""Every contingency of a network: what a planner reads before a failure.

``sweep(net)`` solves every single failure (``k=2``: every pair) and returns one row each, in this process, in a pool of
worker processes or on a Dask cluster; the rows can be kept in a folder of Parquet files and the sweep resumed there.
"""

from pdnopt.sweeps.components import contingencies
from pdnopt.sweeps.rows import COLUMNS
from pdnopt.sweeps.sweeping import sweep

__all__ = ["COLUMNS", "contingencies", "sweep"]
