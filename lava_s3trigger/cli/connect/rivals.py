"""Other functions of the realm, such as lava's own: two that get an event dispatch it twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lava_s3trigger.cli.deployed.function import function_name, unqualified
from lava_s3trigger.cli.deployed.realm import Deployment, UnreadableError
from lava_s3trigger.cli.routes.route import routes

from .merge import TO_EVENTBRIDGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.routes.route import Route

    from .bucket import Bucket


def rival_routes(bucket: Bucket, *, to_eventbridge: bool) -> Iterator[tuple[str, Route]]:
    """Yield the routes of a bucket's events to other functions that dispatch for the realm.

    Only functions that are named as the stack and lava name them are found, with or without a
    suffix, and not those that read a queue.

    Args:
        bucket: The bucket.
        to_eventbridge: Whether the bucket will send to EventBridge, if it does not yet.

    Yields:
        The name of the function, and the route.
    """
    if _is_observing(bucket.deployed):
        return
    configuration = bucket.configuration | ({TO_EVENTBRIDGE: {}} if to_eventbridge else {})
    for name, arn in sorted(_rivals(bucket).items()):
        rival = Deployment(bucket.deployed.aws, bucket.deployed.realm, name)
        told = name
        try:
            is_dispatching = rival.function and not _is_observing(rival)
        except UnreadableError:
            is_dispatching, told = True, f"{name} (its configuration may not be read)"
            rival.function = {"FunctionArn": arn}
        if is_dispatching:
            for route in routes(rival, bucket.name, configuration):
                yield told, route


def _is_observing(deployed: Deployment) -> bool:
    return deployed.environment.get("S3TRIGGER_MODE") == "observe"


def _rivals(bucket: Bucket) -> dict[str, str]:
    """Return the ARNs of the realm's other functions that something sends to, by their names."""
    deployed = bucket.deployed
    notifications = bucket.configuration.get("LambdaFunctionConfigurations", [])
    arns = [notification["LambdaFunctionArn"] for notification in notifications]
    for rule in deployed.read_all("events", "list_rules", "Rules"):
        name = rule["Name"]
        targets = deployed.read_all("events", "list_targets_by_rule", "Targets", Rule=name)
        arns += [target["Arn"] for target in targets]
    subscriptions = deployed.read_all("sns", "list_subscriptions", "Subscriptions")
    arns += [subscription.get("Endpoint", "") for subscription in subscriptions]
    functions = {
        arn.rpartition(":function:")[2]: arn
        for arn in map(unqualified, arns)
        if ":function:" in arn
    }
    usual = function_name(deployed.realm)
    return {
        name: arn
        for name, arn in functions.items()
        if name != deployed.function_name and (name == usual or name.startswith(f"{usual}-"))
    }
