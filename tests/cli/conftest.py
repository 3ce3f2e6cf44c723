"""Fixtures of the command line's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lava_s3trigger.cli.deployed.aws import Aws
from tools.local.realm import Realm
from tools.local.server import ACCESS_KEY, REGION, SECRET_KEY, LocalAws

from .applying import JOB, Applying
from .cannedaws import CannedAws
from .commandline import CommandLine
from .logs import Log
from .replays import Account, on_account


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Return what runs commands, on a machine that knows of no realm."""
    for name in ("LAVA_REALM", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return CommandLine()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have commands sign their calls with the keys of the local server."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)


@pytest.fixture
def client_settings(aws: LocalAws, credentials: None) -> Aws:
    """Return how commands reach the local server."""
    return Aws(region=REGION, endpoint_url=aws.endpoint)


@pytest.fixture
def in_realm(client_settings: Aws, realm: Realm) -> tuple[str, ...]:
    """Return the options with which commands reach the realm."""
    endpoint = str(client_settings.endpoint_url)
    return ("--realm", realm.name, "--region", REGION, "--endpoint-url", endpoint)


@pytest.fixture
def canned(credentials: None) -> Iterator[CannedAws]:
    """An endpoint that answers what a test has it answer."""
    with CannedAws() as server:
        yield server


@pytest.fixture
def account(
    aws: LocalAws, realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Account]:
    """A realm with a canned Lambda, which commands reach by their environment."""
    with on_account(aws, realm, tmp_path, monkeypatch) as account:
        yield account


@pytest.fixture
def log(account: Account) -> Log:
    """The log of the function of the account."""
    return Log(account.aws, f"/aws/lambda/{account.function}")


@pytest.fixture
def applying(
    line: CommandLine, realm: Realm, aws: LocalAws, client_settings: Aws, tmp_path: Path
) -> Applying:
    realm.put("jobs", [JOB])
    return Applying(line, realm, aws.client("dynamodb"), aws.endpoint, tmp_path)
