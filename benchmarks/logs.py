"""What the log costs: bytes and instructions of an event, in Lambda's two formats.

Run ``python -m benchmarks.logs``, with ``--against CHECKOUT`` to compare with the text log of
another checkout. It needs valgrind, which counts instructions: unlike time, they do not
depend on what else the machine does. A run takes some minutes.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .checkouts import command
from .cold import install
from .realm import by_eventbridge, by_s3, by_sns, by_sqs, entry, function
from .service import ROOT, RemoteService

if TYPE_CHECKING:
    from collections.abc import Callable

KEY: Final = "in/orders/2026-03-14/order-1.csv"
REQUEST_ID: Final = "75e6080c-ee23-4c9a-924e-65ccec04a09a"
_HEADER_BYTES: Final = 16
"""Of a frame: its type, the length of the message, and the time."""
_FEW, _MANY = 20, 220
"""Events of two runs; the difference is due only to the events."""


def _payload(route: str) -> Any:
    makers: dict[str, Callable[[str], Any]] = {
        "s3": by_s3,
        "sns": by_sns,
        "sqs": by_sqs,
        "eventbridge": by_eventbridge,
    }
    payload = makers[route](KEY)
    if route == "sqs":
        payload["Records"][0]["messageId"] = REQUEST_ID
    return payload


def _handle(log_format: str, route: str, times: int, path: Path) -> None:
    """Handle an event so often, with the log of Lambda's runtime in a file."""
    sys.path.append(str(_runtime()))
    bootstrap: Any = importlib.import_module("awslambdaric.bootstrap")
    formats: Any = importlib.import_module("awslambdaric.lambda_runtime_log_utils")
    vars(bootstrap)["_GLOBAL_AWS_REQUEST_ID"] = REQUEST_ID
    sink = bootstrap.FramedTelemetryLogSink(0)
    with path.open("wb", buffering=0) as sink.file, RemoteService() as service:
        vars(bootstrap)["_setup_logging"](formats.LogFormat.from_str(log_format), None, sink)
        logging.root.setLevel(logging.WARNING)
        service.setup([entry()])
        handle = function(service)
        for _ in range(times):
            handle(_payload(route))


def _runtime() -> Path:
    return install(sys.executable, "runtime", (ROOT / "benchmarks" / "runtime.txt").read_text())


def _run(checkout: Path, log_format: str, route: str, times: int, *wrapper: str) -> str:
    """Run `_handle` in a process of its own; return its log and its messages."""
    with tempfile.NamedTemporaryFile() as file:
        arguments = ["--handle", log_format, route, str(times), file.name]
        done = subprocess.run(
            [*wrapper, *command(checkout, "benchmarks.logs", *arguments)],
            cwd=ROOT,
            env=os.environ
            | {
                "AWS_LAMBDA_LOG_FORMAT": log_format,
                "PYTHONHASHSEED": "0",
            },
            check=True,
            capture_output=True,
            text=True,
        )
        frames = Path(file.name).read_bytes()
    lines = []
    while frames:
        end = _HEADER_BYTES + int.from_bytes(frames[4:8], "big")
        lines.append(frames[_HEADER_BYTES:end].decode())
        frames = frames[end:]
    return "".join(lines) + done.stderr


def _bytes(log_format: str, route: str) -> int:
    """Return the bytes of log of an event that causes one dispatch."""
    lines = _run(ROOT, log_format, route, 1).splitlines(keepends=True)
    return sum(len(line) for line in lines if "started" not in line)


def _instructions(checkout: Path, log_format: str) -> int:
    """Return the instructions that an event takes."""
    counts = []
    for times in (_FEW, _MANY):
        wrapper = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        printed = _run(checkout, log_format, "s3", times, *wrapper)
        [count] = re.findall(r"Collected : (\d+)", printed)
        counts.append(int(count))
    return (counts[1] - counts[0]) // (_MANY - _FEW)


def main() -> None:
    """Print what the log costs."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--handle", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.handle:
        log_format, route, times, path = arguments.handle
        _handle(log_format, route, int(times), Path(path))
        return
    for route in ("s3", "sns", "eventbridge", "sqs"):
        print(f"bytes of an event by {route}: {_bytes('JSON', route)} in JSON,"
              f" {_bytes('Text', route)} in text")  # fmt: skip
    if not shutil.which("valgrind"):
        sys.exit("valgrind is missing: no instructions were counted")
    checkout = (arguments.against or ROOT).resolve()
    text = _instructions(checkout, "Text")
    print(f"instructions of an event, text log of {checkout}: {text:,}")
    ours = _instructions(ROOT, "JSON")
    print(f"instructions of an event, JSON log: {ours:,}, {ours / text:.3f} times as many")


if __name__ == "__main__":
    main()
