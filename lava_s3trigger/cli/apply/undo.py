"""The file with the entries that `apply` replaced, and the changes that undo it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lava_s3trigger.cli.entries.dynamodb import AttributeReader, untyped
from lava_s3trigger.cli.entries.positions import Node
from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.state_files import save
from lava_s3trigger.cli.output.streams import VERSION, naming

from .difference import Change, Difference, is_equal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .difference import Item
    from .write import Table

_COMMAND = "apply"


class Saved(NamedTuple):
    """The changes that a run of `apply` was about to write."""

    realm: str
    table_arn: str
    changes: list[Change]


def save_changes(realm: str, table_arn: str, changes: Iterable[Change]) -> Path:
    """Save changes before the first one is written; return the path of the file.

    Raises:
        CommandError: The file cannot be written.
    """
    document = {
        "command": _COMMAND,
        "realm": realm,
        "table": table_arn,
        "changes": [
            {
                "trigger_id": change.trigger_id,
                "before": _as_json(change.before),
                "after": _as_json(change.after),
            }
            for change in changes
        ],
    }
    return save(f"{_COMMAND}-{realm}", document)


def read_changes(path: str) -> Saved:
    """Read a file of `save_changes`.

    Raises:
        CommandError: The file cannot be read, or is another kind of file.
    """
    with naming(path):
        text = Path(path).read_text(encoding="utf-8")
    try:
        document = json.loads(text)
        is_ours = (document["version"], document["command"]) == (VERSION, _COMMAND)
        changes = [
            Change(change["trigger_id"], _item(change["before"]), _item(change["after"]), path)
            for change in document["changes"]
        ]
        saved = Saved(str(document["realm"]), str(document["table"]), changes)
    except (ValueError, KeyError, TypeError):
        is_ours = False
    if not is_ours:
        message = f"{safe(path)}: this is not a file that `apply` saved; it prints their names"
        raise CommandError(message, WRONG_USAGE)
    return saved


def undoing(saved: Saved, table: Table) -> Difference:
    """Return the changes that restore the replaced entries, if nobody changed them since."""
    result = Difference()
    for change in saved.changes:
        now = table.read(change.trigger_id)
        if is_equal(now, change.before):
            result.unchanged += 1
        elif is_equal(now, change.after):
            result.changes.append(Change(change.trigger_id, now, change.before, change.source))
        else:
            result.conflicts.append(
                (change.trigger_id, "it was changed after that run: left as is")
            )
    return result


def _as_json(item: Item | None) -> Any:
    return None if item is None else {name: _encoded(value) for name, value in item.items()}


def _encoded(value: Any) -> Any:
    """Return an attribute, or a part of one, with its binary values in base64."""
    match value:
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case dict():
            return {name: _encoded(member) for name, member in value.items()}
        case list():
            return [_encoded(member) for member in value]
        case _:
            return value


def _item(value: Any) -> Item | None:
    if value is None:
        return None
    reader = AttributeReader("")
    item = reader.item(untyped(Node.of(value)))
    if reader.problems:
        raise ValueError(reader.problems[0].message)
    return item
