"""How one event of a bucket reaches the function: the routes that carry it, or what excludes it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from lava_s3trigger.cli.deployed.iam_statements import statements
from lava_s3trigger.cli.deployed.realm import UnreadableError
from lava_s3trigger.cli.deployed.resource_policy import Caller, judge
from lava_s3trigger.cli.objects.event_types import event_type
from lava_s3trigger.cli.objects.payloads import ObjectEvent, eventbridge_event
from lava_s3trigger.cli.objects.uri import SERVICE
from lava_s3trigger.cli.output.times import read_time
from lava_s3trigger.units import shown

from .patterns import exclusion, matching_types, read_pattern
from .route import KINDS, drops_all, filter_values, is_encoded, notification_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment

    from .route import Route

    Json = dict[str, Any]
    NamedRoute = tuple[str, Callable[[], str | None]]
    """Name of a route, and what returns the reason why it does not carry the event."""

_TRANSFORMS: Final = ("Input", "InputPath", "InputTransformer")


@dataclass(frozen=True, slots=True)
class Connection:
    """Whether and how an event reaches the function."""

    by: tuple[str, ...] = ()
    """The routes that carry it; with two of them, it arrives twice."""
    excluded: tuple[tuple[str, str], ...] = ()
    """The routes of its bucket that do not carry it, each with the reason."""
    unknown: tuple[str, ...] = ()
    """What could not be read, with the reason."""
    is_by_rules_only: bool = False
    """Whether the function receives it in the form of EventBridge."""

    @property
    def arrives(self) -> bool | None:
        """Whether the event reaches the function; None if that could not be read."""
        if self.by:
            return True
        return None if self.unknown else False

    def payload(self, record: Json) -> Json:
        """Return what the function is handed, given the record of the event that S3 sends."""
        if not self.by:
            return {"Records": [record]}
        if not self.is_by_rules_only:
            return {"Records": [{**record, "eventName": event_type(record["eventName"]).name}]}
        event = eventbridge_event(_event_of(record))
        if record["requestParameters"]["sourceIPAddress"] == SERVICE:
            event["detail"].pop("source-ip-address", None)
        return event

    def json(self) -> Json:
        """Return it as JSON."""
        return {
            "arrives": self.arrives,
            "by": list(self.by),
            "excluded": [{"route": route, "reason": reason} for route, reason in self.excluded],
            "unknown": list(self.unknown),
        }


def connection_of(deployed: Deployment, record: Json) -> Connection:
    """Return how an event reaches the function.

    Args:
        deployed: The realm.
        record: The event, as S3 has it in a notification.

    Raises:
        CommandError: AWS cannot be reached.
    """
    return _Search(deployed, _event_of(record)).connection()


def _event_of(record: Json) -> ObjectEvent:
    s3, address = record["s3"], record["requestParameters"]["sourceIPAddress"]
    return ObjectEvent(
        bucket=s3["bucket"]["name"],
        key=unquote_plus(s3["object"]["key"]),
        type=event_type(record["eventName"]),
        time=read_time(record["eventTime"]),
        size=s3["object"].get("size", 0),
        etag=s3["object"].get("eTag"),
        source_ip=None if address == SERVICE else address,
        region=record["awsRegion"],
    )


class _NotEvaluatedError(Exception):
    """The answers of AWS do not show whether a route carries the event."""


@dataclass(slots=True)
class _Search:
    """Looks for the routes of one event."""

    deployed: Deployment
    event: ObjectEvent
    excluded: list[tuple[str, str]] = field(default_factory=list)
    unknown: dict[str, None] = field(default_factory=dict)

    def connection(self) -> Connection:
        """Return what was found."""
        bucket = self.event.bucket
        try:
            configuration = self.deployed.notifications(bucket)
        except UnreadableError as error:
            return Connection(unknown=(_why(error),))
        if configuration is None:
            return Connection(excluded=((f"bucket {bucket}", "it does not exist"),))
        by_s3 = self._carrying(self._notifications(configuration))
        if "EventBridgeConfiguration" in configuration:
            by_rules = self._carrying(self._rules())
        else:
            by_rules = []
            if not by_s3:
                self._note_rules_without_events()
        return Connection(
            (*by_s3, *by_rules),
            tuple(self.excluded),
            tuple(self.unknown),
            is_by_rules_only=bool(by_rules and not by_s3),
        )

    def _carrying(self, routes: Iterable[NamedRoute]) -> list[str]:
        """Return the routes that carry the event; note those that do not."""
        carrying = []
        for name, excluding in routes:
            try:
                reason = excluding()
            except (UnreadableError, _NotEvaluatedError) as error:
                self.unknown[_why(error)] = None
            else:
                if reason:
                    self.excluded.append((name, reason))
                else:
                    carrying.append(name)
        return carrying

    # Notifications of the bucket

    def _notifications(self, configuration: Json) -> Iterator[NamedRoute]:
        for route in notification_routes(configuration):
            kind, number = route.place or ("", 0)
            notification = configuration[kind][number]
            try:
                is_ours = self._leads_to_function(notification[KINDS[kind]])
            except UnreadableError as error:
                self.unknown[_why(error)] = None
            else:
                if is_ours:
                    yield route.name, partial(self._excluded_by_s3, route, notification)

    def _leads_to_function(self, arn: str) -> bool:
        if ":sns:" in arn:
            return arn in self._topics()
        return arn == self.deployed.function_arn or (
            ":sqs:" in arn and arn in self.deployed.is_mapped
        )

    def _topics(self) -> set[str]:
        """Return the ARNs of the topics that send to the function, or to a queue that it reads."""
        return {subscription["TopicArn"] for subscription in self.deployed.subscriptions}

    def _excluded_by_s3(self, route: Route, notification: Json) -> str | None:
        for _, value in filter_values(notification):
            if not is_encoded(value):
                return f"its filter {shown(value)} is not percent-encoded, so it matches no key"
        partition = self.deployed.function_arn.split(":")[1]
        source = f"arn:{partition}:s3:::{self.event.bucket}"
        destination = notification[KINDS[route.place[0]]] if route.place else ""
        return route.exclusion(self.event.key, self.event.type) or self._refusal(
            "s3", source, destination
        )

    # Rules of EventBridge

    def _rules(self) -> Iterator[NamedRoute]:
        try:
            rules = self._rules_of_bucket()
        except UnreadableError as error:
            self.unknown[_why(error)] = None
            return
        for rule, pattern in rules:
            yield f"EventBridge rule {rule['Name']}", partial(self._excluded_by, rule, pattern)

    def _rules_of_bucket(self) -> list[tuple[Json, Json]]:
        """Return the rules to the function, with their patterns, without those of other buckets."""
        deployed = self.deployed
        rules = deployed.rules_to({deployed.function_arn, *deployed.is_mapped, *self._topics()})
        patterns = [(rule, read_pattern(rule)) for rule in rules]
        return [
            (rule, pattern)
            for rule, pattern in patterns
            if pattern is not None
            and (matching_types(pattern, self.event.bucket) or not matching_types(pattern))
        ]

    def _note_rules_without_events(self) -> None:
        """Note the rules that would carry the event if the bucket sent EventBridge its events."""
        with contextlib.suppress(UnreadableError):
            self.excluded += [
                (f"EventBridge rule {rule['Name']}", "the bucket sends EventBridge no events")
                for rule, _ in self._rules_of_bucket()
            ]

    def _excluded_by(self, rule: Json, pattern: Json) -> str | None:
        if rule.get("State") == "DISABLED":
            return "it is disabled"
        if self.event.type.detail_type is None:
            return f"S3 sends EventBridge no {self.event.type.name}"
        account = self.deployed.function_arn.split(":")[4]
        part = exclusion(pattern, {**eventbridge_event(self.event), "account": account})
        if part:
            return f"its pattern excludes the event: {part}"
        reasons = [self._excluded_by_target(rule, target) for target in rule["Targets"]]
        return None if None in reasons else reasons[0]

    def _excluded_by_target(self, rule: Json, target: Json) -> str | None:
        transforms = [name for name in _TRANSFORMS if target.get(name)]
        if transforms:
            return f"its target changes the event ({', '.join(transforms)})"
        return self._refusal("events", rule["Arn"], target["Arn"])

    # Destinations

    def _refusal(self, service: str, source: str, arn: str) -> str | None:
        """Return why a destination does not take what a service sends, or does not hand it on."""
        kind = arn.split(":")[2]
        if kind == "sns":
            return self._topic_refusal(service, source, arn)
        if kind == "sqs":
            return self._queue_refusal(service, source, arn)
        if self._allows(self.deployed.policy, service, source, "lambda:InvokeFunction", arn):
            return None
        return f"the function does not permit {service}.amazonaws.com to invoke it for {source}"

    def _queue_refusal(self, service: str, source: str, arn: str) -> str | None:
        name = arn.rpartition(":")[2]
        mappings = [
            mapping for mapping in self.deployed.mappings if mapping.get("EventSourceArn") == arn
        ]
        if all(mapping.get("State") in {"Disabled", "Disabling"} for mapping in mappings):
            return f"the function does not read {name}: the event source mapping is disabled"
        policy = (self.deployed.queue(name) or {}).get("Policy") or "{}"
        if not self._allows(statements(policy), service, source, "sqs:SendMessage", arn):
            return f"the policy of {name} does not let {service}.amazonaws.com send to it"
        if any((mapping.get("FilterCriteria") or {}).get("Filters") for mapping in mappings):
            raise _NotEvaluatedError(f"the filters of the mapping of {name} were not evaluated")
        return None

    def _topic_refusal(self, service: str, source: str, arn: str) -> str | None:
        answer = self.deployed.read("sns", "get_topic_attributes", TopicArn=arn)
        policy = (answer or {}).get("Attributes", {}).get("Policy") or "{}"
        if not self._allows(statements(policy), service, source, "sns:Publish", arn):
            return f"the policy of the topic does not let {service}.amazonaws.com publish"
        reasons = [
            self._subscription_refusal(subscription)
            for subscription in self.deployed.subscriptions
            if subscription["TopicArn"] == arn
        ]
        return None if None in reasons else reasons[0]

    def _subscription_refusal(self, subscription: Json) -> str | None:
        arn = subscription["SubscriptionArn"]
        if not arn.startswith("arn:"):
            return f"the subscription of {subscription['Endpoint']} is not confirmed"
        answer = self.deployed.read("sns", "get_subscription_attributes", SubscriptionArn=arn)
        attributes = (answer or {}).get("Attributes", {})
        policy = attributes.get("FilterPolicy") or "{}"
        if drops_all(self.deployed.filter_policy(arn)):
            return f"the filter policy of the subscription drops events: {policy}"
        if policy != "{}" and attributes.get("FilterPolicyScope") == "MessageBody":
            raise _NotEvaluatedError(f"the filter policy of {arn} was not evaluated: {policy}")
        return self._refusal("sns", subscription["TopicArn"], subscription["Endpoint"])

    def _allows(
        self, policy: list[Json], service: str, source: str, action: str, resource: str
    ) -> bool:
        account = self.deployed.function_arn.split(":")[4]
        context = {
            "aws:sourcearn": source,
            "aws:sourceaccount": account,
            "aws:securetransport": "true",
            "aws:sourceowner": None,  # of the default policy of topics, which services do not have
        }
        caller = Caller(f"{service}.amazonaws.com", context=context)
        verdict = judge(policy, caller, action, resource)
        return verdict.is_allowed and verdict.denied_by is None


def _why(error: Exception) -> str:
    if isinstance(error, UnreadableError):
        return f"AWS refused {error.action}: {error.reason}"
    return str(error)
