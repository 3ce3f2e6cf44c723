"""Remedies of one run, carried out in the order printed, do not undo each other."""

import json
from typing import Any, Final

import pytest

from tests.cli.cannedrealm import ACCOUNT, EVERYTHING, FUNCTION, CannedRealm, arn, refusal, trigger
from tests.cli.test_doctor_checks import found

OURS: Final = arn("lambda", f"function:{FUNCTION}")
KEY: Final = arn("kms", "key/k")


def rule(name: str, prefix: str, **fields: Any) -> dict[str, Any]:
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": ["my-bucket"]}, "object": {"key": [{"prefix": prefix}]}},
    }
    text = json.dumps(pattern)
    return {"Name": name, "Arn": arn("events", f"rule/{name}"), "EventPattern": text, **fields}


def direct(prefix: str = "") -> dict[str, Any]:
    """Return the notification of a bucket that also sends to EventBridge."""
    note: dict[str, Any] = {"Id": "x", "LambdaFunctionArn": OURS, "Events": ["s3:ObjectCreated:*"]}
    if prefix:
        note["Filter"] = {"Key": {"FilterRules": [{"Name": "prefix", "Value": prefix}]}}
    return {"EventBridgeConfiguration": {}, "LambdaFunctionConfigurations": [note]}


def connected(
    notifications: dict[str, Any], *rules: dict[str, Any], target: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the answers of a bucket with rules that send to the function."""

    def described(asked: dict[str, Any]) -> dict[str, Any]:
        if found := [each for each in rules if each["Name"] == asked["Name"]]:
            return found[0]
        raise refusal("ResourceNotFoundException", "DescribeRule")

    permitted = [
        EVERYTHING | {"Principal": {"Service": f"{service}.amazonaws.com"}}
        for service in ("events", "s3")
    ]
    return {
        "GetBucketNotificationConfiguration": notifications,
        "GetBucketLocation": {},
        "GetPolicy": {"Policy": json.dumps({"Statement": permitted})},
        "DescribeRule": described,
        "ListRules": {"Rules": list(rules)},
        "ListTargetsByRule": {"Targets": [target or {"Id": "f", "Arn": OURS}]},
        "ListSubscriptions": {"Subscriptions": []},
        "ListTagsForResource": {"Tags": []},
    }


def commands(realm: CannedRealm, *names: str) -> str:
    """Return the commands of some checks, in the order printed."""
    for name, attributes in realm.queues.items():
        attributes.setdefault("QueueArn", arn("sqs", name))
    return "\n".join(finding.command for finding in found(realm, *names))


def test_a_rule_that_connect_takes_the_function_out_of_is_not_made_again() -> None:
    realm = CannedRealm(answers=connected(direct(), rule("my-rule", "t-in/")))
    printed = commands(realm, "bucket-connected-twice", "rule-name")
    assert "connect my-bucket --realm prod --by s3 --move --yes" in printed
    assert "put-rule" not in printed


def test_a_rule_of_several_buckets_with_a_target_of_others_stays() -> None:
    shared = rule("lava.prod.b", "t-in/")
    shared["EventPattern"] = shared["EventPattern"].replace('"my-bucket"', '"my-bucket", "b"')
    realm = CannedRealm(answers=connected(direct(), shared))
    theirs = {"Id": "theirs", "Arn": arn("sqs", "theirs")}
    realm.answers["ListTargetsByRule"]["Targets"].append(theirs)
    [finding] = found(realm, "bucket-connected-twice")
    assert finding.command == ""
    assert f"{theirs['Arn']} would lose events of my-bucket" in finding.message


@pytest.mark.parametrize("alias", ["", ":live"])
@pytest.mark.parametrize("mode", ["dispatch", "Observe", "unreadable"])
def test_a_bucket_of_another_function_that_dispatches_is_not_connected(
    mode: str, alias: str
) -> None:
    notifications = direct()
    notifications["LambdaFunctionConfigurations"][0]["LambdaFunctionArn"] += f"-next{alias}"
    realm = CannedRealm(answers=connected(notifications))
    own = realm.answers["GetFunctionConfiguration"]({})
    variables = {"LAVA_REALM": "prod", "LAVA_S3TRIGGER_MODE": mode}
    other = {"FunctionArn": f"{OURS}-next", "Environment": {"Variables": variables}}
    realm.answers["GetFunctionConfiguration"] = lambda asked: (
        own | (other if asked["FunctionName"].endswith("-next") else {})
    )
    assert commands(realm, "bucket-not-connected") == ""
    [finding] = found(realm, "bucket-not-connected")
    assert f"leads to {FUNCTION}-next" in finding.message or mode == "Observe"
    assert ("which dispatches for the realm too" in finding.message) is (mode != "Observe")


def test_a_disabled_rule_is_not_enabled_where_connect_carries_its_events() -> None:
    answers = connected(direct("a-in/"), rule("lava.prod.b", "b-in/", State="DISABLED"))
    realm = CannedRealm(answers=answers, triggers=[trigger(name) for name in "abc"])
    printed = commands(realm, "trigger-unreachable", "rule-disabled")
    assert "connect my-bucket --realm prod --by s3 --move --yes" in printed
    assert "enable-rule" not in printed


def test_a_rule_of_another_name_is_made_without_its_transformer_and_enabled() -> None:
    answers = connected(
        {"EventBridgeConfiguration": {}},
        rule("my-rule", "t-in/", State="DISABLED"),
        target={"Id": "f", "Arn": OURS, "InputPath": "$.detail"},
    )
    printed = commands(CannedRealm(answers=answers), "rule-transforms", "rule-name")
    assert "put-rule --name lava.prod.my-rule" in printed
    assert "--state ENABLED" in printed
    assert "InputPath" not in printed


@pytest.mark.parametrize("denied", [[], ["dynamodb:GetItem"]], ids=["allowed", "denied"])
def test_a_wide_policy_goes_after_what_the_function_needs_is_granted(denied: list[str]) -> None:
    documents = {
        "wide": EVERYTHING,
        "deny": {"Effect": "Deny", "Action": denied or ["s3:None"], "Resource": "*"},
    }

    def policy(asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["PolicyName"]
        text = json.dumps({"Statement": [documents[name]]})
        return {"RoleName": FUNCTION, "PolicyName": name, "PolicyDocument": text}

    answers = {"ListRolePolicies": {"PolicyNames": [*documents]}, "GetRolePolicy": policy}
    printed = commands(CannedRealm(answers=answers), "role-permissions", "role-wide")
    granted, removed = printed.index("put-role-policy"), printed.index("delete-role-policy")
    assert granted < removed
    for action in ("dynamodb:Query", "sqs:SendMessage*", "logs:PutLogEvents"):
        assert action in printed[granted:removed]


def test_the_key_of_a_queue_stays_usable_where_a_wide_policy_goes() -> None:
    answers = {
        "DescribeKey": {"KeyMetadata": {"KeyId": "k", "Arn": KEY, "KeyState": "Enabled"}},
        "ListAliases": {"Aliases": []},
    }
    realm = CannedRealm(answers=answers)
    realm.queues["lava-prod-core"]["KmsMasterKeyId"] = "k"
    printed = commands(realm, "role-wide", "queue-key")
    assert "delete-role-policy" in printed
    assert KEY in printed
    assert f'"arn:aws:kms:us-east-1:{ACCOUNT}:key/k"' in printed
