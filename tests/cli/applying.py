"""Runs `apply` on a realm of the local server, or on a table of the test's own endpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.entries.dynamodb import attribute_of, canonical
from tools.local.server import REGION

if TYPE_CHECKING:
    from pathlib import Path

    from tools.local.realm import Realm

    from .commandline import CommandLine, Ran

SET: Final = "x-s3trigger-set"


def entry(trigger_id: str, prefix: str = "in", **fields: Any) -> dict[str, Any]:
    """Return an entry in which `check` finds nothing."""
    return {
        "trigger_id": trigger_id,
        "description": "d",
        "owner": "o",
        "bucket": "my-bucket",
        "prefix": prefix,
        "enabled": True,
        "job_id": "load",
        **fields,
    }


def item(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the item of an entry."""
    return {name: attribute_of(value) for name, value in fields.items()}


def written(fields: dict[str, Any], set_name: str = "orders") -> Any:
    """Return what the table must hold of an entry of a file, to be compared."""
    return canonical({"M": item({**fields, SET: set_name})})


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

    def run(self, *arguments: str) -> Ran:
        where = ["--realm", self.realm.name, "--region", REGION, "--endpoint-url", self.endpoint]
        return self.line.run("apply", *arguments, *where)

    def apply(self, *arguments: str) -> Ran:
        """Put the folder into the table as the set ``orders``, without a question."""
        return self.run(self.entries, "--set", "orders", "--yes", *arguments)

    def items(self) -> dict[str, Any]:
        """Return what the table holds, by trigger id, to be compared."""
        pages = self.client.get_paginator("scan").paginate(TableName=self.table)
        found = [each for page in pages for each in page["Items"]]
        return {each["trigger_id"]["S"]: canonical({"M": each}) for each in found}
