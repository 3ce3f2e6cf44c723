"""Compares two sets of entries over many objects, in as many processes as there are processors."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .compare import Comparer, Comparison
from .processes import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
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


class _Chunk(NamedTuple):
    first: int
    """Which of all objects its first one is."""
    objects: list[S3Object]


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
        WorkerError: Comparing raised an exception in another process.
        CommandError: A process ended.
    """
    total = Comparison()
    chunks = _chunks(objects)
    start = list(itertools.islice(chunks, 2))
    if len(start) < 2 or processes == 1:  # noqa: PLR2004 - a second chunk
        work = _comparing(setting)
        results: Iterator[Comparison] = map(work, itertools.chain(start, chunks))
        for result in results:
            _add(total, result, progress)
        return total
    workers: Workers[_Chunk, Comparison] = Workers(processes, _comparing, setting)
    with workers:
        for result in workers.map(itertools.chain(start, chunks)):
            _add(total, result, progress)
    return total


def _add(total: Comparison, result: Comparison, progress: Callable[[int], None]) -> None:
    total.add(result)
    progress(result.objects)


def _chunks(objects: Iterable[S3Object]) -> Iterator[_Chunk]:
    left = iter(objects)
    first = 0
    while chunk := list(itertools.islice(left, CHUNK_OBJECTS)):
        yield _Chunk(first, chunk)
        first += len(chunk)


def _comparing(setting: Setting) -> Callable[[Any], Comparison]:
    comparer = Comparer(setting.sides, setting.region, setting.now)
    return lambda chunk: comparer.compare(chunk.first, chunk.objects)
