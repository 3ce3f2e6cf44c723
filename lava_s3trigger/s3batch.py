"""Invocations by S3 Batch Operations: its tasks, and the answer that it expects.

Imported only for such an invocation. See docs/design.md#s3-batch-operations, and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote_plus

from .aws.threads import map_concurrently
from .deliveries import MAX_REPLAY_CHARACTERS, Delivery
from .elements import form_decoded, mapping, optional_text
from .errors import ObjectError, PayloadError, RetryableError, UnexpectedError, printable
from .events import from_s3
from .manifest import ListedObject, event_time, read_listed
from .units import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .aws.deadline import Deadline
    from .aws.objects import HeadsOfObjects
    from .events import S3Event
    from .outcomes import Outcome

DEFAULT_EVENT_TYPE: Final = "ObjectCreated:Put"
EVENT_TYPE: Final = "event_type"
"""Name of the user argument that names another event type."""

_MAX_RESULT_CHARACTERS: Final = 1000
_PARTITIONS: Final = {"cn": "aws-cn", "us-gov": "aws-us-gov"}


class _Job(NamedTuple):
    """The common fields of all tasks of an invocation."""

    id: str
    """Id of the job, which is also the id of the replay."""
    user_arguments: dict[str, Any]
    region: str


class BatchInvocation:
    """An invocation by S3 Batch Operations.

    Args:
        payload: The payload; see `events.is_s3_batch`.
        region: AWS region of the function, which is that of the buckets.
        objects: Returns size and time for tasks that lack them.
        deadline: When to stop asking.
    """

    def __init__(
        self,
        payload: dict[str, Any],
        region: str,
        objects: HeadsOfObjects,
        deadline: Deadline,
    ) -> None:
        self._payload = payload
        self._job = _job(payload.get("job"), region)
        self._objects = objects
        self._deadline = deadline
        # A task without an id cannot be answered; treatMissingKeysAs answers for it.
        tasks = [task for task in payload["tasks"] if _task_id(task)]
        if len(tasks) > 1:
            objects.start()
        self.deliveries: list[Delivery] = map_concurrently(self._delivery, tasks)
        """One for each task."""

    def _delivery(self, task: dict[str, Any]) -> Delivery:
        delivery = Delivery(message_id=_task_id(task), route="s3_batch")
        named: dict[str, str] = {}
        try:
            delivery.add_event(self._event(task, named))
        except (PayloadError, ObjectError) as error:
            error.fields = named
            delivery.errors.append(error)
        except RetryableError as error:
            delivery.fail(error.kind, str(error), **named)
        except Exception as error:  # noqa: BLE001 - a defect must not stop other tasks
            delivery.fail(UnexpectedError.kind, str(UnexpectedError.of(error)), **named)
        return delivery

    def _event(self, task: dict[str, Any], named: dict[str, str]) -> S3Event:
        """Return the event of a task; put its object into ``named`` before anything can fail."""
        bucket, arn = _bucket(task, self._job.region)
        key = form_decoded(task.get("s3Key"), "s3Key")
        named.update(bucket=bucket, key=key, replay=self._job.id)
        version_id = optional_text(task.get("s3VersionId"), "s3VersionId")
        listed = read_listed(key, self._job.user_arguments)
        if listed is None:
            head = self._objects.head(bucket, key, version_id, self._deadline)
            listed = ListedObject(key=key, **head._asdict())
        event_type = self._job.user_arguments.get(EVENT_TYPE, DEFAULT_EVENT_TYPE)
        record = _record(bucket, arn, listed, listed.version_id or version_id)
        record |= {"awsRegion": self._job.region, "eventName": event_type}
        return from_s3(record, self._job.region, self._job.id)

    def answer(self, *, is_observed: bool = False) -> dict[str, Any]:
        """Return the answer to S3 Batch Operations.

        Args:
            is_observed: Whether nothing was sent.
        """
        return {
            "invocationSchemaVersion": self._payload["invocationSchemaVersion"],
            "treatMissingKeysAs": "TemporaryFailure",
            "invocationId": self._payload.get("invocationId"),
            "results": [_result(delivery, is_observed=is_observed) for delivery in self.deliveries],
        }


def _result(delivery: Delivery, *, is_observed: bool) -> dict[str, Any]:
    code, text = _code_and_text(delivery)
    if is_observed:
        failed = "" if code == "Succeeded" else "failed: "
        code, text = "Succeeded", f"observed, nothing was sent: {failed}{text}"
    return {
        "taskId": delivery.message_id,
        "resultCode": code,
        "resultString": printable(text, _MAX_RESULT_CHARACTERS),
    }


def _code_and_text(delivery: Delivery) -> tuple[str, str]:
    if delivery.errors:
        return "PermanentFailure", "; ".join(map(str, delivery.errors))
    if delivery.failures:
        return "TemporaryFailure", "; ".join(f.reason or "" for f in delivery.failures)
    return "Succeeded", "; ".join(
        text for delivered in delivery.events for text in _texts(delivered.outcomes)
    )


def _texts(outcomes: Sequence[Outcome]) -> list[str]:
    """Return texts: the dispatched jobs, the parked triggers, and why there are none."""
    by_trigger: dict[str | None, list[Outcome]] = {}
    for outcome in outcomes:
        by_trigger.setdefault(outcome.trigger_id, []).append(outcome)
    texts = []
    for trigger_id, own in by_trigger.items():
        if trigger_id is None:
            texts += [f"nothing: {outcome.reason}" for outcome in own]
            continue
        parked = next((outcome.reason for outcome in own if outcome.outcome == "parked"), None)
        if parked:
            # The parked message lists its dispatched jobs.
            texts.append(f"parked {trigger_id}: {parked}")
            continue
        sent = [outcome.job_id or "" for outcome in own if outcome.is_dispatched]
        if sent:
            texts.append(f"dispatched {', '.join(sent)} by {trigger_id}")
        for outcome in own:
            if outcome.outcome == "user_error":
                texts.append(f"user error in {trigger_id}: {outcome.reason}")
            elif outcome.outcome == "skipped" and not outcome.is_dispatched:
                job = f"{outcome.job_id}: " if outcome.job_id else ""
                texts.append(f"skipped {trigger_id}: {job}{outcome.reason}")
    return texts


def _task_id(task: Any) -> str:
    task_id = task.get("taskId") if isinstance(task, dict) else None
    return task_id if isinstance(task_id, str) else ""


def _job(job: Any, region: str) -> _Job:
    fields = mapping(job)
    job_id = fields.get("id")
    return _Job(
        job_id[:MAX_REPLAY_CHARACTERS] if job_id and isinstance(job_id, str) else "s3-batch",
        mapping(fields.get("userArguments")),
        region,
    )


def _bucket(task: dict[str, Any], region: str) -> tuple[str, str]:
    """Return name and ARN of a task's bucket; each version of the schema has only one of them."""
    arn = task.get("s3BucketArn")
    if isinstance(arn, str) and arn:
        return arn.rpartition(":")[2], arn
    name = task.get("s3Bucket")
    if not isinstance(name, str) or not name:
        raise PayloadError(
            f"s3Bucket is {shown(name)}, s3BucketArn is {shown(arn)}: one must name a bucket"
        )
    partition = next((to for begin, to in _PARTITIONS.items() if region.startswith(begin)), "aws")
    return name, f"arn:{partition}:s3:::{name}"


def _record(bucket: str, arn: str, listed: ListedObject, version_id: str | None) -> dict[str, Any]:
    """Return the record that S3 would have sent, as far as it is known.

    Unknown fields of the object are empty, so templates render them as nothing.
    """
    s3_object = {
        # S3 encodes keys like this in notifications.
        "key": quote_plus(listed.key, safe="/"),
        "size": listed.size,
    }
    if listed.etag:
        s3_object["eTag"] = listed.etag
    if version_id:
        s3_object["versionId"] = version_id
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": event_time(listed.last_modified),
        "userIdentity": {},
        "requestParameters": {},
        "responseElements": {},
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": bucket, "ownerIdentity": {}, "arn": arn},
            "object": s3_object,
        },
    }
