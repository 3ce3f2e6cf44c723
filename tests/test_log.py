"""The function's log: one line for each thing that happens, in ASCII."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lava_s3trigger.log import LOGGER, configure_logging, log_event

unhurried = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)

FIELDS = st.dictionaries(
    st.from_regex("[a-z_]+", fullmatch=True).filter(lambda name: name not in {"level", "event"}),
    st.text() | st.integers() | st.booleans(),
)


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger=LOGGER.name)


class TestConfigureLogging:
    """The log goes to Lambda's handler, or else to standard error."""

    @pytest.mark.parametrize("level", [logging.DEBUG, logging.ERROR])
    def test_lines_below_the_level_are_dropped(self, level: int) -> None:
        configure_logging(level)

        assert LOGGER.getEffectiveLevel() == level

    def test_an_existing_handler_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        of_lambda = logging.NullHandler()
        monkeypatch.setattr(logging.root, "handlers", [of_lambda])

        configure_logging(logging.INFO)

        assert logging.root.handlers == [of_lambda]

    def test_without_a_handler_lines_go_to_standard_error(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(logging.root, "handlers", [])

        configure_logging(logging.INFO)
        log_event(logging.INFO, "dispatched", job_id="job")
        log_event(logging.DEBUG, "skipped")

        assert capsys.readouterr() == ("", '[INFO] dispatched {"job_id": "job"}\n')


class TestLogEvent:
    """A line has the name of the event and its fields as JSON."""

    def test_a_line_is_what_happened_and_its_fields(self, caplog: pytest.LogCaptureFixture) -> None:
        log_event(logging.INFO, "dispatched", queue="lava-demo-core", count=1)

        assert caplog.record_tuples == [
            ("lava_s3trigger", logging.INFO, 'dispatched {"queue": "lava-demo-core", "count": 1}')
        ]

    @pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING, logging.ERROR])
    def test_a_line_has_its_level(self, level: int, caplog: pytest.LogCaptureFixture) -> None:
        log_event(level, "failed")

        assert [record.levelno for record in caplog.records] == [level]

    def test_fields_that_are_none_are_left_out(self, caplog: pytest.LogCaptureFixture) -> None:
        log_event(logging.INFO, "skipped", trigger_id=None, job_id="", count=0)

        assert caplog.messages == ['skipped {"job_id": "", "count": 0}']

    def test_a_value_that_json_lacks_is_logged_as_text(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        log_event(logging.INFO, "done", at=datetime(2026, 3, 14, tzinfo=UTC))

        assert caplog.messages == ['done {"at": "2026-03-14 00:00:00+00:00"}']

    def test_below_the_level_no_text_is_made(self, caplog: pytest.LogCaptureFixture) -> None:
        class Costly:
            def __str__(self) -> str:
                raise AssertionError

        caplog.set_level(logging.INFO, logger=LOGGER.name)
        log_event(logging.DEBUG, "skipped", fact=Costly())

        assert caplog.records == []

    def test_a_long_value_is_cut(self, caplog: pytest.LogCaptureFixture) -> None:
        log_event(logging.INFO, "failed", reason="x" * 1_000_000, key="k" * 4096)

        [message] = caplog.messages
        fields = json.loads(message.removeprefix("failed "))
        assert fields == {"reason": "x" * 4096, "key": "k" * 4096}

    def test_a_percent_sign_is_data(self, caplog: pytest.LogCaptureFixture) -> None:
        log_event(logging.INFO, "skipped", key="100%s%d")

        assert caplog.messages == ['skipped {"key": "100%s%d"}']


class TestForging:
    """No object key can end a log line or begin one."""

    @pytest.mark.parametrize(
        "key",
        ["a\nfailed {}", "a\r\nb", "\x1b[31mred", "\u2028", "\x85", "\ud800", "\U0001f600", '"}'],
        ids=["newline", "crlf", "escape", "separator", "nel", "surrogate", "emoji", "quote"],
    )
    def test_a_line_is_one_line_in_ascii(self, key: str, caplog: pytest.LogCaptureFixture) -> None:
        log_event(logging.INFO, "skipped", key=key)

        [message] = caplog.messages
        assert message.isascii()
        assert message.isprintable()
        assert json.loads(message.removeprefix("skipped ")) == {"key": key}

    @unhurried
    @given(fields=FIELDS)
    def test_all_fields_are_read_back(
        self, fields: dict[str, object], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.clear()
        log_event(logging.INFO, "said", **fields)

        [message] = caplog.messages
        assert message.isascii()
        assert "\n" not in message
        assert json.loads(message.removeprefix("said ")) == fields
