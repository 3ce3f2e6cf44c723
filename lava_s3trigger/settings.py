"""Configuration, from the environment. See docs/design.md#configuration."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from . import units
from .errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# What SQS allows: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
SQS_MAX_DELAY_MINUTES: Final = 15
_LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_MODES: Final = ("dispatch", "observe")
_SWITCHES: Final = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}


def _duration(value: str) -> float:
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
    return logging.getLevelNamesMapping()[_one_of(_LEVELS)(value).upper()]


def _one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    return lambda value: words[words.index(value.lower())]


def _name(pattern: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(value)
        return value

    return read


def _variable(
    name: str, read: Callable[[str], Any], expected: str, **default: Any
) -> Any:  # as `dataclasses.field`
    return field(metadata={"name": name, "read": read, "expected": expected}, **default)


_DURATION: Final = "a duration, 0 or more, such as 60, 60s or 5m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The configuration of the function.

    Each variable is read from ``LAVA_<NAME>``, else ``<NAME>``; empty counts as not set.
    """

    # What the names of tables and queues allow. A stricter rule would refuse existing
    # realms; lava's rule for new ones is in template.yaml.
    realm: str = _variable("LAVA_REALM", _name(r"[A-Za-z0-9_-]{1,60}"), "the name of a lava realm")
    """Name of the realm; the names of its tables and queues contain it."""
    cache_ttl: float = _variable("S3TRIGGER_CACHE_TTL", _duration, _DURATION, default=60.0)
    """Seconds for which triggers and jobs are remembered; 0: for the invocation."""
    dedup_cache_size: int = _variable(
        "S3TRIGGER_DEDUP_CACHE_SIZE", _count, "a number of entries, 0 or more", default=0
    )
    """Recent events to remember; 0 turns the cache off."""
    dedup_ttl: float = _variable("S3TRIGGER_DEDUP_TTL", _duration, _DURATION, default=30.0)
    """Seconds within which the same event is a duplicate."""
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
    dedup_table: str | None = _variable(
        "S3TRIGGER_DEDUP_TABLE",
        _name(r"[A-Za-z0-9_.-]{3,255}"),
        "the name of a DynamoDB table, not its ARN",
        default=None,
    )
    """Name of the DynamoDB table in which all instances share recent events."""
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
    dead_letter_queue: str | None = _variable(
        "S3TRIGGER_DEAD_LETTER_QUEUE",
        _name(r"[A-Za-z0-9_-]{1,80}"),
        "the name of an SQS queue, not its URL",
        default=None,
    )
    """Name of the queue for parked messages."""
    max_delay: float = _variable(
        "SQS_MAX_DELAY_MINS",
        _delay_minutes,
        f"a number of minutes, 0 to {SQS_MAX_DELAY_MINUTES}",
        default=SQS_MAX_DELAY_MINUTES * 60.0,
    )
    """Longest delay in seconds that a trigger may ask for."""
    log_level: int = _variable(
        "LOGLEVEL", _level, f"one of {', '.join(_LEVELS)}", default=logging.INFO
    )
    metrics: bool = _variable(
        "S3TRIGGER_METRICS",
        lambda value: _SWITCHES[value.lower()],
        f"one of {', '.join(_SWITCHES)}",
        default=True,
    )
    """Whether the summary of each invocation is a document of metrics."""
    mode: str = _variable(
        "S3TRIGGER_MODE", _one_of(_MODES), f"one of {', '.join(_MODES)}", default="dispatch"
    )
    """``dispatch``; or ``observe``: decide and log everything, and send nothing."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read the settings.

        Raises:
            SettingsError: A value is missing or cannot be used. The message is one line with
                the variable, the value and what is expected.
        """
        values = {}
        for setting in fields(cls):
            name, read, expected = setting.metadata.values()
            names = dict.fromkeys([name if name.startswith("LAVA_") else f"LAVA_{name}", name])
            name = next((alias for alias in names if env.get(alias)), name)
            value = env.get(name)
            if value:
                try:
                    values[setting.name] = read(value)
                except (ValueError, KeyError):
                    raise SettingsError(name, value, expected) from None
            elif setting.name == "realm":
                raise SettingsError(name, None, expected)
        return cls(**values)
