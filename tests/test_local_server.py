"""The local AWS server is reached whatever the user's settings are, and its errors are shown."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from lava_s3trigger.cli.errors import CommandError
from tools.local import server
from tools.local.server import ACCOUNT, REGION, LocalAws


def test_no_setting_of_the_user_keeps_clients_from_the_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("this is no configuration")
    nowhere, config = "http://127.0.0.1:9", str(tmp_path / "config")
    for name, value in {
        **dict.fromkeys(["HTTP_PROXY", "http_proxy", "ALL_PROXY"], nowhere),
        **dict.fromkeys(["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"], nowhere),
        **dict.fromkeys(["AWS_PROFILE", "AWS_DEFAULT_PROFILE"], "no-such-profile"),
        **dict.fromkeys(["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"], config),
        **dict.fromkeys(["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"], "true"),
        "AWS_SESSION_TOKEN": "stale",
        "AWS_MAX_ATTEMPTS": "many",
    }.items():
        monkeypatch.setenv(name, value)

    with LocalAws() as aws:
        assert aws.client("sts").get_caller_identity()["Account"] == ACCOUNT
        assert aws.client("s3").list_buckets()["Buckets"] == []


def test_filters_of_notifications_are_compared_with_encoded_keys(aws: LocalAws) -> None:
    s3, sqs, name = aws.client("s3"), aws.client("sqs"), "encoded-filters"
    s3.create_bucket(Bucket=name)
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    filters = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "day%3D1+"}]}}
    note = {"QueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}", "Events": ["s3:ObjectCreated:*"]}
    notes: Any = {"QueueConfigurations": [note | {"Filter": filters}]}
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration=notes)
    s3.put_object(Bucket=name, Key="day=1 /x")
    bodies = ""  # also of the test event that S3 sends first
    while "Records" not in bodies:
        [message] = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
        bodies += message["Body"]
    assert "day%3D1+/x" in bodies


@pytest.mark.parametrize(
    ("script", "region", "error"),
    [
        ("echo the disk is full >&2; exit 3", REGION, "ended with status 3.*the disk is full"),
        ("sleep 60", "no region", "^cannot call the local AWS server: .*no region"),
    ],
    ids=["a server that ends", "an error that waiting does not correct"],
)
def test_a_server_that_does_not_start_says_why_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, region: str, error: str
) -> None:
    program = tmp_path / ".venv-ministack" / "bin" / "ministack"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(server, "CHECKOUT", tmp_path)
    monkeypatch.setattr(server, "REGION", region)
    started = time.monotonic()
    with pytest.raises(CommandError) as raised, LocalAws():
        pytest.fail("it started")
    assert time.monotonic() - started < 50
    assert re.search(error, str(raised.value), re.DOTALL)
