"""One screen that a person can act on: the text of ``print(result)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdnopt.plant.actions import Action
    from pdnopt.result import Result

__all__ = ["describe", "render"]

MAX_ROWS = 12
WIDTH = 100

_HEADLINES = {
    "optimal": "verified plan, proved optimal within the gap",
    "feasible": "verified plan, search stopped early",
    "infeasible": "no plan exists under the limits given",
    "no_incumbent": "no plan found in the time given; hold, and use the contingency plan",
    "failed": "no plan: the independent checker refused what the solver returned; hold",
}


def render(result: Result) -> str:
    """Return the screen for one result."""
    if result.timeline is not None and result.phases is None:
        return "\n".join(
            [*_head_of_shift(result), *_course(result), *_actions(result), *_later(result), *_tail(result)]
        )
    if result.phases is not None:
        middle = [*_phases(result), *_harmonics(result)]
        return "\n".join([*_head_of_balance(result), *middle, *_actions(result), *_tail(result)])
    if result.margins is not None:
        return "\n".join(
            [
                *_head_of_allocation(result),
                *_margins(result),
                *_actions(result),
                *_notes(result),
                *_tail(result),
            ]
        )
    lines = (
        _head(result)
        + _service(result)
        + _clocks(result)
        + _actions(result)
        + _reasons(result)
        + _tail(result)
    )
    return "\n".join(lines)


def _head(result: Result) -> list[str]:
    failed = ", ".join(result.plan.failed) or "nothing"
    network = f" on {result.network}" if result.network else ""
    return [
        f"{result.problem}{network} after losing {failed}",
        f"{result.status.upper()}: {_HEADLINES[result.status]}",
    ]


MARGIN_ROWS = 6


def _head_of_allocation(result: Result) -> list[str]:
    network = f" on {result.network}" if result.network else ""
    return [
        f"{result.problem}{network}, before anything fails",
        f"{result.status.upper()}: {_HEADLINES[result.status]}",
    ]


def _head_of_shift(result: Result) -> list[str]:
    """Say what is done and why; the rest of the notes follows."""
    network = f" on {result.network}" if result.network else ""
    headline = _HEADLINES[result.status]
    if result.status == "infeasible":
        headline = "no first step keeps all limits; hold"
    return [
        f"{result.problem}{network}, before anything fails",
        f"{result.status.upper()}: {headline}",
        *(f"  {note}" for note in result.notes),
    ]


def _head_of_balance(result: Result) -> list[str]:
    network = f" on {result.network}" if result.network else ""
    without = f", without {', '.join(result.plan.failed)}" if result.plan.failed else ""
    headline = _HEADLINES[result.status]
    if result.status == "infeasible":
        headline = "no set-points keep all limits; what is shown comes nearest, it is not to be sent"
    return [
        f"{result.problem}{network}{without}",
        f"{result.status.upper()}: {headline}",
        *(f"  {note}" for note in result.notes),
    ]


def _phases(result: Result) -> list[str]:
    """Say how uneven phases are before and after."""
    frame, buses = result.phases, result.unbalance
    assert frame is not None
    assert buses is not None
    if not len(frame):
        return []
    lines = [
        f"  worst        {name:24s} {before:8.3f} -> {after:.3f} {unit}"
        for name, before, after, unit in (
            (
                "voltage unbalance |V2|/|V1|",
                buses["vuf_before_percent"].max(),
                buses["vuf_after_percent"].max(),
                "%",
            ),
            (
                "spread of phases",
                frame["spread_before_percent"].max(),
                frame["spread_after_percent"].max(),
                "% of the rating",
            ),
            ("neutral current", frame["i_n_before_a"].max(), frame["i_n_after_a"].max(), "A"),
        )
    ]
    lines.append(
        "  feeder                         before: a      b      c      n   after: a      b      c      n, A"
    )
    for row in frame.sort_values("spread_before_percent", ascending=False).head(MAX_ROWS).to_dict("records"):
        sides = [
            "".join(f"{row[f'i_{k}_{word}_a']:7.1f}" for k in ("a", "b", "c", "n"))
            for word in ("before", "after")
        ]
        lines.append(f"  {row['component']:28.28s}  {sides[0]}  {sides[1]}")
    if len(frame) > MAX_ROWS:
        lines.append(f"    ... {len(frame) - MAX_ROWS} more feeders: result.phases")
    return [*lines, *_ahead(result)]


def _ahead(result: Result) -> list[str]:
    """Say how the steps of a balance go, by the worst load vector of each."""
    frame = result.timeline
    if frame is None or not len(frame):
        return []
    battery = bool(frame["stored_kwh"].gt(0).any())
    lines = [
        "  step        at s   spread, %: before -> after   VUF, %: before -> after   inverters kVA"
        + ("   batteries kW   kWh" if battery else "")
    ]
    for row in frame.head(MAX_ROWS).to_dict("records"):
        spread, vuf = (
            (row[f"{name}_before_percent"], row[f"{name}_after_percent"]) for name in ("spread", "vuf")
        )
        text = f"  {row['step']!s:8.8s}{row['t_s']:8.0f}        {spread[0]:8.2f} -> {spread[1]:8.2f}"
        text += f"       {vuf[0]:8.3f} -> {vuf[1]:8.3f}       {row['inverter_kva']:9.1f}"
        lines.append(text + (f"      {row['battery_kw']:9.1f}{row['stored_kwh']:6.1f}" if battery else ""))
    if len(frame) > MAX_ROWS:
        lines.append(f"    ... {len(frame) - MAX_ROWS} more steps: result.timeline")
    return lines


MOST_PLACES = 3
"""Places named for each kind of distortion."""


def _harmonics(result: Result) -> list[str]:
    """Say how distorted voltages and currents are without and with compensation, and whose limit is broken."""
    frame = result.distortion
    if frame is None or not len(frame):
        return []
    before, after = (int((frame[f"broken_{word}"] != "").sum()) for word in ("before", "after"))
    lines = [
        f"  harmonics    beyond limits of IEEE 519: {before} of {len(frame)} phases of buses and feeders -> {after}"
    ]
    for kind, word, unit in (("voltage", "THD of voltage", "%"), ("current", "TDD of current", "% of IL")):
        own = frame[frame["kind"] == kind]
        if not len(own):
            continue
        most = [own[f"total_{when}_percent"].max() for when in ("before", "after")]
        lines.append(f"    worst {word:20s} {most[0]:8.2f} -> {most[1]:.2f} {unit}")
        order = "beyond_after_percent" if after else "beyond_before_percent"
        worst = own[own["broken_before"] != ""].sort_values(order, ascending=False, kind="stable")
        for row in worst.head(MOST_PLACES).to_dict("records"):
            left = (
                f"{row['broken_after']} by {row['beyond_after_percent']:.0f} %"
                if row["broken_after"]
                else "kept"
            )
            lines.append(
                f"      {row['place']} {row['phase']}: {row['total_before_percent']:.2f} -> "
                f"{row['total_after_percent']:.2f}, limit {row['total_limit_percent']:g}; beyond "
                f"{row['broken_before']} by {row['beyond_before_percent']:.0f} % -> {left}"
            )
        if len(worst) > MOST_PLACES:
            lines.append(f"      ... {len(worst) - MOST_PLACES} more: result.distortion")
    return lines


def _course(result: Result) -> list[str]:
    """Say what it costs, and how the steps go."""
    frame = result.timeline
    assert frame is not None
    if not len(frame):
        return []
    bill = result.bill
    gap = result.gap["cost"]
    lines = [
        f"  cost         {result.objective['cost']:10.3f} kWh-equivalents, proved within {gap:.3f}",
    ]
    parts = [f"{name} {bill[name]:.3f}" for name in bill if name != "idle" and abs(bill[name]) > 5e-4]
    lines += [f"    {'  '.join(parts)}"] if parts else []
    if "grid_peak" in result.objective:
        lines.append(f"  grid peak    {result.objective['grid_peak']:10.1f} kW")
    feeds = [name for name in frame.columns if name.startswith("kW ")][:MARGIN_ROWS]
    battery = bool((frame["stored_kwh"] > 0).any())
    head = [f"{name[3:].partition(':')[2]:>9.9s}" for name in feeds]
    lines.append(
        "  step  p fail  at stake  transfers  moved kW"
        + ("  battery kW  charge %" if battery else "")
        + (" " if head else "")
        + " ".join(head)
        + (" kW" if head else "")
    )
    for row in frame.to_dict("records")[:MAX_ROWS]:
        text = f"  {row['step']:4d}  {row['p_fail']:6.4f}  {row['at_stake_kwh']:8.3f}  {row['transfers']:9d}"
        text += f"  {row['moved_kw']:8.1f}"
        if battery:
            text += f"  {row['charge_kw']:10.1f}  {row['soc_percent']:8.1f}"
        lines.append(text + (" " if feeds else "") + " ".join(f"{row[name]:9.1f}" for name in feeds))
    if len(frame) > MAX_ROWS:
        lines.append(f"    ... {len(frame) - MAX_ROWS} more steps: result.timeline")
    return lines


def _later(result: Result) -> list[str]:
    """Say how much is intended after the first step."""
    frame = result.schedule
    if frame is None or not len(frame) or frame["committed"].all():
        return []
    later = frame[~frame["committed"]]
    return [
        f"  later        {len(later)} actions are intended in the next steps, none is committed: result.schedule"
    ]


def _margins(result: Result) -> list[str]:
    """Say which contingency binds, and what the terms have reached."""
    frame = result.margins
    assert frame is not None
    worst = frame.iloc[0]
    carried = "every single failure is carried" if worst["margin_kw"] >= 0 else "NOT every failure is carried"
    margin_kw = result.objective.get("margin")
    lines = [
        f"  margin       {worst['margin_kw']:10.1f} kW: {carried} by the plant's own devices",
        f"    binding: {worst['component']} at {worst['loading_percent']:.1f} % of its rating"
        f" (it carries {worst['limit_percent']:.0f} %) after losing {worst['contingency']}, loads: {worst['loads']}",
    ]
    if margin_kw is not None:
        lines.append(
            f"    of what choices can change: {margin_kw:.1f} kW, at most {result.bound['margin']:.1f} kW is possible"
        )
    shown: set[str] = {str(worst["component"])}
    rest = []
    for row in frame.itertuples():  # each component once, where it is tightest
        if row.component not in shown:
            shown.add(str(row.component))
            rest.append(f"    {row.component}: {row.margin_kw:.1f} kW after losing {row.contingency}")
        if len(rest) >= MARGIN_ROWS:
            break
    lines += rest
    for name, unit, factor in (
        ("evacuated", "kW left on what is to be evacuated", 1.0),
        ("balance", "% between the reserve systems' loadings", 100.0),
        ("losses", "kW on the way to the devices", 1.0),
    ):
        if name in result.objective:
            value, bound = factor * result.objective[name], factor * result.bound[name]
            lines.append(f"  {name:12s} {value:10.1f} {unit}, at least {bound:.1f}")
    dark = frame[frame["unserved_kw"] > 1e-6]
    if len(dark):
        most = dark.loc[dark["unserved_kw"].idxmax()]
        lines.append(
            f"  without a way {most['unserved_kw']:9.1f} kW at most, after losing {most['contingency']}"
            f" ({len(dark)} contingencies leave somebody without)"
        )
    return lines


def _notes(result: Result) -> list[str]:
    return ["  why and what would help", *(f"    {note}" for note in result.notes)] if result.notes else []


def _service(result: Result) -> list[str]:
    total = sum(result.demand_by_priority.values())
    lines = [f"  unserved     {result.unserved_kw:10.1f} kW of {total:.1f} kW"]
    for priority, demand_kw in sorted(result.demand_by_priority.items()):
        missing = result.unserved_by_priority.get(priority, 0.0)
        gap = result.gap.get(f"unserved_p{priority}")
        proof = f"   proved within {100 * gap:.3f} %" if gap is not None else ""
        lines.append(f"    priority {priority} {missing:10.1f} kW of {demand_kw:.1f} kW{proof}")
    if result.unservable:
        names = ", ".join(result.unservable[:6]) + (", ..." if len(result.unservable) > 6 else "")
        lines.append(f"    without any surviving path: {len(result.unservable)} ({names})")
    lines.append(f"  interrupted  {result.interrupted_kw:10.1f} kW without voltage beyond hold-up")
    if result.losses_kw == result.losses_kw:
        lines.append(f"  losses       {result.losses_kw:10.1f} kW at the end (AC)")
    if result.worst_component:
        lines.append(
            f"  worst        {result.worst_loading_percent:10.1f} % {result.worst_component} at the end (AC)"
        )
    return lines


def _clocks(result: Result) -> list[str]:
    lines = []
    for clock in result.clocks[:5]:
        relieved = (
            f"relieved at {clock.relieved_s:.1f} s"
            if clock.relieved_s < float("inf")
            else ("holds to the end" if result.ok else "not relieved")
        )
        if clock.kind == "overload":
            what = f"{clock.loading:.0f} of {clock.rating:.0f} {clock.unit} ({100 * clock.ratio:.0f} %)"
            ends = (
                "no trip modelled"
                if clock.deadline_s == float("inf")
                else f"trips at {clock.deadline_s:.1f} s"
            )
        else:
            what = f"{clock.loading:.0f} {clock.unit} on {clock.kind}"
            ends = f"empty at {clock.deadline_s:.0f} s"
        lines.append(f"    {clock.component}: {what}, {ends}, {relieved}")
    if len(result.clocks) > 5:
        lines.append(f"    ... and {len(result.clocks) - 5} more")
    return ["  clocks that the failure started", *lines, *_if_nobody_acts(result)] if lines else []


def _if_nobody_acts(result: Result) -> list[str]:
    if not result.cascade:
        return []
    lost = sum(event.lost_kw for event in result.cascade)
    first = result.cascade[0]
    return [
        f"    if nobody acts: {first.component} {first.what} at {first.t_s:.1f} s, {lost:.0f} kW lost in the end"
    ]


def describe(action: Action) -> str:
    """Return one action in words."""
    if action.action in ("cap", "restore"):
        return f"{action.action} {action.device} from {action.before:.1f} to {action.after:.1f} kW"
    if action.action == "shed":
        return f"shed {action.device} ({action.before:.1f} kW)"
    if action.action == "transfer":
        return f"transfer {action.device} from {action.before or 'open'} to {action.after or 'open'}"
    if action.action == "phase":
        return f"let {action.device} draw from phase {action.after} instead of {action.before}"
    if action.action == "setpoint":
        p, q = (", ".join(f"{x:.2f}" for x in action.after[name]) for name in ("p_kw", "q_kvar"))
        return f"set {action.device} to {p} kW and {q} kvar (a, b, c)"
    if action.action == "compensate":
        squares = [sum(x[k] ** 2 for x in action.after["i_a"]) for k in range(3)]
        rms = ", ".join(f"{square**0.5:.2f}" for square in squares)
        return f"let {action.device} compensate {len(action.after['order'])} harmonics with {rms} A rms (a, b, c)"
    if action.action == "prefer":
        return f"let {action.device} go to {action.after} first"
    if action.action == "mode":
        return f"set {action.device} from {action.before} to {action.after}"
    if action.action == "power":
        return f"set {action.device} from {action.before:.1f} to {action.after:.1f} kW"
    return f"{action.action} {action.device}"


def _actions(result: Result) -> list[str]:
    plan = result.plan
    if not plan.actions:
        why = "the plant's own devices are enough"
        if result.margins is not None:
            why = "all stand right"
        elif result.timeline is not None and result.phases is None:
            why = "nothing that could be moved now would lower the cost"
        elif result.phases is not None:
            why = "the set-points are right as they are"
        return [f"  actions      none: {why}"] if result.ok else []
    by_step: dict[int, list[Action]] = {}
    for action in plan.actions:
        by_step.setdefault(action.step, []).append(action)
    lines = [f"  actions      {len(plan.actions)} in {len(by_step)} steps, done at {plan.duration_s:.1f} s"]
    rows: list[str] = []
    for step, batch in sorted(by_step.items()):
        if len(batch) > 3:
            rows += _summary(step, batch)
        else:
            rows += [f"    {step:3d} {item.t_s:8.2f} s  {describe(item)}" for item in batch]
    lines += rows[:MAX_ROWS]
    if len(rows) > MAX_ROWS:
        lines.append(f"    ... {len(rows) - MAX_ROWS} more rows: result.plan.to_frame()")
    return lines


def _summary(step: int, batch: list[Action]) -> list[str]:
    rows = []
    for kind in dict.fromkeys(item.action for item in batch):
        mine = [item for item in batch if item.action == kind]
        first = ", ".join(item.device for item in mine[:3]) + (", ..." if len(mine) > 3 else "")
        change = ""
        if kind in ("setpoint", "compensate"):
            kind = "send set-points to" if kind == "setpoint" else "send compensation currents to"
        if kind == "phase":  # few, and each by hand
            rows += [f"    {step:3d} {item.t_s:8.2f} s  {describe(item)}" for item in mine]
            continue
        if kind in ("cap", "shed", "restore"):
            change = f", {sum(float(item.after) - float(item.before) for item in mine):+.1f} kW"
        rows.append(f"    {step:3d} {mine[0].t_s:8.2f} s  {kind} {len(mine)} devices{change} ({first})")
    return rows


def _reasons(result: Result) -> list[str]:
    if not result.reasons:
        return []
    lines = ["  why"]
    grouped: dict[tuple[str, str], list[Any]] = {}
    for reason in result.reasons:
        grouped.setdefault((reason.binding, reason.limit), []).append(reason)
    for (binding, limit), mine in list(grouped.items())[:5]:
        kw = sum(reason.unserved_kw for reason in mine)
        extra = max(reason.relaxation_kw for reason in mine)
        who = mine[0].unit if len(mine) == 1 else f"{len(mine)} units"
        if not binding:
            lines.append(f"    {who}: {kw:.1f} kW: {limit}")
            continue
        more = (
            f"; up to {extra:.1f} kW more there serves any one of them" if extra > 0 and len(mine) > 1 else ""
        )
        more = more or (f"; {extra:.1f} kW more there would serve it" if extra > 0 else "")
        lines.append(f"    {who}: {kw:.1f} kW because {binding} is at its limit ({limit}){more}")
    lines += [f"    {note}" for note in result.notes]
    return lines


def _tail(result: Result) -> list[str]:
    lines = []
    if result.issues:
        lines.append(f"  checker      {len(result.issues)} findings")
        lines += [f"    {issue}" for issue in result.issues[:6]]
    elif result.ok:
        lines.append(
            "  checker      no findings: end state and every step on the way verified by AC power flow"
        )
    known = {name[:-2].replace("_", " "): value for name, value in result.timings.items() if value == value}
    spent = "  ".join(f"{name} {1000 * value:.0f} ms" for name, value in known.items())
    return [*lines, f"  time         {spent}"]
