"""How `apply` writes: within capacity, on conditions, and what it reads."""

import json
import socket
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings

from lava_s3trigger.cli.apply.difference import Change, is_equal
from lava_s3trigger.cli.apply.write import Capacity, Table, condition, item_bytes
from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.errors import CommandError
from tests.aws_in_memory import DENIED, LOST_REPLY, REGION, SERVER_ERROR, Endpoint
from tests.build import item
from tests.clock import Clock
from tests.examples import examples
from tools.local.realm import Realm
from tools.local.server import LocalAws

from .applying import SET, entry, items, write_and_change
from .commandline import CommandLine
from .writes import WriteUnits, add_writes

pytestmark = pytest.mark.usefixtures("credentials")


class Setting:
    """A table of the endpoint, with a clock that sleeping moves."""

    def __init__(self, endpoint: Endpoint, units: int = 0, free: float | None = None) -> None:
        self.endpoint, self.clock = endpoint, Clock()
        self.units = WriteUnits(units, self.clock, free) if units else None
        add_writes(endpoint, self.units)
        self.items = endpoint.realm("demo").triggers.items
        self.table = Table(client(endpoint.url), "lava.demo.s3triggers", self.clock, self.sleep)
        self.table.describe()
        endpoint.forget_calls()

    def sleep(self, seconds: float) -> None:
        self.clock.now += seconds

    def write(self, number: int) -> list[Change]:
        """Write new entries, and forget the calls."""
        changes = [new(f"t{n}", prefix=f"in/{n}") for n in range(number)]
        for each in changes:
            assert self.table.write(each) is None
        self.endpoint.forget_calls()
        return changes


def client(url: str) -> Any:
    from botocore.config import Config  # noqa: PLC0415 - as the command does

    config = Config(retries={"total_max_attempts": 1})
    return Aws(region=REGION, endpoint_url=url).client("dynamodb", config)


def new(trigger_id: str, **fields: Any) -> Change:
    return Change(trigger_id, None, item(entry(trigger_id, **fields)))


class TestCapacity:
    """Writes stay within the capacity of the table and its index, and wait where it is less."""

    def test_no_write_is_throttled_where_the_table_has_its_units(self, endpoint: Endpoint) -> None:
        setting = Setting(endpoint, units=1)
        start = setting.clock.now

        changes = setting.write(200)

        assert len(setting.items) == 200
        assert setting.units
        assert setting.units.throttled == 0
        assert setting.clock.now - start == pytest.approx(199)
        assert setting.table.capacity.total_seconds(changes) == 200

    def test_throttling_is_waited_for(
        self, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
    ) -> None:
        setting = Setting(endpoint, units=1, free=0.3)

        setting.write(200)

        assert len(setting.items) == 200
        assert setting.units
        assert setting.units.throttled > 0
        assert capsys.readouterr().err.count("DynamoDB throttles the table") == 1

    @pytest.mark.parametrize(
        ("before", "after", "seconds"),
        [
            (None, {}, 1),
            ({}, None, 1),
            ({}, {"delay": 1}, 1),
            ({}, {"prefix": "other"}, 2),
            (None, {"parameters": {"text": "x" * 1024}}, 2),
            ({"parameters": {"text": "x" * 2900}}, {}, 3),
            ({"parameters": {"text": "x" * 2900}}, {"prefix": "other"}, 4),
        ],
        ids=["new", "deleted", "changed", "moved", "large", "was-large", "large-moved"],
    )
    def test_the_units_of_a_write(
        self, before: dict[str, Any] | None, after: dict[str, Any] | None, seconds: int
    ) -> None:
        one, other = (None if each is None else item(entry("t") | each) for each in (before, after))
        change = Change("t", one, other)

        assert Capacity(1, 1).seconds(change) == seconds
        assert Capacity(10, 1).seconds(change) == seconds
        assert Capacity().seconds(change) == 0

    def test_the_size_of_an_item(self) -> None:
        values: list[tuple[dict[str, Any], int]] = [
            ({"S": "\u00e9"}, 2),
            ({"N": "-12.345"}, 4),
            ({"B": b"abc"}, 3),
            ({"BOOL": True}, 1),
            ({"NULL": True}, 1),
            ({"L": [{"S": "ab"}]}, 6),
            ({"M": {"k": {"S": "ab"}}}, 7),
            ({"SS": ["ab", "c"]}, 3),
            ({"NS": ["1"]}, 2),
        ]
        assert [item_bytes({"n": value}) - 1 for value, _ in values] == [size for _, size in values]


CHANGED: Final = "it was changed since it was read: '{}'"


class TestConditions:
    """An entry is written only if it is still as it was read."""

    @pytest.mark.parametrize(
        ("now", "said"),
        [
            ({"delay": 9}, CHANGED.format("delay")),
            ({"x-ticket": "T"}, CHANGED.format("x-ticket")),
            ({"if_fnmatch": "*"}, CHANGED.format("if_fnmatch")),
            ({SET: "theirs"}, CHANGED.format(SET)),
            (None, "it was deleted since it was read"),
        ],
        ids=["a-field", "a-custom-field", "a-field-more", "the-set", "deleted"],
    )
    @pytest.mark.parametrize("is_deletion", [False, True], ids=["change", "deletion"])
    def test_an_entry_that_changed_is_left(
        self, endpoint: Endpoint, now: dict[str, Any] | None, said: str, *, is_deletion: bool
    ) -> None:
        setting = Setting(endpoint)
        read = item(entry("t") | {"x-ticket": "S"})
        if now is not None:
            setting.items["t",] = read | item(now)
        found = dict(setting.items)

        after = None if is_deletion else item(entry("t", job_id="other"))
        is_gone = is_deletion and now is None  # already
        assert setting.table.write(Change("t", read, after)) == (None if is_gone else said)
        assert setting.items == found

    def test_an_entry_that_someone_made_meanwhile_is_left(self, endpoint: Endpoint) -> None:
        setting = Setting(endpoint)
        setting.items["t",] = item(entry("t", delay=1))

        reason = setting.table.write(new("t"))

        assert reason == "an entry with this trigger_id was made since the table was read"
        assert setting.items == {("t",): item(entry("t", delay=1))}

    def test_a_custom_field_added_meanwhile_is_not_noticed(self, endpoint: Endpoint) -> None:
        """The docs name this limit."""
        setting = Setting(endpoint)
        read = item(entry("t"))
        setting.items["t",] = read | item({"x-new": 1})

        assert setting.table.write(Change("t", read, item(entry("t", delay=1)))) is None
        assert setting.items == {("t",): item(entry("t", delay=1))}

    def test_an_entry_with_too_many_fields_is_known_before_it_is_written(self) -> None:
        few, many = (
            item(entry("t") | {f"x-{number}": 1 for number in range(count)}) for count in (110, 150)
        )

        assert not condition(few).is_too_large
        assert condition(many).is_too_large
        large = item(entry("t", parameters={"text": "x" * 300_000}))
        assert not condition(large).is_too_large  # the size of values does not count

    def test_it_names_each_field_of_the_function(self) -> None:
        found = condition(item(entry("t")))

        absent = found.text.count("attribute_not_exists")
        assert absent + 7 == len(found.names)
        some = {"delay", "globals", "if_fnmatch", "if_not_fnmatch", "jinja", SET}
        assert some <= {*found.names.values()}


class TestFailures:
    """A call that fails is tried again, where that may help."""

    def test_a_lost_reply_is_no_conflict(self, endpoint: Endpoint) -> None:
        setting = Setting(endpoint)
        endpoint.fail({("PutItem", 1): LOST_REPLY})

        assert setting.table.write(new("t")) is None
        assert endpoint.calls == {"PutItem": 2, "GetItem": 1}
        assert setting.items == {("t",): item(entry("t"))}

    def test_a_lost_reply_of_a_deletion_is_no_conflict(self, endpoint: Endpoint) -> None:
        setting = Setting(endpoint)
        setting.items["t",] = item(entry("t"))
        endpoint.fail({("DeleteItem", 1): LOST_REPLY})

        assert setting.table.write(Change("t", item(entry("t")), None)) is None
        assert setting.items == {}

    def test_an_error_of_the_server_is_retried_some_times(self, endpoint: Endpoint) -> None:
        setting = Setting(endpoint)
        endpoint.fail({("PutItem", 1): SERVER_ERROR, ("PutItem", 2): SERVER_ERROR})
        assert setting.table.write(new("t")) is None

        endpoint.fail({("PutItem", None): SERVER_ERROR})
        with pytest.raises(CommandError, match="InternalServerError"):
            setting.table.write(new("u"))
        assert endpoint.calls["PutItem"] == 3 + 5

    def test_a_server_that_is_not_there_is_tried_some_times(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        waits: list[float] = []
        table = Table(client(f"http://127.0.0.1:{port}"), "t", sleep=waits.append)

        with pytest.raises(CommandError, match="AWS cannot be reached"):
            table.describe()
        assert len(waits) == 4

    def test_a_refusal_ends_it(self, endpoint: Endpoint) -> None:
        setting = Setting(endpoint)
        endpoint.fail({("PutItem", None): DENIED})

        with pytest.raises(CommandError, match="AWS refused PutItem: AccessDeniedException"):
            setting.table.write(new("t"))


class TestReadBack:
    """What was written is read from the table and from the index."""

    def test_what_someone_else_wrote_is_named(self, endpoint: Endpoint) -> None:
        setting = Setting(endpoint)
        changes = setting.write(2)
        setting.items["t1",] = item(entry("t1", delay=1))

        [(trigger_id, reason)] = setting.table.read_back(changes)

        assert trigger_id == "t1"
        assert "someone else wrote it" in reason

    def test_an_index_that_is_late_is_waited_for_and_named(self, endpoint: Endpoint) -> None:
        setting = Setting(endpoint)
        moved = Change("t", item(entry("t")), item(entry("t", prefix="other")))
        setting.items["t",] = moved.before or {}
        setting.table.write(moved)
        late = endpoint.operations["Query"]

        def query(found: Endpoint, request: Any) -> Any:
            return {"Items": []} if setting.clock.now < until else late(found, request)

        endpoint.operations["Query"] = query
        until = setting.clock.now + 5
        assert list(setting.table.read_back([moved])) == []
        assert setting.clock.now >= until

        until = setting.clock.now + 1000
        [(_, reason)] = setting.table.read_back([moved])
        assert reason == "the index does not show it after 30 s"


class TestCalls:
    """What a run costs."""

    def test_many_entries_are_read_back_together(self, endpoint: Endpoint) -> None:
        setting = Setting(endpoint)
        changes = setting.write(200)
        setting.items["t7",] = item(entry("t7", prefix="in/7", delay=1))

        assert [each[0] for each in setting.table.read_back(changes)] == ["t7"]
        assert endpoint.calls == {"Scan": 1, "Query": 1}

    def test_few_entries_are_read_back_singly(self, endpoint: Endpoint) -> None:
        setting = Setting(endpoint)

        assert list(setting.table.read_back(setting.write(3))) == []
        assert endpoint.calls == {"GetItem": 3, "Query": 3}

    def test_nothing_to_do_is_one_read_of_the_table(
        self, endpoint: Endpoint, line: CommandLine, tmp_path: Path
    ) -> None:
        add_writes(endpoint)
        realm = endpoint.realm("demo")
        entries = [entry(f"t{number}") for number in range(50)]
        realm.triggers.put(*[each | {SET: "orders"} for each in entries])
        (tmp_path / "t.json").write_text(json.dumps(entries))
        where = ["--endpoint-url", endpoint.url, "--region", REGION, "--realm", "demo"]

        ran = line("apply", str(tmp_path / "t.json"), "--set", "orders", "--yes", *where)

        assert ran.status == 0, ran.errors
        assert ran.output == "lava.demo.s3triggers, set orders\n50 unchanged\n"
        assert endpoint.calls == {"Scan": 1}
        assert endpoint.log[0].request["ConsistentRead"] is True  # also right after a write


@pytest.fixture(scope="module")
def values_table(aws: LocalAws) -> tuple[Any, str]:
    Realm(aws, "values").make_triggers_table()
    return aws.client("dynamodb"), "lava.values.s3triggers"


class TestValues:
    """What is in the table is what the readers of files say it is."""

    @given(items())
    @settings(max_examples=examples(200), deadline=None)
    def test_an_item_is_written_and_compared_as_it_is(
        self, values_table: tuple[Any, str], found: dict[str, Any]
    ) -> None:
        write_and_change(*values_table, found)

    def test_items_that_differ_are_not_equal(self) -> None:
        one = item(entry("t", delay=1))

        assert not is_equal(one, None)
        assert not is_equal(one, item(entry("t", delay="1")))
        assert not is_equal(one, item(entry("t", delay=1) | {"x-a": 1}))
        assert is_equal(one, {**one, "delay": {"N": "1.0"}})
