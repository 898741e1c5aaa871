"""Gradient-boosted quantile trees for all circuits at once.

`panel` holds what is known as arrays, `rows` says which forecasts are asked, `features` describes each by what was known at
its origin, `trees` learns and answers, `forecaster` is the Forecaster.
"""

from pdnopt.forecast.boosting.forecaster import LightGBMForecaster
from pdnopt.forecast.boosting.settings import Settings

__all__ = ["LightGBMForecaster", "Settings"]
