"""Radial feeders: exact AC losses of every radial configuration, search for the least, and a proven lower bound.

From the bottom: :mod:`network` (arrays), :mod:`reading` (from a network and a state of its switches), :mod:`trees`
(configurations), :mod:`sweep` (AC power flow of many at once), :mod:`exchange` (neighbours), :mod:`search`,
:mod:`relaxation` and :mod:`bound`.
"""
