"""Run the benchmarks one after another: ``python -m tests.benchmarks [NAME ...]``, or ``make bench``.

Each is a process of its own. What it prints goes to the screen and to ``out/bench/NAME.txt``; then the Markdown tables of
all are gathered in ``out/bench/benchmarks.md``, with those of earlier runs for benchmarks that did not run now.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks._reporting import OUT, machine

ARGUMENTS: dict[str, list[str]] = {
    "campaign": ["--runs", "60"],
    "against_baselines": ["--case", "two_feed", "mim_pod", "micro_ats_row", "hall_2n@0.9"],
    "fault_to_plan": ["--sample", "600", "--opponents", "4"],
    "stranded_power": ["--traces", "5"],
    "lstm_scores": ["--task", "ETT_1H"],
    "n1_halls": ["--case", "hall_2n", "--levels", "0.75", "0.9"],
    "reconfiguration": [
        *("--case", "dnr_16_civanlar", "--case", "dnr_33_baran_wu", "--case", "dnr_69_baran_wu"),
    ],
}
"""Smaller jobs, so that all benchmarks together take about half an hour; run one alone for the whole."""

LAST = ("growth",)
"""The longest."""


def names() -> list[str]:
    """Return the benchmarks: every module here whose name does not begin with an underscore."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    return [name for name in found if name not in LAST] + [name for name in found if name in LAST]


def run(name: str) -> int:
    """Run one benchmark; return its exit code."""
    command = [sys.executable, "-W", "ignore", "-m", f"tests.benchmarks.{name}", *ARGUMENTS.get(name, [])]
    print(f"== {name} {' '.join(ARGUMENTS.get(name, []))}".rstrip(), flush=True)
    begun = time.perf_counter()
    with (
        (OUT / f"{name}.txt").open("w", encoding="utf-8") as file,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            file.write(line)
    print(f"== {name}: {time.perf_counter() - begun:.0f} s, exit code {process.returncode}\n", flush=True)
    return process.returncode


def gather() -> Path:
    """Write the Markdown page from what the benchmarks left; return its path."""
    parts = ["# Benchmarks\n", f"{machine()}\n"]
    for name in names():
        text = OUT / f"{name}.txt"
        if text.exists():
            parts += [f"## {name}\n", f"{_question(name)}\n", _tables(text.read_text(encoding="utf-8"))]
            figure = OUT / f"{name}.png"
            if figure.exists():
                parts.append(f"![{name}]({figure.name})\n")
    page = OUT / "benchmarks.md"
    page.write_text("\n".join(parts), encoding="utf-8")
    return page


def _question(name: str) -> str:
    """Return the first paragraph of a benchmark's docstring, without importing it."""
    source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or name).split("\n\n")[0]


def _tables(text: str) -> str:
    """Return the Markdown tables of a benchmark's output, and the lines that name its job."""
    lines = [line for line in text.splitlines() if line.startswith("|") or not line or "cores" in line]
    return (
        "\n".join(lines).strip() + "\n"
        if any(line.startswith("|") for line in lines)
        else f"```\n{text}```\n"
    )


def main() -> int:
    """Run what is asked for; return 1 where a benchmark misses an aim or fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}; default: all")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in names()]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(names())}")
    OUT.mkdir(parents=True, exist_ok=True)
    codes = {name: run(name) for name in options.names or names()}
    print(f"gathered in {gather()}")
    missed = [name for name, code in codes.items() if code]
    if missed:
        print(f"an aim was missed or the benchmark failed: {', '.join(missed)}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
