"""What the command `explain` does: decides, looks for changes, and writes both."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.decide.decider import decide_payload
from lava_s3trigger.cli.decide.document import Explainer
from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.realm import find_realm
from lava_s3trigger.cli.entries.load import STANDARD_INPUT
from lava_s3trigger.cli.entries.memory import MAX_DELAY
from lava_s3trigger.cli.entries.source import read_entries
from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.objects.options import ObjectOptions, record_of_object
from lava_s3trigger.cli.objects.uri import read_uri
from lava_s3trigger.cli.output.streams import message, naming, opened, write_json
from lava_s3trigger.cli.output.text import write_page

from .changes import changes
from .realm import find_deployed_realm, status_of
from .text import explanation_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from lava_s3trigger.cli.entries.source import RealmEntries

    from .realm import DeployedRealm

    Json = dict[str, Any]

MAX_EVENTS_WITH_CHANGES: Final = 100
"""Events of a payload for which changes are looked for: each may take hundreds of trials."""


def run(  # noqa: PLR0913 - options of a command
    *,
    uri: str | None,
    event: str | None,
    triggers: tuple[str, ...],
    jobs: tuple[str, ...],
    realm: str | None,
    profile: str | None,
    region: str | None,
    endpoint_url: str | None,
    function: str | None,
    is_realm_named: bool,
    changes: bool,
    format_: str,
    output: str | None,
    **about_object: Any,
) -> int:
    """Run the command, and return its exit status."""
    about = ObjectOptions(**about_object)
    _check_usage(uri, event, (*triggers, *jobs), about)
    aws = Aws(profile, region, endpoint_url)
    if function is not None:
        realm, function = find_realm(realm, function)
    is_realm_read = bool(realm) and not (triggers and jobs)
    deployed = None
    if realm and (is_realm_named or is_realm_read or function):
        deployed = find_deployed_realm(aws, realm, function)
    connection = None
    if event is not None:
        payload = _payload(event)
    else:
        asks_s3 = bool(profile or endpoint_url or is_realm_read)
        record = record_of_object(read_uri(str(uri)), about, aws, asks_s3=asks_s3)
        connection = deployed.connection(record) if deployed else None
        payload = connection.payload(record) if connection else {"Records": [record]}
    max_delay = deployed.max_delay if deployed else MAX_DELAY
    entries = read_entries(triggers, jobs, realm, aws, max_delay)
    document = explained(
        payload,
        entries,
        aws.region_name(),
        with_changes=changes,
        deployed=deployed,
        connection=connection.json() if connection else None,
    )
    write(document, format_, output)
    return status_of(document)


def explained(  # noqa: PLR0913 - the parts of a realm
    payload: Any,
    entries: RealmEntries,
    region: str,
    *,
    with_changes: bool = True,
    deployed: DeployedRealm | None = None,
    connection: Json | None = None,
    has_queue: Callable[[str], bool | None] | None = None,
) -> Json:
    """Return what the function would do with a payload, as JSON without its version.

    Args:
        payload: What Lambda would hand the function.
        entries: The entries to decide with.
        region: Region of the function.
        with_changes: Whether to look for changes that would make it dispatch, in the first
            `MAX_EVENTS_WITH_CHANGES` events.
        deployed: The deployed realm; None if it is not looked at.
        connection: How the event reaches the function; None if that is not looked at.
        has_queue: Returns whether there is a queue, where no realm is looked at.
    """
    decided = decide_payload(payload, entries.triggers, entries.jobs, region)
    if deployed:
        has_queue = deployed.has_queue
    explainer = Explainer(entries, has_queue) if has_queue else Explainer(entries)
    searched = MAX_EVENTS_WITH_CHANGES if with_changes else 0
    events = [
        explainer.explanation(
            decision,
            [change.json() for change in changes(decision, entries)] if number < searched else (),
            connection,
        )
        for number, decision in enumerate(decided.decisions)
    ]
    if with_changes and len(events) > searched:
        message(f"Changes were looked for in the first {searched} of {len(events)} events.")
    return {
        **explainer.document(events, decided.errors),
        "function": deployed.json() if deployed else None,
    }


def write(document: Json, format_: str, output: str | None) -> None:
    """Write an explanation to a file, or to standard output if it is None."""
    with opened(output) as file:
        if format_ == "json":
            write_json(file, document)
        else:
            write_page(file, explanation_lines(document))


def _check_usage(
    uri: str | None, event: str | None, paths: tuple[str, ...], about: ObjectOptions
) -> None:
    if (uri is None) == (event is None):
        problem = "nothing to explain" if uri is None else "both an object and a payload"
        raise CommandError(
            f"{problem}: give an object, s3://BUCKET/KEY, or a payload, --event FILE", WRONG_USAGE
        )
    if event is not None and about.given():
        raise CommandError(
            f"{about.given()[0]} is about an object; the payload of --event has its own",
            WRONG_USAGE,
        )
    if [event, *paths].count(STANDARD_INPUT) > 1:
        raise CommandError("standard input, -, is named twice; it can be read once", WRONG_USAGE)


def _payload(name: str) -> Any:
    shown = "standard input" if name == STANDARD_INPUT else name
    try:
        with naming(shown):
            raw = sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise CommandError(f"{shown}: this is not UTF-8") from None
    except json.JSONDecodeError as error:
        place = f"{shown}:{error.lineno}:{error.colno}"
        raise CommandError(f"{place}: this is not JSON: {error.msg}") from None
    except RecursionError:
        raise CommandError(f"{shown}: this JSON is nested too deeply") from None
    except ValueError as error:  # an integer of too many digits
        raise CommandError(f"{shown}: {error}") from None
