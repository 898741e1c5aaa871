"""A forecaster whose quantiles hold: split-conformal calibration on its own past, and on every new row after that.

What it missed in past windows, each forecast without having been seen, says how far its quantiles must be moved; the
equations are in `tracking`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.estimator import Forecaster
from pdnopt.forecast.following import Follower, Said
from pdnopt.forecast.scenarios import Template
from pdnopt.forecast.storage import read_state, write_state
from pdnopt.forecast.tracking import Calibration, Moves

__all__ = ["Calibrated"]

MEMORY = 40
"""Windows that are kept. Chosen on the GPU servers before the scored days, where 20 to 60 do as well."""

KIND, BASE = "calibrated", "base"


class Calibrated(Follower):
    """A forecaster with calibrated quantiles.

    Parameters
    ----------
    make : callable
        Returns the forecaster to be calibrated, not fitted.
    horizon : int
        Steps of a calibration window; a longer `predict` goes on with the last band.
    windows : int
        Calibration windows, taken from the end of the history that `fit` gets.
    step : int, optional
        Steps between their origins; default: `horizon`.
    memory : int
        Windows whose scores are kept; older ones are forgotten.
    refit : bool
        Whether the forecaster is fitted again on the whole history after calibration. If not, calibration and training
        data stay apart, as split-conformal prediction has it; if so, the forecaster knows the latest data, and the levels
        that follow new rows take care of the difference.
    allow_negative : bool
        Whether power may be negative; if not, quantiles end at 0 kW.
    """

    def __init__(
        self,
        make: Callable[[], Forecaster],
        horizon: int = 24,
        windows: int = 60,
        step: int | None = None,
        memory: int = MEMORY,
        refit: bool = True,
        allow_negative: bool = False,
    ) -> None:
        super().__init__([make], horizon, windows, step, refit, allow_negative)
        self.memory = memory
        self.name = f"{KIND}_{self.base.name}"
        self._calibration: Calibration | None = None

    @property
    def base(self) -> Forecaster:
        """The forecaster that is calibrated."""
        return self.members[0]

    @property
    def calibration(self) -> Calibration:
        """Scores and thresholds. Raises InputError before `fit`."""
        if self._calibration is None:
            issue = Issue("NotFitted", self.name, "", None, "a fitted forecaster", "Call fit first.")
            raise InputError(issue)
        return self._calibration

    def template(self) -> Template:
        """Return how circuits and steps missed together in the past, for `scenarios`."""
        return Template(self.calibration.z, self.history.circuits)

    def save(self, folder: Path) -> None:
        """Write the forecaster, and in a folder below it the one that it calibrates."""
        says, numbers = self._state()
        write_state(folder, KIND, says, {**numbers, **self.calibration.numbers()})
        self.base.save(Path(folder) / BASE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the forecaster that `save` wrote. Forecasts that waited for their values are forgotten."""
        from pdnopt.forecast.catalogue import load_forecaster

        says, numbers = read_state(folder, KIND)
        base = load_forecaster(Path(folder) / BASE)
        made = cls(lambda: base, **says["settings"])
        made._restore(says, numbers)
        made._calibration = Calibration.of(numbers, made.memory)
        return made

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "memory": self.memory}

    def _begin(self, circuits: int) -> None:
        self._calibration = Calibration(self.horizon, circuits, self.memory)

    def _note(self) -> Moves:
        return self.calibration.moves()

    def _learn(self, said: Said, actual_kw: np.ndarray) -> None:
        self.calibration.add(said.kw[0], said.scale_kw, said.note, actual_kw)

    def _answer(self, said: Said) -> np.ndarray:
        return said.note.apply(said.kw[0], said.scale_kw)  # type: ignore[no-any-return]
