"""Other functions of the realm, such as lava's own: two that get an event dispatch it twice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lava_s3trigger.cli.deployed.function import function_name, unqualified
from lava_s3trigger.cli.deployed.realm import Deployment, UnreadableError
from lava_s3trigger.cli.routes.route import routes
from lava_s3trigger.errors import SettingsError
from lava_s3trigger.settings import Settings

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
    deployed = bucket.deployed
    if not _is_dispatching(deployed):
        return
    configuration = bucket.configuration | ({TO_EVENTBRIDGE: {}} if to_eventbridge else {})
    for name, arns in sorted(_rivals(bucket).items()):
        for arn in sorted(arns):
            rival = deployed.once(f"rival {arn}", partial(_rival, deployed, name, arn))
            told = name
            if rival.denied:
                told = f"{name} (AWS refused {rival.denied}, so it may dispatch)"
            if rival.is_dispatching:
                for route in routes(rival, bucket.name, configuration):
                    yield told, route


@dataclass
class _Rival(Deployment):
    """Another function, as it is invoked: by its ARN, which may have a version or an alias."""

    invoked_as: str = ""
    is_dispatching: bool = True
    denied: str = ""
    """The action that AWS refused, so that its mode is not known."""

    @property
    def function_arn(self) -> str:
        """The ARN that notifications, rules and subscriptions name."""
        return self.invoked_as


def _rival(deployed: Deployment, name: str, arn: str) -> _Rival:
    rival = _Rival(deployed.aws, deployed.realm, name, invoked_as=arn)
    try:
        rival.is_dispatching = bool(rival.function) and _is_dispatching(rival)
    except UnreadableError as error:
        rival.denied, rival.function = error.action, {}
    return rival


def _is_dispatching(deployed: Deployment) -> bool:
    """Return whether a function dispatches for the realm; lava's own has other variables."""
    try:
        settings = Settings.from_env(deployed.environment)
    except SettingsError:
        return True
    return settings.mode == "dispatch" and settings.realm == deployed.realm


def _rivals(bucket: Bucket) -> dict[str, set[str]]:
    """Return the ARNs by which something invokes the realm's other functions, by their names."""
    deployed = bucket.deployed
    notifications = bucket.configuration.get("LambdaFunctionConfigurations", [])
    arns = [notification["LambdaFunctionArn"] for notification in notifications]
    for rule in deployed.read_all("events", "list_rules", "Rules"):
        name = rule["Name"]
        targets = deployed.read_all("events", "list_targets_by_rule", "Targets", Rule=name)
        arns += [target["Arn"] for target in targets]
    subscriptions = deployed.read_all("sns", "list_subscriptions", "Subscriptions")
    arns += [subscription.get("Endpoint", "") for subscription in subscriptions]
    usual = function_name(deployed.realm)
    rivals: dict[str, set[str]] = {}
    for arn in arns:
        name = unqualified(arn).rpartition(":function:")[2]
        is_of_realm = name == usual or name.startswith(f"{usual}-")
        if ":function:" in arn and is_of_realm and name != deployed.function_name:
            rivals.setdefault(name, set()).add(arn)
    return rivals
