"""Single changes with which the function would dispatch: offered, and true."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from lava_s3trigger.cli.entries.dynamodb import attribute_of
from lava_s3trigger.cli.entries.load import Entry
from lava_s3trigger.cli.entries.memory import MemoryJobs, MemoryTriggers, UnknownJobs
from lava_s3trigger.cli.entries.source import RealmEntries
from lava_s3trigger.cli.explain.changes import MAX_TRIALS
from lava_s3trigger.cli.explain.run import explained
from lava_s3trigger.cli.objects.uri import s3_record
from tests.tables import cases

CASES: Final = YAML(typ="safe").load((Path(__file__).parent / "changes.yaml").read_text())
Plain = dict[str, Any]


@dataclass
class World:
    """Entries of plain values, and an object."""

    triggers: list[Plain]
    jobs: list[Plain] = field(default_factory=list)
    event: Plain = field(default_factory=dict)

    @classmethod
    def of(cls, case: Plain) -> World:
        own = {"trigger_id": "t", "bucket": "b", "prefix": "in", "enabled": True, "job_id": "load"}
        first = {**own, **case.get("trigger", {})}
        first = {name: each for name, each in first.items() if name not in case.get("without", [])}
        jobs = [
            {"job_id": each, "type": "exe", "worker": "core", "payload": "x", "enabled": True}
            for each in ("load", "report", *case.get("jobs", []))
        ]
        for job in jobs:
            if job["job_id"] in case.get("disabled_jobs", []):
                job["enabled"] = False
            if job["job_id"] in case.get("broken_jobs", []):
                del job["payload"]
        event = {"key": "in/a.csv", "size": 1, "event_type": "ObjectCreated:Put"}
        event |= {name: case[name] for name in event if name in case}
        return cls([first, *({**own, **each} for each in case.get("others", []))], jobs, event)

    def explain(self, *, knows_jobs: bool = True) -> Plain:
        entries = RealmEntries(
            "demo",
            MemoryTriggers([made("trigger", each) for each in self.triggers]),
            MemoryJobs([made("job", each) for each in self.jobs], "jobs")
            if knows_jobs
            else UnknownJobs(),
        )
        document = explained({"Records": [s3_record("b", **self.event)]}, entries, "us-east-1")
        [event] = document["events"]
        return dict(event)

    def apply(self, trigger_id: str, change: str) -> None:
        """Carry out a change, as its text says, by no code of the command line."""
        verb, _, rest = change.partition(" ")
        entry = next(e for e in self.triggers if str(e["trigger_id"]) == trigger_id)
        if change.startswith("remove the entry"):
            self.triggers.remove(entry)
        elif change.startswith("object key: "):
            self.event["key"] = json.loads(change.removeprefix("object key: "))
        elif verb in ("add", "correct", "enable") and rest.startswith("job "):
            job_id = json.loads(rest.removeprefix("job "))
            self.jobs = [each for each in self.jobs if each["job_id"] != job_id]
            self.jobs.append({"job_id": job_id, "type": "exe", "worker": "core", "payload": "x"})
            self.jobs[-1]["enabled"] = True
        elif verb == "rename":
            name, _, better = rest.partition(" to ")
            entry[better] = entry.pop(name)
        elif verb == "remove":
            name, dot, inner = rest.partition(".")
            if dot:
                del entry[name][inner]
            else:
                del entry[name]
        else:
            name, _, value = change.partition(": ")
            entry[name] = json.loads(value)


def made(kind: Any, entry: Plain) -> Entry:
    return Entry(kind, {name: attribute_of(value) for name, value in entry.items()}, "here")


def jobs_of(event: Plain) -> list[str]:
    return [
        job["job_id"]
        for trigger in event["triggers"]
        for job in trigger["jobs"]
        if job["outcome"] == "dispatched"
    ]


def beside(**fields: Any) -> Plain:
    """Return another entry, of another job."""
    return {"trigger_id": "u", "job_id": "report", **fields}


class TestOffered:
    """What mends a case is offered, and mends it."""

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
    def test_the_change_that_mends_it(self, case: Plain) -> None:
        world = World.of(case)
        before = world.explain()
        change = (case.get("of", "t"), case["change"])

        [dispatches] = [
            each["dispatches"]
            for each in before["changes"]
            if (each["trigger_id"], each["change"]) == change
        ]
        world.apply(*change)
        after = jobs_of(world.explain())
        assert dispatches
        assert sorted(after) == sorted([*jobs_of(before), *dispatches])

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
    def test_every_other_change_is_true_too(self, case: Plain) -> None:
        before = jobs_of(World.of(case).explain())
        for change in World.of(case).explain()["changes"]:
            world = World.of(case)
            world.apply(change["trigger_id"], change["change"])
            after = jobs_of(world.explain())
            for job_id in change["dispatches"]:
                assert after.count(job_id) > before.count(job_id), change


UP: Final = "in/a.csv"


@cases(
    ("case", "changes"),
    {
        "enabling, moving, removing": (
            {"others": [beside(prefix=UP, enabled=False)]},
            ["enabled: true", f'prefix: "{UP}"', 'remove the entry: it hides "t"'],
        ),
        "mending, removing": (
            {"trigger": {"if_fnmatch": "*.CSV"}},
            ['if_fnmatch: ["*.CSV", "*.csv"]', "remove if_fnmatch"],
        ),
        "a prefix that another entry would hide": (
            {"trigger": {"prefix": "In"}, "others": [beside(prefix=UP, enabled=False)]},
            ["enabled: true"],
        ),
        "a name that nobody takes for a typo of another": (
            {"trigger": {"job_id": "stage"}, "jobs": ["range"]},
            ['add job "stage"'],
        ),
        "an id that no job can have": ({"trigger": {"job_id": "{{ '' }}"}}, []),
        "its opposite would hold": ({"trigger": {"if_fnmach": "x"}}, ["remove if_fnmach"]),
        "it would hold": ({"trigger": {"if_nt_fnmatch": "*"}}, ["remove if_nt_fnmatch"]),
        "it fires": ({}, []),
        "two things": ({"trigger": {"enabled": False, "if_size_gt": 5}}, []),
        "another folder": ({"trigger": {"prefix": "out"}}, []),
        "another bucket": ({"trigger": {"bucket": "other"}}, []),
        "bucket and prefix": ({"trigger": {"bucket": "B", "prefix": "In"}}, []),
        "what a firing entry hides": ({"others": [{"trigger_id": "u", "prefix": "*"}]}, []),
        "disabled beside a dispatch": ({"others": [beside(enabled=False)]}, []),
        "not met beside a dispatch": ({"others": [beside(if_fnmatch="*.CSV")]}, []),
        "elsewhere beside a dispatch": ({"others": [beside(prefix="in/")]}, []),
    },
)
def test_only_what_helps_is_offered_the_smallest_change_first(
    case: Plain, changes: list[str]
) -> None:
    assert [each["change"] for each in World.of(case).explain()["changes"]] == changes


@cases(
    ("trigger", "other", "also"),
    {
        "a narrow entry": ({"prefix": "in/"}, {"prefix": "*"}, 'hides "u" at and below "in"'),
        "a broad entry": ({"prefix": "*"}, {"enabled": False}, 'no longer fires outside "in"'),
        "beside another": ({"prefix": "in/"}, {}, None),
    },
)
def test_what_a_new_place_does_to_other_objects(trigger: Plain, other: Plain, also: Any) -> None:
    world = World.of({"trigger": trigger, "others": [beside(if_size_gt=9, **other)]})
    [change] = [each for each in world.explain()["changes"] if each["change"] == 'prefix: "in"']
    assert change.get("also") == also


def test_jobs_of_which_nothing_is_known_need_no_change() -> None:
    event = World.of({"trigger": {"job_id": "nightly"}}).explain(knows_jobs=False)
    assert (event["outcome"], event["changes"]) == ("dispatched", [])


def test_what_is_parked_beside_a_dispatch_is_offered() -> None:
    changes = World.of({"others": [beside(delay="5min")]}).explain()["changes"]
    assert {"trigger_id": "u", "change": 'delay: "5m"', "dispatches": ["report"]} in changes


@pytest.mark.parametrize(
    ("written", "change"),
    [
        ("*.CSV", '["*.CSV", "*.csv"]'),
        (["*.zip", "*.CSV"], '["*.zip", "*.CSV", "*.csv"]'),
        ("a.csv", '"*/a.csv"'),
        ("*.{csv,tsv}", '["*.csv", "*.tsv"]'),
        ("^in/.*", '"in/*"'),
    ],
)
def test_a_pattern_is_kept_unless_it_matches_nothing(written: Any, change: str) -> None:
    changes = World.of({"trigger": {"if_fnmatch": written}}).explain()["changes"]
    assert changes[0]["change"] == f"if_fnmatch: {change}"


class TestBounds:
    """However many entries there are, trying ends."""

    def test_many_entries_on_one_prefix(self) -> None:
        others = [{"trigger_id": f"u{n}", "if_fnmatch": f"*.{n}"} for n in range(1000)]
        case = {"trigger": {"enabled": False}, "others": others}
        changes = World.of(case).explain()["changes"]
        assert changes[0]["change"] == "enabled: true"
        assert len(changes) <= MAX_TRIALS

    @pytest.mark.parametrize(
        "hostile",
        [
            "{a,b}" * 40,
            "*" * 200,
            "a*" * 100,
            "(" * 200,
            "[" * 200,
            "%" * 199,
            "\\" * 200,
            "a-" * 100 + ".s3." + "-a" * 50,
            "\u0130" * 100,
            "x" * 100_000,
        ],
        ids=lambda text: ascii(text[:10]),
    )
    @pytest.mark.parametrize("name", ["if_fnmatch", "prefix", "bucket", "if_event_type", "delay"])
    def test_hostile_values(self, name: str, hostile: str) -> None:
        world = World.of({"trigger": {name: hostile}, "key": "in/" + "a" * 900})
        for change in world.explain()["changes"]:
            assert len(change["change"]) < 10_000
