"""Fixtures for tests of the whole function."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.function.harness import Harness, LogLines

if TYPE_CHECKING:
    from tests.endpoint import Endpoint


@pytest.fixture
def harness(endpoint: Endpoint) -> Harness:
    """A realm on the endpoint, and functions for it."""
    return Harness(endpoint)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> LogLines:
    """What the function logs from now on."""
    caplog.set_level(logging.DEBUG, logger="lava_s3trigger")
    return LogLines(caplog)
