"""What holds in every state whatever flows: sources apart, no new loops, exclusive positions, interlocks
(rules 5-7).
"""

from __future__ import annotations

import numpy as np

from pdnopt.checker.findings import Findings
from pdnopt.checker.outage import Outage
from pdnopt.checker.plant_view import PlantView
from pdnopt.checker.replay import Segment
from pdnopt.checker.situation import Situation, Supply
from pdnopt.checker.synchronism import in_step

__all__ = ["Topology"]


class Topology:
    """Structural rules of one plant under one outage.

    What the network as given already does - sources that share a part, loops, double positions - is no fault
    of a plan; what the failure itself joined (a switch stuck closed) may last until the plan parts it, but not to
    the end. Make before break by a plain switch in synchronism may last until the next step (rule 7).
    """

    def __init__(
        self, view: PlantView, out: Outage, base: Situation, base_supply: Supply, findings: Findings
    ) -> None:
        self.view, self.out, self.base, self.findings = view, out, base, findings
        self._together = [set(sources) for sources in base_supply.by_part().values()]
        w = view.wiring
        self._tail, self._head = w.block[w.sw_tail], w.block[w.sw_head]

    def check(self, segments: list[Segment], paths: list[str], wanted: list[bool]) -> None:
        """Judge every wanted segment."""
        loops = [self._loops(seg) for seg in segments]
        mixed = [self._parallel(seg) for seg in segments]
        post = max((k for k, seg in enumerate(segments) if seg.step == 0), default=0)
        for k, (seg, path) in enumerate(zip(segments, paths, strict=True)):
            if not wanted[k]:
                continue
            after = next((n for n in range(k + 1, len(segments)) if segments[n].step != seg.step), None)
            lasting = k == len(segments) - 1
            for row in loops[k]:
                if row in loops[post] and not lasting:
                    continue
                plain = self.view.sw_transfer[row] < 0 and self.view.sw_ups[row] < 0
                if plain and after is not None and row not in loops[after]:
                    continue
                name = self.view.names["switch"][row]
                allowed = "a tree: no loop of closed switches in a live part"
                self.findings.add(
                    "LoopClosed", path, name, "closes a loop", allowed, "Open the other way first."
                )
            for sources, brief in mixed[k]:
                if any(sources == other for other, _ in mixed[post]) and not lasting:
                    continue
                if brief and after is not None and all(sources != other for other, _ in mixed[after]):
                    continue
                names = [self._name(source) for source in sources]
                allowed = "one source a part, or sources of one sync group that are all parallel"
                todo = "Open the way between them, in the step before."
                self.findings.add("ParallelSources", path, names[0], " with ".join(names), allowed, todo)
            self._positions(seg.situation, path)

    def _name(self, source: tuple[str, int]) -> str:
        return self.view.names[source[0]][source[1]]

    def _parallel(self, seg: Segment) -> list[tuple[list[tuple[str, int]], bool]]:
        """Return the parts with sources that must not share one, and whether that may last for one step."""
        v, found = self.view, []
        for sources in seg.supply.by_part().values():
            if len(sources) < 2 or any(set(sources) <= given for given in self._together):
                continue
            outside = [k for kind, k in sources if kind == "ext_grid"]
            groups = {str(v.src_group[k]) for k in outside}
            one_group = len(outside) == len(sources) and len(groups) == 1 and "" not in groups
            if one_group and v.src_parallel[outside].all():
                continue
            found.append((sources, in_step(v, self.out, seg.situation, seg.supply, list(sources))))
        return found

    def _loops(self, seg: Segment) -> list[int]:
        """Return the switches, closed since the network was given, that close a loop in a live part."""
        v, s = self.view, seg.situation
        live = seg.supply.live[v.wiring.sw_tail] & seg.supply.live[v.wiring.sw_head] & s.closed
        new = np.flatnonzero(live & ~self.base.closed)
        if not len(new):
            return []
        parent = np.arange(int(v.wiring.block.max()) + 1)

        def root(k: int) -> int:
            while parent[k] != k:
                parent[k] = parent[parent[k]]
                k = int(parent[k])
            return k

        for row in np.flatnonzero(live & self.base.closed):
            parent[root(int(self._tail[row]))] = root(int(self._head[row]))
        found = []
        for row in new:
            a, b = root(int(self._tail[row])), root(int(self._head[row]))
            if a == b:
                found.append(int(row))
            parent[a] = b
        return found

    def _positions(self, s: Situation, path: str) -> None:
        v = self.view
        closed, before = v.closed_positions(s.closed), v.closed_positions(self.base.closed)
        for device in np.flatnonzero(closed > np.maximum(1, before)):
            name = v.names["transfer"][device]
            self.findings.add(
                "TransferExclusive",
                path,
                name,
                f"{closed[device]} closed",
                "at most one position",
                "Open one first.",
            )
        for k, rows in enumerate(v.lock_rows):
            n, given = int(s.closed[rows].sum()), int(self.base.closed[rows].sum())
            if n > max(int(v.lock_max[k]), given):
                name = v.names["interlock"][k]
                allowed = f"at most {int(v.lock_max[k])} closed"
                self.findings.add("Interlock", path, name, f"{n} closed", allowed, "Open one of them first.")
        welded = self.out.sw_forced == 1
        for row in np.flatnonzero(s.closed & self.out.sw_failed & ~welded):
            name = v.names["switch"][row]
            self.findings.add(
                "FailedUsed", path, name, "closed", "open: failed or locked out", "Leave it open."
            )
