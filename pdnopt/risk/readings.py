"""Sensor series, checked: a long or a wide table becomes one clean series per component and sensor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.errors import InputError, Issue
from pdnopt.plant.names import find_component
from pdnopt.risk.sensors import SENSORS, SENTINELS

__all__ = ["Readings", "read_sensor_file", "read_sensors"]

COLUMNS = ("time", "component", "sensor", "value", "unit")
WITH_ZONE = re.compile(r"(?:Z|[+-]\d{2}:?\d{2})$")
TODO_ZONE = "Localise the times, for instance frame.time.dt.tz_localize('UTC'), or write them with an offset."
MOST_SHOWN = 5


@dataclass(frozen=True)
class Readings:
    """Checked series.

    Parameters
    ----------
    series : dict
        ``{(component, sensor): Series}``; index UTC and increasing, values in the sensor's unit, NaN where a gap is.
    synthetic : bool
        Whether any of it came from a generator; goes along to everything that is computed from it.
    """

    series: dict[tuple[str, str], pd.Series]
    synthetic: bool

    @property
    def components(self) -> list[str]:
        """Return the components, in the order in which they were first seen."""
        return list(dict.fromkeys(component for component, _ in self.series))

    def of(self, component: str) -> dict[str, pd.Series]:
        """Return the series of one component by sensor."""
        return {sensor: series for (name, sensor), series in self.series.items() if name == component}


def read_sensor_file(path: Path | str) -> pd.DataFrame:
    """Return the table of a CSV or Parquet file, unchecked.

    Raises
    ------
    InputError
        The file cannot be read or is no table.
    """
    path = Path(path)
    todo = f"Give a CSV or Parquet file with the columns {', '.join(COLUMNS)}."
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype={"component": str, "sensor": str, "unit": str})
    except ImportError as error:
        raise InputError(
            Issue(
                "MissingExtra",
                "sensors",
                "",
                str(path),
                "the extra 'parquet' installed",
                "pip install 'pdnopt[parquet]'",
            )
        ) from error
    except OSError as error:
        raise InputError(
            Issue("File", "sensors", "", str(path), f"a readable file ({error.strerror or error})", todo)
        ) from None
    except (ValueError, pd.errors.ParserError) as error:
        text = (str(error).splitlines() or [""])[0]
        raise InputError(Issue("Format", "sensors", "", str(path), f"a table ({text})", todo)) from None


def read_sensors(frame: pd.DataFrame, net: Any = None, units: Mapping[str, str] | None = None) -> Readings:
    """Check a table of sensor readings; every fault at once.

    Parameters
    ----------
    frame : DataFrame
        Long: columns ``time, component, sensor, value, unit`` and optionally ``synthetic``. Wide: index of times with a
        zone, columns a MultiIndex (component, sensor) or (component, sensor, unit). NaN marks a gap.
    net : pandapowerNet, optional
        The plant; components are looked up in it.
    units : mapping, optional
        ``{sensor: unit}`` for tables without a unit; default the unit of :data:`pdnopt.risk.sensors.SENSORS`.

    Raises
    ------
    InputError
        Missing columns, times without a zone or out of order, unknown components, sensors or units, values outside the
        sensor's range, infinities, and the values that meters send where they have none.
    """
    long = _long(frame, dict(units or {}))
    synthetic = bool(frame.attrs.get("synthetic", False))
    if "synthetic" in long:
        synthetic |= bool(long["synthetic"].astype(str).str.lower().isin(["true", "1", "yes"]).any())
    issues: list[Issue] = []
    times = _times(long["time"], issues)
    values = pd.to_numeric(long["value"], errors="coerce")
    wrong = values.isna() & long["value"].notna()
    if wrong.any():
        shown = long.loc[wrong, "value"].tolist()[:MOST_SHOWN]
        issues.append(Issue("Format", "sensors.value", "", shown, "numbers", "Leave a gap empty."))
    series: dict[tuple[str, str], pd.Series] = {}
    names = _names(net, long["component"].unique(), issues)
    columns = pd.DataFrame({"t": times, "v": values.to_numpy(float)})
    for key, rows in columns.groupby(
        [long["component"].to_numpy(), long["sensor"].to_numpy(), long["unit"].to_numpy()],
        sort=False,
        dropna=False,
    ):
        component, sensor, unit = (str(part) for part in key)
        clean = _series(component, sensor, unit, rows, issues)
        if clean is None or component not in names:
            continue
        where = (names[component], sensor)
        if where in series:
            issues.append(
                Issue(
                    "NotUnique",
                    f"sensors.{sensor}",
                    component,
                    unit,
                    "one unit a series",
                    "Split it into two files.",
                )
            )
        series[where] = clean
    if issues:
        raise InputError(issues)
    if not series:
        raise InputError(Issue("Empty", "sensors", "", 0, "at least one reading", "Give a table with rows."))
    return Readings(series, synthetic)


def _long(frame: pd.DataFrame, units: dict[str, str]) -> pd.DataFrame:
    """Return the table in long form; raises where it is neither long nor wide."""
    if isinstance(frame.columns, pd.MultiIndex) and frame.columns.nlevels in (2, 3):
        parts = []
        for column in frame.columns:
            component, sensor = str(column[0]), str(column[1])
            unit = str(column[2]) if frame.columns.nlevels == 3 else units.get(sensor, _unit(sensor))
            parts.append(
                pd.DataFrame(
                    {
                        "time": pd.Series(frame.index),
                        "component": component,
                        "sensor": sensor,
                        "value": frame[column].to_numpy(),
                        "unit": unit,
                    }
                )
            )
        if parts:
            return pd.concat(parts, ignore_index=True)
    missing = [name for name in COLUMNS[:4] if name not in frame.columns]
    if missing:
        allowed = f"the columns {', '.join(COLUMNS)}, or columns (component, sensor) over an index of times"
        raise InputError(
            Issue(
                "Schema",
                "sensors",
                "",
                [str(c) for c in frame.columns][:8],
                allowed,
                f"Add {', '.join(missing)}.",
            )
        )
    long = frame.reset_index(drop=True).copy()
    given = long["unit"] if "unit" in long else pd.Series(None, index=long.index, dtype=object)
    fallback = long["sensor"].map(lambda sensor: units.get(str(sensor), _unit(str(sensor))))
    long["unit"] = given.where(given.notna(), fallback)
    return long


def _unit(sensor: str) -> str:
    return SENSORS[sensor].unit if sensor in SENSORS else ""


def _times(column: pd.Series, issues: list[Issue]) -> pd.Series:
    """Return UTC times; NaT where a time cannot be read."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return pd.Series(column.dt.tz_convert("UTC"))
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        issues.append(
            Issue("TimezoneRequired", "sensors.time", "", str(column.iloc[0]), "times with a zone", TODO_ZONE)
        )
        return pd.Series(column.dt.tz_localize("UTC"))
    text = column.astype(str)
    naive = ~text.str.contains(WITH_ZONE)
    times = pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce")
    unread = times.isna()
    if unread.any():
        shown = text[unread].tolist()[:MOST_SHOWN]
        issues.append(
            Issue("Format", "sensors.time", "", shown, "ISO 8601 times", "Write 2026-03-01T12:00:00Z.")
        )
    if (naive & ~unread).any():
        shown = text[naive & ~unread].tolist()[:MOST_SHOWN]
        issues.append(Issue("TimezoneRequired", "sensors.time", "", shown, "times with a zone", TODO_ZONE))
    return times


def _names(net: Any, components: np.ndarray, issues: list[Issue]) -> dict[str, str]:
    """Return components as the plant names them."""
    out: dict[str, str] = {}
    for name in map(str, components):
        table, colon, key = name.partition(":")
        if net is None:
            if not colon or not table or not key:
                allowed = "'table:name', for instance 'transfer:ATS-3'"
                issues.append(
                    Issue("InvalidName", "sensors.component", name, name, allowed, "Correct the name.")
                )
                continue
            out[name] = name
            continue
        try:
            find_component(net, name, "sensors.component")
        except InputError as error:
            issues += error.issues
            continue
        out[name] = name
    return out


def _series(
    component: str, sensor: str, unit: str, rows: pd.DataFrame, issues: list[Issue]
) -> pd.Series | None:
    """Return one checked series in the sensor's unit, or None with the faults noted."""
    path = f"sensors.{sensor}"
    if sensor not in SENSORS:
        allowed = "one of " + ", ".join(SENSORS)
        issues.append(
            Issue("UnknownSensor", "sensors.sensor", component, sensor, allowed, "Rename or leave it out.")
        )
        return None
    kind = SENSORS[sensor]
    if unit not in kind.units:
        allowed = "one of " + ", ".join(kind.units)
        issues.append(
            Issue("UnknownUnit", path, component, unit, allowed, "Convert the values, or name the unit.")
        )
        return None
    t, v = rows["t"], rows["v"].to_numpy(float)
    before = len(issues)
    backwards = t.diff().dropna() <= pd.Timedelta(0)
    if backwards.any():
        at = str(t.loc[backwards.index[backwards.to_numpy()][0]])
        issues.append(
            Issue(
                "TimeOrder",
                path,
                component,
                at,
                "strictly increasing times",
                "Sort the rows and remove repeats.",
            )
        )
    absent = np.isin(v, SENTINELS)
    if absent.any():
        todo = "Decode it as a gap (empty or NaN): the meter says that it has no value."
        issues.append(
            Issue("NotAvailable", path, component, float(v[absent][0]), f"a reading in {unit}", todo)
        )
    if np.isinf(v).any():
        issues.append(
            Issue("NonFinite", path, component, "inf", f"a finite number of {unit}", "Leave the gap empty.")
        )
    factor, offset = kind.units[unit]
    inside = factor * v + offset
    beyond = np.isfinite(v) & ~absent & ((inside < kind.low) | (inside > kind.high))
    if beyond.any():
        allowed = f"{kind.low:g} to {kind.high:g} {kind.unit}"
        todo = f"{int(beyond.sum())} readings. Check the unit ({unit}) and the decoding."
        issues.append(Issue("Range", path, component, float(v[beyond][0]), allowed, todo))
    if len(issues) > before:
        return None
    return pd.Series(inside, index=pd.DatetimeIndex(t, name="time"), name=sensor)
