"""Many runs of `apply` at the same time, some of them killed; and very many entries."""

import json
import os
import pty
import random
import re
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from tests.processes import finish

from .applying import SET, Applying, entry, written

ROUNDS: Final = int(os.environ.get("S3TRIGGER_APPLIES", "20"))
IDS: Final = [f"t{number}" for number in range(12)]
SIDES: Final = ("a", "b")
ENTRIES: Final = 5000


@dataclass
class Side:
    """One of those who apply at the same time, with a set and files of its own."""

    name: str
    applying: Applying
    chance: random.Random
    wanted: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_killed: bool = False

    def __post_init__(self) -> None:
        for trigger_id in self.chance.sample(IDS, 8):
            fields = {"owner": self.name, "delay": self.chance.randrange(5)}
            self.wanted[trigger_id] = entry(trigger_id, self.chance.choice(["in", "out"]), **fields)
        self.path = self.applying.folder / f"{self.name}.json"
        self.path.write_text(json.dumps(list(self.wanted.values())))

    def start(self) -> subprocess.Popen[str]:
        arguments = [str(self.path), "--set", self.name, "--adopt", "--prune-all", "--yes"]
        return self.applying.start(*arguments)

    def finish(self, process: subprocess.Popen[str], *, may_be_killed: bool) -> None:
        """Wait for the end; perhaps kill it at some moment after the first write may be made."""
        if may_be_killed and self.chance.random() < 0.7:
            assert process.stderr
            for line in process.stderr:
                if "To undo:" in line:
                    time.sleep(self.chance.uniform(0, 0.2))  # sleeping is what is tested
                    process.kill()
                    self.is_killed = True
                    break
        output, errors = finish(process)
        if not self.is_killed:
            assert process.returncode in (0, 1, 3), errors + output


def as_written(side: Side) -> dict[str, Any]:
    return {name: written(each, side.name) for name, each in side.wanted.items()}


def saved_files(folder: Path) -> list[Path]:
    found = list((folder / "state" / "lava-s3trigger").glob("apply-*.json"))
    return sorted(found, key=lambda each: re.findall(r"-(\d{8}T[\d.]+Z)", each.name), reverse=True)


def may_be_missing(trigger_id: str, before: dict[str, Any], sides: list[Side]) -> bool:
    """Return whether there was no entry, or the side to which it belonged has deleted it."""
    if trigger_id not in before:
        return True
    owner = before[trigger_id][1].get(SET, ("S", None))[1]
    return any(side.name == owner and trigger_id not in side.wanted for side in sides)


@pytest.mark.slow("starts two processes a round; S3TRIGGER_APPLIES=200 for the proof")
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_each_entry_is_wholly_one_sides_and_all_is_undone(
    applying: Applying, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    outside = {name: entry(name, delay=9) for name in ("none", "other")}
    outside["other"][SET] = "other"
    applying.put(*outside.values())
    for trigger_id in chance.sample(IDS, 7):
        owner = chance.choice([*SIDES, None])
        more = {SET: owner, "x-old": seed} if owner else {"x-old": seed}
        applying.put(entry(trigger_id, delay=7) | more)
    before = applying.items()
    sides = [Side(name, applying, random.Random(f"{seed}{name}")) for name in SIDES]

    threads = [
        threading.Thread(target=side.finish, args=(side.start(),), kwargs={"may_be_killed": True})
        for side in sides
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    after = applying.items()
    assert {name: after[name] for name in outside} == {name: before[name] for name in outside}
    for trigger_id in IDS:
        possible = [as_written(side).get(trigger_id) for side in sides] + [before.get(trigger_id)]
        assert after.get(trigger_id) in [each for each in possible if each] or (
            trigger_id not in after and may_be_missing(trigger_id, before, sides)
        )
    if seed % 2:
        # A second run goes on where the first one was killed.
        sides[0].is_killed = False
        sides[0].finish(sides[0].start(), may_be_killed=False)
        assert {**applying.items(), **as_written(sides[0])} == applying.items()

    monkeypatch.setenv("XDG_STATE_HOME", str(applying.folder / "undone"))
    for path in saved_files(applying.folder):
        ran = applying.run("--undo", str(path), "--yes")
        # A file is cut off only if its run was killed before it could write anything.
        assert ran.status in (0, 1) or "not a file that `apply` saved" in ran.errors, ran.errors
    assert applying.items() == before


@pytest.mark.slow("writes 5,000 entries")
def test_many_entries_are_planned_and_applied_with_a_progress_bar(applying: Applying) -> None:
    applying.write(*[entry(f"t{n}", prefix=f"in/{n}") for n in range(ENTRIES)])
    keys = applying.folder / "keys.txt"
    keys.write_text("".join(f"s3://my-bucket/in/{n}/a.csv\n" for n in range(0, ENTRIES, 50)))
    arguments = (applying.entries, "--set", "orders")
    terminal, process_side = pty.openpty()
    more = ("--yes", "--keys", str(keys), "--format", "json")
    process = applying.start(*arguments, *more, stderr=process_side)
    os.close(process_side)
    shown = bytearray()

    def read() -> None:
        try:
            while piece := os.read(terminal, 65536):
                shown.extend(piece)
        except OSError:  # as Linux says that the other side has ended
            pass

    reader = threading.Thread(target=read)
    reader.start()
    output, _ = finish(process, 900)
    reader.join()
    os.close(terminal)

    errors = shown.decode(errors="replace")
    assert process.returncode == 0, errors[-2000:]
    found = json.loads(output)
    assert (found["outcome"], len(found["changes"])) == ("applied", ENTRIES)
    assert found["plan"]["dispatches"]["gained"] == ENTRIES // 50
    assert re.search(r"entries written \[.*\] [\d,]+ of 5,000", errors)
    assert len(applying.items()) == ENTRIES
    assert applying.run(*arguments, "--dry-run").status == 0
