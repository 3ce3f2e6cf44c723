"""``python -m benchmarks.replay``: how fast `replay` plans from an inventory, in which memory.

It runs the command on a local AWS server, with 100 trigger entries; one of them matches. All
of an object is in it: reading the inventory, the decision, and the row in the state's file.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tools.local.realm import Realm
from tools.local.server import CHECKOUT, LocalAws

GOAL_OBJECTS_A_SECOND: Final = 5_000
GOAL_GROWTH_KIB: Final = 16 * 1024
_FUNCTION: Final = "lava-bench-s3trigger"
_ENTRIES: Final = 100
_MEASURED: Final = """
import sys
from lava_s3trigger.cli import main
try:
    main(sys.argv[1:])
finally:
    with open("/proc/self/status") as status:
        sys.stderr.write("".join(line for line in status if line.startswith("VmHWM")))
"""


def main() -> int:
    """Measure, print, and return 1 where a goal is missed."""
    parser = argparse.ArgumentParser("python -m benchmarks.replay", description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000, help="objects to plan")
    number: int = parser.parse_args().objects
    with LocalAws() as aws, tempfile.TemporaryDirectory() as folder:
        _deploy(aws)
        few = _plan(aws, Path(folder), number // 10)
        many = _plan(aws, Path(folder), number)
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
    for objects, (seconds, cpu, memory) in ((number // 10, few), (number, many)):
        print(
            f"{objects:,} objects: {seconds:.0f} s, {objects / seconds:,.0f} a second;"
            f" {cpu:.0f} s of CPU, {objects / cpu:,.0f} a second; {memory / 1024:.0f} MiB"
        )
    # By CPU time, since others may use the machine too; the work is one process's.
    is_slow = number / many[1] < GOAL_OBJECTS_A_SECOND
    return int(is_slow or many[2] - few[2] > GOAL_GROWTH_KIB)


def _deploy(aws: LocalAws) -> None:
    realm = Realm(aws, "bench")
    realm.make(["core"])
    aws.deploy(
        CHECKOUT / "template.yaml", CHECKOUT / "build" / "package", _FUNCTION, {"Realm": "bench"}
    )
    realm.put(
        "jobs",
        [{"job_id": "load", "type": "exe", "worker": "core", "payload": "x", "enabled": True}],
    )
    realm.put(
        "s3triggers",
        [
            {
                "trigger_id": f"t{entry}",
                "bucket": "bench-bucket",
                "prefix": f"incoming/{entry}",
                "enabled": True,
                "job_id": "load",
                "if_fnmatch": "*.csv",
                "parameters": {
                    "args": ["{{ key.split('/')[-1] }}", "{{ info.event_time }}"],
                },
            }
            for entry in range(_ENTRIES)
        ],
    )


def _plan(aws: LocalAws, folder: Path, number: int) -> tuple[float, float, int]:
    """Plan so many objects; return seconds, seconds of CPU, and the most memory in KiB."""
    with gzip.open(folder / "data.csv.gz", "wt", compresslevel=1) as file:
        file.writelines(
            f'"bench-bucket","incoming/0/2026/{n:08}.csv","{n}","2026-03-14T01:59:26.000Z"\n'
            for n in range(number)
        )
    manifest = folder / "manifest.json"
    schema = "Bucket, Key, Size, LastModifiedDate"
    manifest.write_text(json.dumps({"fileSchema": schema, "files": [{"key": "data.csv.gz"}]}))
    arguments = ["replay", "--inventory", str(manifest), "--dry-run", "--realm", "bench"]
    arguments += ["--state", str(folder / f"{number}.sqlite")]
    before, start = os.times(), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *arguments],
        env=os.environ
        | {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": aws.endpoint,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, after = time.monotonic() - start, os.times()
    if f"{number:,} that trigger t0, job load dispatches" not in done.stdout:
        raise RuntimeError(done.stdout)
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return seconds, cpu, int(done.stderr.rsplit("VmHWM:", 1)[1].split()[0])


if __name__ == "__main__":
    sys.exit(main())
