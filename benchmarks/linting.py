"""How long `lava-s3trigger check` takes for a folder of entries, on one core.

Run it as ``python -m benchmarks.linting``.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

MAX_SECONDS: Final = 20.0
_ENTRY: Final = """\
# Loads the files of feed {n}.
trigger_id: feeds/load-{n}
description: Loads the files of feed {n} into the warehouse.
owner: feeds team
bucket: bucket-{bucket}
prefix: incoming/feed-{n}
enabled: true
if_fnmatch: ["*.csv", "*.csv.gz"]
if_not_fnmatch: "*/draft/*"
if_size_gt: 1KiB
job_id: feeds/load_{n}
parameters:
  args: ["s3://{{{{ bucket }}}}/{{{{ key }}}}", "--feed", "{n}"]
  env:
    FEED_DAY: "{{{{ key.split('/')[2] }}}}"
    FEED_SIZE: "{{{{ info.size // {code} }}}}"
globals:
  day: "{{{{ info.event_time.strftime('%Y-%m-%d') }}}}"
  file: "feed-{n}-{{{{ utils.path.basename(key) }}}}"
delay: 30s
"""


def write_entries(folder: Path, count: int) -> None:
    """Write entries that have nothing to find, one a file."""
    for n in range(count):
        entry = _ENTRY.format(n=n, bucket=n % 50, code=n % 200 + 1)
        (folder / f"{n:06}.yaml").write_text(entry)


def main() -> int:
    """Measure, print, and return 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000)
    count = parser.parse_args().entries
    with tempfile.TemporaryDirectory() as name:
        write_entries(Path(name), count)
        core = min(os.sched_getaffinity(0))
        start = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "lava_s3trigger", "check", name],
            check=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
        wall = time.monotonic() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    print(f"{count} entries: {cpu:.1f} s of CPU time, {wall:.1f} s, {used.ru_maxrss // 1024} MiB")
    return int(cpu > MAX_SECONDS * count / 10_000)


if __name__ == "__main__":
    sys.exit(main())
