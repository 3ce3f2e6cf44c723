"""Runs `apply` on a realm of the local server, or on a table of the test's own endpoint."""

import base64
import contextlib
import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st

from lava_s3trigger.aws.attributes import value_of
from lava_s3trigger.cli.apply.difference import Change, is_same, item_of
from lava_s3trigger.cli.apply.write import Table
from lava_s3trigger.cli.entries.dynamodb import canonical
from lava_s3trigger.cli.entries.load import load_texts
from tests.build import item, job_entry, trigger_entry
from tests.processes import signals_received
from tools.local.realm import Realm
from tools.local.server import ACCESS_KEY, REGION, SECRET_KEY

from .commandline import CommandLine, Ran

SET: Final = "x-s3trigger-set"
JOB: Final = job_entry()


def entry(trigger_id: str, prefix: str = "in", **fields: Any) -> dict[str, Any]:
    """Return an entry in which `check` finds nothing."""
    return trigger_entry(trigger_id, prefix, **{"description": "d", "owner": "o", **fields})


def written(fields: dict[str, Any], set_name: str = "orders") -> Any:
    """Return what the table must hold of an entry of a file, to be compared."""
    return canonical({"M": item({**fields, SET: set_name})})


def undo_file(errors: str) -> str:
    [command] = [each for each in errors.splitlines() if "--undo" in each]
    words = shlex.split(command)
    assert words[-1].startswith("--endpoint-url=")  # it goes to the same place
    return words[words.index("--undo") + 1]


@dataclass(frozen=True)
class Applying:
    """A realm, and a folder of entries that are put into it."""

    line: CommandLine
    realm: Realm
    client: Any
    """Of DynamoDB."""
    endpoint: str
    folder: Path

    @property
    def table(self) -> str:
        return f"lava.{self.realm.name}.s3triggers"

    @property
    def entries(self) -> str:
        return str(self.folder / "entries")

    def write(self, *entries: dict[str, Any]) -> None:
        """Have the folder hold these entries, a file each, and no others."""
        folder = self.folder / "entries"
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        for number, each in enumerate(entries):
            (folder / f"{number}.json").write_text(json.dumps(each))

    def put(self, *entries: dict[str, Any]) -> None:
        self.realm.put("s3triggers", entries)

    @property
    def where(self) -> list[str]:
        return ["--realm", self.realm.name, "--region", REGION, "--endpoint-url", self.endpoint]

    def run(self, *arguments: str, status: int | None = None) -> Ran:
        ran = self.line("apply", *arguments, *self.where)
        assert status in (None, ran.status), ran.errors + ran.output
        return ran

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        environment = os.environ | {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "XDG_STATE_HOME": str(self.folder / "state"),
            "TERM": "xterm",
        }
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, "-m", "lava_s3trigger", "apply", *arguments, *self.where]
        with signals_received():
            return subprocess.Popen(command, env=environment, text=True, **pipes | options)

    def apply(self, *arguments: str, status: int | None = None) -> Ran:
        """Put the folder into the table as the set ``orders``, without a question."""
        return self.run(self.entries, "--set", "orders", "--yes", *arguments, status=status)

    def applied(self, *entries: dict[str, Any]) -> str:
        """Put entries into the table as the set ``orders``; return the file that was saved."""
        self.write(*entries)
        return undo_file(self.apply(status=0).errors)

    def undo(self, path: str, *arguments: str, status: int = 0) -> Ran:
        return self.run("--undo", path, "--yes", *arguments, status=status)

    def json(self, *arguments: str, status: int | None = None) -> Any:
        return self.apply(*arguments, "--format", "json", status=status).json()

    def items(self) -> dict[str, Any]:
        """Return what the table holds, by trigger id, to be compared."""
        pages = self.client.get_paginator("scan").paginate(TableName=self.table)
        found = [each for page in pages for each in page["Items"]]
        return {each["trigger_id"]["S"]: canonical({"M": each}) for each in found}


_NUMBERS = st.one_of(
    st.integers(-(10**37), 10**37),
    st.decimals(
        allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9
    ),
    st.sampled_from([Decimal("1E+100"), Decimal("-9.99E-100"), Decimal("0.1000"), Decimal("1e3")]),
)
_TEXTS = st.one_of(
    st.text(max_size=8), st.sampled_from(["", "2026-03-14", "true", "1e3", "0x10", "~", "\x00"])
)
_BYTES = st.binary(max_size=8)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


_ATTRIBUTES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        _TEXTS.map(lambda value: {"S": value}),
        _NUMBERS.map(lambda value: {"N": str(value)}),
        st.booleans().map(lambda value: {"BOOL": value}),
        st.just({"NULL": True}),
        _BYTES.map(lambda value: {"B": _base64(value)}),
        st.sets(_TEXTS, min_size=1, max_size=3).map(lambda values: {"SS": sorted(values)}),
        st.sets(st.integers(), min_size=1, max_size=3).map(
            lambda values: {"NS": [str(each)[:30] for each in sorted(values)]}
        ),
        st.sets(_BYTES, min_size=1, max_size=3).map(
            lambda values: {"BS": [_base64(each) for each in sorted(values)]}
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: {"L": values}),
        st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3).map(
            lambda values: {"M": values}
        ),
    ),
    max_leaves=8,
)


def items() -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for the custom fields of an entry, in DynamoDB's JSON."""
    names = st.text("abc", min_size=1, max_size=3).map(lambda name: f"x-{name}")
    return st.dictionaries(names, _ATTRIBUTES, min_size=1, max_size=4)


def write_and_change(client: Any, table_name: str, fields: dict[str, Any]) -> None:
    """Assert that an item of a file is written as its reader says, and changed on its condition."""
    text = json.dumps(item(entry("t")) | fields)
    [read] = load_texts([("t.json", text)]).entries
    assert read.problems == []
    client.delete_item(TableName=table_name, Key={"trigger_id": {"S": "t"}})
    table = Table(client, table_name)

    def now() -> Any:
        return client.get_item(TableName=table_name, Key={"trigger_id": {"S": "t"}})["Item"]

    wanted = item_of(read, "orders")
    assert table.write(Change("t", None, wanted)) is None
    assert canonical({"M": now()}) == canonical({"M": wanted})
    assert _plain_of(now()) == _plain_of(read.item | {SET: {"S": "orders"}})
    assert is_same(now(), wanted)
    changed = {**wanted, "delay": {"N": "1"}}
    assert table.write(Change("t", now(), changed)) is None
    assert canonical({"M": now()}) == canonical({"M": changed})
    assert table.write(Change("t", wanted, wanted)) is not None  # it is no longer so
    assert table.write(Change("t", now(), None)) is None


def _plain_of(found: dict[str, Any]) -> dict[str, Any]:
    """Return the values that the function has of an item, without those that it refuses."""
    plain = {}
    for name, value in found.items():
        with contextlib.suppress(ValueError):
            plain[name] = value_of(value, name)
    return plain
