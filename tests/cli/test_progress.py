"""Long work tells how far it is."""

import sys
from typing import Any, Final

import pytest

from lava_s3trigger.cli.output.progress import LINE_SECONDS, Progress
from tests.cli.terminal import Terminal
from tests.clock import Clock


def terminal_of(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make standard error a terminal, and return it."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return terminal


EVERY_THIRTY_SECONDS: Final = [
    "objects sent: 300 of 1,000, 10/s, 1:10 left",
    "objects sent: 600 of 1,000, 10/s, 0:40 left",
    "objects sent: 900 of 1,000, 10/s, 0:10 left",
]
RATE_OF_LATE: Final = [
    "objects sent: 3,000 of 100,000, 100/s, 16:10 left",
    "objects sent: 3,030 of 100,000, 1/s, 26:56:10 left",
    "objects sent: 3,030 of 100,000, 0/s",
]


@pytest.mark.parametrize(
    ("total", "steps", "lines"),
    [
        pytest.param(1000, [(1, 10)] * 90, EVERY_THIRTY_SECONDS, id="a line every thirty seconds"),
        pytest.param(100_000, [(30, 3000), (30, 30), (30, 0)], RATE_OF_LATE, id="rate of late"),
        pytest.param(None, [(30, 60)], ["objects sent: 60, 2/s"], id="no total"),
        pytest.param(10, [(29, 10)], [], id="short work"),
    ],
)
def test_elsewhere_there_is_a_line_now_and_then(
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
    total: int | None,
    steps: Any,
    lines: list[str],
) -> None:
    with Progress("objects sent", total, clock) as progress:
        for seconds, number in steps:
            clock.now += seconds
            progress.advance(number)
    assert capsys.readouterr().err.splitlines() == lines


def test_on_a_terminal_there_is_a_bar(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)
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
    terminal = terminal_of(monkeypatch)
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
    terminal = terminal_of(monkeypatch)
    shown = []
    with Progress("entries checked", None, clock, after=2.0) as progress:
        for number, seconds in enumerate((0.5, 1.4, 0.2)):
            clock.now += seconds
            progress.reach(number, 7)
            shown.append("2 of 7" in terminal.getvalue())
    assert (shown, terminal.getvalue().count("0 of 7")) == ([False, False, True], 0)
