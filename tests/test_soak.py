"""A short soak, and that it would see what goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lava_s3trigger.dedup.memory import RecentEvents
from tests.soak import soak

if TYPE_CHECKING:
    import pytest


def test_each_event_is_dispatched_once() -> None:
    report = soak(1000)
    assert report.is_good
    assert (report.events, report.duplicates, report.dispatched) == (1000, 10, 1000)


def test_a_duplicate_that_is_dispatched_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecentEvents, "complete", lambda *_: None)
    report = soak(1000)
    assert not report.is_good
    assert report.dispatched == 1000 + report.twice > 1000
