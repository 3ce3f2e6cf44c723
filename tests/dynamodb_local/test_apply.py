"""`apply` on DynamoDB Local: values are written as they are, and conditions hold for them."""

import itertools
import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings

from lava_s3trigger.cli.apply.difference import Change
from lava_s3trigger.cli.apply.write import Table, condition
from tests.build import item
from tests.cli.applying import SET, Applying, entry, items, write_and_change, written
from tests.cli.commandline import CommandLine
from tools.local.realm import Realm

from .conftest import Database
from .server import DynamoDbLocal

pytestmark = pytest.mark.slow("needs DynamoDB Local")

_NUMBERS: Final = itertools.count(1)


@pytest.fixture
def table(dynamodb_local: DynamoDbLocal) -> str:
    """The s3triggers table of a realm, on DynamoDB Local only."""
    realm = Realm(dynamodb_local, f"apply{next(_NUMBERS)}")  # type: ignore[arg-type]
    realm.make_triggers_table()
    return f"lava.{realm.name}.s3triggers"


@given(found=items())
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_an_item_is_written_and_compared_as_it_is(
    dynamodb_local: DynamoDbLocal, table: str, found: dict[str, Any]
) -> None:
    write_and_change(dynamodb_local.client("dynamodb"), table, found)


def test_the_largest_condition_is_accepted(dynamodb_local: DynamoDbLocal, table: str) -> None:
    client = dynamodb_local.client("dynamodb")
    count = 0
    while not condition(item(entry("t") | {f"x-{n}": n for n in range(count + 1)})).is_too_large:
        count += 1
    assert count > 100
    before = item(entry("t") | {f"x-{n}": n for n in range(count)})
    before |= {"x-0": {"S": "x" * 350_000}}  # the size of values does not count
    assert Table(client, table).write(Change("t", None, before)) is None

    assert Table(client, table).write(Change("t", before, item(entry("t")))) is None


def test_an_item_that_dynamodb_refuses_is_left(dynamodb_local: DynamoDbLocal, table: str) -> None:
    too_large = item(entry("t", parameters={"text": "x" * 410_000}))

    reason = Table(dynamodb_local.client("dynamodb"), table).write(Change("t", None, too_large))

    assert reason
    assert reason.startswith("DynamoDB refuses it: Item size")


@pytest.fixture
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.mark.usefixtures("_environment")
def test_entries_are_applied_and_undone(realm: Realm, database: Database, tmp_path: Path) -> None:
    realm.put("jobs", [{"job_id": "load", "type": "exe", "worker": "core", "payload": "x"}])
    applying = Applying(
        CommandLine(), realm, database.client("dynamodb"), database.endpoint, tmp_path
    )
    applying.write(*[entry(f"t{number}", prefix=f"in/{number}") for number in range(20)])
    assert applying.apply().status == 0
    before = applying.items()
    applying.write(entry("new"), *[entry(f"t{number}", delay=number) for number in range(1, 20)])

    ran = applying.apply("--prune", "--format", "json")

    found = json.loads(ran.output)
    assert (ran.status, found["outcome"], len(found["changes"])) == (0, "applied", 21)
    assert applying.items()["t7"] == written(entry("t7", delay=7))
    applying.run("--undo", found["saved"], "--yes")
    assert applying.items() == before
    assert all(each[1][SET] == ("S", "orders") for each in before.values())
