"""Checks of queues: of dead letters, of workers, and of those that the function reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.diagnosis import Fault, check
from lava_s3trigger.jobs import read_job

from .commands import aws

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployment import Deployment

_READ: Final = ("sqs:GetQueueAttributes", "sqs:GetQueueUrl")
_MAX_RETENTION: Final = 1_209_600
_TIMES: Final = 6
"""https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""


@check("dead-letter-queue-missing", "error", _READ)
def dead_letter_queue_missing(deployed: Deployment) -> Iterator[Fault]:
    """The function's dead-letter queue does not exist.

    Parking fails, so that events with user errors come again until they are lost.
    """
    name = deployed.dead_letter_queue
    if deployed.function and deployed.queue(name) is None:
        attributes = {
            "MessageRetentionPeriod": str(_MAX_RETENTION),
            "VisibilityTimeout": str(_TIMES * deployed.timeout),
        }
        command = aws("sqs", "create-queue", queue_name=name, attributes=attributes)
        yield Fault(name, "the queue does not exist", command)


@check("dead-letters", "warning", [*_READ, "lambda:ListEventSourceMappings"])
def dead_letters(deployed: Deployment) -> Iterator[Fault]:
    """Events wait in the function's dead-letter queue.

    Each was not carried out, and SQS deletes it when the queue's retention is over. Correct what
    the log says of them first; then the mapping gives them back. Disable it when the queue is
    empty.
    """
    queue = deployed.queue(deployed.dead_letter_queue) or {}
    waiting = int(queue.get("ApproximateNumberOfMessages", 0))
    if waiting:
        mapping = _redrive_mapping(deployed)
        command = aws("lambda", "update-event-source-mapping", "--enabled", uuid=mapping)
        yield Fault(deployed.dead_letter_queue, f"{waiting} messages wait", command)


@check("dead-letter-retention", "warning", _READ)
def dead_letter_retention(deployed: Deployment) -> Iterator[Fault]:
    """The dead-letter queue keeps messages for less than the 14 days that SQS offers.

    SQS deletes what nobody has seen to by then.
    """
    queue = deployed.queue(deployed.dead_letter_queue)
    if queue and int(queue.get("MessageRetentionPeriod", _MAX_RETENTION)) < _MAX_RETENTION:
        days = int(queue["MessageRetentionPeriod"]) / 86400
        attributes = {"MessageRetentionPeriod": str(_MAX_RETENTION)}
        command = aws("sqs", "set-queue-attributes", queue_url=queue["Url"], attributes=attributes)
        yield Fault(deployed.dead_letter_queue, f"messages are kept for {days:.3g} days", command)


@check("worker-queue-missing", "error", ["dynamodb:Scan", "sqs:GetQueueUrl"])
def worker_queue_missing(deployed: Deployment) -> Iterator[Fault]:
    """The queue of a worker does not exist.

    Dispatches of that worker's jobs are parked.
    """
    jobs: dict[str, list[str]] = {}
    for item in deployed.items("jobs"):
        try:
            job = read_job(item)
        except ValueError:  # an error of the entry, not of the deployment
            continue
        if job.enabled:
            jobs.setdefault(f"lava-{deployed.realm}-{job.worker}", []).append(job.job_id)
    for name, job_ids in sorted(jobs.items()):
        if deployed.read("sqs", "get_queue_url", QueueName=name) is None:
            command = aws("sqs", "create-queue", queue_name=name)
            told = f"the queue does not exist; {len(job_ids)} jobs need it, such as {job_ids[0]}"
            yield Fault(name, told, command)


@check("visibility-timeout", "warning", [*_READ, "lambda:ListEventSourceMappings"])
def visibility_timeout(deployed: Deployment) -> Iterator[Fault]:
    """The visibility timeout of a queue is under six times the function's timeout.

    SQS then hands a message out again while Lambda still retries it, and its jobs run twice.
    """
    least = _TIMES * deployed.timeout
    for mapping in deployed.mappings:
        name = mapping["EventSourceArn"].rpartition(":")[2]
        queue = deployed.queue(name)
        found = int((queue or {}).get("VisibilityTimeout", least))
        if queue and found < least:
            command = aws(
                "sqs",
                "set-queue-attributes",
                queue_url=queue["Url"],
                attributes={"VisibilityTimeout": str(least)},
            )
            told = f"the visibility timeout is {found} s; the function's timeout asks for {least} s"
            yield Fault(name, told, command)


def _redrive_mapping(deployed: Deployment) -> str:
    for mapping in deployed.mappings:
        if mapping["EventSourceArn"].endswith(f":{deployed.dead_letter_queue}"):
            return str(mapping["UUID"])
    return "UUID"
