"""A node's own forecast: of what it has measured, by the model that was deployed to it, in a process that ends."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pdnopt.errors import InputError
from pdnopt.forecast.naive import SeasonalNaive
from pdnopt.forecast.registry import Registry
from pdnopt.node.agent import Forecasting
from pdnopt.node.forecast_worker import forecast
from pdnopt.node.forecasting import Forecasts, Order
from pdnopt.node.measurements import Measurements
from pdnopt.node.settings import ForecastSettings
from pdnopt.protocols.announcements import Announcement, parse_announcement
from tests.node.bench import LOAD, Bench

HOUR_S = 3600
DAYS = 15
BEGIN_S = 1_699_920_000  # midnight UTC


def load_kw(hour: int) -> float:
    """Return the load of an hour since BEGIN_S: the same every day."""
    return 2.0 + 0.1 * (hour % 24)


def past(hours: int) -> pd.DataFrame:
    index = pd.date_range(pd.Timestamp(BEGIN_S, unit="s", tz="UTC"), periods=hours, freq="h")
    return pd.DataFrame({LOAD: [load_kw(h) for h in range(hours)]}, index=index)


def deploy(folder: Path, model: object) -> Path:
    registry = Registry(folder / "models")
    registry.promote(registry.add(model, {}), None)  # type: ignore[arg-type]
    return folder / "models"


def measured(folder: Path, begin: int, end: int) -> Path:
    kept = Measurements(folder / "m.db", HOUR_S, 1e9)
    for hour in range(begin, end):
        kept._waiting.append((BEGIN_S + hour * HOUR_S, LOAD, load_kw(hour)))
    kept._write()
    kept.close()
    return folder / "m.db"


def order(root: Path, means: Path, hour: int, **changes: object) -> Order:
    given = {
        "model": str(root),
        "database": str(means),
        "circuits": (LOAD,),
        "step_s": HOUR_S,
        "now_s": BEGIN_S + hour * HOUR_S + 5.0,
        "horizon": 6,
        "quantiles": (0.1, 0.5, 0.9),
    }
    return Order(**{**given, **changes})  # type: ignore[arg-type]


def wait(forecasts: Forecasts) -> Announcement | None:
    end_s = time.monotonic() + 120.0
    while time.monotonic() < end_s:
        found = forecasts.poll()
        if found is not None or not forecasts.busy:
            return found
        time.sleep(0.05)
    raise AssertionError("no answer")


def test_node_measures_forecasts_and_announces(tmp_path: Path) -> None:
    """A load that is the same every day: the seasonal forecast's median is that of the day before, hour by hour."""
    model = deploy(tmp_path, SeasonalNaive().fit(past(DAYS * 24)))
    bench = Bench()
    bench.clock.offset_s = BEGIN_S + DAYS * 24 * HOUR_S - bench.clock.now_s
    settings = ForecastSettings(model, (LOAD,), HOUR_S, 6)
    kept = Measurements(tmp_path / "m.db", HOUR_S, 1e9)
    bench.forecasting = Forecasting(settings, kept, Forecasts(120.0))
    bench.start()  # nothing is measured yet: its first order must fail, and harm nothing
    assert wait(bench.forecasting.forecasts) is None
    assert "TooShort" in bench.forecasting.forecasts.trouble
    for _ in range(2 * 12 + 1):
        hour = round((bench.clock.utc_s() - BEGIN_S) // HOUR_S)
        bench.wires[LOAD].state["p_kw"] = load_kw(hour)
        bench.node.step()
        if bench.forecasting.forecasts.busy:
            wait(bench.forecasting.forecasts)
        bench.clock.sleep(300.0)
    bench.node.step()
    _, told = next(item for item in reversed(bench.told) if item[0] == "forecast")
    announced = parse_announcement(json.dumps(told).encode())
    begin = DAYS * 24 + 2
    assert announced.begin_s == BEGIN_S + begin * HOUR_S
    assert announced.model == "0001"
    assert announced.warnings == ()
    medians = [row[1] for row in announced.kw[LOAD]]
    assert medians == pytest.approx([load_kw(begin + k) for k in range(6)], abs=1e-3)
    assert bench.node.status()["forecast"]["trouble"] == ""
    bench.node.close()


def test_not_announced_while_the_broker_is_away_and_then_it_is(tmp_path: Path) -> None:
    model = deploy(tmp_path, SeasonalNaive().fit(past(DAYS * 24)))
    database = measured(tmp_path, DAYS * 24, DAYS * 24 + 5)
    bench = Bench()
    bench.clock.offset_s = BEGIN_S + (DAYS * 24 + 5) * HOUR_S - bench.clock.now_s
    settings = ForecastSettings(model, (LOAD,), HOUR_S, 6)
    bench.forecasting = Forecasting(settings, Measurements(database, HOUR_S, 1e9), Forecasts(120.0))
    bench.start()  # what an earlier life measured is enough
    bench.online = False
    assert wait(bench.forecasting.forecasts) is not None
    bench.step()
    assert not bench.told
    bench.online = True
    bench.step()
    bench.step()
    assert [what for what, _ in bench.told].count("forecast") == 1
    bench.node.close()


def test_altered_model_is_not_used(tmp_path: Path) -> None:
    model = deploy(tmp_path, SeasonalNaive().fit(past(DAYS * 24)))
    numbers = model / "versions" / "0001" / "forecaster.npz"
    raw = bytearray(numbers.read_bytes())
    raw[-1] ^= 1
    numbers.write_bytes(bytes(raw))
    with pytest.raises(InputError, match="ArtefactAltered"):
        forecast(asdict(order(model, measured(tmp_path, 0, 5), 5)))


def test_what_else_goes_wrong_is_a_reason(tmp_path: Path) -> None:
    model = deploy(tmp_path, SeasonalNaive().fit(past(DAYS * 24)))
    database = measured(tmp_path, DAYS * 24, DAYS * 24 + 5)
    for changes, said in (
        ({"step_s": 900}, "StepError"),
        ({"model": str(tmp_path / "nothing")}, "File"),
        ({"database": str(tmp_path / "none.db")}, "unable to open"),
    ):
        with pytest.raises((InputError, sqlite3.OperationalError), match=said):
            forecast(asdict(order(model, database, DAYS * 24 + 5, **changes)))


def test_process_that_is_late_is_ended_and_one_that_fails_says_why(tmp_path: Path) -> None:
    late = Forecasts(0.0)
    late.begin(order(tmp_path, tmp_path / "m.db", 5))
    assert wait(late) is None
    assert "took longer" in late.trouble
    failing = Forecasts(120.0)
    failing.begin(order(tmp_path / "nothing", tmp_path / "m.db", 5))
    assert wait(failing) is None
    assert "InputError" in failing.trouble
    assert failing.latest is None


def test_deployed_lstm_without_torch(tmp_path: Path) -> None:
    """The network's file alone is enough: the process runs with torch, pandapower and pyomo locked out."""
    pytest.importorskip("torch", reason="the extra 'lstm' is not installed: no network to deploy")
    pytest.importorskip("onnx")
    from pdnopt.forecast.lstm.forecaster import LSTMForecaster
    from pdnopt.forecast.lstm.settings import Settings

    tiny = Settings(horizon=6, context=24, hidden=4, steps=4, batch=8)
    made = LSTMForecaster(tiny).fit(past(DAYS * 24))
    wanted = order(deploy(tmp_path, made), measured(tmp_path, DAYS * 24, DAYS * 24 + 5), DAYS * 24 + 5)
    program = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'pandapower', 'pyomo', 'cvxpy'): sys.modules[name] = None\n"
        "from pdnopt.node.forecast_worker import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(asdict(wanted)).encode() + b"\n",
        stdout=subprocess.PIPE,
        check=True,
        cwd=Path(__file__).parents[2],
        timeout=120.0,
    )
    announced = parse_announcement(done.stdout)
    direct = made.update(past(DAYS * 24 + 5).iloc[-5:]).predict(6, (0.1, 0.5, 0.9)).to_numpy(float)
    np.testing.assert_allclose(announced.kw[LOAD], direct, atol=1e-4)
    assert announced.begin_s == BEGIN_S + (DAYS * 24 + 5) * HOUR_S
