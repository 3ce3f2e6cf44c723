"""The deployed function is found, and tells its configuration."""

from typing import Any, Final

import pytest

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.function import DeployedFunction, find_function
from lava_s3trigger.cli.errors import COULD_NOT_TELL, WRONG_USAGE, CommandError

from .cannedaws import CannedAws

NAME: Final = "lava-demo-s3trigger"
ARN: Final = f"arn:aws-cn:lambda:cn-north-1:123456789012:function:{NAME}"


def find(
    canned: CannedAws, realm: str | None = "demo", function: str | None = None, **variables: str
) -> DeployedFunction:
    canned.deploy(NAME, {"LAVA_REALM": "demo", **variables}, FunctionArn=f"{ARN}:live")
    return find_function(Aws(region="cn-north-1", endpoint_url=canned.url), realm, function)


def test_its_parts_are_those_of_its_arn(canned: CannedAws) -> None:
    found = find(canned)
    assert found.arn == ARN  # without the alias
    parts = ("aws-cn", "cn-north-1", "123456789012")
    assert (found.partition, found.region, found.account) == parts
    assert (found.realm, found.intake_queue) == ("demo", f"{NAME}-intake")


@pytest.mark.parametrize(
    ("fields", "group"),
    [
        ({}, f"/aws/lambda/{NAME}"),
        ({"LoggingConfig": {}}, f"/aws/lambda/{NAME}"),
        ({"LoggingConfig": {"LogGroup": "of-ours"}}, "of-ours"),
    ],
)
def test_the_log_group_of_lambda(canned: CannedAws, fields: dict[str, Any], group: str) -> None:
    configuration = canned.deploy(NAME, {"LAVA_REALM": "demo"})
    del configuration["LoggingConfig"]
    configuration.update(fields)
    aws = Aws(region="cn-north-1", endpoint_url=canned.url)
    assert find_function(aws, "demo").log_group == group


@pytest.mark.parametrize("mode", ["dispatch", "observe"])
def test_its_settings_are_read_as_the_function_reads_them(canned: CannedAws, mode: str) -> None:
    found = find(canned, None, NAME, LAVA_SQS_MAX_DELAY_MINS="5", LOGLEVEL="", S3TRIGGER_MODE=mode)
    assert (found.settings.max_delay, found.is_observing) == (300.0, mode == "observe")


@pytest.mark.parametrize(
    ("realm", "function", "variables", "status", "said"),
    [
        (None, None, {}, WRONG_USAGE, "no realm: name it with --realm"),
        ("none", None, {}, COULD_NOT_TELL, "there is no function lava-none-s3trigger in cn-"),
        ("x", NAME, {}, WRONG_USAGE, "works for realm demo, not x"),
        (None, NAME, {"LAVA_REALM": ""}, COULD_NOT_TELL, "LAVA_REALM is not set"),
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
    with pytest.raises(CommandError, match=said) as raised:
        find(canned, realm, function, **variables)
    assert raised.value.status == status
    assert "\n" not in str(raised.value)


def test_a_setting_that_the_function_refuses_is_told_and_left_out(
    canned: CannedAws, capsys: pytest.CaptureFixture[str]
) -> None:
    found = find(canned, S3TRIGGER_CACHE_TTL="soon", SQS_MAX_DELAY_MINS="5")
    assert (found.settings.cache_ttl, found.settings.max_delay) == (60.0, 300.0)
    assert list(found.unusable) == ["S3TRIGGER_CACHE_TTL"]
    said = f"{NAME} cannot start, so that it handles no event: S3TRIGGER_CACHE_TTL"
    assert said in capsys.readouterr().err


def test_a_realm_that_cannot_be_read_is_the_one_that_is_named(canned: CannedAws) -> None:
    found = find(canned, LAVA_REALM="no realm")
    assert (found.realm, list(found.unusable)) == ("demo", ["REALM"])
