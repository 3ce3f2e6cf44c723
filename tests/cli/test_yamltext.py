"""YAML is read by version 1.2, in types that DynamoDB holds, with the place of each value."""

from decimal import Decimal
from typing import Any, Final

import pytest

from lava_s3trigger.cli.entries import yaml_text
from lava_s3trigger.cli.entries.positions import Node
from lava_s3trigger.cli.entries.yaml_text import YamlText

DATE: Final = 'YAML reads 2026-03-14 as a date: put it in quotes, "2026-03-14"'
TAG: Final = "the tag '!x' means nothing here: remove it"


def read(text: str) -> Node:
    parser = YamlText(text, "f.yaml")
    [found] = parser.documents()
    assert parser.problems == []
    return found


def problems(text: str) -> list[str]:
    parser = YamlText(text, "f.yaml")
    list(parser.documents())
    return [str(each) for each in parser.problems]


class TestScalars:
    """What a plain scalar means does not depend on the YAML version of a reader."""

    @pytest.mark.parametrize(
        ("text", "value", "note"),
        [
            ("1", 1, None),
            ("+1", 1, None),
            ("010", 10, "an octal number"),
            ("0x10", 16, None),
            ("0o17", 15, "a string"),
            ("0b11", "0b11", "a binary number"),
            ("1_000", "1_000", "a number"),
            ("12:30", "12:30", "a number of base 60"),
            ("1e3", Decimal("1e3"), "a string"),
            ("1.5", Decimal("1.5"), None),
            (".5", Decimal("0.5"), None),
            ("true", True, None),
            ("False", False, None),
            ("no", "no", "a boolean"),
            ("On", "On", "a boolean"),
            ("y", "y", "a boolean"),
            ("null", None, None),
            ("~", None, None),
            ("", None, None),
            ("text", "text", None),
            ("'no'", "no", None),
            ('"010"', "010", None),
            ("!!str 010", "010", None),
            (r'"\ud83d\ude00"', "\U0001f600", None),
            (r'"\u00e9"', "\u00e9", None),
        ],
    )
    def test_a_scalar(self, text: str, value: Any, note: str | None) -> None:
        node = read(f"a: {text}").find(("a",))

        assert node is not None
        assert (node.value, type(node.value), node.note) == (value, type(value), note)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("a: |\n  no\n", {"a": "no\n"}),
            ("a: [ObjectCreated:Put, b]", {"a": ["ObjectCreated:Put", "b"]}),
            ("a: &x {p: 1, q: 2}\nb: *x", {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 2}}),
            ("a: &x {p: 1}\nb: {<<: *x, p: 3}", {"a": {"p": 1}, "b": {"p": 3}}),
            ("a: &x {p: 1}\nb: {<<: [*x, {r: 4}]}", {"a": {"p": 1}, "b": {"p": 1, "r": 4}}),
        ],
    )
    def test_a_document(self, text: str, value: Any) -> None:
        assert read(text).plain() == value

    def test_several_documents(self) -> None:
        found = list(YamlText("---\na: 1\n---\n---\nb: 2\n", "f").documents())

        assert [each.plain() for each in found if each.value is not None] == [{"a": 1}, {"b": 2}]


class TestPlaces:
    """Lines and columns count from 1, in characters."""

    TEXT = "# \u00e9\U0001f600\n- prefix: a/b\n  job_id: [x, 'y']\n"

    @pytest.mark.parametrize(
        ("path", "line", "column", "piece"),
        [((0, "prefix"), 2, 11, "a/b"), ((0, "job_id", 1), 3, 15, "'y'")],
    )
    def test_a_value(self, path: tuple[str | int, ...], line: int, column: int, piece: str) -> None:
        node = read(self.TEXT).find(path)

        assert node is not None
        assert (node.span.line, node.span.column) == (line, column)
        assert self.TEXT[node.span.start : node.span.end] == piece


class TestProblems:
    """What YAML reads otherwise than meant is told with its place, and what mends it."""

    @pytest.mark.parametrize(
        ("text", "place", "message"),
        [
            ("a: 2026-03-14", "1:4", DATE),
            ("a: [2026-03-14T01:02:03Z]", "1:5", DATE.replace("-14", "-14T01:02:03Z")),
            ("a: .inf", "1:4", "DynamoDB cannot hold .inf: put it in quotes"),
            (
                "a: 1e99999999999999999999",
                "1:4",
                "DynamoDB cannot hold 1e99999999999999999999: put it in quotes",
            ),
            ("a: .NaN", "1:4", "DynamoDB cannot hold .NaN: put it in quotes"),
            ("a: 1\nb: 2\na: 3", "3:1", "duplicate name 'a' (first at line 1)"),
            ("1: x", "1:1", 'the name of a field must be a string: put it in quotes, "1"'),
            ("[a]: x", "1:1", "the name of a field must be a string"),
            ("a: !x b", "1:4", TAG),
            ("a: !x {b: 1}", "1:4", TAG),
            ("a: !x\n  - 1", "1:4", TAG),
            ("a: !!set {b}", "1:4", TAG.replace("!x", "tag:yaml.org,2002:set")),
        ],
    )
    def test_a_problem(self, text: str, place: str, message: str) -> None:
        assert problems(text) == [f"f.yaml:{place}: {message}"]

    @pytest.mark.parametrize(
        ("text", "line"),
        [("a: [", 2), ("a: b\n c: d: e", 2), ("a: *none", 1), ("a:\n\t- b", 2), ("'a", 1)],
    )
    def test_what_is_no_yaml_has_a_line(self, text: str, line: int) -> None:
        parser = YamlText(text, "f.yaml")
        list(parser.documents())

        [problem] = parser.problems
        assert problem.message.startswith("no valid YAML: ")
        assert problem.line in (line, line - 1)

    def test_aliases_of_aliases_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(yaml_text, "MAX_NODES", 10_000)
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

        [problem] = problems("\n".join(lines))

        assert "more than 10000 values" in problem

    @pytest.mark.parametrize(
        "text",
        [
            *(piece * 100_000 for piece in ("[", "{a: ", "- ", "? ")),
            # What libyaml refuses before it is read.
            *("[" * depth + "ObjectCreated:Put" + "]" * depth for depth in (101, 600, 1990)),
            "a: &a [*a]",
        ],
        ids=lambda text: text[:8],
    )
    def test_a_text_that_is_nested_without_end_does_not_end_the_process(self, text: str) -> None:
        [problem] = problems(text)

        assert problem.endswith("nested more than 100 deep")

    @pytest.mark.parametrize("text", ["a: !!map {b: 1}", "a: !!seq [1]", "a: ! [1]", "a: !!str 1"])
    def test_a_tag_of_what_stands_there_means_something(self, text: str) -> None:
        assert problems(text) == []
