"""Networks as files: what ``pandapower.to_json`` writes, read without importing what the file names.

``pandapower.from_json`` imports whatever ``_module`` a file names and calls what it finds there, inside
cells and nested JSON strings too; a DataFrame whose text is an absolute path is even opened. So the file
never reaches pandapower's decoder: it is parsed as plain JSON, and only the objects of :data:`ALLOWED` are
built, by the functions named here. Everything else - controllers, functions, partials, enumerations, graphs,
shapes - is refused by name, all of it at once.

A written file opens with plain ``pandapower.from_json`` too. Unlike ``pandapower.to_json`` it keeps
infinities (as the text "Infinity", which both readers turn back into the number), every digit, and NaN in
object columns.
"""

from __future__ import annotations

import copy
import functools
import json
import os
import re
import stat
import tempfile
import warnings
from ast import literal_eval
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
from pandapower.auxiliary import pandapowerNet
from pandapower.convert_format import convert_format
from pandapower.io_utils import to_serializable

from pdnopt.errors import InputError, Issue
from pdnopt.plant.tables import ensure_tables

__all__ = ["MAX_BYTES", "MAX_DEPTH", "read_network", "write_network"]

MAX_BYTES = 512 * 1024 * 1024
"""Largest file that is read: 512 MB, some millions of circuits."""

MAX_DEPTH = 32
"""Deepest nesting of objects and lists, JSON texts inside JSON included; pandapower's own files use 8."""

_SAFE_DTYPE = re.compile(
    r"^(bool|boolean|object|str|string|category|[uU]?[iI]nt(8|16|32|64)|[fF]loat(32|64)"
    r"|complex128|datetime64\[ns(, [A-Za-z0-9_+:/-]+)?\]|timedelta64\[ns\])$"
)
_PICKLE_SUFFIXES = (".p", ".pkl", ".pickle")
_NUMPY_SCALARS = tuple(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))
_NUMPY_FLOATS = ("float16", "float32", "float64")
_RESAVE = "Open it where you trust it, remove the object, and save it again with pandapower.to_json."


# --- reading


def read_network(path: str | os.PathLike[str]) -> Any:
    """Read a network from a JSON file. Nothing that the file names is imported or called.

    Parameters
    ----------
    path : str or PathLike
        A ``.json`` file by `write_network` or ``pandapower.to_json``; older pandapower formats are converted.

    Returns
    -------
    pandapowerNet
        With pdnopt's tables (empty ones where the file has none). Call ``pdnopt.validate`` on it next.

    Raises
    ------
    InputError
        No such file, not JSON, not a network, too large, too deep, or objects that are not allowed: all
        findings of the file at once, each with its place in the JSON.
    """
    path = Path(path)
    document = _parse(_read_text(path), "$", str(path))
    reader = _Reader(str(path))
    net = reader.network(document)
    if reader.issues or net is None:
        raise InputError(reader.issues)
    _convert(net, str(path))
    ensure_tables(net)
    return net


def _fail(kind: str, place: str, id_: str, value: Any, allowed: str, todo: str) -> InputError:
    return InputError(Issue(kind, place, id_, value, allowed, todo))


def _read_text(path: Path) -> str:
    name = str(path)
    if path.suffix.lower() in _PICKLE_SUFFIXES:
        raise _fail(
            "PickleRefused",
            "file",
            name,
            path.suffix,
            "a .json file",
            "A pickle can run any code when opened. Save the network with pandapower.to_json.",
        )
    if path.suffix.lower() != ".json":
        todo = "Save the network with pandapower.to_json, or pdnopt.plant.files.write_network."
        raise _fail("Suffix", "file", name, path.suffix, "a .json file", todo)
    try:
        mode = path.stat()
        if not stat.S_ISREG(mode.st_mode):
            what = "a directory" if stat.S_ISDIR(mode.st_mode) else "no regular file"
            raise _fail(
                "File", "file", name, what, "a regular .json file", "Give the path of the file itself."
            )
        if mode.st_size > MAX_BYTES:
            raise _too_large(name, mode.st_size)
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _fail("File", "file", name, "no such file", "an existing file", "Check the path.") from None
    except InputError:
        raise
    except (OSError, ValueError) as reason:
        text = getattr(reason, "strerror", None) or str(reason)
        raise _fail("File", "file", name, text, "a readable file", "Check path and permissions.") from None
    if len(raw) > MAX_BYTES:
        raise _too_large(name, len(raw))
    if raw[:1] == b"\x80":
        raise _fail(
            "PickleRefused", "file", name, "a pickle", "JSON text", "Save it with pandapower.to_json."
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        raise _fail("NotJson", "file", name, str(reason), "UTF-8 text", "Save it again as UTF-8.") from None


def _too_large(name: str, size: int) -> InputError:
    todo = "Drop the res_* tables before saving, or split the network."
    return _fail("TooLarge", "file", name, f"{size} bytes", f"at most {MAX_BYTES} bytes", todo)


def _parse(text: str, place: str, name: str) -> Any:
    """Parse plain JSON; every way in which that fails is an InputError."""
    try:
        return json.loads(text)
    except RecursionError:
        raise _too_deep(place, name) from None
    except ValueError as reason:
        raise _fail("NotJson", place, name, str(reason), "JSON", "Save it with pandapower.to_json.") from None


def _too_deep(place: str, name: str) -> InputError:
    allowed = f"at most {MAX_DEPTH} levels"
    return _fail("TooDeep", place, name, f"more than {MAX_DEPTH} levels", allowed, "No network is so deep.")


def _convert(net: Any, name: str) -> None:
    """Bring an older pandapower format up to date; pandapower refuses a newer one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            convert_format(net)
    except Exception as reason:
        todo = "Open and save it with the pandapower it was made with, or update pandapower."
        value = f"{type(reason).__name__}: {reason}"
        raise _fail(
            "Format", "$._object.format_version", name, value, f"pandapower up to {pp.__version__}", todo
        ) from None


class _Reader:
    """Turns parsed JSON into tables, collecting what is not allowed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.issues: list[Issue] = []

    def add(self, kind: str, place: str, value: Any, allowed: str, todo: str) -> None:
        self.issues.append(Issue(kind, place, self.name, value, allowed, todo))

    # --- the network

    def network(self, document: Any) -> Any | None:
        """Build the network of a whole document, or collect why it is none."""
        todo = "Save the network with pandapower.to_json, or pdnopt.plant.files.write_network."
        if not isinstance(document, dict):
            self.add("NotANetwork", "$", type(document).__name__, "a pandapowerNet object", todo)
            return None
        if "_module" not in document and "_class" not in document:
            self.add(
                "NotANetwork", "$", "an object without _module and _class", "a pandapowerNet object", todo
            )
            self.screen(document, "$", 1)
            return None
        value = self.decode(document, "$", 1)
        if not isinstance(value, pandapowerNet):
            if not self.issues:
                self.add("NotANetwork", "$", type(value).__name__, "a pandapowerNet object", todo)
            return None
        return value

    def net(self, body: Any, keys: dict[str, Any], place: str, depth: int) -> Any:
        """Build a pandapowerNet. Underscored entries are pandapower's scratch and are made anew."""
        if isinstance(body, str):  # pandapower 1: the network as a text
            inner = self.text(body, place)
            if isinstance(inner, dict) and {"_module", "_class"} <= inner.keys():
                return self.decode(inner, place, depth + 1)
            body = inner
        net = copy.deepcopy(_empty_network())
        if not isinstance(body, dict):
            self.add("NotANetwork", place, type(body).__name__, "an object of tables", "Save it again.")
            return net
        if "bus" not in body:
            self.add("NotANetwork", place, sorted(body)[:5], "a table 'bus'", "Save a pandapower network.")
        for key, value in body.items():
            here = f"{place}.{key}"
            if key.startswith("_"):
                self.screen(value, here, depth + 1)
                continue
            known = net.get(key)
            item = self.decode(value, here, depth + 1)
            if isinstance(known, pd.DataFrame) and not isinstance(item, pd.DataFrame):
                if not any(issue.path.startswith(here) for issue in self.issues):
                    self.add(
                        "Format", here, type(item).__name__, "a table", "Save it with pandapower.to_json."
                    )
                continue
            if isinstance(known, dict) and not isinstance(item, dict):
                self.add("Format", here, type(item).__name__, "an object", "Leave the entry out.")
                continue
            net[key] = item
        for key in ("f_hz", "sn_mva"):
            if isinstance(net[key], bool) or not isinstance(net[key], int | float):
                self.add("Format", f"{place}.{key}", net[key], "a number", "Write for example 50.0 or 1.0.")
        return net

    # --- anything

    def decode(self, value: Any, place: str, depth: int) -> Any:
        """Return the Python value of a JSON value, building allowed objects only."""
        if depth > MAX_DEPTH:
            raise _too_deep(place, self.name)
        if isinstance(value, list):
            return [
                self.decode(v, f"{place}[{i}]", depth + 1) if isinstance(v, dict | list) else v
                for i, v in enumerate(value)
            ]
        if not isinstance(value, dict):
            return value
        if "_module" in value or "_class" in value:
            return self.object(value, place, depth)
        return {k: self.decode(v, f"{place}.{k}", depth + 1) for k, v in value.items()}

    def object(self, value: dict[str, Any], place: str, depth: int) -> Any:
        """Build one marked object, if it is on the list; otherwise collect it and look inside for more."""
        module, class_ = value.get("_module"), value.get("_class")
        build = ALLOWED.get((module, class_)) if isinstance(module, str) and isinstance(class_, str) else None
        if build is None:
            allowed = "one of " + ", ".join(sorted({f"{m}.{c}" for m, c in ALLOWED}))
            todo = "Nothing that a file names is imported. " + _RESAVE
            self.add("NotAllowed", place, f"{module}.{class_}", allowed, todo)
            self.screen({k: v for k, v in value.items() if k not in ("_module", "_class")}, place, depth)
            return None
        if "_object" not in value:
            self.add("Format", place, sorted(value), "an entry '_object'", "Save it with pandapower.to_json.")
            return None
        keys = {k: v for k, v in value.items() if k not in ("_module", "_class", "_object")}
        try:
            return build(self, value["_object"], keys, f"{place}._object", depth)
        except InputError:
            raise
        except (
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            AttributeError,
            OverflowError,
            MemoryError,
        ) as reason:
            text = f"{type(reason).__name__}: {reason}"
            self.add("Format", place, text[:200], f"a {class_}", "Save it with pandapower.to_json.")
            return None

    def screen(self, value: Any, place: str, depth: int) -> None:
        """Collect forbidden objects inside something that is not kept."""
        self.decode(value, place, depth + 1)

    def text(self, body: str, place: str) -> Any:
        """Parse JSON inside a JSON text."""
        return _parse(body, place, self.name)

    # --- tables

    def frame(self, body: Any, keys: dict[str, Any], place: str, depth: int) -> pd.DataFrame:
        """Build a DataFrame: oriented "split" (pandapower 2 and 3) or "columns" (older, MultiIndex)."""
        table = self.text(body, place) if isinstance(body, str) else body
        if keys.get("orient", "columns") == "split":
            labels, index, rows = table["columns"], table["index"], table["data"]
            if any(len(row) != len(labels) for row in rows) or len(rows) != len(index):
                raise ValueError("rows, index and columns differ in length")
            columns = list(zip(*rows, strict=True)) if rows else [()] * len(labels)
        else:
            labels = list(table)
            index = list(table[labels[0]]) if labels else []
            columns = [tuple(table[c][i] for i in index) for c in labels]
            index = [_int_or_text(i) for i in index]
        if len({str(c) for c in labels}) != len(labels):
            self.add("NotUnique", place, list(map(str, labels)), "distinct column names", "Rename a column.")
            return pd.DataFrame()
        multi = bool(keys.get("is_multiindex"))
        rows_index = _index(index, keys, multi)
        dtypes = keys.get("dtype") or {}
        if not isinstance(dtypes, dict):
            raise ValueError("dtype is no object")
        data = {
            k: self.column(
                str(label), column, dtypes.get(str(label)), rows_index, f"{place}.data[*][{k}]", depth
            )
            for k, (label, column) in enumerate(zip(labels, columns, strict=True))
        }
        frame = pd.DataFrame(data, index=rows_index)
        frame.columns = _columns(labels, keys)
        return frame

    def column(
        self, label: str, cells: tuple[Any, ...], dtype: Any, index: pd.Index, place: str, depth: int
    ) -> pd.Series:
        """Build one column with its dtype. A cell that does not fit the dtype leaves the column as found."""
        if dtype is not None and not (isinstance(dtype, str) and _SAFE_DTYPE.match(dtype)):
            self.add(
                "NotAllowed",
                f"{place} ({label})",
                dtype,
                "a number, boolean, text or time dtype",
                "Save it again.",
            )
            dtype = None
        found: list[Any] = [
            self.decode(v, f"{place}[{i}]", depth + 2) if isinstance(v, dict | list) else v
            for i, v in enumerate(cells)
        ]
        as_found = pd.Series(_object_array(found), index=index, dtype=object)
        if dtype in ("object", "str"):
            return as_found
        if dtype is None:
            numeric = all(v is None or type(v) in (int, float) for v in found) and None in found
            return as_found.astype("float64") if numeric else as_found.infer_objects()
        if dtype == "bool" or dtype.startswith(("int", "uint")):
            kinds = {type(v) for v in found}
            if not kinds <= ({bool, int} if dtype == "bool" else {int, bool, float}):
                return as_found
            if dtype == "bool" and not set(found) <= {0, 1}:
                return as_found
        try:
            numbers = as_found.astype("float64") if dtype.startswith(("int", "uint")) else None
            if numbers is not None and (not np.isfinite(numbers).all() or (numbers % 1 != 0).any()):
                return numbers
            return as_found.astype(dtype)
        except (ValueError, TypeError, OverflowError):
            return as_found

    def series(self, body: Any, keys: dict[str, Any], place: str, depth: int) -> pd.Series:
        """Build a Series, oriented "split" or "index"."""
        table = self.text(body, place) if isinstance(body, str) else body
        if keys.get("orient", "index") == "split":
            index, cells, name = table["index"], table["data"], table.get("name")
        else:
            index, cells, name = [_int_or_text(i) for i in table], list(table.values()), None
        if len(index) != len(cells):
            raise ValueError("index and data differ in length")
        rows_index = _index(index, keys, bool(keys.get("is_multiindex")))
        out = self.column(str(name), tuple(cells), keys.get("dtype"), rows_index, f"{place}.data", depth)
        out.name = name
        return out

    # --- single values

    def array(self, body: Any, keys: dict[str, Any], place: str, depth: int) -> np.ndarray:
        """Build an array; its dtype is the one written with it, if it is a plain one."""
        cells = self.decode(body, place, depth + 1)
        dtype = keys.get("dtype")
        safe = isinstance(dtype, str) and _SAFE_DTYPE.match(dtype) and dtype not in ("string", "category")
        return np.array(cells, dtype=dtype if safe else None)

    def sequence(self, body: Any, place: str, depth: int) -> list[Any]:
        """Decode a list."""
        if not isinstance(body, list):
            raise ValueError("no list")
        return [self.decode(v, f"{place}[{i}]", depth + 1) for i, v in enumerate(body)]


@functools.cache
def _empty_network() -> Any:
    """pandapower's empty network, built once: copying it takes a tenth of the time. Never handed out itself."""
    return pp.create_empty_network()


def _object_array(cells: list[Any]) -> np.ndarray:
    """An array of objects, one a cell, lists included."""
    out = np.empty(len(cells), dtype=object)
    out[:] = cells if not any(isinstance(v, list | tuple | np.ndarray) for v in cells) else None
    if len(cells) and any(isinstance(v, list | tuple | np.ndarray) for v in cells):
        for i, v in enumerate(cells):
            out[i] = v
    return out


def _int_or_text(label: Any) -> Any:
    return int(label) if isinstance(label, str) and re.fullmatch(r"-?\d{1,18}", label) else label


def _tuples(labels: list[Any]) -> list[tuple[Any, ...]]:
    out = []
    for label in labels:
        value = literal_eval(label) if isinstance(label, str) and len(label) < 1000 else label
        if not isinstance(value, tuple | list) or any(isinstance(v, list | dict | tuple) for v in value):
            raise ValueError("a MultiIndex label is no tuple of plain values")
        out.append(tuple(value))
    return out


def _index(labels: list[Any], keys: dict[str, Any], multi: bool) -> pd.Index:
    if multi:
        names = keys.get("index_names")
        if not labels:
            return pd.MultiIndex.from_arrays([[] for _ in names or [None]], names=names)
        return pd.MultiIndex.from_tuples(_tuples(labels), names=names)
    if any(isinstance(v, list | dict) for v in labels):
        raise ValueError("an index label is no plain value")
    index = pd.Index(labels) if labels else pd.Index([], dtype="int64")
    return index.rename(keys.get("index_name"))


def _columns(labels: list[Any], keys: dict[str, Any]) -> pd.Index:
    if keys.get("is_multicolumn"):
        return pd.MultiIndex.from_tuples(_tuples(labels), names=keys.get("column_names"))
    if keys.get("orient", "columns") != "split":
        labels = [_int_or_text(v) for v in labels]
    index = pd.Index(labels, dtype=object if all(isinstance(v, str) for v in labels) else None)
    return index.rename(keys.get("column_name"))


_Build = Callable[[_Reader, Any, dict[str, Any], str, int], Any]


def _plain(convert: Callable[[Any], Any]) -> _Build:
    """A builder for a value without parts."""
    return lambda reader, body, keys, place, depth: convert(body)


def _of_sequence(convert: Callable[[list[Any]], Any]) -> _Build:
    """A builder for a collection."""
    return lambda reader, body, keys, place, depth: convert(reader.sequence(body, place, depth))


def _truth(body: Any) -> bool:
    if body in (True, "true", "True"):
        return True
    if body in (False, "false", "False"):
        return False
    raise ValueError(f"{body!r} is neither true nor false")


ALLOWED: dict[tuple[str, str], _Build] = {
    ("pandapower.auxiliary", "pandapowerNet"): _Reader.net,
    ("pandas.core.frame", "DataFrame"): _Reader.frame,
    ("pandas", "DataFrame"): _Reader.frame,
    ("pandas.core.series", "Series"): _Reader.series,
    ("pandas", "Series"): _Reader.series,
    ("pandas", "Index"): _of_sequence(pd.Index),
    ("pandas", "RangeIndex"): _of_sequence(pd.Index),
    ("numpy", "array"): _Reader.array,
    ("numpy", "bool"): _plain(_truth),
    ("numpy", "bool_"): _plain(_truth),
    **{("numpy", name): _plain(int) for name in _NUMPY_SCALARS},
    **{("numpy", name): _plain(float) for name in _NUMPY_FLOATS},
    ("builtins", "complex"): _plain(complex),
    ("builtins", "tuple"): _of_sequence(tuple),
    ("builtins", "set"): _of_sequence(set),
    ("builtins", "frozenset"): _of_sequence(frozenset),
}
"""What a file may name, and the function that builds it. Nothing is looked up anywhere else."""


# --- writing


def write_network(net: Any, path: str | os.PathLike[str]) -> None:
    """Write a network as JSON that `read_network` and ``pandapower.from_json`` read.

    The file appears whole or not at all (it is written beside its place and then moved there).

    Parameters
    ----------
    net : pandapowerNet
    path : str or PathLike
        Ends in ``.json``; its directory exists.

    Raises
    ------
    InputError
        Wrong suffix, no such directory, or objects in the network that JSON cannot hold (controllers,
        functions, ...), all named.
    """
    path = Path(path)
    name = str(path)
    if path.suffix.lower() != ".json":
        raise _fail("Suffix", "file", name, path.suffix, "a .json file", "Write for example 'plant.json'.")
    if not isinstance(net, pandapowerNet):
        todo = "Build one with pdnopt.plant.create_empty_plant."
        raise _fail("NotANetwork", "net", "", type(net).__name__, "a pandapowerNet", todo)
    issues: list[Issue] = []
    document = _encode(net, "net", issues)
    if issues:
        raise InputError(issues)
    text = json.dumps(document, indent=2, allow_nan=False)
    scratch = ""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, suffix=".tmp", delete=False
        ) as stream:
            scratch = stream.name
            stream.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(scratch, 0o666 & ~mask)
        os.replace(scratch, path)
    except OSError as reason:
        if scratch:
            Path(scratch).unlink(missing_ok=True)
        text = reason.strerror or str(reason)
        raise _fail(
            "File", "file", name, text, "a place that can be written", "Check path and permissions."
        ) from None


def _marked(module: str, class_: str, body: Any, **keys: Any) -> dict[str, Any]:
    return {"_module": module, "_class": class_, "_object": body, **keys}


def _encode(value: Any, place: str, issues: list[Issue]) -> Any:
    """Return what JSON holds of a value, marked as pandapower marks it."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        return number if np.isfinite(number) else _marked("numpy", "float64", _nonfinite(number))
    if isinstance(value, pandapowerNet):
        body = {k: _encode(v, f"{place}.{k}", issues) for k, v in value.items() if not str(k).startswith("_")}
        return _marked("pandapower.auxiliary", "pandapowerNet", body)
    if isinstance(value, pd.DataFrame) and type(value) is pd.DataFrame:
        return _encode_frame(value, place, issues)
    if isinstance(value, list):
        return [_encode(v, f"{place}[{i}]", issues) for i, v in enumerate(value)]
    if type(value) in (tuple, set, frozenset):
        items = list(value) if isinstance(value, tuple) else sorted(value, key=repr)
        return _marked("builtins", type(value).__name__, _encode(items, place, issues))
    if (
        isinstance(value, dict)
        and all(isinstance(k, str) for k in value)
        and not {"_module", "_class"} & value.keys()
    ):
        return {k: _encode(v, f"{place}.{k}", issues) for k, v in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufOU":
        return _marked("numpy", "array", _encode(value.tolist(), place, issues), dtype=str(value.dtype))
    if isinstance(value, complex):
        return _marked("builtins", "complex", str(value))
    if value is pd.NA or value is pd.NaT:
        return None
    todo = "Remove it before saving; it could not be read back without running its code."
    issues.append(
        Issue(
            "NotAllowed",
            place,
            "",
            f"{type(value).__module__}.{type(value).__name__}",
            "tables and values",
            todo,
        )
    )
    return None


def _nonfinite(number: float) -> str:
    return "NaN" if np.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _encode_frame(frame: pd.DataFrame, place: str, issues: list[Issue]) -> Any:
    """Return a table as pandapower's "split" text, with every digit and infinity."""
    if isinstance(frame.index, pd.MultiIndex) or isinstance(frame.columns, pd.MultiIndex):
        return to_serializable(frame)
    if frame.columns.has_duplicates:
        issues.append(
            Issue("NotUnique", place, "", list(frame.columns), "distinct column names", "Rename a column.")
        )
        return None
    columns = [
        _encode_column(frame.iloc[:, k], f"{place}.{label}", issues) for k, label in enumerate(frame.columns)
    ]
    split = {
        "columns": [_encode(v, f"{place}.columns", issues) for v in frame.columns],
        "index": [_encode(v, f"{place}.index", issues) for v in frame.index.tolist()],
        "data": [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in frame.index],
    }
    out = _marked("pandas.core.frame", "DataFrame", json.dumps(split, allow_nan=False), orient="split")
    if len(frame.columns) and isinstance(frame.columns[0], str):
        out["dtype"] = {str(label): str(dtype) for label, dtype in frame.dtypes.items()}
    if frame.index.name is not None:
        out["index_name"] = frame.index.name
    if frame.columns.name is not None:
        out["column_name"] = frame.columns.name
    out["is_multiindex"] = out["is_multicolumn"] = False
    return out


def _encode_column(column: pd.Series, place: str, issues: list[Issue]) -> list[Any]:
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else "?"
    cells: list[Any] = column.tolist()
    if kind in "biu":
        return cells
    if kind == "f":
        for i in np.flatnonzero(~np.isfinite(column.to_numpy())):
            cells[i] = None if np.isnan(cells[i]) else _nonfinite(cells[i])
        return cells
    if kind in "mM" or isinstance(column.dtype, pd.DatetimeTZDtype):
        return [None if pd.isna(v) else str(v) for v in cells]
    plain = (str, int, bool, type(None))
    return [
        v if type(v) in plain else _encode(v, f"{place}[{i}]", issues)
        for i, v in zip(column.index, cells, strict=True)
    ]
