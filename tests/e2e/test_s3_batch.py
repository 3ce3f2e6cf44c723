"""S3 Batch Operations on the deployed stack: `BackfillBuckets` grants what HeadObject needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tools.local.realm import Realm
from tools.local.server import CHECKOUT, LocalAws

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

REALM: Final = "batch"
BUCKETS: Final = ("granted", "granted-too", "not-granted")


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    """A server that enforces IAM, with the stack, and an object in each of three buckets."""
    with LocalAws(auth=True) as server:
        realm = Realm(server, REALM)
        realm.make(["core"])
        server.deploy(
            CHECKOUT / "template.yaml",
            CHECKOUT / "build" / "package",
            f"lava-{REALM}-s3trigger",
            {"Realm": REALM, "BackfillBuckets": "granted,granted-too"},
        )
        job = {"job_id": "load", "type": "exe", "worker": "core", "payload": "x", "enabled": True}
        realm.put("jobs", [job])
        for bucket in BUCKETS:
            server.client("s3").create_bucket(Bucket=bucket)
            server.client("s3").put_object(Bucket=bucket, Key="in/a.csv", Body=b"12345")
            trigger = {"trigger_id": bucket, "bucket": bucket, "prefix": "in", "enabled": True}
            rendered = {"size": "{{ info.size }}"}
            realm.put("s3triggers", [trigger | {"job_id": "load", "parameters": rendered}])
        yield server


def result(aws: LocalAws, bucket: str, key: str) -> tuple[str, str]:
    """Invoke the function with a task; return code and text of its result."""
    task = {"taskId": "t", "s3Key": key, "s3VersionId": None, "s3Bucket": bucket}
    payload: dict[str, Any] = {
        "invocationSchemaVersion": "2.0",
        "invocationId": "i",
        "job": {"id": "j", "userArguments": {}},
        "tasks": [task],
    }
    answer = aws.client("lambda").invoke(
        FunctionName=f"lava-{REALM}-s3trigger", Payload=json.dumps(payload)
    )
    [found] = json.loads(answer["Payload"].read())["results"]
    return found["resultCode"], found["resultString"]


@pytest.mark.parametrize("bucket", BUCKETS[:2])
def test_objects_of_granted_buckets_are_dispatched_with_their_size(
    aws: LocalAws, bucket: str
) -> None:
    assert result(aws, bucket, "in/a.csv") == ("Succeeded", f"dispatched load by {bucket}")
    [message] = Realm(aws, REALM).receive("core")
    assert json.loads(message["Body"])["parameters"] == {"size": "5"}


def test_a_missing_object_of_a_granted_bucket_is_told_from_a_missing_right(aws: LocalAws) -> None:
    assert result(aws, "granted", "in/b.csv") == ("PermanentFailure", "there is no such object")


def test_other_buckets_are_refused_with_the_name_of_the_parameter(aws: LocalAws) -> None:
    code, said = result(aws, "not-granted", "in/a.csv")

    assert code == "PermanentFailure"
    assert "parameter BackfillBuckets" in said
    assert Realm(aws, REALM).receive("core") == []
