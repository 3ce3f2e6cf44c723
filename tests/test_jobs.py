"""Jobs: which entries can be dispatched, and for how long they are remembered."""

import tracemalloc
from typing import Any, Final

import pytest

from lava_s3trigger.aws.deadline import UNLIMITED, Deadline
from lava_s3trigger.errors import InvalidEntryError, OutOfTimeError, UserError
from lava_s3trigger.jobs import Job, JobTable, read_job
from tests.aws_in_memory import Endpoint, Item
from tests.build import item, job_entry
from tests.clock import Clock

TTL: Final = 60.0


class Lookup:
    """Lookups in a table of jobs on the endpoint, which has the job load."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self.endpoint, self.clock = endpoint, clock
        self.jobs = endpoint.realm("demo").jobs
        self.jobs.put(job_entry())
        self.table = self.new_table()

    def new_table(self, ttl: float = TTL) -> JobTable:
        table = JobTable(self.endpoint.clients[0], "demo", ttl, self.clock)
        table.start(UNLIMITED)
        return table


@pytest.fixture
def lookup(endpoint: Endpoint, clock: Clock) -> Lookup:
    return Lookup(endpoint, clock)


LOAD: Final = Job("load", "core", enabled=True)


def read(attributes: Item | None = None, **fields: Any) -> Job:
    """Read the entry of a job: fields by their plain values, and attributes."""
    return read_job(item(job_entry(**fields), attributes))


def test_ids_longer_than_a_key_are_not_kept(lookup: Lookup) -> None:
    tracemalloc.start()
    try:
        for n in range(50):
            with pytest.raises(UserError, match="no job 'xxx"):
                lookup.table["x" * 100_000 + str(n)]
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert used < 500_000
    assert not lookup.endpoint.calls


@pytest.mark.parametrize("field", ["schedule", "x-note", "Enabled", "lava", "payload", "type"])
def test_unknown_fields_and_the_payload_can_hold_anything(field: str) -> None:
    values: list[Any] = [{"S": "any"}, {"M": {}}, {"NULL": True}, {"B": "aGk="}, {"NS": ["1"]}]
    for value in values:
        assert read({field: value}) == LOAD, value


@pytest.mark.parametrize("name", ["lava", "lava_x", "LAVA", "Lava.y", "lAvA-z", "lavatory"])
@pytest.mark.parametrize("enabled", [True, False])
def test_a_global_that_begins_with_lava_is_an_error(name: str, *, enabled: bool) -> None:
    with pytest.raises(InvalidEntryError, match=f"globals: '{name}'"):
        read(globals={"a": "", name: ""}, enabled=enabled)


def test_a_field_enables_a_job() -> None:
    """A template there is for the worker to evaluate."""
    template = {"S": "{{ realm == 'prod' }}"}
    assert not read(enabled=None).enabled
    for value in ({"BOOL": False}, {"N": "0"}, {"NULL": True}):
        assert read({"enabled": value}).enabled is False, value
    for value in ({"BOOL": True}, {"N": "1"}, template, {"S": "false"}):
        assert read({"enabled": value}).enabled is True, value


def test_other_globals_are_accepted() -> None:
    """Workers trust globals whose names begin with lava: a job must not have its own."""
    for name in ("lav", "a_lava", "_lava", " lava", "l\u0430va"):
        assert read(globals={name: ""}).enabled
    accepted: list[Any] = [{"mine": {"lava": ""}}, {}, "lava"]
    for value in accepted:
        assert read(globals=value).enabled
    assert read({"globals": {"NULL": True}}).enabled


@pytest.mark.parametrize("job_id", ["other", "Load", "load ", "\u00e9/\U0001f980", "\0"])
def test_a_missing_job_is_a_user_error_that_names_it(lookup: Lookup, job_id: str) -> None:
    with pytest.raises(UserError, match=r"no job .* in lava\.demo\.jobs") as error:
        lookup.table[job_id]
    assert ascii(job_id) in str(error.value)


@pytest.mark.parametrize(
    "job_id",
    ["", "x" * 2049, "\u20ac" * 683, "\ud800"],
    ids=["empty", "2049 bytes", "2049 bytes in 683 characters", "no UTF-8"],
)
def test_an_impossible_job_id_is_not_looked_up(lookup: Lookup, job_id: str) -> None:
    with pytest.raises(UserError, match="no job"):
        lookup.table[job_id]
    assert not lookup.endpoint.calls


def test_the_shortest_and_the_longest_job_id_are_looked_up(lookup: Lookup) -> None:
    for job_id in ("x", "x" * 2048):
        lookup.jobs.put(job_entry(job_id))
        assert lookup.table[job_id].enabled


def test_a_job_is_cached(lookup: Lookup) -> None:
    assert lookup.table["load"].worker == "core"
    lookup.jobs.put(job_entry(worker="web"))
    lookup.clock.now += 0.8 * TTL - 0.001  # expiry has jitter
    lookup.table.start(UNLIMITED)
    assert lookup.table["load"].worker == "core"
    assert lookup.endpoint.calls == {"GetItem": 1}
    lookup.clock.now += 0.2 * TTL + 0.001
    assert lookup.table["load"].worker == "web"
    assert lookup.endpoint.calls == {"GetItem": 2}


@pytest.mark.parametrize("ttl", [0.0, TTL])
@pytest.mark.parametrize("is_there", [False, True], ids=["missing", "bad"])
def test_a_missing_or_bad_job_is_cached_for_the_invocation(
    lookup: Lookup, ttl: float, *, is_there: bool
) -> None:
    table = lookup.new_table(ttl)
    lookup.jobs.remove("load")
    said = "no job 'load'"
    if is_there:
        lookup.jobs.put(job_entry(worker=1))
        said = "bad entry of job 'load': .*worker: 1"
    for _ in range(3):
        lookup.clock.now += TTL
        with pytest.raises(UserError, match=said):
            table["load"]
    assert lookup.endpoint.calls == {"GetItem": 1}
    lookup.jobs.put(job_entry())
    table.start(UNLIMITED)
    assert table["load"].enabled


def test_nothing_is_read_out_of_time(lookup: Lookup) -> None:
    lookup.jobs.put(job_entry("known"))
    left = [300.0]
    lookup.table.start(Deadline(lambda: left[0]))
    assert lookup.table["known"].enabled
    left[0] = 1.0
    with pytest.raises(OutOfTimeError, match=r"reading lava\.demo\.jobs"):
        lookup.table["load"]
    assert lookup.table["known"].enabled
    assert lookup.endpoint.calls == {"GetItem": 1}
    lookup.table.start(UNLIMITED)
    assert lookup.table["load"].enabled
