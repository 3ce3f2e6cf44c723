"""Fuzz for a given time, and print the results: ``python -m fuzz``."""

from __future__ import annotations

import argparse
import base64
import importlib.util
import json
import platform
import re
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from .engine import HANG_SECONDS, State
from .findings import CHECKOUT, failure_kind, save
from .ways import TARGETS, WAYS, Way, minimised

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BUILD: Final = CHECKOUT / "build" / "fuzz"
FIGURES: Final = CHECKOUT / "build" / "fuzz.json"
_MIN_SECONDS: Final = 5
"""Seconds below which a process that died is not restarted."""
_COVERAGE: Final = re.compile(r"cov: (\d+) ft: (\d+)")


@dataclass(kw_only=True)
class Figures:
    """The results of fuzzing one way."""

    way: str
    seconds: int = 0
    cpu: int = 0
    """Seconds of processor time, fewer than seconds on a busy machine."""
    executions: int = 0
    """Executions, including inputs that are not a case."""
    cases: int = 0
    """Checked cases."""
    cov: int = 0
    """Covered branches and blocks, as libFuzzer counts them."""
    ft: int = 0
    """Features, as libFuzzer counts them: coverage with counters and comparisons."""
    corpus: int = 0
    """Inputs in the corpus, each of which covered something new."""
    deaths: int = 0
    """Deaths and hangs of the process."""
    findings: int = 0


def main() -> int:
    """Run the command; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument(
        "--seconds", type=int, default=300, help="total time in seconds (default: 300)"
    )
    parser.add_argument("--target", choices=[*TARGETS, "all"], default="all")
    arguments = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print(
            "atheris is missing. `make fuzz` installs it where it has a wheel: on Linux,"
            f" x86-64, with Python 3.11 to 3.14. This is Python {platform.python_version()}"
            f" on {platform.system()}, {platform.machine()}.",
            file=sys.stderr,
        )
        return 2
    ways = [way for way in WAYS.values() if arguments.target in (way.target, "all")]
    figures = [_fuzzed(way, arguments.seconds // len(ways)) for way in ways]
    FIGURES.write_text(json.dumps([asdict(row) for row in figures], indent=2) + "\n")
    print("\n".join(_table(figures)))
    return int(any(row.findings for row in figures))


def _fuzzed(way: Way, seconds: int) -> Figures:
    """Fuzz one way; start a new process when one dies."""
    figures = Figures(way=way.name)
    folder = BUILD / way.name
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.json"), folder / "state", folder / "log"]:
        old.unlink(missing_ok=True)
    state, begun, used = State(folder / "state"), time.monotonic(), _processor_time()
    print(f"{way.name}: {seconds} s", flush=True)
    while (left := seconds - int(time.monotonic() - begun)) > _MIN_SECONDS:
        if not _run(way, folder, left):
            if not state.counts[0]:
                raise SystemExit(f"the fuzzer did not start: see {folder / 'log'}")
            figures.deaths += 1
            died = _case(way, state.data)
            _save(figures, way, f"died-{figures.deaths}", f"see {folder / 'log'}", died)
    log = (folder / "log").read_text(errors="replace")
    coverage = [tuple(map(int, numbers)) for numbers in _COVERAGE.findall(log)]
    figures.cov, figures.ft = max(coverage, default=(0, 0))
    figures.executions, figures.cases = state.counts
    figures.seconds = round(time.monotonic() - begun)
    figures.cpu = round(_processor_time() - used)
    figures.corpus = len(list((folder / "corpus").iterdir()))
    for file in sorted(folder.glob("*.json")):
        _save(figures, way, file.stem, *_smallest(way, file))
    return figures


def _processor_time() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(way: Way, folder: Path, seconds: int) -> bool:
    """Run one process; return whether it ended normally."""
    command = [sys.executable, "-m", "fuzz.engine", way.name, str(folder), str(seconds)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=CHECKOUT, stdout=log, stderr=log)
        try:
            return process.wait(seconds + 2 * HANG_SECONDS) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False


def _smallest(way: Way, file: Path) -> tuple[str, Any]:
    """Return the error and the smallest case of a kind of failure."""
    noted = json.loads(file.read_text())
    data = base64.b64decode(noted["data"])
    until = time.monotonic() + HANG_SECONDS

    def is_failing(case: Any) -> bool:
        if time.monotonic() > until:
            return False
        try:
            way.check(case)
        except Exception as error:  # noqa: BLE001 - any error is a finding
            return failure_kind(error) == file.stem
        return False

    case = minimised(way, data, is_failing)
    return noted["error"], case if case is not None else _case(way, data)


def _case(way: Way, data: bytes) -> Any:
    """Return the case that bytes stand for, without checking it."""
    cases: list[Any] = []
    way.runner(cases.append)(data)
    return cases[0] if cases else {"no case, but bytes": base64.b64encode(data).decode()}


def _save(figures: Figures, way: Way, name: str, error: str, case: Any) -> None:
    figures.findings += 1
    file = save(way.target, name, error, case)
    print(f"  {file.relative_to(CHECKOUT)}: {error[:200]}", flush=True)


def _table(figures: Iterable[Figures]) -> Iterable[str]:
    """Return the lines of a table in Markdown."""
    names = [field.name for field in fields(Figures)]
    yield ""
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in figures:
        yield f"| {' | '.join(f'{asdict(row)[name]}' for name in names)} |"


if __name__ == "__main__":
    sys.exit(main())
