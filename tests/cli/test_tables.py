"""Entries in memory answer as the tables do."""

import time
from typing import Any

import pytest

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.entries.dynamodb import attribute_of
from lava_s3trigger.cli.entries.load import Entry, Kind, read_table
from lava_s3trigger.cli.entries.memory import MemoryJobs, MemoryTriggers, UnknownJobs
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.errors import UserError
from lava_s3trigger.jobs import JobTable
from lava_s3trigger.triggers import TriggerTable
from tests.build import item
from tools.local.realm import Realm
from tools.local.server import LocalAws


def entry(kind: Kind, **fields: Any) -> Entry:
    return Entry(kind, item(fields), "here")


def trigger(trigger_id: str, prefix: Any, **fields: Any) -> Entry:
    return entry("trigger", trigger_id=trigger_id, bucket="b", prefix=prefix, **fields)


TRIGGERS = [
    trigger("deep", "a/b", enabled=True, job_id="j"),
    trigger("off", "a/c", enabled=False),
    trigger("broken", "a", enabled=True),
    trigger("all", "*", enabled=True, job_id=["j", "k"]),
]
JOBS = [
    entry("job", job_id="j", type="exe", worker="core", payload="x", enabled=True),
    entry("job", job_id="bad", type="exe", worker=1, payload="x"),
]


def test_triggers_match_as_in_the_table(realm: Realm, aws: LocalAws, client_settings: Aws) -> None:
    for each in TRIGGERS:
        realm.put_item("s3triggers", each.item)
    table = TriggerTable(aws.client("dynamodb"), realm.name, 0, 900, time.monotonic)
    memory = MemoryTriggers(read_table(client_settings, realm.name, "trigger"))

    for key in ("a/b/c", "a/b", "a/c/x", "a/x", "x", "/x", "", "a/b/c/d/e", "ab"):
        walks = memory.matching("b", key), table.matching("b", key)
        found, expected = (
            (walk.prefixes, [each.trigger_id for each in walk.triggers]) for walk in walks
        )
        assert found == expected, key
    assert not memory.matching("other", "a/b/c").triggers


def test_jobs_are_those_of_the_table(realm: Realm, aws: LocalAws) -> None:
    for each in JOBS:
        realm.put_item("jobs", each.item)
    table = JobTable(aws.client("dynamodb"), realm.name, 0, time.monotonic)
    memory = MemoryJobs(JOBS, f"lava.{realm.name}.jobs")

    assert memory["j"] == table["j"]
    for job_id in ("bad", "none"):
        with pytest.raises(UserError) as expected:
            table[job_id]
        with pytest.raises(UserError) as found:
            memory[job_id]
        assert (str(found.value), found.value.kind) == (str(expected.value), expected.value.kind)


def test_a_later_entry_replaces_an_earlier_one_of_its_id() -> None:
    first, second = trigger("t", "a", enabled=True, job_id="j"), trigger("t", "b", enabled=False)

    memory = MemoryTriggers([first, second])

    assert memory.replaced == [first]
    assert list(memory) == [second]
    assert not memory.matching("b", "a/x").triggers


@pytest.mark.parametrize("prefix", ["", 1, None])
def test_what_cannot_be_in_the_index_matches_nothing(prefix: Any) -> None:
    assert list(MemoryTriggers([trigger("t", prefix, enabled=True)])) == []


def test_an_unknown_job_is_there_and_enabled_if_a_job_can_have_its_id() -> None:
    assert UnknownJobs()["any"].enabled
    for job_id in ("", "é" * 1025):
        with pytest.raises(UserError):
            UnknownJobs()[job_id]


def test_a_plain_value_is_an_attribute() -> None:
    value = {"a": [1, 1.5, True, None, "x"], "b": {}}

    assert attribute_of(value) == {
        "M": {
            "a": {"L": [{"N": "1"}, {"N": "1.5"}, {"BOOL": True}, {"NULL": True}, {"S": "x"}]},
            "b": {"M": {}},
        }
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "nan: DynamoDB cannot hold this number"),
        (1e126, "cannot hold this number"),
        ([object], "has no type for <class 'object'>"),
    ],
)
def test_a_value_that_dynamodb_cannot_hold_is_refused(value: object, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        attribute_of(value)
