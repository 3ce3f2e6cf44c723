"""Rendering of whatever entries and keys there may be.

Some hundred examples each; more with ``S3TRIGGER_EXAMPLES=10000`` in the environment.
"""

import contextlib
import itertools
import json
import os
import re
from collections.abc import Callable
from typing import Any, Final

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, event, given, settings
from jinja2 import Environment

from lava_s3trigger.templates.documents import Document, RenderingError, Variables, variables
from tests.build import s3_event
from tests.examples import examples
from tests.templates.test_documents import AROUND, PUTTING_OUT

many = settings(
    max_examples=examples(int(os.environ.get("S3TRIGGER_EXAMPLES", "200"))),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def known(key: str) -> Variables:
    return variables(s3_event(key, source_ip=None))


def _as_json_holds_it(text: str) -> str:
    """Make one character of each pair of surrogates, as every reader of JSON does."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


characters = st.characters(exclude_categories=())
# What would end a string, be decoded, or be taken for a template.
dangerous = st.sampled_from(
    [
        *('"', "\\", "\n", "\r", "\0", "\x7f", "\x1b", "\u2028", "\ufdd0", "\ufdd1", "\ufffe"),
        *("\ud800", "\U0001f600", " ", "'", "{{", "}}", "{%", "%}", "{#", "#}", "\\n", "\\u0041"),
        *('", "x": "', '"}', "</", "{% endraw %}", "{{ key }}", "%s", "{0}", "lava"),
    ]
)
hostile_keys = st.lists(dangerous | characters, max_size=12).map(
    lambda pieces: _as_json_holds_it("".join(pieces))
)
harmless_keys = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-", min_size=1, max_size=30
)


TRIMMED: Final = "{%- if true -%}@{%- endif -%}"


@st.composite
def identities(draw: st.DrawFn) -> Callable[[], str]:
    """Make templates that put out the key, exactly. No two in a document share a name."""
    numbers = itertools.count()

    def make() -> str:
        template = "@"
        for around in (*draw(st.lists(st.sampled_from((*AROUND, TRIMMED)), max_size=4)), None):
            inner = around or draw(st.sampled_from(PUTTING_OUT))
            template = template.replace("@", inner.replace("$", str(next(numbers))))
        return template

    return make


class TestKeysAreData:
    """Any key arrives exactly, wherever and however an entry puts it."""

    @many
    @given(hostile_keys, identities())
    def test_in_parameters_globals_and_job_ids(self, key: str, identity: Callable[[], str]) -> None:
        parameters = {f"n{identity()}": [identity(), {"inner": f"<{identity()}>"}], "last": None}
        assert Document({"first": 1} | parameters).render(known(key)) == {
            "first": 1,
            f"n{key}": [key, {"inner": f"<{key}>"}],
            "last": None,
        }
        with_own = Document({"lava_mine": 1, f"n{identity()}": identity()}, is_globals=True)
        assert with_own.render(known(key)) == {"lava_mine": 1, f"n{key}": key}
        assert Document(f"job-{identity()}").render(known(key)) == f"job-{key}"

    @many
    @given(st.sampled_from(["", "lava", "LAVA_"]), hostile_keys, identities())
    def test_as_the_name_of_a_global_it_is_exact_or_an_error(
        self, start: str, rest: str, identity: Callable[[], str]
    ) -> None:
        key = start + rest
        document = Document({identity(): 1, "lava_mine": 2}, is_globals=True)

        if key.lower().startswith("lava"):
            with pytest.raises(RenderingError, match="lava begins those of lava's own"):
                document.render(known(key))
        else:
            assert document.render(known(key)) == {key: 1, "lava_mine": 2}


_LETTERS: Final = "abcXYZ019 /._-,:'"
_OTHERS: Final = '"\\\n\r\t\0\x1b{}%#<>&\u00e9\u65e5\u2028\xa0\ufffe'


class Entries:
    """Entries that lava's function renders too, made by the grammar of templates.

    No backslashes, double quotes or ``tojson`` are in expressions, and no text but
    plain one is put through a filter, since lava's function sees it JSON-escaped.
    """

    NAMES: Final = ("key", "bucket", "info.key", "info['key']", "event.s3.object.key")
    OTHERS: Final = (
        *("info.event_type", "info.aws_region", "info.nothing", "nothing"),
        "info.event_time.isoformat()",
    )
    NUMBERS: Final = ("0", "1", "2", "7", "info.size", "-3", "1.5")
    OF_TEXT: Final = (
        *("@.upper()", "@.split('/')[0]", "@.split('/')[-1]", "@.split('/', 1)[1]"),
        *("@.rpartition('/')[2]", "@.replace('a', 'b')", "@.strip('/')", "@.title()"),
        *("@.ljust(5, 'x')", "@[0]", "@[1:3]", "@[::-1]", "@|upper", "@|lower", "@|title"),
        *("@|capitalize", "@|trim", "@|trim('/')", "@|string", "@|reverse", "@|first", "@|last"),
        *("@|replace('/', '-')", "@|default('x')", "@|default('x', true)", "@|list|join('-')"),
        *("@|sort|join", "@|unique|join", "@|map('upper')|join('.')", "@|select('eq', 'a')|join"),
        *("@|batch(2)|map('join')|join(' ')", "@|truncate(5)", "@|center(12)", "@|e"),
        *("@|striptags", "@|indent(2)", "@|wordwrap(9)", "'%s'|format(@)", "(@ ~ '/')", "(@ * 2)"),
        *("'%s' % @", "'{}'.format(@)", "'{0!s:>9}'.format(@)", "(@ if @ else 'none')"),
        *("(@ or 'x')", "utils_are_not_needed|default(@)"),
    )
    TO_NUMBER: Final = ("@|length", "@|wordcount", "@|int", "@.count('a')", "@.find('b')")
    OF_NUMBER: Final = (
        *("(@ + 1)", "(@ * 2)", "@ // 2", "@ % 3", "@|abs", "@|round(1)", "-@", "@|float"),
    )
    TESTS: Final = (
        *("@ is defined", "@ is string", "@ == 'a'", "@ != key", "'a' in @", "not @"),
        "@ is lower",
    )
    FILTERS: Final = ("upper", "lower", "title", "trim", "string", "replace('a', 'b')", "indent(1)")

    def __init__(self, draw: st.DrawFn, *, depends_on_key: bool = True) -> None:
        self._draw = draw
        self._depends_on_key = depends_on_key
        self._numbers = itertools.count()
        self._set: list[str] = []

    def __call__(self) -> dict[str, Any]:
        pieces = [[self._nodes(2)] for _ in range(self._below(4) + 1)]
        for _ in range(self._below(2)):
            self._span(pieces)
        return {
            f"n{number}{self._nodes(0) if self._one_in(4) else ''}": self._wrapped("".join(each))
            for number, each in enumerate(pieces)
        }

    def _below(self, most: int) -> int:
        return self._draw(st.integers(0, most))

    def _one_in(self, number: int) -> bool:
        return self._below(number - 1) == 0

    def _one_of(self, choices: tuple[str, ...]) -> str:
        return self._draw(st.sampled_from(choices))

    def _wrapped(self, text: str) -> Any:
        return self._draw(
            st.sampled_from([text, text, [text], [1, text, None], {"i": text}, {"i": [text, 1.5]}])
        )

    def _span(self, pieces: list[list[str]]) -> None:
        """Have a statement reach from one value into another."""
        begin = self._below(len(pieces) - 1)
        end = begin + self._below(len(pieces) - 1 - begin)
        starting, ending = self._draw(
            st.sampled_from(
                [
                    ("{% if true %}", "{% endif %}"),
                    ("{% if false %}", "{% endif %}"),
                    ("{% for i in [1, 2] %}", "{% endfor %}"),
                    ("{% with w = 'w' %}", "{% endwith %}"),
                    (f"{{% block b{next(self._numbers)} %}}", "{% endblock %}"),
                ]
            )
        )
        if begin < end:
            pieces[begin].append(starting)
            pieces[end].insert(0, ending)

    # Expressions.

    def _literal(self) -> str:
        written = self._draw(
            st.text(_LETTERS.replace("'", "") + "{}%#\n\t\u00e9\u65e5", max_size=5)
        )
        return f"'{written}'"

    def _text(self, depth: int) -> str:
        """Give an expression whose value is text, or undefined."""
        if depth <= 0 or self._one_in(3):
            names = (*self.NAMES, *self.OTHERS, *self._set)
            return self._literal() if self._one_in(3) else self._one_of(names)
        if self._one_in(4):
            return f"({self._text(depth - 1)} ~ {self._expression(depth - 1)})"
        return f"({self._one_of(self.OF_TEXT).replace('@', self._text(depth - 1))})"

    def _number(self, depth: int) -> str:
        if depth <= 0 or self._one_in(3):
            return self._one_of(self.NUMBERS)
        if self._one_in(2):
            return f"({self._one_of(self.TO_NUMBER).replace('@', self._text(depth - 1))})"
        return f"({self._one_of(self.OF_NUMBER).replace('@', self._number(depth - 1))})"

    def _test(self, depth: int) -> str:
        if not self._depends_on_key or self._one_in(3):
            return self._one_of(("true", "false", "1 > 2", "info.size > 1", "nothing"))
        return self._one_of(self.TESTS).replace("@", self._text(depth - 1))

    def _expression(self, depth: int) -> str:
        return self._number(depth) if self._one_in(4) else self._text(depth)

    # Statements.

    def _written(self, *, plain: bool) -> str:
        written = self._draw(st.text(_LETTERS if plain else _LETTERS + _OTHERS, max_size=6))
        return re.sub(r"[{]+(?=[{%#]|$)", "", written)

    def _tag(self, statement: str) -> str:
        before = self._one_of(("", "", "-", "+"))
        return f"{{%{before} {statement} {self._one_of(('', '', '-', '+'))}%}}"

    def _nodes(self, depth: int, *, plain: bool = False) -> str:
        """Give text with templates in it; if plain, with none that JSON escapes."""
        return "".join(self._node(depth, plain=plain) for _ in range(self._below(3)))

    def _node(self, depth: int, *, plain: bool) -> str:
        kind = self._below(14 if depth > 0 else 4)
        if kind <= 1:
            return self._written(plain=plain)
        if kind <= 3:
            before, after = self._one_of(("", "-", "+")), self._one_of(("", "-"))
            return f"{{{{{before} {self._expression(2)} {after}}}}}"
        if kind == 4:
            comment = self._written(plain=plain).replace("#", "")
            return f"{{#{self._one_of(('', '-'))} {comment} {self._one_of(('', '-'))}#}}"
        return self._statement(depth - 1, plain=plain)

    STATEMENTS: Final = (
        "<if TEST>INNER<else>INNER<endif>",
        "<for i in OVER>SHOWN INNER<endfor>",
        "<set NAME = TEXT>",
        "<set NAME | FILTER>PLAIN<endset>",
        "<set NAME>PLAIN<endset>",
        "<set NAME>INNER<endset>{{ NAME }}",
        "<macro NAME(a, b='x')>INNER{{ a }}{{ b }}<endmacro>{{ NAME(TEXT) }}",
        "<macro NAME()>[{{ caller() }}]<endmacro><call NAME()>INNER<endcall>",
        "<filter FILTER>PLAIN<endfilter>",
        "<block NAME>INNER<endblock>",
        "<block NAME>INNER<endblock>{{ self.NAME() }}",
        "<raw>WRITTENRAW<endraw>",
    )
    """Statements with their tags as `<tag>`; words in capitals stand for something drawn."""
    OVER: Final = ("[1, 2]", "'ab'", "range(3)", "[]", "key.split('/')")

    def _statement(self, depth: int, *, plain: bool) -> str:
        name = f"v{next(self._numbers)}"
        words = {
            "NAME": lambda: name,
            "TEST": lambda: self._test(2),
            "TEXT": lambda: self._text(2),
            "OVER": lambda: self._one_of(self.OVER) + self._one_of(("", "", " recursive")),
            "SHOWN": lambda: self._one_of(("{{ i }}", "{{ loop.index }}{{ i }}", "")),
            "FILTER": lambda: self._one_of(self.FILTERS),
            "INNER": lambda: self._nodes(depth, plain=plain),
            # Used by what is put through filters, so nothing that is escaped.
            "PLAIN": lambda: self._nodes(depth, plain=True),
            "WRITTEN": lambda: self._written(plain=plain),
            "RAW": lambda: self._one_of(("", "{{ key }}", "{% x %}", "{#")),
        }
        statement = self._one_of(self.STATEMENTS)
        tagged = re.sub("<(.*?)>", lambda tag: self._tag(tag[1]), statement)
        made = re.sub("|".join(words), lambda word: words[word[0]](), tagged)
        if statement.startswith("<set") and "INNER" not in statement:
            self._set.append(name)
        return made


@st.composite
def entries(draw: st.DrawFn, *, depends_on_key: bool = True) -> dict[str, Any]:
    return Entries(draw, depends_on_key=depends_on_key)()


def _shape(value: Any) -> Any:
    """Give the structure of a document, without its texts."""
    if isinstance(value, dict):
        return {"in order": [_shape(each) for each in value.values()]}
    if isinstance(value, list):
        return [_shape(each) for each in value]
    return str if isinstance(value, str) else (type(value), value)


def without_addresses(value: Any) -> str:
    """Give the JSON of what was rendered, but for where in memory an object lay."""
    # A filter may have changed their case.
    return re.sub(r"at 0x[0-9a-f]+", "at 0x", json.dumps(value), flags=re.IGNORECASE)


_ITERATOR: Final = re.compile(r"(reversed|iterator|generator) object at 0x", re.IGNORECASE)


@many
@given(entries(), harmless_keys)
def test_harmless_keys_render_the_same(entry: dict[str, Any], key: str) -> None:
    try:
        template = Environment(autoescape=False).from_string(json.dumps(entry))
        expected = json.loads(template.render(known(key)), strict=False)
    except Exception as error:  # noqa: BLE001 - whatever a template can raise
        event(f"plain Jinja raises {type(error).__name__}")
        with contextlib.suppress(RenderingError):
            Document(entry).render(known(key))
            event(f"{type(error).__name__} of plain Jinja, rendered here")
        return
    rendered = Document(entry).render(known(key))

    if _ITERATOR.search(json.dumps(expected)):
        event("plain Jinja shows an iterator's address, and weighing made a list of it")
        return
    assert without_addresses(rendered) == without_addresses(expected)


@many
@given(entries(depends_on_key=False), hostile_keys.filter(bool))
def test_hostile_keys_leave_the_structure(entry: dict[str, Any], key: str) -> None:
    document = Document(entry)
    try:
        expected = document.render(known("harmless"))
    except RenderingError:
        event("cannot be rendered")
        return
    assert _shape(document.render(known(key))) == _shape(expected)
