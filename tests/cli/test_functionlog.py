"""The log is read in pages, and followed without a loss and without a repetition."""

from __future__ import annotations

import contextlib
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
from tools.local.server import LocalAws

START: Final = datetime(2026, 3, 14, 1, 0, tzinfo=UTC)


class EnoughError(Exception):
    """Ends following."""


class GrowingLog:
    """Answers FilterLogEvents of a log that grows while it is followed.

    Args:
        arrivals: Of each event, seconds after `START`: when it happened, and when it arrives.
    """

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

    class exceptions:  # noqa: N801 - as clients have it
        ResourceNotFoundException = KeyError

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += timedelta(seconds=seconds)

    def followed(self, looks: int, start: datetime = START) -> list[str]:
        """Return the ids that following yields, in so many looks."""

        def sleep(seconds: float) -> None:
            self.sleep(seconds)
            if len(self.waited) == looks:
                raise EnoughError

        found = FunctionLog(self, "g").follow(start, "", sleep, lambda: self.now)
        ids: list[str] = []
        with contextlib.suppress(EnoughError):
            for page in found:
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

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 60), st.integers(0, int((LATE - RECENT).total_seconds()) - 60)
            ).map(lambda each: (each[0], sum(each))),
            max_size=30,
        )
    )
    @settings(deadline=None)
    def test_any_arrivals(self, arrivals: list[tuple[float, float]]) -> None:
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
        recent, late = (
            milliseconds(3600) - each // timedelta(milliseconds=1) for each in (RECENT, LATE)
        )
        assert log.starts == [milliseconds(0), *[recent] * (LOOKS_FOR_LATE - 1), late]
        assert set(log.waited) == {POLL_SECONDS}


class TestPages:
    """A page has events with their time and stream."""

    def test_events_of_a_real_log(self, aws: LocalAws) -> None:
        logs = aws.client("logs")
        logs.create_log_group(logGroupName="pages")
        now = datetime.now(UTC).replace(microsecond=5000)
        for stream in ("one", "two"):
            logs.create_log_stream(logGroupName="pages", logStreamName=stream)
            events = [
                {"timestamp": int(now.timestamp() * 1000), "message": f"{stream} \x1b é"}
                for _ in range(2)
            ]
            logs.put_log_events(logGroupName="pages", logStreamName=stream, logEvents=events)

        [found] = FunctionLog(logs, "pages").pages(now)
        assert [each[1:] for each in found] == [
            (now, stream, f"{stream} \x1b é") for stream in ("one", "one", "two", "two")
        ]
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
