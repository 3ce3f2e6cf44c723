"""Our own tools, where no run of them shows what they do with what is bad."""

from typing import Any, Final

import pytest

from tests.test_template import TEMPLATE, TEXT, _read
from tools.audit import report
from tools.checkov import with_all_parts

GOOD: Final = {"name": "good", "version": "1", "vulns": []}
UNKNOWN: Final = {"name": "new", "version": "4", "skip_reason": "not found"}
VULNERABILITY: Final = {"id": "PYSEC-2026-1", "fix_versions": ["3"]}
BAD: Final = {"name": "bad", "version": "2", "vulns": [VULNERABILITY]}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([GOOD], 0, "audited 1 packages: no known vulnerability"),
        ([UNKNOWN, BAD], 1, "bad 2: PYSEC-2026-1, fixed in 3"),
        ([GOOD, UNKNOWN], 0, "NOT AUDITED, unknown to the"),
        ([UNKNOWN], 0, "AUDIT SKIPPED"),
        (None, 0, "AUDIT SKIPPED"),
    ],
    ids=["good", "bad and unknown", "unknown", "all unknown", "unreachable"],
)
def test_the_audit_fails_on_a_known_vulnerability(
    capsys: pytest.CaptureFixture[str], packages: Any, status: int, said: str
) -> None:
    assert report(packages) == status
    assert said in capsys.readouterr().out


def test_checkov_sees_every_part_of_the_template_and_each_skip_has_a_reason() -> None:
    conditions: dict[str, Any] = _read(with_all_parts(TEXT))["Conditions"]
    assert conditions.keys() == TEMPLATE["Conditions"].keys()
    assert all(each == {"Fn::Equals": ["", ""]} for each in conditions.values())
    for resource in TEMPLATE["Resources"].values():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", ()):
            assert skip["comment"].endswith("."), skip
