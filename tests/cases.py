"""Decides the cases of entries (``x-tests``), as far as the pages use them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.decide.decider import decide_payload
from lava_s3trigger.cli.entries.memory import MemoryTriggers, UnknownJobs
from tests.build import direct, eventbridge, record
from tests.decisions import dispatches

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lava_s3trigger.cli.entries.load import Entry
    from lava_s3trigger.decision import Decision

REGION: Final = "us-east-1"
_OF_EVENTBRIDGE: Final = {
    "ObjectDeleted:DeleteObject": ("Object Deleted", "DeleteObject"),
    "ObjectRestoreCompleted": ("Object Restore Completed", None),
    "ObjectTagsAdded": ("Object Tags Added", None),
}
"""Type and reason of EventBridge's events, by the event type that the function makes of them."""


def payload(case: dict[str, Any], bucket: str, folder: Path) -> Any:
    """Return what the function is handed for a case; ``event`` is relative to a folder."""
    if "event" in case:
        return json.loads((folder / case["event"]).read_text())
    event_type = case.get("event_type", "ObjectCreated:Put")
    if event_type in _OF_EVENTBRIDGE:
        event = eventbridge(case["key"], bucket)
        event["detail-type"], event["detail"]["reason"] = _OF_EVENTBRIDGE[event_type]
        return event
    made = record(case["key"], bucket=bucket, eventName=event_type, size=case.get("size", 1))
    made["awsRegion"] = REGION
    made["eventTime"] = case.get("time", made["eventTime"])
    made["requestParameters"]["sourceIPAddress"] = case.get("source_ip", "203.0.113.7")
    return direct(made)


def decide_case(
    case: dict[str, Any], entry: Entry, entries: Iterable[Entry], folder: Path
) -> Decision:
    """Decide what the function would do for the object of a case."""
    deciding = MemoryTriggers([entry] if case.get("alone") else entries)
    asked = payload(case, entry.value("bucket"), folder)
    decided = decide_payload(asked, deciding, UnknownJobs(), REGION)
    assert not decided.errors
    [decision] = decided.decisions
    return decision


def check_case(case: dict[str, Any], decision: Decision) -> None:
    """Check that a decision is as a case expects it."""
    found = dispatches(decision)
    expected = [] if case["expect"] == "nothing" else case["expect"]
    assert [each.job_id for each in found] == [each["job_id"] for each in expected]
    for dispatch, named in zip(found, expected, strict=True):
        for name, value in named.items():
            assert _named(getattr(dispatch, name), value) == value, name
    if "because" in case:
        unmet = [
            tested.condition.field
            for trigger in decision.triggers
            for tested in trigger.conditions
            if not tested.holds
        ]
        assert case["because"] in unmet


def _named(value: Any, expected: Any) -> Any:
    """Return of a map only what is expected of it, and all of other values."""
    if not isinstance(expected, dict) or not isinstance(value, dict):
        return value
    return {name: _named(value.get(name), each) for name, each in expected.items()}
