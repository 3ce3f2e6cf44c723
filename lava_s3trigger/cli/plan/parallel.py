"""Compares two sets of entries over many objects, in as many processes as there are processors."""

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
"""Objects that a process compares before it reports; fewer start no process."""


class Setting(NamedTuple):
    """What all objects are compared by."""

    sides: Sides
    region: str
    """AWS region of the objects."""
    now: datetime
    """The time that templates read."""

    def comparer(self) -> Comparer:
        """Return what compares objects."""
        return Comparer(self.sides, self.region, self.now)


_Chunk = tuple[int, "list[S3Object]"]
"""Which of all objects the first one is, and the objects."""


def available() -> int:
    """Return the number of processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def compare(
    objects: Iterable[S3Object],
    setting: Setting,
    processes: int,
    progress: Callable[[int], None],
) -> Comparison:
    """Compare what two sets of entries do with objects.

    Args:
        objects: The objects; they are not kept.
        setting: What they are compared by.
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
    """Yield the comparison of each chunk as it is done; each process has a chunk and one waits.

    A process runs its chunks in its main thread, which the time limits of templates need.
    """
    # Not forked: a fork copies locks that other threads hold, as those of boto3 may.
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
        # Killed, since a chunk can take minutes: Ctrl-C ends the command at once.
        for process in multiprocessing.active_children():
            process.kill()
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block SIGINT in the processes that the block starts, which inherit the signal mask.

    A terminal sends Ctrl-C to all processes; the first of them ends the others.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Process:
    """What a process of the pool has."""

    comparer: Callable[[], Comparer]


def _start(setting: Setting) -> None:
    # Made with the first chunk: what it raises is the result, but what this raises is not.
    _Process.comparer = cache(setting.comparer)


def _compare(chunk: _Chunk) -> Comparison:
    return _Process.comparer().compare(*chunk)
