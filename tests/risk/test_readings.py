"""Sensor tables: units by hand, and every kind of fault named, all at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pdnopt
from pdnopt.errors import InputError
from pdnopt.risk import read_sensor_file, read_sensors


def rows(
    component: str, sensor: str, values: list[object], unit: str | None, start: str = "2026-01-01T00:00Z"
) -> pd.DataFrame:
    times = pd.date_range(start, periods=len(values), freq="1h")
    return pd.DataFrame(
        {"time": times, "component": component, "sensor": sensor, "value": values, "unit": unit}
    )


def test_units_become_those_of_the_sensor() -> None:
    table = pd.concat(
        [
            rows("ups:A", "temperature", [104.0, 212.0], "degF"),
            rows("ups:A", "current", [0.5, 1.0], "kA"),
            rows("ups:A", "thd", [0.04, 0.05], "pu"),
            rows("ups:A", "vibration", [0.1, 0.2], "in/s"),
            rows("ups:A", "acceleration", [1.0, 2.0], "g"),
        ]
    )
    found = read_sensors(table).of("ups:A")
    np.testing.assert_allclose(found["temperature"], [40.0, 100.0])
    np.testing.assert_allclose(found["current"], [500.0, 1000.0])
    np.testing.assert_allclose(found["thd"], [4.0, 5.0])
    np.testing.assert_allclose(found["vibration"], [2.54, 5.08])
    np.testing.assert_allclose(found["acceleration"], [9.80665, 19.6133])


def test_long_and_wide_tables_are_the_same() -> None:
    long = pd.concat(
        [rows("ups:A", "temperature", [30.0, np.nan, 31.0], "degC"), rows("ups:A", "current", [1, 2, 3], "A")]
    )
    wide = pd.DataFrame(
        {("ups:A", "temperature"): [30.0, np.nan, 31.0], ("ups:A", "current"): [1.0, 2.0, 3.0]},
        index=pd.date_range("2026-01-01T00:00Z", periods=3, freq="1h"),
    )
    one, other = read_sensors(long), read_sensors(wide)
    assert one.components == other.components == ["ups:A"]
    for sensor in ("temperature", "current"):
        pd.testing.assert_series_equal(one.of("ups:A")[sensor], other.of("ups:A")[sensor], check_freq=False)


def test_other_zones_are_the_same_moments() -> None:
    table = rows("ups:A", "temperature", [30.0, 31.0], "degC")
    berlin = table.assign(time=table["time"].dt.tz_convert("Europe/Berlin"))
    text = table.assign(time=berlin["time"].map(lambda t: t.isoformat()))
    index = read_sensors(table).of("ups:A")["temperature"].index
    assert read_sensors(berlin).of("ups:A")["temperature"].index.equals(index)
    assert read_sensors(text).of("ups:A")["temperature"].index.equals(index)


def test_every_fault_is_told_at_once() -> None:
    table = pd.concat(
        [
            rows("ups:UPS-A", "temperature", [30.0, 32767.0, 31.0], "degC"),
            rows("ups:UPS-A", "humidity", [30.0, 140.0], "%RH"),
            rows("ups:UPS-A", "current", [1.0, np.inf], "A"),
            rows("ups:UPS-B", "temperature", [1.0, 2.0], "furlong"),
            rows("ups:UPS-B", "colour", [1.0, 2.0], ""),
            rows("ups:NOBODY", "temperature", [1.0, 2.0], "degC"),
            rows("ups:UPS-B", "thd", [1.0, 2.0], "%").iloc[::-1],
            rows("ups:UPS-B", "current", ["1", "many"], "A"),
        ]
    )
    with pytest.raises(InputError) as caught:
        read_sensors(table, pdnopt.load_case("two_feed"))
    kinds = {issue.kind for issue in caught.value.issues}
    assert kinds == {
        "NotAvailable",
        "Range",
        "NonFinite",
        "UnknownUnit",
        "UnknownSensor",
        "InvalidId",
        "TimeOrder",
        "Format",
    }
    for issue in caught.value.issues:
        assert issue.path.startswith("sensors")
        assert issue.allowed
        assert issue.todo


@pytest.mark.parametrize("text", [False, True])
def test_times_without_a_zone_are_refused(text: bool) -> None:
    table = rows("ups:A", "temperature", [30.0, 31.0], "degC")
    naive = table["time"].dt.tz_localize(None)
    table["time"] = naive.astype(str) if text else naive
    with pytest.raises(InputError) as caught:
        read_sensors(table)
    assert [issue.kind for issue in caught.value.issues] == ["TimezoneRequired"]


def test_repeated_times_are_refused() -> None:
    table = rows("ups:A", "temperature", [30.0, 31.0], "degC")
    with pytest.raises(InputError, match="TimeOrder"):
        read_sensors(pd.concat([table, table]))


def test_a_table_without_columns_or_rows() -> None:
    with pytest.raises(InputError, match="Schema"):
        read_sensors(pd.DataFrame({"a": [1]}))
    with pytest.raises(InputError, match="Empty"):
        read_sensors(rows("ups:A", "temperature", [], "degC"))


def test_synthetic_is_carried_through_a_file(tmp_path: Path) -> None:
    table = rows("ups:A", "temperature", [30.0, 31.0], "degC")
    assert not read_sensors(table).synthetic
    table.assign(synthetic=True).to_csv(tmp_path / "made.csv", index=False)
    assert read_sensors(read_sensor_file(tmp_path / "made.csv")).synthetic
    table.to_csv(tmp_path / "real.csv", index=False)
    assert not read_sensors(read_sensor_file(tmp_path / "real.csv")).synthetic
    with pytest.raises(InputError, match="File"):
        read_sensor_file(tmp_path / "none.csv")
