"""The protocol of a formulation, and how formulations are found.

A formulation registers in the entry-point group ``pdnopt.formulations`` an object with the attributes of
:class:`Formulation`. It never imports the session, the executor or another formulation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pdnopt.engine.compiled import CompiledModel
from pdnopt.errors import InputError, Issue
from pdnopt.plant.budgets import CurveBook
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State
from pdnopt.response import Response

__all__ = ["Flows", "Formulation", "Relaxation", "Updater", "find_formulation", "formulation_names"]

GROUP = "pdnopt.formulations"


@dataclass(frozen=True)
class Flows:
    """What flows in a state, kW and kvar: of branches and switches from tail to head, of UPSs and sources what they give."""

    branch_kw: np.ndarray
    branch_kvar: np.ndarray
    switch_kw: np.ndarray
    switch_kvar: np.ndarray
    ups_kw: np.ndarray
    ups_kvar: np.ndarray
    source_kw: np.ndarray
    source_kvar: np.ndarray


class Relaxation(Protocol):
    """Bounds what any plan leaves unserved; reads the numbers that were written last."""

    def bound(
        self,
        demand: Demand,
        may_serve: np.ndarray,
        point: np.ndarray,
        unserved_kw: Mapping[int, float],
        deadline_s: float,
    ) -> dict[int, float]:
        """Return a lower bound in kW on the unserved load of every priority, those more critical held as in a plan."""


class Updater(Protocol):
    """Writes the numbers of one solve into the compiled model, and reads a solution back."""

    def write(self, numbers: Any) -> None:
        """Write bounds, right-hand sides, costs and coefficients."""

    def structure(self, numbers: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns of switches and modes, and where they stand."""

    def position(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns of all devices, and where they stand in a state."""

    def point(self, state: State, live: np.ndarray, on: np.ndarray, flows: Flows) -> np.ndarray:
        """Return a state as values of all columns: devices, blocks that live, service and flows; the rest is zero."""

    def outside(self, near: np.ndarray, state: State) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns of devices and units away from some blocks, and the values that hold them as they are."""

    def service(self) -> np.ndarray:
        """Return the integer columns that say who is served."""

    def relaxable(self) -> list[Any]:
        """Return every limit that could be relaxed: column, component, limit, unit, allowed."""

    def elastic_rows(self) -> np.ndarray:
        """Return rows to free when limits are made elastic."""

    def service_columns(self, unit: int) -> tuple[int, int, np.ndarray]:
        """Return a unit's columns: on, cap (-1: cannot be capped), power of its class."""

    def read(self, x: np.ndarray, start: State) -> State:
        """Return the state that a solution asks for."""


class Formulation(Protocol):
    """What the session needs of a problem that decides switches (``kind`` "switching")."""

    @property
    def name(self) -> str:
        """The word that `solve` takes."""

    @property
    def kind(self) -> str:
        """Which pipeline carries it."""

    @property
    def terms(self) -> tuple[str, ...]:
        """Terms of the objective in their default order."""

    def data(self, grid: Grid, demand: Demand, minimize: tuple[str, ...], fine: bool, voltages: bool) -> Any:
        """Return the data that `build` needs, with attributes ``sets`` and ``flow.m_kw``."""

    def fits(self, sets: Any, demand: Demand, psu_dead: np.ndarray) -> bool:
        """Return whether a compiled model's sets hold for these loads and power supplies."""

    def build(self, data: Any) -> Any:
        """Return the Pyomo model."""

    def updater(self, compiled: CompiledModel, data: Any) -> Updater:
        """Return what writes numbers into the compiled model."""

    def relaxation(self, compiled: CompiledModel, data: Any) -> Relaxation:
        """Return what bounds unserved load from below over the compiled model."""

    def limits(self, grid: Grid, curves: CurveBook, horizon_s: float, spent: Mapping[str, float]) -> Any:
        """Return the ratings to start from; ``spent`` of its budget a component uses before the end state begins."""

    def tighten(self, limits: Any, nominal: Any, ratios: Any, over: float, extra: float) -> Any:
        """Return lower limits where AC power flow breaks the nominal ones; None where it breaks none."""

    def numbers(
        self,
        sets: Any,
        demand: Demand,
        response: Response,
        limits: Any,
        horizon_s: float,
        firm: bool = True,
        held: Collection[str] = (),
        battery_use: float = 1.0,
    ) -> Any:
        """Return the numbers of one solve.

        ``firm``: what may not be shed and is fed stays fed. ``held``: devices that stay where they stand.
        ``battery_use``: part of every battery's energy that the end state may count on.
        """


def formulation_names() -> list[str]:
    """Return the registered names."""
    from importlib.metadata import entry_points

    return sorted({entry.name for entry in entry_points(group=GROUP)})


def find_formulation(name: str) -> Any:
    """Return the formulation registered under ``name``.

    Raises
    ------
    InputError
        No formulation of that name is installed.
    """
    from importlib.metadata import entry_points

    for entry in entry_points(group=GROUP):
        if entry.name == name:
            return entry.load()
    known = ", ".join(formulation_names()) or "none; reinstall pdnopt"
    raise InputError(
        Issue("InvalidName", "problem", name, name, f"one of {known}", "Correct the problem's name.")
    )
