"""Fixtures of the command line's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lava_s3trigger.cli.deployed.aws import Aws
from tools.local.server import ACCESS_KEY, REGION, SECRET_KEY

from .commandline import CommandLine

if TYPE_CHECKING:
    from tools.local.server import LocalAws


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Return what runs commands, on a machine that knows of no realm."""
    for name in ("LAVA_REALM", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return CommandLine(capsys)


@pytest.fixture
def client_settings(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Return how commands reach the local server."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    return Aws(region=REGION, endpoint_url=aws.endpoint)
