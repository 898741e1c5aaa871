"""Tables and names that options of the command line give: files of loads and of risks, pairs of components."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pdnopt.errors import InputError, Issue

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_loads", "read_pairs", "read_risk_table", "read_spectra_table"]

FORMATS = (".csv", ".parquet")


def read_loads(path: Path) -> pd.DataFrame:
    """Return load vectors in kW: the first column rows of the loads' table, or their names, one more column for each vector.

    Headers "step@scenario" (3@0.9) are steps with a scenario or quantile each; others are steps.

    Raises
    ------
    InputError
        A file that cannot be read, is no table, or whose first column are neither row numbers nor names of loads.
    """
    import pandas as pd

    frame = _read(path, "--loads")
    entries = pd.Series(frame.index)
    rows = pd.to_numeric(entries, errors="coerce")
    named = entries.astype(str).str.startswith(("load:", "asymmetric_load:"))
    wrong = frame.index[((rows.isna() | (rows % 1 != 0)) & ~named).to_numpy()].tolist()
    if wrong:
        todo = "Write the index of net.load in the first column, or names as asymmetric_load:R1."
        allowed = "row numbers of net.load, or names of loads"
        raise InputError(Issue("InvalidId", "--loads", str(path), wrong[:5], allowed, todo))
    frame.index = pd.Index(entries if named.all() else rows.where(~named, entries), name="load")
    if not named.any():
        frame.index = frame.index.astype(int)
    frame = _numbers(frame, path, "--loads", "kW")
    if len(frame.columns) and frame.columns.astype(str).str.contains("@").all():
        pairs = [str(column).split("@", 1) for column in frame.columns]
        frame.columns = pd.MultiIndex.from_tuples([(_number(a), _number(b)) for a, b in pairs])
    return frame


def _number(text: str) -> int | float | str:
    """Return a number where a text is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip()


def read_risk_table(path: Path) -> pd.DataFrame:
    """Return probabilities of failing: the first column names of components, one more column a step. Raises InputError."""
    return _numbers(_read(path, "--risk"), path, "--risk", "probabilities from 0 to 1")


def read_spectra_table(path: Path) -> pd.DataFrame:
    """Return measured spectra: columns circuit, order, phase, i_a or percent, angle_degree. Raises InputError."""
    return _read(path, "--spectra").reset_index()


def read_pairs(texts: list[str]) -> list[tuple[str, str]]:
    """Return the pairs of ``--doubles``, each written "a + b" or "a,b". Raises InputError."""
    pairs, issues = [], []
    for text in texts:
        parts = [part.strip() for part in text.replace("+", ",").split(",") if part.strip()]
        if len(parts) != 2:
            todo = "Write ups:A,ups:B."
            issues.append(Issue("Format", "--doubles", "", text, "two components with a comma between", todo))
        else:
            pairs.append((parts[0], parts[1]))
    if issues:
        raise InputError(issues)
    return pairs


def _read(path: Path, option: str) -> pd.DataFrame:
    import pandas as pd

    todo = "Give a CSV file with a header, or a Parquet file."
    if path.suffix.lower() not in FORMATS:
        raise InputError(Issue("Format", option, "", str(path), " or ".join(FORMATS), todo))
    try:
        if path.suffix.lower() == ".csv":
            return pd.read_csv(path, index_col=0)
        frame = pd.read_parquet(path)
        plain = isinstance(frame.index, pd.RangeIndex) and len(frame.columns) > 1
        return frame.set_index(frame.columns[0]) if plain else frame
    except ImportError:
        todo = "Install it with: pip install 'pdnopt[parquet]', or give a CSV file."
        raise InputError(Issue("Missing", option, "", str(path), "pyarrow to read Parquet", todo)) from None
    except OSError as error:
        allowed = f"a readable file ({error.strerror or str(error).splitlines()[0]})"
        raise InputError(Issue("File", option, "", str(path), allowed, todo)) from None
    except (ValueError, pd.errors.ParserError) as error:
        allowed = f"a table ({str(error).splitlines()[0]})"
        raise InputError(Issue("Format", option, "", str(path), allowed, todo)) from None


def _numbers(frame: pd.DataFrame, path: Path, option: str, allowed: str) -> pd.DataFrame:
    """Return the table as numbers; empty cells stay NaN, for the one who reads them to refuse."""
    import pandas as pd

    issues = []
    numbers: pd.DataFrame = frame.apply(pd.to_numeric, errors="coerce")
    for name in frame.columns:
        wrong = frame[name].notna() & numbers[name].isna()
        for row in frame.index[wrong.to_numpy()][:5]:
            issues.append(
                Issue(
                    "Format", f"{option} {path.name}[{name}]", str(row), frame.at[row, name], allowed,
                    "Write a number.",
                )
            )  # fmt: skip
    if issues:
        raise InputError(issues)
    return numbers.astype(float)
