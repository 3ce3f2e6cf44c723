"""Tasks of S3 Batch Operations through the built package, in Lambda's own runtime."""

import json

import pytest

from benchmarks import cold
from tests.build import job_entry, trigger_entry
from tools.local.realm import Realm
from tools.local.server import CHECKOUT, REGION, LocalAws

PACKAGE = CHECKOUT / "build" / "package"
MODELS = PACKAGE / "lava_s3trigger" / "aws" / "models"


def test_tasks_are_answered_by_the_emulated_runtime(aws: LocalAws, realm: Realm) -> None:
    try:
        python, emulator = cold.find_python(), cold.find_emulator()
    except cold.NotHereError as error:
        pytest.skip(str(error))
    realm.put("jobs", [job_entry("job")])
    parameters = {"size": "{{ info.size }}"}
    entry = trigger_entry(prefix="*", bucket="s3-batch-rie", job_id="job", parameters=parameters)
    realm.put("s3triggers", [entry])
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="s3-batch-rie")
    s3.put_object(Bucket="s3-batch-rie", Key="in/a b.csv", Body=b"12345")
    payload = json.loads((CHECKOUT / "events" / "s3-batch.json").read_text())
    payload["tasks"] = [
        {
            "taskId": key,
            "s3Key": key,
            "s3VersionId": None,
            "s3BucketArn": "arn:aws:s3:::s3-batch-rie",
        }
        for key in ("in/a%20b.csv", "in/gone.csv")
    ]
    client = cold.install(python, "runtime", (CHECKOUT / "benchmarks" / "runtime.txt").read_text())
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_LAMBDA_FUNCTION_NAME": "s3trigger",
        "AWS_REGION": REGION,
        "AWS_SECRET_ACCESS_KEY": "test",
        "HOME": "/nonexistent",
        "LAVA_REALM": realm.name,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(client),
    }
    command = [python, "-S", "-m", "awslambdaric", "lava_s3trigger.handler.lambda_handler"]

    with cold.emulated(emulator, command, PACKAGE, environment) as (_, address):
        answer = json.loads(cold.invoke(address, payload))

    assert answer == {
        "invocationSchemaVersion": "1.0",
        "treatMissingKeysAs": "TemporaryFailure",
        "invocationId": payload["invocationId"],
        "results": [
            {
                "taskId": "in/a%20b.csv",
                "resultCode": "Succeeded",
                "resultString": "dispatched job by t",
            },
            {
                "taskId": "in/gone.csv",
                "resultCode": "PermanentFailure",
                "resultString": "there is no such object",
            },
        ],
    }
    [message] = realm.receive("core")
    assert json.loads(message["Body"])["parameters"] == {"size": "5"}


def test_the_route_adds_less_than_400_kb_to_the_package() -> None:
    parts = [
        *MODELS.rglob("*"),
        *(PACKAGE / "lava_s3trigger").rglob("s3batch*"),
        *(PACKAGE / "lava_s3trigger").rglob("manifest*"),
        *(PACKAGE / "lava_s3trigger" / "aws").rglob("objects*"),
    ]
    sizes = [path.stat().st_size for path in parts if path.is_file()]

    assert len(sizes) >= 5
    assert sum(sizes) < 400_000
