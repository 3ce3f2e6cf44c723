"""The benchmarks run and reject wrong messages. Their speed is not tested."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks import cold, page
from benchmarks.measuring import Row
from benchmarks.realm import by_s3, check, entries, entry, expected, function
from benchmarks.service import LocalService, Seen
from benchmarks.spending import Share
from tools.local.server import CHECKOUT

pytestmark = pytest.mark.slow("runs benchmarks")
SLOW: Final = """
_call = Function.__call__


def _slow(self, *arguments):
    sum(range(1_000_000))
    return _call(self, *arguments)


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
    assert all(row["name"] in printed for row in rows)
    # Counts do not depend on the number of rounds.
    counts = [(row["result"], row["meets_goal"]) for row in rows[2:]]
    assert counts == [(0, True), (0, True), (10, True), (0, True), (0, True)]
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


def test_a_wrong_message_is_an_error_and_no_result() -> None:
    service = LocalService()
    service.setup([entry(), *entries(3)])
    function(service)(by_s3("in/a.csv", "in/b.csv"))
    seen, keys = service.take(), ["in/a.csv", "in/b.csv"]
    assert check(seen, keys) is seen
    [(queue, text), other] = seen.sent
    changes: list[dict[str, Any]] = [{"job_id": "other"}, {"parameters": {}}, {"more": 1}]
    texts = [json.dumps(json.loads(text) | change) for change in changes]
    wrong = [(queue, changed) for changed in texts] + [("lava-bench-other", text)]
    twice = json.dumps(expected("a") | {"run_id": "1", "ts_dispatch": "now"})
    for found, named, times in [
        (seen, keys[:1], 1),
        (seen, ["in/a.csv", "in/c.csv"], 1),
        (seen, keys[:1], 2),
        *((replace(seen, sent=[each, other]), keys, 1) for each in wrong),
        (Seen({}, 0, [("lava-bench-worker0", twice)] * 2), ["a"], 2),
    ]:
        with pytest.raises(AssertionError):
            check(found, named, times)


def test_the_page_has_rows_with_a_goal_and_modules_that_take_time() -> None:
    text = page.PAGE.read_text()
    for name in ("table of benchmarks", "table of spending"):
        assert text.count(f"<!-- {name} -->") == 1
    rows = [Row("slow", 1.5, 1.25), Row("compared", 2.0), Row("calls", 0, 0, "calls")]
    assert page.page_lines(rows) == [
        ["slow", "1.5", "1.25", "**no**"],
        ["calls", "0 calls", "0", "yes"],
    ]
    shares = [Share("log", 0.01, 0.04), Share("jobs", 0.03, 0.02)]
    assert page.spent_page_lines(shares) == [["`log.py`", "the log line", "1%", "4%"]]
