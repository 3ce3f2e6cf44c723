"""The function's log: one line for each thing that happens, in ASCII, in either format."""

import importlib
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lava_s3trigger.cli.deployed.log_line import read_line
from lava_s3trigger.log import (
    LOGGER,
    MAX_LINE_CHARACTERS,
    configure_logging,
    log_document,
    log_event,
)
from tests.build import nested
from tests.tables import cases

HOSTILE: Final = [
    *("a\nfailed {}", "a\r\nb", "\x1b[31mred", "\u2028\u2029\x85", "\u202egnp.exe", "\x7f\x9b"),
    *("\U0001f600 caf\u00e9", '"}\n{"event": "forged', "\\ud800 \\n %s {}"),
]

with_fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

FIELDS = st.dictionaries(
    st.from_regex("[a-z_]+", fullmatch=True).filter(lambda name: name not in {"level", "event"}),
    st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.booleans(),
)


def logged(caplog: pytest.LogCaptureFixture) -> Any:
    """Return the fields of the only line."""
    [message] = caplog.messages
    return json.loads(message.partition(" ")[2])


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger=LOGGER.name)


def test_an_existing_handler_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    of_lambda = logging.NullHandler()
    monkeypatch.setattr(logging.root, "handlers", [of_lambda])
    configure_logging(logging.ERROR)
    assert logging.root.handlers == [of_lambda]
    assert LOGGER.getEffectiveLevel() == logging.ERROR


def test_without_a_handler_lines_go_to_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    configure_logging(logging.INFO)
    log_event(logging.INFO, "dispatched", job_id="job")
    log_event(logging.DEBUG, "skipped")
    assert capsys.readouterr() == ("", '[INFO] dispatched {"job_id": "job"}\n')


@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING, logging.ERROR])
def test_a_line_has_its_level_and_what_happened_and_its_fields(
    level: int, caplog: pytest.LogCaptureFixture
) -> None:
    log_event(level, "skipped", queue="lava-%s%d", trigger_id=None, job_id="", count=0)
    line = 'skipped {"queue": "lava-%s%d", "job_id": "", "count": 0}'
    assert caplog.record_tuples == [("lava_s3trigger", level, line)]


def test_below_the_level_no_text_is_made(caplog: pytest.LogCaptureFixture) -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError

    caplog.set_level(logging.INFO, logger=LOGGER.name)
    log_event(logging.DEBUG, "skipped", fact=Costly())

    assert caplog.records == []


@cases(
    ("value", "expected"),
    {
        "decimal": (Decimal("1.50"), "1.50"),
        "time": (datetime(2026, 3, 14, tzinfo=UTC), "2026-03-14 00:00:00+00:00"),
        "set": ({"b", "a"}, ["a", "b"]),
        "nan": (float("nan"), "nan"),
        "infinity": ([float("inf"), 1.5], ["inf", 1.5]),
        "binary": (b"\xff", "b'\\xff'"),
        "long": (("x" * 5000, 7), ["x" * 4096, 7]),
        "very long": ("x" * 1_000_000, "x" * 4096),
        "boolean": (True, True),
        # Not every reader of JSON takes the escape of half a surrogate pair.
        "half": (["a\ud800\u00e9", {"\ud800": 1}], ["a\\ud800\u00e9", {"\\ud800": 1}]),
        "nested": (nested(100_000), "nested too deeply"),
    },
)
def test_any_value_can_be_logged(
    value: object, expected: object, caplog: pytest.LogCaptureFixture
) -> None:
    log_event(logging.INFO, "done", value=value, key="k")
    assert logged(caplog) == {"value": expected, "key": "k"}


def test_a_handler_that_raises_does_not_stop_what_is_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError(record)

    monkeypatch.setattr(LOGGER, "handlers", [Broken()])
    log_event(logging.ERROR, "failed")


WIDE: Final = st.sampled_from(["x", "\x01", '"', "\u00e9", "\ud800", "\U0001f600"])
LONG: Final = st.builds(lambda char, count: char * count, WIDE, st.integers(0, 1_000_000))
MANY: Final = st.builds(lambda text, count: [text] * count, LONG, st.integers(0, 300))
ANY: Final = LONG | MANY | st.builds(lambda many: {"a": many}, MANY) | st.integers() | st.none()
NAMES: Final = ["reason", "bucket", "key", "trigger_id", "job_id", "message_id", "prefixes", "x"]


@with_fixtures
@given(fields=st.dictionaries(st.sampled_from(NAMES), ANY), common=LONG)
def test_a_line_of_any_fields_is_bounded(
    fields: dict[str, object], common: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    configure_logging(logging.INFO, mode=common)
    log_event(logging.INFO, "failed", **fields)
    assert len(caplog.messages[0]) <= MAX_LINE_CHARACTERS
    known = {name for name, value in fields.items() if value is not None}
    assert set(logged(caplog)) == {"mode", *known}


def test_fields_are_cut_that_have_more_than_their_share(caplog: pytest.LogCaptureFixture) -> None:
    wide = "\U0001f600" * 4096
    log_event(logging.INFO, "failed", key="\x01" * 1024, many=["y" * 4096] * 99, reason=wide)
    fields = logged(caplog)
    assert fields["key"] == "\x01" * 1024
    assert fields["many"].startswith('["yyyy')
    assert fields["reason"] == wide


@with_fixtures
@given(fields=FIELDS)
def test_all_fields_are_read_back(
    fields: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    log_event(logging.INFO, "said", **fields)
    assert caplog.messages[0].isascii()
    assert caplog.messages[0].isprintable()
    assert logged(caplog) == fields


class JsonLog:
    """Configures the log outside of the runtime, with Lambda's JSON format."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys
        self._handlers: list[logging.Handler] = []

    def __call__(self, level: int = logging.INFO, **common: str) -> None:
        # In the test itself: pytest adds its own handlers before it.
        self.monkeypatch.setattr(logging.root, "handlers", self._handlers)
        configure_logging(level, **common)

    def text(self) -> str:
        """Return what was logged since the last call."""
        return self.capsys.readouterr().err

    def lines(self) -> list[Any]:
        """Return the lines that were logged since the last call, as JSON."""
        return list(map(json.loads, self.text().splitlines()))


@pytest.fixture
def json_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> JsonLog:
    monkeypatch.setenv("AWS_LAMBDA_LOG_FORMAT", "JSON")
    return JsonLog(monkeypatch, capsys)


def test_fields_are_at_the_top_level(json_log: JsonLog) -> None:
    json_log()
    log_event(logging.WARNING, "skipped", key="a/b", count=2)
    [found] = json_log.lines()
    time = datetime.fromisoformat(found.pop("timestamp"))
    assert abs((datetime.now(UTC) - time).total_seconds()) < 60
    expected = {"level": "WARNING", "event": "skipped", "key": "a/b", "count": 2}
    assert list(found.items()) == list(expected.items())


def test_no_name_of_a_field_is_lost(json_log: JsonLog) -> None:
    names = ["name", "msg", "args", "module", "message", "logger"]
    json_log()
    log_event(logging.INFO, "done", **dict.fromkeys(names, "x"))
    [found] = json_log.lines()
    assert [found[name] for name in names] == ["x"] * len(names)


def test_lines_have_the_time(json_log: JsonLog) -> None:
    json_log()
    for now in (0.0, 0.0625, 1.5):
        json_log.monkeypatch.setattr("lava_s3trigger.log.time.time", lambda now=now: now)
        log_event(logging.INFO, "done")
    assert [line["timestamp"] for line in json_log.lines()] == [
        f"1970-01-01T00:00:0{seconds}Z" for seconds in ("0.000", "0.062", "1.500")
    ]


def test_lines_of_other_loggers_are_left_to_the_handlers_own_formatter(json_log: JsonLog) -> None:
    json_log()
    json_log()  # as a second instance in the same process does
    logging.getLogger("botocore").warning("odd")
    assert json_log.text() == "[WARNING] odd\n"


def test_debug_of_libraries_is_not_logged(json_log: JsonLog) -> None:
    logging.root.setLevel(logging.DEBUG)
    json_log(logging.DEBUG)
    logging.getLogger("botocore").info("found credentials")
    assert json_log.text() == ""


def test_common_fields_are_in_each_line(json_log: JsonLog) -> None:
    json_log(mode="observe")
    log_event(logging.INFO, "skipped", key="a")
    log_event(logging.INFO, "done")
    log_document('{"event":"summary","events":1}')
    assert [line["mode"] for line in json_log.lines()] == ["observe"] * 3


def test_a_document_of_metrics_is_logged_as_it_is_at_every_level(
    caplog: pytest.LogCaptureFixture, json_log: JsonLog
) -> None:
    LOGGER.setLevel(logging.CRITICAL)
    log_document('{"event":"summary","dispatched":1}')
    assert caplog.messages == ['{"event":"summary","dispatched":1}']
    json_log(logging.ERROR)
    log_document('{"event":"summary","dispatched":1}')
    assert json_log.text() == '{"event":"summary","dispatched":1}\n'


class Runtime:
    """The log of Lambda's runtime, in one of its formats.

    Args:
        log_format: JSON or Text.
        path: The file that stands for the runtime's socket.
        monkeypatch: Undoes what this changes.
    """

    def __init__(self, log_format: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._path = path
        self._monkeypatch = monkeypatch
        bootstrap: Any = importlib.import_module("awslambdaric.bootstrap")
        formats: Any = importlib.import_module("awslambdaric.lambda_runtime_log_utils")
        monkeypatch.setenv("AWS_LAMBDA_LOG_FORMAT", log_format)
        monkeypatch.setattr(logging.Formatter, "converter", logging.Formatter.converter)
        monkeypatch.setattr(bootstrap, "_GLOBAL_AWS_REQUEST_ID", "r-1")
        sink = bootstrap.FramedTelemetryLogSink(0)
        self.file = sink.file = path.open("wb", buffering=0)
        before = list(logging.root.handlers)
        level = "DEBUG" if log_format == "JSON" else None
        bootstrap._setup_logging(formats.LogFormat.from_str(log_format), level, sink)  # noqa: SLF001
        self.handlers = [each for each in logging.root.handlers if each not in before]
        logging.root.handlers[:] = before

    def attach(self) -> None:
        """Have lines go to the runtime's handler alone; pytest adds its own before a test."""
        self._monkeypatch.setattr(logging.root, "handlers", self.handlers)

    def configure(self, level: int = logging.INFO) -> None:
        """Configure the log, as the function does at its start."""
        self.attach()
        configure_logging(level)

    def frames(self) -> list[tuple[bytes, str]]:
        """Return type and text of each frame that was logged."""
        rest = self._path.read_bytes()
        found = []
        while rest:
            size = int.from_bytes(rest[4:8], "big")
            found.append((rest[:4], rest[16 : 16 + size].decode()))
            rest = rest[16 + size :]
        return found


@pytest.fixture
def runtime(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Runtime]:
    """The log of Lambda's runtime, in the format that the test asks for."""
    found = Runtime(request.param, tmp_path / "log", monkeypatch)
    with found.file:
        yield found
    for name in [each for each in sys.modules if each.split(".")[0] == "awslambdaric"]:
        del sys.modules[name]


@pytest.mark.parametrize("key", HOSTILE, ids=ascii)
@pytest.mark.parametrize("runtime", ["JSON", "Text"], indirect=True)
def test_a_line_is_read_back(runtime: Runtime, key: str) -> None:
    runtime.configure()
    log_event(logging.ERROR, "failed", key=key, count=3)

    [(_, text)] = runtime.frames()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    line = read_line(text)
    assert line
    assert (line.event, line.level, line.request_id) == ("failed", "ERROR", "r-1")
    assert line.fields == {"key": key, "count": 3}
    assert line.time
    assert abs((datetime.now(UTC) - line.time).total_seconds()) < 60


@pytest.mark.parametrize("runtime", ["JSON"], indirect=True)
@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.ERROR])
def test_a_frame_has_the_type_that_the_runtime_gives_it(runtime: Runtime, level: int) -> None:
    runtime.attach()
    log_event(level, "before")
    runtime.configure(logging.DEBUG)
    log_event(level, "after")
    log_event(level, "again")

    (before, _), (after, _), (again, _) = runtime.frames()
    assert before == after == again


@pytest.mark.parametrize("runtime", ["JSON", "Text"], indirect=True)
def test_metrics_are_read_back(runtime: Runtime) -> None:
    runtime.configure()
    log_document('{"event":"summary","_aws":{"Timestamp":1500},"dispatched":1}')

    [(_, text)] = runtime.frames()
    line = read_line(text)
    assert line
    assert (line.event, line.fields) == ("summary", {"dispatched": 1})
    assert line.time
    # The document is the whole line: CloudWatch may not find it behind a prefix.
    assert json.loads(text)["_aws"] == {"Timestamp": 1500}
