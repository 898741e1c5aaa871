"""Which parts of the plant are in synchronism (rule 5)."""

from __future__ import annotations

from collections.abc import Hashable

from pdnopt.checker.outage import Outage
from pdnopt.checker.plant_view import PlantView
from pdnopt.checker.situation import Situation, Supply

__all__ = ["in_step", "labels"]


def labels(view: PlantView, out: Outage, s: Situation, now: Supply) -> dict[int, Hashable]:
    """Return a label for each live part; parts of one label are in synchronism.

    A utility or genset carries its sync group, or itself. An online inverter tracks what feeds its bypass
    bus; on battery, or with a dead or missing bypass, it runs by itself. So does a battery that forms an
    island.
    """
    found: dict[int, Hashable] = {}
    follows: dict[int, int] = {}
    for part, sources in now.by_part().items():
        kind, k = sources[0]
        if kind == "ext_grid":
            group = str(view.src_group[k])
            found[part] = ("group", group) if group else ("ext_grid", k)
            continue
        found[part] = (kind, k)
        if kind == "ups" and s.mode[k] == "online":
            node = view.ups_bypass_node[k]
            switch = view.ups_switch[k]
            if node >= 0 and now.live[node] and switch >= 0 and not out.sw_failed[switch]:
                follows[part] = int(now.part[node])
    for _ in range(len(follows)):  # a chain of UPSs is no longer than this
        for part, ahead in follows.items():
            found[part] = found.get(ahead, found[part])
    return found


def in_step(view: PlantView, out: Outage, s: Situation, now: Supply, sources: list[tuple[str, int]]) -> bool:
    """Return whether sources that share a part run in synchronism: one group, or one thing that all of them track."""
    found = labels(view, out, s, now)
    said: set[Hashable] = set()
    for kind, k in sources:
        if kind == "ext_grid":
            group = str(view.src_group[k])
            said.add(("group", group) if group else ("ext_grid", k))
            continue
        node = view.ups_bypass_node[k] if kind == "ups" and s.mode[k] == "online" else -1
        switch = view.ups_switch[k] if kind == "ups" else -1
        tracks = node >= 0 and now.live[node] and switch >= 0 and not out.sw_failed[switch]
        said.add(found.get(int(now.part[node]), (kind, k)) if tracks else (kind, k))
    return len(said) == 1
