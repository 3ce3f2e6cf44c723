"""Concurrent calls, on a few threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
R = TypeVar("R")

MOST: Final = 8
"""Calls that run at once; the clients keep more connections than that."""

_pool: ThreadPoolExecutor | None = None


def map_concurrently(call: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Call a function for each item, on a few threads, and return the results in order.

    All calls have ended when it returns, or raises the error of one of them: none runs in an
    instance that AWS has frozen, or in the next invocation.
    """
    global _pool  # noqa: PLW0603 - made once, and not at cold start: few invocations need it
    if len(items) < 2:  # noqa: PLR2004 - a thread costs more than it saves
        return [call(one) for one in items]
    if _pool is None:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

        _pool = ThreadPoolExecutor(MOST, "calls")
    calls = [_pool.submit(call, one) for one in items]
    for ended in calls:
        ended.exception()  # waits for it
    return [ended.result() for ended in calls]
