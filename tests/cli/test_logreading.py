"""Lines of the function's log are read back, in either of Lambda's formats."""

import json
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.cli.deployed.log_line import LogLine, read_line

from .logs import line, text_line

TIME: Final = datetime(2026, 3, 14, 1, 59, 26, 123000, UTC)
FIELDS: Final = {"bucket": "b", "key": 'a "{} \t\n'}
SHOWN: Final = json.dumps(FIELDS)
DOCUMENT: Final = json.dumps(
    {"event": "summary", "_aws": {"Timestamp": 1773453566123}, "events": 1}
)

LINES: Final = [
    pytest.param(
        f"[ERROR]\t2026-03-14T01:59:26.123Z\tr-1\tfailed {SHOWN}\n",
        LogLine("failed", FIELDS, "ERROR", TIME, "r-1"),
        id="text-of-lambda",
    ),
    pytest.param(
        f"[INFO]\t2026-03-14T01:59:26.123Z\t\tdispatched {SHOWN}",
        LogLine("dispatched", FIELDS, "INFO", TIME),
        id="text-of-init",
    ),
    pytest.param(
        f"[WARNING] refresh_failed {SHOWN}",
        LogLine("refresh_failed", FIELDS, "WARNING"),
        id="text-elsewhere",
    ),
    pytest.param(f"dispatched {SHOWN}", LogLine("dispatched", FIELDS), id="message"),
    pytest.param(
        'dedup table unreachable {"count": 2}',
        LogLine("dedup table unreachable", {"count": 2}),
        id="words",
    ),
    pytest.param("summary {}", LogLine("summary", {}), id="no-fields"),
    pytest.param(
        json.dumps(
            {
                "timestamp": "2026-03-14T01:59:26.123Z",
                "level": "ERROR",
                "requestId": "r-1",
                "event": "failed",
                **FIELDS,
            }
        ),
        LogLine("failed", FIELDS, "ERROR", TIME, "r-1"),
        id="json",
    ),
    pytest.param(DOCUMENT, LogLine("summary", {"events": 1}, "INFO", TIME), id="metrics"),
    pytest.param(
        f"[INFO]\t2026-03-14T01:59:27Z\tr-1\t{DOCUMENT}",
        LogLine("summary", {"events": 1}, "INFO", TIME.replace(second=27, microsecond=0), "r-1"),
        id="metrics-in-text",
    ),
]
OTHERS: Final = [
    "",
    "START RequestId: 75e6080c Version: $LATEST",
    "REPORT RequestId: 75e6080c\tDuration: 3.2 ms",
    '{"time": "2026-03-14T01:59:26Z", "type": "platform.report", "record": {}}',
    '{"timestamp": "2026-03-14T01:59:26Z", "level": "INFO", "message": "x", "logger": "y"}',
    '{"errorMessage": "1 failure", "errorType": "DeliveriesFailedError", "requestId": "r"}',
    "[ERROR] DeliveriesFailedError: 1 failure",
    '[WARNING]\t2026-03-14T01:59:26Z\tr\tretrying {"a": 1',
    'failed ["not", "fields"]',
    '{"event": 7}',
    '{"event": "\\u001b[31mred"}',
    "[]",
    "null",
    "{" * 100_000,
    '{"event": "x", "a": ' + "[" * 100_000,
]


@pytest.mark.parametrize(("text", "line"), LINES)
def test_a_line_is_read_in_either_format(text: str, line: LogLine) -> None:
    assert read_line(text) == line


def test_only_text_is_the_text_of_a_field() -> None:
    line = LogLine("failed", {"key": "a", "count": 1})

    assert (line.text("key"), line.text("count"), line.text("none")) == ("a", None, None)


@pytest.mark.parametrize("text", OTHERS, ids=lambda text: ascii(text)[1:30])
def test_lines_of_others_are_none(text: str) -> None:
    assert read_line(text) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"timestamp": 7},
        {"timestamp": "soon"},
        {"timestamp": "0001-01-01T00:00+10:00"},
        {"level": []},
        {"requestId": {}},
        {"_aws": 1},
    ]
    + [{"_aws": {"Timestamp": each}} for each in (None, "x", 1e300, [1])],
    ids=str,
)
def test_a_wrong_value_costs_no_line(wrong: dict[str, object]) -> None:
    assert read_line(json.dumps({"event": "failed", "key": "a", **wrong})) == LogLine(
        "failed", {"key": "a"}
    )


@given(st.text())
def test_any_text_is_read_or_none(text: str) -> None:
    line = read_line(text)

    assert line is None or line.event


@given(st.text(), st.dictionaries(st.text(st.characters(codec="ascii")), st.text()))
def test_fields_are_those_that_were_logged(key: str, more: dict[str, str]) -> None:
    others = {name: value for name, value in more.items() if name not in {"event", "_aws"}}
    fields = {f"x-{name}": value for name, value in others.items()} | {"key": key}

    for text in (f"[INFO] failed {json.dumps(fields)}", json.dumps({"event": "failed", **fields})):
        assert read_line(text) == LogLine("failed", fields)


@pytest.mark.parametrize(
    ("event", "read"),
    [("dispatched", "observed"), ("parked", "user_error"), ("skipped", "skipped")],
)
@pytest.mark.parametrize("write", [line, text_line])
def test_a_function_that_observes_sends_nothing(write: Any, event: str, read: str) -> None:
    found = read_line(write(event, key="a", mode="observe"))
    assert found
    assert found.event == read
