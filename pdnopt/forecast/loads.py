"""From a forecast to what an optimiser takes: ``loads=`` of `solve`.

A circuit is a load of the network (its name, or "load:name", "load:index"), a rack ("rack:name": its cords share the
forecast as they share its load now), or whatever a mapping says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.plant.names import find_component, rack_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load_vectors"]


def load_vectors(
    net: Any,
    forecast: pd.DataFrame,
    circuits: Mapping[str, str] | None = None,
    *,
    horizon_s: float | None = None,
    allow_negative: bool = False,
) -> pd.DataFrame:
    """Return a forecast as the load vectors that ``solve(net, ..., loads=...)`` takes.

    Parameters
    ----------
    net : pandapowerNet
    forecast : DataFrame
        What `predict` (quantiles) or `sample_scenarios` answered: index time stamps, columns (circuit, quantile or
        scenario), kW.
    circuits : mapping of str to str, optional
        Circuit -> component of the network, where the circuit's own name is none.
    horizon_s : float, optional
        How long the forecast must reach, from its first time stamp on.
    allow_negative : bool
        Whether a load may be negative.

    Returns
    -------
    DataFrame
        Index rows of ``net.load``, columns a MultiIndex (step, quantile or scenario), kW. Step 0 is the first time stamp.

    Raises
    ------
    InputError
        Circuits that are no load of the network [InvalidName, InvalidId, AmbiguousName], loads named by two circuits
        [NotUnique], a forecast shorter than `horizon_s` [HorizonError], one with NaN [NonFinite] or negative power
        [NegativeLoad]; all at once.
    """
    import pandas as pd

    names = list(dict.fromkeys(forecast.columns.get_level_values(0)))
    labels = list(dict.fromkeys(forecast.columns.get_level_values(1)))
    kw = forecast.to_numpy(float).reshape(len(forecast), len(names), len(labels))
    issues = [*_too_short(forecast.index, horizon_s), *_bad_values(forecast, allow_negative)]
    rows: dict[int, str] = {}
    parts: list[tuple[list[int], np.ndarray]] = []
    strange = sorted(set(circuits or {}) - set(names))
    issues += [
        Issue(
            "InvalidId", "circuits", name, (circuits or {})[name], "a circuit of the forecast", "Correct it."
        )
        for name in strange
    ]
    for name in names:
        try:
            mine, share = _rows(net, (circuits or {}).get(name, name), name)
        except InputError as error:
            issues += error.issues
            continue
        for row in mine:
            if row in rows:
                todo = "Map each load to one circuit."
                issues.append(
                    Issue(
                        "NotUnique", "circuits", name, f"load:{row}", f"not that of {rows[row]!r} too", todo
                    )
                )
            rows[row] = name
        parts.append((mine, share))
    if issues:
        raise InputError(issues)
    index = [row for mine, _ in parts for row in mine]
    blocks = [kw[:, k, None, :] * share[None, :, None] for k, (_, share) in enumerate(parts)]
    table = np.concatenate(blocks, axis=1)  # (H, rows, labels)
    columns = pd.MultiIndex.from_product(
        [range(len(forecast)), labels], names=["step", forecast.columns.names[1]]
    )
    values = table.transpose(1, 0, 2).reshape(len(index), -1)
    return pd.DataFrame(
        values, index=pd.Index(index, dtype=net.load.index.dtype), columns=columns
    ).sort_index()


def _rows(net: Any, component: str, circuit: str) -> tuple[list[int], np.ndarray]:
    """Return the rows of ``net.load`` of a component and the share of each."""
    text = (
        component
        if component.partition(":")[0] in ("load", "rack") and ":" in component
        else f"load:{component}"
    )
    table, key = find_component(net, text, f"circuits[{circuit!r}]")
    if table == "load":
        return [int(key)], np.ones(1)
    found = rack_rows(net, str(key))
    if found["asymmetric_load"]:
        todo = "Map its single-phase circuits one by one, by p_asymmetric_kw of solve."
        raise InputError(
            Issue(
                "InvalidId", f"circuits[{circuit!r}]", text, "net.asymmetric_load", "rows of net.load", todo
            )
        )
    rows = found["load"]
    scaling = net.load.loc[rows, "scaling"].to_numpy(float) if "scaling" in net.load else np.ones(len(rows))
    now = net.load.loc[rows, "p_mw"].to_numpy(float) * scaling
    total = now.sum()
    return rows, now / total if total > 0 else np.full(len(rows), 1.0 / len(rows))


def _too_short(index: pd.Index, horizon_s: float | None) -> list[Issue]:
    """Return HorizonError where the forecast ends before the horizon does."""
    if horizon_s is None:
        return []
    step_s = (index[1] - index[0]).total_seconds() if len(index) > 1 else 0.0
    covers_s = step_s * len(index)
    if covers_s >= horizon_s - 1e-9:
        return []
    todo = "Forecast more steps, or ask for a shorter horizon."
    return [Issue("HorizonError", "forecast.index", "", covers_s, f"steps that cover {horizon_s:g} s", todo)]


def _bad_values(forecast: pd.DataFrame, allow_negative: bool) -> list[Issue]:
    """Return an Issue for each circuit with values that no load has."""
    kw = forecast.to_numpy(float)
    checks = [(~np.isfinite(kw), "NonFinite", "a finite number of kW", "Use a forecaster with a fallback.")]
    if not allow_negative:
        todo = "Forecast without allow_negative, or say that loads may feed back."
        checks.append((kw < 0, "NegativeLoad", "0 kW or more", todo))
    issues: list[Issue] = []
    for bad, kind, allowed, todo in checks:
        seen: set[str] = set()
        for i, j in np.argwhere(bad):
            name = str(forecast.columns[j][0])
            if name not in seen:
                seen.add(name)
                issues.append(
                    Issue(kind, f"forecast[{forecast.index[i]}]", name, float(kw[i, j]), allowed, todo)
                )
    return issues
