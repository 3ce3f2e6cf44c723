"""The function's log is read in pages, followed without a loss or repetition, line by line."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lava_s3trigger.cli.deployed.log_group import (
    LATE,
    LOOKS_FOR_LATE,
    POLL_SECONDS,
    RECENT,
    FunctionLog,
    LogEvent,
    pattern_of,
)
from lava_s3trigger.cli.deployed.log_line import LogLine, read_line
from tools.local.server import LocalAws

from .logs import Log

TIME: Final = datetime(2026, 3, 14, 1, 59, 26, 123000, UTC)
FIELDS: Final = {"bucket": "b", "key": 'a "{} \t\n'}
SHOWN: Final = json.dumps(FIELDS)
DOCUMENT: Final = '{"event": "summary", "_aws": {"Timestamp": 1773453566123}, "events": 1}'

AT: Final = "2026-03-14T01:59:26.123Z"
LINES: Final = [
    (f"[ERROR]\t{AT}\tr-1\tfailed {SHOWN}\n", LogLine("failed", FIELDS, "ERROR", TIME, "r-1")),
    (f"[INFO]\t{AT}\t\tdispatched {SHOWN}", LogLine("dispatched", FIELDS, "INFO", TIME)),
    (f"[WARNING] refresh_failed {SHOWN}", LogLine("refresh_failed", FIELDS, "WARNING")),
    (f"dispatched {SHOWN}", LogLine("dispatched", FIELDS)),
    ('dedup table unreachable {"count": 2}', LogLine("dedup table unreachable", {"count": 2})),
    ("summary {}", LogLine("summary", {})),
    (
        json.dumps({"timestamp": AT, "level": "ERROR", "requestId": "r", "event": "x", **FIELDS}),
        LogLine("x", FIELDS, "ERROR", TIME, "r"),
    ),
    (DOCUMENT, LogLine("summary", {"events": 1}, "INFO", TIME)),
    (
        f"[INFO]\t2026-03-14T01:59:27Z\tr-1\t{DOCUMENT}",
        LogLine("summary", {"events": 1}, "INFO", TIME.replace(second=27, microsecond=0), "r-1"),
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
        *({"timestamp": each} for each in (7, "soon", "0001-01-01T00:00+10:00")),
        *({"_aws": {"Timestamp": each}} for each in (None, "x", 1e300, [1])),
        *({"level": []}, {"requestId": {}}, {"_aws": 1}),
    ],
    ids=str,
)
def test_a_wrong_value_costs_no_line(wrong: dict[str, object]) -> None:
    line = json.dumps({"event": "failed", "key": "a", **wrong})
    assert read_line(line) == LogLine("failed", {"key": "a"})


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


START: Final = datetime(2026, 3, 14, 1, 0, tzinfo=UTC)
DELAYS: Final = st.integers(0, int((LATE - RECENT).total_seconds()) - 60)


class EnoughError(Exception):
    """Ends following."""


class GrowingLog:
    """Answers FilterLogEvents of a log that grows while it is followed.

    Args:
        arrivals: Of each event, seconds after `START`: when it happened, and when it arrives.
    """

    class exceptions:  # noqa: N801 - as clients have it
        ResourceNotFoundException = KeyError

    def __init__(self, arrivals: list[tuple[float, float]]) -> None:
        self._arrivals = arrivals
        self.now = START
        self.waited: list[float] = []
        self.starts: list[int] = []

    def get_paginator(self, _: str) -> GrowingLog:
        return self

    def paginate(self, startTime: int, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803 - AWS's
        self.starts.append(startTime)
        events = [
            {"eventId": str(number), "timestamp": milliseconds(happened), "message": ""}
            for number, (happened, arrives) in enumerate(self._arrivals)
            if START + timedelta(seconds=arrives) <= self.now
            and milliseconds(happened) >= startTime
        ]
        events.sort(key=lambda event: int(str(event["timestamp"])))
        for at in range(0, max(len(events), 1), 3):
            yield {"events": events[at : at + 3]}

    def followed(self, looks: int) -> list[str]:
        """Return the ids that following yields, in so many looks."""

        def sleep(seconds: float) -> None:
            self.waited.append(seconds)
            self.now += timedelta(seconds=seconds)
            if len(self.waited) == looks:
                raise EnoughError

        ids: list[str] = []
        with contextlib.suppress(EnoughError):
            for page in FunctionLog(self, "g").follow(START, "", sleep, lambda: self.now):
                ids += [event.id for event in page]
        return ids


def milliseconds(seconds: float) -> int:
    return int((START + timedelta(seconds=seconds)).timestamp() * 1000)


class TestFollowing:
    """Each event comes once, whenever it arrives."""

    def test_events_of_the_same_millisecond(self) -> None:
        assert GrowingLog([(1, 1), (1, 2), (1, 30), (1, 2)]).followed(30) == ["0", "1", "3", "2"]

    def test_an_event_that_arrives_after_later_ones(self) -> None:
        minutes = LATE.total_seconds() / 60 - 2
        late = (1, 60 * minutes)
        steady = [(10.0 * n, 10.0 * n) for n in range(1, 100)]
        looks = int(60 * minutes / POLL_SECONDS) + 2 * LOOKS_FOR_LATE
        assert GrowingLog([late, *steady]).followed(looks).count("0") == 1

    @given(st.lists(st.tuples(st.integers(0, 60), DELAYS), max_size=30))
    @settings(deadline=None)
    def test_any_arrivals(self, delayed: list[tuple[float, float]]) -> None:
        arrivals = [(happened, happened + delay) for happened, delay in delayed]
        looks = int(LATE.total_seconds() / POLL_SECONDS) + 2 * LOOKS_FOR_LATE
        found = GrowingLog(arrivals).followed(looks)
        assert sorted(found) == sorted(str(number) for number in range(len(arrivals)))

    def test_a_clock_that_is_ahead_hides_nothing(self) -> None:
        ahead = (2 * LATE.total_seconds(), 1)
        found = GrowingLog([ahead, *[(n, n) for n in range(100)]]).followed(60)
        assert sorted(found, key=int) == [str(number) for number in range(101)]

    def test_what_was_before_the_start_is_left_out(self) -> None:
        log = GrowingLog([(-10, 0), (10, 20)])
        assert log.followed(30) == ["1"]
        assert min(log.starts) == milliseconds(0)

    def test_most_looks_read_the_last_minute_alone(self) -> None:
        log = GrowingLog([(0, 0), (3600, 0)])
        log.now += timedelta(hours=2)
        log.followed(LOOKS_FOR_LATE + 1)
        recent, late = (milliseconds(3600 - each.total_seconds()) for each in (RECENT, LATE))
        assert log.starts == [milliseconds(0), *[recent] * (LOOKS_FOR_LATE - 1), late]
        assert set(log.waited) == {POLL_SECONDS}


class TestPages:
    """A page has events with their time and stream."""

    def test_events_of_a_real_log(self, aws: LocalAws) -> None:
        log = Log(aws, "pages")
        now = datetime.now(UTC).replace(microsecond=5000)
        texts = {stream: f"{stream} \x1b é" for stream in ("one", "two")}
        for stream, text in texts.items():
            log.write(text, text, at=now, stream=stream)

        logs = aws.client("logs")
        [found] = FunctionLog(logs, "pages").pages(now)
        streams = ("one", "one", "two", "two")
        assert [each[1:] for each in found] == [(now, each, texts[each]) for each in streams]
        assert len({each.id for each in found}) == 4
        later = now + timedelta(milliseconds=1)
        assert list(FunctionLog(logs, "pages").pages(later)) == [[]]
        [two] = FunctionLog(logs, "pages").pages(now, pattern_of("two"))
        assert two == found[2:]

    def test_an_event_without_an_id_has_one_all_the_same(self) -> None:
        class Idless(GrowingLog):
            def paginate(self, startTime: int, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803, ARG002 - AWS's
                yield {"events": [{"timestamp": 1, "message": text} for text in "ab"]}

        [[one, other]] = FunctionLog(Idless([]), "g").pages(START)
        assert isinstance(one, LogEvent)
        assert one.id != other.id


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["in/a-b_c.csv"], '"in/a-b_c.csv"'),
        (["b", "in/a"], '"b" "in/a"'),
        (["b", "in/a b"], '"b"'),
        (["b", 'in/"a"'], '"b"'),
        (["b", "in/é"], '"b"'),
        (["b", "in/\n"], '"b"'),
        (["x" * 1024, "-?%{["], ""),
    ],
)
def test_a_pattern_names_what_the_log_does_not_escape(names: list[str], pattern: str) -> None:
    assert pattern_of(*names) == pattern
