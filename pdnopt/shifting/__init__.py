"""Before a failure: load is moved off what may fail, step by step, where that is the smaller risk."""

from pdnopt.shifting.hazards import rate_to_probability
from pdnopt.shifting.prices import Prices
from pdnopt.shifting.runner import DEFAULT_HORIZON, DEFAULT_STEP_S, ShiftRunner

__all__ = ["DEFAULT_HORIZON", "DEFAULT_STEP_S", "Prices", "ShiftRunner", "rate_to_probability"]
