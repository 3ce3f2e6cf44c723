"""A short soak, and a test that it detects a second dispatch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests import soak as soaking
from tests.soak import soak

if TYPE_CHECKING:
    import pytest


def test_each_event_is_dispatched_once() -> None:
    report = soak(1000)
    assert report.is_good
    assert (report.events, report.duplicates, report.dispatched) == (1000, 10, 1000)


def test_a_second_dispatch_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking, "REMEMBERED", 0)  # which turns the cache of recent events off
    report = soak(1000)
    assert not report.is_good
    assert report.dispatched == 1000 + report.twice > 1000
