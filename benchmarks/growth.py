"""How CPU time and memory grow with the tables, the depth of keys and their number."""

from __future__ import annotations

import gc
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .checkouts import command
from .measuring import Comparison, Row
from .realm import by_s3, check, entries, entry, function
from .service import ROOT, LocalService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .measuring import Bench


def cpu(bench: Bench) -> Iterator[Row]:
    """An event without AWS calls, which the process answers itself."""

    def handling(count: int, prefix: str, key: str) -> Callable[[], Any]:
        service = LocalService()
        service.setup([entry(prefix=prefix), *entries(count - 1)])
        handle = function(service)
        payload = by_s3(key)
        for _ in range(2):
            handle(payload)
        check(service.take(), [key], 2)
        return lambda: handle(payload)

    def compare(ours: Callable[[], Any], baseline: Callable[[], Any]) -> Comparison:
        return bench.compare(ours, baseline, rounds=bench.rounds(15), times=bench.scaled(300))

    few, many = handling(1, "in", "in/a.csv"), handling(100, "in", "in/a.csv")
    yield compare(many, few).by_cpu("CPU without calls, 100 entries in the bucket against 1", 1.2)
    shallow, deep = handling(100, "a", "a/b.csv"), handling(100, "a", "a/" * 199 + "b.csv")
    yield compare(deep, shallow).by_cpu("CPU without calls, 200 levels deep against 2", 1.5)


def memory(bench: Bench) -> Iterator[Row]:
    """Unique keys, in a process that does nothing else."""
    bench.wait_for_turn()
    few, many = 1000, 10_000 if bench.is_quick else 100_000
    done = subprocess.run(
        command(bench.checkout, "benchmarks.growth", str(few), str(many)),
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    early, late = json.loads(done.stdout)
    yield Row(
        f"memory after {many:,} unique keys against after {few:,}",
        late / early,
        1.02,
        ours=_megabytes(late),
        baseline=_megabytes(early),
        note="bucket with 1,000 entries",
    )


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.4g} MB"


def _grow(few: int, many: int) -> tuple[int, int]:
    """Handle unique keys and return the bytes of memory after few and after many of them."""
    service = LocalService()
    # More entries than one query returns, so that each key is queried.
    service.setup([entry(), *entries(1000)])
    handle = function(service, log_level=40)
    sizes = []
    for begin, end in ((0, few), (few, many)):
        for number in range(begin, end, 10):
            keys = [f"in/{n % 7}/{n}.csv" for n in range(number, number + 10)]
            handle(by_s3(*keys))
            check(service.take(), keys)
        gc.collect()
        sizes.append(_resident())
    return sizes[0], sizes[1]


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    print(json.dumps(_grow(*map(int, sys.argv[1:]))))
