"""Long work tells how far it is."""

import io
import sys

import pytest

from lava_s3trigger.cli.output.progress import LINE_SECONDS, Progress
from tests.clock import Clock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestElsewhere:
    """Where standard error is no terminal, there is a line now and then."""

    def test_a_line_every_thirty_seconds(
        self, clock: Clock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with Progress("objects sent", 1000, clock) as progress:
            for _ in range(90):
                clock.now += 1
                progress.advance(10)
        assert capsys.readouterr().err.splitlines() == [
            "objects sent: 300 of 1,000, 10/s, 1:10 left",
            "objects sent: 600 of 1,000, 10/s, 0:40 left",
            "objects sent: 900 of 1,000, 10/s, 0:10 left",
        ]

    def test_the_rate_is_that_of_late(
        self, clock: Clock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with Progress("objects sent", 100_000, clock) as progress:
            for number in (3000, 30, 0):
                clock.now += LINE_SECONDS
                progress.advance(number)
        assert capsys.readouterr().err.splitlines() == [
            "objects sent: 3,000 of 100,000, 100/s, 16:10 left",
            "objects sent: 3,030 of 100,000, 1/s, 26:56:10 left",
            "objects sent: 3,030 of 100,000, 0/s",
        ]

    def test_without_a_total_nothing_is_said_to_be_left(
        self, clock: Clock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with Progress("lines read", None, clock) as progress:
            clock.now += LINE_SECONDS
            progress.advance(60)
        assert capsys.readouterr().err == "lines read: 60, 2/s\n"

    def test_short_work_says_nothing(
        self, clock: Clock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with Progress("objects sent", 10, clock) as progress:
            clock.now += 29
            progress.advance(10)
        assert capsys.readouterr().err == ""


def test_on_a_terminal_there_is_a_bar(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Progress("objects [bold]sent \x1b[2J", 1000, clock) as progress:
        clock.now += 1
        progress.advance(250)
    assert terminal.getvalue().split("\r\x1b[?25l")[-1] == (
        f"objects [bold]sent \\x1b[2J [{'#' * 15}{'-' * 45}] 250 of 1,000, 250/s, 0:03 left"
        "\r\x1b[K\x1b[?25h"
    )


def test_a_bar_without_a_total_shows_the_number_and_the_rate(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Progress("lines read", None, clock) as progress:
        clock.now += 1
        progress.advance(60)
    assert "60, 60/s" in terminal.getvalue()


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    with Progress("lines read", None, clock) as progress:
        clock.now += LINE_SECONDS
        progress.advance(60)
    assert capsys.readouterr().err == "lines read: 60, 2/s\n"


def test_a_bar_may_wait_until_work_has_taken_some_time(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    shown = []
    with Progress("entries checked", None, clock, after=2.0) as progress:
        for number, seconds in enumerate((0.5, 1.4, 0.2)):
            clock.now += seconds
            progress.reach(number, 7)
            shown.append("2 of 7" in terminal.getvalue())
    assert (shown, terminal.getvalue().count("0 of 7")) == ([False, False, True], 0)
