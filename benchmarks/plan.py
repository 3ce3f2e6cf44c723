"""`lava-s3trigger plan` over a million keys and 1,000 entries: time, memory, and its counts.

`python -m benchmarks.plan` runs it; `--keys` takes fewer. Entries are like those that users
write; one in ten differs between the two sides, or one in as many as `--every` says.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from .realm import BUCKET, entry

KEYS: Final = 1_000_000
ENTRIES: Final = 1_000
GOAL_SECONDS: Final = 240
"""For `KEYS` and `ENTRIES`, on two processors."""
EVERY: Final = 10
"""One entry in as many changes."""


def write_entries(path: Path, every: int = 0) -> None:
    """Write the entries of one side, each with its own prefix; one in `every` takes JSON."""
    written = [
        entry(
            number,
            prefix=f"area-{number:04}",
            if_fnmatch="*.json" if every and number % every == 0 else "*.csv",
        )
        for number in range(ENTRIES)
    ]
    path.write_text(json.dumps(written))


def write_keys(path: Path, count: int) -> None:
    """Write keys: nine in ten end with ``.csv``, the others with ``.json``."""
    with path.open("w") as file:
        for number in range(count):
            suffix = "json" if number // ENTRIES % 10 == 9 else "csv"
            file.write(
                f"s3://{BUCKET}/area-{number % ENTRIES:04}/2026/03/14/file-{number:07}.{suffix}\n"
            )


def expected(count: int, every: int = EVERY) -> dict[str, int]:
    """Return the dispatches that are gained and lost, by the rules of the two above."""
    is_json = [number // ENTRIES % 10 == 9 for number in range(count)]
    changed = [number % ENTRIES % every == 0 for number in range(count)]
    pairs = list(zip(is_json, changed, strict=True))
    return {"gained": pairs.count((True, True)), "lost": pairs.count((False, True))}


def run(folder: Path, count: int, every: int = EVERY) -> tuple[float, float, int, dict[str, Any]]:
    """Run the command; return wall seconds, CPU seconds, peak bytes and the plan."""
    write_entries(folder / "old.json")
    write_entries(folder / "new.json", every)
    write_keys(folder / "keys.txt", count)
    command = [sys.executable, "-m", "lava_s3trigger", "plan", "new.json", "--against", "old.json"]
    command += ["--keys", "keys.txt", "--format", "json"]
    environment = {name: os.environ[name] for name in os.environ if name != "LAVA_REALM"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode != 1:
        sys.exit(f"plan ended with {done.returncode}: {done.stderr}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, json.loads(done.stdout)


def main() -> None:
    """Run the benchmark, and fail where counts are wrong or the goal is missed."""
    parser = argparse.ArgumentParser(description="Measure lava-s3trigger plan.")
    parser.add_argument("--keys", type=int, default=KEYS)
    parser.add_argument("--every", type=int, default=EVERY)
    arguments = parser.parse_args()
    count, every = arguments.keys, arguments.every
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        seconds, cpu, memory, plan = run(Path(folder), count, every)
    counts = {name: plan["dispatches"][name] for name in ("gained", "lost")}
    print(
        f"{count:,} keys against {ENTRIES:,} entries, of which one in"
        f" {every} changes: {seconds:.0f} s, {cpu:.0f} s of CPU,"
        f" at most {memory / 2**20:.0f} MiB in a process, {count / seconds:,.0f} keys a second"
    )
    print(f"{os.cpu_count()} processors; load average before: {load:.2f}; goal {GOAL_SECONDS} s")
    if counts != expected(count, every):
        sys.exit(f"wrong counts: {counts}, expected {expected(count, every)}")
    if count >= KEYS and seconds > GOAL_SECONDS:
        sys.exit("slower than the goal")


if __name__ == "__main__":
    main()
