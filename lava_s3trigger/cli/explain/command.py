"""``lava-s3trigger explain``: what the function would do with an object or a payload, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.errors import NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.objects.options import ObjectOptions, object_options, record_of_object
from lava_s3trigger.cli.objects.uri import read_uri
from lava_s3trigger.cli.options import PATH, Command, aws_options, entries_options, output_options
from lava_s3trigger.cli.output.streams import message, opened, write_json

if TYPE_CHECKING:
    from lava_s3trigger.cli.entries.source import RealmEntries

    Json = dict[str, Any]

STANDARD_INPUT: Final = "-"
MAX_EVENTS_WITH_CHANGES: Final = 100
"""Events of a payload for which changes are looked for: each may take hundreds of trials."""


@click.command(
    cls=Command,
    yes="something would be dispatched",
    no="nothing would be dispatched",
    examples=[
        "lava-s3trigger explain s3://my-bucket/incoming/a.csv --triggers entries/",
        "lava-s3trigger explain --event payload.json --realm prod --format json",
    ],
)
@click.argument("uri", required=False, metavar="[s3://BUCKET/KEY]")
@click.option("--event", type=PATH, metavar="FILE", help="Payload by any route; - is stdin.")
@object_options
@entries_options
@aws_options
@click.option(
    "--changes/--no-changes",
    default=True,
    show_default=True,
    help="Look for changes that would make it dispatch.",
)
@output_options("text", "json")
@click.pass_context
def explain(  # noqa: PLR0913 - options of a command
    ctx: click.Context,
    /,
    *,
    uri: str | None,
    event: str | None,
    triggers: tuple[str, ...],
    jobs: tuple[str, ...],
    realm: str | None,
    profile: str | None,
    region: str | None,
    endpoint_url: str | None,
    changes: bool,
    format_: str,
    output: str | None,
    **about_object: Any,
) -> None:
    """Tell what the function would do with an object or a payload, and why.

    Shows the prefixes that were tried, every condition with the value that it
    saw, the messages, and changes of entries that would make it dispatch. Each
    change was tried with the function's own code.

    An object is taken as put now, with 1 byte, unless options say otherwise;
    where AWS is at hand, S3 is asked about it.
    """
    about = ObjectOptions(**about_object)
    _check_usage(uri, event, (*triggers, *jobs), about)
    aws = Aws(profile, region, endpoint_url)
    if event is not None:
        payload = _payload(event)
    else:
        is_aws_at_hand = profile or endpoint_url or (realm and not (triggers and jobs))
        name = read_uri(str(uri))
        record = record_of_object(name, about, aws, asks_s3=bool(is_aws_at_hand))
        payload = {"Records": [record]}
    from lava_s3trigger.cli.entries.source import read_entries  # noqa: PLC0415 - start-up

    entries = read_entries(triggers, jobs, realm, aws)
    document = explained(payload, entries, aws.region_name(), with_changes=changes)
    write(document, format_, output)
    is_yes = any(each["outcome"] == "dispatched" for each in document["events"])
    ctx.exit(YES if is_yes else NO)


def explained(
    payload: Any, entries: RealmEntries, region: str, *, with_changes: bool = True
) -> Json:
    """Return what the function would do with a payload, as JSON without its version.

    Args:
        payload: What Lambda would hand the function.
        entries: The entries to decide with.
        region: Region of the function.
        with_changes: Whether to look for changes that would make it dispatch, in the first
            `MAX_EVENTS_WITH_CHANGES` events.
    """
    from lava_s3trigger.cli.decide.decider import decide_payload  # noqa: PLC0415
    from lava_s3trigger.cli.decide.document import Explainer  # noqa: PLC0415

    from .changes import changes  # noqa: PLC0415 - start-up

    decided = decide_payload(payload, entries.triggers, entries.jobs, region)
    explainer = Explainer(entries)
    searched = MAX_EVENTS_WITH_CHANGES if with_changes else 0
    events = [
        explainer.explanation(
            each, [change.json() for change in changes(each, entries)] if number < searched else ()
        )
        for number, each in enumerate(decided.decisions)
    ]
    if with_changes and len(events) > searched:
        message(f"Changes were looked for in the first {searched} of {len(events)} events.")
    return explainer.document(events, decided.errors)


def write(document: Json, format_: str, output: str | None) -> None:
    """Write an explanation to a file, or to standard output if it is None."""
    with opened(output) as file:
        if format_ == "json":
            write_json(file, document)
        else:
            from lava_s3trigger.cli.output.text import write_page  # noqa: PLC0415

            from .text import explanation_lines  # noqa: PLC0415 - start-up

            write_page(file, explanation_lines(document))


def _check_usage(
    uri: str | None, event: str | None, paths: tuple[str, ...], about: ObjectOptions
) -> None:
    if (uri is None) == (event is None):
        found = "nothing to explain" if uri is None else "both an object and a payload"
        raise CommandError(
            f"{found}: give an object, s3://BUCKET/KEY, or a payload, --event FILE", WRONG_USAGE
        )
    if event is not None and about.given():
        raise CommandError(
            f"{about.given()[0]} is about an object; the payload of --event has its own",
            WRONG_USAGE,
        )
    if [event, *paths].count(STANDARD_INPUT) > 1:
        raise CommandError("standard input, -, is named twice; it can be read once", WRONG_USAGE)


def _payload(name: str) -> Any:
    import json  # noqa: PLC0415 - start-up
    import sys  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    shown = "standard input" if name == STANDARD_INPUT else name
    try:
        raw = sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()
        return json.loads(raw.decode("utf-8-sig"))
    except OSError as error:
        raise CommandError(f"{shown}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{shown}: this is not UTF-8") from None
    except json.JSONDecodeError as error:
        place = f"{shown}:{error.lineno}:{error.colno}"
        raise CommandError(f"{place}: this is not JSON: {error.msg}") from None
    except RecursionError:
        raise CommandError(f"{shown}: this JSON is nested too deeply") from None
    except ValueError as error:  # an integer of too many digits; a NUL in the name
        raise CommandError(f"{shown}: {error}") from None
