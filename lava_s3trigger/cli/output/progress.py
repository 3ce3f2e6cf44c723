"""How far long work is: a bar on a terminal, a line every 30 s elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final, Self

from .streams import message

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

LINE_SECONDS: Final = 30
_BAR_SECONDS: Final = 0.2
_SMOOTHING_SECONDS: Final = 30


class Progress:
    """Progress of long work, on standard error.

    Args:
        what: What is counted, such as ``objects planned``.
        total: How many there are, if that is known.
        clock: Returns the time in seconds.
        after: Seconds that the work takes at least, before a bar is shown.
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

    def __enter__(self) -> Self:
        self._is_terminal = sys.stderr.isatty()
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
            self._show()
            self._bar.stop()

    def advance(self, number: int = 0) -> None:
        """Note that so many more are done; call it also while none are."""
        self.reach(self._done + number)

    def reach(self, done: int, total: int | None = None) -> None:
        """Note how many are done, and of how many, if that is known by now."""
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
        self._bar = _bar()
        self._bar.start()
        self._task = self._bar.add_task(
            self._what, total=self._total, completed=self._done, text=self._text()
        )

    def _show(self) -> None:
        if self._bar:
            self._bar.update(
                self._task,
                completed=self._done,
                total=self._total,
                text=self._text(),
                refresh=True,
            )
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


def _bar() -> Any:
    from rich import progress  # noqa: PLC0415 - start-up
    from rich.console import Console  # noqa: PLC0415

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.TextColumn("{task.fields[text]}", markup=False),
        console=Console(file=sys.stderr),
        # By a thread, it would meet the bounds of templates in the main thread.
        auto_refresh=False,
        transient=True,
    )
