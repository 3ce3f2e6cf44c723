"""What an event costs, in counts: they say the same on every machine, as times do not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest
from jinja2 import Environment

from lava_s3trigger.handler import Function
from lava_s3trigger.settings import Settings
from lava_s3trigger.triggers import MOST_IN_MEMORY
from tests.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TTL: Final = 60.0
BUCKET: Final = "counted"
WORKERS: Final = ["core", "web"]
DEEP: Final = "/".join("abcdefghij")
TEMPLATES: Final[dict[str, Any]] = {
    "parameters": {"key": "{{ key }}"},
    "globals": {"bucket": "{{ bucket }}"},
}


@dataclass
class Instance:
    """A function with a clock of its own, and what it calls."""

    endpoint: Endpoint
    seconds: float = 0.0
    calls: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.realm = self.endpoint.realm("counts", WORKERS)
        for worker in WORKERS:
            job = {"job_id": worker, "type": "exe", "worker": worker, "payload": "x"}
            self.realm.jobs.put(job | {"enabled": True})
        settings = Settings(realm="counts", cache_ttl=TTL)
        self.function = Function(settings, *self.endpoint.clients, clock=lambda: self.seconds)

    def put(self, prefix: str, job_id: str | list[str] = "core", **more: Any) -> None:
        entry = {"trigger_id": f"{prefix}-{job_id}", "bucket": BUCKET, "prefix": prefix}
        self.realm.triggers.put(entry | {"enabled": True, "job_id": job_id} | more)

    def fill(self, count: int) -> None:
        for number in range(count):
            self.put(f"other/{number}")

    def handle(self, *keys: str) -> dict[str, int]:
        """Hand it events in one invocation, and give the calls that it made for them."""
        self.endpoint.forget_calls()
        self.function(payload(keys))
        return dict(self.endpoint.calls)

    def sent(self) -> int:
        return sum(len(self.realm.queue(worker).take()) for worker in WORKERS)


@pytest.fixture
def instance() -> Iterator[Instance]:
    with Endpoint() as endpoint:
        yield Instance(endpoint)


def payload(keys: Sequence[str]) -> dict[str, Any]:
    records = [
        {
            "eventSource": "aws:s3",
            "awsRegion": "ap-southeast-2",
            "eventTime": "2026-03-14T01:59:26.535Z",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": BUCKET}, "object": {"key": key, "size": 1}},
        }
        for key in keys
    ]
    return {"Records": records}


class TestCalls:
    """DynamoDB is asked once a cache lifetime, SQS once for ten dispatches to a worker."""

    def test_the_first_event(self, instance: Instance) -> None:
        instance.put("a", ["core", "web"])
        calls = {"Query": 1, "GetItem": 2, "GetQueueUrl": 2, "SendMessageBatch": 2}
        assert instance.handle(f"{DEEP}/x") == calls
        assert instance.sent() == 2

    def test_a_key_that_was_never_seen_in_a_bucket_with_few_entries(
        self, instance: Instance
    ) -> None:
        instance.put("a")
        instance.fill(MOST_IN_MEMORY - 28)
        instance.handle(f"{DEEP}/first")
        for number in range(20):
            assert instance.handle(f"{DEEP}/{number}/x") == {"SendMessageBatch": 1}
        assert instance.sent() == 21

    def test_an_event_that_nothing_matches(self, instance: Instance) -> None:
        instance.put("a")
        assert instance.handle("b/first") == {"Query": 1}
        assert instance.handle("c/d/e") == {}

    def test_a_bucket_without_entries(self, instance: Instance) -> None:
        assert instance.handle("b/first") == {"Query": 1}
        assert instance.handle("c/d/e") == {}

    @pytest.mark.parametrize(("events", "batches"), [(1, 1), (10, 1), (11, 2), (100, 10)])
    def test_ten_dispatches_to_a_worker_are_one_call(
        self, instance: Instance, events: int, batches: int
    ) -> None:
        instance.put("a")
        instance.handle("a/first")
        calls = instance.handle(*[f"a/{number}" for number in range(events)])
        assert calls == {"SendMessageBatch": batches}
        assert instance.sent() == 1 + events

    def test_each_worker_has_calls_of_its_own(self, instance: Instance) -> None:
        instance.put("a", ["core", "web"])
        instance.handle("a/first")
        calls = instance.handle(*[f"a/{number}" for number in range(10)])
        assert calls == {"SendMessageBatch": 2}
        assert instance.sent() == 22

    def test_a_bucket_with_many_entries_is_asked_for_what_was_not_seen(
        self, instance: Instance
    ) -> None:
        instance.put("a")
        instance.fill(MOST_IN_MEMORY + 1)
        first = instance.handle("a/b/first")  # the bucket, the key, and two levels
        assert first == {"Query": 4, "GetItem": 1, "GetQueueUrl": 1, "SendMessageBatch": 1}
        for number in range(20):
            assert instance.handle(f"a/b/{number}") == {"Query": 1, "SendMessageBatch": 1}

    def test_after_a_cache_lifetime_it_is_asked_again(self, instance: Instance) -> None:
        instance.put("a")
        instance.handle("a/first")
        instance.seconds = TTL - 1
        assert instance.handle("a/second") == {"SendMessageBatch": 1}
        instance.seconds = TTL + 1
        calls = {"Query": 1, "GetItem": 1, "SendMessageBatch": 1}
        assert instance.handle("a/third") == calls


class TestCompilations:
    """Templates are compiled once for as long as their trigger is remembered."""

    @pytest.fixture
    def compiled(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        compiled: list[Any] = []
        compile_ = Environment.compile

        def count(self: Environment, source: Any, *args: Any, **more: Any) -> Any:
            compiled.append(source)
            return compile_(self, source, *args, **more)

        monkeypatch.setattr(Environment, "compile", count)
        return compiled

    def test_once_for_each_document(self, instance: Instance, compiled: list[Any]) -> None:
        instance.put("a", **TEMPLATES)
        instance.handle("a/first")
        assert len(compiled) == len(TEMPLATES)
        for number in range(0, 1000, 100):
            instance.handle(*[f"a/{each}" for each in range(number, number + 100)])
        assert len(compiled) == len(TEMPLATES)
        assert instance.sent() == 1001
        instance.seconds = TTL + 1
        instance.handle("a/last")
        assert len(compiled) == 2 * len(TEMPLATES)

    def test_none_without_templates(self, instance: Instance, compiled: list[Any]) -> None:
        instance.put("a", parameters={"plain": "text"})
        instance.handle("a/first")
        assert not compiled

    def test_none_of_what_does_not_match(self, instance: Instance, compiled: list[Any]) -> None:
        instance.put("a", **TEMPLATES)
        instance.put("b", **TEMPLATES)
        instance.handle("a/first", "c/first")
        assert len(compiled) == len(TEMPLATES)


MOST_MODULES: Final = 395
"""It was 382, with Python 3.11 as with 3.13; other versions may load a few more."""
MOST_OUTSIDE_OF_PYTHON: Final = 178
"""It was 174, of which 27 are the function's; a module more of that has a reason."""


@pytest.fixture(scope="module")
def modules() -> frozenset[str]:
    code = (
        "import json, sys, lava_s3trigger.handler as it; it._function();"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_REGION": "ap-southeast-2",
            "AWS_SECRET_ACCESS_KEY": "none",
            "LAVA_REALM": "counts",
            "PATH": os.environ["PATH"],
        },
        check=True,
        capture_output=True,
        text=True,
    )
    return frozenset(json.loads(done.stdout))


class TestImports:
    """What a cold start loads: botocore, Jinja and the function, and nothing by accident."""

    NEVER = frozenset(
        """
        awscrt boto3 click hypothesis pytest requests rich s3transfer yaml
        asyncio multiprocessing unittest
        """.split()  # noqa: SIM905
    )

    def test_nothing_that_is_not_used(self, modules: frozenset[str]) -> None:
        assert not {name.partition(".")[0] for name in modules} & self.NEVER
        assert "lava_s3trigger.dedup.table" not in modules
        assert "lava_s3trigger.cli" not in modules

    def test_no_more_than_before(self, modules: frozenset[str]) -> None:
        outside = [
            name for name in modules if name.partition(".")[0] not in sys.stdlib_module_names
        ]
        assert len(outside) <= MOST_OUTSIDE_OF_PYTHON
        assert len(modules) <= MOST_MODULES
