"""The fate of dead letters: what would happen to each if it were redriven now."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from lava_s3trigger.cli.decide.decider import decide_payload
from lava_s3trigger.cli.decide.document import Explainer
from lava_s3trigger.cli.deployed.aws import reaching_aws
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.streams import message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.dead_letter_queues import DeadLetter
    from lava_s3trigger.cli.deployed.function import DeployedFunction
    from lava_s3trigger.cli.entries.source import RealmEntries

DISPATCHED: Final = "dispatched"
COMES_BACK: Final = "comes back"
DELETED: Final = "deleted"
OBSERVING: Final = "the function only observes: it dispatches nothing"


@dataclass(frozen=True, slots=True)
class Fate:
    """What would happen to a dead letter if it were redriven now."""

    outcome: str
    """``dispatched``; ``comes back``: a part is still broken; or ``deleted``: nothing would be
    dispatched, and nothing is broken."""
    details: tuple[str, ...]
    """The jobs that would be dispatched, the errors, or why nothing fires."""

    @property
    def text(self) -> str:
        """The fate in words."""
        outcome = f"{self.outcome} without a dispatch" if self.outcome == DELETED else self.outcome
        return f"{outcome}: {'; '.join(self.details)}" if self.details else outcome


@dataclass(frozen=True, eq=False)
class Fates:
    """Decides the fate of dead letters, with the current entries and queues."""

    sqs: Any
    """Client of SQS."""
    deployed: DeployedFunction
    entries: RealmEntries

    def of(self, letter: DeadLetter) -> Fate:
        """Return the fate of a dead letter."""
        if self.deployed.settings.mode == "observe":
            is_kept = letter.queue == self.deployed.dead_letter_queue
            return Fate(COMES_BACK if is_kept else DELETED, (OBSERVING,))
        payload = {"Records": [letter.record]}
        entries = self.entries
        decided = decide_payload(payload, entries.triggers, entries.jobs, self.deployed.region)
        broken, sent, skipped = list(decided.errors), list[str](), list[str]()
        lists = {DISPATCHED: sent, "skipped": skipped}
        for decision in decided.decisions:
            for outcome, detail in self._outcomes(Explainer(entries).explanation(decision)):
                lists.get(outcome, broken).append(detail)
        for outcome, details in ((COMES_BACK, broken), (DISPATCHED, sent)):
            if details:
                return Fate(outcome, tuple(dict.fromkeys(details)))
        return Fate(DELETED, tuple(dict.fromkeys(skipped)))

    def _outcomes(self, event: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield outcomes of an event, each with the dispatched job, or with the reason."""
        if event.get("reason"):
            yield event["outcome"], event["reason"]
        for trigger in event["triggers"]:
            if trigger["reason"]:
                yield trigger["outcome"], trigger["reason"]
            for job in trigger["jobs"]:
                queue = job["queue"]
                if job["outcome"] == DISPATCHED and queue and not self._is_there(queue):
                    yield "failed", f"there is no queue {queue}, which job {job['job_id']} goes to"
                elif job["outcome"] == DISPATCHED:
                    yield DISPATCHED, f"job {job['job_id']} to {queue}"
                else:
                    yield job["outcome"], job["reason"]

    @cache  # noqa: B019 - it lives as long as the process
    def _is_there(self, queue: str) -> bool:
        """Return whether a worker has a queue; assume it if AWS refuses to show it."""
        with reaching_aws():
            try:
                self.sqs.get_queue_url(QueueName=queue)
            except self.sqs.exceptions.QueueDoesNotExist:
                return False
            except ClientError as error:
                code = error.response["Error"]["Code"]
                message(f"not known whether there is a queue {queue}: {safe(code)}")
        return True
