"""Checks of queues: of dead letters, of workers, and of those that the function reads."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.doctor.aws_commands import aws, create_queue, set_queue
from lava_s3trigger.cli.doctor.registry import Fault, check
from lava_s3trigger.cli.output.suggestions import near
from lava_s3trigger.errors import InvalidEntryError
from lava_s3trigger.jobs import read_job

from .function import correcting_environment, is_stopped, own_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment, Json

_READ: Final = ("sqs:GetQueueAttributes", "sqs:GetQueueUrl")
_TARGETS_READ: Final = (*_READ, "dynamodb:Scan", "lambda:ListEventSourceMappings")
"""The actions that `_targets` needs, and those that read its queues."""
_MAX_RETENTION: Final = 1_209_600
_NEARLY: Final = 0.75
_HOUR: Final = 3600
_DAY: Final = 86400
_RECEIVES: Final = 5
"""As the template has it for the intake."""
_TIMES: Final = 6
"""https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""


@check("error", _READ, of_function=True)
def dead_letter_queue_missing(deployed: Deployment) -> Iterator[Fault]:
    """The function's dead-letter queue does not exist.

    Parking fails, so events with user errors are delivered again until they are lost.
    """
    name = deployed.dead_letter_queue
    named = deployed.environment.get("S3TRIGGER_DEAD_LETTER_QUEUE") or name
    if named != name:
        told = f"did you mean {name}? There is no queue {named}"
        yield Fault("S3TRIGGER_DEAD_LETTER_QUEUE", told, correcting_environment(deployed))
    elif deployed.queue(name) is None:
        command = create_queue(
            name,
            MessageRetentionPeriod=str(_MAX_RETENTION),
            VisibilityTimeout=str(_TIMES * deployed.timeout),
            SqsManagedSseEnabled="true",
            Policy=json.dumps(_senders(deployed, name)),
        )
        yield Fault(name, "the queue does not exist", command)


def _senders(deployed: Deployment, name: str) -> Json:
    """Return the policy of the template: topics and rules of the account may send."""
    arn = deployed.arn("sqs", name)
    sources = {
        "sns": deployed.arn("sns", "*").replace(f":{arn.split(':')[3]}:", ":*:"),
        "events": deployed.arn("events", "rule/*"),
    }
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": {"sns": "Sns", "events": "EventBridge"}[service],
                "Effect": "Allow",
                "Principal": {"Service": f"{service}.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {"ArnLike": {"aws:SourceArn": source}},
            }
            for service, source in sources.items()
        ],
    }


@check("warning", [*_TARGETS_READ, "lambda:GetFunctionConcurrency"])
def dead_letters(deployed: Deployment) -> Iterator[Fault]:
    """Events wait in a dead-letter queue of the function, or of a queue that it reads.

    They were not carried out, and SQS deletes them when the queue's retention is over. First
    correct what the log and the other findings say. Then run the command, which redrives all events
    of the queue.
    """
    own = deployed.dead_letter_queue
    is_own = own not in worker_queues(deployed) and deployed.queue(own) is not None
    # Not the mapping itself: a person who turns only that on has to turn it off, and
    # redrive refuses to start while it is on.
    redrive = own_command(deployed, "dead-letters redrive", "--queue own")
    own_waiting = _waiting(deployed, own) if is_own else 0
    if own_waiting:
        yield Fault(own, f"{own_waiting} messages wait", redrive)
    for name, arn in _targets(deployed).items():
        waiting = _waiting(deployed, name)
        if waiting:
            command = aws("sqs start-message-move-task", source_arn=arn)
            yield Fault(name, f"{waiting} messages wait", command)
    if is_own and not own_waiting and is_stopped(deployed):
        told = "Lambda sends all events there while the reserved concurrency is 0"
        yield Fault(own, told, redrive)


@check(
    "error",
    [*_TARGETS_READ, "cloudwatch:GetMetricStatistics"],
    of_function=True,
)
def messages_expire(deployed: Deployment) -> Iterator[Fault]:
    """The oldest message of a queue has used up three quarters of the queue's retention.

    SQS soon deletes it, and its event is lost. If the retention is not yet 14 days, the command
    extends it. Otherwise, redrive the messages now. For a dead-letter queue, the check counts the
    hours since it was last empty, because CloudWatch's age leaves out messages that were received
    three times. The messages may be younger than that, or older if they were in another queue
    before.
    """
    for name in [deployed.dead_letter_queue, *deployed.source_queues, *_targets(deployed)]:
        queue = deployed.queue(name)
        if queue is None:
            continue
        retention = int(queue.get("MessageRetentionPeriod", _MAX_RETENTION))
        if told := _nearly_expired(deployed, name, retention):
            command, cause = own_command(deployed, "dead-letters redrive", ""), ""
            if retention < _MAX_RETENTION:
                command = _retaining(queue)
            elif name in deployed.source_queues:
                command = own_command(deployed, "tail", "--outcome failed")
            elif _waiting(deployed, name):
                is_of_worker = name in worker_queues(deployed)
                command, cause = "", "redrive-to-worker" if is_of_worker else "dead-letters"
            yield Fault(name, told, command, cause)


def _nearly_expired(deployed: Deployment, name: str, retention: int) -> str | None:
    """Return how old messages of a queue are, if one has used up most of the retention."""
    kept = f"of {retention / _DAY:.3g} days"
    age = deployed.metric("AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", QueueName=name)
    if age is not None and age >= _NEARLY * retention:
        return f"the oldest message is {age / _DAY:.3g} days old, {kept}"
    if name in deployed.source_queues or not _total(deployed, name):
        return None
    since = _HOUR * _hours_not_empty(deployed, name, retention // _HOUR)
    if since >= _NEARLY * retention:
        return f"the queue has not been empty for {since / _DAY:.3g} days, {kept} of retention"
    return None


def _hours_not_empty(deployed: Deployment, name: str, most: int) -> int:
    """Return for how many hours a queue that has messages now was never seen empty."""
    # A queue without messages is inactive after hours, and then has no values.
    visible, hidden = (
        deployed.metric_by_hour(
            "AWS/SQS", f"ApproximateNumberOfMessages{which}", statistic, most, QueueName=name
        )
        for which, statistic in (("Visible", "Minimum"), ("NotVisible", "Maximum"))
    )
    empty = (hour for hour in range(1, most) if not visible.get(hour) and not hidden.get(hour))
    return next(empty, most)


@check("warning", _TARGETS_READ)
def dead_letter_retention(deployed: Deployment) -> Iterator[Fault]:
    """A dead-letter queue keeps messages for less than the 14 days that SQS offers.

    SQS deletes a message that is older, even if nobody has seen it. The age counts from its first
    send.
    """
    for name in [deployed.dead_letter_queue, *_targets(deployed)]:
        queue = deployed.queue(name)
        if queue and int(queue.get("MessageRetentionPeriod", _MAX_RETENTION)) < _MAX_RETENTION:
            days = int(queue["MessageRetentionPeriod"]) / 86400
            yield Fault(name, f"messages are kept for {days:.3g} days", _retaining(queue))


@check("warning", [*_READ, "lambda:ListEventSourceMappings"])
def redrive_policy_missing(deployed: Deployment) -> Iterator[Fault]:
    """A queue that the function reads has no dead-letter queue.

    A message that always fails is delivered, and costs invocations, until it expires and is lost.
    """
    for name in deployed.source_queues:
        queue = deployed.queue(name)
        if queue is None:
            continue
        target = deployed.redrive_target(name)
        if target and deployed.queue(target.rpartition(":")[2]) is not None:
            continue
        told = f"its dead-letter queue {target} does not exist" if target else "no redrive policy"
        stem, fifo, _ = name.partition(".fifo")
        wanted = target or deployed.arn("sqs", f"{stem}-dlq{fifo}")
        lines = [
            create_queue(wanted.rpartition(":")[2], MessageRetentionPeriod=str(_MAX_RETENTION))
        ]
        if not target:
            policy = {"deadLetterTargetArn": wanted, "maxReceiveCount": _RECEIVES}
            lines.append(set_queue(queue, RedrivePolicy=json.dumps(policy)))
        yield Fault(name, told, "\n".join(lines))


@check("error", ["dynamodb:Scan", "sqs:GetQueueUrl", "sqs:ListQueues"])
def worker_queue_missing(deployed: Deployment) -> Iterator[Fault]:
    """The queue of a worker does not exist.

    Dispatches to that worker are parked. If the jobs seem to misspell another worker, which has at
    least as many jobs, the command corrects them. Otherwise it creates the queue.
    """
    prefix = f"lava-{deployed.realm}-"
    for name, job_ids in worker_queues(deployed).items():
        if deployed.read("sqs", "get_queue_url", QueueName=name) is not None:
            continue
        told = f"the queue does not exist; {len(job_ids)} jobs need it, such as {job_ids[0]}"
        urls = deployed.read_all("sqs", "list_queues", "QueueUrls", QueueNamePrefix=prefix)
        own = (deployed.dead_letter_queue, *deployed.source_queues)
        queues = {str(url).rpartition("/")[2] for url in urls}
        workers = {queue.removeprefix(prefix) for queue in queues - {*own, *_targets(deployed)}}
        command = create_queue(name)
        similar = near(name.removeprefix(prefix), workers)
        if similar and _is_misspelt(deployed, name, prefix + similar[0]):
            told = f"did you mean the worker {similar[0]}? {told}"
            command = "\n".join(_renaming(deployed, job_id, similar[0]) for job_id in job_ids)
        yield Fault(name, told, command)


def _is_misspelt(deployed: Deployment, name: str, existing: str) -> bool:
    """Return whether jobs name a missing queue by mistake, and mean an existing one.

    Otherwise somebody has deleted the queue. Names such as `core1` and `core2` are of two workers.
    A misspelt name is in fewer jobs than the right one, or in a single job.
    """
    jobs = worker_queues(deployed)
    letters = [re.sub(r"[-_.]?\d+", "", one) for one in (name, existing)]
    is_one_edit = abs(len(name) - len(existing)) <= 1
    return (
        letters[0] != letters[1]
        and is_one_edit
        and len(jobs[name]) <= max(1, len(jobs.get(existing, ())))
    )


def _renaming(deployed: Deployment, job_id: str, worker: str) -> str:
    """Return the command that gives a job another worker."""
    return aws(
        "dynamodb update-item",
        table_name=f"lava.{deployed.realm}.jobs",
        key={"job_id": {"S": job_id}},
        update_expression="SET #worker = :worker",
        expression_attribute_names={"#worker": "worker"},
        expression_attribute_values={":worker": {"S": worker}},
    )


@check("warning", [*_READ, "lambda:ListEventSourceMappings"])
def visibility_timeout(deployed: Deployment) -> Iterator[Fault]:
    """A visibility timeout is under six times the function's timeout, plus the batch window.

    SQS may deliver a message again while Lambda still collects or retries its batch, and its jobs
    run twice.
    """
    for mapping in deployed.mappings:
        name = mapping["EventSourceArn"].rpartition(":")[2]
        least = least_visibility(mapping, deployed.timeout)
        queue = deployed.queue(name)
        timeout = int((queue or {}).get("VisibilityTimeout", least))
        if queue and timeout < least:
            command = set_queue(queue, VisibilityTimeout=str(least))
            told = f"the visibility timeout is {timeout} s; six times {deployed.timeout} s"
            told += f" and a batch window of {_window(mapping)} s ask for {least} s"
            yield Fault(name, told, command)


def least_visibility(mapping: Json, timeout: int) -> int:
    """Return the least visibility timeout of a mapping's queue, for a timeout of the function."""
    return _TIMES * timeout + _window(mapping)


def _window(mapping: Json) -> int:
    return int(mapping.get("MaximumBatchingWindowInSeconds") or 0)


def worker_queues(deployed: Deployment) -> dict[str, list[str]]:
    """Return the names of the queues of workers, each with the enabled jobs that need it."""
    jobs: dict[str, list[str]] = {}
    for item in deployed.items("jobs"):
        try:
            job = read_job(item)
        except InvalidEntryError:  # an error of the entry, not of the deployment
            continue
        if job.enabled:
            jobs.setdefault(f"lava-{deployed.realm}-{job.worker}", []).append(job.job_id)
    return dict(sorted(jobs.items()))


def _waiting(deployed: Deployment, name: str) -> int:
    return int((deployed.queue(name) or {}).get("ApproximateNumberOfMessages", 0))


def _total(deployed: Deployment, name: str) -> int:
    queue = deployed.queue(name) or {}
    counts = (f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed"))
    return sum(int(queue.get(count, 0)) for count in counts)


def _targets(deployed: Deployment) -> dict[str, str]:
    """Return the dead-letter queues of the queues that the function reads: ARNs by name.

    A worker's queue is not one of them, even if a redrive policy names it: its messages are
    dispatches.
    """
    arns = {deployed.redrive_target(name) for name in deployed.source_queues}
    targets = {arn.rpartition(":")[2]: arn for arn in sorted(filter(None, arns))}
    workers = worker_queues(deployed)
    return {name: arn for name, arn in targets.items() if name not in workers}


def _retaining(queue: dict[str, str]) -> str:
    """Return the command that has a queue keep its messages, for as long as SQS can."""
    return set_queue(queue, MessageRetentionPeriod=str(_MAX_RETENTION))
