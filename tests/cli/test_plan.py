"""`plan`: what a change of entries would do to many objects."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.cli.decide.decider import decide_event
from lava_s3trigger.cli.entries.load import Entry
from lava_s3trigger.cli.entries.memory import MemoryTriggers, UnknownJobs
from lava_s3trigger.cli.objects.record import S3Object
from lava_s3trigger.cli.plan.compare import KINDS, Comparer, Comparison, canonical
from lava_s3trigger.cli.plan.entry_sets import Side, Sides
from lava_s3trigger.cli.plan.parallel import CHUNK_OBJECTS, Setting, compare
from lava_s3trigger.dispatch import Dispatch
from tests.build import item, job_entry, trigger_entry
from tests.cli.commandline import CommandLine, peaks
from tests.cli.logs import Log
from tests.cli.terminal import HOSTILE, raw
from tests.processes import SECONDS, signals_received, unread, wait_until
from tools.local.realm import Realm
from tools.local.server import CHECKOUT, REGION, LocalAws

KEYS: Final = ("--keys", "keys.txt")
AGAINST: Final = ("new.json", "--against", "old.json")
COMMAND: Final = (sys.executable, "-m", "lava_s3trigger", "plan", *AGAINST)
NOW: Final = datetime(2026, 3, 14, 1, 59, 26, tzinfo=UTC)


@pytest.fixture
def run(line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Return what runs the command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return CommandLine(["plan"])


RENDERED: Final[dict[str, Any]] = {"parameters": {"k": "{{ key }}"}}


def entry(of_id: str = "t", **fields: Any) -> dict[str, Any]:
    return trigger_entry(of_id, **{"bucket": "b", **fields})


def plain(**parameters: Any) -> dict[str, Any]:
    """Return the fields of an entry whose parameters are not templates."""
    return {"parameters": parameters, "jinja": False}


def write(name: str, entries: Iterable[dict[str, Any]]) -> None:
    Path(name).write_text(json.dumps(list(entries)))


def write_keys(keys: Iterable[str]) -> None:
    with Path("keys.txt").open("wb") as file:
        file.writelines(f"s3://b/{key}\n".encode() for key in keys)


def planned(
    run: CommandLine,
    before: Iterable[dict[str, Any]],
    after: Iterable[dict[str, Any]],
    keys: Iterable[str] = ("in/a.csv",),
    *arguments: str,
) -> tuple[int, dict[str, Any]]:
    """Run the command; return its status and its JSON, which its schema allows."""
    write("old.json", before)
    write("new.json", after)
    write_keys(keys)
    ran = run.json(*AGAINST, *KEYS, *arguments)
    assert ran.output, ran.errors
    return ran.status, ran.json()


def counts(found: dict[str, Any]) -> dict[str, dict[str, int]]:
    return {
        each["trigger_id"]: {kind: each[kind]["count"] for kind in KINDS if kind in each}
        for each in found["triggers"]
    }


LOST: Final = {"t": {"lost": 1}}
CHANGED: Final = {"t": {"changed": 1}}
NARROW: Final = entry("n", prefix="in/a.csv", enabled=False)
Entries = list[dict[str, Any]]
# What the entry was and is, or all entries were and are; and how often what changes.
CHANGES: Final[dict[str, tuple[dict[str, Any] | Entries, dict[str, Any] | Entries, Any]]] = {
    "nothing": ({}, {}, {}),
    "a new entry": ([], {}, {"t": {"gained": 1}}),
    "no entry any more": ({}, [entry("u", prefix="z")], LOST),
    "another id": ({}, [entry("u")], LOST | {"u": {"gained": 1}}),
    "disabled": ({}, {"enabled": False}, LOST),
    "a condition": ({}, {"if_fnmatch": "*.gz"}, LOST),
    "parameters": ({}, RENDERED, CHANGED),
    "globals": ({}, {"globals": {"g": "x"}}, CHANGED),
    "delay": ({}, {"delay": "1m"}, CHANGED),
    "the same said otherwise": ({}, {"delay": 0}, {}),
    "a field that is ignored": ({}, {"description": "d"}, {}),
    "true for 1": (plain(a=1), plain(a=True), CHANGED),
    "the order of names": (plain(a="1", b="2"), plain(b="2", a="1"), {}),
    "jobs": ({"job_id": ["a", "b", "b"]}, {"job_id": ["b", "c"]}, {"t": {"lost": 2, "gained": 1}}),
    "the order of jobs": ({"job_id": ["a", "b"]}, {"job_id": ["b", "a"]}, {}),
    "a mistake": ({}, {"parameters": {"a": "{{ 1 / 0 }}"}}, {"t": {"lost": 1, "parked": 1}}),
    "a mistake mended": ({"paramters": {}}, {}, {"t": {"gained": 1, "mended": 1}}),
    "another mistake": ({"paramters": {}}, {"job": 1}, {}),
    "a narrower entry": ({}, [entry(), NARROW], LOST),
    "a narrower entry is gone": ([NARROW, entry()], {}, {"t": {"gained": 1}}),
}
CHANGING: Final = [
    "{{ utils.uuid() }}",
    "{{ utils.datetime.now() }}{{ utils.datetime.utcnow() }}{{ utils.datetime.today() }}",
    "{{ utils.date.today() }}{{ utils.dateutil.utils.today() }}{{ utils.parsedate('10:00') }}",
    "{{ range(1000) | random }}{{ lipsum(1) }}",
    "{{ utils.uuid }}{{ cycler(1) }}",
]


class TestChanges:
    """A dispatch is gained, lost or changed; an event is parked or no longer parked."""

    @pytest.mark.parametrize(("before", "after", "expected"), CHANGES.values(), ids=CHANGES)
    def test_what_changes_is_counted_by_trigger(
        self, run: CommandLine, before: Any, after: Any, expected: Any
    ) -> None:
        old, new = ([entry(**each)] if isinstance(each, dict) else each for each in (before, after))
        status, found = planned(run, old, new)

        assert counts(found) == expected
        assert status == (1 if expected else 0)

    @pytest.mark.parametrize("template", CHANGING)
    def test_what_changes_at_each_rendering_is_no_change(
        self, run: CommandLine, template: str
    ) -> None:
        before = entry(parameters={"v": template})
        other = entry("first", prefix="in", parameters={"v": template})

        # The other entry makes the level another one, so that both sides are decided.
        status, found = planned(run, [before], [before, other])

        assert (status, counts(found)) == (1, {"first": {"gained": 1}})

    def test_a_dispatch_that_differs_by_an_address_is_the_same(self) -> None:
        texts = ("<Cycler object at 0x7f1>", "<Cycler object at 0x7f2>", "<Joiner object at 0x7f1>")
        same, again, other = (
            canonical(Dispatch(job_id="load", worker="w", parameters={"v": each}, globals={}))
            for each in texts
        )

        assert same == again != other

    def test_examples_are_the_first_three_with_both_dispatches(self, run: CommandLine) -> None:
        keys = [f"in/{number}.csv" for number in range(5)]
        before, after = entry(), entry(delay="1m", parameters={"k": "{{ key }}"})

        _, found = planned(run, [before], [after], keys)

        [trigger] = found["triggers"]
        assert trigger["changed"]["count"] == 5
        old: dict[str, Any] = {"worker": None, "delay": 0, "parameters": {}, "globals": {}}
        about = {"bucket": "b", "job_id": "load", "before": old, "reason": None}
        assert trigger["changed"]["examples"] == [
            about | {"key": key, "after": {**old, "delay": 60, "parameters": {"k": key}}}
            for key in keys[:3]
        ]

    @pytest.mark.parametrize(
        ("after", "reason"),
        [
            ([entry("u")], "there is no such entry"),
            ([entry(enabled=False)], "the trigger is disabled"),
            ([entry(if_size_gt=9)], "not met: if_size_gt 9"),
            ([entry(prefix="out")], "the entry's prefix 'out' does not"),
            ([entry(bucket="c")], "the entry is of bucket 'c'"),
            ([entry(job_id="x")], "the entry names no such job"),
            ([entry(delay="1y")], "bad entry: delay"),
            ([entry(), NARROW], "hidden by entries at prefix 'in/a.csv'"),
        ],
    )
    def test_the_reason_for_a_loss(self, run: CommandLine, after: Entries, reason: str) -> None:
        _, found = planned(run, [entry()], after)

        [trigger] = (each for each in found["triggers"] if each["trigger_id"] == "t")
        assert trigger["lost"]["examples"][0]["reason"].startswith(reason)

    def test_entries_that_no_object_reached(self, run: CommandLine) -> None:
        before = [entry(), entry("moved"), entry("gone", prefix="gone")]
        after = [entry(), entry("moved", prefix="new"), entry("off", prefix="z", enabled=False)]

        _, found = planned(run, before, after)

        assert found["unreached"] == [
            {"trigger_id": "moved", "source": "new.json:1", "was_reached": True},
            {"trigger_id": "off", "source": "new.json:1", "was_reached": False},
        ]

    def test_a_rendering_that_is_aborted_tells_nothing(self, run: CommandLine) -> None:
        slow = "{{ utils.re.match('(a+)+$', 'a' * 40 + 'b') }}"

        status, found = planned(run, [entry()], [entry(parameters={"a": slow})])

        assert (status, counts(found), found["undecided"]["count"]) == (3, {}, 1)
        assert "rendering aborted" in found["undecided"]["examples"][0]["reason"]

    def test_event_type_and_size_are_those_asked_for(self, run: CommandLine) -> None:
        after = entry(if_event_type="ObjectCreated:Copy", if_size_gt="10KB")
        copied = ("--event-type", "ObjectCreated:Copy", "--size", "11KB")
        assert planned(run, [entry()], [after], ["in/a"], *copied)[0] == 0

        # A deletion has no size.
        deleted = ("--event-type", "ObjectRemoved:Delete", "--size", "11")
        status, found = planned(run, [entry()], [entry(if_size_gt=10)], ["in/a"], *deleted)
        assert (status, counts(found)) == (1, LOST)


@pytest.mark.parametrize(
    ("before", "after", "shared", "expected"),
    [
        ([], [], [], {}),  # unknown ones
        ([], [job_entry("load")], [], {}),  # of the new files, for both sides
        ([job_entry("load")], [], [], {}),  # of the old files, for both sides
        ([job_entry("load")], [job_entry("load", "web")], [], CHANGED),
        ([job_entry("load")], [job_entry("other")], [], {"t": {"lost": 1, "parked": 1}}),
        # Of --jobs, for the side that has none.
        ([], [job_entry("load", enabled=False)], [job_entry("load")], LOST),
    ],
)
def test_where_jobs_come_from(
    run: CommandLine, before: Any, after: Any, shared: Any, expected: Any
) -> None:
    write("jobs.json", shared)
    options = ["--jobs", "jobs.json"] if shared else []

    _, found = planned(run, [entry(), *before], [entry(), *after], ["in/a"], *options)

    assert counts(found) == expected


class TestARealm:
    """The entries that are come from the realm's tables, and objects from its log."""

    def test_its_tables_are_compared_with(
        self, run: CommandLine, realm: Realm, in_realm: tuple[str, ...]
    ) -> None:
        realm.put("s3triggers", [entry(), entry("gone")])
        realm.put("jobs", [job_entry("load")])
        write("new.json", [entry(delay="1s")])
        write_keys(["in/a"])

        ran = run.json("new.json", *in_realm, *KEYS, "--output", "-")

        found = ran.json()
        assert (ran.status, found["realm"]) == (1, realm.name)
        assert counts(found) == {"gone": {"lost": 1}, "t": {"changed": 1}}
        assert found["triggers"][1]["changed"]["examples"][0]["before"]["worker"] == "core"
        assert found["before"] == f"lava.{realm.name}.s3triggers"

    def test_objects_of_its_log_and_of_a_listing(
        self, run: CommandLine, aws: LocalAws, realm: Realm, in_realm: tuple[str, ...]
    ) -> None:
        log, s3 = Log(aws, f"/aws/lambda/lava-{realm.name}-s3trigger"), aws.client("s3")
        message = '[INFO] dispatched {"bucket": "b", "key": "in/from-log"}'
        log.write(message, at=datetime.now(UTC))
        s3.create_bucket(Bucket=f"{realm.name}-objects")
        s3.put_object(Bucket=f"{realm.name}-objects", Key="in/listed", Body=b"x" * 9)
        realm.put("jobs", [job_entry("load")])
        listed = entry("listed", bucket=f"{realm.name}-objects", if_size_gt=8)
        write("new.json", [entry(), listed])

        uri = f"s3://{realm.name}-objects/in/"
        ran = run.json("new.json", uri, *in_realm, "--since", "7d")

        assert ran.status == 1, ran.errors
        assert "the log lacks objects that no entry matched" in ran.errors
        keys = {
            each["trigger_id"]: [example["key"] for example in each["gained"]["examples"]]
            for each in ran.json()["triggers"]
        }
        assert keys == {"t": ["in/from-log"], "listed": ["in/listed"]}


def side(entries: Iterable[dict[str, Any]]) -> Side:
    return Side("side", [Entry("trigger", item(each), "file:1") for each in entries])


def s3_object(key: str, bucket: str = "b") -> S3Object:
    return S3Object(bucket, key, 1, NOW)


def work(dispatch: Dispatch) -> str:
    return json.dumps([dispatch.delay, dispatch.parameters, dispatch.globals], sort_keys=True)


def brute_force(before: Side, after: Side, objects: Iterable[S3Object]) -> dict[str, Counter[str]]:
    """Count the changes by trigger, plainly: both sides, each object, nothing left out."""
    tables = [MemoryTriggers(each.triggers) for each in (before, after)]
    found: dict[str, Counter[str]] = {}
    for each in objects:
        event = each.event(REGION)
        sides: list[Counter[tuple[str, str, str]]] = []
        parked: list[set[str]] = []
        for table in tables:
            decision = decide_event(event, table, UnknownJobs())
            sides.append(
                Counter(
                    (trigger.trigger_id, job.job_id, work(job.dispatch))
                    for trigger in decision.triggers
                    for job in trigger.jobs
                    if job.dispatch
                )
            )
            parked.append({t.trigger_id for t in decision.triggers if t.outcome == "user_error"})
        lost, gained = sides[0] - sides[1], sides[1] - sides[0]
        for trigger_id, job_id in {pair[:2] for pair in lost | gained}:
            less = sum(n for pair, n in lost.items() if pair[:2] == (trigger_id, job_id))
            more = sum(n for pair, n in gained.items() if pair[:2] == (trigger_id, job_id))
            counted = Counter(
                changed=min(less, more), lost=max(less - more, 0), gained=max(more - less, 0)
            )
            found.setdefault(trigger_id, Counter()).update(counted)
        for trigger_id in parked[1] - parked[0]:
            found.setdefault(trigger_id, Counter())["parked"] += 1
        for trigger_id in parked[0] - parked[1]:
            found.setdefault(trigger_id, Counter())["mended"] += 1
    return {trigger_id: +counter for trigger_id, counter in found.items() if +counter}


def counted(comparison: Comparison) -> dict[str, Counter[str]]:
    return {
        trigger_id: Counter({str(kind): each.count for kind, each in kinds.items()})
        for trigger_id, kinds in comparison.changes.items()
    }


PREFIXES: Final = ("*", "a", "a/b", "a/b/c", "d")
ENTRIES: Final = st.fixed_dictionaries(
    {"prefix": st.sampled_from(PREFIXES), "enabled": st.sampled_from([True, True, True, False])},
    optional={
        "job_id": st.sampled_from(["j", "k", ["j", "k"], ["j", "j"], "{{ key }}", "{{ 1/0 }}"]),
        "parameters": st.sampled_from(
            [{"k": "{{ key }}"}, {"n": "{{ utils.uuid() }}"}, {"k": "x"}, {"k": "{{ nothing.x }}"}]
        ),
        "if_fnmatch": st.sampled_from(["*c*", "*x", ["*d", "*b"]]),
        "delay": st.sampled_from(["1s", "0", "1y"]),
        "paramters": st.just({}),
    },
)
SIDES: Final = st.dictionaries(st.sampled_from("tuvw"), ENTRIES, max_size=4)
OBJECTS: Final = [
    s3_object(key)
    for key in ("a", "a/b", "a/b/c", "a/b/c/x", "a/b/x", "a/x", "d", "d/d", "x", "/a", "*", "a/b/")
]


class TestExactness:
    """Counts are those of deciding everything twice."""

    @given(before=SIDES, after=SIDES, kept=st.sets(st.sampled_from("tuvw")))
    def test_what_is_left_out_changes_nothing(
        self, before: dict[str, Any], after: dict[str, Any], kept: set[str]
    ) -> None:
        # Some entries are equal, so that some levels are.
        after |= {trigger_id: before[trigger_id] for trigger_id in kept & before.keys()}
        sides = Sides(
            *(
                side({"trigger_id": trigger_id, "bucket": "b", **each} for trigger_id, each in all_)
                for all_ in (before.items(), after.items())
            )
        )

        quick, thorough = Comparer(sides, REGION, NOW), Comparer(sides, REGION, NOW)
        thorough._is_same = lambda _: False  # type: ignore[method-assign,assignment] # noqa: SLF001
        found = quick.compare(0, OBJECTS)

        assert found == thorough.compare(0, OBJECTS)
        is_random = any("uuid" in str(each) for each in (*before.values(), *after.values()))
        if not is_random:
            assert counted(found) == brute_force(sides.before, sides.after, OBJECTS)

    def test_a_changed_entry_over_20_000_keys(self) -> None:
        areas = [
            entry(f"t{n}", prefix=f"area{n}", if_not_fnmatch=f"*7{n}*", **RENDERED)
            for n in range(20)
        ]
        narrow = entry("narrow", prefix="area3/1", enabled=False)
        changed = entry("t5", prefix="area5", if_fnmatch="*3*", delay="1s")
        sides = Sides(side(areas), side([*areas[:5], changed, *areas[6:], narrow]))
        objects = [s3_object(f"area{n % 25}/{n // 25 % 10}/{n}") for n in range(20_000)]
        progress: list[int] = []

        found = compare(objects, Setting(sides, REGION, NOW), 2, progress.append)

        assert found.objects == sum(progress) == 20_000
        assert len(progress) == 20_000 / CHUNK_OBJECTS
        expected = brute_force(sides.before, sides.after, objects)
        assert counted(found) == expected
        assert expected.keys() == {"t3", "t5"}
        assert min(expected["t5"].values()) > 0
        # As one process finds it, examples included.
        assert found == compare(objects, Setting(sides, REGION, NOW), 1, progress.append)


@pytest.mark.slow("plans over 100,000 keys")
def test_memory_does_not_grow_with_the_keys(run: CommandLine) -> None:
    write("old.json", [entry(job_id="a", jinja=False)])
    write("new.json", [entry(job_id="b", jinja=False)])
    measured = []
    for count in (10_000, 100_000):
        # Each key once, and long: held in memory, they would take 30 MB.
        write_keys(f"in/{number:0300}" for number in range(count))
        options = (*AGAINST, *KEYS, "--processes", "2", "--output", "plan.txt")
        measured.append(peaks("plan", *options)[:2])
    (parent, workers), (parent_of_many, workers_of_many) = measured
    assert parent_of_many < parent + 4_000  # KiB
    assert workers_of_many < workers + 4_000


@pytest.mark.parametrize("format_", ["text", "json"])
@pytest.mark.parametrize("is_terminal", [True, False], ids=["terminal", "pipe"])
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_is_escaped(
    run: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    is_terminal: bool,  # noqa: FBT001 - a column of cases
    format_: str,
) -> None:
    if is_terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    text = text.replace("\n", "")  # which ends a line of the file of keys
    name = text.replace("/", "_").replace("\0", "")
    hostile = {text: text, "k": "{{ key }}"}
    hidden = entry(f"hidden{text}", prefix=f"h{text}")
    before = [entry(f"gone{text}"), entry(f"changed{text}", **RENDERED), hidden]
    after = [
        entry(f"changed{text}", parameters=hostile),
        entry(f"gained{text}", job_id=f"j{text}", globals=hostile),
        entry(f"mistake{text}", parameters={"d": "{{ utils.parsedate(key) }}"}),
        entry(f"broken{text}", **{text: 1}),
        entry(f"never{text}", prefix=f"n{text}"),
        entry(f"slow{text}", parameters={"d": "{{ utils.re.match('(a+)+$', 'a'*40+'b') }}"}),
        entry(f"hides{text}", prefix=f"h{text}/x"),
    ]
    write(f"old{name}.json", before)
    write(f"new{name}.json", after)
    write_keys([f"in/{text}", f"h{text}/x"])

    ran = run(*(f"new{name}.json", "--against", f"old{name}.json"), *KEYS, "--format", format_)

    assert ran.status == 1
    assert not raw(ran.output + ran.errors, is_terminal=is_terminal)
    assert f"s3://b/in/{text}" in ran.output or "\\" in ran.output or format_ == "json"


def test_the_same_id_twice_is_warned_of(run: CommandLine) -> None:
    write("new.json", [entry(), entry()])
    write_keys(["in/a"])

    ran = run("new.json", "--against", "new.json", *KEYS)

    assert ran.status == 0
    assert "another entry has the trigger_id 't' as well" in ran.errors


def children(pid: int) -> list[int]:
    found: list[int] = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *children(int(child))]
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("count", "send"),
    [
        pytest.param(10, os.kill, id="one process"),
        pytest.param(5_000, os.kill, id="several processes"),
        # As a terminal does.
        pytest.param(5_000, os.killpg, id="several processes, sent to each"),
    ],
)
def test_ctrl_c_ends_all_processes_with_130(run: CommandLine, count: int, send: Any) -> None:
    write("new.json", [entry(**RENDERED)])
    write("old.json", [entry(delay="1s", **RENDERED)])
    command = [*COMMAND, "--keys", "-", "--processes", "2", "--output", "plan.txt"]
    with signals_received():
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            start_new_session=True,
        )
    assert process.stdin
    assert process.stderr
    try:
        # The input does not end, so that the command would not.
        process.stdin.write(b"".join(b"s3://b/in/%d\n" % n for n in range(count)))
        process.stdin.flush()
        expected = 0 if count < CHUNK_OBJECTS else 2
        wait_until(lambda: len(children(process.pid)) >= expected, "the processes")
        given = process.stdin
        wait_until(lambda: unread(given) == 0, "it to read its input")
        started = children(process.pid)
        send(process.pid, signal.SIGINT)
        assert process.wait(SECONDS) == 130
        wait_until(lambda: not any(map(is_running, started)), "its processes to end")
        assert process.stderr.read().strip() == b""
        assert not any("plan.txt" in name for name in os.listdir())  # noqa: PTH208
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stderr.close()


def test_a_terminal_sees_progress_on_standard_error(run: CommandLine) -> None:
    write("new.json", [entry(job_id="b", jinja=False)])
    write("old.json", [entry(job_id="a", jinja=False)])
    write_keys(f"in/\x1b{number}" for number in range(CHUNK_OBJECTS * 3))
    ours, theirs = pty.openpty()
    command = [*COMMAND, *KEYS, "--processes", "1", "--format", "json"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "TERM": "xterm"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    try:
        while block := os.read(ours, 65536):
            shown += block
    except OSError:  # the other side was closed
        pass
    output, _ = process.communicate(timeout=SECONDS)
    os.close(ours)

    assert process.returncode == 1
    assert json.loads(output)["objects"] == CHUNK_OBJECTS * 3
    assert f"{CHUNK_OBJECTS * 3:,}, " in shown.decode()
    assert "in/" not in shown.decode()


def test_each_equal_dispatch_is_counted_once(run: CommandLine) -> None:
    _, found = planned(run, [entry(job_id=["load", "report"])], [entry(job_id=["load", "report"])])
    same = {"before": 2, "after": 2, "same": 2}
    assert found["dispatches"] == {**same, "gained": 0, "lost": 0, "changed": 0}


def test_an_example_of_a_parked_event_says_why(run: CommandLine) -> None:
    broken = entry(parameters={"d": "{{ utils.parsedate(key) }}"})
    for before, after, kind in ((entry(), broken, "parked"), (broken, entry(), "mended")):
        _, found = planned(run, [before], [after])
        [example] = found["triggers"][0][kind]["examples"]
        assert "ParserError" in example["reason"]
