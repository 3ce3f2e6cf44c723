"""The command `plan`: reads both sets of entries, compares them, and reports."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.errors import COULD_NOT_TELL, NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.objects.uri import SCHEME
from lava_s3trigger.cli.output.streams import opened, write_json
from lava_s3trigger.cli.output.text import write_page

from .entry_sets import read_sides
from .objects import NamedObjects

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(paths: Sequence[str], **options: Any) -> int:
    """Run the command, and return its exit status."""
    entries = [path for path in paths if not path.startswith(SCHEME)] or [*options["triggers"]]
    listings = [path for path in paths if path.startswith(SCHEME)]
    if not entries:
        raise CommandError("no entries: name the files that would be in the table", WRONG_USAGE)
    realm = options["realm"]
    aws = Aws(options["profile"], options["region"], options["endpoint_url"])
    objects = NamedObjects.of(options, listings, aws, datetime.now(UTC))
    if not objects:
        raise CommandError(
            "no objects: give --keys, --inventory, --since or s3://BUCKET/PREFIX", WRONG_USAGE
        )
    sides = read_sides(entries, options["against"], options["jobs"], realm, aws)
    report = objects.compared(sides, realm, options["processes"])
    with opened(options["output"]) as file:
        if options["format_"] == "json":
            write_json(file, report.as_json())
        else:
            write_page(file, report.lines())
    if report.has_changes:
        return NO
    return COULD_NOT_TELL if report.is_undecided else YES
