"""What makes each kind of component more likely to fail, how much, and where that is known from.

Coefficients of a physical law carry their source and a wide spread; those of transfer switches were learnt from synthetic
runs (`pdnopt.risk.wear`), because no public failure series exists, and mark everything that they touch as synthetic.
"""

from __future__ import annotations

from math import log

import numpy as np

from pdnopt.risk.hazard import Covariate, HazardModel
from pdnopt.risk.mixture import WearModel
from pdnopt.risk.rates import Rate, rate_of

__all__ = ["ATS_FUTURE", "ATS_SIGNS", "learnt_ats", "model_of"]

_ARRHENIUS = "life halves per 10 K: Montsinger's rule for insulation, usual for electrolytic capacitors too"
_BATTERY_HEAT = "life of lead-acid batteries halves per 8 K above 25 degC: IEEE Std 1188, commonly quoted"
_BEARING = "ball-bearing life falls with the cube of the load: ISO 281; the dynamic load taken in proportion to vibration"
_PECK = "humidity to the power 2.7: D. S. Peck, 24th Int. Reliability Physics Symp., 1986; at 50 %RH"
_HARMONIC = (
    "pdnopt's own judgement, no source: rectifier and filter faults show in harmonics before they trip"
)
_FLICKER = (
    "pdnopt's own judgement, no source: a voltage that moves more than it did points to a loose contact"
)
_LEARNT = "learnt from synthetic runs"

DOUBLING = log(2.0)

TEMPERATURE = Covariate("temperature", "level", 10.0, "linear", DOUBLING, 0.35, _ARRHENIUS)
HUMIDITY = Covariate("humidity", "level", 50.0, "log1p", 2.7, 0.7, _PECK)
VIBRATION = Covariate("vibration", "level", 1.0, "linear", 1.5, 0.75, _BEARING)
ACCELERATION = Covariate("acceleration", "level", 1.0, "linear", 1.5, 0.75, _BEARING)
FLICKER = Covariate("voltage_fluctuation", "level", 1.0, "linear", 1.0, 0.7, _FLICKER)
HARMONICS = Covariate("thd", "level", 1.0, "linear", 0.7, 0.7, _HARMONIC)

GENERAL = (TEMPERATURE, HUMIDITY, FLICKER, HARMONICS, VIBRATION, ACCELERATION)
"""For every kind that has nothing better. Vibration at twice its reference is x = ln 2: half of the cube, for half the load
of a bearing is weight and belt."""

BATTERY_HEAT = Covariate("temperature", "level", 8.0, "linear", DOUBLING, 0.35, _BATTERY_HEAT)

ATS_SIGNS = (
    Covariate("temperature", "level", 1.0, "linear", 0.0, 5.0, _LEARNT),
    Covariate("voltage_fluctuation", "level", 0.1, "linear", 0.0, 5.0, _LEARNT),
)
"""What tells that wear has begun, before any run: per K, and per tenth of the logarithm of the ratio."""

ATS_FUTURE = (
    Covariate("temperature", "level", 1.0, "log1p", 0.0, 2.0, _LEARNT, growth_sd=1.0),
    Covariate("voltage_fluctuation", "level", 0.2, "log1p", 0.0, 4.0, _LEARNT, growth_sd=1.0),
)
"""What tells how soon a worn switch fails, before any run."""


_ATS = (
    (-3.6908, 1.5248, 0.68604),
    (
        (0.0032007, -0.0016611, -0.00080344),
        (-0.0016611, 0.0027966, -4.5823e-05),
        (-0.00080344, -4.5823e-05, 0.00062482),
    ),
    0.13576,
    31.77,
    (-0.93055, 1.4142, 1.0316, -0.1124, 0.69409),
    (
        (0.034062, -0.0043588, -0.017894, 0.0012216, -0.0036226),
        (-0.0043588, 0.043843, -0.052545, -0.022857, 0.028576),
        (-0.017894, -0.052545, 0.085651, 0.027378, -0.036675),
        (0.0012216, -0.022857, 0.027378, 0.015291, -0.018377),
        (-0.0036226, 0.028576, -0.036675, -0.018377, 0.024987),
    ),
    (71, 369.93),
)
"""`pdnopt.risk.wear.learn_ats` in numbers: signs, share, wear_days, F, sudden. A test learns them anew."""


def learnt_ats() -> WearModel:
    """Return the wear of transfer switches as it was learnt from a synthetic fleet, for the rates of that fleet."""
    signs, signs_covariance, share, wear_days, future, future_covariance, sudden = _ATS
    ahead = HazardModel(
        "transfer", ATS_FUTURE, np.array(future), np.array(future_covariance), _LEARNT, synthetic=True
    )
    return WearModel(
        kind="transfer",
        signs=ATS_SIGNS,
        mean=np.array(signs),
        covariance=np.array(signs_covariance),
        share=share,
        wear_days=wear_days,
        future=ahead,
        sudden=Rate(*sudden, _LEARNT),
        source=_LEARNT,
        synthetic=True,
    )


def model_of(component: str, rate: Rate | None = None) -> HazardModel | WearModel:
    """Return the model of a component by its table.

    Parameters
    ----------
    component : str
        ``"table:name"``.
    rate : Rate, optional
        Base rate; default the prior of the kind.
    """
    kind = component.partition(":")[0]
    rate = rate_of(component) if rate is None else rate
    if kind == "transfer":
        return learnt_ats().for_plant(rate)
    if kind == "storage":
        return HazardModel.prior(kind, rate, (BATTERY_HEAT, *GENERAL[1:]))
    return HazardModel.prior(kind, rate, GENERAL)
