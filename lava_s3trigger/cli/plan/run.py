"""What the command `plan` does: reads both sets of entries, compares them, and reports."""

from __future__ import annotations

import contextlib
import itertools
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.errors import COULD_NOT_TELL, NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.objects.record import Assumed
from lava_s3trigger.cli.objects.sources import (
    count_keys,
    of_inventory,
    of_keys,
    of_listing,
    of_log,
    read_since_option,
)
from lava_s3trigger.cli.objects.uri import SCHEME
from lava_s3trigger.cli.output.progress import Progress
from lava_s3trigger.cli.output.streams import message, opened, write_json
from lava_s3trigger.cli.output.text import write_page

from .entry_sets import read_sides
from .parallel import Setting, available, compare
from .report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def run(paths: Sequence[str], **options: Any) -> int:
    """Run the command, and return its exit status."""
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
    total = _count(options["keys"]) if len(sources) == len(options["keys"]) else None
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(Progress("objects compared", total))
        for source in sources:
            stack.enter_context(contextlib.closing(source))
        objects = itertools.chain.from_iterable(sources)
        processes = options["processes"] or available()
        comparison = compare(objects, setting, processes, progress.advance)
    if not comparison.objects:
        raise CommandError("no objects: nothing was found where they were looked for")
    report = Report(comparison, sides, realm, now)
    with opened(options["output"]) as file:
        if options["format_"] == "json":
            write_json(file, report.as_json())
        else:
            write_page(file, report.lines())
    if report.has_changes:
        return NO
    return COULD_NOT_TELL if report.is_undecided else YES


def _count(paths: Sequence[str]) -> int | None:
    counts = [count_keys(path) for path in paths] if sys.stderr.isatty() else [None]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _sources(
    options: dict[str, Any], listings: Sequence[str], aws: Aws, assumed: Assumed
) -> Iterator[Any]:
    """Yield generators of objects."""
    for path in options["keys"]:
        yield of_keys(path, options["bucket"], assumed)
    for path in options["inventories"]:
        yield of_inventory(path, aws, assumed)
    for uri in listings:
        yield of_listing(uri, aws, assumed)
    since, function, realm = (options[name] for name in ("since", "function", "realm"))
    if since is None:
        return
    if function is None and realm is None:
        raise CommandError(
            "--since reads the function's log: give --realm (LAVA_REALM) or --function",
            WRONG_USAGE,
        )
    start = read_since_option(since, assumed.time)
    group = f"/aws/lambda/{function or f'lava-{realm}-s3trigger'}"
    message(
        "--since: unless LogLevel is debug, the log lacks objects that no entry matched;"
        " to see what entries at new prefixes gain, use --keys, --inventory or a listing"
    )
    yield of_log(group, start, aws, assumed)
