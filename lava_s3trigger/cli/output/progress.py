"""The progress of long work: a bar on a terminal, a line every 30 s elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Self

import click

from .escaping import safe
from .streams import message

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

LINE_SECONDS: Final = 30
_BAR_SECONDS: Final = 0.2
_SMOOTHING_SECONDS: Final = 30
_CLEAR: Final = "\r\x1b[K\x1b[?25h"
"""Clears the line of a bar, and shows the cursor, which click hides."""


class Progress:
    """Progress of long work, on standard error.

    Args:
        what: The counted things, such as ``objects planned``.
        total: Their total number, if it is known.
        clock: Returns the time in seconds.
        after: Seconds of work before a bar is shown.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        after: float = 0.0,
    ) -> None:
        self._what = what
        self._total = total
        self._clock = clock
        self._after = after
        self._done = 0
        self._start = self._shown = clock()
        self._marks = [(self._start, 0)]
        self._is_terminal = False
        self._bar: Any = None
        """The bar of click, without its own clock and rate."""

    def __enter__(self) -> Self:
        self._is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        if self._is_terminal and self._after <= 0:
            self._start_bar()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar:
            # A completed bar is cleared; click itself would leave it.
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()

    def advance(self, number: int = 0) -> None:
        """Record that so many more are done; call it also with 0."""
        self.reach(self._done + number)

    def reach(self, done: int, total: int | None = None) -> None:
        """Record how many are done, and the total if it is known by now."""
        self._done = done
        self._total = self._total if total is None else total
        now = self._clock()
        if self._is_terminal and self._bar is None and now - self._start >= self._after:
            self._start_bar()
        if now - self._shown >= (_BAR_SECONDS if self._bar else LINE_SECONDS):
            self._shown = now
            self._marks.append((now, self._done))
            while self._marks[1][0] <= now - _SMOOTHING_SECONDS:
                del self._marks[0]
            self._show()

    def _start_bar(self) -> None:
        self._bar = click.progressbar(
            (),
            label=safe(self._what),
            bar_template="%(label)s [%(bar)s] %(info)s",
            show_eta=False,
            show_percent=False,
            item_show_func=lambda _: self._text(),
            width=0,  # the width that the text leaves
            file=sys.stderr,
        )
        self._show()

    def _show(self) -> None:
        if self._bar:
            self._bar.pos, self._bar.length = self._done, self._total
            self._bar.render_progress()
        else:
            message(f"{self._what}: {self._text()}")

    def _text(self) -> str:
        (since, before), now = self._marks[0], self._clock()
        rate = (self._done - before) / (now - since) if now > since else 0
        of_total = "" if self._total is None else f" of {self._total:,}"
        text = f"{self._done:,}{of_total}, {rate:,.0f}/s"
        if self._total is not None and rate > 0:
            text += f", {_duration((self._total - self._done) / rate)} left"
        return text


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
