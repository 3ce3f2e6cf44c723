"""The package as released, in Lambda's own runtime: its interface client under its emulator."""

import json
import os
import resource
import signal
import urllib.error
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

import lava_s3trigger
from benchmarks import cold
from lava_s3trigger.cli.deployed.log_line import LogLine, read_line
from tests.aws_in_memory import DENIED, REGION, CannedRealm, Endpoint
from tests.build import (
    NONSENSE,
    direct,
    eventbridge,
    failed,
    job_entry,
    message,
    record,
    sns,
    sqs,
    trigger_entry,
)
from tests.release import Release
from tests.tables import cases
from tools.local.server import CHECKOUT

REST: Final = pytest.mark.slow("one event by one route is in `make test`")
VERSIONS: Final = ("3.13", pytest.param("3.14", marks=REST))
FUNCTION: Final = "lava-demo-s3trigger"
MEMORY: Final = 512 * 1024 * 1024
TIMEOUT_SECONDS: Final = 10
"""The function does not start work that may not end in time."""


class Runtime:
    """The function in the runtime, with a realm on the endpoint.

    Args:
        emulator: Its process, and the address where it takes invocations.
        output: The file of what the runtime prints.
        endpoint: Where the tables and queues are.
    """

    def __init__(self, emulator: tuple[Any, str], output: Path, endpoint: Endpoint) -> None:
        (self._process, self._address), self._output = emulator, output
        self.endpoint = endpoint
        self._read = 0
        self.realm = CannedRealm(endpoint, "demo", ["core"])
        self.realm.jobs.put(job_entry())
        self.realm.triggers.put(trigger_entry(prefix="*", parameters={"key": "{{ key }}"}))

    def invoke(self, payload: Any) -> Any:
        """Invoke the function; return its answer, or the error of the runtime."""
        try:
            answer = cold.invoke(self._address, payload).decode()
        except urllib.error.HTTPError as error:  # as the emulator answers after a crash
            with error:
                answer = error.read().decode()
        try:
            return json.loads(answer)
        except ValueError:
            return answer

    def keys(self) -> list[str]:
        """Take the dispatches off the queue; return their keys."""
        taken = self.realm.queue("core").take()
        return [each.json["parameters"]["key"] for each in taken]

    def logged(self) -> list[LogLine]:
        """Return the function's JSON lines since the last call, read as CloudWatch gets them."""
        text = self._output.read_text()
        new, self._read = text[self._read :], len(text)
        lines = [read_line(line) for line in new.split("\n") if line.startswith("{")]
        return [line for line in lines if line]

    def child(self) -> int:
        """Return the process id of the runtime."""
        return cold.child_of(self._process.pid)


@contextmanager
def running(version: str, package: Path, output: Path, endpoint: Endpoint) -> Iterator[Runtime]:
    """Run the function of a package in the runtime of a version of Python."""
    try:
        python, emulator = cold.find_python(version), cold.find_emulator()
    except cold.NotHereError as missing:
        pytest.skip(str(missing))
    requirements = (CHECKOUT / "benchmarks" / "runtime.txt").read_text()
    name = "runtime" if version == cold.RUNTIME else f"runtime{version}"
    client = cold.install(python, name, requirements)
    environment = {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_LAMBDA_FUNCTION_NAME": FUNCTION,
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(TIMEOUT_SECONDS),
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_LEVEL": "INFO",
        "HOME": "/nonexistent",
        "LAVA_REALM": "demo",
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(client),
        "S3TRIGGER_CACHE_TTL": "0",
    }
    command = [python, "-S", "-m", "awslambdaric", "s3trigger.lambda_handler"]
    with (
        output.open("wb") as file,
        cold.emulated(emulator, command, package, environment, file) as started,
    ):
        yield Runtime(started, output, endpoint)


@pytest.fixture(scope="module", params=VERSIONS)
def runtime(
    request: pytest.FixtureRequest, release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runtime]:
    """The function of a release in the runtime."""
    folder = tmp_path_factory.mktemp("package")
    with zipfile.ZipFile(release.zip) as archive:
        archive.extractall(folder)
    output = tmp_path_factory.mktemp("runtime") / "output"
    with Endpoint() as endpoint, running(request.param, folder, output, endpoint) as made:
        yield made
        endpoint.reset()


def recovered(runtime: Runtime, key: str) -> None:
    """Check that the next event is dispatched as ever."""
    runtime.logged()
    assert runtime.invoke(direct(record(key))) is None
    assert runtime.keys() == [key]
    assert "dispatched" in [line.event for line in runtime.logged()]


S3_BATCH: Final = json.loads((CHECKOUT / "events" / "s3-batch-sized.json").read_text())
PUT: Final = record("in/1.csv")


class TestRoutes:
    """An event of each route is dispatched, and the log says so."""

    @REST
    def test_the_init_phase_logs_the_version(self, runtime: Runtime) -> None:
        runtime.invoke(direct())
        started = next(line for line in runtime.logged() if line.event == "started")
        expected = {"version": lava_s3trigger.__version__, "function": FUNCTION}
        assert expected.items() <= started.fields.items()

    @pytest.mark.parametrize(
        ("payload", "answer"),
        [
            pytest.param(direct(PUT), None, id="s3", marks=REST),
            pytest.param(sns(PUT), None, id="sns", marks=REST),
            pytest.param(sqs(direct(PUT)), None, id="sqs"),
            pytest.param(eventbridge("in/1.csv"), None, id="eventbridge", marks=REST),
            pytest.param([message("m0", direct(PUT))], None, id="pipes", marks=REST),
            pytest.param(S3_BATCH, "Succeeded", id="s3-batch", marks=REST),
        ],
    )
    def test_a_route(self, runtime: Runtime, payload: Any, answer: str | None) -> None:
        runtime.invoke(direct())  # with the lines of the init phase, where it is the first
        runtime.logged()
        said = runtime.invoke(payload)
        assert (said["results"][0]["resultCode"] if answer else said) == answer

        [key] = runtime.keys()
        dispatched, summary = runtime.logged()
        assert (dispatched.event, dispatched.text("key")) == ("dispatched", key)
        assert (summary.event, summary.fields["dispatched"]) == ("summary", 1)

    @REST
    def test_a_message_that_is_not_understood_is_returned(self, runtime: Runtime) -> None:
        assert runtime.invoke(sqs(direct(PUT), NONSENSE)) == failed("m1")
        assert runtime.keys() == ["in/1.csv"]


@REST
class TestRecovery:
    """After an error, a timeout and a crash, the next event is dispatched."""

    def test_an_error(self, runtime: Runtime) -> None:
        runtime.endpoint.fail(lambda call: DENIED if call.operation == "Query" else None)
        runtime.logged()
        said = runtime.invoke(direct(record("in/error.csv")))
        runtime.endpoint.fail({})
        assert said["errorType"] == "DeliveriesFailedError"
        assert "AccessDenied" in said["errorMessage"]
        lines = runtime.logged()
        assert [line.fields["kind"] for line in lines if line.event == "failed"] == ["aws_error"]
        assert [line.fields["failed"] for line in lines if line.event == "summary"] == [1]
        recovered(runtime, "in/after-error.csv")

    def test_a_timeout(self, runtime: Runtime) -> None:
        runtime.invoke(direct())
        os.kill(runtime.child(), signal.SIGSTOP)
        said = runtime.invoke(direct(record("in/timeout.csv")))
        assert "timed out" in str(said)
        recovered(runtime, "in/after-timeout.csv")
        assert runtime.keys() == []

    def test_a_crash(self, runtime: Runtime) -> None:
        runtime.invoke(direct())
        first = runtime.child()

        def crash(call: Any) -> None:
            if call.operation == "SendMessageBatch":
                os.kill(first, signal.SIGKILL)

        runtime.endpoint.fail(crash)
        said = runtime.invoke(direct(record("in/crash.csv")))
        runtime.endpoint.fail({})
        assert "Runtime" in str(said)
        runtime.keys()  # the call had arrived
        recovered(runtime, "in/after-crash.csv")
        assert runtime.child() != first


@REST
class TestAttacks:
    """Within 512 MB, templates that use up memory, stack and time end no process."""

    FILL: Final = (
        "{% set n = namespace(f=none, p=none) %}{% for i in range(key.split('/')[1]|int) %}"
        "{% set n.f = namespace(p=n.f, t=['x' * 15000 ~ i, 'y' * 15000 ~ i, 'z' * 15000 ~ i]) %}"
        "{% endfor %}"
    )
    LOOP: Final = "{% for i in range(8) %}{% for j in range(1000) %}"
    ENDS: Final = "{% endfor %}{% endfor %}"

    CHAIN: Final = "{% set n.p = [n.p].append %}"
    BOUND: Final = "{% set _ = utils.dateutil.tz.gettz('UTC') %}"
    PATTERN: Final = (
        "{% set n = namespace(s='') %}{% for i in range(480) %}"
        "{% set n.s = n.s ~ '%c'|format(66000 + i * 2) %}{% endfor %}"
        "{{ utils.re.search('[^' ~ n.s ~ ']*b', 'a' * 8000) }}"
    )

    @cases(
        ("value", "keys"),
        {
            "a-chain-is-freed": (
                FILL + LOOP + CHAIN + ENDS + "{% set n.p = 0 %}",
                range(1400, 1560, 10),
            ),
            "deep-json": ([FILL + LOOP, [ENDS + LOOP], ENDS], range(1400, 1560, 20)),
            "many-bounds": (LOOP + BOUND + ENDS, range(3)),
            "endless": (LOOP * 3 + ENDS * 3, range(3)),
            "set-of-a-pattern": (PATTERN, range(3)),
        },
    )
    def test_the_process_lives_on(self, runtime: Runtime, value: Any, keys: range) -> None:
        runtime.invoke(direct())
        child = runtime.child()
        resource.prlimit(child, resource.RLIMIT_AS, (MEMORY, MEMORY))
        runtime.realm.triggers.put(trigger_entry("attack", "attack/", parameters={"v": value}))
        for key in keys:
            assert runtime.invoke(direct(record(f"attack/{key}"))) is None
        runtime.realm.queue("core").take()
        recovered(runtime, "in/after-attack.csv")
        assert runtime.child() == child
