"""What is expected: loads from how they have moved, failures from what sensors say (`pdnopt.risk`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.control.beliefs import Beliefs
from pdnopt.control.picture import Picture, Pictures
from pdnopt.units import KW_PER_MW

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Foresight", "SensorForesight"]

STEPS, STEP_S = 12, 300.0
"""An hour ahead in steps of five minutes: what a shift looks at by default."""
KEPT_S = 2 * 3600.0
SAMPLE_S = 60.0
HIGH_Z = 1.2816
"""Of the normal distribution, 90 %."""
WORTH_ADVICE = ("none", "")


class Foresight:
    """What is expected of loads and failures; by itself it expects nothing."""

    def risk(self, picture: Picture, seen: Beliefs, t_s: float) -> Mapping[str, Any] | None:
        """Return failure probabilities as index, columns and values (`Ask.risk`); None: nothing out of the ordinary."""
        return None

    def loads(self, picture: Picture, t_s: float) -> Mapping[str, Any] | None:
        """Return load vectors (`Ask.loads`); None: as they are now."""
        return None

    def advice(self) -> Sequence[tuple[str, str, str]]:
        """Return component, reason and recommended repair of what a person should look at."""
        return ()


class SensorForesight(Foresight):
    """Risk from sensors, loads from their own recent movement.

    Parameters
    ----------
    pictures : Pictures
    sense : callable
        Returns what the sensors show now, a long table as `pdnopt.risk.read_sensors` takes it.
    history : DataFrame
        What they have shown before.
    every_s : float
        The table grows by what they show, so often.
    """

    def __init__(
        self,
        pictures: Pictures,
        sense: Callable[[], pd.DataFrame],
        history: pd.DataFrame,
        every_s: float = 300.0,
    ) -> None:
        self._pictures, self._sense, self._table, self._every_s = pictures, sense, history, every_s
        self._sensed_s = float("-inf")
        self._advice: tuple[tuple[str, str, str], ...] = ()
        self._totals: deque[tuple[float, float]] = deque()

    def risk(self, picture: Picture, seen: Beliefs, t_s: float) -> Mapping[str, Any] | None:
        import pandas as pd

        from pdnopt.risk import assess

        if t_s - self._sensed_s >= self._every_s:
            self._sensed_s = t_s
            self._table = pd.concat([self._table, self._sense()], ignore_index=True)
        found = assess(self._table, self._pictures.base, horizon=STEPS, step_s=STEP_S)
        worn = [item for item in found.components if item.advice.action not in WORTH_ADVICE]
        self._advice = tuple(
            (
                item.component,
                "; ".join(item.reasons) + (" (synthetic readings)" if item.synthetic else ""),
                f"{item.advice.action}; {item.advice.urgency}",
            )
            for item in worn
        )
        names = [item.component for item in worn if item.component not in picture.failed]
        if not names:
            return None
        frame = found.frame.loc[names]
        return {
            "index": names,
            "columns": list(range(STEPS)),
            "values": [[float(v) for v in row] for row in frame.to_numpy()],
        }

    def loads(self, picture: Picture, t_s: float) -> Mapping[str, Any] | None:
        """Expect what is drawn now, and as the high case what 90 % of the changes over as long a time have stayed below.

        Without half an hour of own measurements there is no high case.
        """
        self._note(picture, t_s)
        rows, now_kw = self._cords(picture)
        growth = self._growth()
        columns: list[list[Any]] = []
        values = []
        for step in range(STEPS):
            columns.append([step, "usual"])
            values.append(now_kw)
            if growth is not None:
                columns.append([step, "high"])
                values.append(now_kw * (1.0 + growth[step]))
        return {
            "index": rows,
            "columns": columns,
            "values": [[float(v) for v in row] for row in np.column_stack(values)],
        }

    def advice(self) -> Sequence[tuple[str, str, str]]:
        return self._advice

    def _note(self, picture: Picture, t_s: float) -> None:
        if not self._totals or t_s - self._totals[-1][0] >= SAMPLE_S:
            self._totals.append((t_s, picture.total_kw))
        while self._totals and t_s - self._totals[0][0] > KEPT_S:
            self._totals.popleft()

    def _growth(self) -> list[float] | None:
        """Return by how much the whole load may have grown after each step, as a part of what it is."""
        if len(self._totals) < 1800.0 / SAMPLE_S:
            return None
        t_s, kw = (np.array(column) for column in zip(*self._totals, strict=True))
        per_s = np.diff(np.log(np.maximum(kw, 1e-9))) / np.maximum(np.diff(t_s), 1e-9)
        spread = float(np.std(per_s)) * np.sqrt(SAMPLE_S)
        return [HIGH_Z * spread * float(np.sqrt((step + 1) * STEP_S)) for step in range(STEPS)]

    def _cords(self, picture: Picture) -> tuple[list[int], np.ndarray]:
        frame = self._pictures.base.load
        d = self._pictures.demand
        mine = d.cord_table == "load"
        rows = [int(row) for row in d.cord_row[mine]]
        at = frame.index.get_indexer(rows)
        power = np.asarray(picture.numbers["load"]["p_mw"], dtype=float)[at]
        return rows, power * frame["scaling"].to_numpy(float)[at] * KW_PER_MW
