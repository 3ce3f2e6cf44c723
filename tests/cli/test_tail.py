"""``tail`` shows the function's log, and follows it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tests.processes import end_of

from .commandline import CommandLine, Ran
from .logs import REQUEST, TIME, Log, line, text_line
from .replays import HOSTILE, Account
from .schemas import validate
from .terminal import raw

SINCE: Final = ("--since", "2026-03-14")
tail: Final = CommandLine(["tail"])


def about(key: str = "in/a.csv", trigger: str = "t", job: str = "j") -> dict[str, Any]:
    return {"trigger_id": trigger, "bucket": "b", "key": key, "job_id": job}


def documents(ran: Ran) -> list[dict[str, Any]]:
    found = [json.loads(each) for each in ran.output.splitlines()]
    for each in found:
        validate("tail", each)
    return found


class TestLines:
    """A line is what became of something, in whichever format the function logs."""

    @pytest.mark.parametrize("write", [line, text_line])
    def test_lines_for_people(self, log: Log, write: Any) -> None:
        log.write(
            write("dispatched", **about(), queue="q", run_id="r", entry="0a1b2c3d"),
            write("skipped", trigger_id="t", bucket="b", key="a", kind="k", reason="not met"),
            write("summary", events=2, dispatched=1, skipped=1),
            write("started", version="1.0", realm="x", function="y"),
        )
        ran = tail(*SINCE)
        assert ran.status == 0
        head = "2026-03-14T01:59:26.500Z  "
        assert ran.output.splitlines() == [
            f"{head}dispatched  s3://b/in/a.csv  trigger t, job j, queue q  run_id=r",
            f"{head}skipped     s3://b/a  trigger t: not met",
            f"{head}summary     events=2 dispatched=1 skipped=1",
            f"{head}started     version=1.0",
        ]

    def test_lines_as_json(self, log: Log) -> None:
        log.write(line("dispatched", **about()), "START RequestId: x", text_line("summary", n=1))
        common = {"version": 1, "time": "2026-03-14T01:59:26.500Z", "level": "INFO"}
        common |= {"request_id": REQUEST, "log_stream": "one"}
        assert documents(tail.json(*SINCE)) == [
            common | {"event": "dispatched", "fields": about()},
            common | {"event": "summary", "fields": {"n": 1}},
        ]

    @pytest.mark.parametrize(
        ("outcome", "status"),
        [("dispatched", 1), ("observed", 0), ("parked", 1), ("user_error", 0)],
    )
    def test_a_function_that_observes_dispatches_and_parks_nothing(
        self, log: Log, outcome: str, status: int
    ) -> None:
        log.write(line("dispatched", **about(), mode="observe"))
        log.write(text_line("parked", **about(), mode="observe"))
        ran = tail(*SINCE, "--outcome", outcome)
        assert ran.status == status
        assert len(ran.output.splitlines()) == 1 - status

    def test_no_line_is_said_with_how_far_it_looked(self, log: Log) -> None:
        log.write(line("dispatched", **about()))
        ran = tail(*SINCE, "--trigger", "other")
        assert (ran.status, ran.output) == (1, "")
        begin = "2026-03-14T00:00:00.000Z"
        assert ran.errors == f"no such lines since {begin}; --since 7d looks further back\n"

    def test_streams_are_shown_in_the_order_of_time(self, log: Log) -> None:
        for number in (3, 1, 2):
            at = TIME + timedelta(seconds=number)
            log.write(line("dispatched", at, **about(str(number))), at=at, stream=f"{number % 2}")
        keys = [each["fields"]["key"] for each in documents(tail.json(*SINCE))]
        assert keys == ["1", "2", "3"]

    def test_an_old_line_is_left_out(self, log: Log) -> None:
        log.write(line("summary"), at=datetime.now(UTC) - timedelta(minutes=30))
        assert (tail().status, tail().output) == (1, "")
        assert tail("--since", "31m").status == 0

    def test_a_file_is_written(self, log: Log, tmp_path: Path) -> None:
        at = TIME + timedelta(hours=1)
        log.write('summary {"n": 1}', at=at)  # without a time: that of its arrival is shown
        assert tail(*SINCE, "--output", "log.txt").output == ""
        shown = "2026-03-14T02:59:26.500Z  summary     n=1\n"
        assert (tmp_path / "log.txt").read_text() == shown


class TestFilters:
    """Filters choose lines; of several values of one, any will do."""

    @pytest.mark.parametrize(
        ("arguments", "chosen"),
        [
            ("--trigger t", "acd"),
            ("--trigger t --trigger u", "abcd"),
            ("--trigger none", ""),
            ("--job k", "b"),
            ("--outcome dispatched", "ab"),
            ("--outcome parked --outcome skipped", "cd"),
            ("--key in/*.csv", "ac"),
            ("--key *.CSV", "d"),
            ("--key *.txt --key in/c*", "bc"),
            ("--trigger t --outcome skipped --key in/?.csv", "c"),
        ],
    )
    def test_a_filter(self, log: Log, arguments: str, chosen: str) -> None:
        log.write(
            line("dispatched", **about("in/a.csv")),
            line("dispatched", **about("in/b.txt", "u", "k")),
            text_line("skipped", **about("in/c.csv")),
            line("parked", **about("in/d.CSV")),
            line("summary", events=4),
            "Task timed out after 3.00 seconds",
        )
        ran = tail.json(*SINCE, *arguments.split())
        assert "".join(each["fields"]["key"][3] for each in documents(ran)) == chosen
        assert ran.status == (0 if chosen else 1)

    @pytest.mark.parametrize("name", ['"quoted" \\name', "caf\u00e9", "[a-z]*", "-x", "\x1b[2J"])
    def test_hostile_names_of_triggers(self, log: Log, name: str) -> None:
        log.write(line("dispatched", **about("yes", name)), line("dispatched", **about("no", "x")))
        ran = tail(*SINCE, f"--trigger={name}")
        assert ("s3://b/yes" in ran.output, "s3://b/no" in ran.output) == (True, False)
        assert not raw(ran.output)


class TestFailuresOfLambda:
    """What Lambda writes is shown where it tells of a failure."""

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (f"2026-03-14T01:59:26.500Z {REQUEST} Task timed out after 60.00 seconds\n\n", "2026-"),
            (f"RequestId: {REQUEST} Error: Runtime exited with error: signal: killed", "RequestId"),
            ("[ERROR] DeliveriesFailedError: 1\nTraceback", "[ERROR] DeliveriesFailedError: 1"),
            ("INIT_REPORT Init Duration: 9 ms\tPhase: init\tStatus: timeout", "INIT_REPORT Init"),
            ('{"level": "ERROR", "errorType": "E", "errorMessage": "\\u001b[2J"}', "E: \\x1b[2J"),
            ('{"type": "platform.report", "record": {"status": "x"}}', "platform.report x"),
        ],
    )
    def test_a_failure(self, log: Log, text: str, reason: str) -> None:
        log.write(text)
        ran = tail(*SINCE)
        assert f"  lambda      {reason}" in ran.output
        assert not raw(ran.output)
        [found] = documents(tail.json(*SINCE))
        assert (found["event"], found["level"]) == ("lambda", "ERROR")
        assert found["request_id"] == (REQUEST if REQUEST in text else None)

    def test_all_else_is_not(self, log: Log) -> None:
        log.write(
            "START RequestId: x Version: 1",
            "REPORT RequestId: x\tDuration: 2 ms\tStatus: success",
            "[WARNING] botocore: slow",
            json.dumps({"type": "platform.report", "record": {"status": "success"}}),
            json.dumps({"type": "platform.start", "record": {}}),
            json.dumps({"level": "INFO", "message": "Found credentials"}),
            json.dumps([1]),
            "{",
        )
        assert tail(*SINCE).output == ""


@pytest.mark.parametrize("key", HOSTILE, ids=ascii)
def test_a_key(log: Log, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write(line("dispatched", **about(key)), text_line("failed", **about(key), reason=key))
    ran = tail(*SINCE)
    assert len(ran.output.splitlines()) == 2
    assert not raw(ran.output)
    assert [each["fields"]["key"] for each in documents(tail.json(*SINCE))] == [key, key]
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = tail(*SINCE).output
    assert "\x1b[" in shown  # it has colours
    assert not raw(shown, is_terminal=True)


def test_a_reader_that_goes_away_ends_it(account: Account, log: Log) -> None:
    now = datetime.now(UTC)
    log.write(*[line("summary", now)] * 3, at=now)
    with account.start("tail", "--follow") as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.close()
        log.write(line("summary", now), at=now)
        assert end_of(process) == 141
        assert process.stderr
        assert process.stderr.read() == ""


def test_a_log_without_dispatches_is_told(account: Account, log: Log) -> None:
    account.logging["ApplicationLogLevel"] = "WARN"
    log.write(line("summary"))
    ran = tail(*SINCE)
    assert (ran.status, "logs only warnings or errors" in ran.errors) == (0, True)
