"""``make demo`` shows what it says, and leaves nothing running."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lava_s3trigger.cli.demo import STEPS

pytestmark = pytest.mark.e2e


def processes() -> set[str]:
    """Name the processes of local AWS servers and the functions they run."""
    found = set()
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended
            continue
        if "ministack" in command:
            found.add(f"{each.parent.name} {command}")
    return found


class TestDemo:
    """The main job, end to end, as a stranger sees it."""

    def test_it_shows_every_object_with_what_became_of_it(self) -> None:
        before = processes()
        command = Path(sys.executable).with_name("lava-s3trigger")
        done = subprocess.run([command, "demo"], capture_output=True, text=True, check=False)
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
        assert processes() <= before
