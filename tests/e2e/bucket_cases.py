"""Buckets to connect: entries, notifications that are there, and what S3 makes of it."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

CREATED: Final = "s3:ObjectCreated:*"
REMOVED: Final = "s3:ObjectRemoved:*"
PUT: Final = "s3:ObjectCreated:Put"

FUNCTIONS, QUEUES, TOPICS = (
    "LambdaFunctionConfigurations",
    "QueueConfigurations",
    "TopicConfigurations",
)
_ARN_NAMES: Final = {FUNCTIONS: "LambdaFunctionArn", QUEUES: "QueueArn", TOPICS: "TopicArn"}


@dataclass(frozen=True)
class Note:
    """A notification that is there. Its destination is a name: see `test_connect.py`."""

    kind: str
    to: str
    prefix: str = ""
    suffix: str = ""
    events: tuple[str, ...] = (CREATED,)
    id: str = ""

    def as_json(self, arns: dict[str, str], number: int) -> dict[str, Any]:
        values = {"prefix": self.prefix, "suffix": self.suffix}
        rules = [{"Name": name, "Value": value} for name, value in values.items() if value]
        found: dict[str, Any] = {
            "Id": self.id or f"by hand {number}",
            _ARN_NAMES[self.kind]: arns[self.to],
            "Events": list(self.events),
        }
        return found | ({"Filter": {"Key": {"FilterRules": rules}}} if rules else {})


def notifications(notes: tuple[Note, ...], arns: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, each in enumerate(notes):
        found.setdefault(each.kind, []).append(each.as_json(arns, number))
    return found


@dataclass(frozen=True)
class Case:
    """A bucket."""

    name: str = ""
    entries: tuple[dict[str, Any], ...] = ({"prefix": "in"},)
    former: tuple[Note, ...] = ()
    eventbridge: bool = False
    rules: tuple[dict[str, Any], ...] = ()
    """Rules that are there: ``name``, ``detail``, and ``more`` names of buckets."""
    options: tuple[str, ...] = ()
    connected: tuple[str, ...] | None = None
    """Options with which `connect` ran before."""
    arriving: tuple[str, ...] = ("in/a.csv",)
    """Keys that cause a dispatch afterwards."""
    times: int = 1
    """How often."""
    others: tuple[str, ...] = ("else/a.csv",)
    """Keys that cause none, and whose events no notification to the function carries."""
    says: str = ""
    """What the command prints."""
    outcome: str = ""
    """``merged``, ``unchanged``, ``overlaps``, ``connected`` or ``moved``; see the test."""


def _note(kind: str, to: str, prefix: str = "", suffix: str = "", *events: str) -> Note:
    return Note(kind, to, prefix, suffix, events or (CREATED,))


queue = partial(_note, QUEUES, "queue")
topic = partial(_note, TOPICS, "topic")
function = partial(_note, FUNCTIONS, "function")
BY_HAND: Final = Note(FUNCTIONS, "ours", "in/")
BY_HAND_QUEUE: Final = Note(QUEUES, "intake", "in/")
BY_HAND_TOPIC: Final = Note(TOPICS, "subscribed", "in/")
RULE: Final = {"name": "hand", "detail": {"object": {"key": [{"prefix": "in/"}]}}}
CSV: Final = ({"prefix": "in", "if_fnmatch": "*.csv"},)
EB: Final = ("--by", "eventbridge")
BY_S3: Final = ("--by", "s3")
BY_QUEUE: Final = ("--by", "queue")
BY_TOPIC: Final = ("--by", "sns", "--topic", "connect-subscribed")
OLD: Final = Note(FUNCTIONS, "ours", "old/", id="lava-s3trigger.e2e.1")
MOVE: Final = ("--move", "--wait", "0")


def _entry(prefix: str, *types: str, **fields: Any) -> dict[str, Any]:
    return {"prefix": prefix, **({"if_event_type": list(types)} if types else {}), **fields}


def _queues(number: int) -> tuple[Note, ...]:
    return tuple(queue(f"n{n:02}/") for n in range(number))


IN_AND_OUT: Final = (_entry("in"), _entry("out"))
_MERGED: Final = (
    Case("nothing-there", says="'inx'"),
    Case("a-queue-elsewhere", former=(queue("out/"),)),
    Case("a-topic-elsewhere", former=(topic("out/"),)),
    Case("a-function-elsewhere", former=(function("out/"),)),
    Case("one-of-each", former=(queue("out/"), topic("x/"), function("y/"))),
    Case("a-queue-for-deletions", former=(queue("", "", REMOVED),)),
    Case(
        "a-topic-for-copies",
        (_entry("in", "ObjectCreated:Put"),),
        (topic("", "", "s3:ObjectCreated:Copy"),),
    ),
    Case("suffixes-elsewhere", former=(queue("out/", ".csv"), queue("out/", ".json"))),
    Case("encoded-elsewhere", former=(queue("day%3D1/"), topic("%C3%A9/"))),
    Case("a-space-elsewhere", former=(queue("a+b/"),)),
    Case("eventbridge-on", eventbridge=True),
    Case("eventbridge-on-and-others", former=(queue("out/"),), eventbridge=True),
    Case("ninety-nine", former=_queues(99)),
    Case("a-neighbour", CSV, (queue("in2/"),), others=("in2/a.csv",)),
    Case("a-folder", CSV, (queue("in-"),), others=("in-a.csv",)),
    Case("two-prefixes", IN_AND_OUT, (queue("x/"),), arriving=("in/a", "out/a")),
    Case("one-inside-another", (_entry("in"), _entry("in/deep")), arriving=("in/a", "in/deep/a")),
    Case("the-whole-bucket", (_entry("*"),), arriving=("in/a", "else/a"), others=()),
    Case("the-key-itself", arriving=("in", "in/a.csv"), others=("i",)),
    Case(
        "a-disabled-entry",
        (_entry("in"), _entry("out", enabled=False)),
        (queue("out/"),),
        others=("out/a",),
    ),
    Case("types-by-prefix", (_entry("in"), _entry("out", "ObjectRemoved:*")), others=("out/a",)),
    Case(
        "other-events",
        options=("--events", "ObjectCreated:Put"),
        former=(queue("", "", "s3:ObjectCreated:Copy"),),
    ),
    Case(
        "lifecycle-and-tags",
        former=(queue("", "", "s3:LifecycleExpiration:*"), topic("", "", "s3:ObjectTagging:*")),
    ),
    Case(
        "replication", former=(queue("", "", "s3:Replication:*", "s3:ReducedRedundancyLostObject"),)
    ),
    Case("ours-of-before", former=(OLD, queue("out/"))),
    Case(
        "ours-of-before-twice",
        former=(OLD, Note(FUNCTIONS, "ours", "in/", id="lava-s3trigger.e2e.2")),
    ),
    Case("ours-by-hand-elsewhere", former=(Note(FUNCTIONS, "ours", "out/"),)),
    Case("by-queue", options=BY_QUEUE),
    Case("by-queue-beside-others", options=BY_QUEUE, former=(queue("out/"), topic("x/"))),
    Case("by-topic", options=BY_TOPIC),
    Case("by-topic-beside-others", options=BY_TOPIC, former=(topic("out/"), queue("x/"))),
    Case("by-new-topic", options=("--by", "sns", "--topic", "connect-fresh")),
    Case("by-eventbridge", options=EB, says="EventBridge rule lava.e2e."),
    Case("by-eventbridge-beside-all", options=EB, former=(queue(),)),
    Case(
        "by-eventbridge-overlapping",
        options=EB,
        former=(topic("in/", ".csv"), function("in/", ".json")),
    ),
    Case("by-eventbridge-on", options=EB, eventbridge=True),
    Case("by-eventbridge-a-hundred", options=EB, former=_queues(100)),
    Case("by-eventbridge-neighbour", options=EB, others=("in2/a.csv", "inx")),
    Case("by-eventbridge-encoded", (_entry("é=1 +"),), options=EB, arriving=("é=1 +/a",)),
    Case(
        "by-eventbridge-types",
        (_entry("in"), _entry("out", "ObjectDeleted:*")),
        options=EB,
        others=("out/a",),
    ),
)
_UNCHANGED: Final = (
    Case("connected-before", connected=()),
    Case("connected-before-by-queue", connected=BY_QUEUE),
    Case("connected-before-by-eventbridge", connected=EB),
    Case("connected-before-by-topic", connected=BY_TOPIC),
)
_OVERLAPPING: Final = (
    Case("overlaps-a-queue", former=(queue(),)),
    Case("overlaps-a-topic", former=(topic("in/"),)),
    Case("overlaps-a-function", former=(function("i"),)),
    Case("overlaps-a-suffix", former=(queue("", ".csv"),)),
    Case("overlaps-both", former=(queue("in/deep/", ".csv"),)),
    Case("overlaps-one-type", former=(queue("", "", PUT),)),
    Case("overlaps-a-neighbour", former=(queue("in2/"),)),
    Case("overlaps-encoded", (_entry("day=1"),), (queue("day%3D1/x"),)),
    Case("overlaps-from-above", (_entry("*"),), (queue("x/"),)),
    Case("overlaps-by-queue", former=(queue("in/"),), options=BY_QUEUE),
    Case("overlaps-by-topic", former=(topic("in/"),), options=BY_TOPIC),
    Case("a-hundred", former=_queues(100)),
    Case("ninety-nine-and-two", IN_AND_OUT, _queues(99)),
)
_CONNECTED: Final = (
    Case("by-hand", former=(BY_HAND,), says="all that the entries ask for"),
    Case("by-hand-queue", former=(BY_HAND_QUEUE,)),
    Case("by-hand-topic", former=(BY_HAND_TOPIC,)),
    Case("by-hand-rule", eventbridge=True, rules=(RULE,), says="the rule lava.e2e."),
    Case(
        "by-hand-twice",
        former=(BY_HAND,),
        eventbridge=True,
        rules=(RULE,),
        times=2,
        says="events come twice",
    ),
    Case("by-hand-in-part", IN_AND_OUT, (BY_HAND,), says="leave out"),
    Case("by-another-way", connected=EB, options=BY_S3),
    Case("by-another-way-than-s3", connected=(), options=BY_QUEUE),
    Case(
        "rule-of-a-prefix",
        eventbridge=True,
        rules=({**RULE, "more": [{"prefix": "other-"}]},),
        options=(*BY_S3, *MOVE),
        says="may carry events of other buckets",
    ),
    Case(
        "topic-of-others",
        former=(Note(TOPICS, "shared", "in/"),),
        options=MOVE,
        says="would lose its events",
    ),
)
_MOVED: Final = (
    Case("move-by-hand", former=(BY_HAND, queue("out/")), options=MOVE),
    Case("move-queue", former=(BY_HAND_QUEUE, topic("out/")), options=MOVE),
    Case("move-topic", former=(BY_HAND_TOPIC,), options=MOVE),
    Case("move-rule", former=(queue("out/"),), eventbridge=True, rules=(RULE,), options=MOVE),
    Case("move-twice", former=(BY_HAND,), eventbridge=True, rules=(RULE,), options=MOVE),
    Case(
        "move-rule-of-several",
        eventbridge=True,
        rules=({**RULE, "more": ["other-bucket"]},),
        options=(*BY_S3, *MOVE),
        says="other-bucket",
    ),
    Case("move-to-eventbridge", former=(BY_HAND, queue("out/")), options=(*EB, *MOVE)),
    Case("move-overlapping", former=(BY_HAND, queue("in/", ".csv")), options=(*EB, *MOVE)),
    Case("move-rule-while-off", rules=(RULE,), options=(*EB, *MOVE)),
    Case("move-rule-to-rule", eventbridge=True, rules=(RULE,), options=(*EB, *MOVE)),
    Case("move-s3-to-queue", connected=(), options=(*BY_QUEUE, *MOVE)),
    Case("move-s3-to-eventbridge", connected=(), options=(*EB, *MOVE)),
    Case("move-eventbridge-to-s3", connected=EB, options=(*BY_S3, *MOVE)),
    Case("move-topic-to-queue", connected=BY_TOPIC, options=(*BY_QUEUE, *MOVE)),
)
OUTCOMES: Final = {
    outcome: [replace(case, outcome=outcome) for case in cases]
    for outcome, cases in {
        "merged": _MERGED,
        "unchanged": _UNCHANGED,
        "overlaps": _OVERLAPPING,
        "connected": _CONNECTED,
        "moved": _MOVED,
    }.items()
}
CASES: Final = [case for cases in OUTCOMES.values() for case in cases]
