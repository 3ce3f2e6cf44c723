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
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
)

from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.output.signals import uninterrupted
from tools.commands import run_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

REGION: Final = "us-east-1"
ACCOUNT: Final = "000000000000"
CHECKOUT: Final = Path(__file__).resolve().parents[2]
_SECONDS_TO_START: Final = 60
_CODE_BUCKET: Final = "deployment"
_LAUNCHER: Final = Path(__file__).with_name("waiting_server.py")

ACCESS_KEY: Final = "test"
SECRET_KEY: Final = "test"  # noqa: S105 - the server takes any

# The user's own settings must neither stop these clients nor send them elsewhere: no profile,
# no files of settings, no proxy, no FIPS endpoint (which no custom endpoint may be).
_NO_SETTINGS: Final = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
_CONFIG: Final = Config(
    retries={"total_max_attempts": 5, "mode": "standard"},
    proxies={},
    use_fips_endpoint=False,
    use_dualstack_endpoint=False,
)


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
            with uninterrupted():
                folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="localaws-")))
            self._folder, self._log = folder, folder / "log"
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
            self._clients[service] = botocore.session.Session(_NO_SETTINGS).create_client(
                service,
                region_name=REGION,
                endpoint_url=self.endpoint,
                aws_access_key_id=ACCESS_KEY,
                aws_secret_access_key=SECRET_KEY,
                config=_CONFIG,
            )
        return self._clients[service]

    def run_command(self, *arguments: str) -> None:
        """Run a command of lava-s3trigger on the server, independent of the user's settings.

        Raises:
            CommandError: Its exit status is not 0.
        """
        environment = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "HOME": str(self._folder),
            "PATH": os.environ.get("PATH", os.defpath),
            "TMPDIR": str(self._folder),
        }
        run_command(*arguments, state=self._folder, environment=environment)

    def keep_running(self) -> None:
        """Wait for as long as the server runs.

        Raises:
            CommandError: The server ended.
        """
        status = self._process.wait()
        raise CommandError(f"the local AWS server ended with status {status}\n{self.log[-2000:]}")

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
        text = template.read_text()
        code = f"{stack}.zip"
        s3.create_bucket(Bucket=_CODE_BUCKET)
        s3.put_object(Bucket=_CODE_BUCKET, Key=code, Body=_zipped(package))
        # The server has no saved queries.
        left_out = {"CreateQueries": "false"} if "\n  CreateQueries:\n" in text else {}
        cloudformation.create_stack(
            StackName=stack,
            TemplateURL=self.upload_template(text, stack),
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in (left_out | dict(parameters)).items()
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

    def upload_template(self, text: str, stack: str) -> str:
        """Upload a template for the package that `deploy` has uploaded, and return its URL.

        A request of its own may hold no more than 51,200 bytes of a template.
        """
        body = text.replace("CodeUri: .", f"CodeUri: s3://{_CODE_BUCKET}/{stack}.zip")
        key = f"{stack}.yaml"
        self.client("s3").create_bucket(Bucket=_CODE_BUCKET)
        self.client("s3").put_object(Bucket=_CODE_BUCKET, Key=key, Body=body.encode())
        return f"{self.endpoint}/{_CODE_BUCKET}/{key}"

    def _start(self, folder: Path, undo: contextlib.ExitStack) -> None:
        port = _free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        environment = {
            "AUTH": str(self._auth).lower(),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "HOME": str(folder),
            # Invocations beyond these wait: more instances take longer to start than they save.
            "LAMBDA_ACCOUNT_CONCURRENCY": "8",
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "PATH": os.environ.get("PATH", os.defpath),
            "TMPDIR": str(folder),
        }
        log = undo.enter_context(self._log.open("wb"))
        with uninterrupted():
            process = subprocess.Popen(
                _command(),
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # It runs functions in child processes: the group ends together.
                start_new_session=True,
            )
            undo.callback(_end, process)
        self.process_id = process.pid
        self._process = process
        self._wait(process)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the server answers.

        Raises:
            CommandError: The server ended or does not answer, or cannot be asked.
        """
        deadline = time.monotonic() + _SECONDS_TO_START
        while True:
            try:
                self.client("sqs").list_queues()
            except (
                EndpointConnectionError,
                HTTPClientError,
                ClientError,
            ) as error:  # it has not started yet
                if process.poll() is not None:
                    ending = f"it ended with status {process.returncode}"
                elif time.monotonic() > deadline:
                    ending = f"no answer within {_SECONDS_TO_START} s: {error}"
                else:
                    time.sleep(0.1)
                    continue
                raise CommandError(
                    f"the local AWS server did not start: {ending}\n{self.log[-2000:]}"
                ) from None
            except BotoCoreError as error:  # waiting does not help
                raise CommandError(f"cannot call the local AWS server: {error}") from None
            return


def _command() -> list[str]:
    """Return the command that starts the server, by the Python that has it."""
    server = _server()
    python = Path(server).resolve().with_name("python")
    return [str(python), "-P", str(_LAUNCHER)] if python.exists() else [server]


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
