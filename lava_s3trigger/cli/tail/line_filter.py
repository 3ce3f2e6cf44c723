"""Chooses the lines of the function's log that a command shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.deployed.log_group import pattern_of
from lava_s3trigger.cli.objects.key_patterns import key_patterns
from lava_s3trigger.conditions import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lava_s3trigger.cli.deployed.log_line import LogLine

_WORDS: Final = {"observed": "observe", "user_error": ""}
"""Words in lines of a function that only observes, if they differ from the outcome."""


class LineFilter:
    """Chooses the lines that have, for each option, one of its values.

    Args:
        triggers: Ids of triggers.
        jobs: Ids of jobs.
        outcomes: Events of the log.
        keys: Patterns, as in `if_fnmatch`.

    Raises:
        CommandError: A pattern cannot be read.
    """

    def __init__(
        self,
        triggers: Sequence[str],
        jobs: Sequence[str],
        outcomes: Sequence[str],
        keys: Sequence[str],
    ) -> None:
        self._names = {"trigger_id": triggers, "job_id": jobs}
        self._outcomes = outcomes
        self._keys = key_patterns("--key", keys) if keys else None
        words = [_WORDS.get(outcome, outcome) for outcome in outcomes]
        alone = [values[0] for values in (triggers, jobs, words) if len(values) == 1]
        self.pattern = pattern_of(*alone)
        """A filter pattern of CloudWatch Logs, which matches the chosen lines, and more."""
        self.is_empty = not (triggers or jobs or outcomes or keys)
        """Whether it chooses all lines."""

    def chooses(self, line: LogLine) -> bool:
        """Return whether it chooses a line."""
        if self._outcomes and line.event not in self._outcomes:
            return False
        if any(ids and line.text(name) not in ids for name, ids in self._names.items()):
            return False
        if self._keys is None:
            return True
        key = line.text("key")
        return key is not None and bool(KINDS["fnmatch"].test(key, self._keys))
