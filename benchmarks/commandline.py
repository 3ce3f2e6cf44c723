"""How long commands take to start, in CPU time: ``make bench-cli``.

Each is compared with an interpreter that imports click, rich and jinja2, as the goal was set; the
command line needs no rich any more.
Each runs several times, in turn; the least time of each counts, since a busy machine only
adds to it.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
RUNS: Final = 15
MAX_RATIO: Final = 2.0
"""Times the baseline that a command may take."""
BASELINE: Final = ("-c", "import click, rich, jinja2")
_COMMAND: Final = ("-m", "lava_s3trigger")
_OBJECT: Final = "s3://shop-orders/orders/03-14/first half.csv"
_EXAMPLES: Final = (
    f"--triggers={ROOT / 'examples' / 'triggers.yaml'}",
    f"--jobs={ROOT / 'examples' / 'jobs.yaml'}",
)


@dataclass(frozen=True, slots=True)
class Start:
    """A command line, and what it may take."""

    title: str
    arguments: tuple[str, ...]
    is_terminal: bool = False


COMMANDS: Final = (
    Start("--help", (*_COMMAND, "--help")),
    Start("explain --help", (*_COMMAND, "explain", "--help")),
    Start("explain, YAML files", (*_COMMAND, "explain", _OBJECT, *_EXAMPLES)),
    Start(
        "explain, YAML files, JSON", (*_COMMAND, "explain", _OBJECT, *_EXAMPLES, "--format=json")
    ),
    Start(
        "explain, YAML files, colours",
        (*_COMMAND, "explain", _OBJECT, *_EXAMPLES),
        is_terminal=True,
    ),
)


def main() -> int:
    """Measure and print; return 1 where a command takes too long."""
    measured: dict[str, list[float]] = {}
    rounds = [Start("baseline", BASELINE), *COMMANDS]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(RUNS):
            for start in rounds:
                measured.setdefault(start.title, []).append(_cpu(start, folder))
    baseline = min(measured["baseline"])
    print(f"CPU seconds, the least of {RUNS} runs; baseline: python {' '.join(BASELINE)!r}")
    for title, seconds in measured.items():
        ratio = min(seconds) / baseline
        print(f"{min(seconds):7.3f}  {ratio:5.2f}  {title}")
    return int(any(min(times) > MAX_RATIO * baseline for times in measured.values()))


def _cpu(start: Start, folder: str) -> float:
    """Return the user and system time of a run, in seconds."""
    variables = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    if start.is_terminal:
        variables["FORCE_COLOR"] = "1"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *start.arguments],
        cwd=folder,
        env=variables,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main())
