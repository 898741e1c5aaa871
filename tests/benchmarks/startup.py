"""Start-up times, the interpreter's included: ``python -m tests.benchmarks.startup``.

Aims: ``pdnopt --help`` 0.4 s, ``import pdnopt`` 0.5 s. The median of 15 runs is judged, with that of a bare
interpreter beside it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

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
    for name, arguments, aim_s in JOBS:
        times = sorted(_run_s(arguments) for _ in range(RUNS))
        median = statistics.median(times)
        verdict = (
            "" if aim_s is None else f"aim {1000 * aim_s:.0f} ms: {'met' if median <= aim_s else 'MISSED'}"
        )
        missed += aim_s is not None and median > aim_s
        print(
            f"{name:22} median {1000 * median:5.0f} ms  worst {1000 * times[-1]:5.0f} ms  {verdict}".rstrip()
        )
    return int(missed > 0)


def _run_s(arguments: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
