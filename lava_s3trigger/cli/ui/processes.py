"""The processes that decide for the page: one for what is typed, one for what takes longer."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.errors import CommandError

from .workbench import Workbench

if TYPE_CHECKING:
    from .workbench import Source

    Json = dict[str, Any]

QUICK: Final = frozenset(["map", "explain", "draft", "entry", "change"])
"""What is asked while somebody types."""
SLOW: Final = frozenset(["findings", "changes", "plan"])
"""What may take seconds; a newer question of the same kind takes the place of one that waits."""


@dataclass(slots=True)
class Processes:
    """Asks a workbench in another process, whose main thread the time limits of templates need."""

    source: Source
    _pools: dict[bool, ProcessPoolExecutor] = field(default_factory=dict)
    _waiting: dict[str, Future[Json]] = field(default_factory=dict)

    async def ask(self, call: str, request: Json) -> Json:
        """Return the answer to a question of the page.

        Args:
            call: One of `QUICK` or `SLOW`.
            request: What the page sent.

        Raises:
            CommandError: The request is wrong, or the process ended; another one is started.
        """
        is_quick = call in QUICK
        if (earlier := self._waiting.get(call)) and not is_quick:
            earlier.cancel()
        if is_quick not in self._pools:
            context = multiprocessing.get_context("spawn")
            self._pools[is_quick] = ProcessPoolExecutor(1, context, _start, (self.source,))
        future = self._pools[is_quick].submit(_answer, call, request)
        self._waiting[call] = future
        try:
            answer = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if not future.cancelled():
                raise
            return {"superseded": True}
        except BrokenProcessPool:
            self._pools.pop(is_quick, None)
            raise CommandError("the process that decides ended; ask again") from None
        if "error" in answer:
            raise CommandError(answer["error"])
        return answer

    def close(self) -> None:
        """End the processes."""
        for pool in self._pools.values():
            for process in list((pool._processes or {}).values()):  # noqa: SLF001 - Python 3.14 has kill_workers
                process.kill()
            pool.shutdown(cancel_futures=True)


class _Process:
    """What a process has."""

    workbench: Workbench


def _start(source: Source) -> None:
    # A terminal sends Ctrl-C to all processes; the server ends these.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_server, daemon=True).start()
    _Process.workbench = Workbench(source)


def _end_with_server() -> None:
    """End this process when the server has ended, also if something killed the server."""
    if server := multiprocessing.parent_process():
        server.join()
        os._exit(1)


def _answer(call: str, request: Json) -> Json:
    try:
        answer: Json = getattr(_Process.workbench, call)(request)
    except CommandError as error:
        return {"error": str(error)}
    return answer
