"""The text of a draft: of an entry, and with a change that `explain` suggests."""

from __future__ import annotations

import io
import json
import re
import textwrap
from typing import TYPE_CHECKING, Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lava_s3trigger.cli.entries.load import load_texts
from lava_s3trigger.cli.errors import CommandError

if TYPE_CHECKING:
    from lava_s3trigger.cli.entries.load import Entry

_SET: Final = re.compile(r"(?P<field>[^ :]+): (?P<value>.*)", re.DOTALL)
_REMOVED: Final = re.compile(r"remove (?P<path>.+)", re.DOTALL)
_RENAMED: Final = re.compile(r"rename (?P<old>.+) to (?P<new>[^ ]+)", re.DOTALL)
_REMOVED_ENTRY: Final = "remove the entry"


def text_of(entry: Entry) -> str:
    """Return an entry as YAML: as its file has it, comments and all, or else as its values say."""
    if entry.node and entry.file:
        span = entry.node.span
        lines = entry.file.text[span.start : span.end].split("\n")
        # What follows an entry up to the next one belongs to that.
        while lines and (not lines[-1].strip() or lines[-1].startswith("#")):
            lines.pop()
        text = textwrap.dedent(" " * (span.column - 1) + "\n".join(lines)) + "\n"
        read = load_texts([("entry.yaml", text)]).entries
        # Not where it needs what is elsewhere in the file, such as an anchor.
        if [parsed.item for parsed in read] == [entry.item]:
            return text
    return _dumped({name: entry.value(name) for name in entry.item})


def changed(text: str, change: str) -> str:
    """Return the text of an entry with a change; empty where the change removes it.

    Args:
        text: YAML with one entry.
        change: A line as `explain` writes it; see `explain.changes`.

    Raises:
        CommandError: The text is not an entry, or the change is not about its fields.
    """
    if change.startswith(_REMOVED_ENTRY):
        return ""
    try:
        document = _round_trip().load(text)
    except YAMLError as error:
        raise CommandError(f"the draft is not YAML: {error}") from None
    entry = document[0] if isinstance(document, list) and len(document) == 1 else document
    if not isinstance(entry, dict):
        raise CommandError("the draft does not have one entry")
    _change(entry, change)
    return _dumped(document)


def _change(entry: Any, change: str) -> None:
    if renamed := _RENAMED.fullmatch(change):
        old, new = renamed["old"], renamed["new"]
        if old in entry:
            entry.insert(list(entry).index(old), new, entry[old])
            del entry[old]
    elif removed := _REMOVED.fullmatch(change):
        field, _, inner = removed["path"].partition(".")
        if field in entry and not inner:
            del entry[field]
        elif isinstance(entry.get(field), dict):
            entry[field].pop(inner, None)
    elif to_set := _SET.fullmatch(change):
        entry[to_set["field"]] = json.loads(to_set["value"])
    else:
        raise CommandError(f"this is not about a field of an entry: {change}")


def _round_trip() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 100
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _dumped(value: Any) -> str:
    stream = io.StringIO()
    _round_trip().dump(value, stream)
    return stream.getvalue()
