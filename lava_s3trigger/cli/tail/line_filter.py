"""Which lines of the function's log a command shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.deployed.log_group import pattern_of
from lava_s3trigger.cli.objects.key_patterns import key_patterns
from lava_s3trigger.conditions import KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lava_s3trigger.cli.deployed.log_line import LogLine


@dataclass(frozen=True, slots=True)
class LineFilter:
    """Chooses lines: those that have one of the values for each field that is asked for."""

    triggers: Collection[str] = ()
    jobs: Collection[str] = ()
    outcomes: Collection[str] = ()
    keys: Sequence[str] = ()
    """Patterns, as of `if_fnmatch`."""
    _patterns: Any = None

    @classmethod
    def of(
        cls,
        triggers: Collection[str],
        jobs: Collection[str],
        outcomes: Collection[str],
        keys: Sequence[str],
    ) -> LineFilter:
        """Return a filter.

        Raises:
            CommandError: A pattern cannot be read.
        """
        patterns = key_patterns("--key", keys) if keys else None
        return cls(triggers, jobs, outcomes, keys, patterns)

    @property
    def is_empty(self) -> bool:
        """Whether it lets all lines through."""
        return not (self.triggers or self.jobs or self.outcomes or self.keys)

    @property
    def pattern(self) -> str:
        """A filter pattern of CloudWatch Logs, which lets through what this does, and more."""
        alone = [each for each in (self.triggers, self.jobs, self.outcomes) if len(each) == 1]
        return pattern_of(*(name for names in alone for name in names))

    def chooses(self, line: LogLine) -> bool:
        """Tell whether it chooses a line."""
        if self.outcomes and line.event not in self.outcomes:
            return False
        if self.triggers and line.text("trigger_id") not in self.triggers:
            return False
        if self.jobs and line.text("job_id") not in self.jobs:
            return False
        if not self.keys:
            return True
        key = line.text("key")
        return key is not None and bool(KINDS["fnmatch"].test(key, self._patterns))
