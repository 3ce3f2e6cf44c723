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
from tests.build import job_entry, trigger_entry
from tests.processes import signals_received
from tools.local.realm import Realm
from tools.local.server import CHECKOUT, LocalAws

from .cannedaws import Answer, CannedAws, Request, answer
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
    configuration: dict[str, Any]
    """The configuration of the function, as Lambda tells it."""

    @property
    def logging(self) -> Any:
        return self.configuration["LoggingConfig"]

    @property
    def variables(self) -> Any:
        return self.configuration["Environment"]["Variables"]

    @property
    def replay(self) -> CommandLine:
        return CommandLine(["replay"])

    @property
    def function(self) -> str:
        return f"lava-{self.realm.name}-s3trigger"

    @property
    def bucket(self) -> str:
        return f"bucket-{self.realm.name}"

    def trigger(self, trigger_id: str, prefix: str = "in", **fields: Any) -> None:
        entry = trigger_entry(trigger_id, prefix, bucket=self.bucket, **fields)
        self.realm.put("s3triggers", [entry])

    def put(self, keys: Iterable[str], size: int = 1) -> None:
        s3 = self.aws.client("s3")
        s3.create_bucket(Bucket=self.bucket)
        for key in keys:
            s3.put_object(Bucket=self.bucket, Key=key, Body=b"x" * size)

    def inventory(self, keys: Iterable[str], time: str = "2026-03-14T01:59:26.000Z") -> str:
        return write_inventory(self.folder, self.bucket, ((key, time) for key in keys))

    def keys(self, lines: Iterable[str]) -> str:
        path = self.folder / "keys.txt"
        path.write_text("\n".join(lines))
        return str(path)

    def handed_over(self) -> Counter[str]:
        """Count the objects of accepted invocations, by key."""
        answer = self.canned.handlers["POST", "/invocations"]
        return Counter(
            key
            for request in self.canned.requests
            if request.path.endswith("/invocations") and answer(request).status == 202
            for key in keys_of(request)
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        with signals_received():
            return subprocess.Popen(
                [sys.executable, "-m", "lava_s3trigger", *arguments],
                env=os.environ | {"TERM": "xterm", "PYTHONPATH": str(CHECKOUT)},
                cwd=self.folder,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )


def write_inventory(folder: Path, bucket: str, objects: Iterable[tuple[str, str]]) -> str:
    """Write an S3 Inventory of objects of 10 bytes, by key and time; return its manifest's path."""
    with gzip.open(folder / "data.csv.gz", "wt", newline="") as file:
        for key, time in objects:
            file.write(f'"{bucket}","{quote_plus(key)}","10","{time}"\n')
    manifest = folder / "manifest.json"
    schema = "Bucket, Key, Size, LastModifiedDate"
    manifest.write_text(json.dumps({"fileSchema": schema, "files": [{"key": "data.csv.gz"}]}))
    return str(manifest)


def keys_of(request: Request) -> list[str]:
    records = request.json()["Records"]
    return [unquote_plus(record["s3"]["object"]["key"]) for record in records]


def reach(
    patch: pytest.MonkeyPatch, realm: str, endpoint: str, canned: CannedAws, folder: Path
) -> None:
    """Have commands find a realm, its AWS, the canned Lambda, and a folder for states."""
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_LAMBDA": canned.url,
        "LAVA_REALM": realm,
        "XDG_STATE_HOME": str(folder / "states"),
    }
    for variable, value in environment.items():
        patch.setenv(variable, value)


@contextmanager
def on_account(
    aws: LocalAws, realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Account]:
    """Make an account, and have commands use it."""
    realm.put("jobs", [job_entry()])
    with CannedAws() as canned:
        configuration = canned.deploy(f"lava-{realm.name}-s3trigger", {"LAVA_REALM": realm.name})
        canned.handlers["POST", "/invocations"] = lambda _: Answer(202)
        no_mappings = answer({"EventSourceMappings": []})
        canned.handlers["GET", "/event-source-mappings"] = lambda _: no_mappings
        reach(monkeypatch, realm.name, aws.endpoint, canned, tmp_path)
        monkeypatch.chdir(tmp_path)
        # SQS waits for messages twice before a dead-letter queue counts as empty.
        monkeypatch.setattr(dead_letter_queues, "_WAIT_SECONDS", 0)
        yield Account(aws, realm, canned, tmp_path, configuration)


def without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away all that an AWS client could sign calls with."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
