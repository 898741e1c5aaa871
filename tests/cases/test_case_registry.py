"""The registry: cheap to import, builds every case by name."""

import subprocess
import sys

import pytest

from cases import CASES, CaseInfo, build
from pdnopt.library import load_case


def test_importing_cases_imports_nothing_heavy() -> None:
    code = "import sys, cases; print([m for m in ('pandapower', 'pandas', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_case_has_a_line_and_its_own_name() -> None:
    assert {"two_feed", "hall_2n", "hall_4n3"} <= set(CASES)
    for name, info in CASES.items():
        assert isinstance(info, CaseInfo)
        assert info.name == name
        assert info.line
        assert "\n" not in info.line


@pytest.mark.parametrize("name", list(CASES))
def test_every_case_builds_and_carries_its_name(name: str) -> None:
    net = load_case(name)
    assert net.name == name
    assert len(net.load)


def test_an_unknown_case_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(KeyError, match="hall_4n3"):
        build("hall_5n4")
