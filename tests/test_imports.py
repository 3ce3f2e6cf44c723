"""Which modules a cold start imports: each costs time."""

import json
import sys
from typing import Final

import pytest

from tests.processes import run_python

MAX_MODULES: Final = 360
"""Of Python and of others; other versions can load a few more than Python 3.11 and 3.13."""
MAX_THIRD_PARTY_MODULES: Final = 147
"""Another one needs a reason."""


@pytest.fixture(scope="module")
def modules() -> frozenset[str]:
    code = (
        "import json, sys, lava_s3trigger.handler as it; it._function();"
        "print(json.dumps(sorted(sys.modules)))"
    )
    return frozenset(json.loads(run_python("-c", code).stdout))


NEVER: Final = frozenset(
    """
    awscrt boto3 click hypothesis pytest requests rich ruamel s3transfer
    asyncio multiprocessing unittest
    """.split()  # noqa: SIM905
)
NOT_AT_FIRST: Final = {"cli", "dedup.table", "s3batch", "manifest", "aws.objects"}


def test_unused_modules_are_not_imported(modules: frozenset[str]) -> None:
    assert not {name.partition(".")[0] for name in modules} & NEVER
    assert not {f"lava_s3trigger.{name}" for name in NOT_AT_FIRST} & modules


def test_the_number_of_modules_does_not_grow(modules: frozenset[str]) -> None:
    known = {*sys.stdlib_module_names, "__main__", "lava_s3trigger"}
    third_party = [name for name in modules if name.partition(".")[0] not in known]
    assert len(third_party) <= MAX_THIRD_PARTY_MODULES
    # The function's own modules are those of the picture of the layers.
    others = [name for name in modules if name.partition(".")[0] != "lava_s3trigger"]
    assert len(others) <= MAX_MODULES
