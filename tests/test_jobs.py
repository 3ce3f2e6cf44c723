"""Jobs: which entries can be dispatched, and for how long they are remembered."""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger.aws.clients import make_clients
from lava_s3trigger.aws.deadline import UNLIMITED, Deadline
from lava_s3trigger.cli.entries.dynamodb import attribute_of
from lava_s3trigger.errors import InvalidEntryError, OutOfTimeError, ServiceError, UserError
from lava_s3trigger.jobs import Job, JobTable, read_job
from tests.aws_in_memory import DENIED, READS_THROTTLED, RESET, SERVER_ERROR, CannedRealm, Endpoint

if TYPE_CHECKING:
    from tests.aws_in_memory import Fault, Item
    from tests.clock import Clock
    from tools.local.realm import Realm
    from tools.local.server import LocalAws

TTL: Final = 60.0
ENTRY: Final = {
    "job_id": "load",
    "type": "cmd",
    "worker": "core",
    "payload": "run.sh",
    "enabled": True,
}


def item_of(attributes: Item | None = None, *, without: str | None = None) -> Item:
    """Make an item of a job that can be dispatched, but for what is given."""
    plain = {name: attribute_of(value) for name, value in ENTRY.items() if name != without}
    return plain | (attributes or {})


@pytest.fixture
def canned(endpoint: Endpoint) -> CannedRealm:
    realm = endpoint.realm("demo")
    realm.jobs.put(ENTRY)
    return realm


@pytest.fixture
def table(canned: CannedRealm, endpoint: Endpoint, clock: Clock) -> JobTable:
    return table_of(endpoint, clock)


def table_of(endpoint: Endpoint, clock: Clock, ttl: float = TTL) -> JobTable:
    table = JobTable(endpoint.clients[0], "demo", ttl, clock)
    table.start(UNLIMITED)
    return table


class TestMemory:
    """A template can make ids of any length."""

    def test_ids_longer_than_a_key_are_not_kept(self, table: JobTable, endpoint: Endpoint) -> None:
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
        assert read_job(item_of()) == Job("load", "core", enabled=True)

    @pytest.mark.parametrize("field", ["job_id", "type", "worker", "payload"])
    def test_a_missing_required_field_is_named(self, field: str) -> None:
        with pytest.raises(InvalidEntryError, match=f"{field} is missing"):
            read_job(item_of(without=field))

    @pytest.mark.parametrize(
        "value",
        [{"S": "any"}, {"M": {}}, {"NULL": True}, {"B": "aGk="}, {"NS": ["1"]}],
        ids=["text", "map", "null", "binary", "set"],
    )
    @pytest.mark.parametrize("field", ["schedule", "x-note", "Enabled", "lava", "payload", "type"])
    def test_unknown_fields_and_the_payload_can_hold_anything(
        self, field: str, value: dict[str, Any]
    ) -> None:
        assert read_job(item_of({field: value})) == Job("load", "core", enabled=True)

    @pytest.mark.parametrize(
        "value",
        [{"S": ""}, {"N": "1"}, {"NULL": True}, {"L": [{"S": "core"}]}, {"B": "aGk="}],
        ids=["empty", "number", "null", "list", "binary"],
    )
    def test_an_invalid_worker_name_is_an_error(self, value: dict[str, Any]) -> None:
        with pytest.raises(InvalidEntryError, match="worker"):
            read_job(item_of({"worker": value}))


class TestEnabled:
    """A job runs if it is enabled; a template there is for the worker to evaluate."""

    @pytest.mark.parametrize(
        ("value", "is_enabled"),
        [
            pytest.param({"BOOL": True}, True, id="true"),
            pytest.param({"BOOL": False}, False, id="false"),
            pytest.param({"N": "1"}, True, id="1"),
            pytest.param({"N": "0"}, False, id="0"),
            pytest.param({"NULL": True}, False, id="null"),
            pytest.param({"S": "{{ realm == 'prod' }}"}, True, id="a template"),
            pytest.param({"S": "false"}, True, id="text that says false"),
        ],
    )
    def test_the_field_enables_a_job(self, value: dict[str, Any], is_enabled: bool) -> None:  # noqa: FBT001
        assert read_job(item_of({"enabled": value})).enabled is is_enabled

    def test_a_job_without_the_field_is_disabled(self) -> None:
        assert not read_job(item_of(without="enabled")).enabled

    @pytest.mark.parametrize(
        "value", [{"L": []}, {"M": {}}, {"N": "0.5"}, {"B": "aGk="}], ids=["l", "m", "0.5", "b"]
    )
    def test_any_other_value_is_an_error(self, value: dict[str, Any]) -> None:
        with pytest.raises(InvalidEntryError, match=r"^enabled"):
            read_job(item_of({"enabled": value}))


class TestGlobals:
    """Globals of a job's own must not begin with lava: workers trust those."""

    @pytest.mark.parametrize("name", ["lava", "lava_x", "LAVA", "Lava.y", "lAvA-z", "lavatory"])
    def test_a_global_that_begins_with_lava_is_an_error(self, name: str) -> None:
        with pytest.raises(InvalidEntryError, match=f"globals: '{name}'"):
            read_job(item_of({"globals": {"M": {"a": {"S": ""}, name: {"S": ""}}}}))

    def test_a_reserved_global_of_a_disabled_job_is_an_error(self) -> None:
        with pytest.raises(InvalidEntryError, match="lava_x"):
            read_job(item_of({"enabled": {"BOOL": False}, "globals": {"M": {"lava_x": {"S": ""}}}}))

    @pytest.mark.parametrize("name", ["lav", "a_lava", "_lava", " lava", "", "l\u0430va"])
    def test_other_names_are_allowed(self, name: str) -> None:
        assert read_job(item_of({"globals": {"M": {name: {"S": ""}}}})).enabled

    def test_nested_names_are_not_checked(self) -> None:
        inner = {"M": {"lava": {"S": ""}}}
        assert read_job(item_of({"globals": {"M": {"mine": inner}}})).enabled

    @pytest.mark.parametrize("value", [{"M": {}}, {"NULL": True}, {"S": "lava"}], ids=str)
    def test_globals_without_names_are_accepted(self, value: dict[str, Any]) -> None:
        assert read_job(item_of({"globals": value})).enabled


class TestLookingUp:
    """A job is looked up by its id."""

    def test_a_job_is_found(self, table: JobTable) -> None:
        assert table["load"] == Job("load", "core", enabled=True)

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
        canned.jobs.put(ENTRY | {"job_id": "x" * length})
        assert table["x" * length].enabled

    @pytest.mark.parametrize(
        ("attributes", "reason"),
        [
            ({"worker": {"N": "1"}}, "worker: 1"),
            ({"globals": {"M": {"lava_x": {"S": ""}}}}, "globals: 'lava_x'"),
            ({"enabled": {"L": []}}, r"enabled: \[\] is not a boolean"),
        ],
        ids=["worker", "globals", "enabled"],
    )
    def test_a_bad_entry_is_a_user_error(
        self, canned: CannedRealm, table: JobTable, attributes: Item, reason: str
    ) -> None:
        canned.jobs.put_item(item_of(attributes))
        with pytest.raises(UserError, match=rf"bad entry of job 'load': .*{reason}"):
            table["load"]

    def test_jobs_are_read_from_a_local_dynamodb(
        self, aws: LocalAws, realm: Realm, clock: Clock
    ) -> None:
        realm.put("jobs", [ENTRY, {"job_id": "bare"}])
        clients = make_clients(
            endpoint_url=aws.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        table = JobTable(clients[0], realm.name, TTL, clock)
        assert table["load"] == Job("load", "core", enabled=True)
        with pytest.raises(UserError, match="no job 'other'"):
            table["other"]
        with pytest.raises(UserError, match="type is missing"):
            table["bare"]
        for client in clients:
            client.close()


class TestCaching:
    """A job is cached for the TTL; a missing or broken one for the invocation."""

    def test_a_job_is_cached(
        self, canned: CannedRealm, endpoint: Endpoint, table: JobTable, clock: Clock
    ) -> None:
        assert table["load"].worker == "core"
        canned.jobs.put(ENTRY | {"worker": "web"})
        clock.now += 0.8 * TTL - 0.001  # expiry has jitter
        table.start(UNLIMITED)
        assert table["load"].worker == "core"
        assert endpoint.calls == {"GetItem": 1}
        clock.now += 0.2 * TTL + 0.001
        assert table["load"].worker == "web"
        assert endpoint.calls == {"GetItem": 2}

    def test_each_job_is_cached_separately(self, canned: CannedRealm, table: JobTable) -> None:
        canned.jobs.put(ENTRY | {"job_id": "other", "worker": "web"})
        for _ in range(2):
            assert (table["load"].worker, table["other"].worker) == ("core", "web")

    def test_with_a_ttl_of_0_a_job_is_cached_for_the_invocation(
        self, canned: CannedRealm, endpoint: Endpoint, clock: Clock
    ) -> None:
        table = table_of(endpoint, clock, ttl=0.0)
        for _ in range(3):
            clock.now += 1.0
            assert table["load"].worker == "core"
        assert endpoint.calls == {"GetItem": 1}
        canned.jobs.put(ENTRY | {"worker": "web"})
        table.start(UNLIMITED)
        assert table["load"].worker == "web"

    @pytest.mark.parametrize("ttl", [0.0, TTL])
    def test_a_missing_job_is_cached_for_the_invocation(
        self, canned: CannedRealm, endpoint: Endpoint, clock: Clock, ttl: float
    ) -> None:
        table = table_of(endpoint, clock, ttl)
        canned.jobs.remove("load")
        for _ in range(3):
            clock.now += TTL
            with pytest.raises(UserError, match="no job 'load'"):
                table["load"]
        assert endpoint.calls == {"GetItem": 1}
        canned.jobs.put(ENTRY)
        table.start(UNLIMITED)
        assert table["load"].enabled

    def test_a_bad_entry_is_cached_for_the_invocation(
        self, canned: CannedRealm, endpoint: Endpoint, table: JobTable
    ) -> None:
        canned.jobs.put(ENTRY | {"worker": 1})
        for _ in range(3):
            with pytest.raises(UserError, match="worker"):
                table["load"]
        assert endpoint.calls == {"GetItem": 1}
        canned.jobs.put(ENTRY)
        table.start(UNLIMITED)
        assert table["load"].enabled


class TestFailures:
    """A failed read is an error of AWS or of the deadline, and is not cached."""

    @pytest.fixture
    def waits(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """For how long botocore would wait before it tries again; it does not."""
        waits: list[float] = []
        monkeypatch.setattr(time, "sleep", waits.append)
        return waits

    @pytest.mark.parametrize(
        "fault", [READS_THROTTLED, SERVER_ERROR, RESET], ids=["throttled", "500", "reset"]
    )
    def test_a_read_is_tried_three_times(
        self, endpoint: Endpoint, table: JobTable, waits: list[float], fault: Fault
    ) -> None:
        endpoint.fail({("GetItem", None): fault})
        with pytest.raises(ServiceError, match=r"reading lava\.demo\.jobs"):
            table["load"]
        assert endpoint.calls == {"GetItem": 3}
        assert len(waits) == 2
        endpoint.fail({("GetItem", 4): fault, ("GetItem", 5): fault})
        assert table["load"].enabled

    @pytest.mark.usefixtures("canned")
    def test_a_denied_read_is_not_retried(self, endpoint: Endpoint, table: JobTable) -> None:
        endpoint.fail({("GetItem", None): DENIED})
        with pytest.raises(ServiceError, match="AccessDenied"):
            table["load"]
        assert endpoint.calls == {"GetItem": 1}
        endpoint.fail({})
        assert table["load"].enabled

    def test_nothing_is_read_out_of_time(
        self, canned: CannedRealm, endpoint: Endpoint, table: JobTable
    ) -> None:
        canned.jobs.put(ENTRY | {"job_id": "known"})
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
