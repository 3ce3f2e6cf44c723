"""A reader who follows the pages, on a local AWS server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests import sam
from tests.processes import wait_until
from tools.local.realm import Realm
from tools.local.server import CHECKOUT, LocalAws

# Version 1 of the CLI does not look for SQS where AWS_ENDPOINT_URL says.
AWS: Final = 'aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }'


class Reader:
    """Follows the pages, with a stack on a local AWS server that enforces IAM."""

    def __init__(self, aws: LocalAws, folder: Path) -> None:
        self.aws = aws
        self.realm = Realm(aws, "myrealm")
        self.folder = folder
        self.names = ""
        """Assignments of the names that the commands share."""
        for name in ("etc", "events", "examples"):
            (folder / name).symlink_to(CHECKOUT / name)
        sam.install(folder / "bin")

    def run(self, *commands: str) -> str:
        """Run blocks of commands in one shell, and return their output."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join([AWS, self.names, *commands])],
            cwd=self.folder,
            env={
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ENDPOINT_URL": self.aws.endpoint,
                "AWS_SECRET_ACCESS_KEY": "test",
                "HOME": str(self.folder),
                "LC_ALL": "C.UTF-8",
                "PATH": f"{self.folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def know(self, names: str, *before: str) -> None:
        """Set the names that the commands share, by a block that assigns them."""
        variables = [line.partition("=")[0] for line in names.splitlines() if line[0].isalpha()]
        tell = "; ".join(f"echo {name}=${name}" for name in variables)
        self.names = self.run(*before, names, tell)

    def put(self, key: str) -> None:
        self.aws.client("s3").put_object(Bucket="my-bucket", Key=key, Body=b"data")

    def queue_url(self, name: str) -> str:
        return str(self.aws.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])

    def waiting(self, queue: str) -> int:
        """Return the number of messages in a queue."""
        name = "ApproximateNumberOfMessages"
        found = self.aws.client("sqs").get_queue_attributes(
            QueueUrl=self.queue_url(queue), AttributeNames=[name]
        )
        return int(found["Attributes"][name])

    def dispatched(self, key: str) -> None:
        """Wait for the dispatch of a key, and check that there is only one."""
        found: list[str] = []

        def arrived() -> bool:
            received = [json.loads(each["Body"]) for each in self.realm.receive("try")]
            # On a busy machine, the local server may deliver an earlier event once more.
            found.extend(
                args for each in received for args in each["parameters"]["args"] if key in args
            )
            return bool(found)

        wait_until(arrived, f"a dispatch of {key}")
        assert found == [f"s3://my-bucket/{key}"]
