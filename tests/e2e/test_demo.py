"""``make demo`` shows what it says, and leaves nothing running."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lava_s3trigger.cli.demo import STEPS

pytestmark = pytest.mark.e2e


def running_in(folder: Path) -> list[str]:
    """Name the processes that were started from a folder: servers, and functions they run."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            command = (each / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = str((each / "cwd").readlink())
        except OSError:  # it has ended
            continue
        if str(folder) in command + place:
            found.append(f"{each.name} {command}")
    return found


class TestDemo:
    """The demo shows every dispatch and every skip with its reason."""

    def test_the_demo_shows_the_result_of_every_object(self, tmp_path: Path) -> None:
        command = Path(sys.executable).with_name("lava-s3trigger")
        done = subprocess.run(
            [command, "demo"],
            env=os.environ | {"TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        sent, _, left = done.stdout.partition("Not dispatched")
        for step in STEPS:
            assert step.bucket in done.stdout
            assert step.route in done.stdout
        for words in ("load_orders", "audit", "scan_pdf", "book_returns", "withdraw", "publish"):
            assert words in sent, done.stdout
        for words in (
            "the trigger is disabled",
            "the job is disabled",
            "no trigger matches",
            "not met: if_not_fnmatch",
            "not met: if_size_gt",
            "'paramters' is no field of a trigger",
            "there is no job",
        ):
            assert words in " ".join(left.replace("│", " ").split()), done.stdout
        assert running_in(tmp_path) == []
        assert list(tmp_path.iterdir()) == []
