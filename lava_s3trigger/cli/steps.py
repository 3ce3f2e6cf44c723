"""A progress bar on standard error, on a terminal, for work that takes longer than a moment."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

SHOWN_AFTER_SECONDS: Final = 2.0


class Steps:
    """Shows how far the work inside a `with` block is, once it has taken two seconds.

    Elsewhere than on a terminal it shows nothing.

    Args:
        clock: Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._bar: Any = None
        self._task: Any = None
        self._label = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, label: str, done: int, total: int | None = None) -> None:
        """Show how much of something is done.

        Args:
            label: What is done, such as ``Checking``.
            done: How many.
            total: Of how many; None where that is not known.
        """
        if self._bar is None:
            if self._clock() - self._start < SHOWN_AFTER_SECONDS or not sys.stderr.isatty():
                return
            self._bar = _bar()
            self._bar.start()
        if label != self._label:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(label, total=total)
            self._label = label
        self._bar.update(self._task, completed=done, total=total)


def _bar() -> Any:
    from rich import progress  # noqa: PLC0415 - start-up
    from rich.console import Console  # noqa: PLC0415

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
