"""A short soak, and that a soak would find what goes wrong."""

from __future__ import annotations

import pytest

from tests.soak import soak

# The same lines, over and over.
pytestmark = [pytest.mark.no_cover, pytest.mark.slow("thousands of events")]


def test_each_event_is_dispatched_once() -> None:
    report = soak(1000)
    assert report.is_good
    assert (report.events, report.duplicates, report.dispatched) == (1000, 10, 1000)


def test_a_dispatched_duplicate_is_found() -> None:
    report = soak(1000, remembered=0)
    assert not report.is_good
    assert report.dispatched == 1000 + report.twice == 1010
