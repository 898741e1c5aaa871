"""Back-tests as text for a screen."""

from __future__ import annotations

from collections.abc import Sequence

from pdnopt.forecast.backtest import Backtest
from pdnopt.words import number, plural

__all__ = ["backtest_text"]

WORST = 10


def backtest_text(tests: Sequence[Backtest], worst: int = WORST) -> str:
    """Return a table of some back-tests on the same windows, and the worst circuits of the best one.

    Parameters
    ----------
    tests : sequence of Backtest
        One at least.
    worst : int
        Circuits that are listed.
    """
    first = tests[0]
    lines = [
        f"{plural(len(first.circuits), 'circuit')}, {plural(len(first.windows), 'window')} of "
        f"{first.protocol.horizon} steps, first {first.starts[0]}, last {first.starts[-1]}",
        "",
        f"{'model':<28}{'SQL':>9}{'MASE':>9}{'WQL':>9}{'WAPE':>9}  coverage of the intervals (nominal: found)",
    ]
    ranked = sorted(tests, key=lambda each: each.scores.sql)
    for each in ranked:
        found = each.scores
        inside = "  ".join(f"{100 * p:.0f} %: {100 * v:.1f} %" for p, v in found.coverage.items())
        figures = "".join(f"{number(v, 4):>9}" for v in (found.sql, found.mase, found.wql, found.wape))
        lines.append(f"{each.name:<28}{figures}  {inside}")
    best = ranked[0]
    lines += ["", f"quantile loss in kW of {best.name}, and the part of the values at or below each quantile"]
    below = best.scores.below
    for q, kw in best.scores.pinball_kw.items():
        lines.append(f"  {q:<6g}{number(kw, 4):>12}{100 * below[q]:>9.1f} %")
    table = best.by_circuit().head(worst)
    lines += ["", f"worst circuits of {best.name}"]
    lines.append(f"  {'circuit':<26}{'SQL':>9}{'MASE':>9}{'WQL':>9}{'WAPE':>9}  widest interval covers")
    for name, row in table.iterrows():
        figures = "".join(f"{number(row[key], 4):>9}" for key in ("sql", "mase", "wql", "wape"))
        lines.append(f"  {name!s:<26}{figures}  {100 * row['coverage']:.1f} %")
    for each in ranked:
        lines += [f"{each.name}: {text}" for text in each.warnings]
    return "\n".join(lines)
