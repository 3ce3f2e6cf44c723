"""The conditions of a trigger: docs/design.md#conditions."""

from __future__ import annotations

import fnmatch
import re
from datetime import UTC, datetime
from re import _parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lava_s3trigger.conditions import (
    KINDS,
    Condition,
    Kind,
    condition,
    is_condition,
    read_conditions,
)
from lava_s3trigger.errors import EntryError
from lava_s3trigger.events import S3Event

if TYPE_CHECKING:
    from collections.abc import Iterator

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def event(
    key: str = "a/b/c.zip", size: int = 1000, event_type: str = "ObjectCreated:Put"
) -> S3Event:
    return S3Event(
        bucket="my-bucket",
        key=key,
        size=size,
        event_time=datetime(2026, 3, 14, tzinfo=UTC),
        event_type=event_type,
        source_ip=None,
        aws_region="eu-west-1",
        record={},
    )


def conditions(fields: dict[str, Any]) -> list[Condition]:
    """Read conditions that can all be read."""
    read = list(read_conditions(fields))
    assert not [each for each in read if isinstance(each, EntryError)]
    return [each for each in read if isinstance(each, Condition)]


def error(fields: dict[str, Any]) -> EntryError:
    """Return the only error of conditions."""
    [found] = [each for each in read_conditions(fields) if isinstance(each, EntryError)]
    return found


def holds(name: str, argument: Any, of: S3Event) -> bool:
    [read] = conditions({name: argument})
    result = read.holds(read.value(of))
    [inverse] = conditions({name.replace("if_", "if_not_"): argument})
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


KEYS: Final = [
    pytest.param("*", "a/b/c.zip", True, id="everything"),
    pytest.param("*.zip", "a/b/c.zip", True, id="star-takes-slashes"),
    pytest.param("*.zip", "a/b/c.zip.gz", False, id="the-whole-key"),
    pytest.param("c.zip", "a/b/c.zip", False, id="from-its-start"),
    pytest.param("a/?/c.zip", "a/b/c.zip", True, id="one-character"),
    pytest.param("a/?/c.zip", "a/bb/c.zip", False, id="not-two-characters"),
    pytest.param("a/[bx]/*", "a/b/c.zip", True, id="one-of"),
    pytest.param("a/[!b]/*", "a/b/c.zip", False, id="none-of"),
    pytest.param("a/[0-9]/*", "a/7/c.zip", True, id="a-range"),
    pytest.param("*.ZIP", "a/b/c.zip", False, id="case-matters"),
    pytest.param("", "a", False, id="empty-pattern"),
    pytest.param("a[*]b", "a*b", True, id="literal-star"),
    pytest.param("a.b", "axb", False, id="a-point-is-a-point"),
    pytest.param("a b", "a+b", False, id="not-decoded-again"),
    pytest.param("a+b", "a+b", True, id="plus-is-a-plus"),
    pytest.param("a%2Bb", "a+b", False, id="percent-is-not-decoded"),
    pytest.param("a%2Bb", "a%2Bb", True, id="percent-is-a-percent"),
    pytest.param("a*c", "a\nb\nc", True, id="newlines-in-the-key"),
    pytest.param("a", "a\n", False, id="newline-at-the-end"),
    pytest.param("caf?", "caf\u00e9", True, id="not-ascii"),
    pytest.param("[", "[", True, id="bracket-alone"),
    pytest.param(r"a\b", r"a\b", True, id="backslash"),
]


class TestFnmatch:
    """`if_fnmatch` holds where the key matches any pattern, as Python's fnmatch does."""

    @pytest.mark.parametrize(("pattern", "key", "expected"), KEYS)
    def test_a_pattern(self, pattern: str, key: str, *, expected: bool) -> None:
        assert holds("if_fnmatch", pattern, event(key=key)) is expected

    @pytest.mark.parametrize(
        ("patterns", "expected"),
        [
            pytest.param(["*.zip", "*.gz"], True, id="the-first"),
            pytest.param(["*.gz", "*.zip"], True, id="the-last"),
            pytest.param(["*.gz", "*.bz2"], False, id="none"),
            pytest.param(["*.zip"], True, id="one"),
            pytest.param([], False, id="empty"),
        ],
    )
    def test_any_of_a_list_will_do(self, patterns: list[str], *, expected: bool) -> None:
        assert holds("if_fnmatch", patterns, event()) is expected

    @unhurried
    @given(
        st.text("ab*?[]!-\\/.\n^$+\u00e9", max_size=8), st.text("ab*?[]-\\/.\n\u00e9", max_size=8)
    )
    def test_it_agrees_with_python(self, pattern: str, key: str) -> None:
        expected = fnmatch.fnmatchcase(key, pattern)

        assert holds("if_fnmatch", pattern, event(key=key)) is expected

    @unhurried
    @given(st.text("ab*?[]!^-\\\n\u00e9\U0001f600\U0001f602", max_size=20))
    def test_no_set_is_repeated(self, pattern: str) -> None:
        # `re` repeats a set without a check for signals: a set with many members above U+FFFF
        # would outlive the bound.
        assert repeated(_parser.parse(fnmatch.translate(pattern))) <= {"ANY"}

    def test_patterns_do_not_stay_for_as_long_as_the_process_lives(self) -> None:
        re.purge()

        for n in range(0x4E00, 0x4E00 + 400):
            read_conditions({"if_fnmatch": f"[a{chr(n)}]" * 100})

        assert len(re._cache) < 200  # type: ignore[attr-defined] # noqa: SLF001 - what is asked for

    def test_many_patterns_will_do(self) -> None:
        patterns = [f"*.{n}" for n in range(999)] + ["*.zip"]

        assert holds("if_fnmatch", patterns, event())

    def test_a_pattern_as_long_as_a_key_will_do(self) -> None:
        assert holds("if_fnmatch", "x" * 1023 + "*", event(key="x" * 1024))


class TestEventType:
    """`if_event_type` holds where the event type matches any pattern."""

    @pytest.mark.parametrize(
        ("patterns", "event_type", "expected"),
        [
            pytest.param("ObjectCreated:Put", "ObjectCreated:Put", True, id="the-same"),
            pytest.param("ObjectCreated:*", "ObjectCreated:PutObject", True, id="a-pattern"),
            pytest.param("ObjectCreated:*", "ObjectRemoved:Delete", False, id="another"),
            pytest.param("ObjectCreated:*", "s3:ObjectCreated:Put", False, id="prefixed"),
            pytest.param("*ObjectCreated:*", "s3:ObjectCreated:Put", True, id="either"),
            pytest.param("objectcreated:*", "ObjectCreated:Put", False, id="case-matters"),
            pytest.param(["*:Copy", "*:Put"], "ObjectCreated:Put", True, id="one-of-a-list"),
            pytest.param(["*:Copy", "*:Post"], "ObjectCreated:Put", False, id="none-of-a-list"),
            pytest.param("ObjectTagsAdded", "ObjectTagsAdded", True, id="without-a-reason"),
            pytest.param("a/b/*", "ObjectCreated:Put", False, id="not-the-key"),
        ],
    )
    def test_a_pattern(self, patterns: Any, event_type: str, *, expected: bool) -> None:
        of = event(key="a/b/c", event_type=event_type)

        assert holds("if_event_type", patterns, of) is expected


class TestSizeGt:
    """`if_size_gt` holds where the object is larger."""

    @pytest.mark.parametrize(
        ("argument", "size", "expected"),
        [
            pytest.param(1000, 1001, True, id="larger"),
            pytest.param(1000, 1000, False, id="as-large"),
            pytest.param(1000, 999, False, id="smaller"),
            pytest.param(0, 0, False, id="nothing"),
            pytest.param(0, 1, True, id="something"),
            pytest.param(-1, 0, True, id="negative"),
            pytest.param(0.5, 1, True, id="float"),
            pytest.param("1000", 1000, False, id="string"),
            pytest.param("1000", 1001, True, id="string-larger"),
            pytest.param("1KB", 1000, False, id="thousand"),
            pytest.param("1KB", 1001, True, id="more-than-a-thousand"),
            pytest.param("1KiB", 1024, False, id="binary-thousand"),
            pytest.param("1KiB", 1025, True, id="more-than-a-binary-thousand"),
            pytest.param("1.5 MiB", 1_572_865, True, id="decimals"),
            pytest.param("1.5 MiB", 1_572_864, False, id="decimals-as-large"),
            pytest.param("5TB", 5 * 10**12 + 1, True, id="the-largest-objects"),
            pytest.param(2**53 + 1, 2**53 + 1, False, id="exact"),
            pytest.param("1e400", 10**30, False, id="endless"),
        ],
    )
    def test_a_size(self, argument: Any, size: int, *, expected: bool) -> None:
        assert holds("if_size_gt", argument, event(size=size)) is expected


NEITHER: Final = "is neither a pattern nor a list of patterns"
LONG: Final = "a pattern of 1025 characters, more than 1024"
BAD_PATTERNS: Final[list[tuple[Any, str]]] = [
    (None, f"None {NEITHER}"),
    (5, f"5 {NEITHER}"),
    (True, f"True {NEITHER}"),
    ({"a": 1}, f"{{'a': 1}} {NEITHER}"),
    ([1], f"[1] {NEITHER}"),
    (["*", None], f"['*', None] {NEITHER}"),
    ([["*"]], f"[['*']] {NEITHER}"),
    ("*" * 1025, LONG),
    (["*"] * 1001, "1001 patterns, more than 1000"),
    (["*", "*" * 1025], LONG),
]
BAD_SIZES: Final[list[tuple[Any, str]]] = [
    (None, "None"),
    (True, "True"),
    ("", "''"),
    ("big", "'big'"),
    ("1kb", "'1kb'"),
    ("1 h", "'1 h'"),
    ([1], "[1]"),
    ({}, "{}"),
]


class TestArguments:
    """An argument that a condition does not take is an error that names the field."""

    @pytest.mark.parametrize("inverse", ["", "not_"], ids=["if", "if-not"])
    @pytest.mark.parametrize(
        ("name", "argument", "expected"),
        [
            *(
                pytest.param(name, argument, expected, id=f"{name}-{n}")
                for name in ("fnmatch", "event_type")
                for n, (argument, expected) in enumerate(BAD_PATTERNS)
            ),
            *(
                pytest.param("size_gt", argument, f"{found} is not a size such as", id=found)
                for argument, found in BAD_SIZES
            ),
        ],
    )
    def test_it_names_field_and_argument(
        self, inverse: str, name: str, argument: Any, expected: str
    ) -> None:
        field = f"if_{inverse}{name}"

        found = error({"if_size_gt": 0, field: argument})

        assert found.code == ("not_a_size" if name == "size_gt" else "not_a_pattern")
        assert (found.field, found.value) == (field, argument)
        assert found.message.startswith(f"{field}: {expected}")

    @pytest.mark.parametrize(
        "field",
        [
            "if_",
            "if_not_",
            "if_not",
            "if_nothing",
            "if_not_nothing",
            "if_size",
            "if_size_and_more",
            "if_not_not_fnmatch",
            "if_fnmatch ",
            "if_FNMATCH",
        ],
    )
    def test_a_condition_that_is_not_known_is_an_error(self, field: str) -> None:
        known = ", ".join(f"if_{name}, if_not_{name}" for name in KINDS)
        message = f"unknown condition '{field}'; known conditions: {known}"

        assert error({field: "*"}) == EntryError("unknown_condition", field, message, "*")

    def test_a_name_in_an_error_is_shown_on_one_line(self) -> None:
        message = error({"if_\n\u00e9": "*"}).message

        assert message.startswith(r"unknown condition 'if_\n\xe9';")

    def test_each_condition_has_its_own_error(self) -> None:
        fields = {"if_fnmatch": 1, "if_x": 2, "if_size_gt": 3, "if_not_size_gt": "big"}

        read = [
            each.code if isinstance(each, EntryError) else each.field
            for each in read_conditions(fields)
        ]

        assert read == ["not_a_pattern", "unknown_condition", "if_size_gt", "not_a_size"]


class TestReading:
    """All conditions of an entry are read."""

    def test_an_entry_without_any_has_none(self) -> None:
        assert conditions({}) == []

    def test_each_keeps_its_field_and_argument(self) -> None:
        read = conditions({"if_size_gt": "1KB", "if_not_fnmatch": ["*.tmp"]})

        assert [(each.field, each.argument) for each in read] == [
            ("if_size_gt", "1KB"),
            ("if_not_fnmatch", ["*.tmp"]),
        ]

    def test_a_condition_and_its_inverse_may_both_be_there(self) -> None:
        read = conditions({"if_fnmatch": "*.zip", "if_not_fnmatch": "*ignore*"})

        assert [each.holds(each.value(event(key="a.zip"))) for each in read] == [True, True]
        assert [each.holds(each.value(event(key="ignore.zip"))) for each in read] == [True, False]

    @pytest.mark.parametrize(
        ("field", "expected"),
        [
            ("if_fnmatch", True),
            ("if_not_fnmatch", True),
            ("if_unknown", True),
            ("if_", True),
            ("IF_fnmatch", False),
            ("if", False),
            ("iffy", False),
            ("x-if_fnmatch", False),
            ("job_id", False),
        ],
    )
    def test_a_condition_is_known_by_its_name(self, field: str, *, expected: bool) -> None:
        assert is_condition(field) is expected


class TestRegistry:
    """One function and one decorator make a condition, its inverse and its line in the docs."""

    @pytest.fixture(name="_registered")
    def _register(self) -> Iterator[None]:
        before = dict(KINDS)

        @condition("key_longer", of="key", read=int)
        def _is_longer(key: str, length: int) -> bool:
            """The key has more characters."""
            return len(key) > length

        yield
        KINDS.clear()
        KINDS.update(before)

    def test_the_conditions_of_lava_are_known(self) -> None:
        assert KINDS.keys() >= {"fnmatch", "size_gt", "event_type"}

    @pytest.mark.usefixtures("_registered")
    def test_a_new_one_and_its_inverse_can_be_used(self) -> None:
        assert holds("if_key_longer", "3", event(key="abcd"))
        assert not holds("if_key_longer", "4", event(key="abcd"))
        [inverse] = conditions({"if_not_key_longer": "4"})
        assert inverse.holds("abcd")
        assert (inverse.field, inverse.argument) == ("if_not_key_longer", "4")

    @pytest.mark.usefixtures("_registered")
    def test_its_argument_is_checked(self) -> None:
        found = error({"if_not_key_longer": "long"})

        assert found.code == "bad_argument"
        assert found.message.startswith("if_not_key_longer: invalid literal")

    def test_a_bad_regular_expression_is_an_error_of_the_entry(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kind = Kind("key_regex", lambda key, pattern: bool(pattern.search(key)), re.compile)
        monkeypatch.setitem(KINDS, "key_regex", kind)
        found = error({"if_key_regex": "("})
        assert (found.code, found.message[:14]) == ("bad_argument", "if_key_regex: ")
        assert holds("if_key_regex", "b+", event(key="abb"))

    @pytest.mark.usefixtures("_registered")
    def test_it_is_named_where_another_is_not_known(self) -> None:
        assert error({"if_nothing": 1}).message.endswith(", if_key_longer, if_not_key_longer")

    @pytest.mark.usefixtures("_registered")
    def test_its_description_is_its_docstring(self) -> None:
        assert KINDS["key_longer"].description == "The key has more characters."

    def test_it_is_gone_once_it_is_not_registered(self) -> None:
        assert error({"if_key_longer": 1}).code == "unknown_condition"

    @pytest.mark.parametrize("name", list(KINDS))
    def test_each_is_described_by_a_sentence(self, name: str) -> None:
        kind = KINDS[name]

        assert kind.name == name
        assert kind.description.endswith(".")
        assert len(kind.description.splitlines()) == 1

    def test_one_without_a_docstring_has_no_description(self) -> None:
        def test(_value: object, _argument: object) -> bool:
            return True

        try:
            assert condition("undescribed", of="key", read=str)(test) is test
            assert KINDS["undescribed"].description == ""
        finally:
            del KINDS["undescribed"]
