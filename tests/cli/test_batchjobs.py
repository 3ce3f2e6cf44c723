"""A replay by S3 Batch Operations: the manifest, the job as AWS documents it, and its report."""

import csv
import io
import json
import os
import re
import shlex
import signal
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest

from lava_s3trigger.cli.replay import batch_job
from lava_s3trigger.manifest import read_listed
from tests.processes import signals_received
from tools.local.server import CHECKOUT

from .cannedaws import Answer, CannedAws, Request
from .commandline import Ran
from .replays import HOSTILE, Account

FILES: Final = "job-files"
MARK: Final = {"manifest": "lava-s3trigger"}
NAMESPACE: Final = "{http://awss3control.amazonaws.com/doc/2018-08-20/}"
ROLE: Final = "arn:aws:iam::000000000000:role/job"
OPTIONS: Final = f"--via s3-batch --job-role {ROLE} --job-files s3://{FILES}/replays/".split()
FAILURES: Final = (
    "<FailureReasons><member><FailureCode>AccessDenied</FailureCode>"
    "<FailureReason>the role may not</FailureReason></member></FailureReasons>"
)


class BatchOperations:
    """S3 Batch Operations, as its API answers; a test says what becomes of each task."""

    def __init__(self, account: Account) -> None:
        self.account, self.replay = account, account.replay
        self.s3 = account.aws.client("s3")
        self.s3.create_bucket(Bucket=FILES)
        self.files = FILES
        self.prefix = "replays/reports"
        self.created: dict[str, ET.Element] = {}
        """Requests by their token."""
        self.statuses = ["Preparing", "Active", "Complete"]
        """What DescribeJob says, one after the other; the last for good."""
        self.results: dict[str, tuple[str, str]] = {}
        """Error code and message of the tasks that fail, by key."""
        self.left_out: set[str] = set()
        """Keys that the report does not name."""
        self.tasks: list[tuple[str, str]] = []
        self.control = CannedAws()

    def begin(self, *keys: str) -> Ran:
        inventory = self.account.inventory(keys)
        return self.replay.json("--inventory", inventory, *OPTIONS)

    def create(self, request: Request) -> Answer:
        body = ET.fromstring(request.body)
        token = text(body, "ClientRequestToken")
        self.created.setdefault(token, body)
        location = text(body, "Manifest/Location/ObjectArn").removeprefix("arn:aws:s3:::")
        bucket, _, key = location.partition("/")
        self.prefix = text(body, "Report/Prefix")
        found = self.s3.get_object(Bucket=bucket, Key=key)
        assert found["ETag"].strip('"') == text(body, "Manifest/Location/ETag")
        rows = csv.reader(io.StringIO(found["Body"].read().decode("ascii")))
        self.tasks = [(bucket, column) for bucket, column in rows]
        job_id = f"job-{len(self.created):04}"
        return Answer(body=f"<CreateJobResult><JobId>{job_id}</JobId></CreateJobResult>".encode())

    def describe(self, request: Request) -> Answer:
        job_id = request.path.rpartition("/")[2]
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        is_reported = status == "Complete" or (status == "Cancelled" and self.left_out)
        done = self._report(job_id) if is_reported else 0
        document = (
            f"<DescribeJobResult><Job><JobId>{job_id}</JobId><Status>{status}</Status>"
            f"{FAILURES if status == 'Failed' else ''}"
            f"<ProgressSummary><TotalNumberOfTasks>{len(self.tasks)}</TotalNumberOfTasks>"
            f"<NumberOfTasksSucceeded>{done - len(self.results)}</NumberOfTasksSucceeded>"
            f"<NumberOfTasksFailed>{len(self.results)}</NumberOfTasksFailed></ProgressSummary>"
            f"<Report><Bucket>arn:aws:s3:::{self.files}</Bucket><Prefix>{self.prefix}</Prefix>"
            "</Report></Job></DescribeJobResult>"
        )
        return Answer(body=document.encode())

    def _report(self, job_id: str) -> int:
        folder = f"{self.prefix}/job-{job_id}"
        reports: dict[str, list[list[str]]] = {}
        for bucket, column in self.tasks:
            key = listed_key(column)
            if key in self.left_out:
                continue
            code, message = self.results.get(key, ("", "dispatched load by a"))
            status = "failed" if key in self.results else "succeeded"
            row = [bucket, column, "", status, "200", code, message]
            reports.setdefault(status, []).append(row)
        results = []
        for status, rows in reports.items():
            file = io.StringIO()
            csv.writer(file).writerows(rows)
            place = {"Bucket": self.files, "Key": f"{folder}/results/{status}.csv"}
            self.s3.put_object(**place, Body=file.getvalue().encode())
            results.append({"TaskExecutionStatus": status, **place})
        manifest = json.dumps({"Format": "Report_CSV_20180820", "Results": results})
        key = f"{folder}/manifest.json"
        self.s3.put_object(Bucket=self.files, Key=key, Body=manifest.encode())
        return sum(map(len, reports.values()))


def text(body: ET.Element, path: str) -> str:
    found = body.find("/".join(f"{NAMESPACE}{name}" for name in path.split("/")))
    assert found is not None, path
    return found.text or ""


def listed_key(column: str) -> str:
    listed = read_listed(unquote(column), MARK)
    return listed.key if listed else unquote(column)


@pytest.fixture
def operations(account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchOperations]:
    monkeypatch.setattr(batch_job, "POLL_SECONDS", 0.0)
    made = BatchOperations(account)
    with made.control as control:
        control.handlers["POST", "/v20180820/jobs$"] = made.create
        control.handlers["GET", "/v20180820/jobs/"] = made.describe
        # The client puts the account before the host's name, which only a proxy can take.
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3_CONTROL", "http://s3control.test")
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, control.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "127.0.0.1")
        yield made
    s3 = account.aws.client("s3")
    for found in s3.list_objects_v2(Bucket=FILES).get("Contents", ()):
        s3.delete_object(Bucket=FILES, Key=found["Key"])


def test_the_command_of_the_docs_runs(operations: BatchOperations) -> None:
    page = (CHECKOUT / "docs" / "backfill.md").read_text()
    [command] = re.findall(r"\nlava-s3trigger replay .*--via s3-batch(?:.*\\\n)*.*", page)
    s3 = operations.s3
    for bucket in ("my-bucket", "my-jobs"):
        s3.create_bucket(Bucket=bucket)
    for left in s3.list_objects_v2(Bucket="my-bucket").get("Contents", []):
        s3.delete_object(Bucket="my-bucket", Key=left["Key"])
    s3.put_object(Bucket="my-bucket", Key="incoming/a.csv", Body=b"x")
    _, _, *arguments = shlex.split(command.replace("\\\n", " "))
    operations.files = "my-jobs"
    ran = operations.replay(*arguments)
    assert (ran.status, "1 sent\n" in ran.output) == (0, True), ran.errors
    [made] = s3.list_objects_v2(Bucket="my-jobs", Prefix="manifests/")["Contents"]
    assert made["Key"].endswith(".csv")


class TestJob:
    """AWS runs the job; the replay creates it, follows it and reads its report."""

    def test_a_job_is_created_followed_and_reported(self, operations: BatchOperations) -> None:
        # As AWS documents a report; in CSV, its quotes are doubled.
        said = 'Lambda returned function error: {"errorMessage":"Task timed out"}'
        operations.results = {"in/bad": ("PermanentFailure", said)}
        keys = [*HOSTILE, "in/bad", "in/good"]
        ran = operations.begin(*keys)

        assert (ran.status, ran.json()["sent"], ran.json()["being_sent"]) == (1, len(keys) - 1, 0)
        [failed] = ran.json()["failed"]
        assert (failed["key"], failed["reason"]) == ("in/bad", f"200: PermanentFailure: {said}")
        [body] = operations.created.values()
        assert text(body, "Operation/LambdaInvoke/FunctionArn").endswith("-s3trigger")
        for path, value in {
            "Operation/LambdaInvoke/InvocationSchemaVersion": "2.0",
            "Manifest/Spec/Format": "S3BatchOperations_CSV_20180820",
            "Report/Prefix": "replays/reports",
            "RoleArn": ROLE,
        }.items():
            assert text(body, path) == value
        assert sorted(listed_key(column) for _, column in operations.tasks) == sorted(keys)
        # A key that is nearly as long as the column has no room for more.
        rows = [read_listed(unquote(each), MARK) for _, each in operations.tasks]
        planned = {(row.size, row.last_modified.isoformat()) for row in rows if row}
        assert planned == {(10, "2026-03-14T01:59:26+00:00")}
        assert all(re.fullmatch(r"[\x21-\x7e]{1,1024}", column) for _, column in operations.tasks)

    def test_what_failed_goes_into_another_job(self, operations: BatchOperations) -> None:
        operations.results = {"in/bad": ("TemporaryFailure", "busy")}
        operations.begin("in/bad", "in/good")
        operations.results = {}
        ran = operations.replay.json("--retry-failed", *OPTIONS)
        assert (ran.status, ran.json()["sent"]) == (0, 2)
        assert [listed_key(column) for _, column in operations.tasks] == ["in/bad"]

    def test_a_replay_that_ended_follows_the_job_later(self, operations: BatchOperations) -> None:
        operations.statuses = ["Active", "Suspended"]
        ran = operations.begin("in/a")
        assert (ran.status, "job job-0001 is suspended" in ran.errors) == (3, True)

        operations.statuses = ["Complete"]
        ran = operations.replay.json("--resume")
        assert (ran.status, ran.json()["sent"], len(operations.created)) == (0, 1, 1)

    def test_an_interrupt_does_not_end_the_job(self, operations: BatchOperations) -> None:
        operations.statuses = ["Active"]

        def interrupting(request: Request) -> Answer:
            os.kill(os.getpid(), signal.SIGINT)
            return operations.describe(request)

        control = operations.control
        control.handlers["GET", "/v20180820/jobs/"] = interrupting
        inventory = operations.account.inventory(["in/a"])
        with signals_received():
            ran = operations.replay("--inventory", inventory, *OPTIONS)
        assert (ran.status, "The job continues; --resume follows it" in ran.errors) == (130, True)
        assert "1 in a job of S3 Batch Operations: --resume follows it" in ran.output
        ran = operations.replay("--inventory", inventory)
        assert (ran.status, "--resume follows it" in ran.errors) == (2, True)

        operations.statuses = ["Complete"]
        control.handlers["GET", "/v20180820/jobs/"] = operations.describe
        assert operations.replay.json("--resume").json()["sent"] == 1

    def test_where_the_answer_of_creating_is_lost_no_second_job_is_created(
        self, operations: BatchOperations, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        control = operations.control

        def losing(request: Request) -> Answer:
            operations.create(request)
            return Answer(0)

        control.handlers["POST", "/v20180820/jobs$"] = losing
        assert operations.begin("in/a").status == 3
        control.handlers["POST", "/v20180820/jobs$"] = operations.create
        ran = operations.replay.json("--resume")
        assert (ran.json()["sent"], len(operations.created)) == (1, 1)

    def test_a_refused_job_loses_nothing(self, operations: BatchOperations) -> None:
        control = operations.control
        error = b"<Error><Code>AccessDenied</Code><Message>iam:PassRole</Message></Error>"
        control.handlers["POST", "/v20180820/jobs$"] = lambda _: Answer(403, error)
        ran = operations.begin("in/a")
        assert (ran.status, "CreateJob: AccessDenied: iam:PassRole" in ran.errors) == (3, True)

        control.handlers["POST", "/v20180820/jobs$"] = operations.create
        mended = [*OPTIONS, "--job-role", f"{ROLE}-mended"]
        assert operations.replay.json("--resume", *mended).json()["sent"] == 1
        [body] = operations.created.values()
        assert text(body, "RoleArn") == f"{ROLE}-mended"

    def test_a_job_that_began_no_task_loses_nothing(self, operations: BatchOperations) -> None:
        operations.statuses = ["Failed"]
        ran = operations.begin("in/a")
        assert ran.status == 3
        assert "began no task: AccessDenied: the role may not; nothing was sent" in ran.errors
        operations.statuses = ["Complete"]
        assert operations.replay.json("--resume", *OPTIONS).json()["sent"] == 1

    def test_what_a_cancelled_job_does_not_report_is_unknown(
        self, operations: BatchOperations
    ) -> None:
        operations.statuses, operations.left_out = ["Cancelled"], {"in/b"}
        ran = operations.begin("in/a", "in/b")
        assert (ran.status, ran.json()["sent"]) == (1, 1)
        assert [each["key"] for each in ran.json()["unknown"]] == ["in/b"]
