"""What `connect` makes of entries and of a bucket's notifications, without AWS."""

from __future__ import annotations

import json
from typing import Any, Final
from xml.etree import ElementTree as ET

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.cli.connect.changes import Change, permission_of, statement_of
from lava_s3trigger.cli.connect.elements import unknown_elements
from lava_s3trigger.cli.connect.merge import Refusal, is_same, merge
from lava_s3trigger.cli.connect.names import Names
from lava_s3trigger.cli.connect.plan import Plan
from lava_s3trigger.cli.connect.session import _event_types
from lava_s3trigger.cli.connect.wanted import (
    CREATED,
    MAX_PATTERN_CHARACTERS,
    Wanted,
    wanted_by_rules,
    wanted_by_s3,
)
from lava_s3trigger.cli.deployed.resource_policy import allows
from lava_s3trigger.cli.objects.event_types import EVENT_TYPES
from lava_s3trigger.triggers import Trigger, prefixes
from tests import build
from tests.notification_rules import carriers, notifications, refusals

ARN: Final = "arn:aws:lambda:us-east-1:123456789012:function:f"
OTHER: Final = "arn:aws:sqs:us-east-1:123456789012:other"
PUT: Final = "s3:ObjectCreated:Put"


def trigger(prefix: str, trigger_id: str = "t", **fields: Any) -> Trigger:
    found = build.trigger(trigger_id, prefix, **fields)
    assert isinstance(found, Trigger)
    return found


def configuration(wanted: Wanted) -> dict[str, Any]:
    made = [
        {"Id": str(number), "LambdaFunctionArn": ARN, **each.notification}
        for number, each in enumerate(wanted.filters)
    ]
    return {"LambdaFunctionConfigurations": made}


def matches(pattern: dict[str, Any], bucket: str, key: str, name: str) -> bool:
    """Return whether EventBridge sends an event by a rule, of the tests that `connect` uses."""
    kind = EVENT_TYPES[name]
    detail = pattern["detail"]
    tests = detail.get("object", {}).get("key", [{"prefix": ""}])
    deletion = kind.detail.get("deletion-type")
    return (
        pattern["source"] == ["aws.s3"]
        and kind.detail_type in pattern["detail-type"]
        and detail["bucket"] == {"name": [bucket]}
        and kind.reason in detail.get("reason", [kind.reason])
        and deletion in detail.get("deletion-type", [deletion])
        and any(
            key == each if isinstance(each, str) else key.startswith(each["prefix"])
            for each in tests
        )
    )


def types_by_prefix(wanted: Wanted) -> dict[str, str]:
    """Return the types of events of the notifications, without what they have in common."""
    found = {each.prefix: " ".join(each.events) for each in wanted.filters}
    return {prefix: types.replace("s3:Object", "") for prefix, types in found.items()}


class TestFilters:
    """The smallest notifications that S3 can have for entries."""

    @pytest.mark.parametrize(
        ("triggers", "expected"),
        [
            ([trigger("a")], {"a": "Created:*"}),
            ([trigger("*")], {"": "Created:*"}),
            ([trigger("a"), trigger("a/b")], {"a": "Created:*"}),
            ([trigger("a"), trigger("*")], {"": "Created:*"}),
            ([trigger("a", if_fnmatch="*.csv")], {"a/": "Created:*"}),
            ([trigger("a", if_not_fnmatch="a")], {"a/": "Created:*"}),
            ([trigger("a", if_fnmatch="a*")], {"a": "Created:*"}),
            (
                [trigger("a", if_event_type="ObjectRemoved:Delete"), trigger("a/b")],
                {"a": "Removed:Delete", "a/b": "Created:*"},
            ),
            (
                [trigger("a", if_event_type=["ObjectCreated:Put", "ObjectRemoved:*"])],
                {"a": "Created:Put Removed:Delete Removed:DeleteMarkerCreated"},
            ),
            (
                [trigger("a", if_not_event_type="ObjectCreated:Copy")],
                {"a": "Created:CompleteMultipartUpload Created:Post Created:Put"},
            ),
        ],
    )
    def test_entries_make_filters(self, triggers: list[Trigger], expected: dict[str, str]) -> None:
        assert types_by_prefix(wanted_by_s3(triggers, CREATED)) == expected

    def test_a_value_that_is_too_long_is_cut(self) -> None:
        wanted = wanted_by_s3([trigger("é" * 500)], CREATED)

        assert list(refusals(configuration(wanted))) == []
        assert len(carriers(configuration(wanted), "é" * 500 + "/a", PUT)) == 1

    @pytest.mark.parametrize(
        ("triggers", "surplus"),
        [
            (
                [trigger("a", "t1"), trigger("ax", "t2"), trigger("b/c")],
                [("a", "a-", ("t1",)), ("b/c", "b/cx", ("t",))],
            ),
            ([trigger("*")], []),
            ([trigger("a", if_fnmatch="*.csv")], []),
            ([trigger("*"), trigger("a")], []),
        ],
    )
    def test_the_surplus_is_named(self, triggers: list[Trigger], surplus: list[Any]) -> None:
        named = wanted_by_s3(triggers, CREATED).surplus
        assert [(s.prefix, s.example, s.trigger_ids) for s in named] == surplus

    def test_other_types_are_wanted_by_option_where_an_entry_names_none(self) -> None:
        triggers = [trigger("a"), trigger("b", if_event_type="ObjectRestore:Post")]

        wanted = wanted_by_s3(triggers, _event_types(("ObjectRemoved:*", "s3:ObjectAcl:Put")))

        assert types_by_prefix(wanted) == {
            "a": "Acl:Put Removed:Delete Removed:DeleteMarkerCreated",
            "b": "Restore:Post",
        }

    def test_an_entry_whose_types_have_other_names_is_named(self) -> None:
        triggers = [trigger("a", "s3", if_event_type="ObjectCreated:Put")]
        by_rule = [trigger("a", "rule", if_event_type="ObjectCreated:PutObject")]

        assert wanted_by_s3(triggers, CREATED).unreachable == ()
        assert wanted_by_s3(by_rule, CREATED).unreachable == ("rule",)
        assert wanted_by_rules("b", triggers, CREATED).unreachable == ("s3",)
        assert wanted_by_rules("b", by_rule, CREATED).unreachable == ()


_TYPES: Final = ["ObjectCreated:Put", "ObjectCreated:Copy", "ObjectRemoved:Delete"]
_PREFIXES: Final = st.sampled_from(["*", "a", "ab", "a/b", "a/b/c", "b", "ä", "a=1", "a b"])
_KEYS: Final = st.sampled_from(
    ["a", "ab", "a/", "a/b", "a/bc", "a/b/c", "a/b/c/d", "ab/c", "b", "c", "ä/1", "a=1/x", "a b/x"]
)
_TRIGGERS: Final = st.lists(
    st.builds(
        lambda prefix, types, pattern: trigger(
            prefix,
            **({"if_event_type": types} if types else {}),
            **({"if_fnmatch": pattern} if pattern else {}),
        ),
        _PREFIXES,
        st.lists(st.sampled_from(["ObjectCreated:*", "ObjectRemoved:*", *_TYPES])),
        st.sampled_from(["", "*/*", "*"]),
    ),
    min_size=1,
    max_size=6,
)


def fires(found: Trigger, key: str, name: str, s3_name: str) -> bool:
    """Return whether an entry may fire for an event, by the function's own conditions."""
    if found.prefix not in prefixes(key):
        return False
    values = {"if_event_type": name, "if_fnmatch": key}
    chooses = any(each.field == "if_event_type" for each in found.conditions)
    return (chooses or s3_name.startswith("ObjectCreated:")) and all(
        each.holds(values[each.field]) for each in found.conditions
    )


class TestReach:
    """All that entries ask for is carried, and once."""

    @given(_TRIGGERS, _KEYS, st.sampled_from(_TYPES))
    def test_by_s3(self, triggers: list[Trigger], key: str, name: str) -> None:
        wanted = wanted_by_s3(triggers, CREATED)
        made = configuration(wanted)

        number = len(carriers(made, key, f"s3:{name}"))

        assert list(refusals(made)) == []
        assert number <= 1
        if any(fires(each, key, name, name) for each in triggers):
            assert number == 1

    @given(_TRIGGERS)
    def test_no_filter_could_be_longer(self, triggers: list[Trigger]) -> None:
        for each in wanted_by_s3(triggers, CREATED).filters:
            key = f"{each.prefix}x" if each.prefix.endswith("/") or not each.prefix else each.prefix
            assert any(
                found.prefix in prefixes(key)
                and (found.prefix == key or each.prefix in (f"{found.prefix}/", ""))
                for found in triggers
            )

    @given(_TRIGGERS, _KEYS, st.sampled_from(_TYPES))
    def test_by_rules_no_others_come(self, triggers: list[Trigger], key: str, name: str) -> None:
        wanted = wanted_by_rules("b", triggers, CREATED)
        in_eventbridge = EVENT_TYPES[name].name_in_eventbridge or ""

        number = sum(matches(each.pattern or {}, "b", key, name) for each in wanted.filters)

        assert number <= 1
        if any(fires(each, key, in_eventbridge, name) for each in triggers):
            assert number == 1
        if not any(each.prefix in prefixes(key) for each in triggers):
            assert number == 0


IN_A: Final = {"object": {"key": ["a", {"prefix": "a/"}]}}


class TestRules:
    """A rule names its types, and no type that nobody asked for."""

    @pytest.mark.parametrize(
        ("triggers", "patterns"),
        [
            ([trigger("*")], [{"detail-type": ["Object Created"], "detail": {}}]),
            ([trigger("a")], [{"detail-type": ["Object Created"], "detail": IN_A}]),
            (
                [trigger("*", if_event_type=["ObjectCreated:*", "ObjectDeleted:DeleteObject"])],
                [
                    {"detail-type": ["Object Deleted"], "detail": {"reason": ["DeleteObject"]}},
                    {"detail-type": ["Object Created"], "detail": {}},
                ],
            ),
        ],
    )
    def test_patterns(self, triggers: list[Trigger], patterns: list[dict[str, Any]]) -> None:
        wanted = wanted_by_rules("b", triggers, CREATED)

        bucket = {"bucket": {"name": ["b"]}}
        assert [each.pattern for each in wanted.filters] == [
            {"source": ["aws.s3"], **each, "detail": each["detail"] | bucket} for each in patterns
        ]

    def test_one_kind_of_deletion_is_chosen_by_its_type(self) -> None:
        default = _event_types(("ObjectRemoved:Delete",))

        [found] = wanted_by_rules("b", [trigger("*")], default).filters

        pattern = found.pattern or {}
        assert matches(pattern, "b", "k", "ObjectRemoved:Delete")
        assert not matches(pattern, "b", "k", "ObjectRemoved:DeleteMarkerCreated")
        assert not matches(pattern, "b", "k", "LifecycleExpiration:Delete")

    def test_many_prefixes_are_in_several_rules(self) -> None:
        triggers = [trigger(f"{'folder' * 5}-{number}") for number in range(100)]

        wanted = wanted_by_rules("b", triggers, CREATED)

        assert len(wanted.filters) > 1
        assert max(len(json.dumps(f.pattern)) for f in wanted.filters) <= MAX_PATTERN_CHARACTERS
        for key in (f"{each.prefix}/x" for each in triggers):
            created = [matches(f.pattern or {}, "b", key, PUT[3:]) for f in wanted.filters]
            assert sum(created) == 1


def other(prefix: str = "", suffix: str = "", *events: str, name: str = "o") -> dict[str, Any]:
    values = {"Prefix": prefix, "Suffix": suffix}
    rules = [{"Name": name, "Value": value} for name, value in values.items() if value]
    found = {"Id": name, "QueueArn": OTHER, "Events": list(events) or ["s3:ObjectCreated:*"]}
    return found | ({"Filter": {"Key": {"FilterRules": rules}}} if rules else {})


def ours(*filters: str) -> dict[str, Any]:
    return configuration(wanted_by_s3([trigger(each) for each in filters], CREATED))


_EVENTS: Final = ["s3:ObjectCreated:*", PUT, "s3:ObjectCreated:Copy", "s3:ObjectRemoved:*"]
_AFFIXES: Final = ["", "a", "ab", "a/", "b", ".csv", "v", "%C3%A4", "a+b"]
_OTHERS: Final = st.builds(
    other, st.sampled_from(_AFFIXES), st.sampled_from(_AFFIXES), st.sampled_from(_EVENTS)
)


class TestMerge:
    """Others' parts stay to the letter; what S3 would refuse is refused, with both sides."""

    def test_what_is_not_ours_stays(self) -> None:
        former: dict[str, Any] = {
            "TopicConfigurations": [{"TopicArn": "t", "Events": ["s3:ObjectAcl:Put"], "New": [1]}],
            "QueueConfigurations": [other("x", ".csv", name="q")],
            "EventBridgeConfiguration": {},
            "FutureConfiguration": {"A": ["b"]},
        }

        new = merge(former, ours("a"), lambda *_: False)

        assert isinstance(new, dict)
        assert {k: v for k, v in new.items() if k in former} == former
        assert new.keys() - former.keys() == {"LambdaFunctionConfigurations"}

    def test_ours_are_replaced(self) -> None:
        theirs = {"Id": "x", "LambdaFunctionArn": OTHER, "Events": ["s3:ObjectRemoved:*"]}
        former = {"LambdaFunctionConfigurations": [*ours("a", "b").popitem()[1], theirs]}

        new = merge(former, ours("c"), lambda _, number: number < 2)

        assert new == {"LambdaFunctionConfigurations": [theirs, *ours("c").popitem()[1]]}

    def test_eventbridge_is_never_turned_off(self) -> None:
        on: dict[str, Any] = {"EventBridgeConfiguration": {}}
        assert merge(on, {}, lambda *_: True) == on
        assert merge({}, {}, lambda *_: True, to_eventbridge=True) == on

    def test_a_refusal_names_both_sides(self) -> None:
        former = {"QueueConfigurations": [other("a%2Fb", name="q")]}

        found = merge(former, ours("a"), lambda *_: False)

        assert isinstance(found, Refusal)
        [reason] = found.reasons
        assert f"'0' to {ARN} (s3:ObjectCreated:*, prefix 'a')" in reason
        assert f"'q' to {OTHER} (s3:ObjectCreated:*, prefix 'a/b')" in reason
        assert found.is_of_ours

    @pytest.mark.parametrize("number", [99, 100])
    def test_s3_takes_a_hundred(self, number: int) -> None:
        former = {"QueueConfigurations": [other(f"{n:03}", name=str(n)) for n in range(number)]}

        found = merge(former, ours("a"), lambda *_: False)

        assert isinstance(found, Refusal) is (number == 100)

    def test_others_that_overlap_each_other_are_not_our_fault(self) -> None:
        former = {"QueueConfigurations": [other("x", name="1"), other("x/y", name="2")]}

        found = merge(former, {}, lambda *_: False)

        assert isinstance(found, Refusal)
        assert not found.is_of_ours

    @given(st.lists(_OTHERS, max_size=3), st.lists(_PREFIXES, min_size=1, max_size=3))
    def test_it_refuses_as_s3_does(self, others: list[dict[str, Any]], filters: list[str]) -> None:
        numbered = [{**each, "Id": f"o{number}"} for number, each in enumerate(others)]
        former, added = {"QueueConfigurations": numbered}, ours(*filters)

        found = merge(former, added, lambda *_: False)

        assert isinstance(found, Refusal) is bool(list(refusals({**former, **added})))
        if isinstance(found, dict):
            assert [each for each in notifications(found) if each.get("QueueArn")] == numbered

    def test_names_of_filters_and_the_order_do_not_matter(self) -> None:
        rules = [{"Name": "prefix", "Value": "a"}, {"Name": "suffix", "Value": ".csv"}]
        one = {"QueueConfigurations": [other("a", ".csv", "x", "y"), other("b")]}
        two = {
            "QueueConfigurations": [
                other("b"),
                {**other("", "", "y", "x"), "Filter": {"Key": {"FilterRules": rules[::-1]}}},
            ],
            "TopicConfigurations": [],
        }

        assert is_same(one, two)
        assert not is_same(one, {**two, "EventBridgeConfiguration": {}})
        assert not is_same(one, {"QueueConfigurations": [other("a"), other("b")]})
        filtered = [{**other("b"), "Filter": {**other("b")["Filter"], "Size": 1}}]
        assert not is_same({"QueueConfigurations": [other("b")]}, {"QueueConfigurations": filtered})


class TestNames:
    """What `connect` made is known by its name, and the names are short enough."""

    LONGEST: Final = Names("r" * 11, "lava-" + "r" * 11 + "-s3trigger", "b" * 63)

    def test_a_notification_is_known_by_its_id(self) -> None:
        names = Names("prod", "lava-prod-s3trigger", "b")
        beside = Names("prod", "observer", "b")

        assert names.notification(1) == "lava-s3trigger.prod.1"
        assert names.is_notification("lava-s3trigger.prod.12")
        for each in (None, "", "lava-s3trigger.prod", "lava-s3trigger.prod2.1", "by hand"):
            assert not names.is_notification(each)
        assert not names.is_notification(beside.notification(1))
        assert not beside.is_notification(names.notification(1))

    @pytest.mark.parametrize("names", [LONGEST, Names("prod", "f" * 64, "b.c")])
    def test_names_fit(self, names: Names) -> None:
        assert len(names.notification(100)) <= 255
        for number in (1, 2, 100):
            assert len(names.rule(number)) <= 64
            assert names.rule(number).startswith(f"lava.{names.realm}.")
        assert len({names.rule(number) for number in range(1, 101)}) == 100
        for source in (None, names.rule(1), "topic.x"):
            sid = names.statement(source)
            assert len(sid) <= 100
            assert not set(sid) & set(".:/")
        other = Names(names.realm, names.function, f"{names.bucket[:-1]}d")
        assert other.rule(1) != names.rule(1)
        assert other.statement() != names.statement()


BUCKET: Final = {"aws:sourcearn": "arn:aws:s3:::b", "aws:sourceaccount": "123456789012"}
OF_ANOTHER: Final = {"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::c"}}
FOREIGN: Final = {"StringNotEquals": {"aws:SourceAccount": "210987654321"}}


def allowing(**changes: Any) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": "*",
    }
    return statement | changes


class TestPolicies:
    """A statement is made only where the policy does not allow it already."""

    @pytest.mark.parametrize(
        ("statements", "expected"),
        [
            ([], False),
            ([allowing()], True),
            ([allowing(Principal="*")], True),
            ([allowing(Principal={"AWS": "*"})], True),
            ([allowing(Principal={"Service": ["sns.amazonaws.com", "s3.amazonaws.com"]})], True),
            ([allowing(Principal={"Service": "sns.amazonaws.com"})], False),
            ([allowing(Action=["SQS:*"])], True),
            ([allowing(Action="sqs:ReceiveMessage")], False),
            ([allowing(Condition={"StringEquals": {"aws:SourceAccount": "123456789012"}})], True),
            ([allowing(Condition={"StringEquals": {"AWS:SourceAccount": "210987654321"}})], False),
            ([allowing(Condition={"ArnLike": {"aws:SourceArn": ["x", "arn:aws:s3:*:*:*"]}})], True),
            ([allowing(Condition=OF_ANOTHER)], False),
            ([allowing(Condition={"Bool": {"aws:SecureTransport": "true"}})], False),
            ([allowing(Condition={"StringEquals": {"aws:PrincipalOrgID": "o"}})], False),
            ([allowing(), allowing(Effect="Deny")], False),
            ([allowing(), allowing(Effect="Deny", Condition=FOREIGN)], False),
            ([allowing(), allowing(Effect="Deny", Condition=OF_ANOTHER)], True),
        ],
    )
    def test_what_policies_allow(self, statements: list[dict[str, Any]], *, expected: bool) -> None:
        assert allows(statements, "s3", "sqs:SendMessage", BUCKET) is expected

    def test_a_permission_is_read_as_it_is_added(self) -> None:
        condition = {
            "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"},
            "StringEquals": {"AWS:SourceAccount": "123456789012"},
        }
        assert permission_of(allowing(Condition=condition)) == {
            "Principal": "s3.amazonaws.com",
            "SourceArn": "arn:aws:s3:::b",
            "SourceAccount": "123456789012",
        }

    def test_a_statement_is_found_by_its_id(self) -> None:
        assert statement_of({"Statement": allowing(Sid="x")}, "x") == allowing(Sid="x")
        assert statement_of({"Statement": [allowing()]}, "x") is None


_QUEUE: Final = (
    "<QueueConfiguration><Id>i</Id><Queue>q</Queue><Event>e</Event><Filter><S3Key>"
    "<FilterRule><Name>prefix</Name><Value>v</Value></FilterRule></S3Key></Filter>"
    "</QueueConfiguration><CloudFunctionConfiguration><CloudFunction>f</CloudFunction>"
    "</CloudFunctionConfiguration>"
)


class TestElements:
    """What botocore would lose is seen."""

    @pytest.mark.parametrize(
        ("inside", "expected"),
        [
            ("", []),
            ("<EventBridgeConfiguration/>", []),
            (_QUEUE, []),
            ("<PipeConfiguration><Pipe>p</Pipe></PipeConfiguration>", ["PipeConfiguration"]),
            ("<TopicConfiguration><Filter><Size>1</Size></Filter></TopicConfiguration>", ["Size"]),
            ("<EventBridgeConfiguration><Bus>b</Bus></EventBridgeConfiguration>", ["Bus"]),
        ],
    )
    def test_unknown_elements_are_named(self, inside: str, expected: list[str]) -> None:
        model = botocore.session.Session().get_service_model("s3")
        shape = model.operation_model("GetBucketNotificationConfiguration").output_shape
        name, space = "NotificationConfiguration", "http://s3.amazonaws.com/doc/2006-03-01/"
        root = ET.fromstring(f'<{name} xmlns="{space}">{inside}</{name}>')

        assert list(unknown_elements(shape, root)) == expected


class TestUndoing:
    """To undo a plan is the same changes backwards."""

    def test_stages_are_reversed(self) -> None:
        one, two, three = (Change("rule", name, None, {"a": 1}, None) for name in "123")

        undone = Plan((one, two), (three,)).undone

        assert undone.first == (Change("rule", "3", None, None, {"a": 1}),)
        assert [change.resource for change in undone.then] == ["2", "1"]
        assert [change.resource for change in Plan((one, two)).undone.first] == ["2", "1"]

    def test_eventbridge_stays_on(self) -> None:
        change = Change("notifications", "b", None, {}, {"EventBridgeConfiguration": {}})

        assert change.undone.after == {"EventBridgeConfiguration": {}}
        assert not change.undone.is_needed


RULE: Final = {"EventPattern": {"a": 1}, "State": "ENABLED", "Targets": [{"Id": "x"}]}


class TestHalfMade:
    """What a killed run left between two calls is no change by somebody else."""

    @pytest.mark.parametrize(
        ("kind", "before", "after", "now", "expected"),
        [
            ("rule", None, RULE, None, True),
            ("rule", None, RULE, {**RULE, "Targets": []}, True),
            ("rule", RULE, None, {**RULE, "Targets": []}, True),
            ("rule", None, RULE, {**RULE, "Targets": [{"Id": "theirs"}]}, False),
            ("rule", None, RULE, {**RULE, "State": "DISABLED"}, False),
            ("permission", {"Principal": "a"}, {"Principal": "b"}, None, True),
            ("permission", {"Principal": "a"}, None, {"Principal": "c"}, False),
            ("queue_statement", {"Sid": "a"}, None, None, False),
            ("queue_statement", {"Action": "sqs:Send"}, None, {"Action": ["SQS:Send"]}, True),
            ("queue_statement", {"Action": "sqs:Send"}, None, {"Action": "sqs:Purge"}, False),
            ("notifications", {}, {"EventBridgeConfiguration": {}}, {"X": [1]}, False),
        ],
    )
    def test_it_goes_on(
        self, kind: str, before: Any, after: Any, now: Any, *, expected: bool
    ) -> None:
        assert Change(kind, "r", None, before, after).starts_at(now) is expected
