"""Costs of a cold start: the first event, its memory, and the size of the package.

The baseline is a bare handler that makes two clients with boto3, which Lambda's runtime
provides, and one SQS call. Both run on the runtime's Python, 3.13, with compiled
bytecode, each time in a new process.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from .measuring import Comparison, Cost, Row
from .realm import BARE_QUEUE, REGION, by_s3, check, constant_message, entry
from .service import REALM, ROOT, queue_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .measuring import Bench
    from .service import RemoteService

MADE: Final = ROOT / "build" / "benchmarks"
"""Folder of the bare handler and the runtime interface client."""
RUNTIME: Final = "3.13"
KEY: Final = "in/orders/2026-03-14/order-1.csv"
_PAYLOAD: Final = json.dumps(by_s3(KEY))
UV: Final = ROOT / ".venv-uv" / "bin" / "uv"

_BARE_HANDLER: Final = f"""
import boto3

dynamodb = boto3.client("dynamodb")
sqs = boto3.client("sqs")


def lambda_handler(payload, context):
    sqs.send_message_batch(
        QueueUrl={queue_url(BARE_QUEUE)!r},
        Entries=[{{"Id": "0", "MessageBody": {constant_message()!r}, "DelaySeconds": 0}}],
    )
"""
_ONE_EVENT: Final = """
import json, sys
from {module} import lambda_handler
lambda_handler(json.loads(sys.argv[1]), None)
"""
_MEASURED: Final = """
import importlib, os, time

handler = importlib.import_module(os.environ["BENCH_MODULE"]).lambda_handler


def lambda_handler(payload, context):
    cpu, wall = time.process_time(), time.perf_counter()
    handler(payload, context)
    return time.process_time() - cpu, time.perf_counter() - wall
"""
"""A handler that returns what another one takes."""
_PRINT: Final = """
print(json.dumps(lambda_handler(json.loads(sys.argv[1]), None)))
"""
# Without Python's own shutdown, which Lambda never reaches: it collects garbage once more.
_EXIT: Final = "import os\nos._exit(0)\n"
# Of the child's own image: ru_maxrss of a child includes its parent's before exec.
_PEAK: Final = """
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""
_BOTO3: Final = ("botocore", "jmespath", "urllib3", "six", "dateutil", "python_dateutil")
"""Prefixes of the names of boto3's dependencies. The function uses dateutil too."""


class NotHereError(Exception):
    """A scenario needs something that this machine lacks; the message names it."""


def cold(bench: Bench) -> Iterator[Row]:
    """Import and the first event, in a new process."""
    python = find_python()
    folders = {"s3trigger": bench.package, "bare": install_bare(python)}
    _need_package(bench)
    bench.service.setup([entry()])

    def run(module: str) -> Cost:
        environment = _environment(bench.service) | {"PYTHONPATH": str(folders[module])}
        code = _ONE_EVENT.format(module=module) + _EXIT
        begin = time.perf_counter()
        process = subprocess.Popen(
            [python, "-S", "-c", code, _PAYLOAD],
            cwd=folders[module],  # which is first on Python's path
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise AssertionError(f"{module} ended with {process.returncode}")
        return Cost(usage.ru_utime + usage.ru_stime, wall)

    comparison = _compare(bench, run)
    yield comparison.by_cpu("cold, import and first event: CPU", 1.0)
    yield comparison.by_wall("cold, import and first event: wall", 1.0)


def cold_in_lambda(bench: Bench) -> Iterator[Row]:
    """The same in Lambda's own runtime: its interface client under its emulator."""
    python = find_python()
    emulator = find_emulator()
    folders = {"s3trigger": bench.package, "bare": install_bare(python)}
    client = install(python, "runtime", (ROOT / "benchmarks" / "runtime.txt").read_text())
    _need_package(bench)
    bench.service.setup([entry()])

    def run(module: str) -> Cost:
        # The function's folder is the working directory, as in Lambda.
        command = [python, "-S", "-m", "awslambdaric", f"{module}.lambda_handler"]
        environment = _environment(bench.service) | {"PYTHONPATH": str(client)}
        with emulated(emulator, command, folders[module], environment) as (process, address):
            begin = time.perf_counter()
            answer = invoke(address, by_s3(KEY))
            wall = time.perf_counter() - begin
            cpu = _cpu_of_child(process.pid)
        if answer != b"null":
            raise AssertionError(answer)
        return Cost(cpu, wall)

    comparison = _compare(bench, run)
    yield comparison.by_cpu("cold in the Lambda runtime: CPU", 0.85)
    yield comparison.by_wall("cold in the Lambda runtime: wall", 0.85)


def first_event(bench: Bench) -> Iterator[Row]:
    """Only the first event after the init phase, in a new process."""
    python = find_python()
    folders = {"s3trigger": bench.package, "bare": install_bare(python)}
    _need_package(bench)
    bench.service.setup([entry()])
    code = "import json, sys\nfrom measured import lambda_handler" + _PRINT

    def run(module: str) -> Cost:
        environment = _environment(bench.service) | _measuring(module)
        done = subprocess.run(
            [python, "-S", "-c", code, _PAYLOAD],
            cwd=folders[module],
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return Cost(*json.loads(done.stdout))

    yield _first_event("first event after init: CPU", _compare(bench, run))


def first_event_in_lambda(bench: Bench) -> Iterator[Row]:
    """The same in Lambda's own runtime."""
    python = find_python()
    emulator = find_emulator()
    folders = {"s3trigger": bench.package, "bare": install_bare(python)}
    client = install(python, "runtime", (ROOT / "benchmarks" / "runtime.txt").read_text())
    _need_package(bench)
    bench.service.setup([entry()])

    def run(module: str) -> Cost:
        command = [python, "-S", "-m", "awslambdaric", "measured.lambda_handler"]
        environment = _environment(bench.service) | _measuring(module, client)
        with emulated(emulator, command, folders[module], environment) as (_, address):
            return Cost(*json.loads(invoke(address, by_s3(KEY))))

    name = "first event after init in the Lambda runtime: CPU"
    yield _first_event(name, _compare(bench, run))


def _first_event(name: str, comparison: Comparison) -> Row:
    """Return a row of milliseconds, since a bare handler has little to make in its first event."""
    return replace(comparison.by_cpu(name, 12), result=comparison.ours.cpu * 1000, unit="ms")


def _measuring(module: str, *folders: Path) -> dict[str, str]:
    """Return the environment in which the handler of the module ``measured`` measures another."""
    folder = MADE / "measured"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "measured.py").write_text(_MEASURED)
    return {"BENCH_MODULE": module, "PYTHONPATH": ":".join(map(str, [folder, *folders]))}


def memory_after_first_event(bench: Bench) -> Iterator[Row]:
    """Peak memory of a new process after import and the first event."""
    python = find_python()
    folders = {"s3trigger": bench.package, "bare": install_bare(python)}
    _need_package(bench)
    bench.service.setup([entry()])
    peaks: dict[str, list[int]] = {"s3trigger": [], "bare": []}
    for _ in range(bench.rounds(5)):
        bench.wait_for_turn()
        for module, measured in peaks.items():
            done = subprocess.run(
                [python, "-S", "-c", _ONE_EVENT.format(module=module) + _PEAK, _PAYLOAD],
                cwd=folders[module],
                env=_environment(bench.service) | {"PYTHONPATH": str(folders[module])},
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            measured.append(int(done.stdout) * 1024)
            _take(bench, module)
    ours, baseline = (statistics.median(measured) for measured in peaks.values())
    yield Row(
        "cold, peak memory after the first event",
        ours / baseline,
        0.8,
        ours=f"{ours / 1e6:.4g} MB",
        baseline=f"{baseline / 1e6:.4g} MB",
        rounds=tuple(map(float, peaks["s3trigger"])),
    )


def package(bench: Bench) -> Iterator[Row]:
    """Size of the unzipped package."""
    _need_package(bench)
    sizes = {
        path.name: sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        if path.is_dir()
        else path.stat().st_size
        for path in bench.package.iterdir()
    }
    ours = sum(size for name, size in sizes.items() if not name.startswith(_BOTO3))
    note = f"with botocore and what it needs, {sum(sizes.values()) / 1e6:.1f} MB"
    yield Row("package, unzipped, without boto3 and what it needs", ours / 1e6, 3, "MB", note=note)


def _compare(bench: Bench, run: Callable[[str], Cost]) -> Comparison:
    """Run both sides once to warm the disk's cache, then in turn."""
    costs: dict[str, list[Cost]] = {"s3trigger": [], "bare": []}
    for number in range(bench.rounds(15) + 1):
        bench.wait_for_turn()
        for module in ("s3trigger", "bare") if number % 2 else ("bare", "s3trigger"):
            cost = run(module)
            _take(bench, module)
            if number:
                costs[module].append(cost)
    return Comparison.of(costs["s3trigger"], costs["bare"])


def _take(bench: Bench, module: str) -> None:
    """Check that a side sent its one message."""
    seen = check(bench.service.take(), [KEY] if module == "s3trigger" else [])
    if len(seen.sent) != 1:
        raise AssertionError(f"{module} sent {len(seen.sent)} messages")


def _environment(service: RemoteService) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_SESSION_TOKEN": "none",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": service.endpoint,
        "AWS_LAMBDA_FUNCTION_NAME": "bench",
        "HOME": "/nonexistent",
        "LANG": "en_US.UTF-8",
        "LAVA_REALM": REALM,
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextlib.contextmanager
def emulated(
    emulator: Path,
    command: list[str],
    folder: Path,
    environment: dict[str, str],
    output: IO[bytes] | int = subprocess.DEVNULL,
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run the emulator, which starts the runtime at the first invocation."""
    address, internal = (f"127.0.0.1:{_free_port()}" for _ in range(2))
    options = ["--runtime-interface-emulator-address", address, "--runtime-api-address", internal]
    process = subprocess.Popen(
        [str(emulator), *options, *command],
        cwd=folder,
        env=environment,
        stdout=output,
        stderr=output,
    )
    try:
        _wait_for(address)
        yield process, address
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait_for(address: str) -> None:
    host, _, port = address.partition(":")
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            socket.create_connection((host, int(port))).close()
        except ConnectionError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError("the emulator does not answer")


def invoke(address: str, payload: Any) -> bytes:
    """Return the answer of the emulated function to a payload."""
    url = f"http://{address}/2015-03-31/functions/function/invocations"
    with urllib.request.urlopen(url, json.dumps(payload).encode(), timeout=30) as answer:
        body: bytes = answer.read()
        return body


def child_of(pid: int) -> int:
    """Return the process id of the runtime that the emulator has started."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    [child] = [child for task in tasks for child in (task / "children").read_text().split()]
    return int(child)


def _cpu_of_child(pid: int) -> float:
    """Return the CPU time of the runtime that the emulator has started, in seconds."""
    child = child_of(pid)
    used = [
        int((task / "schedstat").read_text().split()[0])
        for task in Path(f"/proc/{child}/task").iterdir()
    ]
    return sum(used) / 1e9


def find_python(version: str = RUNTIME) -> str:
    """Find the runtime's Python, as tools/package.py does.

    Raises:
        NotHereError: It is missing.
    """
    if f"{sys.version_info.major}.{sys.version_info.minor}" == version:
        return sys.executable
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in sorted(versions.glob(f"{version}*/bin/python{version}")):
        return str(path)
    done = subprocess.run(
        [UV, "python", "find", "--no-project", version], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise NotHereError(f"Python {version}, which Lambda runs, is missing")
    return done.stdout.strip()


def find_emulator() -> Path:
    """Find the runtime interface emulator, which is part of the SAM command line."""
    machine = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    name = f"lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}"
    for path in (ROOT / ".venv-sam").glob(name):
        return path
    raise NotHereError("the runtime interface emulator is missing: make check installs it")


def install_bare(python: str) -> Path:
    """Install the bare handler, with boto3 as uv.lock pins it."""
    export = subprocess.run(
        [UV, "export", "--quiet", "--locked", "--no-dev", "--no-emit-project"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    folder = install(python, "bare", export.stdout)
    (folder / "bare.py").write_text(_BARE_HANDLER)
    _compile(python, folder)
    return folder


@cache
def install(python: str, name: str, requirements: str) -> Path:
    """Install requirements into a folder, unless they are there; return the folder."""
    folder = MADE / name
    installed = folder / "requirements.txt"
    if not (installed.exists() and installed.read_text() == requirements):
        options = ["--quiet", "--require-hashes", "--no-deps", "--no-build"]
        subprocess.run(
            [UV, "pip", "install", *options, "--python", python, "--target", folder, "-r", "-"],
            check=True,
            input=requirements,
            text=True,
        )
        _compile(python, folder)
        installed.write_text(requirements)
    return folder


def _compile(python: str, folder: Path) -> None:
    options = ["-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([python, "-m", "compileall", *options, str(folder)], check=True)


def _need_package(bench: Bench) -> None:
    """Check that the package is built from the checkout's code.

    Raises:
        NotHereError: There is no package, or it is older.
    """
    if not (bench.package / "s3trigger.py").exists():
        raise NotHereError(f"{bench.package} is missing: run make package")
    source = bench.checkout / "lava_s3trigger"
    for path in source.rglob("*.py"):
        module = path.relative_to(source)
        built = bench.package / "lava_s3trigger" / module
        if module.parts[0] not in ("cli", "__main__.py") and not (
            built.exists() and built.read_bytes() == path.read_bytes()
        ):
            raise NotHereError(f"{bench.package} is older than its source: run make package")
