"""checkov gets the template with every part of the stack, and each skip has its reason."""

from __future__ import annotations

from typing import Any

import pytest

from tests.test_template import TEMPLATE, TEXT, _read
from tools.checkov import with_all_parts

pytestmark = pytest.mark.slow("`make check` runs checkov")


def test_all_conditions_are_true() -> None:
    conditions: dict[str, Any] = _read(with_all_parts(TEXT))["Conditions"]
    assert conditions.keys() == TEMPLATE["Conditions"].keys()
    assert all(each == {"Fn::Equals": ["", ""]} for each in conditions.values())


def test_findings_name_the_right_lines() -> None:
    made, lines = with_all_parts(TEXT).splitlines(), TEXT.splitlines()
    assert len(made) == len(lines)
    resources = lines.index("Resources:")
    assert made[resources:] == lines[resources:]


def test_each_skip_has_a_reason() -> None:
    skips = [
        skip
        for each in TEMPLATE["Resources"].values()
        for skip in each.get("Metadata", {}).get("checkov", {}).get("skip", ())
    ]
    assert skips
    assert all(skip["comment"].endswith(".") for skip in skips)
