"""``lava-s3trigger demo``: the main job, end to end, on a local AWS server."""

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
    """Something that the demo does to an object."""

    route: str
    bucket: str
    key: str
    body: bytes | None = b"data"
    """What is put; None deletes the object."""


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
    """Deploy to a local AWS, put objects into S3, and show what reached the workers.

    It deploys this checkout's template and package to a server of its own on
    loopback, loads examples/, connects a bucket by each of S3, SNS, SQS and
    EventBridge, and ends all that it started.
    """
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    with LocalAws() as aws:
        realm = Realm(aws, REALM)
        with console.status("Deploying the template to a local AWS ..."):
            set_up(aws, realm)
        with console.status("Putting objects into S3 ..."):
            carry_out(aws, STEPS)
            outcomes = observe(aws, realm)
    show(console, outcomes)


def set_up(aws: LocalAws, realm: Realm) -> None:
    """Deploy the stack, load the examples and connect the buckets."""
    realm.make(_WORKERS)
    outputs = aws.deploy(
        CHECKOUT / "template.yaml",
        CHECKOUT / "build" / "package",
        f"lava-{realm.name}-s3trigger",
        # At level debug the log also tells of objects that no trigger matches.
        {"Realm": realm.name, "LogLevel": "debug", "CreateIntake": "true"},
    )
    for table, file in (("jobs", "jobs.yaml"), ("s3triggers", "triggers.yaml")):
        realm.put(table, yaml.safe_load((CHECKOUT / "examples" / file).read_text()))
    connections = Connections(aws, realm.name, outputs["FunctionArn"])
    connections.by_s3("shop-orders")
    connections.by_sns("shop-invoices")
    connections.by_sqs("shop-returns", outputs["IntakeQueueArn"])
    connections.by_eventbridge("shop-catalogue")
    # The server throttles a cold burst: warm it up with a payload that is nothing to do.
    aws.client("lambda").invoke(
        FunctionName=outputs["FunctionName"], Payload=b'{"Event": "s3:TestEvent"}'
    )


def carry_out(aws: LocalAws, steps: Iterable[Step]) -> None:
    """Put and delete objects."""
    s3 = aws.client("s3")
    for step in steps:
        if step.body is None:
            s3.delete_object(Bucket=step.bucket, Key=step.key)
        else:
            s3.put_object(Bucket=step.bucket, Key=step.key, Body=step.body)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the function said and did about an object."""

    what: str
    """``dispatched``, ``skipped`` or ``parked``."""
    facts: dict[str, Any]
    message: dict[str, Any] | None = None
    """The dispatch message, as the worker finds it in its queue."""


def observe(aws: LocalAws, realm: Realm) -> dict[tuple[str, str], list[Outcome]]:
    """Wait until the function has done with every step, and give what it did.

    What it did not dispatch, and why, its log tells; what it did, the messages in
    the workers' queues.
    """
    expected: dict[tuple[str, str], int] = defaultdict(int)
    for step in STEPS:
        expected[step.bucket, step.key] += 1
    messages: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + _SECONDS
    while True:
        said = journal(aws, f"/aws/lambda/lava-{realm.name}-s3trigger")
        for worker in _WORKERS:
            for message in realm.receive(worker):
                body = json.loads(message["Body"])
                messages[body["run_id"]] = body
        outcomes: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
        for what, facts in said:
            outcome = Outcome(what, facts, messages.get(facts.get("run_id", "")))
            outcomes[facts["bucket"], facts["key"]].append(outcome)
        is_done = all(len(outcomes[each]) >= count for each, count in expected.items())
        runs = {facts["run_id"] for what, facts in said if what == "dispatched"}
        if is_done and runs == set(messages):
            return outcomes
        if time.monotonic() > deadline:
            raise CommandError(f"not all events arrived within {_SECONDS} s:\n{aws.log[-3000:]}")
        time.sleep(0.3)


def journal(aws: LocalAws, log_group: str) -> list[tuple[str, dict[str, Any]]]:
    """Read what the function said in its log: what happened, and the facts."""
    events = aws.client("logs").get_paginator("filter_log_events").paginate(logGroupName=log_group)
    lines = [event["message"] for page in events for event in page["events"]]
    said = []
    for line in lines:
        head, brace, facts = line.partition(" {")
        what = head.rsplit("\t", 1)[-1].rsplit("] ", 1)[-1].strip()
        if brace and '"bucket"' in facts:
            said.append((what, json.loads("{" + facts)))
    return said


def show(console: Console, outcomes: dict[tuple[str, str], list[Outcome]]) -> None:
    """Print what was dispatched, and what was not and why."""
    routes = {(step.bucket, step.key): step.route for step in STEPS}
    done = Table(title="Dispatched, as the workers find it in their queues", title_justify="left")
    for column in ("Object", "Route", "Trigger", "Job", "Worker", "Parameters"):
        done.add_column(column, overflow="fold")
    left = Table(title="Not dispatched", title_justify="left")
    for column in ("Object", "Route", "Trigger", "Why not"):
        left.add_column(column, overflow="fold")
    for place, route in routes.items():
        for outcome in outcomes[place]:
            facts = outcome.facts
            what: list[Text | str] = [
                printable("/".join(place)),
                route,
                printable(facts.get("trigger_id", "-")),
            ]
            if outcome.message:
                message = outcome.message
                parameters = "\n".join(
                    f"{name}: {json.dumps(value, ensure_ascii=False)}"
                    for name, value in message.get("parameters", {}).items()
                )
                cells = [message["job_id"], message["worker"], parameters]
                done.add_row(*what, *map(printable, cells))
            else:
                job = f"job {facts['job_id']}: " if facts.get("job_id") else ""
                parked = "parked: " if outcome.what == "parked" else ""
                left.add_row(*what, printable(f"{parked}{job}{facts['reason']}"))
    console.print(done, left, sep="\n")


def printable(text: str) -> Text:
    """Give text that no terminal takes for anything else: control characters are shown."""
    shown = "".join(
        each if each.isprintable() or each == "\n" else each.encode("unicode_escape").decode()
        for each in text
    )
    return Text(shown)
