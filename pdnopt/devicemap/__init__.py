"""Files that say which device is reached how: the controller's map, and that of each gateway."""

from pdnopt.devicemap.controller import AreaEntry, Connection, DeviceEntry, DeviceMap, Way, read_device_map
from pdnopt.devicemap.gateway import GatewayEntry, GatewayMap, read_gateway_map
from pdnopt.devicemap.limits import Limits, outside

__all__ = [
    "AreaEntry",
    "Connection",
    "DeviceEntry",
    "DeviceMap",
    "GatewayEntry",
    "GatewayMap",
    "Limits",
    "Way",
    "outside",
    "read_device_map",
    "read_gateway_map",
]
