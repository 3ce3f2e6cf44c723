"""The benchmarks run, and take no wrong answer for a result. How fast it is, is not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import page
from benchmarks.measuring import Beside, Row, Spent
from benchmarks.realm import by_s3, check, entries, entry, expected, function
from benchmarks.service import LocalService, Seen, read_units, size_of_item, to_item
from lava_s3trigger.cli.localaws import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path


def test_the_benchmarks_run(tmp_path: Path) -> None:
    kept = tmp_path / "bench.json"
    before = page.PAGE.read_text()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "--quick", "--json", str(kept)),
            *("--only", "warm_one", "--only", "calls_of_few", "--only", "calls_of_many"),
        ],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    )
    rows = json.loads(kept.read_text())["rows"]
    assert [row["what"] in done.stdout for row in rows] == [True] * 6
    assert rows[0]["found"] > 0
    # Counts are what they are, however quick it goes.
    assert [row["found"] for row in rows[2:]] == [0, 10, 0, 0]
    assert all(row["reached"] for row in rows[2:])
    assert "Not measured: AWS itself" in done.stdout
    assert page.PAGE.read_text() == before


class TestCheck:
    """A wrong answer is no result."""

    @pytest.fixture
    def seen(self) -> Seen:
        service = LocalService()
        service.setup([entry(), *entries(3)])
        function(service)(by_s3("in/a.csv", "in/b.csv"))
        return service.take()

    def test_right_dispatches_pass(self, seen: Seen) -> None:
        assert check(seen, ["in/a.csv", "in/b.csv"]) is seen
        assert seen.calls == {"Query": 1, "GetItem": 1, "GetQueueUrl": 1, "SendMessageBatch": 1}

    @pytest.mark.parametrize(
        ("keys", "times"), [(["in/a.csv"], 1), (["in/a.csv", "in/c.csv"], 1), (["in/a.csv"], 2)]
    )
    def test_wrong_keys_are_an_error(self, seen: Seen, keys: list[str], times: int) -> None:
        with pytest.raises(AssertionError):
            check(seen, keys, times)

    @pytest.mark.parametrize("change", [{"job_id": "other"}, {"parameters": {}}, {"more": 1}])
    def test_an_unexpected_message_is_an_error(self, seen: Seen, change: dict[str, Any]) -> None:
        queue, text = seen.sent[0]
        seen.sent[0] = queue, json.dumps(json.loads(text) | change)
        with pytest.raises(AssertionError):
            check(seen, ["in/a.csv", "in/b.csv"])

    def test_an_unexpected_queue_is_an_error(self, seen: Seen) -> None:
        seen.sent[0] = "lava-bench-other", seen.sent[0][1]
        with pytest.raises(AssertionError):
            check(seen, ["in/a.csv", "in/b.csv"])

    def test_a_repeated_run_id_is_an_error(self) -> None:
        text = json.dumps(expected("a") | {"run_id": "1", "ts_dispatch": "now"})
        with pytest.raises(AssertionError):
            check(Seen({}, 0, [("lava-bench-worker0", text)] * 2), ["a"], 2)


@pytest.mark.parametrize(
    ("size", "units"), [(0, 0.5), (1, 0.5), (4096, 0.5), (4097, 1), (131_072, 16)]
)
def test_read_units_are_of_four_kib(size: int, units: float) -> None:
    assert read_units(size) == units


def test_the_size_of_an_item_is_that_of_its_names_and_values() -> None:
    assert size_of_item(to_item({"ab": "cde", "f": True, "m": {"n": "é"}})) == 5 + 2 + 1 + 3 + 4


def test_a_ratio_compares_rounds_that_ran_together() -> None:
    ours = [Spent(2, 4), Spent(20, 40), Spent(3, 3)]
    theirs = [Spent(1, 1), Spent(10, 10), Spent(1, 1)]
    found = Beside.of(ours, theirs)
    assert (found.cpu, found.wall) == (2, 4)


class TestPage:
    """Figures in the docs come from the command."""

    def test_tables_are_kept_between_marks(self, tmp_path: Path) -> None:
        path = tmp_path / "page.md"
        path.write_text("before\n<!-- t -->\nold\n<!-- end of t -->\nafter\n")
        row = Row("what", 1.234, 1.3, ours="1 ms", beside="2 ms")
        page.keep("t", page.markdown(page.HEAD, [page.line(row)]), path)
        text = path.read_text()
        assert "| what | 1.23 | 1.3 | yes | 1 ms | 2 ms |  |" in text
        assert "old" not in text
        assert text.startswith("before\n")
        assert text.endswith("after\n")

    def test_a_page_without_the_marks_is_not_changed(self, tmp_path: Path) -> None:
        path = tmp_path / "page.md"
        path.write_text("nothing\n")
        with pytest.raises(ValueError, match="0 places"):
            page.keep("t", "", path)

    def test_the_page_has_its_marks(self) -> None:
        for name in ("table of benchmarks", "table of spending"):
            assert page.PAGE.read_text().count(f"<!-- {name} -->") == 1

    def test_a_missed_goal_is_shown(self) -> None:
        assert page.line(Row("what", 2, 1))[3] == "**no**"
        assert page.line(Row("what", 2))[3] == ""
