"""Does the meter lie, or does the plant? A tree of meters, weighted least squares, and the test of the largest residual.

The question: readings of a tree of meters do not add up, or one stands still. Which meter is wrong, by how much - or is load
drawn that no meter sees, or is a branch dead?

Over a window, with P the mean power of the branch into each node, and x the powers of the leaves:

    z = H x + e,   H[i, l] = 1 if leaf l hangs under node i;  e_i ~ Normal(0, s_i^2)                             (1)
    s_i = class_i / 100 * max(|z_i|, 10 % of the largest seen) / sqrt(3)  (a rectangular error, JCGM 100: GUM)   (2)
    xhat = (H' W H)^-1 H' W z,  W = diag(1 / s^2);  r = z - H xhat;  Omega = W^-1 - H (H' W H)^-1 H'             (3)
    normalised residual  r_i / sqrt(Omega_ii);  explanation a of the residuals (a_i = 1: meter i alone is off;
    a = ancestors of n and n itself: load drawn at n that no child meter sees):
    lambda_a = a' W r / sqrt(a' W Omega W a)  ~ Normal(0, 1) without it; estimate  a' W r / (a' W Omega W a)     (4)

(3) and the test of the largest normalised residual: A. Abur, A. Gomez Exposito, Power System State Estimation (2004),
chapter 5; (4) is the same test for any direction, of which a single meter is a special case. The largest absolute lambda
above the threshold is the verdict; explanations that no measurement can tell apart are all named. What only one meter sees
(Omega_ii = 0) cannot be judged by balance; that it stands still can.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from pdnopt.errors import InputError, Issue

__all__ = ["MeterReport", "Verdict", "judge_meters"]

Cause = Literal["stuck", "dead meter", "clock", "scale", "offset", "unmetered draw", "plant", "ambiguous"]

THRESHOLD = 4.0
"""Of |lambda|. 3 is the book's; among some tens of meters and explanations 4 keeps false verdicts below 1 in 100 windows."""
TIE = 6.0
"""Explanations whose lambda^2 differ by less cannot be told apart: odds of exp(6 / 2) = 20 to 1."""
MATCH = 0.8
"""R^2 with which an error must follow a meter's own reading before the factor of that meter is the explanation."""
EDGE = 3
"""Readings on either side of a fall to zero that are compared."""
STILL = 12
"""Readings in a row that are the very same before a meter counts as standing still."""
ZERO_PART = 0.005
"""Of the largest power seen in the branch: below it the branch draws nothing."""
LAG_GAIN = 0.2
"""How much better the best lag must correlate than none, at least, for a clock to be wrong."""
FLOOR_PART = 0.1
WHO = {True: "meter", False: "plant", None: "meter or plant"}
SPREAD_FOR_SCALE = 0.05
"""Power must move by this part of its mean before a factor can be told from an offset."""


@dataclass(frozen=True)
class Verdict:
    """One finding.

    Parameters
    ----------
    node : str
        Meter or place.
    cause : str
        What it is.
    meter : bool or None
        True: a meter lies. False: the plant. None: the measurements cannot tell.
    value : float
        By how much: kW for an offset, a draw or a plant fault, a factor for a scale, seconds for a clock.
    strength : float
        \\|lambda\\|, or how many readings stood still.
    words : str
        A sentence with the numbers.
    alternatives : tuple of str
        Explanations that the measurements cannot tell from this one.
    """

    node: str
    cause: Cause
    meter: bool | None
    value: float
    strength: float
    words: str
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True)
class MeterReport:
    """What `judge_meters` found.

    Parameters
    ----------
    verdicts : tuple of Verdict
    estimate : DataFrame
        kW of every node at every time, from the meters that are believed; index and columns as the readings.
    unjudged : tuple of str
        Meters whose value no other meter confirms.
    """

    verdicts: tuple[Verdict, ...]
    estimate: pd.DataFrame
    unjudged: tuple[str, ...] = field(default=())

    def to_frame(self) -> pd.DataFrame:
        """Return the verdicts, one a row."""
        columns = ["node", "cause", "meter", "value", "strength", "words", "alternatives"]
        return pd.DataFrame([[getattr(v, c) for c in columns] for v in self.verdicts], columns=columns)

    def __str__(self) -> str:
        if not self.verdicts:
            return "meters: no findings"
        return "\n".join(
            f"{WHO[v.meter]}: {v.words}"
            + (f" (cannot be told from: {', '.join(v.alternatives)})" if v.alternatives else "")
            for v in self.verdicts
        )


def judge_meters(
    readings: pd.DataFrame,
    parents: Mapping[str, str | None],
    class_percent: float | Mapping[str, float] = 1.0,
    threshold: float = THRESHOLD,
) -> MeterReport:
    """Tell faults of meters from faults of the plant.

    Parameters
    ----------
    readings : DataFrame
        kW, index of times with a zone, one column a meter; NaN where there is no reading. Two meters of one branch: give the
        second the first as its parent in ``parents`` with the name ``"first#2"``, ``"first#3"`` for more.
    parents : mapping
        Node -> the node above it, None for the root. Nodes without a column are places without a meter.
    class_percent : float or mapping
        Accuracy class of the meters, percent of the reading.
    threshold : float
        Of equation (4).

    Raises
    ------
    InputError
        Readings without a place in the tree, loops, more than one root, times without a zone or out of order.
    """
    tree = _tree(readings, parents, class_percent)
    frame = readings.astype(float)
    still, dead = _standing(frame, tree)
    verdicts = [*still, *dead]
    lying = {v.node for v in verdicts if v.meter}
    late = _clock(frame, tree, _fit(frame, tree, [m for m in frame.columns if m not in lying]))
    if late is not None:
        verdicts.append(late)
        lying.add(late.node)
    for _ in range(len(frame.columns)):
        fit = _fit(frame, tree, [m for m in frame.columns if m not in lying])
        found = _largest(frame, tree, fit, threshold)
        if found is None:
            break
        verdicts.append(found)
        if found.cause == "ambiguous" or not found.meter:
            break
        lying.add(found.node)
    return MeterReport(tuple(verdicts), fit.estimate, fit.unjudged)


@dataclass(frozen=True)
class _Tree:
    nodes: list[str]
    leaves: list[str]
    parents: dict[str, str | None]
    classes: dict[str, float]

    def under(self, place: str) -> np.ndarray:
        """Return which leaves hang under a place."""
        return np.array([place in self.above(leaf) for leaf in self.leaves], dtype=float)

    def above(self, place: str) -> list[str]:
        """Return a place and all above it."""
        out = [place]
        while (up := self.parents[out[-1]]) is not None:
            out.append(up)
        return out


def _place(meter: str) -> str:
    """Return the branch of a meter: ``"A#2"`` -> ``"A"``."""
    return meter.partition("#")[0]


def _tree(
    readings: pd.DataFrame, parents: Mapping[str, str | None], class_percent: float | Mapping[str, float]
) -> _Tree:
    issues: list[Issue] = []
    if not isinstance(readings.index, pd.DatetimeIndex) or readings.index.tz is None:
        todo = "Localise the index, for instance readings.tz_localize('UTC')."
        issues.append(
            Issue(
                "TimezoneRequired", "readings.index", "", str(readings.index.dtype), "times with a zone", todo
            )
        )
    if not (readings.index.is_monotonic_increasing and readings.index.is_unique):
        issues.append(
            Issue("TimeOrder", "readings.index", "", "", "strictly increasing times", "Sort, remove repeats.")
        )
    for meter in map(str, readings.columns):
        if _place(meter) not in parents:
            issues.append(
                Issue("InvalidId", "readings", meter, meter, "a node of parents", "Add it to the tree.")
            )
    for node, up in parents.items():
        if up is not None and up not in parents:
            issues.append(
                Issue("InvalidId", "parents", node, up, "a node of parents, or None", "Add the parent.")
            )
    roots = [node for node, up in parents.items() if up is None]
    if len(roots) != 1:
        issues.append(
            Issue("Topology", "parents", "", roots[:5], "exactly one root", "Judge each tree by itself.")
        )
    for node in parents:
        seen, at = {node}, parents[node]
        while at is not None and at in parents and at not in seen:
            seen.add(at)
            at = parents[at]
        if at in seen:
            issues.append(Issue("Topology", "parents", node, at, "a tree", "Break the loop."))
            break
    if not len(readings):
        issues.append(Issue("Empty", "readings", "", 0, "at least one row", "Give readings."))
    classes = {
        str(m): float(class_percent[m] if isinstance(class_percent, Mapping) else class_percent)
        for m in readings.columns
        if not isinstance(class_percent, Mapping) or m in class_percent
    }
    for meter in map(str, readings.columns):
        value = classes.get(meter, float("nan"))
        if not 0.0 < value <= 20.0:
            allowed = "an accuracy class above 0, up to 20 %"
            issues.append(Issue("Range", "class_percent", meter, value, allowed, "Read it on the meter."))
    if np.isinf(readings.to_numpy(float)).any():
        issues.append(Issue("NonFinite", "readings", "", "inf", "finite kW", "Leave the gap empty."))
    if issues:
        raise InputError(issues)
    feeding = set(parents.values())
    leaves = [node for node in parents if node not in feeding]
    return _Tree(list(parents), leaves, dict(parents), classes)


def _standing(frame: pd.DataFrame, tree: _Tree) -> tuple[list[Verdict], list[Verdict]]:
    """Return meters that stand still at the end while the plant moves, and branches that went dead."""
    stuck: list[Verdict] = []
    dead: list[Verdict] = []
    values = frame.to_numpy()
    moving = {m: _still_for(values[:, k]) < STILL for k, m in enumerate(frame.columns)}
    for k, meter in enumerate(frame.columns):
        run = _still_for(values[:, k])
        column = values[:, k][np.isfinite(values[:, k])]
        if run < STILL or run >= len(column):
            continue  # one that never moved has no past to compare with
        place = _place(meter)
        others = [m for m in frame.columns if m != meter and moving[m] and _related(tree, place, _place(m))]
        zero = abs(column[-1]) <= ZERO_PART * np.abs(column).max()
        if zero and _fell_with(frame, tree, meter, run):
            gone = float(np.median(column[: len(column) - run][-STILL:]))
            words = (
                f"{place} is dead: {gone:.1f} kW before, nothing now, and the meters above it fell by as much"
            )
            dead.append(Verdict(place, "plant", False, gone, float(run), words))
        elif others:
            words = f"{meter} has read {column[-1]:.1f} kW {run} times in a row with fresh stamps while {others[0]} moved"
            cause: Cause = "dead meter" if zero else "stuck"
            stuck.append(Verdict(meter, cause, True, float(column[-1]), float(run), words))
    return stuck, _topmost(dead, tree)


def _topmost(dead: list[Verdict], tree: _Tree) -> list[Verdict]:
    """Return the dead branches below no other dead one."""
    names = {v.node for v in dead}
    return [v for v in dead if not names.intersection(tree.above(v.node)[1:])]


def _still_for(column: np.ndarray) -> int:
    """Return how many readings at the end are the very same."""
    column = column[np.isfinite(column)]
    moved = np.flatnonzero(np.diff(column) != 0)
    return len(column) if not len(moved) else len(column) - 1 - int(moved[-1])


def _related(tree: _Tree, one: str, other: str) -> bool:
    return one == other or one in tree.above(other) or other in tree.above(one)


def _fell_with(frame: pd.DataFrame, tree: _Tree, meter: str, run: int) -> bool:
    """Return whether what is above fell by as much when this meter went to zero: then it tells the truth."""
    place = _place(meter)
    at = len(frame) - run
    before, after = slice(max(0, at - EDGE), at), slice(at, at + EDGE)
    fell = float(frame[meter].iloc[before].median())
    for up in tree.above(place)[1:]:
        if up in frame:
            drop = float(frame[up].iloc[before].median() - frame[up].iloc[after].median())
            return drop > 0.5 * fell  # nearer to a fall by as much than to none
    return True  # nobody above to contradict it


@dataclass(frozen=True)
class _Fit:
    meters: list[str]
    h: np.ndarray
    weight: np.ndarray
    omega: np.ndarray
    residual: np.ndarray
    estimate: pd.DataFrame
    unjudged: tuple[str, ...]


def _fit(frame: pd.DataFrame, tree: _Tree, meters: list[str]) -> _Fit:
    """Return equation (3) for the window's mean, and the estimate at every time."""
    meters = [m for m in meters if np.isfinite(frame[m].to_numpy()).any()]
    h = np.array([tree.under(_place(m)) for m in meters]).reshape(len(meters), len(tree.leaves))
    rows = frame[meters].dropna()
    mean = (rows if len(rows) else frame[meters]).mean().to_numpy()
    largest = frame[meters].abs().max().to_numpy()
    classes = np.array([tree.classes[m] for m in meters])
    sd = np.maximum(classes / 100.0 * np.maximum(np.abs(mean), FLOOR_PART * largest) / np.sqrt(3.0), 1e-9)
    weight = 1.0 / sd**2
    # leaves that no meter sees alone: the pseudo-inverse shares what is known of them, and leaves residuals as they are
    gain = np.linalg.pinv((h * weight[:, None]).T @ h, rcond=1e-10, hermitian=True)
    omega = np.diag(sd**2) - h @ gain @ h.T
    at = gain @ (h * weight[:, None]).T
    filled = frame[meters].interpolate(limit_direction="both").to_numpy()
    leaves = filled @ at.T
    above = np.array([tree.under(node) for node in tree.nodes])
    estimate = pd.DataFrame(leaves @ above.T, index=frame.index, columns=tree.nodes)
    alone = np.diag(omega) < 1e-6 * sd**2
    unjudged = tuple(m for m, a in zip(meters, alone, strict=True) if a)
    return _Fit(meters, h, weight, omega, mean - h @ (at @ mean), estimate, unjudged)


def _largest(frame: pd.DataFrame, tree: _Tree, fit: _Fit, threshold: float) -> Verdict | None:
    """Return the strongest explanation of the residuals, or None where none is strong."""
    explanations: list[tuple[str, bool, np.ndarray]] = [
        (m, True, np.eye(len(fit.meters))[k]) for k, m in enumerate(fit.meters)
    ]
    for node in tree.nodes:
        if node not in tree.leaves:
            path = tree.above(node)
            explanations.append((node, False, np.array([float(_place(m) in path) for m in fit.meters])))
    strengths, sizes = [], []
    for _, _, a in explanations:
        wa = fit.weight * a
        variance = float(wa @ fit.omega @ wa)
        seen = variance > 1e-6 * float(wa @ a)
        strengths.append(float(wa @ fit.residual) / np.sqrt(variance) if seen else 0.0)
        sizes.append(float(wa @ fit.residual) / variance if seen else 0.0)
    order = np.argsort(-np.abs(strengths), kind="stable")
    best = int(order[0])
    if abs(strengths[best]) < threshold:
        return None
    ties = [
        int(k)
        for k in order
        if strengths[best] ** 2 - strengths[k] ** 2 < TIE
        and not (not explanations[k][1] and sizes[k] < 0)  # nobody feeds in unseen
    ]
    if not ties:
        return None
    followed = _followed(frame, fit, [explanations[k] for k in ties])
    if followed is not None:
        ties = [ties[followed]]
    best = ties[0]
    others = tuple(_told(explanations[k][0], explanations[k][1]) for k in ties[1:])
    name, is_meter, _ = explanations[best]
    found = _describe(frame, tree, fit, name, is_meter, sizes[best], abs(strengths[best]))
    if not others:
        return found
    kinds = {explanations[k][1] for k in ties}
    meter = kinds.pop() if len(kinds) == 1 else None
    return replace(found, cause="ambiguous", meter=meter, alternatives=others)


def _followed(frame: pd.DataFrame, fit: _Fit, tied: list[tuple[str, bool, np.ndarray]]) -> int | None:
    """Return which of the tied meters' own reading the error follows over time, if it is one: a wrong factor shows so."""
    scores = []
    for name, is_meter, a in tied:
        seen = frame[name].to_numpy() if is_meter else np.zeros(len(frame))
        wa = fit.weight * a
        error = (frame[fit.meters].to_numpy() - fit.estimate[[_place(m) for m in fit.meters]].to_numpy()) @ wa
        ok = np.isfinite(seen) & np.isfinite(error)
        moves = ok.sum() > STILL and seen[ok].std() > SPREAD_FOR_SCALE * abs(seen[ok].mean())
        scores.append(
            float(np.corrcoef(seen[ok], error[ok])[0, 1] ** 2) if moves and error[ok].std() > 0 else 0.0
        )
    best = int(np.argmax(scores))
    rest = max((s for k, s in enumerate(scores) if k != best), default=0.0)
    return best if scores[best] > MATCH and rest < MATCH * scores[best] else None


def _told(name: str, is_meter: bool) -> str:
    return f"meter {name}" if is_meter else f"unmetered draw at {name}"


def _describe(
    frame: pd.DataFrame, tree: _Tree, fit: _Fit, name: str, is_meter: bool, size_kw: float, strength: float
) -> Verdict:
    """Return the verdict of one explanation, with its words."""
    if not is_meter:
        words = f"{size_kw:.1f} kW are drawn at {name} that no meter below sees ({strength:.1f} sigma)"
        return Verdict(name, "unmetered draw", False, size_kw, strength, words)
    rest = _fit(frame, tree, [m for m in fit.meters if m != name]).estimate[_place(name)]
    both = pd.DataFrame({"seen": frame[name], "true": rest}).dropna()
    factor, offset, scale = _line(both["true"].to_numpy(), both["seen"].to_numpy())
    if scale:
        words = f"{name} reads {factor:.3f} times what the other meters add up to ({strength:.1f} sigma)"
        return Verdict(name, "scale", True, factor, strength, words)
    words = f"{name} reads {offset:+.1f} kW off what the other meters add up to ({strength:.1f} sigma)"
    return Verdict(name, "offset", True, offset, strength, words)


def _line(true: np.ndarray, seen: np.ndarray) -> tuple[float, float, bool]:
    """Return factor, offset, and whether a factor explains the difference better than an offset does."""
    offset = float((seen - true).mean())
    factor = float((seen @ true) / (true @ true)) if (true @ true) > 0 else float("nan")
    if true.std() < SPREAD_FOR_SCALE * abs(true.mean()):
        return factor, offset, False
    by_factor = float(((seen - factor * true) ** 2).sum())
    by_offset = float(((seen - true - offset) ** 2).sum())
    return factor, offset, by_factor < by_offset


def _clock(frame: pd.DataFrame, tree: _Tree, fit: _Fit) -> Verdict | None:
    """Return a meter whose changes come earlier or later than those that the others add up to."""
    step_s = float(np.median(np.diff(frame.index.to_numpy()).astype("timedelta64[ns]").astype(float))) / 1e9
    most = min(len(frame) // 4, int(7200 / step_s) if step_s > 0 else 0)
    best: tuple[float, str, int] | None = None
    for meter in fit.meters:
        if meter in fit.unjudged or most < 1:
            continue
        rest = _fit(frame, tree, [m for m in fit.meters if m != meter]).estimate[_place(meter)]
        seen, true = np.diff(frame[meter].to_numpy()), np.diff(rest.to_numpy())
        scores = {lag: _correlation(seen, true, lag) for lag in range(-most, most + 1)}
        lag = max(scores, key=lambda k: (scores[k], -abs(k)))
        gain = scores[lag] - scores[0]
        if lag and scores[lag] > 0.5 and gain > LAG_GAIN and (best is None or gain > best[0]):
            best = (gain, meter, lag)
    if best is None:
        return None
    gain, meter, lag = best
    side = "late" if lag > 0 else "early"
    words = f"the clock of {meter} is {abs(lag) * step_s:.0f} s {side}: shifted by that, its changes fit"
    return Verdict(meter, "clock", True, lag * step_s, gain, words)


def _correlation(seen: np.ndarray, true: np.ndarray, lag: int) -> float:
    """Return the correlation of seen(t + lag) with true(t)."""
    a, b = (seen[lag:], true[: len(true) - lag]) if lag >= 0 else (seen[:lag], true[-lag:])
    ok = np.isfinite(a) & np.isfinite(b)
    a, b = a[ok], b[ok]
    if len(a) < 8 or a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
