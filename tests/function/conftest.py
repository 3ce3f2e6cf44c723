"""Fixtures for tests of the whole function."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws_in_memory import Endpoint
from tests.cli.agreement import Agreement
from tests.function.harness import Harness


@pytest.fixture(autouse=True)
def _unhurried(ample_time: None) -> None:
    """Give templates time in all tests of the function: none is about its bound."""


@pytest.fixture
def harness(
    endpoint: Endpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Iterator[Harness]:
    """A realm on the endpoint, and functions for it.

    What a test hands to functions is explained at its end, in a realm without faults and
    memory: `explain` must say what a new function sends then.
    """
    made = Harness(endpoint, caplog)
    yield made
    agreement = Agreement(endpoint, tmp_path)
    for payload, triggers, jobs in made.to_explain():
        agreement.check(payload, triggers, jobs)
