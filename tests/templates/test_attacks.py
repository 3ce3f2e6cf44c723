"""Attacks on the confinement of templates.

The attacks are data, in ``attacks/``. Each says what it tries, where that is known
from, and what must come of it: an *error* of the trigger, or a dispatch that is
*inert*. Neither may leak, change or leave anything, nor take long.
"""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from lava_s3trigger.decision import decide
from lava_s3trigger.events import S3Event
from lava_s3trigger.templates import limits
from lava_s3trigger.templates import utils as sandbox
from lava_s3trigger.templates.confinement import MAX_RUN_SECONDS
from lava_s3trigger.templates.documents import Document, variables
from lava_s3trigger.triggers import Trigger
from tests.build import AnyJob, Triggers, s3_event
from tests.decisions import dispatches, dispatches_by_trigger, ended
from tests.processes import finish

ATTACKS: Final = Path(__file__).parents[1] / "attacks"
ROOT: Final = Path(__file__).parents[2]
CANARY: Final = "canary-5e1f0c7a"
"""What no template may get hold of: in the environment, in a file, in a module."""
_LATE: Final = "it took longer than"
LONGEST: Final = MAX_RUN_SECONDS + 26.0
"""Seconds that an attack may take: its bound, and many for a machine that is busy."""
MOST_MEMORY: Final = 250 * 1024 * 1024
"""Bytes that a process may take that lives through all attacks on resources."""
MOST_LEFT: Final = 64 * 1024 * 1024
"""Bytes that an attack may leave in use, however often it is made."""


@dataclass(frozen=True, slots=True)
class Attack:
    id: str
    tries: str
    known_from: str
    template: str
    expected: str
    key: str = "in/a.csv"
    field: str = "parameters"
    """Where the template stands: a field, the name of a global or parameter, or all strings of a
    structure of JSON."""
    renders: str | None = None
    """What it renders to, where that is told."""
    says: str = ""
    """Regular expression of what the error says."""
    times: int = 1
    """How often it is made, to see whether it leaves memory behind."""

    def value(self) -> tuple[str, Any]:
        """Give the field that it attacks, and the field's value."""
        written: dict[str, Any] = {"v": self.template, "after": "x"}
        if self.field == "structure":
            written["v"] = json.loads(self.template)
        elif self.field.startswith("name"):
            written = {self.template: "v", "after": "x"}
        elif self.field == "job_id":
            return "job_id", self.template
        return "globals" if "global" in self.field else "parameters", written


@dataclass(slots=True)
class Outcome:
    seconds: float
    neighbour: dict[str, Any]
    """What the trigger after it rendered to, of the same event."""
    reason: str | None = None
    """Why there is no dispatch, if there is none."""
    sent: dict[str, Any] = field(default_factory=dict)
    """The fields of the dispatch that an attack can be in."""
    left: int = 0
    """Bytes of memory that are in use after it, and were not before."""

    def rendered(self, attack: Attack) -> Any:
        """Give what the template was rendered to; nothing around it may have changed."""
        name = attack.value()[0]
        if name == "job_id":
            return self.sent[name]
        (name, value), after = self.sent[name].items()
        assert after == ("after", "x")
        is_name = attack.field.startswith("name")
        assert (value if is_name else name) == "v"
        return name if is_name else value


def attacks(kind: str) -> list[Attack]:
    """Read attacks; a template may be in pieces, each with how often it is repeated."""
    found = json.loads((ATTACKS / f"{kind}.json").read_text("ascii"))
    for each in found:
        pieces = each["template"]
        each["template"] = "".join(p if isinstance(p, str) else p[0] * p[1] for p in pieces)
    return [Attack(**each) for each in found]


OF_PROCESSES: Final = ("resources", "weighing")
KINDS: Final = sorted(path.stem for path in ATTACKS.glob("*.json"))
BRIEF: Final = [
    pytest.param(each, id=f"{kind}-{each.id}")
    for kind in KINDS
    if kind not in (*OF_PROCESSES, "stack")
    for each in attacks(kind)
]
ON_RESOURCES: Final = [attack for kind in OF_PROCESSES for attack in attacks(kind)]
ON_STACK: Final = attacks("stack")


def event(key: str) -> S3Event:
    record = {"eventVersion": "2.1", "s3": {"object": {"key": key}}}
    return s3_event(key, record=record | {"resources": ["arn:aws:s3:::my-bucket"]})


def trigger_of(attack: Attack) -> Trigger:
    name, value = attack.value()
    document = Document(value, is_globals=name == "globals")
    given: dict[str, Any] = {"job_ids": (Document("load"),)}
    given |= {"job_ids": (document,)} if name == "job_id" else {name: document}
    return Trigger("attacked", "*", enabled=True, **given)


def neighbour() -> Trigger:
    """Make a trigger that shows what others of the same event could have changed."""
    shown = Document(
        {
            "variables": "{{ bucket }} {{ key }} {{ event }} {{ info }} {{ utils|join(' ') }}",
            "left behind": "{{ evil }}{{ self.evil }}{{ t_1 }}{{ x }}{{ utils.evil }}",
            "functions": "{{ lipsum }} {{ range }} {{ dict }} {{ cycler }} {{ joiner }}",
            "modules": "{{ utils.path }} {{ utils.re }} {{ utils.dateutil.tz }}",
            "attributes": "{{ utils.path.pos }}{{ lipsum.pos }}{{ info.event_time.tzinfo.pos }}",
            "dates": "{{ utils.parsedate('14 March 2026') }} {{ utils.parsedate.parserinfo.JUMP }}"
            " {{ utils.parsedate.parserinfo.TZOFFSET }}",
            "regular expressions": r"{{ utils.re.sub('\d', 'x', 'a1b2') }}",
        }
    )
    return Trigger("neighbour", "*", enabled=True, job_ids=(Document("after"),), parameters=shown)


def outcome_of(attack: Attack, of: S3Event, trigger: Trigger | None = None) -> Outcome:
    """Decide as the function does, bounds and all."""
    triggers = Triggers(trigger or trigger_of(attack), neighbour())
    started = time.monotonic()
    decision = decide(of, triggers, AnyJob())
    outcome = Outcome(time.monotonic() - started, {})
    sent = dispatches_by_trigger(decision)
    [after] = [dispatch for trigger_id, dispatch in sent if trigger_id == "neighbour"]
    outcome.neighbour = dict(after.parameters)
    first = [dispatch for trigger_id, dispatch in sent if trigger_id == "attacked"]
    if first:
        [dispatch] = first
        names = ("job_id", "parameters", "globals")
        outcome.sent = {name: getattr(dispatch, name) for name in names}
    else:
        [mistake] = ended(decision, "user_error")
        outcome.reason = mistake.reason
    return outcome


def undisturbed(key: str) -> dict[str, Any]:
    """Give what the trigger after an attack renders to where there was none."""
    [dispatch] = dispatches(decide(event(key), Triggers(neighbour()), AnyJob()))
    return dict(dispatch.parameters)


def check(attack: Attack, outcome: Outcome) -> None:
    """Check what must come of an attack, wherever it was made."""
    assert outcome.seconds < LONGEST
    assert CANARY not in json.dumps([outcome.reason, outcome.sent])
    if attack.expected == "error":
        assert outcome.reason is not None
        assert (outcome.reason.isascii(), outcome.reason.isprintable()) == (True, True)
        assert len(outcome.reason) < 600
        # Some come to their own error only on a machine that is not busy.
        assert re.search(attack.says, outcome.reason) or _LATE in outcome.reason
    else:
        assert attack.expected == "inert"
        assert outcome.reason is None
        rendered = outcome.rendered(attack)
        assert attack.renders is None or rendered == attack.renders


def picture(value: Any, seen: dict[int, Any] | None = None) -> Any:
    """Draw all that can be reached and changed, deep down, to compare it with later."""
    seen = {} if seen is None else seen
    if id(value) in seen:
        return "seen"
    seen[id(value)] = value  # and keep it, so that no other gets its id
    if isinstance(value, dict):
        return [(repr(name), picture(each, seen)) for name, each in value.items()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [type(value).__name__, *(picture(each, seen) for each in value)]
    if hasattr(value, "__dict__"):  # also of classes and functions
        return [type(value).__name__, id(value), picture(dict(vars(value)), seen)]
    return f"{type(value).__name__} {id(value) if callable(value) else repr(value)}"


def _shared() -> dict[str, Any]:
    """Give what all templates share; the rest is made for each event."""
    known = variables(event("k"))
    return {name: known[name] for name in known if name not in ("event", "info", "key", "bucket")}


def _of_process() -> list[Any]:
    """Give what of the process an attack could change."""
    return [
        dict(os.environ),
        Path.cwd(),
        signal.getsignal(signal.SIGALRM),
        signal.getitimer(signal.ITIMER_REAL),
        resource.getrlimit(resource.RLIMIT_DATA),
        sys.getrecursionlimit(),
        sys.get_int_max_str_digits(),
        sys.path[:],
    ]


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Plant the canary in the environment, in modules, and in the file that is given."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    monkeypatch.setenv("CANARY", CANARY)
    monkeypatch.setattr(sandbox, "CANARY", CANARY, raising=False)
    monkeypatch.setattr(sys.modules[decide.__module__], "CANARY", CANARY, raising=False)
    path = tmp_path / "secret"
    path.write_text(CANARY)
    monkeypatch.chdir(tmp_path)
    return path


def aimed(attack: Attack, at: Path) -> Attack:
    """Aim an attack on a file at that file."""
    template, key = (each.replace("@FILE@", str(at)) for each in (attack.template, attack.key))
    return replace(attack, template=template, key=key)


def _load() -> None:
    """Have the parts of dateutil loaded, which happens when one is first used."""
    for name in ("easter", "parser", "relativedelta", "rrule", "tz", "utils"):
        getattr(sandbox.UTILS["dateutil"], name)


_loaded = pytest.fixture(autouse=True)(_load)


@pytest.mark.parametrize("attack", BRIEF)
def test_an_attack_is_contained(
    attack: Attack, secret: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    attack = aimed(attack, secret)
    of = event(attack.key)
    files = sorted(secret.parent.rglob("*"))
    expected = undisturbed(attack.key)
    before = [picture(_shared()), picture(of.record), _of_process()]

    trigger = trigger_of(attack)
    # Also once it is compiled.
    for _ in range(2):
        outcome = outcome_of(attack, of, trigger)

        check(attack, outcome)
        assert outcome.neighbour == expected
    assert [picture(_shared()), picture(of.record), _of_process()] == before
    assert (sorted(secret.parent.rglob("*")), secret.read_text()) == (files, CANARY)
    assert capfd.readouterr() == ("", "")


def sampled(attacked: Sequence[Attack], nth: int) -> list[Any]:
    """Return attacks as parameters of a test, of which every nth is in `make test`."""
    rest = pytest.mark.slow(f"seconds each; every {nth}th is in `make test`")
    return [
        pytest.param(attack, id=attack.id, marks=[] if number % nth == 0 else [rest])
        for number, attack in enumerate(attacked)
    ]


def chosen(request: pytest.FixtureRequest, attacked: Sequence[Attack]) -> list[str]:
    """Return the ids of the attacks whose tests are part of this run; all, if none is."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    parameters = [call.params.get("attack") for call in calls if call]
    return [each.id for each in attacked if each in parameters] or [each.id for each in attacked]


def attack_resources(attacked: Sequence[Attack]) -> None:
    """Make attacks on resources in this process, and print what comes of each."""
    _load()
    undisturbed("k")
    before = _of_process()
    os.register_at_fork(before=lambda: _print(said="a process of its own"))
    for attack in attacked:
        _print(begun=attack.id)
        used = _resident()
        outcome = outcome_of(attack, event(attack.key))
        for _ in range(attack.times - 1):
            outcome_of(attack, event(attack.key))
        outcome.left = _resident() - used
        _print(id=attack.id, outcome={name: getattr(outcome, name) for name in Outcome.__slots__})
        assert outcome.neighbour == undisturbed(attack.key)
        assert _of_process() == before
    _print(used=_most_resident())


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _most_resident() -> int:
    """Give the most bytes of memory that this process has used.

    Not by `getrusage`: what that gives is handed down to a process by the one that made it.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _print(**found: Any) -> None:
    print(json.dumps(found), flush=True)  # noqa: T201 - `printed_by` reads it


def printed_by(attack: str, of: str, ids: list[str], parts: int, seconds: float) -> list[Any]:
    """Run a function on attacks with these ids, in processes side by side.

    Returns the lines that each prints, which are JSON unless something went wrong.
    """
    code = (
        f"from {__name__} import *; {attack}"
        f"([each for each in {of} if each.id in json.loads(sys.argv[1])])"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, json.dumps(ids[n::parts])],
            cwd=ROOT,
            env=dict(os.environ) | {"AWS_SECRET_ACCESS_KEY": CANARY},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for n in range(parts)
    ]
    try:
        printed = [finish(process, seconds)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        [
            json.loads(line) if line.startswith("{") else {"said": line}
            for line in output.splitlines()
        ]
        for output in printed
    ]


PARTS: Final = 4
SECONDS_TO_START: Final = 60


@pytest.fixture(scope="module")
def survived(request: pytest.FixtureRequest) -> list[list[dict[str, Any]]]:
    """Give what processes print that make the attacks on resources, side by side."""
    ids = chosen(request, ON_RESOURCES)
    seconds = LONGEST * len(ids) / PARTS + SECONDS_TO_START
    return printed_by("attack_resources", "ON_RESOURCES", ids, PARTS, seconds)


class TestResources:
    """An attack on time or memory ends in about a second, and the process lives on."""

    @pytest.mark.parametrize("attack", sampled(ON_RESOURCES, 20))
    def test_an_attack(self, attack: Attack, survived: list[list[dict[str, Any]]]) -> None:
        [printed] = [each for each in survived if {"begun": attack.id} in each]
        found = [each["outcome"] for each in printed if each.get("id") == attack.id]

        assert found, f"it was not survived: {printed[-3:]}"
        outcome = Outcome(**found[0])
        is_late = outcome.reason is not None and _LATE in outcome.reason
        # What is inert may take longer, too, on a machine that is busy.
        check(replace(attack, expected="error") if is_late else attack, outcome)
        assert outcome.left < MOST_LEFT

    def test_the_process_survives_and_says_nothing_and_its_memory_does_not_explode(
        self, survived: list[list[dict[str, Any]]]
    ) -> None:
        assert [list(each[-1]) for each in survived] == [["used"]] * PARTS
        assert [line for each in survived for line in each if "said" in line] == []
        assert max(each[-1]["used"] for each in survived) < MOST_MEMORY


FILLS: Final = int(os.environ.get("S3TRIGGER_FILLS", "16"))
"""Processes that an attack on the stack is made in, each with a bit less of memory in use."""
SECONDS_FOR_A_FILL: Final = 50
"""The limit of one for all attacks, far more than it takes."""
_BLOCK: Final = 5
_FILL: Final = (
    "{% set n = namespace(f=none, p=none) %}{% for i in range(key|int) %}"
    "{% set n.f = namespace(p=n.f, t=['x' * 15000 ~ i, 'y' * 15000 ~ i, 'z' * 15000 ~ i]) %}"
    "{% endfor %}"
)
"""Uses up memory, in blocks of 45 KB."""


def attack_stack(attacked: Sequence[Attack]) -> None:
    """Make attacks on the stack in children, from where memory is used up; print the outcomes."""
    run = limits.run_bounded
    # On a machine that is busy, the time must not end them before memory is used up.
    limits.run_bounded = lambda work, *bounds: run(work, *(bounds or (60.0,)))
    _load()
    undisturbed("k")
    full = _used_up()
    for attack in attacked:
        value = attack.value()[1]["v"]
        filled = json.dumps([_FILL, value] if attack.field == "structure" else _FILL + value)
        structured = replace(attack, template=filled, field="structure")
        for n in range(FILLS):
            key = str(full - n * _BLOCK)
            reason, status = _in_child(replace(structured, key=key))
            _print(id=attack.id, key=key, reason=reason, status=status)


def _used_up() -> int:
    """Return how many blocks use up the memory."""
    fill = Attack("fill", "", "", _FILL, "inert")
    low, high = 0, 2000
    while high - low > 1:
        middle = (low + high) // 2
        reason, _ = _in_child(replace(fill, key=str(middle)))
        low, high = (low, middle) if "too much memory" in reason else (middle, high)
    return high


def _in_child(attack: Attack) -> tuple[str, int]:
    """Make an attack in a process of its own; return the reason, and how the process ended."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            outcome = outcome_of(attack, event(attack.key))
            os.write(write, (outcome.reason or "").encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(write)
    with open(read, "rb") as file:  # noqa: PTH123 - a pipe
        reason = file.read().decode()
    _, status = os.waitpid(child, 0)
    return reason, os.waitstatus_to_exitcode(status)


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Give what came of each attack on the stack, made by two processes side by side."""
    ids = chosen(request, ON_STACK)
    printed = printed_by("attack_stack", "ON_STACK", ids, 2, SECONDS_FOR_A_FILL * FILLS)
    return [line for each in printed for line in each]


@pytest.mark.parametrize("attack", sampled(ON_STACK, 12))
def test_an_attack_where_memory_is_used_up(attack: Attack, made: list[dict[str, Any]]) -> None:
    found = [each for each in made if each.get("id") == attack.id]

    assert [each["status"] for each in found] == [0] * FILLS
    for each in found:
        reason = each["reason"]
        assert re.search(f"too much memory|^$|{attack.says or '^$'}", reason)


def test_memory_is_used_up_in_some(made: list[dict[str, Any]]) -> None:
    assert {"too much memory" in each["reason"] for each in made} == {True, False}
