"""The process that makes one forecast of a node's own circuits, and ends. It alone needs pandas and the model's libraries.

In: one line of JSON, `pdnopt.node.forecasting.Order`. Out: one line, an announcement, or ``{"error": "..."}``.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

__all__ = ["forecast", "main"]

DIGITS = 4
"""Of kW: 0.1 W."""
LEAST_ROWS = 2


def forecast(order: dict[str, Any]) -> dict[str, Any]:
    """Return the announcement that was ordered, as plain JSON.

    Raises
    ------
    PdnoptError
        No deployed model, an altered one, circuits that it does not know, too little measured.
    """
    import numpy as np
    import pandas as pd

    from pdnopt.errors import InputError, Issue
    from pdnopt.forecast.estimator import quantile_array
    from pdnopt.forecast.fallback import WithFallback
    from pdnopt.forecast.registry import DEPLOYED, Registry, open_forecaster

    root, step_s = Path(order["model"]), order["step_s"]
    model = open_forecaster(root)
    version = (Registry(root).current() or "") if (root / DEPLOYED).exists() else ""
    measured = _measured(order)
    if len(measured) < LEAST_ROWS:
        todo = "Wait until it has measured longer."
        raise InputError(
            Issue("TooShort", "measurements", "", len(measured), f"at least {LEAST_ROWS} steps", todo)
        )
    seen = getattr(model, "history", None)
    if seen is not None:
        if seen.step_s != step_s:
            todo = "Set forecast.step_s to the model's."
            raise InputError(Issue("StepError", "forecast.step_s", "", step_s, f"{seen.step_s:g} s", todo))
        measured = measured.tz_convert(seen.index.tz)
    forecaster = WithFallback(lambda: model, None, order["allow_negative"])
    forecaster.take(model, measured)
    told = list(forecaster.warnings)
    answer = forecaster.predict(order["horizon"], order["quantiles"])
    told += [text for text in answer.attrs["warnings"] if text not in told]
    kw, circuits, quantiles = quantile_array(answer)
    kw = kw.round(DIGITS)
    finite = np.isfinite(kw).all(axis=(0, 2))  # of a circuit that was never measured nothing is known
    if not finite.any():
        todo = "Look at the meters."
        raise InputError(
            Issue("NotAvailable", "measurements", "", len(measured), "a circuit with values", todo)
        )
    return {
        "made_s": order["now_s"],
        "begin_s": pd.Timestamp(answer.index[0]).timestamp(),
        "step_s": float(step_s),
        "model": version,
        "quantiles": quantiles.tolist(),
        "kw": {name: kw[:, k].tolist() for k, name in enumerate(circuits) if finite[k]},
        "warnings": [text[:500] for text in told[:5]],
    }


def _measured(order: dict[str, Any]) -> Any:
    """Return the means up to now as a frame, a row for every step; gaps are NaN."""
    import pandas as pd

    step_s = order["step_s"]
    last_s = order["now_s"] // step_s * step_s - step_s  # the last step that is over
    file = sqlite3.connect(f"{Path(order['database']).as_uri()}?mode=ro", uri=True, timeout=5.0)
    try:
        question = "SELECT begin_s, circuit, kw FROM means WHERE begin_s <= ? ORDER BY begin_s"
        rows = file.execute(question, (last_s,)).fetchall()
    finally:
        file.close()
    long = pd.DataFrame(rows, columns=["begin_s", "circuit", "kw"])
    wide = long.pivot(index="begin_s", columns="circuit", values="kw")
    wide = wide[wide.index % step_s == 0]  # what another step_s has left
    if not len(wide):
        return wide
    index = range(int(wide.index[0]), int(last_s) + 1, int(step_s))
    wide = wide.reindex(index=index, columns=order["circuits"]).astype(float)
    wide.index = pd.to_datetime(wide.index, unit="s", utc=True)
    return wide.rename_axis(None, axis=1)


def main() -> None:
    """Read the order, write the answer; never a traceback."""
    if hasattr(os, "nice"):
        os.nice(10)  # whatever else the node does goes first
    try:
        answer = forecast(json.loads(sys.stdin.readline()))
        text = json.dumps(answer, allow_nan=False)
    except Exception as error:  # it ends here; the node must get a reason
        text = json.dumps({"error": f"{type(error).__name__}: {error}"[:2000]})
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
