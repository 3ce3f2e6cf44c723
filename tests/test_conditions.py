"""The conditions of a trigger: docs/design.md#conditions."""

import fnmatch
import re
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.conditions import KINDS, Condition, Kind, is_condition, read_conditions
from lava_s3trigger.errors import EntryError
from lava_s3trigger.events import S3Event
from tests.build import s3_event


def condition(field: str, argument: Any) -> Condition:
    """Read a condition that can be read."""
    [read] = read_conditions({field: argument})
    assert isinstance(read, Condition)
    return read


def error(fields: dict[str, Any]) -> EntryError:
    """Return the only error of conditions."""
    [found] = [each for each in read_conditions(fields) if isinstance(each, EntryError)]
    return found


def holds(name: str, argument: Any, of: S3Event) -> bool:
    read = condition(name, argument)
    result = read.holds(read.value(of))
    inverse = condition(name.replace("if_", "if_not_"), argument)
    assert inverse.holds(inverse.value(of)) is not result
    return result


def repeated(parsed: Any) -> set[str]:
    """Return what a regular expression repeats, as `re` calls it."""
    found: set[str] = set()
    for name, value in parsed:
        if str(name).endswith("REPEAT"):
            found |= {str(inner) for inner, _ in value[2]}
        parts = value if isinstance(value, (list, tuple)) else [value]
        for part in parts:
            if isinstance(part, _parser.SubPattern):
                found |= repeated(part)
    return found


@pytest.mark.parametrize(
    ("patterns", "key", "expected"),
    [
        ("*.zip", "a/b/c.zip", True),
        ("?.zip", "c.zip", True),
        ("[ab].zip", "b.zip", True),
        ("*b*", "bc", True),
        ("*.zip", "a/b/c.zip.gz", False),
        ("*.ZIP", "a/b/c.zip", False),
        ("a b", "a+b", False),
        ("a%2Bb", "a+b", False),
        ("a*c", "a\nb\nc", True),
        ("a", "a\n", False),
        (r"a\b", r"a\b", True),
        (["*.zip", "*.gz"], "c.zip", True),
        (["*.gz", "*.zip"], "c.zip", True),
        (["*.gz", "*.bz2"], "c.zip", False),
        ([], "c.zip", False),
        ([f"*.{n}" for n in range(999)] + ["*.zip"], "c.zip", True),
        ("x" * 1023 + "*", "x" * 1024, True),
    ],
    ids=lambda value: str(value)[:20],
)
def test_if_fnmatch_holds_where_the_key_matches_any_pattern(
    patterns: Any, key: str, *, expected: bool
) -> None:
    assert holds("if_fnmatch", patterns, s3_event(key)) is expected


@given(st.text("ab*?[]!-\\/.\n^$+\u00e9", max_size=8), st.text("ab*?[]-\\/.\n\u00e9", max_size=8))
def test_if_fnmatch_agrees_with_python(pattern: str, key: str) -> None:
    expected = fnmatch.fnmatchcase(key, pattern)
    assert holds("if_fnmatch", pattern, s3_event(key=key)) is expected


@given(st.text("ab*?[]!^-\\\n\u00e9\U0001f600\U0001f602", max_size=20))
def test_no_set_is_repeated(pattern: str) -> None:
    # `re` repeats a set without a check for signals: a set with many members above U+FFFF
    # would outlive the bound.
    assert repeated(_parser.parse(fnmatch.translate(pattern))) <= {"ANY"}


def test_patterns_do_not_stay_for_as_long_as_the_process_lives() -> None:
    re.purge()
    for n in range(0x4E00, 0x4E00 + 400):
        read_conditions({"if_fnmatch": f"[a{chr(n)}]" * 100})
    assert len(re._cache) < 200  # type: ignore[attr-defined] # noqa: SLF001 - what is asked for


def test_if_event_type_matches_as_if_fnmatch_does() -> None:
    event = s3_event("a/b/c.zip", event_type="ObjectCreated:Put")
    for patterns in ("ObjectCreated:Put", "ObjectCreated:*", ["*:Copy", "*:Put"]):
        assert holds("if_event_type", patterns, event), patterns
    for patterns in ("s3:ObjectCreated:*", "objectcreated:*", ["*:Copy", "*:Post"], "a/b/*"):
        assert not holds("if_event_type", patterns, event), patterns


@pytest.mark.parametrize(
    ("argument", "largest"),
    [
        *((1000, 1000), (0, 0), (0.5, 0), ("1000", 1000), ("1KB", 1000), ("1KiB", 1024)),
        *(("1.5 MiB", 1_572_864), ("5TB", 5 * 10**12), (2**53 + 1, 2**53 + 1)),
    ],
    ids=str,
)
def test_if_size_gt_holds_for_larger_objects(argument: Any, largest: int) -> None:
    assert holds("if_size_gt", argument, s3_event(size=largest + 1))
    assert not holds("if_size_gt", argument, s3_event(size=largest))
    assert holds("if_size_gt", -1, s3_event(size=0))
    assert not holds("if_size_gt", "1e400", s3_event(size=10**30))


NEITHER: Final = "is neither a pattern nor a list of patterns"
LONG: Final = "a pattern of 1025 characters, more than 1024"
BAD_PATTERNS: Final[list[Any]] = [None, 5, True, {"a": 1}, [1], ["*", None], [["*"]]]
BAD_SIZES: Final[list[Any]] = [None, True, "", "big", "1kb", "1 h", [1], {}]
BAD_ARGUMENTS: Final[list[tuple[str, Any, str]]] = [
    *(
        (name, argument, expected)
        for name in ("fnmatch", "event_type")
        for argument, expected in (
            *((each, f"{each} {NEITHER}") for each in BAD_PATTERNS),
            ("*" * 1025, LONG),
            (["*", "*" * 1025], LONG),
            (["*"] * 1001, "1001 patterns, more than 1000"),
        )
    ),
    *(("size_gt", each, f"{each!r} is not a size such as") for each in BAD_SIZES),
]


@pytest.mark.parametrize("inverse", ["", "not_"], ids=["if", "if-not"])
@pytest.mark.parametrize(("name", "argument", "expected"), BAD_ARGUMENTS)
def test_an_error_of_an_argument_names_field_and_argument(
    inverse: str, name: str, argument: Any, expected: str
) -> None:
    field = f"if_{inverse}{name}"
    found = error({"if_size_gt": 0, field: argument})
    assert found.code == ("not_a_size" if name == "size_gt" else "not_a_pattern")
    assert (found.field, found.value) == (field, argument)
    assert found.message.startswith(f"{field}: {expected}")


@pytest.mark.parametrize(
    "field",
    [
        *("if_", "if_not_", "if_not", "if_nothing", "if_not_nothing", "if_size"),
        *("if_size_and_more", "if_not_not_fnmatch", "if_fnmatch ", "if_FNMATCH", "if_\n\u00e9"),
    ],
)
def test_a_condition_that_is_not_known_is_an_error(field: str) -> None:
    known = ", ".join(f"if_{name}, if_not_{name}" for name in KINDS)
    message = f"unknown condition {field!a}; known conditions: {known}"
    assert error({field: "*"}) == EntryError("unknown_condition", field, message, "*")


def test_each_condition_has_its_own_error() -> None:
    fields = {"if_fnmatch": 1, "if_x": 2, "if_size_gt": 3, "if_not_size_gt": "big"}
    read = [getattr(each, "code", each.field) for each in read_conditions(fields)]
    assert read == ["not_a_pattern", "unknown_condition", "if_size_gt", "not_a_size"]


def test_a_condition_is_known_by_its_name() -> None:
    names = ["if_fnmatch", "if_not_fnmatch", "if_unknown", "if_"]
    others = ["IF_fnmatch", "if", "iffy", "x-if_fnmatch", "job_id"]
    assert [field for field in [*names, *others] if is_condition(field)] == names


def test_a_bad_regular_expression_is_an_error_of_the_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = Kind("key_regex", lambda key, pattern: bool(pattern.search(key)), re.compile)
    monkeypatch.setitem(KINDS, "key_regex", kind)
    found = error({"if_key_regex": "("})
    assert (found.code, found.message[:14]) == ("bad_argument", "if_key_regex: ")
    assert holds("if_key_regex", "b+", s3_event(key="abb"))


def test_each_condition_is_described_by_a_sentence() -> None:
    for name, kind in KINDS.items():
        assert kind.name == name
        assert re.fullmatch(r".+\.", kind.description), name
    assert Kind("name", lambda value, argument: value == argument, str).description == ""
