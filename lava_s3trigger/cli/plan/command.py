"""``lava-s3trigger plan``: what a change of entries would do to many objects."""

from __future__ import annotations

import contextlib
import itertools
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.errors import COULD_NOT_TELL, NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.objects.options import event_type_of, size_of
from lava_s3trigger.cli.objects.uri import CREATED, SCHEME
from lava_s3trigger.cli.options import PATH, Command, aws_options, output_options, sources_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lava_s3trigger.cli.objects.record import Assumed

    from .compare import Comparison
    from .parallel import Setting


@click.command(
    cls=Command,
    yes="nothing changes",
    no="something changes",
    examples=[
        "lava-s3trigger plan entries/ --realm prod --since 7d",
        "lava-s3trigger plan new/ --against old/ --keys keys.txt",
        "lava-s3trigger plan new/ --against old/ s3://my-bucket/incoming/",
    ],
)
@click.argument("paths", nargs=-1, type=PATH, metavar="ENTRIES... [s3://BUCKET/PREFIX]...")
@click.option(
    "--triggers",
    type=PATH,
    multiple=True,
    metavar="PATH",
    help="File or folder of entries that would be, as ENTRIES. May be repeated.",
)
@click.option(
    "--against",
    type=PATH,
    multiple=True,
    metavar="PATH",
    help="File or folder of the entries that are, in place of the realm's table. May be repeated.",
)
@click.option(
    "--jobs",
    type=PATH,
    multiple=True,
    metavar="PATH",
    help="File or folder of job entries, for a side whose files have none. May be repeated.",
)
@sources_options
@click.option(
    "--since",
    metavar="TIME",
    help="Objects that the function's log names, since a time: 7d, 12h, or 2026-03-01.",
)
@click.option(
    "--function",
    metavar="NAME",
    help="Function whose log is read.  [default: lava-REALM-s3trigger]",
)
@click.option(
    "--event-type",
    callback=event_type_of,
    default=CREATED,
    show_default=True,
    metavar="TYPE",
    help="Event type to decide with.",
)
@click.option(
    "--size",
    callback=size_of,
    default="1",
    show_default=True,
    metavar="SIZE",
    help="Size of objects whose size is not known: of --keys and --since.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of processes.  [default: one for each processor]",
)
@aws_options
@output_options("text", "json")
def plan(paths: Sequence[str], **options: Any) -> int:
    """Show what a change of entries would do.

    The same objects are decided with the entries that are (the realm's table, or --against)
    and with the entries that would be (ENTRIES: files and folders). The plan shows, by
    trigger, which dispatches are gained, lost or changed, and the entries that no object
    reached. It sends nothing.
    """
    from lava_s3trigger.cli.objects.record import Assumed  # noqa: PLC0415

    from .entry_sets import read_sides  # noqa: PLC0415
    from .parallel import Setting  # noqa: PLC0415 - start-up

    entries = [path for path in paths if not path.startswith(SCHEME)] or [*options["triggers"]]
    listings = [path for path in paths if path.startswith(SCHEME)]
    if not entries:
        raise CommandError("no entries: name the files that would be in the table", WRONG_USAGE)
    realm = options["realm"]
    aws = Aws(options["profile"], options["region"], options["endpoint_url"])
    now = datetime.now(UTC)
    assumed = Assumed(now, options["size"], options["event_type"])
    sources = list(_sources(options, listings, aws, assumed))
    if not sources:
        raise CommandError(
            "no objects: give --keys, --inventory, --since or s3://BUCKET/PREFIX", WRONG_USAGE
        )
    sides = read_sides(entries, options["against"], options["jobs"], realm, aws)
    setting = Setting(sides, aws.region_name(), now)
    is_keys_alone = len(sources) == len(options["keys"])
    total = _count(options["keys"]) if is_keys_alone else None
    return _report(_compared(sources, setting, options["processes"], total), setting, options)


def _count(paths: Sequence[str]) -> int | None:
    from lava_s3trigger.cli.objects.sources import count_keys  # noqa: PLC0415 - start-up

    counts = [count_keys(path) for path in paths] if sys.stderr.isatty() else [None]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _compared(
    sources: Sequence[Any], setting: Setting, processes: int | None, total: int | None
) -> Comparison:
    """Compare both sides over all objects."""
    from lava_s3trigger.cli.output.progress import Progress  # noqa: PLC0415

    from .parallel import compare  # noqa: PLC0415 - start-up
    from .processes import available  # noqa: PLC0415

    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(Progress("objects compared", total))
        for source in sources:
            stack.enter_context(contextlib.closing(source))
        objects = itertools.chain.from_iterable(sources)
        comparison = compare(objects, setting, processes or available(), progress.advance)
    if not comparison.objects:
        raise CommandError("no objects: nothing was found where they were looked for")
    return comparison


def _report(comparison: Comparison, setting: Setting, options: dict[str, Any]) -> int:
    """Write the report, and return the exit status."""
    from lava_s3trigger.cli.output.streams import console, opened, write_json  # noqa: PLC0415 - start-up

    from .report import Report  # noqa: PLC0415

    report = Report(comparison, setting.sides, options["realm"], setting.now)
    with opened(options["output"]) as file:
        if options["format_"] == "json":
            write_json(file, report.as_json())
        else:
            report.print(console(file))
    if report.has_changes:
        return NO
    return COULD_NOT_TELL if report.is_undecided else YES


def _sources(
    options: dict[str, Any], listings: Sequence[str], aws: Aws, assumed: Assumed
) -> Iterator[Any]:
    """Yield generators of objects."""
    from lava_s3trigger.cli.objects import sources  # noqa: PLC0415 - start-up

    for path in options["keys"]:
        yield sources.of_keys(path, options["bucket"], assumed)
    for path in options["inventories"]:
        yield sources.of_inventory(path, aws, assumed)
    for uri in listings:
        yield sources.of_listing(uri, aws, assumed)
    since, function, realm = (options[name] for name in ("since", "function", "realm"))
    if since is None:
        return
    if function is None and realm is None:
        raise CommandError(
            "--since reads the function's log: give --realm (LAVA_REALM) or --function",
            WRONG_USAGE,
        )
    start = sources.read_since_option(since, assumed.time)
    group = f"/aws/lambda/{function or f'lava-{realm}-s3trigger'}"
    yield sources.of_log(group, start, aws, assumed)
