"""Times as text, against the calendar's own arithmetic."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resight import DataError
from resight.gallery.times import iso, moment

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)), st.integers(-12 * 60, 14 * 60))
def test_any_time_in_any_zone(when: datetime, minutes: int) -> None:
    placed = when.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = (placed - EPOCH).total_seconds()
    assert moment(placed.isoformat()) == pytest.approx(expected, abs=1e-5)
    assert moment(str(expected)) == expected
    assert moment(when.isoformat()) == moment(when.isoformat() + "Z")  # UTC where nothing is said
    assert moment(iso(expected)) == pytest.approx(expected, abs=1)


def test_what_people_write() -> None:
    day = 20_778 * 86_400.0  # 2026-11-21
    assert moment("2026-11-21") == day
    assert moment(" 2026-11-21T13:30 ") == moment("2026-11-21 14:30+01:00") == day + 13.5 * 3600
    assert iso(day + 13.5 * 3600 + 0.9) == "2026-11-21 13:30:00Z" and iso(None) == ""
    digits = ("2026", "20261121", "2026_11_21", "202611211330", "20261121_133005")
    for text in ("", "yesterday", "21.11.2026", "2026-13-01", "nan", "inf", *digits):
        with pytest.raises(DataError, match="--expires is"):
            moment(text, "--expires")
