"""``make demo``: the function end to end, on a local AWS server."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.log_group import FunctionLog
from lava_s3trigger.cli.deployed.log_line import LogLine, read_line
from lava_s3trigger.cli.entries.source import read_entries
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.explain.run import explained as explained_payload
from lava_s3trigger.cli.explain.text import explanation_lines
from lava_s3trigger.cli.objects.options import ObjectOptions
from lava_s3trigger.cli.objects.uri import ObjectName
from lava_s3trigger.cli.options import Command
from lava_s3trigger.cli.output.signals import interruptible
from lava_s3trigger.cli.output.text import write_page

from .examples import BUCKETS, REALM, WORKERS, deploy_examples, entries_of
from .server import CHECKOUT, REGION, LocalAws

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lava_s3trigger.cli.output.text import Line

    from .realm import Realm

_SECONDS: Final = 180
_MAX_WIDTH: Final = 100
_STYLES: Final = {
    "dispatched": "green",
    "skipped": "yellow",
    "unmatched": "yellow",
    "parked": "bold red",
    "failed": "bold red",
}
_MEANINGS: Final = {
    "dispatched": "a message that runs the job is in the queue of the job's worker",
    "skipped": "nothing to do: a condition does not hold, or the trigger or job is disabled",
    "unmatched": "no trigger has the object's bucket and one of its prefixes",
    "parked": "an error in an entry; the event waits in the queue {queue} until you correct it",
    "failed": "a call to AWS failed; the event comes again",
}
_FILES: Final = ("examples/triggers.yaml", "examples/jobs.yaml")
_TIME: Final = datetime(2026, 3, 14, 1, 59, 26, tzinfo=UTC)
_EXPLAIN: Final = """
Why did {key} cause nothing? This command says why:

    lava-s3trigger explain s3://{bucket}/{key} \\
        --triggers {triggers} --jobs {jobs} \\
        --time {time:%Y-%m-%dT%H:%M:%SZ}
"""
_NEXT: Final = """
examples/ has the triggers and jobs. Next: "make local" keeps such a server running. "A first \
trigger" in README.md has commands to try on it.\
"""


@dataclass(frozen=True, slots=True)
class Step:
    """An object that the demo puts or deletes."""

    bucket: str
    key: str
    body: bytes | None = b"data"
    """The content to put; None deletes the object."""

    @property
    def action(self) -> str:
        """What the demo does to the object."""
        return "delete" if self.body is None else "put"


STEPS: Final = (
    Step("shop-orders", "orders/03-14/first half.csv"),
    Step("shop-orders", 'orders/03-14/x","admin":"yes.csv'),
    Step("shop-orders", "orders/03-14/draft/second.csv"),
    Step("shop-invoices", "invoices/0001.pdf"),
    Step("shop-invoices", "invoices/0002.png"),
    Step("shop-invoices", "invoices/0003.tiff"),
    Step("shop-invoices", "invoices/empty.pdf", b""),
    # The filter of the notification is "invoices", which carries this key too.
    Step("shop-invoices", "invoices-old/0001.pdf"),
    Step("shop-returns", "returns/caf\u00e9 \U0001f600.json"),
    Step("shop-catalogue", "spring/a+b.html"),
    Step("shop-catalogue", "drafts/summer.html"),
    Step("shop-catalogue", "spring/a+b.html", None),
)


UNFIRED: Final = STEPS[2]
"""The object that the demo explains at its end."""


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of an S3 event for one trigger or job."""

    outcome: str
    """``dispatched``, ``skipped``, ``unmatched``, ``parked`` or ``failed``."""
    fields: dict[str, Any]
    """The fields of the log line."""
    message: dict[str, Any] | None = None
    """The dispatch message in the worker's queue."""


@click.command(
    cls=Command,
    yes="every object came through the function",
    no="never",
    examples=("make demo", "python -m tools.local demo > demo.txt"),
)
def demo() -> None:
    """Deploy to a local AWS server, put objects into S3, and show the dispatches.

    Deploys the template and the package of this checkout to a new server on
    loopback, puts the entries of examples/ with apply, connects one bucket each
    by S3, SNS, SQS and EventBridge with connect, and stops the server at the end.
    """
    console = Console(highlight=False)
    console.width = min(console.width, _MAX_WIDTH)
    with interruptible(), LocalAws() as aws:
        with console.status("Deploying the template to a local AWS server ..."):
            realm = deploy_examples(aws)
        with console.status("Putting objects into S3 ..."):
            results = run(aws, realm)
    show(console, results)


def run(aws: LocalAws, realm: Realm) -> list[tuple[Step, list[Result]]]:
    """Put and delete objects, one after the other, and return the results of each step."""
    s3 = aws.client("s3")
    watch = Watch(aws, realm)
    found = []
    for step in STEPS:
        if step.body is None:
            s3.delete_object(Bucket=step.bucket, Key=step.key)
        else:
            s3.put_object(Bucket=step.bucket, Key=step.key, Body=step.body)
        found.append((step, watch.results(step)))
    return found


class Watch:
    """Reads what the function logs, and what it sends to the workers' queues.

    Args:
        aws: The server.
        realm: The realm.
    """

    def __init__(self, aws: LocalAws, realm: Realm) -> None:
        self._aws = aws
        self._realm = realm
        self._read = 0
        """How many lines of the log belong to earlier steps."""
        self._messages: dict[str, dict[str, Any]] = {}
        """Dispatch messages by run id."""

    def results(self, step: Step) -> list[Result]:
        """Wait until the function has processed a step, and return its results.

        Raises:
            CommandError: The function did not process it.
        """
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            lines = read_log(self._aws, f"/aws/lambda/lava-{self._realm.name}-s3trigger")
            new = lines[self._read :]
            # The summary is the last line of an invocation.
            is_done = any(line.event == "summary" and line.fields.get("events") for line in new)
            runs = {line.text("run_id") for line in new if line.event == "dispatched"} - {None}
            self._receive()
            if is_done and runs <= self._messages.keys():
                self._read = len(lines)
                place = (step.bucket, step.key)
                return [
                    self._result(line.event, line.fields)
                    for line in new
                    if (line.fields.get("bucket"), line.fields.get("key")) == place
                ]
            time.sleep(0.1)
        raise CommandError(
            f"the function did not process {step.key} within {_SECONDS} s:\n{self._aws.log[-3000:]}"
        )

    def _receive(self) -> None:
        for worker in WORKERS:
            for message in self._realm.receive(worker):
                body = json.loads(message["Body"])
                self._messages[body["run_id"]] = body

    def _result(self, event: str, fields: dict[str, Any]) -> Result:
        outcome = "unmatched" if fields.get("kind") == "no_trigger" else event
        return Result(outcome, fields, self._messages.get(fields.get("run_id", "")))


def read_log(aws: LocalAws, log_group: str) -> list[LogLine]:
    """Return the lines of the function's log."""
    pages = FunctionLog(aws.client("logs"), log_group).pages(datetime.fromtimestamp(0, UTC))
    lines = [read_line(event.text) for page in pages for event in page]
    return [line for line in lines if line]


def show(console: Console, results: Iterable[tuple[Step, list[Result]]]) -> None:
    """Print the entries of each bucket, the changes of its objects, and their effects."""
    counts: Counter[str] = Counter()
    bucket = ""
    for step, found in results:
        if step.bucket != bucket:
            bucket = step.bucket
            console.print()
            title = f"Bucket {bucket}, connected by {BUCKETS[bucket]}. Its triggers:"
            console.print(title, style="bold")
            for entry in entries_of(bucket):
                console.print(Padding(Text(entry, style="dim"), (0, 0, 1, 4), expand=False))
        console.print(indented(Text(step.action), printable(step.key), width=6))
        for result in found:
            label = Text(result.outcome, _STYLES[result.outcome])
            explanation = indented(label, printable(explained(result)), width=10)
            console.print(Padding(explanation, (0, 0, 0, 8), expand=False))
        counts.update(result.outcome for result in found)
        counts["events"] += 1
    console.print()
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in _STYLES)
    console.print(
        f"{counts['events']} S3 events. Of their triggers and jobs: {told}.", style="bold"
    )
    for outcome, meaning in _MEANINGS.items():
        if counts[outcome]:
            text = Text(meaning.format(queue=f"lava-{REALM}-s3trigger-dlq"))
            console.print(indented(Text(outcome, _STYLES[outcome]), text, width=10))
    command = _EXPLAIN.format(
        bucket=UNFIRED.bucket, key=UNFIRED.key, triggers=_FILES[0], jobs=_FILES[1], time=_TIME
    )
    console.print(command)
    write_page(sys.stdout, explanation_of(UNFIRED))
    console.print(_NEXT)


def explanation_of(step: Step) -> list[Line]:
    """Return what `explain` prints of an object, with the entries of the examples."""
    with contextlib.chdir(CHECKOUT):
        entries = read_entries(_FILES[:1], _FILES[1:], REALM, Aws())
    record = ObjectOptions(time=_TIME).record(ObjectName(step.bucket, step.key), REGION)
    return list(explanation_lines(explained_payload({"Records": [record]}, entries, REGION)))


def explained(result: Result) -> str:
    """Return what a result is about, and why it is so."""
    fields = result.fields
    names = [
        f"{word} {fields[f'{word}_id']}" for word in ("trigger", "job") if f"{word}_id" in fields
    ]
    if not names:
        return f"{fields['reason']}; prefixes tried: {', '.join(fields['prefixes'])}"
    if not result.message:
        return f"{', '.join(names)}: {fields['reason']}"
    lines = [f"{', '.join(names)}, to worker {result.message['worker']}"]
    lines += [
        f"{name}: {json.dumps(value, ensure_ascii=False)}"
        for part in ("parameters", "globals")
        for name, value in result.message.get(part, {}).items()
    ]
    return "\n".join(lines)


def indented(label: Text, text: Text, width: int) -> Table:
    """Return a text next to its label; a long text continues below its beginning."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=width)
    grid.add_column(overflow="fold")
    grid.add_row(label, text)
    return grid


def printable(text: str) -> Text:
    """Return text with its control characters escaped, so that no terminal interprets them."""
    escaped = "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape").decode()
        for character in text
    )
    return Text(escaped)
