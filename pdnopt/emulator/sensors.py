"""Sensors on transfer devices whose contacts wear: what risk reads. The wear is synthetic, and every row says so.

The same equations as `pdnopt.risk.synthetic`, with the current that really flows here: contact resistance grows from an
onset, the enclosure heats with I^2 R, micro-openings make the voltage of 1 s readings flicker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pdnopt.emulator.plant import EmulatedPlant

__all__ = ["SENSORS", "Sensors"]

SENSORS = {"current": "A", "ambient_temperature": "degC", "temperature": "degC", "voltage_fluctuation": "V"}
BODY_PART = 4.0 / 3.0
"""Resistance of the current path beside the contact, over that of a new contact (40 to 30 micro-ohm)."""
RISE_K = 4.5
"""Heating of the enclosure at rated current with new contacts."""
GRID_V, GRID_LOG_SD = 0.25, 0.27
DIP_V = 0.12
NOISE_K = 0.2
AMBIENT_C = 24.0
STEP_S = 900.0
DAY_S = 86400.0


@dataclass(frozen=True)
class _Wear:
    onset_s: float
    growth_s: float

    def resistance(self, t_s: np.ndarray | float) -> Any:
        """Contact resistance over that of a new one."""
        return np.exp(np.minimum(np.maximum(np.asarray(t_s) - self.onset_s, 0.0) / self.growth_s, 5.0))


class Sensors:
    """The sensors of all transfer devices of a plant; without wear they show a healthy one."""

    def __init__(self, plant: EmulatedPlant, seed: int) -> None:
        self.plant = plant
        self._seed = seed
        self._wear: dict[str, _Wear] = {}

    def degrade(self, transfer: str, onset_s: float, growth_s: float) -> None:
        """Let the contacts of a device wear since ``onset_s`` (seconds of the plant's clock, also before it began).

        Parameters
        ----------
        growth_s : float
            In which the resistance grows by a factor of e.
        """
        self._wear[transfer] = _Wear(onset_s, growth_s)
        self.plant.ledger.say(self.plant.t_s, transfer, "degrades", f"contacts wear since {onset_s:g} s")

    def now(self, transfers: tuple[str, ...]) -> pd.DataFrame:
        """Return what the sensors of the devices show now, as `pdnopt.risk.readings.read_sensors` takes it."""
        return self._frame(transfers, np.array([self.plant.t_s]))

    def history(self, transfers: tuple[str, ...], days: float = 21.0, step_s: float = STEP_S) -> pd.DataFrame:
        """Return what they have shown in the days before now: load with the shape of a day around what flows now."""
        steps = int(days * DAY_S / step_s)
        return self._frame(transfers, self.plant.t_s - step_s * np.arange(steps, 0, -1))

    def _frame(self, transfers: tuple[str, ...], t_s: np.ndarray) -> pd.DataFrame:
        parts = [self._series(name, t_s) for name in transfers]
        frame = pd.concat(parts, ignore_index=True)
        frame.attrs["synthetic"] = True
        return frame

    def _series(self, name: str, t_s: np.ndarray) -> pd.DataFrame:
        w = self.plant.world
        k = w.view.at["transfer"][name]
        # noise by device and time, so that a reading is the same however it is asked for
        rng = np.random.default_rng([self._seed, k, int(t_s[0] + 1e9), len(t_s)])
        row = w.view.transfer_position(k, w.s.closed)
        now_a = (
            1e3 * float(np.nan_to_num(self.plant.snapshot().flow.switch_i_ka[0, row])) if row >= 0 else 0.0
        )
        rated_a = 1e3 * float(w.view.sw_in_ka[w.view.tr_positions[k]].min())
        rated_a = rated_a if np.isfinite(rated_a) else max(2.0 * now_a, 100.0)
        past = t_s < self.plant.t_s - 1e-6
        clock_s = self.plant.start_utc_s + t_s
        day = np.sin(2.0 * np.pi * (clock_s % DAY_S) / DAY_S - 0.5 * np.pi)
        current = np.where(past, now_a * (0.9 + 0.1 * day + 0.02 * rng.standard_normal(len(t_s))), now_a)
        worn = self._wear.get(name)
        r = worn.resistance(t_s) if worn is not None else np.ones(len(t_s))
        ambient = AMBIENT_C + 1.5 * day + 0.2 * rng.standard_normal(len(t_s))
        heating = RISE_K * (current / rated_a) ** 2 * (BODY_PART + r) / (BODY_PART + 1.0)
        temperature = ambient + heating + NOISE_K * rng.standard_normal(len(t_s))
        grid_v = GRID_V * np.exp(GRID_LOG_SD * rng.standard_normal(len(t_s)))
        fluctuation = np.sqrt(grid_v**2 + (r - 1.0) * DIP_V**2)
        values = (current, ambient, temperature, fluctuation)
        time = pd.to_datetime(np.round(clock_s * 1e3).astype("datetime64[ms]"), utc=True)
        return pd.concat(
            [
                pd.DataFrame(
                    {
                        "time": time,
                        "component": name,
                        "sensor": sensor,
                        "value": value,
                        "unit": unit,
                        "synthetic": True,
                    }
                )
                for (sensor, unit), value in zip(SENSORS.items(), values, strict=True)
            ],
            ignore_index=True,
        )
