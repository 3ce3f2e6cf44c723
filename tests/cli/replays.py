"""An account on which tests run commands: a realm, and a canned Lambda."""

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus, unquote_plus

import pytest

from lava_s3trigger.cli.deployed import dead_letter_queues
from tests.processes import signals_received
from tools.local.realm import Realm
from tools.local.server import CHECKOUT, LocalAws

from .cannedaws import Answer, CannedAws, Request
from .commandline import CommandLine

HOSTILE: Final = [
    "in/a b+c.csv",
    "in/100%25.csv",
    "in/\x1b[2Jcleared.csv",
    "in/\u202ereversed.csv",
    "in/[bold]markup[/].csv",
    "in/new\nline.csv",
    "in/'; DROP TABLE objects; --.csv",
    "in/caf\u00e9 \U0001f600.csv",
    "in/" + "x" * 1000 + ".csv",
]


@dataclass
class Account:
    """A realm on the local AWS server, and a canned Lambda that keeps what it is handed."""

    aws: LocalAws
    realm: Realm
    canned: CannedAws
    folder: Path
    environment: dict[str, str]
    logging: dict[str, str]
    variables: dict[str, str]
    """Environment variables of the function."""

    @property
    def replay(self) -> CommandLine:
        """What runs `replay`, which finds the account by the environment."""
        return CommandLine(["replay"])

    @property
    def function(self) -> str:
        return f"lava-{self.realm.name}-s3trigger"

    @property
    def bucket(self) -> str:
        return f"bucket-{self.realm.name}"

    def trigger(self, trigger_id: str, prefix: str = "in", **fields: Any) -> None:
        entry = {"trigger_id": trigger_id, "bucket": self.bucket, "prefix": prefix}
        self.realm.put("s3triggers", [{**entry, "enabled": True, "job_id": "load", **fields}])

    def put(self, keys: Iterable[str], size: int = 1) -> None:
        s3 = self.aws.client("s3")
        s3.create_bucket(Bucket=self.bucket)
        for key in keys:
            s3.put_object(Bucket=self.bucket, Key=key, Body=b"x" * size)

    def inventory(self, keys: Iterable[str], time: str = "2026-03-14T01:59:26.000Z") -> str:
        """Write an S3 Inventory, of objects of 10 bytes; return its manifest's path."""
        with gzip.open(self.folder / "data.csv.gz", "wt", newline="") as file:
            for key in keys:
                file.write(f'"{self.bucket}","{quote_plus(key)}","10","{time}"\n')
        manifest = self.folder / "manifest.json"
        schema = "Bucket, Key, Size, LastModifiedDate"
        entry = {"fileSchema": schema, "files": [{"key": "data.csv.gz"}]}
        manifest.write_text(json.dumps(entry))
        return str(manifest)

    def keys(self, lines: Iterable[str]) -> str:
        path = self.folder / "keys.txt"
        path.write_text("\n".join(lines))
        return str(path)

    def handed_over(self) -> Counter[str]:
        """Count the objects of accepted invocations, by key."""
        return Counter(key for keys in self.accepted for key in keys)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command in a process of its own."""
        environment = self.environment | {"TERM": "xterm", "PYTHONPATH": str(CHECKOUT)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        with signals_received():
            return subprocess.Popen(
                [sys.executable, "-m", "lava_s3trigger", *arguments],
                env=os.environ | environment,
                cwd=self.folder,
                text=True,
                **pipes,
            )

    @property
    def accepted(self) -> list[list[str]]:
        return [keys_of(each) for each in self.canned.requests if is_accepted(self, each)]


def keys_of(request: Request) -> list[str]:
    records = request.json()["Records"]
    return [unquote_plus(record["s3"]["object"]["key"]) for record in records]


def is_accepted(account: Account, request: Request) -> bool:
    return request.path.endswith("/invocations") and (
        account.canned.handlers["POST", "/invocations"](request).status == 202
    )


@contextmanager
def on_account(
    aws: LocalAws, realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Account]:
    """Make an account, and have commands use it."""
    logging: dict[str, str] = {}
    variables = {"LAVA_REALM": realm.name}
    name = f"lava-{realm.name}-s3trigger"

    def configuration(_: Request) -> Answer:
        found = {
            "FunctionName": name,
            "FunctionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
            "Environment": {"Variables": variables},
            "LoggingConfig": {"LogGroup": f"/aws/lambda/{name}", **logging},
        }
        return Answer(200, json.dumps(found).encode())

    realm.put(
        "jobs",
        [{"job_id": "load", "type": "exe", "worker": "core", "payload": "x", "enabled": True}],
    )
    with CannedAws() as canned:
        canned.handlers["GET", f"/functions/{name}/configuration"] = configuration
        canned.handlers["POST", "/invocations"] = lambda _: Answer(202, b"")
        no_mappings = Answer(200, b'{"EventSourceMappings": []}')
        canned.handlers["GET", "/event-source-mappings"] = lambda _: no_mappings
        environment = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": aws.endpoint,
            "AWS_ENDPOINT_URL_LAMBDA": canned.url,
            "LAVA_REALM": realm.name,
            "XDG_STATE_HOME": str(tmp_path / "states"),
        }
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.chdir(tmp_path)
        # SQS waits for messages twice before a dead-letter queue counts as empty.
        monkeypatch.setattr(dead_letter_queues, "_WAIT_SECONDS", 0)
        yield Account(aws, realm, canned, tmp_path, environment, logging, variables)


def without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away all that an AWS client could sign calls with."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
