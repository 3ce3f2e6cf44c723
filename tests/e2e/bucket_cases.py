"""Buckets to connect: entries, notifications that are there, and what S3 makes of it."""

from dataclasses import dataclass
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
    """Return the configuration of a bucket that has some notifications."""
    found: dict[str, Any] = {}
    for number, each in enumerate(notes):
        found.setdefault(each.kind, []).append(each.as_json(arns, number))
    return found


@dataclass(frozen=True)
class Case:
    """A bucket."""

    name: str
    outcome: str
    """``merged``, ``unchanged``, ``overlaps``, ``connected`` or ``moved``; see the test."""
    entries: tuple[dict[str, Any], ...] = ({"prefix": "in"},)
    former: tuple[Note, ...] = ()
    eventbridge: bool = False
    rules: tuple[dict[str, Any], ...] = ()
    """Rules that are there: ``name``, ``detail``, and ``targets``."""
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
    is_delivered: bool = True
    """Whether the local server can deliver it: it compares filters with keys unencoded."""
    kept: bool = True
    """Whether all that was there stays."""


def queue(prefix: str = "", suffix: str = "", *events: str) -> Note:
    return Note(QUEUES, "queue", prefix, suffix, events or (CREATED,))


def topic(prefix: str = "", suffix: str = "", *events: str) -> Note:
    return Note(TOPICS, "topic", prefix, suffix, events or (CREATED,))


def function(prefix: str = "", suffix: str = "", *events: str) -> Note:
    return Note(FUNCTIONS, "function", prefix, suffix, events or (CREATED,))


BY_HAND: Final = Note(FUNCTIONS, "ours", "in/")
BY_HAND_QUEUE: Final = Note(QUEUES, "intake", "in/")
BY_HAND_TOPIC: Final = Note(TOPICS, "subscribed", "in/")
RULE: Final = {"name": "hand", "detail": {"object": {"key": [{"prefix": "in/"}]}}}
CSV: Final = ({"prefix": "in", "if_fnmatch": "*.csv"},)
EB: Final = ("--by", "eventbridge")
MOVE: Final = ("--move", "--wait", "0")


def _entry(prefix: str, *types: str, **fields: Any) -> dict[str, Any]:
    return {"prefix": prefix, **({"if_event_type": list(types)} if types else {}), **fields}


_MERGED: Final = (
    Case("nothing-there", "merged", says="'inx'"),
    Case("a-queue-elsewhere", "merged", former=(queue("out/"),)),
    Case("a-topic-elsewhere", "merged", former=(topic("out/"),)),
    Case("a-function-elsewhere", "merged", former=(function("out/"),)),
    Case("one-of-each", "merged", former=(queue("out/"), topic("x/"), function("y/"))),
    Case("a-queue-for-deletions", "merged", former=(queue("", "", REMOVED),)),
    Case(
        "a-topic-for-copies",
        "merged",
        (_entry("in", "ObjectCreated:Put"),),
        (topic("", "", "s3:ObjectCreated:Copy"),),
    ),
    Case("suffixes-elsewhere", "merged", former=(queue("out/", ".csv"), queue("out/", ".json"))),
    Case("encoded-elsewhere", "merged", former=(queue("day%3D1/"), topic("%C3%A9/"))),
    Case("a-space-elsewhere", "merged", former=(queue("a+b/"),)),
    Case("eventbridge-on", "merged", eventbridge=True),
    Case("eventbridge-on-and-others", "merged", former=(queue("out/"),), eventbridge=True),
    Case("ninety-nine", "merged", former=tuple(queue(f"n{n:02}/") for n in range(99))),
    Case("a-neighbour", "merged", CSV, (queue("in2/"),), others=("in2/a.csv",)),
    Case("a-folder", "merged", CSV, (queue("in-"),), others=("in-a.csv",)),
    Case(
        "two-prefixes",
        "merged",
        (_entry("in"), _entry("out")),
        (queue("x/"),),
        arriving=("in/a", "out/a"),
    ),
    Case(
        "one-inside-another",
        "merged",
        (_entry("in"), _entry("in/deep")),
        arriving=("in/a", "in/deep/a"),
    ),
    Case("the-whole-bucket", "merged", (_entry("*"),), arriving=("in/a", "else/a"), others=()),
    Case("the-key-itself", "merged", arriving=("in", "in/a.csv"), others=("i",)),
    Case(
        "a-disabled-entry",
        "merged",
        (_entry("in"), _entry("out", enabled=False)),
        (queue("out/"),),
        others=("out/a",),
    ),
    Case(
        "types-by-prefix",
        "merged",
        (_entry("in"), _entry("out", "ObjectRemoved:*")),
        others=("out/a",),
    ),
    Case(
        "other-events",
        "merged",
        options=("--events", "ObjectCreated:Put"),
        former=(queue("", "", "s3:ObjectCreated:Copy"),),
    ),
    Case("an-equals-sign", "merged", (_entry("day=1"),), arriving=("day=1/a",), is_delivered=False),
    Case("a-space", "merged", (_entry("a b"),), arriving=("a b/c",), is_delivered=False),
    Case("a-plus", "merged", (_entry("a+b"),), arriving=("a+b/c",), is_delivered=False),
    Case("unicode", "merged", (_entry("é"),), arriving=("é/ü",), is_delivered=False),
    Case(
        "lifecycle-and-tags",
        "merged",
        former=(queue("", "", "s3:LifecycleExpiration:*"), topic("", "", "s3:ObjectTagging:*")),
    ),
    Case(
        "replication",
        "merged",
        former=(queue("", "", "s3:Replication:*", "s3:ReducedRedundancyLostObject"),),
    ),
    Case(
        "ours-of-before",
        "merged",
        former=(Note(FUNCTIONS, "ours", "old/", id="lava-s3trigger.e2e.1"), queue("out/")),
        kept=False,
    ),
    Case(
        "ours-of-before-twice",
        "merged",
        former=(
            Note(FUNCTIONS, "ours", "old/", id="lava-s3trigger.e2e.1"),
            Note(FUNCTIONS, "ours", "in/", id="lava-s3trigger.e2e.2"),
        ),
        kept=False,
    ),
    Case("ours-by-hand-elsewhere", "merged", former=(Note(FUNCTIONS, "ours", "out/"),)),
    Case("by-queue", "merged", options=("--by", "queue")),
    Case(
        "by-queue-beside-others",
        "merged",
        options=("--by", "queue"),
        former=(queue("out/"), topic("x/")),
    ),
    Case("by-topic", "merged", options=("--by", "sns", "--topic", "connect-subscribed")),
    Case(
        "by-topic-beside-others",
        "merged",
        options=("--by", "sns", "--topic", "connect-subscribed"),
        former=(topic("out/"), queue("x/")),
    ),
    Case("by-new-topic", "merged", options=("--by", "sns", "--topic", "connect-fresh")),
    Case("by-eventbridge", "merged", options=EB, says="EventBridge rule lava.e2e."),
    Case("by-eventbridge-beside-all", "merged", options=EB, former=(queue(),)),
    Case(
        "by-eventbridge-overlapping",
        "merged",
        options=EB,
        former=(topic("in/", ".csv"), function("in/", ".json")),
    ),
    Case("by-eventbridge-on", "merged", options=EB, eventbridge=True),
    Case(
        "by-eventbridge-a-hundred",
        "merged",
        options=EB,
        former=tuple(queue(f"n{n:02}/") for n in range(100)),
    ),
    Case("by-eventbridge-neighbour", "merged", options=EB, others=("in2/a.csv", "inx")),
    Case("by-eventbridge-encoded", "merged", (_entry("é=1 +"),), options=EB, arriving=("é=1 +/a",)),
    Case(
        "by-eventbridge-types",
        "merged",
        (_entry("in"), _entry("out", "ObjectDeleted:*")),
        options=EB,
        others=("out/a",),
    ),
)
_UNCHANGED: Final = (
    Case("connected-before", "unchanged", connected=()),
    Case("connected-before-by-queue", "unchanged", connected=("--by", "queue")),
    Case("connected-before-by-eventbridge", "unchanged", connected=EB),
    Case(
        "connected-before-by-topic",
        "unchanged",
        connected=("--by", "sns", "--topic", "connect-subscribed"),
    ),
)
_OVERLAPPING: Final = (
    Case("overlaps-a-queue", "overlaps", former=(queue(),)),
    Case("overlaps-a-topic", "overlaps", former=(topic("in/"),)),
    Case("overlaps-a-function", "overlaps", former=(function("i"),)),
    Case("overlaps-a-suffix", "overlaps", former=(queue("", ".csv"),)),
    Case("overlaps-both", "overlaps", former=(queue("in/deep/", ".csv"),)),
    Case("overlaps-one-type", "overlaps", former=(queue("", "", PUT),)),
    Case("overlaps-a-neighbour", "overlaps", former=(queue("in2/"),)),
    Case("overlaps-encoded", "overlaps", (_entry("day=1"),), (queue("day%3D1/x"),)),
    Case("overlaps-from-above", "overlaps", (_entry("*"),), (queue("x/"),)),
    Case("overlaps-by-queue", "overlaps", former=(queue("in/"),), options=("--by", "queue")),
    Case(
        "overlaps-by-topic",
        "overlaps",
        former=(topic("in/"),),
        options=("--by", "sns", "--topic", "connect-subscribed"),
    ),
    Case("a-hundred", "overlaps", former=tuple(queue(f"n{n:02}/") for n in range(100))),
    Case(
        "ninety-nine-and-two",
        "overlaps",
        (_entry("in"), _entry("out")),
        tuple(queue(f"n{n:02}/") for n in range(99)),
    ),
)
_CONNECTED: Final = (
    Case("by-hand", "connected", former=(BY_HAND,), says="all that the entries ask for"),
    Case("by-hand-queue", "connected", former=(BY_HAND_QUEUE,)),
    Case("by-hand-topic", "connected", former=(BY_HAND_TOPIC,)),
    Case("by-hand-rule", "connected", eventbridge=True, rules=(RULE,), says="the rule lava.e2e."),
    Case(
        "by-hand-twice",
        "connected",
        former=(BY_HAND,),
        eventbridge=True,
        rules=(RULE,),
        times=2,
        says="events come twice",
    ),
    Case(
        "by-hand-in-part", "connected", (_entry("in"), _entry("out")), (BY_HAND,), says="leave out"
    ),
    Case("by-another-way", "connected", connected=EB, options=("--by", "s3")),
    Case("by-another-way-than-s3", "connected", connected=(), options=("--by", "queue")),
    Case(
        "rule-of-a-prefix",
        "connected",
        eventbridge=True,
        rules=({**RULE, "more": [{"prefix": "other-"}]},),
        options=("--by", "s3", *MOVE),
        says="may carry events of other buckets",
    ),
    Case(
        "topic-of-others",
        "connected",
        former=(Note(TOPICS, "shared", "in/"),),
        options=MOVE,
        says="would lose its events",
    ),
)
_MOVED: Final = (
    Case("move-by-hand", "moved", former=(BY_HAND, queue("out/")), options=MOVE),
    Case("move-queue", "moved", former=(BY_HAND_QUEUE, topic("out/")), options=MOVE),
    Case("move-topic", "moved", former=(BY_HAND_TOPIC,), options=MOVE),
    Case(
        "move-rule", "moved", former=(queue("out/"),), eventbridge=True, rules=(RULE,), options=MOVE
    ),
    Case("move-twice", "moved", former=(BY_HAND,), eventbridge=True, rules=(RULE,), options=MOVE),
    Case(
        "move-rule-of-several",
        "moved",
        eventbridge=True,
        rules=({**RULE, "more": ["other-bucket"]},),
        options=("--by", "s3", *MOVE),
        says="other-bucket",
    ),
    Case("move-to-eventbridge", "moved", former=(BY_HAND, queue("out/")), options=(*EB, *MOVE)),
    Case("move-overlapping", "moved", former=(BY_HAND, queue("in/", ".csv")), options=(*EB, *MOVE)),
    Case("move-rule-while-off", "moved", rules=(RULE,), options=(*EB, *MOVE)),
    Case("move-rule-to-rule", "moved", eventbridge=True, rules=(RULE,), options=(*EB, *MOVE)),
    Case("move-s3-to-queue", "moved", connected=(), options=("--by", "queue", *MOVE)),
    Case("move-s3-to-eventbridge", "moved", connected=(), options=(*EB, *MOVE)),
    Case("move-eventbridge-to-s3", "moved", connected=EB, options=("--by", "s3", *MOVE)),
    Case(
        "move-topic-to-queue",
        "moved",
        connected=("--by", "sns", "--topic", "connect-subscribed"),
        options=("--by", "queue", *MOVE),
    ),
)
CASES: Final = (*_MERGED, *_UNCHANGED, *_OVERLAPPING, *_CONNECTED, *_MOVED)
