"""The audit fails on a known vulnerability, and says where it could not check."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Audit = Callable[[str], subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.slow("`make check` runs the audit")

ROOT: Final = Path(__file__).parents[1]
GOOD: Final = {"name": "good", "version": "1", "vulns": []}
BAD: Final = {
    "name": "bad",
    "version": "2",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["3"]}],
}
UNKNOWN: Final = {"name": "new", "version": "4", "skip_reason": "not found"}


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """Run the audit with a program that prints this answer instead of pip-audit."""

    def run(answer: str) -> subprocess.CompletedProcess[str]:
        program = tmp_path / "pip-audit"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
        program.chmod(0o755)
        exporter = tmp_path / "uv"
        exporter.write_text("#!/bin/sh\nexit 0\n")
        exporter.chmod(0o755)
        return subprocess.run(
            [
                *(sys.executable, "tools/audit.py"),
                *("--uv", str(exporter), "--pip-audit", str(program)),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize(
    ("packages", "code", "says"),
    [
        pytest.param([GOOD], 0, "audited 1 packages: no known vulnerability", id="good"),
        pytest.param([GOOD, BAD], 1, "bad 2: PYSEC-2026-1, fixed in 3", id="bad"),
        pytest.param([UNKNOWN, BAD], 1, "bad 2: PYSEC-2026-1, fixed in 3", id="bad and unknown"),
        pytest.param(
            [GOOD, UNKNOWN], 0, "NOT AUDITED, unknown to the vulnerability data: new", id="new"
        ),
        pytest.param([UNKNOWN], 0, "AUDIT SKIPPED", id="all unknown"),
    ],
)
def test_known_vulnerabilities_are_reported(
    audit: Audit, packages: list[dict[str, Any]], code: int, says: str
) -> None:
    done = audit(json.dumps({"dependencies": packages}))
    assert (done.returncode, done.stderr) == (code, "")
    assert says in done.stdout


def test_an_unreachable_database_is_reported(audit: Audit) -> None:
    done = audit("no answer")
    assert done.returncode == 0
    assert "AUDIT SKIPPED" in done.stdout
