"""Checks of the realm's entries: what `check` finds in them, and which overwrites are dropped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.check.public import EntryFindings, check_realm
from lava_s3trigger.cli.doctor.registry import Fault, check
from lava_s3trigger.cli.routes.route import wanted_types
from lava_s3trigger.errors import SettingsError
from lava_s3trigger.settings import Settings
from lava_s3trigger.triggers import Trigger, read_trigger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment
    from lava_s3trigger.cli.output.findings import Severity

_WORKER: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_WILDCARD: Final = re.compile(r"[*?\[]")
_DELETIONS: Final = ("ObjectRemoved:", "LifecycleExpiration:")
_MAX_NAMED: Final = 10


_READ: Final = ("dynamodb:Scan", "sqs:GetQueueUrl")


@check("error", _READ)
def entry_errors(deployed: Deployment) -> Iterator[Fault]:
    """`lava-s3trigger check` finds errors in the realm's entries.

    Such an entry does not fire, or its events are parked.
    """
    yield from _found(deployed, "error")


@check("info", _READ)
def entry_warnings(deployed: Deployment) -> Iterator[Fault]:
    """`lava-s3trigger check` finds warnings in the realm's entries.

    The function accepts these entries, but they may not do what their authors meant.
    """
    yield from _found(deployed, "warning")


def _found(deployed: Deployment, severity: Severity) -> Iterator[Fault]:
    """Yield how many findings of a severity `check --realm` has, and where to see them."""
    checked = deployed.once("entries", lambda: _checked(deployed))
    findings = [finding for finding in checked.findings if finding.severity == severity]
    if findings:
        ids = sorted({str(finding.entry.id) for finding in findings if finding.entry})
        told = f"{len(findings):,} in {_shortened(ids)}"
        command = f"lava-s3trigger check --realm {deployed.realm}"
        yield Fault(f"entries of {deployed.realm}", f"{told}; `{command}` lists them", "")


def _checked(deployed: Deployment) -> EntryFindings:
    tables = [f"lava.{deployed.realm}.{kind}" for kind in ("s3triggers", "jobs")]
    if any(deployed.read("dynamodb", "scan", TableName=name) is None for name in tables):
        return EntryFindings((), "warning")  # another check says so
    triggers, jobs = deployed.items("s3triggers"), deployed.items("jobs")
    names = {item.get("worker", {}).get("S", "") for item in jobs}
    workers = {name for name in names if _has_queue(deployed, name)}
    return check_realm(deployed.realm, triggers, jobs, workers)


def _has_queue(deployed: Deployment, worker: str) -> bool:
    name = f"lava-{deployed.realm}-{worker}"
    return bool(_WORKER.fullmatch(worker)) and (
        deployed.read("sqs", "get_queue_url", QueueName=name) is not None
    )


@check("warning", ["dynamodb:Scan"], of_function=True)
def dedup_overwrites(deployed: Deployment) -> Iterator[Fault]:
    """Deduplication may drop real events of some triggers.

    Within `DedupTtl`, events of the same bucket, key, size and type count as one, so an overwrite
    of the same size does not fire. The finding names triggers with patterns that end in a fixed
    name, because such objects are often overwritten, and triggers on tags, ACLs or annotations,
    because those events have no size. Make `DedupTtl` shorter than the time between two such
    events.
    """
    try:
        settings = Settings.from_env(deployed.environment)
    except SettingsError:  # which another check says
        return
    if not settings.dedup_cache_size and not settings.dedup_table:
        return
    triggers = [
        read_trigger(item)
        for item in deployed.items("s3triggers")
        if item.get("bucket", {}).get("S") and item.get("prefix", {}).get("S")
    ]
    ids = [
        trigger.trigger_id
        for trigger in triggers
        if isinstance(trigger, Trigger) and trigger.enabled and _repeats(trigger)
    ]
    if ids:
        told = f"of equal events within {settings.dedup_ttl:g} s, the first one counts"
        yield Fault("S3TRIGGER_DEDUP_TTL", f"{told}: {_shortened(sorted(ids))}", "")


def _repeats(trigger: Trigger) -> bool:
    """Return whether equal events of one object are likely to be different ones."""
    for condition in trigger.conditions:
        if condition.field == "if_fnmatch":
            written = condition.argument
            patterns = [written] if isinstance(written, str) else written
            if all(not _WILDCARD.search(str(name).rpartition("/")[2]) for name in patterns):
                return True
    return any(
        "size" in kind.without and not kind.name.startswith(_DELETIONS)
        for kind in wanted_types(trigger)
    )


def _shortened(ids: list[str]) -> str:
    more = len(ids) - _MAX_NAMED
    return ", ".join(ids[:_MAX_NAMED]) + (f" and {more:,} more" if more > 0 else "")
