"""The objects that the options of a command name, and their comparison."""

from __future__ import annotations

import contextlib
import itertools
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.objects.record import Assumed
from lava_s3trigger.cli.objects.sources import (
    count_keys,
    of_inventory,
    of_keys,
    of_listing,
    of_log,
    read_since_option,
)
from lava_s3trigger.cli.output.progress import Progress
from lava_s3trigger.cli.output.streams import message

from .parallel import Setting, available, compare
from .report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from lava_s3trigger.cli.deployed.aws import Aws

    from .entry_sets import Sides


@dataclass(frozen=True)
class NamedObjects:
    """Objects that options name."""

    aws: Aws
    now: datetime
    """The current time for templates."""
    sources: Sequence[Any]
    """Generators of objects."""
    total: int | None
    """Number of objects, if that is known."""

    @classmethod
    def of(
        cls, options: Mapping[str, Any], listings: Sequence[str], aws: Aws, now: datetime
    ) -> Self:
        """Return the objects that options name.

        Args:
            options: The options of `sources_options`; ``since``, ``function``, ``realm``,
                ``size`` and ``event_type``.
            listings: S3 URIs.
            aws: The account of the objects.
            now: The time.

        Raises:
            CommandError: ``--since`` is not a time, or there is no realm for it.
        """
        assumed = Assumed(now, options["size"], options["event_type"])
        sources = list(_sources(options, listings, aws, assumed))
        keys = options["keys"]
        return cls(aws, now, sources, _count(keys) if len(sources) == len(keys) else None)

    def __bool__(self) -> bool:
        return bool(self.sources)

    def compared(self, sides: Sides, realm: str | None, processes: int | None = None) -> Report:
        """Compare the decisions of two sets of entries on the objects.

        Args:
            sides: The entries.
            realm: Name of the realm.
            processes: Number of processes; if None, one for each processor.

        Raises:
            CommandError: There are no objects, or they cannot be read.
        """
        setting = Setting(sides, self.aws.region_name(), self.now)
        with contextlib.ExitStack() as stack:
            progress = stack.enter_context(Progress("objects compared", self.total))
            for source in self.sources:
                stack.enter_context(contextlib.closing(source))
            objects = itertools.chain.from_iterable(self.sources)
            comparison = compare(objects, setting, processes or available(), progress.advance)
        if not comparison.objects:
            raise CommandError("no objects: nothing was found where they were looked for")
        return Report(comparison, sides, realm, self.now)


def _count(paths: Sequence[str]) -> int | None:
    counts = [count_keys(path) for path in paths] if sys.stderr.isatty() else [None]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _sources(
    options: Mapping[str, Any], listings: Sequence[str], aws: Aws, assumed: Assumed
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
