"""The part of `plan` that other commands use: effects of a change, and how to show values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .entry_sets import Side, Sides
from .objects import NamedObjects
from .report import difference_line, differences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lava_s3trigger.cli.deployed.aws import Aws
    from lava_s3trigger.cli.entries.load import Entry

    from .report import Report

__all__ = ["difference_line", "differences", "plan_of"]


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
