"""JSON is read as `json` reads it, with the place of each value."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.cli.entries.json_text import MAX_DEPTH, JsonText
from lava_s3trigger.cli.entries.positions import Node

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def read(text: str) -> list[Node]:
    parser = JsonText(text, "f.json")
    found = list(parser.documents())
    assert parser.problems == []
    return found


def problems(text: str) -> list[str]:
    parser = JsonText(text, "f.json")
    list(parser.documents())
    return [str(each) for each in parser.problems]


class TestValues:
    """Values are those of `json`."""

    @given(VALUES, st.booleans())
    def test_any_value(self, value: Any, is_indented: bool) -> None:  # noqa: FBT001 - drawn
        text = json.dumps(value, indent=2 if is_indented else None)

        [node] = read(text)

        assert node.plain() == json.loads(text)

    def test_a_surrogate_pair_is_one_character(self) -> None:
        assert read(r'"\ud83d\ude00"')[0].value == "\U0001f600"

    def test_a_number_keeps_its_digits(self) -> None:
        assert read("0.1000000000000000055511151231257827")[0].value == Decimal(
            "0.1000000000000000055511151231257827"
        )

    def test_json_lines_are_several_values(self) -> None:
        assert [each.plain() for each in read('{"a": 1}\n{"a": 2}\n\n')] == [{"a": 1}, {"a": 2}]


class TestPlaces:
    """Each value and name has line, column and characters."""

    TEXT = '{\n  "prefix": "a/b",\n  "job_id": ["x", {"y": 10}]\n}'

    @pytest.mark.parametrize(
        ("path", "line", "column", "piece"),
        [
            ((), 1, 1, TEXT),
            (("prefix",), 2, 13, '"a/b"'),
            (("job_id",), 3, 13, '["x", {"y": 10}]'),
            (("job_id", 0), 3, 14, '"x"'),
            (("job_id", 1, "y"), 3, 25, "10"),
        ],
    )
    def test_a_value(self, path: tuple[str | int, ...], line: int, column: int, piece: str) -> None:
        node = read(self.TEXT)[0].find(path)

        assert node is not None
        assert (node.span.line, node.span.column) == (line, column)
        assert self.TEXT[node.span.start : node.span.end] == piece

    @pytest.mark.parametrize("path", [("none",), ("prefix", "x"), ("job_id", 5), ("job_id", "x")])
    def test_a_path_that_leads_nowhere(self, path: tuple[str | int, ...]) -> None:
        assert read(self.TEXT)[0].find(path) is None


class TestProblems:
    """What is no JSON is told with its place."""

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ('{"a": 1,}', "f.json:1:9: no valid JSON: a name in double quotes is missing"),
            ("{'a': 1}", "f.json:1:2: no valid JSON: a name in double quotes is missing"),
            ('{"a" 1}', "f.json:1:6: no valid JSON: ':' is missing"),
            ('{"a": 1 "b": 2}', "f.json:1:9: no valid JSON: ',' or '}' is missing"),
            ("[1 2]", "f.json:1:4: no valid JSON: ',' or ']' is missing"),
            ('[1,\n"a]', "f.json:2:1: no valid JSON: Unterminated string starting at"),
            ("[1e99999999999999999999]", "f.json:1:2: no valid JSON: the number is too large"),
            ("[NaN]", "f.json:1:2: no valid JSON: a value is missing"),
            ('{"a": 1', "f.json:1:8: no valid JSON: ',' or '}' is missing"),
        ],
    )
    def test_what_is_no_json(self, text: str, problem: str) -> None:
        assert problems(text) == [problem]

    def test_a_name_that_stands_twice(self) -> None:
        assert problems('{"a": 1,\n "a": 2}') == [
            "f.json:2:2: duplicate name 'a' (first at line 1)"
        ]

    def test_too_many_levels(self) -> None:
        [problem] = problems("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2))

        assert problem.endswith(f"nested more than {MAX_DEPTH} deep")

    @given(st.text(alphabet='{}[]",:01e.-truefalsn\\u ', max_size=30))
    def test_it_accepts_exactly_what_json_accepts(self, text: str) -> None:
        try:
            json.loads(text, parse_constant=lambda _: 1 / 0)
            is_json = True
        except (ValueError, ZeroDivisionError):
            is_json = False
        parser = JsonText(text, "f")
        found = list(parser.documents())
        syntax = [each for each in parser.problems if each.kind == "syntax"]

        assert (len(found) == 1 and not syntax) == is_json or len(found) > 1
