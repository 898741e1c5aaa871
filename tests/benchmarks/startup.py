"""Start-up times, the interpreter's included: ``python -m tests.benchmarks.startup``.

Aims: ``pdnopt --help`` 0.4 s, ``import pdnopt`` 0.5 s. The median of 15 runs is judged, with that of a bare
interpreter beside it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from tests.benchmarks._reporting import Table, machine

RUNS = 15
JOBS = (
    ("bare interpreter", ["-c", "pass"], None),
    ("import pdnopt", ["-c", "import pdnopt"], 0.5),
    ("pdnopt --help", ["-m", "pdnopt", "--help"], 0.4),
    ("pdnopt solve --help", ["-m", "pdnopt", "solve", "--help"], 0.4),
)


def main() -> int:
    """Print the table; return 1 where an aim is missed."""
    missed = 0
    print(f"{machine()}\n")
    table = Table("process", "median ms", "worst ms", "aim ms", "met")
    for name, arguments, aim_s in JOBS:
        times = sorted(_run_s(arguments) for _ in range(RUNS))
        median_s = statistics.median(times)
        met = aim_s is None or median_s <= aim_s
        missed += not met
        aim = ("", "") if aim_s is None else (f"{1000 * aim_s:.0f}", "yes" if met else "**no**")
        table.row(name, f"{1000 * median_s:.0f}", f"{1000 * times[-1]:.0f}", *aim)
    return int(missed > 0)


def _run_s(arguments: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
