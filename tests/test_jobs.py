"""Jobs: which entries can be dispatched, and for how long they are remembered."""

import tracemalloc
from typing import Any, Final

import pytest

from lava_s3trigger.aws.deadline import UNLIMITED, Deadline
from lava_s3trigger.errors import InvalidEntryError, OutOfTimeError, UserError
from lava_s3trigger.jobs import Job, JobTable, read_job
from tests.aws_in_memory import CannedRealm, Endpoint, Item
from tests.build import item, job_entry
from tests.clock import Clock

TTL: Final = 60.0


@pytest.fixture
def canned(endpoint: Endpoint) -> CannedRealm:
    realm = endpoint.realm("demo")
    realm.jobs.put(job_entry())
    return realm


@pytest.fixture
def table(canned: CannedRealm, endpoint: Endpoint, clock: Clock) -> JobTable:
    return table_of(endpoint, clock)


def table_of(endpoint: Endpoint, clock: Clock, ttl: float = TTL) -> JobTable:
    table = JobTable(endpoint.clients[0], "demo", ttl, clock)
    table.start(UNLIMITED)
    return table


LOAD: Final = Job("load", "core", enabled=True)


def read(attributes: Item | None = None, **fields: Any) -> Job:
    """Read the entry of a job: fields by their plain values, and attributes."""
    return read_job(item(job_entry(**fields), attributes))


def test_ids_longer_than_a_key_are_not_kept(table: JobTable, endpoint: Endpoint) -> None:
    tracemalloc.start()
    try:
        for n in range(50):
            with pytest.raises(UserError, match="no job 'xxx"):
                table["x" * 100_000 + str(n)]
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert used < 500_000
    assert not endpoint.calls


class TestEntries:
    """An entry is usable if a worker could run it."""

    def test_required_fields_suffice(self) -> None:
        assert read() == LOAD

    @pytest.mark.parametrize(
        "value",
        [{"S": "any"}, {"M": {}}, {"NULL": True}, {"B": "aGk="}, {"NS": ["1"]}],
        ids=["text", "map", "null", "binary", "set"],
    )
    @pytest.mark.parametrize("field", ["schedule", "x-note", "Enabled", "lava", "payload", "type"])
    def test_unknown_fields_and_the_payload_can_hold_anything(
        self, field: str, value: dict[str, Any]
    ) -> None:
        assert read({field: value}) == LOAD

    @pytest.mark.parametrize("name", ["lava", "lava_x", "LAVA", "Lava.y", "lAvA-z", "lavatory"])
    @pytest.mark.parametrize("enabled", [True, False])
    def test_a_global_that_begins_with_lava_is_an_error(self, name: str, *, enabled: bool) -> None:
        with pytest.raises(InvalidEntryError, match=f"globals: '{name}'"):
            read(globals={"a": "", name: ""}, enabled=enabled)

    @pytest.mark.parametrize("field", ["job_id", "type", "worker", "payload"])
    def test_a_missing_required_field_is_named(self, field: str) -> None:
        attributes = item(job_entry())
        del attributes[field]
        with pytest.raises(InvalidEntryError, match=f"{field} is missing"):
            read_job(attributes)

    @pytest.mark.parametrize(
        ("value", "is_enabled"),
        [
            ({"BOOL": True}, True),
            ({"BOOL": False}, False),
            ({"N": "1"}, True),
            ({"N": "0"}, False),
            ({"NULL": True}, False),
            ({"S": "{{ realm == 'prod' }}"}, True),
            ({"S": "false"}, True),
        ],
        ids=str,
    )
    def test_a_field_enables_a_job(self, value: dict[str, Any], is_enabled: bool) -> None:  # noqa: FBT001
        """A template there is for the worker to evaluate."""
        assert read({"enabled": value}).enabled is is_enabled

    def test_a_job_without_the_field_is_disabled(self) -> None:
        assert not read(enabled=None).enabled

    @pytest.mark.parametrize(
        "value",
        [
            *(
                {"M": {name: {"S": ""}}}
                for name in ("lav", "a_lava", "_lava", " lava", "l\u0430va")
            ),
            {"M": {"mine": {"M": {"lava": {"S": ""}}}}},
            *({"M": {}}, {"NULL": True}, {"S": "lava"}),
        ],
        ids=str,
    )
    def test_other_globals_are_accepted(self, value: dict[str, Any]) -> None:
        """Workers trust globals whose names begin with lava: a job must not have its own."""
        assert read({"globals": value}).enabled


class TestLookingUp:
    """A job is looked up by its id."""

    @pytest.mark.parametrize("job_id", ["other", "Load", "load ", "\u00e9/\U0001f980", "\0"])
    def test_a_missing_job_is_a_user_error_that_names_it(
        self, table: JobTable, job_id: str
    ) -> None:
        with pytest.raises(UserError, match=r"no job .* in lava\.demo\.jobs") as error:
            table[job_id]
        assert ascii(job_id) in str(error.value)

    @pytest.mark.parametrize(
        "job_id",
        ["", "x" * 2049, "\u20ac" * 683, "\ud800"],
        ids=["empty", "2049 bytes", "2049 bytes in 683 characters", "no UTF-8"],
    )
    def test_an_impossible_job_id_is_not_looked_up(
        self, endpoint: Endpoint, table: JobTable, job_id: str
    ) -> None:
        with pytest.raises(UserError, match="no job"):
            table[job_id]
        assert not endpoint.calls

    @pytest.mark.parametrize("length", [1, 2048])
    def test_the_shortest_and_the_longest_job_id_are_looked_up(
        self, canned: CannedRealm, table: JobTable, length: int
    ) -> None:
        canned.jobs.put(job_entry("x" * length))
        assert table["x" * length].enabled

    def test_a_bad_entry_is_a_user_error(self, canned: CannedRealm, table: JobTable) -> None:
        canned.jobs.put(job_entry(worker=1))
        with pytest.raises(UserError, match=r"bad entry of job 'load': .*worker: 1"):
            table["load"]


class TestCaching:
    """A job is cached for the TTL; a missing or broken one for the invocation."""

    def test_a_job_is_cached(
        self, canned: CannedRealm, endpoint: Endpoint, table: JobTable, clock: Clock
    ) -> None:
        assert table["load"].worker == "core"
        canned.jobs.put(job_entry(worker="web"))
        clock.now += 0.8 * TTL - 0.001  # expiry has jitter
        table.start(UNLIMITED)
        assert table["load"].worker == "core"
        assert endpoint.calls == {"GetItem": 1}
        clock.now += 0.2 * TTL + 0.001
        assert table["load"].worker == "web"
        assert endpoint.calls == {"GetItem": 2}

    @pytest.mark.parametrize("ttl", [0.0, TTL])
    @pytest.mark.parametrize("is_there", [False, True], ids=["missing", "bad"])
    def test_a_missing_or_bad_job_is_cached_for_the_invocation(
        self, canned: CannedRealm, endpoint: Endpoint, clock: Clock, ttl: float, *, is_there: bool
    ) -> None:
        table = table_of(endpoint, clock, ttl)
        canned.jobs.remove("load")
        if is_there:
            canned.jobs.put(job_entry(worker=1))
        for _ in range(3):
            clock.now += TTL
            with pytest.raises(UserError, match="worker: 1" if is_there else "no job 'load'"):
                table["load"]
        assert endpoint.calls == {"GetItem": 1}
        canned.jobs.put(job_entry())
        table.start(UNLIMITED)
        assert table["load"].enabled


def test_nothing_is_read_out_of_time(
    canned: CannedRealm, endpoint: Endpoint, table: JobTable
) -> None:
    canned.jobs.put(job_entry("known"))
    left = [300.0]
    table.start(Deadline(lambda: left[0]))
    assert table["known"].enabled
    left[0] = 1.0
    with pytest.raises(OutOfTimeError, match=r"reading lava\.demo\.jobs"):
        table["load"]
    assert table["known"].enabled
    assert endpoint.calls == {"GetItem": 1}
    table.start(UNLIMITED)
    assert table["load"].enabled
