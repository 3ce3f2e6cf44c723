"""Calls side by side."""

import threading
from collections.abc import Sequence

import pytest

from lava_s3trigger.aws.threads import MOST, map_concurrently


@pytest.mark.parametrize("each", [[], [1], [1, 2], list(range(50))], ids=len)
def test_results_are_in_order(each: Sequence[int]) -> None:
    assert map_concurrently(lambda one: one * 2, each) == [one * 2 for one in each]


def test_calls_run_concurrently() -> None:
    meeting = threading.Barrier(MOST, timeout=60)
    map_concurrently(lambda _: meeting.wait(), range(MOST))
    assert not meeting.broken


def test_the_error_of_a_single_call_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        map_concurrently(lambda one: 1 // one, [0])


def test_an_error_is_raised_after_all_calls_ended() -> None:
    is_raised, ended = threading.Event(), []

    def call(one: int) -> None:
        if one == 0:
            is_raised.set()
            raise LookupError
        assert is_raised.wait(60)
        ended.append(one)

    with pytest.raises(LookupError):
        map_concurrently(call, range(3 * MOST))

    assert sorted(ended) == list(range(1, 3 * MOST))
