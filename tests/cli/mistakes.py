"""Mistakes of `mistakes.yaml`, each as a file with one entry, and the place where it is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML

from tests.cli.checking import trigger

TABLE: Final = Path(__file__).with_name("mistakes.yaml")
MARK: Final = "»"
JOB: Final = {"job_id": "j", "type": "exe", "worker": "core", "payload": "x", "enabled": True}


class Mistake(NamedTuple):
    """A file with a mistake."""

    rule: str
    name: str
    """Of the file: half of the mistakes are in YAML, half in JSON."""
    text: str
    line: int
    column: int


def mistakes() -> Iterator[Mistake]:
    """Yield the mistakes of the table."""
    number = 0
    for row in YAML(typ="safe").load(TABLE.read_text()):
        for value in row.get("values", [row.get("value")]):
            number += 1
            yield _mistake(row, value, is_json=bool(number % 2) and not row.get("plain"))


def _mistake(row: dict[str, Any], value: Any, *, is_json: bool) -> Mistake:
    entry = {**JOB} if row.get("job") else trigger(bucket="orders", prefix="incoming")
    entry |= row.get("with", {})
    path = row.get("field", "").split(".")
    planted = json.dumps(value, ensure_ascii=False)
    at = max(planted.find(MARK), 0)
    if isinstance(value, list) and at:
        at -= 1  # the place of a string is that of its quote
    elif row.get("plain"):
        planted = "" if value is None else str(value)
    planted = planted.replace(MARK, "")
    if "name" in row:
        path, at = [row["name"]], -1
        if "of" in row:
            path = [row["of"], row["name"]]
    for name in (path[0], *row.get("without", [])):
        entry.pop(name, None)
    lines = _lines(entry, is_json=is_json)
    line, column = 1, 2 if is_json else 3  # of the entry
    if path[0]:
        lines, line, column = _planted(lines, path, planted, at, is_json=is_json)
    if is_json:
        text = "\n".join(["[{", *lines]).removesuffix(",") + "\n}]"
    else:
        text = "- " + "\n".join(lines).lstrip() + "\n"
        line -= bool(path[0])
    return Mistake(row["rule"], "t.json" if is_json else "t.yaml", text, line, column)


def _lines(entry: dict[str, Any], *, is_json: bool) -> list[str]:
    end = "," if is_json else ""
    return [
        f"  {_name(name, is_json=is_json)}{json.dumps(value)}{end}" for name, value in entry.items()
    ]


def _name(name: str, *, is_json: bool) -> str:
    return f'"{name}": ' if is_json else f"{name}: "


def _planted(
    lines: list[str], path: list[str], value: str, at: int, *, is_json: bool
) -> tuple[list[str], int, int]:
    """Return the lines with a value at their end, its line, and its column."""
    *outer, last = path
    before = "  "
    for name in outer:
        opening = "[{" if name == "x-tests" else "{"
        before += f"{_name(name, is_json=is_json)}{opening}"
        value += "}]" if name == "x-tests" else "}"
    name = _name(last, is_json=is_json)
    column = len(before) + 1 + (0 if at < 0 else len(name) + at)
    return [*lines, f"{before}{name}{value}"], len(lines) + 2, column
