"""The deployed function is found, and tells its configuration."""

import json
from typing import Any

import pytest

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.function import find_function
from lava_s3trigger.cli.errors import COULD_NOT_TELL, WRONG_USAGE, CommandError

from .cannedaws import Answer, CannedAws

ARN = "arn:aws-cn:lambda:cn-north-1:123456789012:function:lava-demo-s3trigger"


def deploy(canned: CannedAws, name: str = "lava-demo-s3trigger", **fields: Any) -> Aws:
    found: dict[str, Any] = {
        "FunctionName": name,
        "FunctionArn": f"{ARN}:live",
        "Environment": {"Variables": {"LAVA_REALM": "demo"}},
        **fields,
    }
    canned.handlers["GET", f"/functions/{name}/configuration"] = lambda _: Answer(
        200, json.dumps(found).encode()
    )
    return Aws(region="cn-north-1", endpoint_url=canned.url)


def test_its_parts_are_those_of_its_arn(canned: CannedAws) -> None:
    found = find_function(deploy(canned), "demo")
    assert found.arn == ARN  # without the alias
    assert (found.partition, found.region, found.account) == (
        "aws-cn",
        "cn-north-1",
        "123456789012",
    )
    assert (found.realm, found.intake_queue) == ("demo", "lava-demo-s3trigger-intake")


@pytest.mark.parametrize(
    ("fields", "group"),
    [
        ({}, "/aws/lambda/lava-demo-s3trigger"),
        ({"LoggingConfig": {"LogGroup": "of-ours"}}, "of-ours"),
    ],
)
def test_its_log_group_is_what_lambda_writes_to(
    canned: CannedAws, fields: dict[str, Any], group: str
) -> None:
    assert find_function(deploy(canned, **fields), "demo").log_group == group


def test_its_settings_are_read_as_the_function_reads_them(canned: CannedAws) -> None:
    variables = {"LAVA_REALM": "demo", "LAVA_SQS_MAX_DELAY_MINS": "5", "LOGLEVEL": ""}
    aws = deploy(canned, name="other", Environment={"Variables": variables})
    assert find_function(aws, None, "other").settings.max_delay == 300.0


@pytest.mark.parametrize(
    ("realm", "function", "variables", "status", "said"),
    [
        (None, None, {}, WRONG_USAGE, "no realm: name it with --realm"),
        ("none", None, {}, COULD_NOT_TELL, "there is no function lava-none-s3trigger in cn-"),
        ("x", "lava-demo-s3trigger", {}, WRONG_USAGE, "works for realm demo, not x"),
        (None, "lava-demo-s3trigger", {"LAVA_REALM": ""}, COULD_NOT_TELL, "LAVA_REALM is not set"),
    ],
)
def test_a_function_that_will_not_do(  # noqa: PLR0917 - a table of cases
    canned: CannedAws,
    realm: str | None,
    function: str | None,
    variables: dict[str, str],
    status: int,
    said: str,
) -> None:
    aws = deploy(canned, Environment={"Variables": {"LAVA_REALM": "demo", **variables}})
    with pytest.raises(CommandError, match=said) as raised:
        find_function(aws, realm, function)
    assert raised.value.status == status
    assert "\n" not in str(raised.value)


def test_a_setting_that_the_function_refuses_is_told_and_left_out(
    canned: CannedAws, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = {"LAVA_REALM": "demo", "S3TRIGGER_CACHE_TTL": "soon", "SQS_MAX_DELAY_MINS": "5"}
    found = find_function(deploy(canned, Environment={"Variables": variables}), "demo")
    assert (found.settings.cache_ttl, found.settings.max_delay) == (60.0, 300.0)
    assert list(found.unusable) == ["S3TRIGGER_CACHE_TTL"]
    assert "lava-demo-s3trigger cannot start, so that it handles no event: S3TRIGGER_CACHE_TTL" in (
        capsys.readouterr().err
    )


def test_a_realm_that_cannot_be_read_is_the_one_that_is_named(canned: CannedAws) -> None:
    aws = deploy(canned, Environment={"Variables": {"LAVA_REALM": "no realm"}})
    found = find_function(aws, "demo")
    assert (found.realm, list(found.unusable)) == ("demo", ["REALM"])


def test_an_unreadable_name_of_the_dead_letter_queue_does_not_pass_for_no_queue(
    canned: CannedAws,
) -> None:
    url = "https://sqs.cn-north-1.amazonaws.com/1/q"
    variables = {"LAVA_REALM": "demo", "S3TRIGGER_DEAD_LETTER_QUEUE": url}
    found = find_function(deploy(canned, Environment={"Variables": variables}), "demo")
    with pytest.raises(CommandError, match="which queue it parks in is not known"):
        _ = found.dead_letter_queue


@pytest.mark.parametrize(
    ("variables", "is_observing"), [({}, False), ({"S3TRIGGER_MODE": "observe"}, True)]
)
def test_whether_it_observes(
    canned: CannedAws, variables: dict[str, str], *, is_observing: bool
) -> None:
    aws = deploy(canned, Environment={"Variables": {"LAVA_REALM": "demo", **variables}})
    assert find_function(aws, "demo").is_observing is is_observing
