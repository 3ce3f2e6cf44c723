"""Work in several processes, in chunks. Templates run in the main thread of a process alone."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import traceback
from multiprocessing import connection, resource_tracker
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from lava_s3trigger.cli.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.connection import Connection
    from types import TracebackType

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")


class WorkerError(RuntimeError):
    """The work raised an exception in its process, whose trace is a note."""


def available() -> int:
    """Return the number of processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


class Workers(Generic[Chunk, Result]):
    """Processes that work until the block ends; then they are killed.

    A process has one chunk at a time, so that neither side waits for the other to read.

    Args:
        count: Number of processes.
        make: Makes the function that does a chunk, once in each process; a function of a
            module.
        argument: What `make` is given.
    """

    def __init__(
        self, count: int, make: Callable[[Any], Callable[[Chunk], Result]], argument: Any
    ) -> None:
        # Not forked: a fork copies locks that other threads hold, as those of boto3 may.
        context = multiprocessing.get_context("spawn")
        self._connections: list[Connection] = []
        self._processes = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, make, argument), daemon=True)
            self._connections.append(ours)
            self._processes.append((process, theirs))

    def __enter__(self) -> Self:
        try:
            # It unblocks the signal once it has started, so it comes first.
            resource_tracker.ensure_running()
            # Ctrl-C goes to all processes of a terminal; the first of them ends the others,
            # which inherit that the signal is blocked.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            try:
                for process, theirs in self._processes:
                    process.start()
                    theirs.close()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        started = [process for process, _ in self._processes if process.pid is not None]
        for process in started:
            process.kill()
        for process in started:
            process.join()
        for ours, (_, theirs) in zip(self._connections, self._processes, strict=True):
            ours.close()
            theirs.close()

    def map(self, chunks: Iterable[Chunk]) -> Iterator[Result]:
        """Yield the result of each chunk, in the order in which they are done.

        Raises:
            WorkerError: `make` or its function raised an exception.
            CommandError: A process ended.
        """
        idle: list[Any] = list(self._connections)
        busy: list[Any] = []
        for chunk in chunks:
            while not idle:
                for each in connection.wait(busy):
                    busy.remove(each)
                    idle.append(each)
                    yield self._received(each)
            with contextlib.suppress(BrokenPipeError):  # it has ended, and is asked for why
                idle[-1].send(chunk)
            busy.append(idle.pop())
        while busy:
            for each in connection.wait(busy):
                busy.remove(each)
                yield self._received(each)

    def _received(self, each: Any) -> Result:
        try:
            is_done, result = each.recv()
        except (EOFError, ConnectionResetError):
            process = self._processes[self._connections.index(each)][0]
            process.join()
            raise CommandError(
                f"a process ended with status {process.exitcode}: the system may be short of"
                " memory; fewer processes need less"
            ) from None
        if not is_done:
            error = WorkerError(str(result).strip().rpartition("\n")[2])
            error.add_note(str(result))
            raise error
        found: Result = result
        return found


def _serve(theirs: Connection, make: Callable[[Any], Callable[[Any], Any]], argument: Any) -> None:
    """Do chunks until the other side closes the connection."""
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            work = make(argument)
            while True:
                chunk = theirs.recv()
                theirs.send((True, work(chunk)))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except Exception:  # noqa: BLE001 - it is reported where the work was given out
            theirs.send((False, traceback.format_exc()))
