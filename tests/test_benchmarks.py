"""The benchmarks run and reject wrong messages. Their speed is not tested."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from benchmarks import cold, page
from benchmarks.comparing import Change
from benchmarks.measuring import Comparison, Cost, Row
from benchmarks.realm import by_s3, check, entries, entry, expected, function
from benchmarks.service import LocalService, Seen, to_item
from tests.aws_in_memory.tables import read_units, size_of_item
from tools.local.server import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow("runs benchmarks")


SLOW: Final = """
import time

_call = Function.__call__


def _slow(self, payload, context=None):
    until = time.process_time() + 0.01
    while time.process_time() < until:
        pass
    return _call(self, payload, context)


Function.__call__ = _slow
"""


def run(file: Path, *arguments: str) -> tuple[str, dict[str, Any]]:
    """Run the benchmarks quickly; return what they print and the results they write."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json", str(file), *arguments],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout, json.loads(file.read_text())


def test_a_quick_run_measures_this_checkout_and_another_one(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(CHECKOUT / "lava_s3trigger", tmp_path / "lava_s3trigger", ignore=ignored)
    with (tmp_path / "lava_s3trigger" / "handler.py").open("a") as handler:
        handler.write(SLOW)
    before = page.PAGE.read_text()
    scenarios = ("warm_one", "everyday_in_one_invocation", "calls_of_few", "calls_of_many")
    only = [f"--only={name}" for name in scenarios]
    printed, results = run(tmp_path / "bench.json", "--against", str(tmp_path), *only)
    rows = results["rows"]
    assert [row["name"] in printed for row in rows] == [True] * 7
    # Counts do not depend on the number of rounds.
    assert [row["result"] for row in rows[2:]] == [0, 0, 10, 0, 0]
    assert all(row["meets_goal"] for row in rows[2:])
    assert "Before and after" in printed
    ratios = [change["ratio"] for change in results["changes"]]
    assert all(ratio < 0.5 for ratio in ratios[:2])
    assert ratios[2:] == [1] * 5
    assert page.PAGE.read_text() == before


def test_cold_rows_measure_the_package_of_the_other_checkout(tmp_path: Path) -> None:
    """Also in this folder, which has modules of the same names."""
    try:
        python = cold.find_python()
    except cold.NotHereError as error:
        pytest.skip(str(error))
    package = tmp_path / "build" / "package"
    for folder in (tmp_path, package):
        shutil.copytree(CHECKOUT / "lava_s3trigger", folder / "lava_s3trigger")
    installed = cold.install_bare(python)
    for path in installed.iterdir():
        if path.name != "bare.py":
            (package / path.name).symlink_to(path)
    shutil.copy(CHECKOUT / "s3trigger.py", package)
    mark = tmp_path / "mark"
    for folder in (tmp_path, package):
        with (folder / "lava_s3trigger" / "handler.py").open("a") as handler:
            handler.write(f"with open({str(mark)!r}, 'a') as file:\n    file.write('x')\n")
    scenarios = ("cold", "first_event", "memory_after_first_event")
    for name in scenarios:
        _, results = run(tmp_path / "bench.json", "--checkout", str(tmp_path), "--only", name)
        assert not results["not_run"]
        assert mark.exists()
        mark.unlink()


@pytest.mark.parametrize(
    ("before", "after", "ratio", "is_worse"),
    [
        (Row("r", 1), Row("r", 1.02), 1.02, False),  # within three per cent
        (Row("r", 1), Row("r", 1.04), 1.04, True),
        (Row("r", 2), Row("r", 1), 0.5, False),
        (Row("r", 0), Row("r", 0), 1, False),
        (Row("r", 0), Row("r", 1), None, True),
        (Row("r", 1, rounds=(1, 2, 40)), Row("r", 9, rounds=(2, 4, 40)), 2, True),  # their median
    ],
)
def test_a_change_is_judged_by_its_ratio(
    before: Row, after: Row, ratio: float | None, *, is_worse: bool
) -> None:
    change = Change(before, after)
    assert (change.ratio, change.is_worse) == (ratio, is_worse)


class TestCheck:
    """A wrong message is an error, not a result."""

    @pytest.fixture
    def seen(self) -> Seen:
        service = LocalService()
        service.setup([entry(), *entries(3)])
        function(service)(by_s3("in/a.csv", "in/b.csv"))
        return service.take()

    def test_the_expected_messages_pass(self, seen: Seen) -> None:
        assert check(seen, ["in/a.csv", "in/b.csv"]) is seen
        assert seen.calls == {"Query": 1, "GetItem": 1, "GetQueueUrl": 1, "SendMessageBatch": 1}

    @pytest.mark.parametrize(
        ("keys", "times"), [(["in/a.csv"], 1), (["in/a.csv", "in/c.csv"], 1), (["in/a.csv"], 2)]
    )
    def test_other_objects_are_rejected(self, seen: Seen, keys: list[str], times: int) -> None:
        with pytest.raises(AssertionError):
            check(seen, keys, times)

    @pytest.mark.parametrize("change", [{"job_id": "other"}, {"parameters": {}}, {"more": 1}])
    def test_a_message_with_other_fields_is_rejected(
        self, seen: Seen, change: dict[str, Any]
    ) -> None:
        queue, text = seen.sent[0]
        seen.sent[0] = queue, json.dumps(json.loads(text) | change)
        with pytest.raises(AssertionError):
            check(seen, ["in/a.csv", "in/b.csv"])

    def test_a_message_in_another_queue_is_rejected(self, seen: Seen) -> None:
        seen.sent[0] = "lava-bench-other", seen.sent[0][1]
        with pytest.raises(AssertionError):
            check(seen, ["in/a.csv", "in/b.csv"])

    def test_a_repeated_run_id_is_rejected(self) -> None:
        text = json.dumps(expected("a") | {"run_id": "1", "ts_dispatch": "now"})
        with pytest.raises(AssertionError):
            check(Seen({}, 0, [("lava-bench-worker0", text)] * 2), ["a"], 2)


@pytest.mark.parametrize(
    ("size", "units"), [(0, 0.5), (1, 0.5), (4096, 0.5), (4097, 1), (131_072, 16)]
)
def test_a_read_unit_covers_four_kib(size: int, units: float) -> None:
    assert read_units(size) == units


def test_the_size_of_an_item_is_that_of_its_names_and_values() -> None:
    assert size_of_item(to_item({"ab": "cde", "f": True, "m": {"n": "é"}})) == 5 + 2 + 1 + 3 + 4


def test_a_ratio_compares_costs_of_the_same_round() -> None:
    ours = [Cost(2, 4), Cost(20, 40), Cost(3, 3)]
    baseline = [Cost(1, 1), Cost(10, 10), Cost(1, 1)]
    found = Comparison.of(ours, baseline)
    assert (found.cpu, found.wall) == (2, 4)


def test_a_table_is_written_between_its_markers_only(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    text = "before\n<!-- t -->\nold\n<!-- end of t -->\nafter\n"
    path.write_text(text)
    with pytest.raises(ValueError, match="0 places"):
        page.write("other", "", path)
    assert path.read_text() == text
    line = page.line(Row("what", 2, 1.3, ours="1 ms", baseline="2 ms"))
    page.write("t", page.markdown(page.HEAD, [line]), path)
    before, table, after = re.split("<!-- (?:end of )?t -->\n", path.read_text())
    assert (before, after) == ("before\n", "after\n")
    assert table.splitlines()[3:] == ["| what | 2 | 1.3 | **no** | 1 ms | 2 ms |  |", ""]


def test_the_page_has_its_markers() -> None:
    for name in ("table of benchmarks", "table of changes", "table of spending"):
        assert page.PAGE.read_text().count(f"<!-- {name} -->") == 1
