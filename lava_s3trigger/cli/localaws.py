"""A local AWS server for the demo and the tests: ministack, on loopback, without Docker."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

REGION: Final = "us-east-1"
ACCOUNT: Final = "000000000000"
CHECKOUT: Final = Path(__file__).resolve().parents[2]
_SECONDS_TO_START: Final = 60
_CODE_BUCKET: Final = "deployment"


class LocalAws:
    """A ministack server that runs until the ``with`` block ends.

    Args:
        auth: Whether to enforce roles and policies, as AWS does.
    """

    def __init__(self, *, auth: bool = False) -> None:
        self._auth = auth
        self._clients: dict[str, Any] = {}
        self._cleanup = contextlib.ExitStack()
        self.endpoint = ""
        self.process_id = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="localaws-")))
            self._log = folder / "log"
            self._start(folder, undo)
            self._cleanup = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    def client(self, service: str) -> Any:
        """Return a client of a service."""
        if service not in self._clients:
            self._clients[service] = botocore.session.get_session().create_client(
                service,
                region_name=REGION,
                endpoint_url=self.endpoint,
                aws_access_key_id="test",
                aws_secret_access_key="test",  # noqa: S106 - the server takes any
                config=Config(retries={"total_max_attempts": 5, "mode": "standard"}),
            )
        return self._clients[service]

    @property
    def log(self) -> str:
        """The server's output so far."""
        return self._log.read_text(errors="replace")

    def deploy(
        self, template: Path, package: Path, stack: str, parameters: Mapping[str, str]
    ) -> dict[str, str]:
        """Deploy the template with a package, as ``sam deploy`` does.

        Args:
            template: The SAM template. Its ``CodeUri: .`` becomes the location of the
                uploaded package, as with ``sam package``.
            package: The folder that ``make package`` builds.
            stack: Name of the stack.
            parameters: Parameters of the stack.

        Returns:
            The outputs of the stack.

        Raises:
            CommandError: The stack could not be created.
        """
        s3, cloudformation = self.client("s3"), self.client("cloudformation")
        code = f"{stack}.zip"
        s3.create_bucket(Bucket=_CODE_BUCKET)
        s3.put_object(Bucket=_CODE_BUCKET, Key=code, Body=_zipped(package))
        body = template.read_text().replace("CodeUri: .", f"CodeUri: s3://{_CODE_BUCKET}/{code}")
        cloudformation.create_stack(
            StackName=stack,
            TemplateBody=body,
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        waiter = cloudformation.get_waiter("stack_create_complete")
        try:
            waiter.wait(StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        except BotoCoreError as error:
            events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
            reasons = [
                event["ResourceStatusReason"] for event in events if "ResourceStatusReason" in event
            ]
            raise CommandError(f"cannot deploy {template.name}: {error} {reasons}") from None
        (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}

    def _start(self, folder: Path, undo: contextlib.ExitStack) -> None:
        port = _free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        environment = {
            "AUTH": str(self._auth).lower(),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "HOME": str(folder),
            # The server throttles more instances than this, and then drops events.
            "LAMBDA_ACCOUNT_CONCURRENCY": "16",
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "PATH": os.environ.get("PATH", os.defpath),
            "TMPDIR": str(folder),
        }
        log = undo.enter_context(self._log.open("wb"))
        process = subprocess.Popen(  # noqa: S603 - the server of this checkout
            [_server()],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # It runs functions in child processes: the group ends together.
            start_new_session=True,
        )
        self.process_id = process.pid
        undo.callback(_end, process)
        deadline = time.monotonic() + _SECONDS_TO_START
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise CommandError(f"the local AWS server did not start:\n{self.log[-2000:]}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            self.client("sqs").list_queues()
        except (BotoCoreError, ClientError):
            return False
        return True


def _server() -> str:
    of_checkout = CHECKOUT / ".venv-ministack" / "bin" / "ministack"
    found = of_checkout if of_checkout.exists() else shutil.which("ministack")
    if not found:
        raise CommandError("the local AWS server is missing: run `make demo`, or install ministack")
    return str(found)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _end(process: subprocess.Popen[bytes]) -> None:
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)


def _zipped(package: Path) -> bytes:
    if not (package / "s3trigger.py").exists():
        raise CommandError(f"no package in {package}: run `make package`")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in _files(package):
            archive.write(path, path.relative_to(package))
    return buffer.getvalue()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
