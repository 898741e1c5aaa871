"""Is this network fit to decide on? All faults at once, nothing corrected."""

from pdnopt.validation.validating import validate

__all__ = ["validate"]
