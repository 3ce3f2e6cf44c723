"""The part of `plan` that other commands use: effects of a change, and how to show values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .entry_sets import Side, Sides
from .objects import NamedObjects
from .parallel import Setting, compare
from .report import Report, difference_line, differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lava_s3trigger.cli.deployed.aws import Aws
    from lava_s3trigger.cli.entries.load import Entry
    from lava_s3trigger.cli.objects.record import S3Object

__all__ = ["difference_line", "differences", "plan_of", "plan_of_objects"]


def plan_of(  # noqa: PLR0913 - both sides, and where objects are
    before: Sequence[Entry],
    after: Sequence[Entry],
    jobs: Sequence[Entry],
    *,
    realm: str,
    options: Mapping[str, Any],
    listings: Sequence[str],
    aws: Aws,
) -> Report | None:
    """Compare a realm's entries before and after a change, for the objects that options name.

    Args:
        before: The entries in the table.
        after: The planned entries.
        jobs: The job entries of the realm.
        realm: Name of the realm.
        options: See `NamedObjects.of`.
        listings: S3 URIs.
        aws: The account of the objects.

    Returns:
        The report; None if no objects are named.

    Raises:
        CommandError: The objects cannot be read, or there are none.
    """
    objects = NamedObjects.of(options, listings, aws, datetime.now(UTC))
    if not objects:
        return None
    table = f"lava.{realm}.s3triggers"
    sides = Sides(
        Side(table, before, jobs, f"lava.{realm}.jobs"),
        Side(f"{table} after the change", after, jobs, f"lava.{realm}.jobs"),
    )
    return objects.compared(sides, realm)


def plan_of_objects(  # noqa: PLR0913 - both sides, and where objects are
    before: tuple[str, Sequence[Entry]],
    after: tuple[str, Sequence[Entry]],
    jobs: Sequence[Entry] | None,
    objects: Iterable[S3Object],
    *,
    realm: str | None,
    region: str,
    now: datetime,
) -> Report:
    """Return what a change of entries does to objects; decided in this process.

    Args:
        before: The name, for people, and the existing entries.
        after: The same of those that would be.
        jobs: Job entries; None where they are not known.
        objects: The objects.
        realm: Name of the realm.
        region: AWS region of the objects.
        now: The time that templates read.

    Raises:
        CommandError: An object cannot be read.
    """
    sides = Sides(Side(*before, jobs, before[0]), Side(*after, jobs, before[0]))
    comparison = compare(objects, Setting(sides, region, now), 1, lambda _: None)
    return Report(comparison, sides, realm, now)
