"""Holidays by rule, against those of pandas."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
from pandas.tseries.holiday import USFederalHolidayCalendar

from pdnopt.forecast.holidays import is_holiday, us_holidays


def test_federal_holidays_are_those_of_pandas() -> None:
    theirs = USFederalHolidayCalendar().holidays("1990-01-01", "2040-12-31")
    thanksgivings = theirs[(theirs.month == 11) & (theirs.day > 21)]
    expected = {day.date() for day in theirs.union(thanksgivings + pd.Timedelta(days=1))}
    assert {day for year in range(1990, 2041) for day in us_holidays(year)} == expected


def test_a_new_year_on_a_saturday_is_observed_in_the_old_year() -> None:
    assert date(2021, 12, 31) in us_holidays(2021)
    assert date(2021, 12, 31) not in us_holidays(2022)
    assert not any(day.month == 1 and day.day < 15 for day in us_holidays(2022))


def test_days_are_those_of_the_wall_clock() -> None:
    index = pd.date_range("2024-12-24", periods=72, freq="h", tz="America/New_York")
    found = is_holiday(index.tz_convert("America/New_York"), "US")
    np.testing.assert_array_equal(found, np.repeat([0.0, 1.0, 0.0], 24))
    shifted = is_holiday(index.tz_convert("UTC"), "US")  # five hours later on UTC's clock
    np.testing.assert_array_equal(np.flatnonzero(shifted), np.arange(24, 48) - 5)


def test_without_a_calendar_no_day_is_a_holiday() -> None:
    index = pd.date_range("2024-12-24", periods=72, freq="h", tz="UTC")
    assert not is_holiday(index, None).any()
    assert is_holiday(index[:0], "US").shape == (0,)
