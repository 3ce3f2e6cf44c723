"""What `doctor` knows of notifications and rules: filters, patterns, and whom they reach."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.cli.connect.merge import Refusal, merge
from lava_s3trigger.cli.connect.wanted import CREATED as NEW
from lava_s3trigger.cli.connect.wanted import wanted_by_rules
from lava_s3trigger.cli.objects.event_types import EVENT_TYPES
from lava_s3trigger.cli.objects.payloads import ObjectEvent, eventbridge_event
from lava_s3trigger.cli.routes.patterns import (
    exclusion,
    key_filters,
    leaves,
    matching_types,
    read_pattern,
)
from lava_s3trigger.cli.routes.patterns import without as without_field
from lava_s3trigger.cli.routes.route import (
    Route,
    decoded,
    doubled,
    drops_all,
    encoded,
    event_patterns,
    event_types,
    is_encoded,
    notification_routes,
    wanted_types,
)
from lava_s3trigger.triggers import Trigger
from tests import build
from tests.tables import cases

CREATED: Final = ["s3:ObjectCreated:*"]
ARN: Final = "arn:aws:sqs:us-east-1:123456789012:"


def trigger(prefix: str = "in", **fields: Any) -> Trigger:
    found = build.trigger("t", prefix, **{"bucket": None, **fields})
    assert isinstance(found, Trigger)
    return found


def by_s3(prefix: str = "", suffix: str = "", events: list[str] = CREATED) -> Route:
    return Route("n", event_types(events), prefix, suffix, place=("QueueConfigurations", 0))


def by_rule(pattern: Mapping[str, Any], bucket: str = "b") -> Route:
    types = frozenset(each.name for each in matching_types(dict(pattern), bucket))
    [key_filter] = key_filters(dict(pattern))
    return Route("r", types, *key_filter, rule="r")


def key(name: str) -> Route:
    return Route("k", event_types(CREATED), name, name, is_key=True, rule="k")


def of_type(name: str) -> dict[str, Any]:
    return {"detail-type": [name]}


def of_key(pattern: dict[str, str]) -> dict[str, Any]:
    return {"detail": {"object": {"key": [pattern]}}}


class TestFilters:
    """S3 has filters percent-encoded: they are compared decoded, and go back as they came."""

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("in/", "in/"),
            ("day%3D1/", "day=1/"),
            ("a+b", "a b"),
            ("a%2Bb", "a+b"),
            ("%C3%A9", "é"),
            ("(1)*'!-_.", "(1)*'!-_."),
        ],
    )
    def test_a_value_stands_for_a_text(self, value: str, text: str) -> None:
        assert decoded(value) == text
        assert encoded(text) == value
        assert is_encoded(value)

    def test_prefix_and_suffix_of_a_route_are_decoded(self) -> None:
        rules = [{"Name": "prefix", "Value": "a+b"}, {"Name": "Suffix", "Value": "%3D1"}]
        notification = {"TopicArn": "t", "Events": [], "Filter": {"Key": {"FilterRules": rules}}}
        [route] = notification_routes({"TopicConfigurations": [notification]})
        assert (route.prefix, route.suffix) == ("a b", "=1")

    @pytest.mark.parametrize("value", ["day=1/", "a b", "é", "100%", "%zz", "a@b"])
    def test_other_characters_must_be_encoded(self, value: str) -> None:
        assert not is_encoded(value)

    @given(st.text())
    def test_what_is_encoded_means_the_same(self, text: str) -> None:
        assert is_encoded(encoded(text))
        assert decoded(encoded(text)) == text

    def test_what_stays_keeps_its_filters_as_they_came(self) -> None:
        rules = [{"Name": "prefix", "Value": "day%3D1/"}]
        kept = {"QueueArn": ARN, "Events": CREATED, "Filter": {"Key": {"FilterRules": rules}}}
        configuration = {
            "QueueConfigurations": [{"QueueArn": ARN, "Events": CREATED}, kept],
            "TopicConfigurations": [{"TopicArn": ARN, "Events": CREATED}],
            "EventBridgeConfiguration": {},
        }

        found = merge(configuration, {}, lambda _, number: number == 0)

        assert not isinstance(found, Refusal)
        assert found == {"QueueConfigurations": [kept], "EventBridgeConfiguration": {}}
        [route] = notification_routes(found, frozenset([ARN]))
        assert (route.prefix, route.is_ours) == ("day=1/", True)


class TestReach:
    """Whether a route can carry any event that an entry asks for."""

    @pytest.mark.parametrize(
        ("route", "fields", "expected"),
        [
            (by_s3(), {}, True),
            (by_s3("in/"), {}, True),
            (by_s3("in/deep/"), {}, True),
            (by_s3("i"), {}, True),
            (by_s3("out/"), {}, False),
            (by_s3("in2/"), {}, False),
            (by_s3("out/"), {"prefix": "*"}, True),
            (by_s3("", ".csv"), {"if_fnmatch": "*.csv"}, True),
            (by_s3("", ".csv"), {"if_fnmatch": ["*.json", "*"]}, True),
            (by_s3("", ".csv"), {"if_fnmatch": "*.json"}, False),
            (by_s3("", ".csv"), {"if_fnmatch": "*.cs[v]"}, True),
            (by_s3("", ".csv"), {"if_fnmatch": "in/a.csv"}, True),
            (by_s3("", ".csv"), {"if_fnmatch": "in/a.txt"}, False),
            (by_s3("in/a/"), {"if_fnmatch": "in/b/*"}, False),
            (by_s3(), {"if_event_type": "ObjectCreated:*"}, True),
            (by_s3(), {"if_event_type": "ObjectRemoved:*"}, False),
            (by_s3(), {"if_event_type": "ObjectCreated:PutObject"}, False),
            (by_s3(), {"if_not_event_type": "ObjectCreated:*"}, False),
            (by_rule({}), {"if_event_type": "ObjectCreated:Put"}, False),
            (by_rule({}), {"if_event_type": "ObjectCreated:PutObject"}, True),
            (by_rule({}), {"if_event_type": "ObjectCreated:*"}, True),
            (by_rule({}), {"if_event_type": "Replication:*"}, False),
            (by_rule(of_type("Object Created")), {"if_event_type": "ObjectDeleted:*"}, False),
            (by_rule(of_key({"prefix": "out/"})), {}, False),
            (by_rule(of_key({"wildcard": "in/*.csv"})), {"if_fnmatch": "*.txt"}, False),
        ],
    )
    def test_an_entry_is_reached(
        self, route: Route, fields: dict[str, Any], *, expected: bool
    ) -> None:
        assert route.reaches(trigger(**fields)) is expected

    @pytest.mark.parametrize(
        ("route", "fields", "expected"),
        [
            (by_s3(), {}, True),
            (by_s3("in/"), {}, True),
            (by_s3("in/deep/"), {}, False),
            (by_s3("", ".csv"), {}, False),
            (by_s3("", ".csv"), {"if_fnmatch": ["*.csv", "*.txt"]}, False),
            (by_s3("", ".csv"), {"if_fnmatch": "*/x.csv"}, True),
            (by_s3("", "", ["s3:ObjectCreated:Copy"]), {}, False),
            (by_rule({"detail": {"reason": ["PutObject"]}}), {}, True),
            (by_rule({"detail": {"reason": ["CopyObject"]}}), {}, False),
        ],
    )
    def test_all_new_objects_of_an_entry_are_carried(
        self, route: Route, fields: dict[str, Any], *, expected: bool
    ) -> None:
        assert route.covers(trigger(**fields), EVENT_TYPES["ObjectCreated:Put"]) is expected

    @pytest.mark.parametrize(
        "patterns",
        [["ObjectCreated:Put", "ObjectRemoved:*"], ["LifecycleTransition", "ObjectCreated:*"]],
        ids=str,
    )
    def test_types_are_chosen_by_the_patterns_that_they_are_told_as(
        self, patterns: list[str]
    ) -> None:
        names = event_types([f"s3:{pattern}" for pattern in patterns])

        assert event_patterns(EVENT_TYPES[name] for name in names) == patterns

    def test_what_an_entry_excludes_it_does_not_ask_for(self) -> None:
        found = wanted_types(trigger(if_not_event_type="ObjectCreated:Copy"))

        assert "ObjectCreated:Copy" not in {each.name for each in found}
        assert len(found) == 3


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, False),
        ({"kind": ["orders"]}, True),
        ({"kind": ["orders", {"exists": False}]}, False),
        ({"kind": [{"exists": False}], "team": ["a"]}, True),
    ],
    ids=str,
)
def test_a_policy_that_asks_for_an_attribute_drops_all(
    policy: dict[str, Any], *, expected: bool
) -> None:
    assert drops_all(policy) is expected


OVER_10: Final = {"detail": {"object": {"size": [{"numeric": [">", 10]}]}}}


class TestPatterns:
    """A pattern is tried on the event that S3 sends for each type."""

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ({}, True),
            ({"source": ["aws.s3"]}, True),
            ({"source": [{"prefix": "aws."}]}, True),
            ({"source": [{"anything-but": "aws.ec2"}]}, True),
            ({"source": [{"anything-but": {"prefix": "my."}}]}, True),
            ({"detail-type": [{"equals-ignore-case": "object created"}]}, True),
            ({"detail-type": [{"wildcard": "Object *"}]}, True),
            ({"detail-type": [{"suffix": "Created"}]}, True),
            ({"detail": {"bucket": {"name": ["any"]}}}, True),
            ({"detail": {"object": {"size": [{"numeric": [">", 0]}]}}}, True),
            ({"detail": {"object": {"key": [{"prefix": "in/"}]}}}, True),
            ({"detail": {"reason": ["PutObject"]}}, True),
            ({"detail": {"reason": [{"exists": False}]}}, True),
            ({"account": ["111122223333"], "region": ["eu-west-1"]}, True),
            ({"$or": [{"source": ["my.app"]}, {"source": ["aws.s3"]}]}, True),
            ({"source": ["my.app"]}, False),
            ({"source": [{"prefix": "my."}]}, False),
            ({"source": [{"anything-but": ["aws.s3"]}]}, False),
            ({"source": [{"anything-but": {"prefix": "aws."}}]}, False),
            ({"detail-type": ["Object Craeted"]}, False),
            ({"detail-type": ["ObjectCreated"]}, False),
            ({"Source": ["aws.s3"]}, False),
            ({"detail": {"Bucket": {"name": ["b"]}}}, False),
            ({"detail": {"bucket": {"name": [{"exists": False}]}}}, False),
            ({"detail": {"bucket": ["b"]}, "source": []}, False),
            ({"detail": {"eventName": ["PutObject"]}}, False),
            ({"detail": {"reason": ["Put"]}}, False),
            ({"detail-type": ["Object Created"], "detail": {"reason": ["DeleteObject"]}}, False),
            ({"$or": [{"source": ["my.app"]}, {"source": ["aws.ec2"]}]}, False),
        ],
        ids=str,
    )
    def test_it_may_match(self, pattern: dict[str, Any], *, expected: bool) -> None:
        assert bool(matching_types(pattern)) is expected

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ({"source": ["aws.s3"], "detail": {"reason": ["PutObject", "CopyObject"]}}, None),
            ({"id": ["x"], "detail": {"requester": ["x"]}}, None),  # known when it happens
            ({"account": ["111122223333"]}, 'account is ["111122223333"]'),
            ({"resources": ["arn:aws:s3:::b"]}, None),
            ({"resources": ["arn:aws:s3:::c"]}, 'resources is ["arn:aws:s3:::c"]'),
            (of_key({"prefix": "in/"}), None),
            (of_key({"suffix": ".txt"}), 'detail.object.key is [{"suffix": ".txt"}]'),
            (of_key({"wildcard": "in/*/*.csv"}), None),
            ({"detail": {"object": {"size": [{"numeric": [">", 9, "<=", 10]}]}}}, None),
            (OVER_10, 'detail.object.size is [{"numeric": [">", 10]}]'),
            (
                {"$or": [{"source": ["x"]}, {"detail-type": ["y"]}]},
                '$or is [{"source": ["x"]}, {"detail-type": ["y"]}]',
            ),
        ],
        ids=str,
    )
    def test_the_part_that_excludes_an_event(
        self, pattern: dict[str, Any], expected: str | None
    ) -> None:
        put, time = EVENT_TYPES["ObjectCreated:Put"], datetime(2026, 3, 14, tzinfo=UTC)
        event = ObjectEvent(bucket="b", key="in/x/a.csv", type=put, time=time, size=10)
        assert exclusion(pattern, eventbridge_event(event)) == expected

    def test_a_pattern_for_another_bucket_matches_nothing_of_this_one(self) -> None:
        pattern = {"detail": {"bucket": {"name": ["a", {"prefix": "my-"}]}}}

        assert matching_types(pattern, "a")
        assert matching_types(pattern, "my-bucket")
        assert not matching_types(pattern, "b")

    @pytest.mark.parametrize(
        ("text", "expected"), [(None, None), ("", None), ("{", None), ("[]", None), ("{}", {})]
    )
    def test_a_rule_may_have_none(self, text: str | None, expected: Any) -> None:
        assert read_pattern({} if text is None else {"EventPattern": text}) == expected

    def test_a_field_is_taken_out_with_what_it_leaves_empty(self) -> None:
        pattern = {"source": ["x"], "detail": {"object": {"key": ["k"]}, "reason": ["r"]}}

        assert list(leaves(pattern)) == [
            ("source",),
            ("detail", "object", "key"),
            ("detail", "reason"),
        ]
        assert without_field(pattern, ("detail", "object", "key")) == {
            "source": ["x"],
            "detail": {"reason": ["r"]},
        }


@cases(
    ("one", "other", "expected"),
    {
        "a key and its folder": (key("in"), by_rule(of_key({"prefix": "in/"})), False),
        "a key and a prefix of it": (key("in"), by_s3("i"), True),
        "a key and a longer name": (key("in"), by_s3("in-old/"), False),
        "a key and a suffix": (key("in/a.csv"), by_s3("", ".csv"), True),
        "a key and another that it ends with": (key("in/in"), key("in"), False),
    },
)
def test_routes_that_share_an_event(one: Route, other: Route, *, expected: bool) -> None:
    assert one.overlaps(other) is other.overlaps(one) is expected


def test_the_rules_of_many_entries_carry_each_event_once() -> None:
    entries = [trigger(f"incoming/customer-{number:02}/daily") for number in range(30)]
    rules = [dict(rule.pattern or {}) for rule in wanted_by_rules("b", entries, NEW).filters]
    routes = [
        Route("r", event_types(CREATED), *key_filter, rule=str(number))
        for number, rule in enumerate(rules)
        for key_filter in key_filters(rule)
    ]
    assert (len(rules) > 1, len(routes), doubled(routes)) == (True, 60, None)
