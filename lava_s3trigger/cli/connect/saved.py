"""The file with the parts that a run replaced, and how to restore them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.state_files import save
from lava_s3trigger.cli.output.streams import VERSION, naming

from .changes import Change, is_equal
from .plan import Plan

if TYPE_CHECKING:
    from lava_s3trigger.cli.deployed.realm import Deployment

    from .changes import Parts

_FIELDS: Final = ("realm", "function", "function_arn", "bucket")


def save_plan(command: str, deployed: Deployment, bucket: str, plan: Plan) -> Path:
    """Write a plan to a new file below the user's state folder, and return its path.

    Raises:
        CommandError: The file cannot be written.
    """
    document = {
        "command": command,
        "realm": deployed.realm,
        "function": deployed.function_name,
        "function_arn": deployed.function_arn,
        "bucket": bucket,
        "first": [change.as_json() for change in plan.first],
        "then": [change.as_json() for change in plan.then],
    }
    return save(f"{command}-{bucket}", document)


@dataclass(frozen=True, slots=True)
class Saved:
    """The changes that a run was about to make."""

    realm: str
    function: str
    function_arn: str
    bucket: str
    plan: Plan

    def undoing(self, parts: Parts) -> tuple[Plan, tuple[str, ...]]:
        """Return the plan that undoes the run, and the reasons against undoing it.

        Changes that the run did not make are left out. A part that has changed since is a reason.
        """
        undone = self.plan.undone
        now: dict[tuple[str, str, str | None], Any] = {}
        stages: list[tuple[Change, ...]] = []
        refused = []
        for stage in (undone.first, undone.then):
            kept = []
            for change in stage:
                if change.place not in now:
                    now[change.place] = parts.read(*change.place)
                state = now[change.place]
                if is_equal(change.kind, state, change.after):
                    continue
                if change.starts_at(state):
                    kept.append(replace(change, before=state))
                    now[change.place] = change.after
                elif not self._is_earlier(change, state):
                    refused.append(f"{change.subject}: changed since the run")
            stages.append(tuple(kept))
        return Plan(stages[0], stages[1]), tuple(refused)

    def _is_earlier(self, change: Change, now: Any) -> bool:
        """Return whether a part is in a state in which the run left it when it was interrupted."""
        states = [
            state
            for other in self.plan.changes
            if other.place == change.place
            for state in (other.before, other.after)
        ]
        return any(is_equal(change.kind, now, state) for state in states)


def read_saved(path: str) -> Saved:
    """Read the file of a run.

    Raises:
        CommandError: It cannot be read, or is another file.
    """
    with naming(path):
        text = Path(path).read_text(encoding="utf-8")
    try:
        document = json.loads(text)
        stages = [
            tuple(Change(**change) for change in document[name]) for name in ("first", "then")
        ]
        fields = {name: document[name] for name in _FIELDS}
        is_valid = document["version"] == VERSION and {*map(type, fields.values())} == {str}
    except (ValueError, TypeError, KeyError):
        is_valid = False
    if not is_valid:
        message = f"{safe(path)}: not a file that connect or disconnect saved"
        raise CommandError(message, WRONG_USAGE)
    return Saved(**fields, plan=Plan(*stages))
