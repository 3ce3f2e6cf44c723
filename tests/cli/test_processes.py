"""Objects are compared in several processes, which end with the command."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing import active_children
from typing import Any, NoReturn

import pytest

from lava_s3trigger.cli.entries.load import Entry
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.objects.record import S3Object
from lava_s3trigger.cli.plan.entry_sets import Side, Sides
from lava_s3trigger.cli.plan.parallel import CHUNK_OBJECTS, Setting, compare
from tools.local.server import CHECKOUT

NOW = datetime(2026, 3, 14, 1, 59, 26, tzinfo=UTC)


class Dying:
    """In the place of entries: its process ends when it reads them."""

    @property
    def before(self) -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class Raising:
    """In the place of entries: reading them raises the blocked signals as an error."""

    @property
    def before(self) -> NoReturn:
        raise LookupError({*map(signal.Signals, signal.pthread_sigmask(signal.SIG_BLOCK, []))})


def objects(chunks: int) -> Iterator[S3Object]:
    return (S3Object("b", f"k{number}", 1, NOW) for number in range(chunks * CHUNK_OBJECTS))


def setting(sides: Any) -> Setting:
    return Setting(sides, "us-east-1", NOW)


def empty() -> Setting:
    """Return two sides, one of which has an entry that no object reaches."""
    item = {name: {"S": name} for name in ("trigger_id", "bucket", "prefix")}
    return setting(Sides(Side("before", []), Side("after", [Entry("trigger", item, "new.json")])))


def test_no_process_is_left_and_no_signal_is_blocked_after() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])

    assert compare(objects(5), empty(), 2, lambda _: None).objects == 5 * CHUNK_OBJECTS

    assert active_children() == []
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_ctrl_c_does_not_reach_the_processes_from_their_start() -> None:
    # In a process of its own: what starts the first of them must not unblock the signal.
    script = """
from lava_s3trigger.cli.plan.parallel import compare
from tests.cli.test_processes import Raising, objects, setting
if __name__ == "__main__":
    try:
        compare(objects(2), setting(Raising()), 2, print)
    except LookupError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )

    assert done.stdout == "{<Signals.SIGINT: 2>}\n"


def test_no_more_chunks_are_taken_than_there_are_processes_and_two() -> None:
    taken = compared = most = 0

    def read() -> Iterator[S3Object]:
        nonlocal taken, most
        for taken, found in enumerate(objects(20), 1):
            most = max(most, taken - compared)
            yield found

    def progress(count: int) -> None:
        nonlocal compared
        compared += count

    compare(read(), empty(), 2, progress)

    assert compared == taken == 20 * CHUNK_OBJECTS
    assert most <= 4 * CHUNK_OBJECTS


def test_an_exception_of_a_process_is_raised_with_its_trace_there() -> None:
    with pytest.raises(LookupError) as raised:
        compare(objects(3), setting(Raising()), 2, lambda _: None)

    assert __file__ in str(raised.value.__cause__)
    assert active_children() == []


def test_a_process_that_ends_is_reported_in_one_line() -> None:
    with pytest.raises(
        CommandError, match=r"^a process ended unexpectedly: .*--processes"
    ) as error:
        compare(objects(3), setting(Dying()), 2, lambda _: None)

    assert "\n" not in str(error.value)
    assert active_children() == []
