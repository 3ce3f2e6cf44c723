"""``lava-s3trigger demo``: the function end to end, on a local AWS server."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .connecting import Connections
from .errors import CommandError
from .localaws import CHECKOUT, LocalAws
from .realm import Realm

if TYPE_CHECKING:
    from collections.abc import Iterable

REALM: Final = "demo"
_WORKERS: Final = ("core", "reports", "web")
_SECONDS: Final = 180
_WIDTH: Final = 132


@dataclass(frozen=True, slots=True)
class Step:
    """An object that the demo puts or deletes."""

    route: str
    bucket: str
    key: str
    body: bytes | None = b"data"
    """The content to put; None deletes the object."""


STEPS: Final = (
    Step("S3", "shop-orders", "orders/03-14/first half.csv"),
    Step("S3", "shop-orders", 'orders/03-14/x","admin":"yes.csv'),
    Step("S3", "shop-orders", "orders/03-14/draft/second.csv"),
    Step("S3", "shop-orders", "readme.txt"),
    Step("SNS", "shop-invoices", "invoices/0001.pdf"),
    Step("SNS", "shop-invoices", "invoices/0002.png"),
    Step("SNS", "shop-invoices", "invoices/0003.tiff"),
    Step("SNS", "shop-invoices", "invoices/empty.pdf", b""),
    Step("SQS", "shop-returns", "returns/caf\u00e9 \U0001f600.json"),
    Step("EventBridge", "shop-catalogue", "spring/a+b.html"),
    Step("EventBridge", "shop-catalogue", "drafts/summer.html"),
    Step("EventBridge", "shop-catalogue", "spring/a+b.html", None),
)


@click.command()
def demo() -> None:
    """Deploy to a local AWS server, put objects into S3, and show the dispatches.

    Deploys the template and the package of this checkout to a new server on
    loopback, loads examples/, connects one bucket each by S3, SNS, SQS and
    EventBridge, and stops the server at the end.
    """
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    with LocalAws() as aws:
        realm = Realm(aws, REALM)
        with console.status("Deploying the template to a local AWS server ..."):
            set_up(aws, realm)
        with console.status("Putting objects into S3 ..."):
            results = run(aws, realm)
    show(console, results)


def set_up(aws: LocalAws, realm: Realm) -> None:
    """Deploy the stack, load the examples, and connect the buckets."""
    realm.make(_WORKERS)
    outputs = aws.deploy(
        CHECKOUT / "template.yaml",
        CHECKOUT / "build" / "package",
        f"lava-{realm.name}-s3trigger",
        # At level debug the log also names objects that no trigger matches.
        {"Realm": realm.name, "LogLevel": "debug", "CreateIntake": "true"},
    )
    for table, file in (("jobs", "jobs.yaml"), ("s3triggers", "triggers.yaml")):
        realm.put(table, yaml.safe_load((CHECKOUT / "examples" / file).read_text()))
    connections = Connections(aws, realm.name, outputs["FunctionArn"])
    connections.by_s3("shop-orders")
    connections.by_sns("shop-invoices")
    connections.by_sqs("shop-returns", outputs["IntakeQueueArn"])
    connections.by_eventbridge("shop-catalogue")
    # The server throttles a cold burst: start an instance with a payload without events.
    aws.client("lambda").invoke(
        FunctionName=outputs["FunctionName"], Payload=b'{"Event": "s3:TestEvent"}'
    )


def run(aws: LocalAws, realm: Realm) -> dict[tuple[str, str], list[Result]]:
    """Put and delete objects, one after the other, and return the results by object.

    On a busy machine, events at the same time start more instances than the server allows;
    it then drops events of SNS and EventBridge, which AWS would retry.
    """
    s3 = aws.client("s3")
    messages: dict[str, dict[str, Any]] = {}
    results: dict[tuple[str, str], list[Result]] = {}
    for count, step in enumerate(STEPS, 1):
        if step.body is None:
            s3.delete_object(Bucket=step.bucket, Key=step.key)
        else:
            s3.put_object(Bucket=step.bucket, Key=step.key, Body=step.body)
        results = observe(aws, realm, STEPS[:count], messages)
    return results


@dataclass(frozen=True, slots=True)
class Result:
    """What the function logged and sent for an object."""

    event: str
    """``dispatched``, ``skipped`` or ``parked``."""
    fields: dict[str, Any]
    message: dict[str, Any] | None = None
    """The dispatch message in the worker's queue."""


def observe(
    aws: LocalAws, realm: Realm, steps: Iterable[Step], messages: dict[str, dict[str, Any]]
) -> dict[tuple[str, str], list[Result]]:
    """Wait until the function has processed all steps, and return the results by object.

    The dispatches come from the workers' queues, everything else from the function's log.

    Args:
        aws: The server.
        realm: The realm.
        steps: The steps so far.
        messages: The dispatches so far by run id; new ones are added.
    """
    expected: dict[tuple[str, str], int] = defaultdict(int)
    for step in steps:
        expected[step.bucket, step.key] += 1
    deadline = time.monotonic() + _SECONDS
    while True:
        lines = read_log(aws, f"/aws/lambda/lava-{realm.name}-s3trigger")
        for worker in _WORKERS:
            for message in realm.receive(worker):
                body = json.loads(message["Body"])
                messages[body["run_id"]] = body
        results: dict[tuple[str, str], list[Result]] = defaultdict(list)
        for event, fields in lines:
            result = Result(event, fields, messages.get(fields.get("run_id", "")))
            results[fields["bucket"], fields["key"]].append(result)
        is_done = all(len(results[place]) >= count for place, count in expected.items())
        runs = {fields["run_id"] for event, fields in lines if event == "dispatched"}
        if is_done and runs == set(messages):
            return results
        if time.monotonic() > deadline:
            raise CommandError(
                f"the function did not process all events within {_SECONDS} s:\n{aws.log[-3000:]}"
            )
        time.sleep(0.1)


def read_log(aws: LocalAws, log_group: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the lines of the function's log about objects: the event and its fields."""
    events = aws.client("logs").get_paginator("filter_log_events").paginate(logGroupName=log_group)
    lines = [event["message"] for page in events for event in page["events"]]
    found = []
    for line in lines:
        head, brace, fields = line.partition(" {")
        event = head.rsplit("\t", 1)[-1].rsplit("] ", 1)[-1].strip()
        if brace and '"bucket"' in fields:
            found.append((event, json.loads("{" + fields)))
    return found


def show(console: Console, results: dict[tuple[str, str], list[Result]]) -> None:
    """Print what was dispatched, and what was not, with the reason."""
    routes = {(step.bucket, step.key): step.route for step in STEPS}
    sent = Table(title="Dispatched: the messages in the workers' queues", title_justify="left")
    for column in ("Object", "Route", "Trigger", "Job", "Worker", "Parameters"):
        sent.add_column(column, overflow="fold")
    unsent = Table(title="Not dispatched", title_justify="left")
    for column in ("Object", "Route", "Trigger", "Reason"):
        unsent.add_column(column, overflow="fold")
    for place, route in routes.items():
        for result in results[place]:
            fields = result.fields
            object_cells: list[Text | str] = [
                printable("/".join(place)),
                route,
                printable(fields.get("trigger_id", "-")),
            ]
            if result.message:
                message = result.message
                parameters = "\n".join(
                    f"{name}: {json.dumps(value, ensure_ascii=False)}"
                    for name, value in message.get("parameters", {}).items()
                )
                cells = [message["job_id"], message["worker"], parameters]
                sent.add_row(*object_cells, *map(printable, cells))
            else:
                job = f"job {fields['job_id']}: " if fields.get("job_id") else ""
                parked = "parked: " if result.event == "parked" else ""
                unsent.add_row(*object_cells, printable(f"{parked}{job}{fields['reason']}"))
    console.print(sent, unsent, sep="\n")


def printable(text: str) -> Text:
    """Return text with its control characters escaped, so that no terminal interprets them."""
    escaped = "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape").decode()
        for character in text
    )
    return Text(escaped)
