"""Compares two sets of entries over many objects, with one process for each processor."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from lava_s3trigger.cli.deployed.aws import pieces
from lava_s3trigger.cli.errors import CommandError

from .compare import Comparer, Comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from datetime import datetime

    from lava_s3trigger.cli.objects.record import S3Object

    from .entry_sets import Sides

CHUNK_OBJECTS: Final = 1000
"""Objects that a process compares before it reports; for fewer, no process is started."""


class Setting(NamedTuple):
    """The setting of the comparison for all objects."""

    sides: Sides
    region: str
    """AWS region of the objects."""
    now: datetime
    """The current time for templates."""

    def comparer(self) -> Comparer:
        """Return the comparer of objects."""
        return Comparer(self.sides, self.region, self.now)


_Chunk = tuple[int, "list[S3Object]"]
"""Some of the objects, with the number of the first one."""


def available() -> int:
    """Return the number of processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # on other systems than Linux
        return os.cpu_count() or 1


def compare(
    objects: Iterable[S3Object],
    setting: Setting,
    processes: int,
    progress: Callable[[int], None],
) -> Comparison:
    """Compare the decisions of two sets of entries on objects.

    Args:
        objects: The objects; they are not kept in memory.
        setting: The setting of the comparison.
        processes: Number of processes, where there are enough objects.
        progress: Called with the number of objects that were compared since the last call.

    Raises:
        CommandError: A process ended.
    """
    total = Comparison()
    chunks: Iterator[_Chunk] = zip(
        itertools.count(0, CHUNK_OBJECTS), pieces(objects, CHUNK_OBJECTS), strict=False
    )
    start = list(itertools.islice(chunks, 2))
    chunks = itertools.chain(start, chunks)
    if len(start) < 2 or processes == 1:  # noqa: PLR2004 - a second chunk
        results = _in_this_process(chunks, setting)
    else:
        results = _in_processes(chunks, setting, processes)
    with contextlib.closing(results):
        for result in results:
            total.add(result)
            progress(result.objects)
    return total


def _in_this_process(
    chunks: Iterable[_Chunk], setting: Setting
) -> Generator[Comparison, None, None]:
    comparer = setting.comparer()
    for chunk in chunks:
        yield comparer.compare(*chunk)


def _in_processes(
    chunks: Iterable[_Chunk], setting: Setting, processes: int
) -> Generator[Comparison, None, None]:
    """Yield the comparison of each completed chunk; each process has a chunk, and one more waits.

    A process runs its chunks in its main thread, which the time limits of templates need.
    """
    # Not forked: a fork copies locks that other threads, such as boto3's, may hold.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _start, (setting,))
    pending: set[Future[Comparison]] = set()
    try:
        for chunk in chunks:
            while len(pending) > processes:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
            with _sigint_blocked():
                pending.add(pool.submit(_compare, chunk))
        yield from (future.result() for future in as_completed(pending))
    except BrokenProcessPool:
        raise CommandError(
            "a process ended unexpectedly: the system may be short of memory; fewer --processes"
            " need less"
        ) from None
    finally:
        # Killed, since a chunk can take minutes and Ctrl-C must end the command at once.
        for process in multiprocessing.active_children():
            process.kill()
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block SIGINT in the processes that are started in the block; they inherit the signal mask.

    A terminal sends Ctrl-C to all processes; the main one ends the others.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Process:
    """The state of a process of the pool."""

    comparer: Callable[[], Comparer]


def _start(setting: Setting) -> None:
    # Made with the first chunk, which returns an error to the main process; this could not.
    _Process.comparer = cache(setting.comparer)


def _compare(chunk: _Chunk) -> Comparison:
    return _Process.comparer().compare(*chunk)
