"""Public names of the forecast package, and forecasters by name."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from pdnopt import forecast
from pdnopt.errors import InputError
from pdnopt.forecast.catalogue import FORECASTERS, forecaster_class, maker


@pytest.mark.parametrize("name", forecast.__all__)
def test_every_public_name_imports_and_is_no_module(name: str) -> None:
    assert getattr(forecast, name).__doc__
    assert find_spec(f"pdnopt.forecast.{name}") is None
    assert name in dir(forecast)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = forecast.nonsense


@pytest.mark.parametrize("name", FORECASTERS)
def test_a_class_has_the_name_that_it_is_found_by(name: str) -> None:
    if name in ("lightgbm", "lstm"):
        pytest.importorskip({"lightgbm": "lightgbm", "lstm": "onnxruntime"}[name])
    found = forecaster_class(name)
    assert {"fit", "update", "predict", "save", "load"} <= set(dir(found))


def test_makers_make_what_they_are_asked_for() -> None:
    pytest.importorskip("lightgbm")
    for name in ("last_value", "seasonal_naive", "lightgbm", "combination", "calibrated_seasonal_naive"):
        assert maker(name, 24)().name == name
    for name in ("calibrated", "with_fallback", "oracle", "calibrated_oracle"):
        with pytest.raises(InputError, match="Enum"):
            maker(name, 24)
