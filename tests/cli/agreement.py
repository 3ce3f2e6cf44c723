"""Whether `explain`, `ui` and the function agree about the same entries and payload."""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lava_s3trigger.cli.entries.load import read_texts
from lava_s3trigger.cli.ui.workbench import Source, Workbench
from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.handler import Function
from lava_s3trigger.settings import Settings
from tests.aws_in_memory import REGION, Endpoint
from tests.build import item, job_entry, trigger_entry
from tools.local.server import CHECKOUT

from .commandline import CommandLine

Item = dict[str, dict[str, Any]]
Json = dict[str, Any]
Message = tuple[str, int, Json]

REALM: Final = "demo"
SAMPLES: Final = [
    *sorted((CHECKOUT / "events").glob("*.json")),
    *sorted((CHECKOUT / "tests" / "aws_events").glob("*.json")),
]
"""Files of sample payloads."""
PARKING: Final = "lava-demo-s3trigger-parked"


@dataclass(slots=True)
class Found:
    """What both came to."""

    messages: list[Message]
    """Queue, delay and message of each dispatch, but for what is new each time."""
    explanation: Json


_ELSEWHERE: Final = item(trigger_entry(bucket="no-event-is-of-this-bucket", enabled=False))
_NO_JOB: Final = item(job_entry("no trigger names this job"))


class Agreement:
    """Hands entries and payloads to the function, to `explain` and to the workbench of `ui`.

    Args:
        endpoint: Where the function finds its tables and queues.
        folder: For the files that `explain` reads.
    """

    def __init__(self, endpoint: Endpoint, folder: Path) -> None:
        self._endpoint = endpoint
        self._folder = folder

    def check(self, payload: Any, triggers: Iterable[Item], jobs: Iterable[Item]) -> Found:
        """Assert that both come to the same, and return it."""
        triggers, jobs = list(triggers), list(jobs)
        messages, parked, has_failed = self._sent(payload, triggers, jobs)
        explanation = self._explained(payload, triggers, jobs)
        dispatched, refused = [], set()
        mistaken, failed = set(), bool(explanation["errors"])
        for event in explanation["events"]:
            failed |= event["outcome"] == "failed"
            for trigger in event["triggers"]:
                for part in (trigger, *trigger["jobs"]):
                    failed |= part["outcome"] == "failed"
                    if part["outcome"] == "user_error":
                        mistaken.add(trigger["trigger_id"])
                for job in trigger["jobs"]:
                    if job["message"] is None:
                        assert job["outcome"] != "dispatched"
                    elif job["queue"] in self._endpoint.queues:
                        dispatched.append((job["queue"], job["delay"], job["message"]))
                    else:  # explain does not ask whether a queue is there
                        refused.add(trigger["trigger_id"])
        assert _sorted(dispatched) == _sorted(messages)
        if not any("redrive" in event for event in explanation["events"]):
            assert failed == has_failed
            if not failed:
                assert mistaken | refused == parked
        return Found(messages, explanation)

    def _sent(
        self, payload: Any, triggers: list[Item], jobs: list[Item]
    ) -> tuple[list[Message], set[str], bool]:
        """Return what the function sends, the ids of triggers it parks, and whether it fails."""
        endpoint = self._endpoint
        endpoint.reset()
        realm = endpoint.realm(REALM, ["core", "web", "reports"])
        parking = endpoint.add_queue(PARKING)
        for table, items in ((realm.triggers, triggers), (realm.jobs, jobs)):
            for each in items:
                table.put_item(each)
        logging.getLogger("lava_s3trigger").setLevel(logging.CRITICAL)
        function = Function(
            Settings(realm=REALM, dead_letter_queue=PARKING),
            *endpoint.clients,
            sleep=lambda _: None,
        )
        logging.getLogger("lava_s3trigger").setLevel(logging.CRITICAL)
        has_failed = False
        try:
            answer = function(payload) or {}
            results = answer.get("results", [])  # of tasks of S3 Batch Operations
            has_failed = bool(answer.get("batchItemFailures")) or any(
                each["resultCode"] != "Succeeded" for each in results
            )
        except DeliveriesFailedError:
            has_failed = True
        messages = [
            (name, each.delay, _lasting(each.json))
            for name, queue in endpoint.queues.items()
            if queue is not parking
            for each in queue.messages
        ]
        parked = {each.json["parked"]["trigger_id"] for each in parking.messages}
        return messages, parked, has_failed

    def _explained(self, payload: Any, triggers: list[Item], jobs: list[Item]) -> Json:
        """Return what `explain` prints as JSON."""
        # A file without any entry is an error; the function may have an empty table.
        entries = triggers or [_ELSEWHERE]
        files = {
            "triggers.jsonl": entries,
            "jobs.jsonl": jobs or [_NO_JOB],
            "payload.json": [payload],
        }
        for name, values in files.items():
            text = "\n".join(map(json.dumps, values))
            (self._folder / name).write_text(text)
        ran = CommandLine(["explain"], {"LAVA_REALM": REALM})(
            *(f"--event={self._folder}/payload.json", f"--triggers={self._folder}/triggers.jsonl"),
            *(f"--jobs={self._folder}/jobs.jsonl", f"--region={REGION}"),
            *("--no-changes", "--format=json"),
        )
        explanation: Json = json.loads(ran.output)
        is_any = any(each["outcome"] == "dispatched" for each in explanation["events"])
        assert ran.status == (0 if is_any else 1)
        jobs_name = f"{self._folder}/jobs.jsonl"
        texts = tuple(read_texts([f"{self._folder}/triggers.jsonl", jobs_name]))
        workbench = Workbench(Source("", REALM, REGION, texts, jobs_name=jobs_name))
        answer = workbench.explain({"payload": json.dumps(payload)})
        assert {"version": explanation["version"], **answer} == explanation
        return explanation


def _lasting(message: Json) -> Json:
    return {name: value for name, value in message.items() if name not in ("run_id", "ts_dispatch")}


def _sorted(messages: list[Message]) -> list[str]:
    return sorted(json.dumps(each) for each in messages)
