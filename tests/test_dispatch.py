"""Dispatches: the messages that workers are sent."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.dispatch import Dispatch, timestamp

RUN_ID: Final = "7e0e0f0c-6b0c-4a58-9a55-0a1f6a1b2c3d"
NOW: Final = datetime(2026, 3, 14, 1, 59, 26, 535_897, UTC)


def text(now: datetime = NOW, **fields: Any) -> str:
    """Return the message of a dispatch, with the fields that are given."""
    some: dict[str, Any] = {"job_id": "load", "worker": "core", "parameters": {}, "globals": {}}
    return Dispatch(**some | fields).message("demo", RUN_ID, timestamp(now))


def message(now: datetime = NOW, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text(now, **fields))
    return found


def test_empty_parameters_and_globals_are_left_out() -> None:
    fields = ["realm", "worker", "job_id", "run_id", "ts_dispatch"]
    assert list(message()) == list(message(delay=444)) == fields
    assert list(message(parameters={"a": {}})) == [*fields, "parameters"]
    assert list(message(globals={"": None})) == [*fields, "globals"]


def test_a_timestamp_has_whole_seconds_and_an_offset() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=10, minutes=30)))
    for now, expected in (
        (NOW.replace(microsecond=999_999), "2026-03-14T01:59:26+00:00"),
        (NOW.replace(hour=0, minute=0, second=0), "2026-03-14T00:00:00+00:00"),
        (elsewhere, "2026-03-14T12:29:26+10:30"),
    ):
        assert message(now)["ts_dispatch"] == expected


@pytest.mark.parametrize(
    "data",
    [
        *('"}, "worker": "evil', "\\", "a\nb\r\tc", "\0\x01\x1f\x7f\x85\u2028"),
        *("\ufffe\uffff", "\U0001f980\u00e9", "\ud800"),
    ],
    ids=ascii,
)
def test_data_arrives_exactly(data: str) -> None:
    fields: dict[str, Any] = {"job_id": data, "parameters": {data: data}, "globals": {"a": [data]}}
    found = text(**fields)
    assert found.isascii()
    assert found.isprintable()
    assert json.loads(found) == message() | fields


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_arrives_exactly(value: Any) -> None:
    found = text(parameters={"value": value})
    assert found.isascii()
    assert json.loads(found)["parameters"] == {"value": value}
