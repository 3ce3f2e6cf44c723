"""Work is done in several processes, which end with the block."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.plan.processes import WorkerError, Workers, available
from tools.local.server import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable


def adding(start: int) -> Callable[[int], tuple[int, int]]:
    return lambda number: (start + number, os.getpid())


def echoing(_: None) -> Callable[[bytes], bytes]:
    return lambda data: data


def telling_blocked(_: None) -> Callable[[int], set[signal.Signals]]:
    return lambda _number: {*map(signal.Signals, signal.pthread_sigmask(signal.SIG_BLOCK, []))}


def raising(_: None) -> Callable[[int], int]:
    return lambda number: 1 // number


def unmakable(_: None) -> Callable[[int], int]:
    raise LookupError("no such work")


def dying(_: None) -> Callable[[int], Any]:
    return lambda _number: os.kill(os.getpid(), signal.SIGKILL)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_each_chunk_is_done_once_by_other_processes_that_end_with_the_block() -> None:
    with Workers[int, tuple[int, int]](2, adding, 100) as workers:
        found = list(workers.map(range(50)))

    pids = {pid for _, pid in found}
    assert sorted(number for number, _ in found) == list(range(100, 150))
    assert os.getpid() not in pids
    assert not any(map(is_alive, pids))


def test_large_chunks_and_results_do_not_block_each_other() -> None:
    chunks = [bytes(1_000_000)] * 6

    with Workers[bytes, bytes](2, echoing, None) as workers:
        assert list(workers.map(chunks)) == chunks


def test_ctrl_c_does_not_reach_the_processes_from_their_start() -> None:
    # In a process of its own: what starts the first of them must not unblock the signal.
    script = """
from tools.local.server import CHECKOUT
from lava_s3trigger.cli.plan.processes import Workers
from tests.cli.test_processes import telling_blocked
if __name__ == "__main__":
    with Workers(2, telling_blocked, None) as workers:
        print(*workers.map(range(2)), telling_blocked(None)(0))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )

    blocked = "{<Signals.SIGINT: 2>}"
    assert done.stdout == f"{blocked} {blocked} set()\n"


def test_no_more_chunks_are_taken_than_there_are_processes_and_one() -> None:
    taken: list[int] = []

    def chunks() -> Any:
        for number in range(20):
            taken.append(number)
            yield number

    with Workers[int, tuple[int, int]](2, adding, 0) as workers:
        for done, _ in enumerate(workers.map(chunks()), 1):
            assert len(taken) <= done + 3


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(raising, "ZeroDivisionError: integer", id="of the work"),
        pytest.param(unmakable, "LookupError: no such work", id="of what makes it"),
    ],
)
def test_an_exception_is_told_in_a_line_with_its_trace_as_a_note(make: Any, said: str) -> None:
    with pytest.raises(WorkerError, match=said) as raised, Workers[int, Any](1, make, None) as all_:
        list(all_.map([0, 0]))

    assert "\n" not in str(raised.value)
    assert raised.value.__notes__[0].startswith("Traceback")
    assert __file__ in raised.value.__notes__[0]


def test_a_process_that_ends_is_told() -> None:
    with (
        pytest.raises(CommandError, match="ended with status -9"),
        Workers[int, Any](1, dying, None) as workers,
    ):
        list(workers.map([0, 0]))


def test_there_is_a_processor() -> None:
    assert available() >= 1
