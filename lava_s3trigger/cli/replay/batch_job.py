"""Hands a plan over through a job of S3 Batch Operations: manifest, job, report.

See https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops.html. AWS runs the job, so
a replay can end and follow it later: the state of the replay has the id of the job.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from lava_s3trigger.cli.deployed.aws import pieces, reaching_aws
from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.objects.uri import SCHEME
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.progress import Progress
from lava_s3trigger.cli.output.streams import message
from lava_s3trigger.errors import PayloadError
from lava_s3trigger.manifest import USER_ARGUMENT, ListedObject, read_listed

from .manifest import manifest_row
from .state import Settled, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lava_s3trigger.cli.deployed.aws import Aws
    from lava_s3trigger.cli.deployed.function import DeployedFunction

    from .state import ReplayState

POLL_SECONDS: Final = 10.0
_OVER: Final = frozenset(["Complete", "Failed", "Cancelled"])
_WAITING: Final = frozenset(["Suspended", "Paused"])
_SCHEMA: Final = "2.0"
"""Version of the payload that has user arguments."""
_PRIORITY: Final = 10
_CHUNK: Final = 1_000
_SERVICE_FAILED: Final = 500


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the manifest and the report of a job are: a bucket, and a prefix of keys."""

    bucket: str
    prefix: str
    """Empty, or with a slash at its end."""

    @classmethod
    def read(cls, uri: str) -> Folder:
        """Read an S3 URI.

        Raises:
            CommandError: It is not an S3 URI.
        """
        bucket, _, prefix = uri.removeprefix(SCHEME).partition("/")
        if not uri.startswith(SCHEME) or not bucket:
            raise CommandError(
                f"--job-files {safe(uri)}: write s3://BUCKET/PREFIX/, a place for the manifest"
                " and the report of the job",
                WRONG_USAGE,
            )
        return cls(bucket, f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else "")


@dataclass(slots=True)
class BatchReplay:
    """A replay through a job of S3 Batch Operations.

    Args:
        state: The state of the replay.
        aws: The account.
        deployment: The function.
        is_to_end: Returns whether to stop following.
        wait: Waits for some seconds.
    """

    state: ReplayState
    aws: Aws
    deployment: DeployedFunction
    is_to_end: Callable[[], bool]
    wait: Callable[[float], None] = time.sleep

    def start(self, folder: Folder, role: str) -> None:
        """Write the manifest and create the job, unless it exists.

        Raises:
            CommandError: AWS refuses.
        """
        if self.state.get("job"):
            return
        replay = self.state.get("replay")
        # With a recorded token no second job is created, even after an interruption.
        token = f"{replay}-{datetime.now(UTC):%Y%m%d%H%M%S}"
        key = f"{folder.prefix}manifests/{token}.csv"
        objects = self.state.next(0, 1)
        if not objects:
            return
        client = self.aws.client("s3")
        with tempfile.TemporaryFile() as file:
            if not self._write(file):
                return
            file.seek(0)
            with reaching_aws():
                client.upload_fileobj(file, folder.bucket, key)
                etag = client.head_object(Bucket=folder.bucket, Key=key)["ETag"].strip('"')
        arn = f"arn:{self.deployment.partition}:s3:::{folder.bucket}"
        name, value = USER_ARGUMENT
        request = {
            "ClientRequestToken": token,
            "AccountId": self.deployment.account,
            "ConfirmationRequired": False,
            "Description": f"lava-s3trigger replay {replay}",
            "Operation": {
                "LambdaInvoke": {
                    "FunctionArn": self.deployment.arn,
                    "InvocationSchemaVersion": _SCHEMA,
                    "UserArguments": {name: value, "event_type": objects[0].event_type},
                }
            },
            "Manifest": {
                "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": ["Bucket", "Key"]},
                "Location": {"ObjectArn": f"{arn}/{key}", "ETag": etag},
            },
            "Report": {
                "Bucket": arn,
                "Format": "Report_CSV_20180820",
                "Enabled": True,
                "Prefix": f"{folder.prefix}reports",
                "ReportScope": "AllTasks",
            },
            "Priority": _PRIORITY,
            "RoleArn": role,
        }
        self.state.move(Status.TO_SEND, Status.BEING_SENT, job={"request": request})
        self._create()

    def _create(self) -> None:
        job = self.state.get("job")
        if job.get("id"):
            return
        client = self.aws.client("s3control")
        with reaching_aws():
            try:
                answer = client.create_job(**job["request"])
            except client.exceptions.ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] < _SERVICE_FAILED:
                    self._end(Status.TO_SEND, None)
                raise
        self.state.note(job={**job, "id": answer["JobId"]})
        message(f"Created job {answer['JobId']} of S3 Batch Operations")

    def _write(self, file: Any) -> int:
        """Write the manifest; return its number of rows."""
        number = 0
        for chunk in pieces(self.state.objects(Status.TO_SEND), _CHUNK):
            refused = []
            for planned in chunk:
                modified = planned.as_source.time
                listed = ListedObject(key=planned.key, size=planned.size, last_modified=modified)
                try:
                    row = manifest_row(planned.bucket, listed)
                except ValueError as error:
                    refused.append(Settled(planned.id, Status.FAILED, str(error)))
                else:
                    file.write(f"{row}\n".encode("ascii"))
                    number += 1
            self.state.settle(refused)
        return number

    def follow(self) -> bool:
        """Follow the job to its end, and read its report.

        Returns:
            Whether the job has ended; if not, `is_to_end` stopped this.

        Raises:
            CommandError: AWS refuses, or the job waits for a user.
        """
        self._create()
        job_id = self.state.get("job")["id"]
        client = self.aws.client("s3control")
        done = 0
        with Progress(f"job {job_id}", self.state.numbers()[Status.BEING_SENT]) as progress:
            while not self.is_to_end():
                with reaching_aws():
                    job = client.describe_job(AccountId=self.deployment.account, JobId=job_id)[
                        "Job"
                    ]
                summary = job.get("ProgressSummary", {})
                now = sum(
                    summary.get(f"NumberOfTasks{name}", 0) for name in ("Succeeded", "Failed")
                )
                progress.advance(max(0, now - done))
                done = max(done, now)
                if job["Status"] in _OVER:
                    break
                if job["Status"] in _WAITING:
                    raise CommandError(
                        f"job {job_id} is {job['Status'].lower()}"
                        f" ({job.get('SuspendedCause') or job.get('StatusUpdateReason') or '?'}):"
                        " run or cancel it in the S3 console, and then replay --resume"
                    )
                self._pause()
            else:
                return False
        self._finish(job, done)
        return True

    def _pause(self) -> None:
        end = time.monotonic() + POLL_SECONDS
        while time.monotonic() < end and not self.is_to_end():
            self.wait(0.1)

    def _finish(self, job: dict[str, Any], done: int) -> None:
        """Record the results in the report of a job, and the objects that it lacks."""
        if done:
            self.state.settle_named(self._reported(job))
        told = "; ".join(
            f"{failure.get('FailureCode', '')}: {failure.get('FailureReason', '')}"
            for failure in job.get("FailureReasons", ())
        )
        if job["Status"] != "Complete":
            message(f"Warning: job {job['JobId']} is {job['Status'].lower()}: {told or '?'}")
        if done:
            self._end(Status.UNKNOWN, f"the report of job {job['JobId']} does not name it")
        else:
            self._end(Status.TO_SEND, None)  # no task began
            raise CommandError(
                f"job {job['JobId']} began no task: {told or job['Status']}; nothing was sent."
                " Fix the cause; replay --resume then creates another job"
            )

    def _end(self, status: Status, reason: str | None) -> None:
        """Forget the job; there will be no more results for its objects."""
        self.state.move(Status.BEING_SENT, status, reason, job=None)

    def _reported(self, job: dict[str, Any]) -> Iterator[tuple[Status, str | None, str, str]]:
        """Yield the results in the report: status, reason, bucket and key of each object."""
        report = job["Report"]
        bucket = report["Bucket"].rpartition(":")[2]
        client = self.aws.client("s3")
        key = f"{report['Prefix'].rstrip('/')}/job-{job['JobId']}/manifest.json"
        with reaching_aws():
            manifest = json.load(client.get_object(Bucket=bucket, Key=key)["Body"])
            for result in manifest["Results"]:
                body = client.get_object(Bucket=result["Bucket"], Key=result["Key"])["Body"]
                yield from read_report(_lines(body))


def _lines(body: Any) -> Iterator[str]:
    with tempfile.TemporaryFile() as copy:
        for chunk in body.iter_chunks(1 << 20):
            copy.write(chunk)
        copy.seek(0)
        with io.TextIOWrapper(copy, encoding="utf-8", errors="replace", newline="") as text:
            yield from text


def read_report(lines: Iterable[str]) -> Iterator[tuple[Status, str | None, str, str]]:
    """Read a file of a report: status, reason, bucket and key of each task.

    Its columns are bucket, key as in the manifest, version, task status, error code, HTTP
    status and message.
    See https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-examples-reports.html
    """
    arguments = dict([USER_ARGUMENT])
    for row in csv.reader(lines):
        if not row:
            continue
        bucket, column, _, status, *rest = row
        key = unquote_plus(column)
        try:
            listed = read_listed(key, arguments)
        except PayloadError:
            listed = None
        if status == "succeeded":
            yield Status.SENT, None, bucket, listed.key if listed else key
        else:
            reason = ": ".join(part for part in rest if part) or status
            yield Status.FAILED, reason, bucket, listed.key if listed else key
