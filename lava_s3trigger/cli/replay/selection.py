"""The objects of a replay: their sources, and how they are chosen."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from lava_s3trigger import units
from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.objects import sources
from lava_s3trigger.cli.objects.key_patterns import key_patterns
from lava_s3trigger.cli.objects.record import Assumed
from lava_s3trigger.cli.objects.uri import CREATED, SCHEME
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.conditions import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lava_s3trigger.cli.deployed.aws import Aws
    from lava_s3trigger.cli.objects.record import S3Object

T = TypeVar("T")

UNKNOWN_SIZE: Final = -1
"""The size of an object for which the source has none: S3 must be asked."""
_UNKNOWN_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The objects that a user wants to replay."""

    listings: tuple[str, ...] = ()
    """S3 URIs of prefixes."""
    inventories: tuple[str, ...] = ()
    """Files or S3 URIs of manifests and data files of S3 Inventory."""
    keys: tuple[str, ...] = ()
    """Files of keys or S3 URIs."""
    bucket: str | None = None
    """Bucket of plain keys."""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    larger_than: str | None = None
    since: str | None = None
    until: str | None = None
    event_type: str = CREATED
    chosen_by: str = "all"
    """``all``, ``would-fire`` or ``missing``."""
    settle: str = "15m"
    """The age from which an object can count as missing."""

    @property
    def is_empty(self) -> bool:
        """Whether it names no objects."""
        return not (self.listings or self.inventories or self.keys)

    @property
    def fingerprint(self) -> str:
        """Return a digest that differs for other selections, even from another folder."""
        fields = asdict(self)
        for name in ("inventories", "keys"):
            fields[name] = [
                path if path.startswith(SCHEME) else str(Path(path).absolute())
                for path in fields[name]
            ]
        return hashlib.sha256(json.dumps(fields).encode()).hexdigest()

    def objects(self, aws: Aws) -> Iterator[S3Object]:
        """Yield the objects of the sources with matching keys.

        Raises:
            CommandError: A source cannot be read.
        """
        assumed = Assumed(time=_UNKNOWN_TIME, size=UNKNOWN_SIZE, event_type=self.event_type)
        chooses = self._chooser_of_keys()
        for s3_object in self._sources(aws, assumed):
            if chooses(s3_object.key):
                yield s3_object

    def _sources(self, aws: Aws, assumed: Assumed) -> Iterator[S3Object]:
        for uri in self.listings:
            yield from sources.of_listing(uri, aws, assumed)
        for path in self.inventories:
            yield from sources.of_inventory(path, aws, assumed)
        for path in self.keys:
            yield from sources.of_keys(path, self.bucket, assumed)

    def _chooser_of_keys(self) -> Callable[[str], bool]:
        # Matched as by if_fnmatch.
        kind = KINDS["fnmatch"]
        include, exclude = (
            key_patterns("--include", self.include),
            key_patterns("--exclude", self.exclude),
        )
        return lambda key: (
            (not self.include or kind.test(key, include))
            and not (self.exclude and kind.test(key, exclude))
        )

    def chooser(self, now: datetime) -> Callable[[int, float], bool]:
        """Return a filter by size in bytes and time in seconds since 1970.

        Args:
            now: The time to which durations are relative.

        Raises:
            CommandError: An option has no such value.
        """
        larger_than = _read("--larger-than", self.larger_than, units.size, float(UNKNOWN_SIZE))
        since = _read("--since", self.since, lambda text: _time(text, now), 0.0)
        until = _read("--until", self.until, lambda text: _time(text, now), float("inf"))
        if since >= until:
            raise CommandError(
                f"--since {safe(str(self.since))} is not before --until {safe(str(self.until))}",
                WRONG_USAGE,
            )
        return lambda size, time: size > larger_than and since <= time < until

    @property
    def settle_seconds(self) -> float:
        """The age in seconds from which an object can count as missing, since the log comes late.

        Raises:
            CommandError: It is not a duration.
        """
        return abs(_read("--settle", self.settle, units.duration, 0.0))

    def check(self, now: datetime) -> None:
        """Read all options, so that mistakes are reported before anything is done.

        Raises:
            CommandError: An option has no such value.
        """
        self._chooser_of_keys()
        self.chooser(now)
        _ = self.settle_seconds
        for uri in self.listings:
            if not uri.startswith(SCHEME):
                raise CommandError(
                    f"{safe(uri)}: not an S3 URI: write s3://BUCKET/PREFIX; a file of keys"
                    " is given with --keys, an inventory with --inventory",
                    WRONG_USAGE,
                )


def _read(option: str, value: Any, read: Callable[[Any], T], default: T) -> T:
    if value is None:
        return default
    try:
        return read(value)
    except (ValueError, re.error) as error:
        raise CommandError(f"{option}: {safe(str(error))}", WRONG_USAGE) from None


def _time(text: str, now: datetime) -> float:
    return sources.read_since(text, now).timestamp()
