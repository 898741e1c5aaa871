"""Back-tests as pictures; needs the extra ``plot``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.estimator import check_quantiles

if TYPE_CHECKING:
    import pandas as pd

    from pdnopt.forecast.backtest import Backtest

__all__ = ["draw_fan", "plot_backtest"]

COLOURS = ("#0b5394", "#b45f06", "#38761d", "#741b47", "#666666", "#134f5c")


def plot_backtest(tests: Sequence[Backtest], path: Path) -> Path:
    """Draw SQL by window, coverage, quantile loss, and the last forecasts of the worst circuit; return the file.

    Parameters
    ----------
    tests : sequence of Backtest
        On the same windows.
    path : Path
        PNG, SVG or PDF, by its ending.

    Raises
    ------
    InputError
        [MissingExtra] without matplotlib.
    """
    figure_class = _figure()
    ranked = sorted(tests, key=lambda each: each.scores.sql)
    figure = figure_class(figsize=(11, 7.5), layout="constrained")
    (by_window, cover), (loss, fan) = figure.subplots(2, 2)
    for k, each in enumerate(ranked):
        colour = COLOURS[k % len(COLOURS)]
        sql = each.by_window()["sql"]
        by_window.plot(sql.index, sql.to_numpy(), color=colour, marker=".", lw=1.2, label=each.name)
        found = each.scores
        nominal = 100 * np.array(list(found.coverage))
        cover.plot(nominal, 100 * np.array(list(found.coverage.values())), color=colour, marker="o", ms=4)
        loss.plot(list(found.pinball_kw), list(found.pinball_kw.values()), color=colour, marker=".")
    by_window.set(title="Scaled quantile loss (SQL) by window", ylabel="SQL")
    by_window.set_ylim(0, 1.3 * by_window.get_ylim()[1])
    by_window.legend(frameon=False, loc="upper left", ncols=2, fontsize="small")
    by_window.tick_params(axis="x", rotation=25)
    cover.plot([0, 100], [0, 100], color="#999999", lw=0.8, ls="--")
    cover.set(
        title="Coverage of intervals", xlabel="nominal, %", ylabel="found, %", xlim=(0, 100), ylim=(0, 100)
    )
    loss.set(title="Quantile loss", xlabel="quantile", ylabel="kW", ylim=(0, None))
    _last_windows(fan, ranked[0])
    for axes in (by_window, cover, loss, fan):
        axes.spines[["top", "right"]].set_visible(False)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return path


def draw_fan(
    axes: Any, index: pd.DatetimeIndex, kw: np.ndarray, quantiles: Sequence[float], colour: str = COLOURS[0]
) -> None:
    """Draw quantiles (H, Q) as bands around their median."""
    half = len(quantiles) // 2
    for k in range(half):
        axes.fill_between(index, kw[:, k], kw[:, -1 - k], color=colour, alpha=0.5 / max(half, 1), lw=0)
    middle = int(np.argmin(np.abs(np.asarray(quantiles) - 0.5)))
    axes.plot(index, kw[:, middle], color=colour, lw=1.2)


def _last_windows(axes: Any, best: Backtest) -> None:
    """Draw the last windows of the best model's worst circuit."""
    import pandas as pd

    name = best.by_circuit().index[0]
    c = best.circuits.index(name)
    q = check_quantiles(best.protocol.quantiles)
    steps = best.protocol.horizon
    shown = max(1, min(len(best.starts), 240 // steps))
    for w in range(len(best.starts) - shown, len(best.starts)):
        index = pd.date_range(best.starts[w], periods=steps, freq=pd.Timedelta(seconds=best.step_s))
        draw_fan(axes, index, best.forecast_kw[w, :, c], [float(each) for each in q])
        axes.plot(index, best.actual_kw[w, :, c], color="black", lw=1.0)
    axes.set_title(f"{best.name}: deciles; {name} black", fontsize="medium")
    axes.set_ylabel("kW")
    axes.tick_params(axis="x", rotation=25)


def _figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        todo = "Install it: pip install 'pdnopt[plot]'."
        raise InputError(
            Issue("MissingExtra", "plot", "", "matplotlib", "the extra 'plot' of pdnopt", todo)
        ) from None
    return Figure
