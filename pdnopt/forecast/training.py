"""From measurements to a deployed model: collect, train, judge against what is deployed, promote or keep, roll back.

The last windows of the history are held out. The candidate is trained on what lies before them. Then it and the
deployed model, brought to the same moment by `update` without training, forecast the same windows one after another;
whoever has the lower scaled quantile loss (SQL, `metrics`) serves. So retraining never replaces a better model. Where
nothing is deployed yet, or what is deployed does not know these circuits, the opponent is the seasonal naive: a model
that is no better than a rule without training is not deployed either.

What is kept is what was judged: the candidate as it was fitted, ending before the held-out windows. Whoever serves it
brings it up to date by `update`.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.backtest import Backtest, Windows, run_backtest
from pdnopt.forecast.boosting import settings as boosting
from pdnopt.forecast.catalogue import forecaster_class, maker
from pdnopt.forecast.estimator import Forecaster
from pdnopt.forecast.history import History, read_history
from pdnopt.forecast.lstm import settings as lstm
from pdnopt.forecast.naive import SeasonalNaive
from pdnopt.forecast.registry import Registry
from pdnopt.forecast.standing import Standing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Recipe", "Verdict", "data_hash", "promote_by_hand", "retrain"]

DEFAULT_WINDOWS = 14
NAIVE = "seasonal_naive"
READERS: dict[str, Callable[[Any], Any]] = {"lstm": lstm.read_settings, "lightgbm": boosting.read_settings}


@dataclass(frozen=True)
class Recipe:
    """What to train.

    Attributes
    ----------
    model : str
        A name that `catalogue.maker` takes.
    settings : mapping
        For ``"lstm"`` and ``"lightgbm"``: fields of their ``Settings``; the others have none to set.
    allow_negative : bool
        Whether power may be negative.
    """

    model: str = "lstm"
    settings: Mapping[str, Any] = field(default_factory=dict)
    allow_negative: bool = False

    def make(self, horizon: int) -> Forecaster:
        """Return a forecaster that is not fitted.

        Raises
        ------
        InputError
            An unknown model, settings that it does not have or cannot take.
        """
        if self.model in READERS:
            kind: Any = forecaster_class(self.model)
            settings = READERS[self.model]({"horizon": horizon, **self.settings})
            made: Forecaster = kind(settings, allow_negative=self.allow_negative)
            return made
        if self.settings:
            todo = "Leave them out, or train one of these."
            allowed = f"settings of {' or '.join(READERS)} only"
            raise InputError(Issue("UnknownField", "settings", self.model, [*self.settings], allowed, todo))
        return maker(self.model, horizon, self.allow_negative)()


@dataclass(frozen=True)
class Verdict:
    """What came of a training.

    Attributes
    ----------
    version : str
        The candidate's, kept in the registry either way.
    promoted : bool
    candidate_sql, opponent_sql : float
        On the same held-out windows.
    opponent : str
        The deployed version, or ``"seasonal_naive"``.
    reason : str
        In words.
    warnings : list of str
    """

    version: str
    promoted: bool
    candidate_sql: float
    opponent_sql: float
    opponent: str
    reason: str
    warnings: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self)


def retrain(
    registry: Registry,
    history: pd.DataFrame,
    covariates: pd.DataFrame | None = None,
    *,
    recipe: Recipe | None = None,
    horizon: int = 24,
    windows: int = DEFAULT_WINDOWS,
    margin: float = 0.0,
    progress: Callable[[str], None] | None = None,
) -> Verdict:
    """Train a candidate, judge it against what is deployed, and promote the better one.

    Parameters
    ----------
    registry : Registry
    history, covariates : DataFrame
        As for `Forecaster.fit`; all that has been collected.
    recipe : Recipe, optional
        Default: the LSTM.
    horizon : int
        Steps of a held-out window.
    windows : int
        Held-out windows, one behind another, the last at the end of the history.
    margin : float
        Part by which the candidate's SQL must be lower, 0 to 1.
    progress : callable, optional
        Called with what is being done.

    Raises
    ------
    InputError
        Faults of the data or the recipe; [ArtefactAltered] the deployed model is damaged; [StateConflict] it has already
        seen some of the held-out windows.
    """
    recipe = recipe or Recipe()
    tell = progress or (lambda text: None)
    if not 0 <= margin < 1:
        raise InputError(Issue("Range", "margin", "", margin, "from 0 to less than 1", "Correct it."))
    seen = read_history(history, allow_negative=recipe.allow_negative)
    protocol = Windows(horizon=horizon, windows=windows)
    cut = int(protocol.origins(len(seen))[0])
    candidate = recipe.make(horizon)
    over = registry.current()
    opponent = None if over is None else _standing(registry, over, seen, cut)

    tell(f"training {recipe.model} on {cut} steps of {len(seen.circuits)} circuits")
    begin = seen.frame().iloc[:cut]
    candidate.fit(begin, _until(covariates, begin.index))

    def judge(make: Callable[[], Forecaster]) -> Backtest:
        return run_backtest(
            make, history, protocol, covariates=covariates, allow_negative=recipe.allow_negative
        )

    tell(f"forecasting {windows} held-out windows of {horizon} steps")
    with tempfile.TemporaryDirectory() as folder:  # what is judged is what can be loaded again
        candidate.save(Path(folder))
        judged = type(candidate).load(Path(folder))
        ours = judge(lambda: Standing(judged, seen.index[cut - 1]))
    warnings = list(ours.warnings)
    name, theirs = NAIVE, None
    if opponent is not None and over is not None:
        tell(f"and with version {over}, which is deployed")
        standing = opponent
        try:
            theirs = judge(lambda: standing)
            name = over
        except InputError as error:
            warnings.append(f"version {over} cannot forecast these data: {error}")
    if theirs is None:
        theirs = judge(lambda: SeasonalNaive(allow_negative=recipe.allow_negative))
    mine, other = ours.scores.sql, theirs.scores.sql
    better = bool(np.isfinite(mine)) and (not np.isfinite(other) or mine < other * (1 - margin))
    reason = _reason(better, mine, other, name, margin, windows)
    about = {
        "data": _about_data(seen, covariates),
        "trained_until": seen.index[cut - 1].isoformat(),
        "settings": _plain_settings(candidate, recipe),
        "scores": {
            "protocol": {"horizon": horizon, "windows": windows, "season": protocol.season},
            "candidate": _about_scores(ours),
            "opponent": {"name": name, **_about_scores(theirs)},
        },
        "verdict": {"promote": better, "reason": reason},
    }
    version = registry.add(candidate, about)
    if better:
        registry.promote(version, over=over)
    return Verdict(version, better, mine, other, name, reason, warnings)


def promote_by_hand(registry: Registry, version: str, force: bool = False) -> None:
    """Deploy a version because a person says so.

    Parameters
    ----------
    registry : Registry
    version : str
    force : bool
        Also where the version was judged no better than what is deployed, or against something else.

    Raises
    ------
    InputError
        [NotBetter] without `force`; and what `Registry.promote` finds.
    """
    manifest = registry.manifest(version)
    verdict, now = manifest.get("verdict", {}), registry.current()
    judged_against = manifest.get("scores", {}).get("opponent", {}).get("name")
    fair = bool(verdict.get("promote")) and judged_against in (now, NAIVE if now is None else now)
    if not fair and not force:
        found = verdict.get("reason", "never judged")
        allowed = f"judged better than {now or NAIVE}, which is deployed now"
        todo = "Train again to compare the two on the same windows, or say --force."
        raise InputError(Issue("NotBetter", "version", version, found, allowed, todo))
    registry.promote(version, over=now, why="promoted by hand")


def data_hash(index: pd.DatetimeIndex, columns: Sequence[str], values: np.ndarray) -> str:
    """Return the SHA-256 of time stamps (UTC, ns), names and values (float64; one NaN for all gaps) as 64 hex digits."""
    digest = hashlib.sha256(json.dumps(list(columns)).encode())
    digest.update(index.tz_convert(None).as_unit("ns").to_numpy().astype("<i8").tobytes())
    values = np.ascontiguousarray(values, dtype="<f8")
    digest.update(np.where(np.isnan(values), np.nan, values + 0.0).tobytes())
    return digest.hexdigest()


def _standing(registry: Registry, version: str, seen: History, cut: int) -> Standing:
    """Return the deployed model. Raises InputError [StateConflict] where it knows more than the candidate may."""
    import pandas as pd

    until = pd.Timestamp(registry.manifest(version)["trained_until"])
    if until > seen.index[cut - 1]:
        todo = "Give data that reach further, or hold out fewer windows."
        allowed = f"a deployed model that ends before the held-out windows, {seen.index[cut]}"
        raise InputError(Issue("StateConflict", "trained_until", version, str(until), allowed, todo))
    return Standing(registry.load(), until)


def _until(covariates: pd.DataFrame | None, index: pd.Index) -> pd.DataFrame | None:
    return None if covariates is None else covariates.loc[covariates.index <= index[-1]]


def _reason(better: bool, mine: float, other: float, name: str, margin: float, windows: int) -> str:
    what = "the seasonal naive" if name == NAIVE else f"version {name}"
    how = f"SQL {mine:.4f} against {other:.4f} of {what} on the same {windows} held-out windows"
    if better:
        return f"better: {how}"
    return f"not better{f' by {100 * margin:g} %' if margin else ''}: {how}"


def _about_data(seen: History, covariates: pd.DataFrame | None) -> dict[str, Any]:
    import pandas as pd

    hashed = None
    if covariates is not None:
        names = [str(name) for name in covariates.columns]
        hashed = data_hash(pd.DatetimeIndex(covariates.index), names, covariates.to_numpy(float))
    return {
        "sha256": data_hash(seen.index, seen.circuits, seen.kw),
        "covariates_sha256": hashed,
        "rows": len(seen),
        "begin": seen.index[0].isoformat(),
        "end": seen.index[-1].isoformat(),
        "step_s": seen.step_s,
        "circuits": list(seen.circuits),
    }


def _about_scores(found: Backtest) -> dict[str, Any]:
    scores = found.scores
    figures = {"sql": scores.sql, "mase": scores.mase, "wql": scores.wql, "wape": scores.wape}
    return {name: value if np.isfinite(value) else None for name, value in figures.items()}


def _plain_settings(candidate: Any, recipe: Recipe) -> dict[str, Any]:
    settings = asdict(candidate.settings) if recipe.model in READERS else dict(recipe.settings)
    return {**settings, "allow_negative": recipe.allow_negative}
