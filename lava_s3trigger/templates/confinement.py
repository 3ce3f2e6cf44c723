"""Runs the templates and conditions of a trigger within bounds.

Everything runs in this process. Three things together confine it:

- Jinja's sandbox, with its gaps closed (`environment`), and `utils` that lead nowhere
  (`utils`), keep templates from the function's credentials, files and shared objects.
- Every value that a template makes is weighed (`weighing`), so no single operation in C
  takes much time or memory.
- An alarm and a limit of the memory (`limits`) end everything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from lava_s3trigger.errors import UserError

from . import limits

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MAX_ABORTS: Final = 3
"""Times that a trigger may use up its time before it is disabled until its entry is read again."""
MAX_RUN_SECONDS: Final = limits.SECONDS + limits.COMPILE_SECONDS
"""Seconds that `Confinement.run` takes at most, to compile (once) and to render."""


class Confinement:
    """Runs the conditions and templates of one trigger within bounds of time and memory.

    There is one for each cached entry. It stops running a trigger that was aborted
    `MAX_ABORTS` times: a few such triggers, or object keys that are made for one, would use up
    the time of all others.
    """

    __slots__ = ("_aborts", "_is_testing_slow")

    def __init__(self) -> None:
        self._aborts: list[str] = []
        self._is_testing_slow = False

    def read(self, read: Callable[[], T]) -> T:
        """Read the entry's conditions, and compile their patterns.

        Raises:
            ValueError: It takes too long or too much memory, or `read` raises it.
        """
        try:
            return limits.run_bounded(read, limits.COMPILE_SECONDS)
        except (TimeoutError, MemoryError) as error:
            raise ValueError(f"reading conditions aborted: {_reason(error)}") from None

    def run(self, test: Callable[[], bool], render: Callable[[], T]) -> T | None:
        """Test the conditions and, if they hold, render, both within one bound.

        Returns:
            The result of `render`, or None where the conditions do not hold.

        Raises:
            UserError: It was aborted, now or too often before; or `render` raises it.
            RuntimeError: This is not the main thread.
        """
        is_tested = False

        def test_and_render() -> T | None:
            nonlocal is_tested
            is_set_aside = len(self._aborts) >= MAX_ABORTS
            if not (is_set_aside and self._is_testing_slow) and not test():
                return None
            is_tested = True
            if is_set_aside:
                raise UserError(
                    f"trigger set aside after {MAX_ABORTS} aborted renderings;"
                    f" last: {self._aborts[-1]}",
                    "aborted",
                )
            return render()

        try:
            return limits.run_bounded(test_and_render)
        except (TimeoutError, MemoryError) as error:
            reason = f"rendering aborted: {_reason(error)}"
            self._aborts.append(reason)
            self._is_testing_slow |= not is_tested
            raise UserError(reason, "aborted") from None


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, TimeoutError) else "it took too much memory"
