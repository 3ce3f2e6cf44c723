"""Lines of the function's log are read back, in each format."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger import log
from lava_s3trigger.cli.logreading import LogLine, read_line

FIELDS = {"bucket": "b", "key": "in/a.csv", "trigger_id": "t"}
JSON = json.dumps(FIELDS)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        pytest.param(f"[INFO] dispatched {JSON}", LogLine("dispatched", FIELDS), id="text"),
        pytest.param(
            f"[WARNING]\t2026-03-14T01:59:26.535Z\t6f1e-22\tskipped {JSON}\n",
            LogLine("skipped", FIELDS),
            id="text as Lambda writes it",
        ),
        pytest.param(
            json.dumps({"timestamp": "x", "level": "INFO", "event": "skipped", **FIELDS}),
            LogLine("skipped", {"timestamp": "x", "level": "INFO", **FIELDS}),
            id="json",
        ),
        pytest.param(
            json.dumps({"level": "INFO", "message": f"dispatched {JSON}", "requestId": "r"}),
            LogLine("dispatched", FIELDS),
            id="text in Lambda's json",
        ),
        pytest.param("START RequestId: 6f1e Version: $LATEST", None, id="start"),
        pytest.param("REPORT RequestId: 6f1e\tDuration: 2 ms {x}", None, id="report"),
        pytest.param('{"time": "x", "type": "platform.start", "record": {}}', None, id="platform"),
        pytest.param("[INFO] dispatched {", None, id="half a line"),
        pytest.param("{", None, id="half of json"),
        pytest.param("[1]", None, id="a list"),
        pytest.param('{"message": "{}"}', None, id="json in json"),
        pytest.param("] a {" * 100_000, None, id="many beginnings"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_a_line_is_read(line: str, found: LogLine | None) -> None:
    assert read_line(line) == found


@given(key=st.text(max_size=100), reason=st.text(max_size=100))
def test_what_the_function_logs_is_read_back(key: str, reason: str) -> None:
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"[{record.levelname}] {record.getMessage()}")

    handler = Handler()
    log.LOGGER.addHandler(handler)
    try:
        log.log_event(logging.ERROR, "parked", key=key, reason=reason, positions=[1])
    finally:
        log.LOGGER.removeHandler(handler)

    fields = {"key": key, "reason": reason, "positions": [1]}
    assert [read_line(line) for line in lines] == [LogLine("parked", fields)]
