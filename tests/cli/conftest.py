"""Fixtures of the command line's tests."""

from __future__ import annotations

import pytest

from .commandline import CommandLine


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Return what runs commands, on a machine that knows of no realm."""
    for name in ("LAVA_REALM", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return CommandLine(capsys)
