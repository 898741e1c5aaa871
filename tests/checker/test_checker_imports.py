"""The checker shares no code with the models."""

from __future__ import annotations

import ast
from pathlib import Path

import pdnopt.checker

ALLOWED = (
    "pdnopt.acflow",
    "pdnopt.checker",
    "pdnopt.errors",
    "pdnopt.plan",
    "pdnopt.plant.names",
    "pdnopt.plant.tables",
    "pdnopt.units",
)
OUTSIDE = {"numpy", "scipy", "pandas", "collections", "copy", "dataclasses", "math", "typing", "__future__"}


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_imports_nothing_of_the_models() -> None:
    folder = Path(str(pdnopt.checker.__file__)).parent
    files = sorted(folder.glob("**/*.py"))
    assert len(files) > 10
    for path in files:
        for name in imported(path):
            if name.startswith("pdnopt"):
                assert any(f"{name}.".startswith(f"{good}.") for good in ALLOWED), f"{path.name}: {name}"
            else:
                assert name.partition(".")[0] in OUTSIDE, f"{path.name}: {name}"
        assert "import_module" not in path.read_text()


def test_files_stay_short() -> None:
    folder = Path(str(pdnopt.checker.__file__)).parent
    assert max(len(path.read_text().splitlines()) for path in folder.glob("*.py")) <= 450
