"""Which components of a network may fail: `pdnopt.candidates`."""

from pdnopt.candidates import contingencies

__all__ = ["contingencies"]
