"""Command line and report of a balance."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pdnopt", *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_solve_writes_a_plan_and_a_report(tmp_path: Path) -> None:
    plan, report = tmp_path / "plan.json", tmp_path / "report.html"
    code, out, err = run("solve", "mim_pod", "balance", "--out", str(plan), "--report", str(report))
    assert (code, "OPTIMAL" in out) == (0, True), err
    actions = json.loads(plan.read_text(encoding="utf-8"))["actions"]
    assert [item["action"] for item in actions] == ["setpoint"] * 20
    page = report.read_text(encoding="utf-8")
    assert "Balance of phases on mim_pod" in page
    assert page.count("<polyline") >= 2
    assert "Phasors at" in page
    assert "Send set-points to 20 inverters" in page


def test_bad_input_is_told_without_a_traceback() -> None:
    code, _, err = run("solve", "mim_pod", "balance", "--failed", "ups:UPS-A")
    assert code == 2
    assert "InvalidName" in err
    assert "Traceback" not in err
