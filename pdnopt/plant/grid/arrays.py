"""What a :class:`Grid` is: frozen classes of arrays, one class a kind of component.

*Node*: a bus, or the far side of a bus-line or bus-transformer switch (an auxiliary node), so that every
switch is an edge of its own. *Branch*: an edge without a switch. *Block*: nodes joined by branches; switches
are the only edges between blocks, so a block is the protective zone of a fault inside it.

Impedances are pu on 1 MVA at the nominal bus voltages: v_drop = r * p_kw / 1000 + x * q_kvar / 1000.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pdnopt.plant.memory import Memory

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
]

KEPT_ANSWERS = 1024
"""Answers about states: an ordering of moves asks about some hundred, most of them again and again."""

FloatArray = np.ndarray
IntArray = np.ndarray
BoolArray = np.ndarray


@dataclass(frozen=True)
class Nodes:
    """N nodes: the buses in table order, then the auxiliary nodes of line and transformer switches."""

    bus: IntArray  # pandapower index of the bus; -1 for an auxiliary node
    name: list[str]
    vn_kv: FloatArray
    v_min_pu: FloatArray
    v_max_pu: FloatArray
    in_service: BoolArray
    block: IntArray


@dataclass(frozen=True)
class Branches:
    """L branches without switches: lines, transformers, impedances (a trafo3w is three of them)."""

    table: np.ndarray
    index: IntArray
    name: list[str]
    tail: IntArray
    head: IntArray
    r_pu: FloatArray
    x_pu: FloatArray
    ratio: FloatArray  # v_tail / v_head at no load, pu
    s_max_kva: FloatArray  # inf = no limit
    p_fixed_kw: FloatArray  # no-load loss
    in_service: BoolArray
    curve: np.ndarray
    budget_used: FloatArray


@dataclass(frozen=True)
class Switches:
    """S switches, rows of net.switch in table order."""

    index: IntArray
    name: list[str]
    tail: IntArray
    head: IntArray
    closed: BoolArray
    operable: BoolArray  # may be moved by a plan as a switch of its own
    s_max_kva: FloatArray
    t_operate_s: FloatArray
    transfer: IntArray  # position in Transfers or -1
    ups: IntArray  # position in Upss or -1
    curve: np.ndarray
    budget_used: FloatArray


@dataclass(frozen=True)
class Sources:
    """G sources: utility feeds and gensets (the companions of UPSs and batteries are not here)."""

    index: IntArray  # in net.ext_grid
    name: list[str]
    node: IntArray
    kind: np.ndarray
    p_max_kw: FloatArray
    p_min_kw: FloatArray
    start_s: FloatArray
    step_kw: FloatArray
    fuel_kwh: FloatArray
    sync_group: np.ndarray
    parallel: BoolArray
    running: BoolArray  # a standing-by genset is False; it must be started first
    vm_pu: FloatArray
    in_service: BoolArray


@dataclass(frozen=True)
class Upss:
    """U double-conversion UPSs."""

    index: IntArray
    name: list[str]
    in_node: IntArray
    out_node: IntArray
    bypass: IntArray  # position in Switches of the static bypass or -1
    source: IntArray  # row of the companion in net.ext_grid
    load: IntArray  # row of the companion in net.load
    p_rated_kw: FloatArray
    s_rated_kva: FloatArray
    efficiency: np.ndarray
    loss_fixed_kw: FloatArray  # secant of the loss over 20..100 % load: loss = fixed + slope * p_out
    loss_slope: FloatArray
    input_tan_phi: FloatArray
    e_kwh: FloatArray  # usable battery energy now
    p_charge_kw: FloatArray
    n_modules: IntArray
    mode: np.ndarray
    curve: np.ndarray
    budget_used: FloatArray
    temperature_c: FloatArray
    vm_pu: FloatArray
    in_service: BoolArray


@dataclass(frozen=True)
class Transfers:
    """Transfer devices: ATS, STS, micro-ATS, SBM, IBT."""

    index: IntArray
    name: list[str]
    kind: np.ndarray
    node: IntArray
    transfer_s: FloatArray
    closed_transition: BoolArray
    auto: BoolArray
    preferred: IntArray  # position in Switches or -1
    retransfer_s: FloatArray
    min_dwell_s: FloatArray
    dwell_left_s: FloatArray
    stuck: BoolArray
    in_service: BoolArray
    positions: tuple[IntArray, ...]  # positions in Switches


@dataclass(frozen=True)
class Interlocks:
    """At most ``max_closed[i]`` of the switches ``switches[i]`` (positions in Switches) are closed."""

    name: list[str]
    switches: tuple[IntArray, ...]
    max_closed: IntArray


@dataclass(frozen=True)
class Storages:
    """Batteries in the rows."""

    index: IntArray
    name: list[str]
    node: IntArray
    p_charge_max_kw: FloatArray
    p_discharge_max_kw: FloatArray
    e_usable_kwh: FloatArray  # above soc_min, delivered at the AC side
    e_room_kwh: FloatArray  # below 100 %
    p_now_kw: FloatArray  # charging positive, as pandapower has it
    grid_forming: BoolArray
    source: IntArray  # row of the companion in net.ext_grid or -1
    cycle_cost_per_kwh: FloatArray
    in_service: BoolArray


@dataclass(frozen=True)
class Grid:
    """A plant as arrays. ``injection_*`` are fixed injections by node (static generators), generation positive."""

    nodes: Nodes
    branches: Branches
    switches: Switches
    sources: Sources
    upss: Upss
    transfers: Transfers
    interlocks: Interlocks
    storages: Storages
    injection_p_kw: FloatArray
    injection_q_kvar: FloatArray
    node_of_bus: dict[int, int]

    @cached_property
    def memory(self) -> Memory:
        """What was found out about states of this plant; a Grid made of this one begins with nothing."""
        return Memory(KEPT_ANSWERS)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return int(self.nodes.block.max()) + 1 if len(self.nodes.block) else 0
