"""Harmonics: what measured spectra do to voltages and currents, and what active filters of inverters do about it."""

from pdnopt.balancing.harmonics.filtering import Filtered, Filtering

__all__ = ["Filtered", "Filtering"]
