"""Harmonics: what measured spectra do to voltages and currents, and what active filters of inverters do about it."""

from pdnopt.balancing.harmonics.answer import Filtered, as_checked
from pdnopt.balancing.harmonics.filtering import Filtering, Fundamental

__all__ = ["Filtered", "Filtering", "Fundamental", "as_checked"]
