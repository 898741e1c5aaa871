"""A controller put together and run: on an emulated plant, on real devices; and a journal played back."""

from pdnopt.runs.real import run_devices
from pdnopt.runs.replaying import Comparison, replay_at
from pdnopt.runs.simulated import Simulation, simulate

__all__ = ["Comparison", "Simulation", "replay_at", "run_devices", "simulate"]
