"""Errors of entries: all of them, as data, out of the readers of triggers, jobs and templates."""

from collections.abc import Callable, Iterator
from typing import Any, Final, get_args

import pytest

from lava_s3trigger.cli.entries.dynamodb import attribute_of
from lava_s3trigger.conditions import KINDS, condition
from lava_s3trigger.errors import MAX_ENTRY_ERRORS, Code, EntryError, InvalidEntryError
from lava_s3trigger.jobs import read_job
from lava_s3trigger.triggers import BrokenTrigger, Trigger, read_trigger
from lava_s3trigger.units import shown
from tests.build import job_entry, trigger_entry

BINARY: Final = {"B": b"hello"}


def item_of(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry as DynamoDB has it; a binary value stays as it is."""
    return {n: value if value is BINARY else attribute_of(value) for n, value in entry.items()}


def trigger_item(**fields: Any) -> dict[str, Any]:
    return item_of(trigger_entry(**fields))


def errors_of_trigger(**fields: Any) -> tuple[EntryError, ...]:
    found = read_trigger(trigger_item(**fields))
    return found.errors if isinstance(found, BrokenTrigger) else found.template_errors()


def errors_of_job(**fields: Any) -> tuple[EntryError, ...]:
    with pytest.raises(InvalidEntryError) as caught:
        read_job(item_of(job_entry(**fields)))
    assert str(caught.value) == caught.value.errors[0].message
    return caught.value.errors


@pytest.fixture(autouse=True)
def picky() -> Iterator[None]:
    """A condition whose reader refuses all arguments."""
    before = dict(KINDS)
    condition("picky", of="key", read=int)(lambda _value, _argument: True)
    yield
    KINDS.clear()
    KINDS.update(before)


OF_TRIGGERS: Final[list[tuple[Code, str, Any]]] = [
    ("missing_field", "enabled", None),
    ("missing_field", "job_id", None),
    ("unknown_field", "colour", "red"),
    ("unknown_condition", "if_weather", "rain"),
    ("binary_value", "enabled", BINARY),
    ("binary_value", "parameters", BINARY),
    ("binary_value", "job_id", BINARY),
    ("binary_value", "if_fnmatch", BINARY),
    ("binary_value", "delay", BINARY),
    *(("not_a_boolean", "enabled", each) for each in ([True], {"a": 1}, 0.5)),
    *(("not_a_boolean", "jinja", each) for each in ([1], 0.5)),
    *(("not_a_map", "parameters", each) for each in ("a", ["a"])),
    *(("not_a_map", "globals", each) for each in (False, ["a"])),
    *(("not_a_job_id", "job_id", each) for each in ([1], 1, ["a", 1], {"a": "b"}, "")),
    *(("not_a_duration", "delay", each) for each in ("soon", True, ["1m"])),
    ("delay_out_of_range", "delay", "16m"),
    ("not_a_size", "if_size_gt", "10kb"),
    ("not_a_pattern", "if_fnmatch", 1),
    ("not_a_pattern", "if_not_event_type", [1]),
    ("bad_argument", "if_picky", "many"),
    ("bad_template", "job_id", "{{"),
    ("bad_template", "parameters", {"a": "{% if %}"}),
    ("bad_template", "globals", {"{{ key | no_such_filter }}": 1}),
]
OF_JOBS: Final[list[tuple[Code, str, Any]]] = [
    *(("missing_field", name, None) for name in ("job_id", "type", "worker", "payload")),
    ("binary_value", "worker", BINARY),
    ("binary_value", "enabled", BINARY),
    *(("not_a_worker", "worker", each) for each in ("", 1, ["core"])),
    *(("not_a_boolean", "enabled", each) for each in ([1], {"a": 1}, 0.5)),
]


@pytest.mark.parametrize(
    ("read", "code", "field", "value"),
    [
        *((errors_of_trigger, *case) for case in OF_TRIGGERS),
        *((errors_of_job, *case) for case in OF_JOBS),
    ],
)
def test_an_error_has_its_code(
    read: Callable[..., tuple[EntryError, ...]], code: Code, field: str, value: Any
) -> None:
    [error] = read(**{field: value})
    assert (error.code, error.field) == (code, field)
    assert field in error.message
    if code.startswith("not_"):
        assert error.message.startswith(f"{field}: {shown(value)}")
    # A field that is unknown or binary is not read.
    assert error.value == (None if code in {"unknown_field", "binary_value"} else value)


def test_a_reserved_global_of_a_job_is_the_value() -> None:
    errors = errors_of_job(globals={"a": 1, "lava_x": 1, "LAVA": 1})
    assert [(each.code, each.field, each.value) for each in errors] == [
        ("reserved_global", "globals", "lava_x"),
        ("reserved_global", "globals", "LAVA"),
    ]


def test_each_code_is_returned_by_a_reader() -> None:
    returned = {code for code, _, _ in [*OF_TRIGGERS, *OF_JOBS]} | {"reserved_global"}
    # tests/templates/test_confinement.py has an argument that takes too long to read.
    assert returned | {"reading_aborted"} == set(get_args(Code))


def test_a_trigger_with_three_errors_returns_three() -> None:
    broken = read_trigger(trigger_item(delay="16m", paramters={}, if_size_gt="big"))
    assert isinstance(broken, BrokenTrigger)
    assert [(each.code, each.field) for each in broken.errors] == [
        ("unknown_field", "paramters"),
        ("not_a_size", "if_size_gt"),
        ("delay_out_of_range", "delay"),
    ]
    assert broken.reason == f"bad entry: {broken.errors[0].message}"
    assert broken.reason.startswith("bad entry: unknown field 'paramters' (did you mean")


def test_all_fields_of_a_trigger_can_be_errors_at_once() -> None:
    fields = {
        **{field: value for code, field, value in OF_TRIGGERS if code.startswith("not_")},
        "colour": 1,
        "if_weather": 2,
        "if_event_type": BINARY,
    }

    errors = errors_of_trigger(**fields)
    assert sorted(each.field for each in errors) == sorted(fields)


def test_a_job_with_three_errors_returns_three() -> None:
    errors = errors_of_job(type=None, worker=1, enabled=[])
    assert [(each.code, each.message) for each in errors] == [
        ("missing_field", "type is missing"),
        ("not_a_worker", "worker: 1 is not the name of a worker"),
        ("not_a_boolean", "enabled: [] is not a boolean"),
    ]


def test_all_templates_that_cannot_be_compiled_are_returned() -> None:
    errors = errors_of_trigger(
        job_id=["{{ key }}", "{{"], parameters={"a": "{{ key }}"}, globals={"a": "{%"}
    )

    assert [(each.code, each.field, each.value) for each in errors] == [
        ("bad_template", "job_id", "{{"),
        ("bad_template", "globals", {"a": "{%"}),
    ]


def test_so_many_errors_are_returned_at_most() -> None:
    many = range(3 * MAX_ENTRY_ERRORS)

    for errors in (
        errors_of_trigger(**{f"field_{n}": 1 for n in many}),
        errors_of_trigger(**{f"if_{n}": 1 for n in many}),
        errors_of_trigger(**{f"if_{n}": BINARY for n in many}),
        errors_of_trigger(**{f"field_{n}": 1 for n in many}, **{f"if_{n}": 1 for n in many}),
        errors_of_job(globals={f"lava_{n}": 1 for n in many}),
    ):
        assert len(errors) == MAX_ENTRY_ERRORS


def test_a_disabled_entry_is_checked_only_where_that_is_asked_for() -> None:
    item = trigger_item(enabled=False, delay="soon", colour="red", job_id=None)
    enabled = read_trigger({**item, "enabled": {"BOOL": True}})
    disabled = read_trigger(item, checks_disabled=True)
    good = read_trigger(trigger_item(enabled=False), checks_disabled=True)

    assert isinstance(read_trigger(item), Trigger)
    assert isinstance(disabled, BrokenTrigger)
    assert isinstance(enabled, BrokenTrigger)
    codes = [each.code for each in disabled.errors]
    assert codes == ["unknown_field", "missing_field", "not_a_duration"]
    assert disabled.errors == enabled.errors
    assert isinstance(good, Trigger)
    assert not good.enabled
