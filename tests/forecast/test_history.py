"""Bad measurements are told, all at once; good ones are read as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pdnopt.errors import InputError
from pdnopt.forecast.history import History, read_covariates, read_history


def frame(rows: int = 48, tz: str | None = "UTC", freq: str = "h", **columns: Any) -> pd.DataFrame:
    index = pd.date_range("2024-01-01", periods=rows, freq=freq, tz=tz)
    return pd.DataFrame(columns or {"a": np.arange(rows, dtype=float)}, index=index)


def kinds(given: Any, **keywords: Any) -> list[tuple[str, str]]:
    with pytest.raises(InputError) as caught:
        read_history(given, **keywords)
    for issue in caught.value.issues:
        assert issue.path.startswith("history")
        assert issue.allowed
        assert issue.todo
    return [(issue.kind, issue.id) for issue in caught.value.issues]


def test_a_good_frame_is_read_as_it_is() -> None:
    given = frame(a=np.r_[np.nan, np.arange(47.0)])
    found = read_history(given)
    assert isinstance(found, History)
    assert found.step_s == 3600.0
    pd.testing.assert_frame_equal(found.frame(), given, check_freq=False)
    assert found.future(2).tolist() == [
        pd.Timestamp("2024-01-03 00:00", tz="UTC"),
        pd.Timestamp("2024-01-03 01:00", tz="UTC"),
    ]


def test_a_naive_clock_is_refused() -> None:
    assert kinds(frame(tz=None)) == [("TimezoneRequired", "")]


def test_repeated_and_backward_time_stamps_are_refused() -> None:
    good = frame()
    twice = pd.concat([good.iloc[:5], good.iloc[4:]])
    assert kinds(twice) == [("TimeOrder", "")]
    assert kinds(good.iloc[::-1])[0] == ("TimeOrder", "")


def test_a_missing_row_is_told_with_how_to_mark_it() -> None:
    with pytest.raises(InputError, match=r"StepError.*asfreq"):
        read_history(frame().drop(index=frame().index[7]))


def test_an_hour_lost_to_daylight_saving_is_told_as_such() -> None:
    wall = pd.date_range("2024-03-30", periods=48, freq="h")
    wrong = pd.DataFrame({"a": 1.0}, index=wall).tz_localize(
        "Europe/Berlin", nonexistent="shift_forward", ambiguous=True
    )
    with pytest.raises(InputError) as caught:
        read_history(wrong)
    assert {issue.kind for issue in caught.value.issues} == {"TimeOrder"}
    lost = wrong[~wrong.index.duplicated()].tz_convert("UTC").tz_convert("Europe/Berlin")
    assert read_history(lost).step_s == 3600.0  # in absolute time nothing is missing: the day has 23 hours


def test_negative_power_needs_to_be_allowed() -> None:
    given = frame(a=np.r_[-1.0, np.ones(47)])
    assert kinds(given) == [("NegativeLoad", "a")]
    assert read_history(given, allow_negative=True).kw[0, 0] == -1.0


@pytest.mark.parametrize("code", [0x7FFF, 0x8000, -0x8000, 0xFFFF, 0x7FFFFFFF])
def test_what_a_meter_sends_for_no_value_is_no_power(code: int) -> None:
    assert kinds(frame(a=np.r_[float(code), np.ones(47)]), allow_negative=True) == [("NotAvailable", "a")]


def test_all_faults_are_told_at_once() -> None:
    given = frame(
        tz=None, a=np.r_[-1.0, np.ones(47)], b=np.r_[32767.0, np.ones(47)], c=np.r_[np.inf, np.ones(47)]
    )
    given = pd.concat([given.iloc[:3], given.iloc[2:]])
    assert set(kinds(given)) == {
        ("TimezoneRequired", ""),
        ("TimeOrder", ""),
        ("NegativeLoad", "a"),
        ("NotAvailable", "b"),
        ("NonFinite", "c"),
    }


def test_text_and_repeated_names_are_told() -> None:
    text = frame().assign(b="many")
    assert kinds(text) == [("Format", "b")]
    twice = frame()
    twice = pd.concat([twice, twice], axis=1)
    assert kinds(twice) == [("NotUnique", "a")]
    assert kinds([1, 2, 3]) == [("Format", "")]
    assert kinds(pd.DataFrame({"a": [1.0]})) == [("Format", "")]


def test_newer_rows_are_appended_and_what_is_missing_between_is_a_gap() -> None:
    given = frame(48, a=np.arange(48.0), b=np.ones(48))
    known = read_history(given.iloc[:40])
    longer = known.append(given.iloc[43:][["b", "a"]])
    assert longer.index.equals(given.index)
    assert longer.kw[:, 0].tolist()[39:44] == pytest.approx([39.0, np.nan, np.nan, np.nan, 43.0], nan_ok=True)


@pytest.mark.parametrize(
    ("new", "kind"),
    [
        (frame(48), "TimeOrder"),
        (frame(48).iloc[40:].shift(freq="30min"), "StepError"),
        (frame(48).iloc[40:].rename(columns={"a": "z"}), "Missing"),
    ],
)
def test_rows_that_do_not_follow_are_refused(new: pd.DataFrame, kind: str) -> None:
    with pytest.raises(InputError) as caught:
        read_history(frame(48).iloc[:40]).append(new)
    assert kind in {issue.kind for issue in caught.value.issues}


def test_covariates_that_end_before_the_horizon_are_refused() -> None:
    known = read_history(frame(24))
    with pytest.raises(InputError, match="HorizonError"):
        read_covariates(frame(30), known.future(12))
    assert read_covariates(frame(36), known.future(12)).shape == (12, 1)
    with pytest.raises(InputError, match="NonFinite"):
        read_covariates(frame(36, t=np.full(36, np.nan)), known.future(12))
    with pytest.raises(InputError, match="Missing"):
        read_covariates(frame(36), known.future(12), ["t"])
