"""Regular expressions of templates: what they cost, and what stays of them."""

import inspect
import re
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.templates.patterns import MAX_SCAN, METHODS, _weight
from lava_s3trigger.templates.utils import UTILS
from lava_s3trigger.templates.weighing import MAX_CHARACTERS
from tests.tables import cases
from tests.templates.test_documents import error, text

LISTED: Final = "".join(chr(0x1F300 + 2 * n) for n in range(99))
"""Characters of which a set is a list, as long as there are some between them."""
LONGEST: Final = MAX_SCAN // (1 + len(LISTED))


def _is_listed(kind: str, member: Any) -> bool:
    return kind in ("LITERAL", "RANGE") and (member[1] if kind == "RANGE" else member) > 0xFFFF


def listed(parsed: Any) -> int:
    """Count the members of the largest set that `re` goes through one by one."""
    most = 0
    for name, value in parsed:
        if str(name) == "IN":
            most = max(most, sum(_is_listed(str(kind), member) for kind, member in value))
        elif isinstance(value, (tuple, list)):
            parts = [part for part in value if isinstance(part, _parser.SubPattern)]
            parts += [part for each in value if isinstance(each, list) for part in each]
            most = max([most, *map(listed, parts)])
    return most


class TestWeight:
    """A repeat of one character goes through all of a text without a check for signals.

    So a pattern with many members above U+FFFF, or with categories, takes shorter texts.
    """

    @pytest.mark.parametrize(
        "call",
        [
            *("re.search(P, T)", "re.match(P, T)", "re.fullmatch(P, string=T)"),
            *("re.findall(P, T, re.I)", "re.finditer(P, T)|list", "re.split(P, T, 1)"),
            *("re.sub(P, '', T)", "re.subn(P, repl='', string=T)", "re.compile(P).search(T)"),
            *("re.compile(P).match(T)", "re.compile(P).fullmatch(string=T)"),
            *("re.compile(P).findall(T, 0, 1)", "re.compile(P).finditer(T)|list"),
            *("re.compile(P).split(T)", "re.compile(P).sub('', T)"),
            *("re.compile(P).scanner(T).search()", "re.compile(P).subn('', string=T)"),
            *("re.match('()|' ~ P, '').re.search(T)", "(re.compile(P)|attr('search'))(T)"),
        ],
    )
    def test_a_long_text_is_refused(self, call: str) -> None:
        template = "{% set re, P, T = utils.re, '[^SET]b', 'a' * LENGTH %}{{ CALL }}".replace(
            "SET", LISTED
        ).replace("CALL", call)

        text(template.replace("LENGTH", str(LONGEST)))
        assert f"takes texts of up to {LONGEST} characters, not {LONGEST + 1}" in error(
            {"v": template.replace("LENGTH", str(LONGEST + 1))}
        )

    @pytest.mark.parametrize(
        "pattern",
        [
            *("[^/]+", "[A-Za-z0-9_.-]+", r"\s+", "[\u00e0-\u017f]+", "(?i)[a-z]+", r"(a+)[/.]\1"),
            "[" + "".join(chr(n) for n in range(0x100, 0xFFFF, 99)) + "]+",
            *("[\U0001f600\U0001f602\U0001f604]+", "[\U0001f300-\U0001faff]+", "(a|b|c)*"),
        ],
    )
    def test_most_patterns_take_every_text(self, pattern: str) -> None:
        assert UTILS["re"].findall(pattern, "-" * MAX_CHARACTERS) is not None

    @pytest.mark.parametrize("pattern", [r"\d+", r"\w+", r"[\w.-]+", r"(\w+)\s(\d+)", LISTED[:40]])
    def test_others_take_every_key(self, pattern: str) -> None:
        assert UTILS["re"].findall(pattern, "-" * 1024) is not None

    @cases(
        "members",
        {
            "characters": LISTED,
            "ranges": "".join(f"{first}-{chr(ord(first) + 1)}" for first in LISTED),
            "numbers": "".join(rf"\U{ord(member):08x}" for member in LISTED),
            "names": "".join(rf"\N{{EGYPTIAN HIEROGLYPH A{n:03}}}" for n in range(1, 71)),
        },
    )
    @pytest.mark.parametrize(
        "pattern",
        [
            *("[{}]", "[^{}a]", "a*[{}]*+", "(?i)[{}]*", "(?<=[{}])", "(?P<g>x[{}])"),
            *("()(?(1)[{}]|[a])", "(?x)#[\n[]{}]"),
        ],
    )
    def test_no_set_of_a_pattern_has_more_members(self, pattern: str, members: str) -> None:
        pattern = pattern.replace("{}", members)
        assert 70 <= listed(_parser.parse(pattern)) < _weight(pattern)

    def test_alternatives_are_such_a_set(self) -> None:
        pattern = f"(?:{'|'.join(LISTED)})*"
        assert listed(_parser.parse(pattern)) == len(LISTED) < _weight(pattern)

    @pytest.mark.filterwarnings("ignore:Possible:FutureWarning")
    @given(st.text("[]^-|()*\\UNwds0\n\uffff\U00010000\U0001f600\U0001f602\U0010ffff", max_size=20))
    def test_no_set_of_any_pattern_has_more_members(self, pattern: str) -> None:
        try:
            parsed = _parser.parse(pattern)
        except (re.error, OverflowError):
            return
        assert listed(parsed) < _weight(pattern)

    @pytest.mark.parametrize(
        ("pattern", "other"), [(r"\w", r"\W"), (r"\d", r"\D"), (r"\s", r"\S"), (rb"\w", rb"\W")]
    )
    def test_a_category_weighs_as_much_as_its_opposite(self, pattern: Any, other: Any) -> None:
        assert _weight(pattern) == _weight(other) > _weight("a") == 1

    def test_no_other_method_of_a_pattern_takes_a_text(self) -> None:
        taking = {
            name
            for name, method in vars(re.Pattern).items()
            if not name.startswith("_")
            and callable(method)
            and "string" in inspect.signature(method).parameters
        }

        assert taking == METHODS
