"""S3 Batch Operations on the deployed stack: `BackfillBuckets` grants what HeadObject needs."""

from typing import Final

import pytest

from tools.local.server import LocalAws

from .conftest import Stack, deploy

pytestmark = pytest.mark.e2e

BUCKETS: Final = ("granted", "granted-too", "not-granted")


@pytest.fixture(scope="module")
def batch(iam_aws: LocalAws) -> Stack:
    """A stack with the right to read two of three buckets, each of which has an object."""
    stack = deploy(iam_aws, "batch", BackfillBuckets="granted,granted-too")
    for bucket in BUCKETS:
        stack.aws.client("s3").create_bucket(Bucket=bucket)
        stack.put(bucket, "in/a.csv", b"12345")
        stack.trigger(bucket, bucket, "in", parameters={"size": "{{ info.size }}"})
    return stack


def result(batch: Stack, bucket: str, key: str) -> tuple[str, str]:
    """Invoke the function with a task; return code and text of its result."""
    task = {"taskId": "t", "s3Key": key, "s3VersionId": None, "s3Bucket": bucket}
    answer = batch.invoke(
        {
            "invocationSchemaVersion": "2.0",
            "invocationId": "i",
            "job": {"id": "j", "userArguments": {}},
            "tasks": [task],
        }
    )
    [found] = answer["answer"]["results"]
    return found["resultCode"], found["resultString"]


@pytest.mark.parametrize("bucket", BUCKETS[:2])
def test_objects_of_granted_buckets_are_dispatched_with_their_size(
    batch: Stack, bucket: str
) -> None:
    assert result(batch, bucket, "in/a.csv") == ("Succeeded", f"dispatched job-core by {bucket}")
    [dispatch] = batch.dispatches("core", 1)
    assert dispatch["parameters"] == {"size": "5"}


def test_a_missing_object_of_a_granted_bucket_is_told_from_a_missing_right(batch: Stack) -> None:
    assert result(batch, "granted", "in/b.csv") == ("PermanentFailure", "there is no such object")


def test_other_buckets_are_refused_with_the_name_of_the_parameter(batch: Stack) -> None:
    code, said = result(batch, "not-granted", "in/a.csv")

    assert code == "PermanentFailure"
    assert "parameter BackfillBuckets" in said
    assert batch.realm.receive("core") == []
