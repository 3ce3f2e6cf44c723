"""The realm of the examples, on a local AWS server: the stack, the entries, and four buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.entries.load import load_sound

from .realm import Realm
from .server import CHECKOUT, LocalAws

if TYPE_CHECKING:
    from collections.abc import Mapping

REALM: Final = "demo"
WORKERS: Final = ("core", "reports", "web")
BUCKETS: Final = {
    "shop-orders": "S3",
    "shop-invoices": "SNS",
    "shop-returns": "SQS",
    "shop-catalogue": "EventBridge",
}
"""The route by which each bucket is connected to the function."""

_TOPIC: Final = f"lava-{REALM}-invoices"
_CONNECT: Final = {
    "shop-orders": ("--by=s3",),
    "shop-invoices": ("--by=sns", f"--topic={_TOPIC}"),
    "shop-returns": ("--by=queue",),
    "shop-catalogue": ("--by=eventbridge",),
}
"""The options of `connect` for each bucket."""

_EXAMPLES: Final = CHECKOUT / "examples"


def deploy_examples(aws: LocalAws, **parameters: str) -> Realm:
    """Deploy the stack, apply the examples, and connect the buckets.

    Args:
        aws: The server.
        **parameters: Parameters of the stack, besides those that the examples need.

    Returns:
        The realm.

    Raises:
        CommandError: The stack could not be deployed.
    """
    realm = Realm(aws, REALM)
    realm.make(WORKERS)
    alarms = aws.client("sns").create_topic(Name=f"lava-{REALM}-alarms")["TopicArn"]
    outputs = aws.deploy(
        CHECKOUT / "template.yaml",
        CHECKOUT / "build" / "package",
        f"lava-{REALM}-s3trigger",
        # At level debug the log also names objects that no trigger matches.
        {
            "Realm": REALM,
            "LogLevel": "debug",
            "CreateIntake": "true",
            "AlarmTopicArn": alarms,
            **parameters,
        },
    )
    _complete(aws, outputs)
    for entry in load_sound([str(_EXAMPLES / "jobs.yaml")]).entries:
        realm.put_item("jobs", entry.item)
    for bucket in BUCKETS:
        aws.client("s3").create_bucket(Bucket=bucket)
    aws.client("sns").create_topic(Name=_TOPIC)
    triggers = str(_EXAMPLES / "triggers.yaml")
    aws.run_command("apply", triggers, "--set=examples", f"--realm={REALM}")
    for bucket, options in _CONNECT.items():
        aws.run_command("connect", bucket, *options, f"--realm={REALM}")
    # An instance that starts logs its version, for which `doctor` looks.
    aws.client("lambda").invoke(
        FunctionName=outputs["FunctionName"], Payload=b'{"Event": "s3:TestEvent"}'
    )
    return realm


def _complete(aws: LocalAws, outputs: Mapping[str, str]) -> None:
    """Make of the stack what the server leaves out of the template, and `doctor` looks for."""
    client = aws.client("lambda")
    client.update_event_source_mapping(UUID=outputs["RedriveMappingId"], Enabled=False)
    client.update_function_configuration(
        FunctionName=outputs["FunctionName"],
        DeadLetterConfig={"TargetArn": outputs["DeadLetterQueueArn"]},
    )


def entries_of(bucket: str) -> list[str]:
    """Return the trigger entries of a bucket as examples/triggers.yaml has them, without tests."""
    blocks = [
        block.partition("\n  x-tests:")[0]
        for block in (_EXAMPLES / "triggers.yaml").read_text().strip().split("\n\n")
    ]
    return [block for block in blocks if f"  bucket: {bucket} " in f"{block} ".replace("\n", " \n")]
