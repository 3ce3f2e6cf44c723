"""Configuration, from the environment. See docs/design.md#configuration."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from . import units
from .errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

# What SQS allows: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
SQS_MAX_DELAY_MINUTES: Final = 15
_LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_MODES: Final = ("dispatch", "observe")
_SWITCHES: Final = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the function is told by its environment.

    Each is read from ``LAVA_<NAME>``, else ``<NAME>``; empty counts as not set.
    """

    realm: str
    """Name of the realm, of whose tables and queues the names are made."""
    cache_ttl: float = 60.0
    """Seconds for which triggers and jobs are remembered; 0: for the invocation."""
    dedup_cache_size: int = 0
    """Recent events to remember; 0 turns the cache off."""
    dedup_ttl: float = 30.0
    """Seconds within which the same event is a duplicate."""
    dedup_table: str | None = None
    """Name of the DynamoDB table in which all instances share recent events."""
    dead_letter_queue: str | None = None
    """Name of the queue for what is parked."""
    max_delay: float = SQS_MAX_DELAY_MINUTES * 60.0
    """Longest delay in seconds that a trigger may ask for."""
    log_level: int = logging.INFO
    metrics: bool = True
    """Whether the summary of each invocation is a document of metrics."""
    mode: str = "dispatch"
    """``dispatch``; or ``observe``: decide and log everything, and send nothing."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read the settings.

        Raises:
            SettingsError: A value is missing or cannot be used; one line that
                names the variable, the value and what would do.
        """
        read = _Reader(env)
        return cls(
            realm=read("LAVA_REALM", None, _realm, "the name of a lava realm"),
            cache_ttl=read("S3TRIGGER_CACHE_TTL", "60s", _positive_duration, _DURATION),
            dedup_cache_size=read(
                "S3TRIGGER_DEDUP_CACHE_SIZE", "0", _count, "a number of entries, 0 or more"
            ),
            dedup_ttl=read("S3TRIGGER_DEDUP_TTL", "30s", _positive_duration, _DURATION),
            dedup_table=read(
                "S3TRIGGER_DEDUP_TABLE", "", _table, "the name of a DynamoDB table, not its ARN"
            ),
            dead_letter_queue=read(
                "S3TRIGGER_DEAD_LETTER_QUEUE", "", _queue, "the name of an SQS queue, not its URL"
            ),
            max_delay=read(
                "SQS_MAX_DELAY_MINS",
                str(SQS_MAX_DELAY_MINUTES),
                _delay_minutes,
                f"a number of minutes, 0 to {SQS_MAX_DELAY_MINUTES}",
            ),
            log_level=read("LOGLEVEL", "info", _level, f"one of {', '.join(_LEVELS)}"),
            metrics=read("S3TRIGGER_METRICS", "true", _switch, f"one of {', '.join(_SWITCHES)}"),
            mode=read("S3TRIGGER_MODE", "dispatch", _mode, f"one of {', '.join(_MODES)}"),
        )


_DURATION: Final = "a duration, 0 or more, such as 60, 60s or 5m"


class _Reader:
    """Reads variables, and names the one that was found in what it raises."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def __call__(
        self, name: str, default: str | None, parse: Callable[[str], T], expected: str
    ) -> T:
        names = [name] if name.startswith("LAVA_") else [f"LAVA_{name}", name]
        found = next((each for each in names if self._env.get(each)), None)
        value = self._env[found] if found else default
        if value is None:
            raise SettingsError(name, None, expected)
        try:
            return parse(value)
        except (ValueError, KeyError):
            raise SettingsError(found or name, value, expected) from None


def _realm(value: str) -> str:
    # Narrower than the names of tables and queues allow would shut out a realm
    # that runs today; lava's own rule for new realms stands in template.yaml.
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,60}", value):
        raise ValueError(value)
    return value


def _queue(value: str) -> str | None:
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
    if value and not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", value):
        raise ValueError(value)
    return value or None


def _table(value: str) -> str | None:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
    if value and not re.fullmatch(r"[A-Za-z0-9_.-]{3,255}", value):
        raise ValueError(value)
    return value or None


def _positive_duration(value: str) -> float:
    seconds = units.duration(value)
    if not 0 <= seconds < float("inf"):
        raise ValueError(value)
    return seconds


def _count(value: str) -> int:
    number = int(value)
    if number < 0:
        raise ValueError(value)
    return number


def _delay_minutes(value: str) -> float:
    minutes = float(value)
    if not 0 <= minutes <= SQS_MAX_DELAY_MINUTES:
        raise ValueError(value)
    return minutes * 60


def _level(value: str) -> int:
    if value.lower() not in _LEVELS:
        raise ValueError(value)
    return logging.getLevelNamesMapping()[value.upper()]


def _switch(value: str) -> bool:
    return _SWITCHES[value.lower()]


def _mode(value: str) -> str:
    if value.lower() not in _MODES:
        raise ValueError(value)
    return value.lower()
