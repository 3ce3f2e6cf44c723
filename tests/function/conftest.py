"""Fixtures for tests of the whole function."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.cli.agreement import Agreement
from tests.function.harness import Harness, LogLines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.aws_in_memory import Endpoint


@pytest.fixture
def harness(endpoint: Endpoint, tmp_path: Path) -> Iterator[Harness]:
    """A realm on the endpoint, and functions for it.

    What a test hands to functions is explained at its end, in a realm without faults and
    memory: `explain` must say what a new function sends then.
    """
    made = Harness(endpoint)
    yield made
    agreement = Agreement(endpoint, tmp_path)
    for payload, triggers, jobs in made.to_explain():
        agreement.check(payload, triggers, jobs)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> LogLines:
    """What the function logs from now on."""
    caplog.set_level(logging.DEBUG, logger="lava_s3trigger")
    return LogLines(caplog)
