"""``lava-s3trigger compare``: planted differences are named, and nothing else is."""

import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest

from lava_s3trigger.cli.compare.known_differences import CAUSES, ROWS, SILENT
from tests.aws_in_memory import Endpoint
from tests.build import direct, eventbridge, record, sns, sqs, trigger_entry
from tests.cli.commandline import CommandLine
from tests.docs.pages import DESIGN, section, tables
from tests.function.harness import Harness, LogLines
from tools.local.server import CHECKOUT

EVENTS: Final = 300
WRITES: Final = {"SendMessageBatch", "SendMessage", "UpdateItem", "PutItem", "DeleteItem"}
LOG: Final = "observed.log"


@pytest.fixture
def harness(endpoint: Endpoint) -> Harness:
    """A realm whose entries dispatch, skip, and are mistakes."""
    harness = Harness(endpoint)
    harness.trigger("orders", "orders", parameters={"key": "{{ key }}", "size": "{{ info.size }}"})
    harness.trigger("reports", "reports", job_id=["load", "report"])
    harness.trigger("constant", "constant", parameters={"mode": "full"})
    harness.trigger("bad", "orders", job_id="none")
    harness.trigger("off", "off", enabled=False)
    harness.trigger("unmet", "reports", if_fnmatch="*.zip")
    return harness


def payloads() -> Iterator[Any]:
    """Yield payloads with 300 S3 events, by every route."""
    folders = ("orders", "reports", "constant", "off", "none")
    keys = [f"{folders[n % len(folders)]}/{n}.csv" for n in range(EVENTS)]
    for start in range(0, EVENTS, 10):
        part = [record(key) for key in keys[start : start + 10]]
        yield from (
            [direct(*part)],
            [sqs(*map(direct, part))],
            [sns(*part)],
            [eventbridge(key) for key in keys[start : start + 10]],
        )[start // 10 % 4]


class Comparing:
    """Runs functions, and compares what they did."""

    def __init__(self, harness: Harness, caplog: pytest.LogCaptureFixture, folder: Path) -> None:
        self.harness, self.folder = harness, folder
        self._caplog = caplog

    def observe(self, *handed: Any) -> None:
        """Have a function observe payloads; keep its log in a file."""
        observer = self.harness.function(mode="observe")
        self._hand(observer, handed, LOG)
        assert self.harness.nothing_went_out()
        assert not WRITES & set(self.harness.endpoint.calls)

    def dispatch(self, *handed: Any) -> None:
        """Have a function dispatch; keep its log and its dispatches in files."""
        self._hand(self.harness.function(), handed, "other.log")
        queues = (self.harness.core, self.harness.web)
        self.write([each.json for queue in queues for each in queue.take()])

    def write(self, messages: list[Any]) -> None:
        text = "".join(json.dumps(each) + "\n" for each in messages)
        (self.folder / "dispatches.jsonl").write_text(text)

    def written(self) -> list[Any]:
        text = (self.folder / "dispatches.jsonl").read_text()
        return [json.loads(each) for each in text.splitlines()]

    def _hand(self, function: Callable[[Any], Any], handed: tuple[Any, ...], name: str) -> None:
        self._caplog.clear()
        for payload in handed:
            function(payload)
        (self.folder / name).write_text("\n".join(LogLines(self._caplog).lines()))

    def run(self, *arguments: str, status: int = 1) -> Any:
        ran = CommandLine(["compare"]).json(*arguments)
        assert ran.status == status, ran.errors + ran.output
        return ran.json()

    def logs(self, status: int = 1) -> Any:
        return self.run(str(self.folder / LOG), str(self.folder / "other.log"), status=status)

    def of_logs(self, ours: str, theirs: str, status: int = 1) -> Any:
        (self.folder / LOG).write_text(ours)
        (self.folder / "other.log").write_text(theirs)
        return self.logs(status)

    def dispatches(self, *more: str, status: int = 1) -> Any:
        dispatches = str(self.folder / "dispatches.jsonl")
        return self.run(str(self.folder / LOG), "--dispatches", dispatches, *more, status=status)


@pytest.fixture
def comparing(harness: Harness, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Comparing:
    caplog.set_level("INFO", logger="lava_s3trigger")
    return Comparing(harness, caplog, tmp_path)


def named(found: Any) -> list[tuple[Any, ...]]:
    """Return what differences are about, sorted."""
    names = ("side", "key", "trigger_id", "job_id", "outcome", "kind")
    rows = [tuple(each[name] for name in names) for each in found["differences"]]
    return sorted(rows, key=repr)


class TestThreeHundredEvents:
    """300 events through an observer and another function."""

    def test_nothing_differs(self, comparing: Comparing) -> None:
        comparing.observe(*payloads())
        comparing.dispatch(*payloads())

        found = comparing.logs(status=0)
        assert found["differences"] == []
        assert found["agreed"] == 60 + 2 * 60 + 60
        assert comparing.dispatches(status=0) == found

    def test_what_is_planted_in_entries_is_found_in_the_log(self, comparing: Comparing) -> None:
        comparing.observe(*payloads())
        harness = comparing.harness
        harness.trigger("orders", "orders", parameters={"key": "{{ key }}"}, enabled=False)
        harness.trigger("off", "off/8.csv")
        harness.trigger("reports", "reports", job_id=["load", "report"], if_not_fnmatch="*/1.csv")
        harness.trigger("new", "none/4.csv", job_id="report")
        harness.job("other", "web")
        harness.trigger("constant", "constant/7.csv", job_id="other")
        comparing.dispatch(*payloads())

        found = comparing.logs()
        sent = ("load", "dispatched", None)
        expected: list[tuple[Any, ...]] = [
            ("theirs", "off/8.csv", "off", *sent),
            ("theirs", "none/4.csv", "new", "report", *sent[1:]),
            ("theirs", "constant/7.csv", "constant", "other", *sent[1:]),
            ("theirs", "reports/1.csv", "reports", None, "skipped", "condition_not_met"),
            ("ours", "reports/1.csv", "reports", "load", "observed", None),
            ("ours", "reports/1.csv", "reports", "report", "observed", None),
        ]
        for n in range(0, EVENTS, 5):
            about = (f"orders/{n}.csv", "orders")
            expected.append(("ours", *about, "load", "observed", None))
            expected.append(("theirs", *about, None, "skipped", "trigger_disabled"))
        expected += [
            ("ours", f"constant/{n}.csv", "constant", "load", "observed", None)
            for n in range(2, EVENTS, 5)
        ]
        for n in range(3, EVENTS, 5):
            about = (f"off/{n}.csv", "off")
            expected.append(("ours", *about, None, "skipped", "trigger_disabled"))
        assert named(found) == sorted(expected, key=repr)
        changed = {each["trigger_id"] for each in found["differences"] if each["row"] == "entry"}
        assert changed == {"orders", "off", "reports", "constant"}

    def test_what_is_planted_in_messages_is_found(self, comparing: Comparing) -> None:
        comparing.observe(*payloads())
        comparing.dispatch(*payloads())
        messages = comparing.written()
        kept = []
        for each in messages:
            about = (each["job_id"], each["parameters"].get("key"))
            if about in {("load", "orders/10.csv"), ("report", "reports/11.csv")}:
                continue  # lost
            if about == ("load", "orders/15.csv"):
                each["parameters"]["size"] = "0"
            if about == ("load", "orders/20.csv"):
                kept.append(each)  # sent twice
            kept.append(each)
        kept.append({**messages[0], "job_id": "load", "parameters": {"key": "off/13.csv"}})
        kept.remove(next(each for each in kept if each["parameters"] == {"mode": "full"}))
        comparing.write(kept)

        found = comparing.dispatches()
        sent, decided = ("dispatched", None), ("observed", None)
        assert named(found) == [
            ("ours", "orders/10.csv", "orders", "load", *decided),
            ("ours", "orders/15.csv", "orders", "load", *decided),
            ("ours", "reports/11.csv", "reports", "report", *decided),
            ("ours", None, "constant", "load", *decided),
            *[("theirs", None, None, "load", *sent)] * 3,
        ]
        equal = [each for each in found["differences"] if each["key"] is None]
        counts = [(each["payload"]["parameters"], each["equal"]) for each in equal]
        assert sorted(counts, key=repr) == [
            ({"key": "off/13.csv"}, 1),
            ({"key": "orders/15.csv", "size": "0"}, 1),
            ({"key": "orders/20.csv", "size": "1082"}, 1),
            ({"mode": "full"}, 60),
        ]

    def test_two_observers_dispatched_nothing(
        self, comparing: Comparing, line: CommandLine
    ) -> None:
        comparing.observe(direct(record("orders/1.csv")))
        log = comparing.folder / LOG
        ran = line("compare", str(log), str(log))
        assert ran.status == 0
        assert f"{log} is of a function that observes: it sent nothing" in ran.output
        assert "both functions only observe: none of these dispatches was sent" in ran.errors

    def test_what_each_rendering_makes_again_is_not_compared(self, comparing: Comparing) -> None:
        parameters = {"id": "x-{{ utils.uuid() }}", "at": "{{ utils.datetime.now().isoformat() }}"}
        comparing.harness.trigger("t", prefix="in", parameters=parameters)
        comparing.observe(direct(record("in/1")))
        comparing.dispatch(direct(record("in/1")))

        assert comparing.dispatches(status=0)["agreed"] == 1
        [message] = comparing.written()
        message["parameters"]["id"] = message["parameters"]["id"].removeprefix("x-")
        comparing.write([message])
        assert len(comparing.dispatches()["differences"]) == 2


def lost(message: Any) -> list[Any]:
    """Return what lava's queue got: nothing."""
    return []


def edited(**parameters: Any) -> Callable[[Any], list[Any]]:
    return lambda message: [{**message, "parameters": {**message["parameters"], **parameters}}]


class TestRows:
    """The row of the table of differences that explains one."""

    @pytest.mark.parametrize(
        ("row", "event", "entry", "edit"),
        [
            ("LD02", record("in/1", eventName="ObjectRemoved:Delete"), {}, lost),
            ("LD04", record("orders/1"), {"prefix": "orders"}, lost),
            ("LD05", record('in/a"b'), {}, lost),
            ("LD05", record("in/a\\b"), {}, edited(key="in/ab")),
            ("LD06", record("in/1"), {"parameters": {"key": '{{ key.split("/")[1] }}'}}, lost),
            ("LD09", record("in/a+b"), {"if_fnmatch": "*a+b"}, lost),
            ("LD11", record("/in/1"), {"prefix": "/in"}, lost),
            (None, record("in/1"), {}, lost),
            (None, record("in/1"), {}, edited(more="1")),
        ],
    )
    def test_a_dispatch_of_ours(
        self, comparing: Comparing, row: str | None, event: Any, entry: Any, edit: Any
    ) -> None:
        comparing.harness.trigger("t", **entry)
        comparing.observe(direct(event))
        comparing.dispatch(direct(event))
        edits = [
            # Those of the other trigger stay.
            [each] if each["parameters"].keys() == {"key", "size"} else edit(each)
            for each in comparing.written()
        ]
        comparing.write([*chain(*edits)])
        path = comparing.folder / "t.json"
        path.write_text(json.dumps(trigger_entry(**{"parameters": {"key": "{{ key }}"}, **entry})))
        found = comparing.dispatches("--triggers", str(path))
        ours = [each for each in found["differences"] if each["side"] == "ours"]
        assert [(each["trigger_id"], each["row"]) for each in ours] == [("t", row)]

    def test_a_failure_that_came_again_is_no_difference(self, comparing: Comparing) -> None:
        about = {"bucket": "b", "key": "k", "trigger_id": "t", "job_id": "load"}
        sent = "dispatched " + json.dumps(about)
        failed = "failed " + json.dumps({**about, "kind": "aws_error", "reason": "x"})
        assert comparing.of_logs(sent, f"{failed}\n{sent}", status=0)["agreed"] == 1

        ours, theirs = comparing.of_logs(sent, failed)["differences"]
        assert (ours["side"], ours["outcome"], ours["row"]) == ("ours", "dispatched", "failure")
        assert (theirs["outcome"], theirs["kind"]) == ("failed", "aws_error")
        assert theirs["row"] == "failure"

    def test_a_duplicate_explains_a_dispatch_less(self, comparing: Comparing) -> None:
        about = {"bucket": "b", "key": "k"}
        sent = "dispatched " + json.dumps({**about, "trigger_id": "t", "job_id": "load"})
        duplicate = "skipped " + json.dumps({**about, "kind": "duplicate", "reason": "duplicate"})
        [found] = comparing.of_logs(f"{sent}\n{sent}", f"{sent}\n{duplicate}")["differences"]
        assert (found["side"], found["outcome"], found["row"]) == (
            "ours",
            "dispatched",
            "duplicate",
        )

    def test_rows_are_those_of_the_page(self) -> None:
        [rows] = tables(section(DESIGN, "Differences from lava"))
        assert {row.id for row in ROWS} | {*SILENT} < {cells[0] for cells in rows}

    def test_the_page_names_what_explains_and_what_does_not(self) -> None:
        [causes, *_] = tables(section(CHECKOUT / "docs" / "migrating.md", "What explains"))
        assert [cells[0].strip("`") for cells in causes] == [row.id for row in CAUSES]
        text = section(CHECKOUT / "docs" / "migrating.md", "What explains")
        assert all(each in text for each in (*SILENT, *(row.id for row in ROWS)))


class TestInput:
    """What a log and dispatches are read from."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    ABOUT: Final = {"bucket": "b", "key": "k", "trigger_id": "t", "job_id": "load"}
    LINE: Final = json.dumps({"event": "dispatched", **ABOUT, "worker": "core", "parameters": {}})
    BODY: Final = json.dumps({"worker": "core", "job_id": "load", "run_id": "r"})

    @pytest.mark.parametrize(
        "log",
        [
            LINE,
            json.dumps({"event": "dispatched", **ABOUT, "queue": "lava-r-core"}),
            f"START RequestId: 1\n{LINE}\n",
            json.dumps([LINE]),
            json.dumps({"events": [{"message": LINE}]}, indent=2),
        ],
        ids=["line", "no payload", "lines", "list", "answer"],
    )
    @pytest.mark.parametrize(
        "dispatches",
        [
            BODY,
            json.dumps({"Messages": [{"Body": BODY, "MessageId": "m"}]}, indent=2),
            json.dumps({"Messages": []}) + json.dumps({"Messages": [{"Body": BODY}]}),
        ],
        ids=["body", "answer", "answers"],
    )
    def test_is_understood(self, line: CommandLine, log: str, dispatches: str) -> None:
        Path("log").write_text(log)
        Path("sent").write_text(dispatches)
        ran = line("compare", "./log", "--dispatches", "sent")
        assert (ran.status, ran.output) == (0, "1 dispatches agree; no difference\n")

    @pytest.mark.parametrize(
        ("log", "dispatches", "message"),
        [
            ("nothing\n", BODY, "no line has the outcome of an object"),
            (LINE, "no JSON", "sent:1: not JSON"),
            (LINE, '{"a": 1}', "not a dispatch, which has worker and job_id"),
            (LINE, "[1]", "not a dispatch"),
            (None, BODY, "no such file; a log group is named in full"),
        ],
        ids=["no log", "no JSON", "no dispatch", "a list", "no file"],
    )
    def test_a_mistake_is_one_line(
        self, line: CommandLine, log: str | None, dispatches: str, message: str
    ) -> None:
        if log is not None:
            Path("log").write_text(log)
        Path("sent").write_text(dispatches)
        ran = line("compare", "./log", "--dispatches", "sent")
        assert (ran.status, ran.output) == (2 if log is None else 3, "")
        assert message in ran.errors
        assert ran.errors.count("\n") == 1

    def test_a_terminal_is_safe(self, line: CommandLine) -> None:
        about = {**self.ABOUT, "key": "a\x1b[31m\u202eb", "event": "dispatched"}
        for name, value in {"log": "\x1b[1m", "other": "[bold]\x9b"}.items():
            Path(name).write_text(json.dumps({**about, "parameters": {"x": value}}))
        ran = line("compare", "./log", "./other")
        assert ran.status == 1
        assert ran.output.replace("\n", "").isprintable()
        assert "a\\x1b[31m\\u202eb" in ran.output
        assert "[bold]" in ran.output
