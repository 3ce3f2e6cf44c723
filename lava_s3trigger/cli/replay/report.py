"""The output of `replay`: the counts of a plan, and its outcome."""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.streams import VERSION

from .accounts import NOT_SEEN
from .state import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TextIO

    from lava_s3trigger.cli.deployed.function import DeployedFunction

    from .state import Count, ReplayState

_MAX_ROWS: Final = 50
_LISTED: Final = (Status.FAILED, Status.UNKNOWN)
_OUTCOMES: Final = {
    "dispatched": "dispatches",
    "skipped": "skips",
    "user_error": "parks",
    "failed": "fails on",
}
LEFT_OUT: Final = {
    "not_there": "not there, or not to be seen with these credentials",
    "would_not_fire": "for which nothing would be dispatched",
    "dispatched_before": "with all their dispatches in the log",
    "partly_dispatched": "with some of their dispatches in the log: a replay would dispatch the"
    " others again",
    "too_young": "younger than --settle, which the log may not have yet",
    "dead_letter": "in a dead-letter queue: `lava-s3trigger dead-letters` lists them",
    "handed_over": "that an earlier replay has handed over, and that the log does not have yet;"
    " --restart forgets that",
    "older_than_log": "older than the log, so it is unknown what was dispatched for them",
}
"""The text for left out objects, by reason."""
_PASSING: Final = ("too_young", "dead_letter", "handed_over")
"""Reasons that may not hold later: the object may be missing then."""
FATES: Final = {
    Status.SENT: "sent",
    Status.TO_SEND: "not sent yet: --resume sends them",
    Status.BEING_SENT: "in a job of S3 Batch Operations: --resume follows it",
    Status.FAILED: "failed: --retry-failed sends them again",
    Status.UNKNOWN: "unknown, they may have arrived: --resend-unknown sends them again",
}
"""The meaning of each status, and what to do."""


def may_lack(left_out: Mapping[str, int]) -> bool:
    """Return whether a plan left out objects that may be missing when it is sent."""
    return any(left_out.get(reason) for reason in _PASSING)


class Report:
    """The report on a replay.

    Args:
        state: The state of the replay.
        deployment: The function.
        is_dry_run: Whether it is a dry run, which sends nothing.
    """

    def __init__(self, state: ReplayState, deployment: DeployedFunction, is_dry_run: bool) -> None:  # noqa: FBT001
        self._state = state
        self._deployment = deployment
        self._is_dry_run = is_dry_run
        self._numbers = state.numbers()
        self._left_out = {
            name: number for name in LEFT_OUT if (number := self._number_left_out(name))
        }

        self._not_seen = [*NOT_SEEN] if state.get("chosen_by") == "missing" else []

    def _number_left_out(self, name: str) -> int:
        counted = self._state.get("numbers") or {}
        return int(counted.get(name) or self._state.get(name) or 0)

    def write_text(self, file: TextIO) -> None:
        """Write the report for people."""
        file.writelines(safe(line) + "\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield from self._lines_of_plan()
        if self._is_dry_run:
            does = "sends this plan"
            if may_lack(self._left_out):
                does = "plans again, since objects that were left out may be missing then"
            elif self._not_seen:
                does += " as far as it is missing then"
            yield f"Nothing was sent: the same command without --dry-run {does}."
            return
        for status, fate in FATES.items():
            if self._numbers[status]:
                yield f"{self._numbers[status]:,} {fate}"
        for status in _LISTED:
            for planned in self._state.objects(status):
                yield (
                    f"  {status.name.lower()} s3://{planned.bucket}/{planned.key}:"
                    f" {planned.reason or ''}"
                )

    def _lines_of_plan(self) -> Iterator[str]:
        total = sum(self._numbers.values())
        yield f"Plan of {self._state.get('planned_at')}: {total:,} objects"
        for number, count in enumerate(self._state.counted()):
            if number == _MAX_ROWS:
                yield "  ... and more; --format json has all"
                break
            yield f"  {_described(count)}"
            for example in count.examples:
                yield f"    {example}"
        for name, number in self._left_out.items():
            yield f"Left out: {number:,} {LEFT_OUT[name]}"
        for unseen in self._not_seen:
            yield f"Not seen: {unseen}"

    def write_json(self, file: TextIO) -> None:
        """Write the report as JSON; its lists may be long, so they are written piece by piece."""
        head: dict[str, Any] = {
            "version": VERSION,
            "realm": self._deployment.realm,
            "function": self._deployment.arn,
            "state": str(self._state.path),
            "replay": self._state.get("replay"),
            "planned_at": self._state.get("planned_at"),
            "dry_run": self._is_dry_run,
            "planned": sum(self._numbers.values()),
            "left_out": self._left_out,
            "not_seen": self._not_seen,
            "to_send": self._numbers[Status.TO_SEND],
            "being_sent": self._numbers[Status.BEING_SENT],
            "sent": self._numbers[Status.SENT],
        }
        file.write(json.dumps(head)[:-1])
        names = ("trigger_id", "job_id", "outcome", "objects", "examples")
        decisions = (
            dict(zip(names, astuple(count), strict=True)) for count in self._state.counted()
        )
        _write_list(file, "decisions", decisions)
        for status in _LISTED:
            listed = (
                {"bucket": planned.bucket, "key": planned.key, "reason": planned.reason or ""}
                for planned in self._state.objects(status)
            )
            _write_list(file, status.name.lower(), listed)
        file.write("}\n")


def _described(count: Count) -> str:
    if count.trigger_id is None:
        return f"{count.number:,} that no trigger matches"
    job = f", job {count.job_id}" if count.job_id else ""
    return f"{count.number:,} that trigger {count.trigger_id}{job} {_OUTCOMES[count.outcome]}"


def _write_list(file: TextIO, name: str, items: Iterable[dict[str, Any]]) -> None:
    file.write(f', "{name}": [')
    file.writelines(
        (", " if number else "") + json.dumps(item) for number, item in enumerate(items)
    )
    file.write("]")
