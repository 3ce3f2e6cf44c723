"""Checks of the event source mappings between queues and the function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.doctor.aws_commands import aws
from lava_s3trigger.cli.doctor.registry import Fault, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment, Json

_READ: Final = ("lambda:ListEventSourceMappings",)
_PARTIAL: Final = "ReportBatchItemFailures"


@check("error", _READ)
def mapping_partial_responses(deployed: Deployment) -> Iterator[Fault]:
    """An event source mapping does not report partial batch failures.

    If some messages of a batch fail, Lambda still deletes all of them, and the events of the failed
    ones are lost. The function cannot notice this.
    """
    for mapping in deployed.mappings:
        if _PARTIAL not in (mapping.get("FunctionResponseTypes") or []):
            command = _updating(mapping, function_response_types=_PARTIAL)
            yield Fault(mapping["EventSourceArn"], f"the mapping has no {_PARTIAL}", command)


@check("error", _READ)
def mapping_disabled(deployed: Deployment) -> Iterator[Fault]:
    """An event source mapping is disabled.

    The function does not read the queue. Events wait there, and SQS deletes them when the queue's
    retention is over.
    """
    for mapping in deployed.mappings:
        is_redrive = mapping["EventSourceArn"].endswith(f":{deployed.dead_letter_queue}")
        if not is_redrive and mapping.get("State") in {"Disabled", "Disabling"}:
            command = _updating(mapping, "--enabled")
            yield Fault(mapping["EventSourceArn"], "the mapping is disabled", command)


@check("error", _READ)
def mapping_filter(deployed: Deployment) -> Iterator[Fault]:
    """An event source mapping has a filter.

    Lambda deletes messages that the filter does not match, without a log line. Entries already
    choose objects, by prefix and conditions. There is no command, because without the filter more
    events reach the function: first ask `lava-s3trigger explain` what it would do with them.
    """
    for mapping in deployed.mappings:
        criteria = mapping.get("FilterCriteria") or {}
        patterns = [str(pattern.get("Pattern")) for pattern in criteria.get("Filters") or []]
        if error := mapping.get("FilterCriteriaError"):  # encrypted with a key that is refused
            patterns.append(f"one that cannot be read: {error.get('Message')}")
        if patterns:
            told = f"messages that do not match are deleted: {' or '.join(patterns)}"
            yield Fault(mapping["EventSourceArn"], told, "")


@check("warning", [*_READ, "sqs:GetQueueAttributes", "sqs:GetQueueUrl"])
def redrive_left_on(deployed: Deployment) -> Iterator[Fault]:
    """The mapping of the dead-letter queue is enabled, and the queue is empty.

    A parked event is returned to the function at once, before anybody has corrected its error.
    """
    for mapping in deployed.mappings:
        is_redrive = mapping["EventSourceArn"].endswith(f":{deployed.dead_letter_queue}")
        if not is_redrive or mapping.get("State") not in {"Enabled", "Enabling"}:
            continue
        queue = deployed.queue(deployed.dead_letter_queue) or {}
        counts = (
            queue.get(f"ApproximateNumberOfMessages{suffix}", "0") for suffix in ("", "NotVisible")
        )
        if not any(map(int, counts)):
            command = _updating(mapping, "--no-enabled")
            yield Fault(mapping["EventSourceArn"], "the mapping is enabled", command)


@check("warning", _READ, of_function=True)
def redrive_mapping_missing(deployed: Deployment) -> Iterator[Fault]:
    """There is no event source mapping to redrive parked events.

    SQS cannot move the messages of this queue, so they stay there until they expire.
    """
    name = deployed.dead_letter_queue
    arns = [mapping["EventSourceArn"] for mapping in deployed.mappings]
    if not any(arn.endswith(f":{name}") for arn in arns):
        command = aws(
            "lambda create-event-source-mapping --no-enabled",
            function_name=deployed.function_name,
            event_source_arn=deployed.arn("sqs", name),
            batch_size="10",
            function_response_types=_PARTIAL,
        )
        yield Fault(name, "there is no mapping", command)


def _updating(mapping: Json, *words: str, **options: str) -> str:
    return aws("lambda update-event-source-mapping", *words, uuid=mapping["UUID"], **options)
