"""The plant (PLANT.md): a pandapower network with pdnopt's tables, and its array view."""

from pdnopt.plant.create import (
    create_empty_plant,
    create_genset,
    create_interlock,
    create_micro_inverter,
    create_overload_curve,
    create_rack,
    create_racks,
    create_single_phase_racks,
    create_storage,
    create_switch,
    create_transfer,
    create_ups,
    create_utility,
)

__all__ = [
    "create_empty_plant",
    "create_genset",
    "create_interlock",
    "create_micro_inverter",
    "create_overload_curve",
    "create_rack",
    "create_racks",
    "create_single_phase_racks",
    "create_storage",
    "create_switch",
    "create_transfer",
    "create_ups",
    "create_utility",
]
