"""The suite itself: the marker `slow`, limits, and processes that tests interrupt."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import SERVERS, pytest_collection_modifyitems
from tests.processes import SECONDS
from tools.local.server import CHECKOUT


@pytest.mark.parametrize("arguments", [(), ("",), (3,), ("a minute", "or two")])
def test_a_mark_without_a_reason_is_refused(arguments: tuple[Any, ...]) -> None:
    marks = {"slow": pytest.mark.slow.with_args(*arguments).mark}
    item: Any = SimpleNamespace(nodeid="test_it", get_closest_marker=marks.get)
    with pytest.raises(pytest.UsageError, match="test_it: slow needs a reason"):
        pytest_collection_modifyitems([item])


def test_each_deployed_module_is_with_its_server() -> None:
    for path in (CHECKOUT / "tests" / "e2e").glob("test_*.py"):
        text = path.read_text()
        of_stack = re.search(r"\b(stack: Stack|iam_aws: LocalAws)\b", text)
        of_pages = re.search(r"\b(empty_aws: LocalAws|lava_realm: Reader)\b", text)
        expected = "empty_aws" if of_pages else "iam_aws" if of_stack else None
        assert SERVERS.get(str(path.relative_to(CHECKOUT))) == expected, path


class TestLimits:
    """No test waits without an end."""

    def test_a_test_without_an_end_is_ended_and_shows_where_it_waits(self, tmp_path: Path) -> None:
        (tmp_path / "test_it.py").write_text(
            "import signal, threading\n"
            "def test_it():\n"
            "    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)  # it is of templates\n"
            "    threading.Event().wait()\n"
        )
        command = [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--timeout", "1"),
            *("-c", str(CHECKOUT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)),
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "Timeout" in done.stdout + done.stderr
        assert "threading.Event().wait()" in done.stdout + done.stderr


@pytest.mark.parametrize("processes", [1, 2])
def test_after_a_crash_all_other_tests_run_once(tmp_path: Path, processes: int) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_xdist_make_scheduler")
    for name in ("a", "b", "c", "e", "f"):
        (tmp_path / f"test_{name}.py").write_text("def test_it(): pass\n")
    (tmp_path / "test_d.py").write_text(
        "import os\n\ndef test_it(): pass\ndef test_crash(): os._exit(1)\ndef test_other(): pass\n"
    )
    command = [
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", str(processes)),
        *("--dist", "loadscope", "--no-loadscope-reorder"),
        *("-c", str(CHECKOUT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)),
    ]
    own = dict(os.environ) | {"PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=own, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert "FAILED test_d.py::test_crash" in done.stdout
    assert "1 failed, 7 passed" in done.stdout
