"""Times are written and read in UTC."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.cli.output.times import read_time, shown_time

TIME: Final = datetime(2026, 3, 14, 1, 59, 26, 535000, UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-14T01:59:26.535Z",
        "2026-03-14T01:59:26.535",
        "2026-03-14 12:59:26.535+11:00",
        "20260314T015926.535Z",
    ],
)
def test_a_time_is_read_in_utc(text: str) -> None:
    assert read_time(text) == TIME
    assert read_time(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-13-01", "0001-01-01T00:00:00+10:00", "9999-12-31T23:00:00-10:00"]
)
def test_a_text_that_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"isoformat|month|years 1 to 9999"):
        read_time(text)


def test_a_time_is_written_in_utc_with_milliseconds() -> None:
    time = TIME.astimezone(timezone(timedelta(hours=11))) + timedelta(microseconds=999)

    assert shown_time(time) == "2026-03-14T01:59:26.535Z"


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_written_time_is_read_again(time: datetime) -> None:
    assert read_time(shown_time(time)) == time.replace(microsecond=time.microsecond // 1000 * 1000)
