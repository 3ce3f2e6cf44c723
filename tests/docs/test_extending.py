"""The condition that CONTRIBUTING.md adds works as the page says."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from lava_s3trigger import conditions
from lava_s3trigger.cli.entries.dynamodb import attribute_of
from lava_s3trigger.triggers import BrokenTrigger, Trigger, read_trigger
from tools.local.server import CHECKOUT

from .pages import fenced, section

PAGE: Final = section(CHECKOUT / "CONTRIBUTING.md", "Add a condition")
SATURDAY: Final = datetime(2026, 3, 14, tzinfo=UTC)
MONDAY: Final = datetime(2026, 3, 16, tzinfo=UTC)


@pytest.fixture(autouse=True)
def weekday() -> Iterator[None]:
    """The condition of the page, as if it were in the module."""
    source = "\n".join(["from __future__ import annotations", *fenced(PAGE, "python")])
    exec(source, {**vars(conditions), "datetime": datetime})  # the page's own code
    yield
    del conditions.KINDS["weekday"]


def read(**fields: Any) -> Trigger | BrokenTrigger:
    """Read the entry of the page, with other fields."""
    [entry] = [json.loads(block) for block in fenced(PAGE, "text")]
    return read_trigger({name: attribute_of(value) for name, value in (entry | fields).items()})


@pytest.mark.parametrize(
    ("fields", "expected"), [({}, [True, False]), ({"if_weekday": "sat"}, [False, True])]
)
def test_the_condition_and_its_inverse_hold_on_their_days(
    fields: dict[str, Any], expected: list[bool]
) -> None:
    trigger = read(**fields, if_not_weekday="mon")
    assert isinstance(trigger, Trigger)
    holds = {each.field: [each.holds(MONDAY), each.holds(SATURDAY)] for each in trigger.conditions}
    assert holds == {"if_weekday": expected, "if_not_weekday": [False, True]}


@pytest.mark.parametrize("argument", ["monday", ["mon", 1], 1, {"day": "mon"}])
def test_an_invalid_argument_is_a_user_error_that_names_the_field(argument: Any) -> None:
    trigger = read(if_weekday=argument)
    assert isinstance(trigger, BrokenTrigger)
    assert trigger.reason.startswith("bad entry: if_weekday: ")
    assert "is not a day or list of days (mon, tue" in trigger.reason


def test_the_docstring_is_the_line_of_the_docs() -> None:
    assert conditions.KINDS["weekday"].description.startswith("The event happened on any")
