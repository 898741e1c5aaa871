"""Build a plant row by row or in bulk, in pandapower's ``create_*`` habit.

Every function takes the network first, changes it in place and returns the index it made. A UPS and
a grid-forming battery also get their native companions (PLANT.md), so that plain ``pp.runpp`` is right.
"""

from pdnopt.plant.create.interlocks import create_interlock
from pdnopt.plant.create.micro_inverters import create_micro_inverter
from pdnopt.plant.create.overload_curves import create_overload_curve
from pdnopt.plant.create.plant import create_empty_plant
from pdnopt.plant.create.racks import create_rack, create_racks
from pdnopt.plant.create.single_phase import create_single_phase_racks
from pdnopt.plant.create.sources import create_genset, create_utility
from pdnopt.plant.create.storages import create_storage
from pdnopt.plant.create.switches import create_switch
from pdnopt.plant.create.transfers import create_transfer
from pdnopt.plant.create.ups import create_ups, ups_input_mw

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
    "ups_input_mw",
]
