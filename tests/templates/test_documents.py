"""Rendering of job ids, globals and parameters."""

import functools
import json
import re
import uuid
from typing import Any, Final

import pytest

from lava_s3trigger.events import S3Event
from lava_s3trigger.templates import documents as rendering
from lava_s3trigger.templates.documents import Document, RenderingError, variables
from lava_s3trigger.templates.environment import (
    MAX_OUTPUT_CHARACTERS,
    RESERVED_MARK,
    TemplateEnvironment,
)
from lava_s3trigger.templates.weighing import MAX_BITS, MAX_CHARACTERS, MAX_MEMBERS
from tests.build import s3_event
from tests.tables import cases

KEY: Final = "in/orders/2026-03-14.csv"

# Each would leave its string, break the JSON or be decoded, if it were not data.
HOSTILE: Final = [
    *('x", "injected": "y', '"', "\\", '\\"', "\\\\", r"C:\new\table\u0041", "a\nb\rc\td"),
    *("".join(map(chr, range(32))) + "\x7f", "\x1b[2J\x1b]0;owned\x07"),
    *("\ufdd0\ufdd1\ufffe\uffff", "\u2028\u2029\x85\xa0\x0b\x0c\x1c", "\ud800x\udfff"),
    *("caf\u00e9/\u65e5\u672c/\U0001f600.csv", "{{ 7 * 7 }}{% set x = 1 %}{# #}", "}}{%"),
    *("{% endraw %}{{ utils }}", "}, {", "<&'>", " leading and trailing ", "a+b%20c%2F"),
]

PUTTING_OUT: Final = (
    *("{{ key }}", "{{- key -}}", "{{ info.key }}", "{{ event['s3'].object.key }}"),
    *("{{ key ~ '' }}", "{{ [key]|join }}", "{{ '%s' % key }}", "{{ '{}'.format(key) }}"),
    *("{{ '{k}'.format_map({'k': key}) }}", "{% for c in key %}{{ c }}{% endfor %}"),
    *("{{ key|list|join('') }}", "{{ [key, 'x'][0] }}", "{{ nothing|default(key) }}"),
    *("{{ key|safe }}", "{% set s$ = key %}{{ s$ }}"),
    "{% macro m$(x) %}{{ x }}{% endmacro %}{{ m$(key) }}",
    "{% for x in [[key]] recursive %}{{ x if x is string else loop(x) }}{% endfor %}",
    "{% set j$ = joiner(key) %}{{ j$() }}{{ j$() }}",
    *("{% set c$ = cycler(key) %}{{ c$.next() }}", "{%- if true -%}{{- key -}}{%- endif -%}"),
)
"""Templates that put out the key; `$` is a number."""
AROUND: Final = (
    "{% if true %}@{% endif %}",
    "{% if false %}x{% else %}@{% endif %}",
    "{% for i$ in [1] %}@{% endfor %}",
    "{% for i$ in [1] recursive %}@{% endfor %}",
    "{% for i in [0] recursive %}{{ loop([1]) if not i }}{% if i %}@{% endif %}{% endfor %}",
    "{% with w$ = 1 %}@{% endwith %}",
    "{% set s$ %}@{% endset %}{{ s$ }}",
    "{% set s$ | string %}@{% endset %}{{ s$ }}",
    "{% set n$ = namespace() %}{% set n$.x %}@{% endset %}{{ n$.x }}",
    "{% macro m$() %}@{% endmacro %}{{ m$() }}",
    "{% macro m$(x) %}{{ x }}{% endmacro %}{% set s$ %}@{% endset %}{{ m$(s$) }}",
    "{% macro m$() %}{{ caller() }}{% endmacro %}{% call m$() %}@{% endcall %}",
    (
        "{% macro m$() %}{% filter string %}{{ caller() }}{% endfilter %}{% endmacro %}"
        "{% call m$() %}@{% endcall %}"
    ),
    "{% macro m$() %}{{ caller(1) }}{% endmacro %}{% call(k$) m$() %}@{% endcall %}",
    "{% filter string %}@{% endfilter %}",
    "{% filter replace('', '') %}@{% endfilter %}",
    "{% filter trim('') %}@{% endfilter %}",
    "{% block b$ %}@{% endblock %}",
    "{% if false %}{% block b$ %}@{% endblock %}{% endif %}{{ self.b$() }}",
    (
        "{% if false %}{% block b$ scoped %}{% filter string %}@{% endfilter %}{% endblock %}"
        "{% endif %}{% set s$ %}{{ self.b$() }}{% endset %}{{ s$ }}"
    ),
    "{# c #}@{# c #}",
    "{% raw %}{% endraw %}@",
)
"""Templates that put out what stands for `@`, as it is; `$` is a number."""


def event(key: str = KEY, **fields: Any) -> S3Event:
    return s3_event(key, **fields)


def render(value: Any, key: str = KEY, **options: Any) -> Any:
    return Document(value, **options).render(variables(event(key)))


def text(template: str, key: str = KEY) -> Any:
    return render({"v": template}, key)["v"]


def error(value: Any, key: str = KEY, **options: Any) -> str:
    with pytest.raises(RenderingError) as caught:
        render(value, key, **options)
    return str(caught.value)


class TestVariables:
    """Templates know `bucket`, `key`, `event`, `info` and `utils`."""

    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            *(("bucket", "my-bucket"), ("key", KEY), ("event.eventVersion", "2.1")),
            *(("event['s3']['object']['key']", KEY), ("info.bucket", "my-bucket")),
            *(("info['key']", KEY), ("info.size + 1", "1083"), ("info|length", "7")),
            ("info.event_time.isoformat()", "2026-03-14T01:59:26+00:00"),
            *(("info.event_type", "ObjectCreated:Put"), ("info.source_ip.version", "4")),
            *(("info.aws_region", "ap-southeast-2"), ("utils.s3key('b/k')", "k")),
        ],
    )
    def test_a_variable(self, template: str, expected: str) -> None:
        assert text("{{ " + template + " }}") == expected

    def test_what_is_undefined_renders_as_nothing_and_none_as_jinja_does(self) -> None:
        undefined = "{{ nothing }}{{ info.nothing }}{{ 'x' if nothing }}{{ info.size.nothing }}"
        document = Document(undefined + "{% if nothing %}x{% endif %}{{ info.source_ip }}")
        assert document.render(variables(event(source_ip=None))) == "None"


class TestUtils:
    """`utils` holds the classes and the public names of the modules that lava gives."""

    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            *(("utils.date(2026, 3, 14)", "2026-03-14"), ("utils.timedelta(hours=1)", "1:00:00")),
            ("utils.parsedate('14 March 2026').date()", "2026-03-14"),
            ("utils.parsedate.isoparse('2026-03-14').date()", "2026-03-14"),
            (
                "info.event_time.astimezone(utils.dateutil.tz.gettz('Australia/Sydney'))",
                "2026-03-14 12:59:26+11:00",
            ),
            *(("utils.path.dirname('a/b')", "a"), ("utils.path.basename('a/b')", "b")),
            *(("utils.path.splitext('a.b')[1]", ".b"), (r"utils.re.sub('\d', '#', 'a1')", "a#")),
        ],
    )
    def test_a_utility(self, template: str, expected: str) -> None:
        assert text("{{ " + template + " }}") == expected

    @pytest.mark.parametrize("form", ["{}", "s3:{}", "s3://{}", "/{}"])
    @pytest.mark.parametrize(
        ("location", "bucket", "key"),
        [
            *(("b/k", "b", "k"), ("b/k/l m", "b", "k/l m"), ("b//k", "b", "/k")),
            *(("b/s3://c/d", "b", "s3://c/d"), ("b/", "b", ""), ("b", "b", ""), ("", "", "")),
        ],
    )
    def test_s3bucket_and_s3key_take_four_forms(
        self, form: str, location: str, bucket: str, key: str
    ) -> None:
        both = text("{{ utils.s3bucket(key) }} {{ utils.s3key(key) }}", form.format(location))
        assert both == f"{bucket} {key}"

    def test_uuid_is_a_new_uuid4_each_time(self) -> None:
        found = {text("{{ utils.uuid() }}") for _ in range(3)}
        assert {uuid.UUID(each).version for each in found} == {4}
        assert len(found) == 3


class TestOneTemplate:
    """A map is one template: the JSON text of it, in its order."""

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ({"a": "{% set x = key %}", "b": "{{ x }}"}, {"a": "", "b": KEY}),
            ({"b": "{{ x }}", "a": "{% set x = key %}"}, {"b": "", "a": ""}),
            ({"{% set x = 'k' %}a": 1, "b": "{{ x }}"}, {"a": 1, "b": "k"}),
            (
                {"a": "{% macro m(x) %}<{{ x }}>{% endmacro %}", "b": "{{ m(key) }}"},
                {"a": "", "b": f"<{KEY}>"},
            ),
            ({"a{% if false %}": 1, "b{% endif %}": 2}, {"a": 2}),
            ({"a": ["{% for x in [1, 2] %}{{ x }}", "{% endfor %}"]}, {"a": ["1", "2", ""]}),
            ({"a": "{# from here", "b": 1, "c": "to here #}d"}, {"a": "d"}),
            (
                {"a": "{% set x %}1", "b": "2{% endset %}", "c": "{{ x }}"},
                {"a": "", "c": '1", "b": "2'},
            ),
            ({"{{ bucket }}": {"x-{{ info.size }}": "{{ key }}"}}, {"my-bucket": {"x-1082": KEY}}),
            ({"{{ key.split('/')[0] }}": "{{ 'x' }}"}, {"in": "x"}),
            ({'{{ key.split("/")[0] }}': '{{ "x" }}'}, {"in": "x"}),
            (
                {"a": "{% raw %}{{ key }}", "b": "{{ key }}{% endraw %}", "c": "{{ 1 }}"},
                {"a": "{{ key }}", "b": "{{ key }}", "c": "1"},
            ),
        ],
        ids=repr,
    )
    def test_statements_reach_across_names_and_values(
        self, value: dict[str, Any], expected: dict[str, Any]
    ) -> None:
        assert render(value) == expected

    def test_a_document_does_not_see_what_it_set_before(self) -> None:
        document = Document({"a": "<{{ x }}>", "b": "{% set x = 1 %}"})
        assert document.render(variables(event())) == document.render(variables(event()))


WRITTEN: Final = [
    *('a "quoted" word', r"back\slash \n \u0041 \" \\", "line\nline\r\nline\rtab\t", "\n"),
    *("".join(map(chr, range(32))), "caf\u00e9 \u65e5\u672c \U0001f600", "  spaces  ", ""),
    *("\ufdd0\ufffe\uffff\ud800", "{ } {x} %} }} #} { { ", "<a href='x'>&amp;</a>"),
    *("\u2028\xa0\x85\x0b", "# hash ## %% -"),
]


@pytest.mark.parametrize(
    "around",
    [*AROUND, "{% raw %}@{% endraw %}", "@{{ '' }}", "{{ '' }}@", "{{ '' }}@{{ '' }}"],
)
def test_text_is_kept(around: str) -> None:
    for written in WRITTEN:
        assert text(around.replace("@", written).replace("$", "")) == written


@pytest.mark.parametrize("value", [0, -7, 1.5, 10**30, True, False, None, [], {}, [[], [[]]]])
def test_what_is_no_text_is_kept(value: Any) -> None:
    found = render({"a": "{{ 1 }}", "b": value, "c": [value]})
    assert found == {"a": "1", "b": value, "c": [value]}
    assert type(found["b"]) is type(value)


class TestData:
    """What an expression puts out is data, and arrives exactly."""

    @pytest.mark.parametrize(
        "template",
        [*PUTTING_OUT, *(around.replace("@", "{{ key }}") for around in AROUND)],
    )
    def test_a_key_arrives_exactly(self, template: str) -> None:
        document = Document({"a": 1, "v": [template.replace("$", ""), 2], "b": 3})
        for key in HOSTILE:
            assert document.render(variables(event(key))) == {"a": 1, "v": [key, 2], "b": 3}

    def test_a_captured_key_has_the_length_it_has(self) -> None:
        for key in HOSTILE:
            assert text("{% set x %}{{ key }}{% endset %}{{ x|length }}", key) == str(len(key))

    def test_characters_put_out_one_by_one_do_not_make_an_escape(self) -> None:
        assert text("{{ key[0] }}u0041{{ key[0] }}{{ key[0] }}n", "\\") == r"\u0041\\n"

    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            *((r"{{ 'C:\tmp' }}", "C:\tmp"), (r"{{ 'C:\\tmp' }}", r"C:\\tmp")),
            *(("{{ (key|tojson)[1:-1] }}", r"a\"b"), ("{{ [key] }}", "['a\"b']")),
            ("{{ {'k': key}|tojson }}", r'{"k": "a\"b"}'),
            ("{{ {'k': key}|xmlattr }}", ' k="a&#34;b"'),
            ("{{ ['\"', \"'\"] }}", "['\"', \"'\"]"),
        ],
    )
    def test_output_is_not_decoded_once_more(self, template: str, expected: str) -> None:
        assert text(template, 'a"b') == expected


class TestLiterals:
    """String literals take either kind of quotes, and know four escapes."""

    @pytest.mark.parametrize(
        ("literal", "expected"),
        [
            *(("'/'", "/"), ('"/"', "/"), ("''", ""), ("'a' 'b'", "ab"), ('"it\'s"', "it's")),
            *(("'say \"x\"'", 'say "x"'), ("'{{ x }}'", "{{ x }}"), ("'%}'", "%}")),
            *((r"'\n'", "\n"), (r"'\t'", "\t"), (r"'\r'", "\r"), (r"'\u0041'", "A")),
            *((r"'\u00e9\u65e5'", "\u00e9\u65e5"), (r"'\ud83d\ude00'", "\U0001f600")),
            *((r"'\u0000'", "\0"), (r"'\u0022'", '"'), (r"'\u005c'", "\\"), (r"'\u005cn'", r"\n")),
            *((r"'\\\n'", "\\\\\n"), (r'"\""', r"\"")),
            *(
                (f"'{each}'", each)
                for each in (
                    *("caf\u00e9 \U0001f600", "\ufdd0\ufdd1\ufffe", "a\nb\tc", "\\\n"),
                    *(r"\bword\b", r"\d+\s*\w", r"\1\2", r"\0", r"\x41", r"\f\v\a", r"\u", r"\u00"),
                    *(r"\u00zz", r"\U0001F600", r"\N{DIGIT ONE}", r"\/", r"\.", r"\\", r"\\n"),
                    *(r"\\d", r"\'"),
                )
            ),
        ],
    )
    def test_a_literal(self, literal: str, expected: str) -> None:
        assert text("{{ " + literal + " }}") == expected
        assert text("{% set x = " + literal + " %}{{ x }}") == expected

    @pytest.mark.parametrize(
        ("call", "expected"),
        [
            (r"utils.re.sub('(\w+)/(\w+)', '\2-\1', 'a/b')", "b-a"),
            (r"utils.re.sub('\bin\b', 'out', 'in inn in')", "out inn out"),
            (r"utils.re.sub('\\', '/', key)", "a/b"),
            (r"utils.re.split('\n', 'a\nb')|length", "2"),
        ],
    )
    def test_regular_expressions_work_as_written(self, call: str, expected: str) -> None:
        assert text("{{ " + call + " }}", "a\\b") == expected


class TestJinja:
    """Everything else is as in Jinja."""

    @pytest.mark.parametrize("space", ["\n", "\r\n", "\t", "\x0b", "\xa0", "\u2028"])
    def test_whitespace_control_removes_only_spaces(self, space: str) -> None:
        """In lava all other white space was escaped before Jinja saw it."""
        for template, expected in (
            ("a~ {%- if true -%} ~b{%- endif -%}c", "a~~bc"),
            ("a~ {{- 'b' -}} ~c", "a~b~c"),
            ("a~ {#- x -#} ~b", "a~~b"),
            ("{%- raw -%} ~a~ {%- endraw -%} ~b", "~a~~b"),
        ):
            assert text(template.replace("~", space)) == expected.replace("~", space)

    @pytest.mark.parametrize("space", ["\n", "\r\n", "\t", " \n "])
    def test_expressions_may_run_over_lines(self, space: str) -> None:
        written = "{%@if@true@%}{{@key@|@upper@}}{%@endif@%}".replace("@", space)
        assert text(written, "k") == "K"


class TestReservedNames:
    """No name of a global begins with lava, but where the entry says so."""

    @pytest.mark.parametrize(
        "name",
        ["lava", "lava_realm", "LAVA_X", "Lava", "lAvA.x", "lavatory", "lava\u00e9", 'lava"'],
    )
    @pytest.mark.parametrize(
        "template",
        [
            *("{{ key }}", "{{ key[:2] }}{{ key[2:] }}", "{% set x %}{{ key }}{% endset %}{{ x }}"),
            *("{% if false %}lava{% endif %}{{ key }}", "{# lava #}{{ key }}"),
            "{% raw %}{% endraw %}{{ key }}",
        ],
    )
    def test_a_key_cannot_make_one(self, template: str, name: str) -> None:
        said = error({"a": 1, template: "x"}, name, is_globals=True)
        assert said == f"it makes a global {name!a}, and lava begins those of lava's own"

    @pytest.mark.parametrize(
        ("name", "key"),
        [
            *(("l{{ key }}", "ava_x"), ("{{ key }}va_x", "la"), ("{{ key }}lava_x", "")),
            *(("{% if true %}lava_x{% endif %}", ""), ("{% raw %}lava_x{% endraw %}", "")),
            ('{{ key }}{% if false %}": 1, "x{% endif %}', "lava"),
        ],
    )
    def test_one_that_rendering_made_is_an_error(self, name: str, key: str) -> None:
        value = json.loads(f'{{"{name}": 1}}')  # the last one reaches across values
        assert "lava begins those of lava's own" in error(value, key, is_globals=True)

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            *((name, name) for name in ("lava", "lava_x", "LAVA_REALM", "Lava", "lavatory")),
            *(("lava_{{ bucket }}", "lava_my-bucket"), ("lava{{ key }}", "lavak")),
            *(("Lava_{{ key }}_x", "Lava_k_x"), ("lava{% if false %}x{% endif %}", "lava")),
            ("lava{# x #}y", "lavay"),
        ],
    )
    def test_one_that_is_written_is_passed_on(self, name: str, expected: str) -> None:
        assert render({name: "{{ 1 }}"}, "k", is_globals=True) == {expected: "1"}
        assert render({name: 1}, "k", is_globals=True, jinja=False) == {name: 1}

    def test_one_that_is_written_does_not_let_a_key_pass(self) -> None:
        value = {"lava_x": "mine", "{{ key }}": "forged"}
        assert "it makes a global 'lava_x'" in error(value, "lava_x", is_globals=True)

    def test_values_and_inner_names_may_be_any(self) -> None:
        inner = {"b": {"{{ key }}": "{{ key }}", "lava_y": "lava"}, "c": [{"LAVA": 2}]}
        value = {"a": "{{ key }}", "lava": {"lava": "lava"}} | inner
        expected = json.loads(json.dumps(value).replace("{{ key }}", "lava_x"))
        assert render(value, "lava_x", is_globals=True) == expected

    @pytest.mark.parametrize(
        "name", [" lava", "_lava", "xlava", "lav", "la va", "1lava", "\u217cava"]
    )
    def test_other_names_are_not_reserved(self, name: str) -> None:
        assert render({"{{ key }}": 1}, name, is_globals=True) == {name: 1}

    def test_nor_is_it_where_a_literal_reaches_over_a_name(self) -> None:
        found = render({"a": "{{ '", "lava_b": "y' }}"}, is_globals=True)
        assert found == {"a": '", "lava_b": "y'}

    def test_what_tells_written_ones_apart_cannot_be_guessed(self) -> None:
        assert re.fullmatch("[0-9a-f]{32}", RESERVED_MARK)

    @pytest.mark.parametrize("around", [*AROUND, "{% filter upper|lower %}@{% endfilter %}"])
    def test_what_tells_written_ones_apart_is_no_data(self, around: str) -> None:
        before, behind = around.replace("$", "").split("@")
        found = render({"a": before, "lava_b": f"v{behind}"}, is_globals=True)
        assert RESERVED_MARK not in json.dumps(found)
        assert "lava_b" in json.dumps(found)


@pytest.mark.parametrize(
    "value", [{"a": "{{ key }}", "{{ b }}": ["{% x", "{#"]}, {"a": "{{ unclosed"}, "{{ key }}"]
)
def test_with_jinja_false_a_value_renders_as_it_stands(value: Any) -> None:
    assert render(value, jinja=False) is value


@pytest.mark.parametrize(
    "value",
    [
        *("load", {}, {"a": ["b", 1, None, {"c": 'd"\\\n'}]}, {"a": "}} %} #} { } {x} %"}),
        *({"a": {"b": {"c": {}}}, "d": [[{}]]}, {"a{": "{b", "c": "{", "d": "%}"}),
    ],
    ids=repr,
)
def test_without_a_template_a_value_renders_as_it_stands(value: Any, compiled: list[Any]) -> None:
    assert render(value) is value
    assert compiled == []


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The templates that are compiled from now on, also those that cannot be."""
    compiled: list[Any] = []
    lex = TemplateEnvironment.lex

    def counted(self: Any, source: Any, *args: Any) -> Any:
        compiled.append(source)
        return lex(self, source, *args)

    monkeypatch.setattr(TemplateEnvironment, "lex", counted)
    return compiled


class TestCompiling:
    """A template is compiled once for as long as its document is kept."""

    @pytest.mark.parametrize("second", ["{{ bucket }}", "{{ bucket"], ids=["can be", "cannot be"])
    def test_what_can_or_cannot_be_compiled_is_tried_once(
        self, compiled: list[Any], second: str
    ) -> None:
        document = Document({"a": "{{ key }}", "b": second})
        assert compiled == []

        found = []
        for key in ("x", "y", "z"):
            try:
                found.append(document.render(variables(event(key)))["a"])
            except RenderingError as error:
                found.append(str(error))

        assert len(set(found)) == (3 if second.endswith("}}") else 1)
        assert len(compiled) == 1

    def test_nothing_is_evaluated_when_it_is_compiled(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Constants, too, are worked out within the bounds of rendering."""
        asked: list[str] = []
        monkeypatch.setitem(rendering._environment().filters, "upper", asked.append)  # noqa: SLF001 - it is shared
        assert error({"a": "{{ 'x'|upper }}{{ 1|nofilter }}"})
        assert asked == []


class TestErrors:
    """What cannot be rendered is an error that says what happened, on one line of ASCII."""

    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            ("{{ key", "it cannot be compiled: TemplateSyntaxError: 'unexpected char "),
            ("{# key", "it cannot be compiled: TemplateSyntaxError: 'Missing end of comment tag"),
            (
                "{{ 1|no }}",
                "it cannot be compiled: TemplateAssertionError: \"No filter named 'no'.",
            ),
            ("{{ nothing.more }}", "UndefinedError: \"'nothing' is undefined\""),
            ("{{ 1 / 0 }}", "ZeroDivisionError: 'division by zero'"),
            ("{{ utils.parsedate('nonsense') }}", "ParserError: "),
            (
                "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
                "RecursionError: 'maximum recursion depth exceeded",
            ),
        ],
    )
    def test_the_message_says_what_happened(self, template: str, expected: str) -> None:
        assert error({"v": template}).startswith(expected)

    def test_what_renders_to_no_json_is_an_error(self) -> None:
        said = error({"v{% if false %}": 1, "w": "{% endif %}"})
        assert said.startswith("what it renders to is not JSON: Expecting ':' delimiter")

    def test_the_message_is_one_short_line_of_ascii(self) -> None:
        for key in (*HOSTILE, "nonsense" * 1000):
            said = error({"v": "{{ utils.parsedate(key ~ 'nonsense') }}"}, key)
            assert (said.isascii(), said.isprintable(), len(said) < 500) == (True, True, True)


class TestSize:
    """What is rendered fits a message, and no value on the way is larger than it need be."""

    LOOP: Final = (
        "{% for i in range(N // 10000) %}{{ 'x' * 10000 }}{% endfor %}{{ 'x' * (N % 10000) }}"
    )

    def test_the_largest(self) -> None:
        largest = MAX_OUTPUT_CHARACTERS - len('{"v": ""}')
        assert len(text(self.LOOP.replace("N", str(largest)))) == largest
        assert error({"v": self.LOOP.replace("N", str(largest + 1))}) == (
            f"what it renders to has more than {MAX_OUTPUT_CHARACTERS} characters"
        )

    def test_text_counts_as_it_is_sent(self) -> None:
        """A dispatch is ASCII-escaped: of what is not, a character takes six or twelve."""
        of_n = self.LOOP.replace("x", "\u00e9")
        assert len(text(of_n.replace("N", "174000"))) == 174_000
        assert "characters" in error({"v": of_n.replace("N", "175000")})

    @pytest.mark.parametrize(
        "template",
        [
            *("{{ ('x' * N)|length }}", "{{ ('x' * (N - 1) ~ 'x')|length }}"),
            *("{{ ('x' * (N - 1) + 'x')|length }}", "{{ ('%Ns' % 'x')|length }}"),
            *("{{ 'x'.center(N)|length }}", "{{ ('x'|center(N))|length }}"),
            *("{{ ('x'.encode() * N)|length }}", "{% filter length %}TEXT{% endfilter %}"),
            "{% set x %}TEXT{% endset %}{{ x|length }}",
            "{% macro m() %}TEXT{% endmacro %}{{ m()|length }}",
            "{% macro m() %}{{ caller()|length }}{% endmacro %}{% call m() %}TEXT{% endcall %}",
            "{% if false %}{% block b %}TEXT{% endblock %}{% endif %}{{ self.b()|length }}",
        ],
    )
    def test_a_value_has_at_most_so_much_text(self, template: str) -> None:
        template = template.replace("TEXT", "{{ 'x' * (N - 1) }}x")
        assert text(template.replace("N", str(MAX_CHARACTERS))) == str(MAX_CHARACTERS)
        assert error({"v": template.replace("N", str(MAX_CHARACTERS + 1))}) == (
            f"the value of this expression has {MAX_CHARACTERS + 1} characters,"
            f" more than {MAX_CHARACTERS}"
        )

    @pytest.mark.parametrize(
        "template",
        [
            *("{{ (1,) * N }}", "{{ [1] * N }}", "{{ range(N) }}", "{{ ('a' * N)|list }}"),
            *("{{ ([1] * 1000 + [1] * (N - 1000)) }}", "{{ ('a' * N)|map('upper') }}"),
            *("{{ ['a'] + 'x'.join(['a'] * N).split('x')[1:] }}", "{{ [[1] * (N - 1)] }}"),
            "{% set a = [1] * (N // 2 - 1) %}{{ [a, a] }}",
            "{{ dict.fromkeys(range(N // 2)) }}",
            "{% set a = [] %}{% for i in range(N) %}{% set _ = a.append(i) %}{% endfor %}",
        ],
    )
    def test_a_value_has_at_most_so_many_members(self, template: str) -> None:
        assert text("{% set x = 1 %}" + template.replace("N", str(MAX_MEMBERS))) is not None
        assert error({"v": template.replace("N", str(MAX_MEMBERS + 2))}) == (
            f"the value of this expression has more than {MAX_MEMBERS} members"
        )

    def test_a_value_is_at_most_so_deep(self) -> None:
        deep = (
            "{% set n = namespace(x=1) %}{% for i in range(N) %}{% set n.x = [n.x] %}{% endfor %}"
        )

        assert text(deep.replace("N", "50")) == ""
        assert error({"v": deep.replace("N", "51")}) == (
            "the value of this expression is nested more than 50 deep"
        )

    @pytest.mark.parametrize(
        "number", ["2 ** N", "(2 ** (N // 2)) * (2 ** (N // 2))", "2 ** (N - 1) + 2 ** (N - 1)"]
    )
    def test_a_number_of_too_many_digits_is_an_error(self, number: str) -> None:
        assert error({"v": "{{ (" + number.replace("N", str(MAX_BITS)) + ") is odd }}"}) == (
            f"the value of this expression has more than {MAX_BITS} bits"
        )


@pytest.mark.parametrize("name", ["bucket", "key", "event_type", "aws_region"])
def test_text_that_is_too_long_is_an_error(name: str) -> None:
    of = event(**{name: "x" * (MAX_CHARACTERS + 1)})
    with pytest.raises(RenderingError, match=rf"^{name} has 16385 characters, more than 16384"):
        Document("{{ 1 }}").render(variables(of))
    assert Document("plain").render(variables(of)) == "plain"


@cases(
    ("record", "reason"),
    {
        "deep": (
            {"a": functools.reduce(lambda inner, _: [inner, 1], range(9000), list[Any]())},
            "event is nested more than 50 deep",
        ),
        "many": ({"a": [0] * 3000}, "event has more than 2000 members"),
        "long": ({"a": "x" * 20000}, "event has 20000 characters, more than 16384"),
    },
)
def test_an_event_that_a_template_names_must_not_be_too_large(
    record: dict[str, Any], reason: str
) -> None:
    known = variables(event(record=record))

    for _ in range(2):
        with pytest.raises(RenderingError) as caught:
            Document("{{ event.b }}").render(known)
        assert str(caught.value) == reason
    assert Document("{{ key }}{% set a = [] %}{{ a.append(1) }}").render(known) == f"{KEY}None"


class TestChanges:
    """A template changes the lists and maps that it made, as in plain Jinja, and no others."""

    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            ("{% set p = key.split('/') %}{{ p.pop() }}{{ p }}", "3['1', '2']"),
            ("{% set p = [1, 2] %}{{ p.clear() or p }}", "[]"),
            ("{% set d = {'a': 1} %}{{ d.popitem() }}", "('a', 1)"),
            ("{% set d = {} %}{{ d.setdefault('a', []).append(1) or d }}", "{'a': [1]}"),
            ("{% set n = namespace(p=[]) %}{{ n.p.append(1) or n.p }}", "[1]"),
            ("{% set p = [[]] %}{{ p[0].append(1) or p }}", "[[1]]"),
            ("{% set p = [] %}{{ (p|attr('append'))(1) or p }}", "[1]"),
            ("{% set p = [] %}{{ p['append'](1) or p }}", "[1]"),
            ("{% set i = dict(info) %}{{ i.pop('key') }}", "1/2/3"),
            ("{% set p = event.l|list %}{{ p.append(1) or p }}", "[0, 1]"),
        ],
    )
    def test_what_it_made(self, template: str, expected: str) -> None:
        known = variables(event("1/2/3", record={"l": [0]}))
        assert Document(template).render(known) == expected

    @pytest.mark.parametrize(
        "container",
        ["event", "event.l", "event.m.l", "[event.l][0]", "({'a': event.l}.a)", "info", "utils"],
    )
    @pytest.mark.parametrize("how", ["{}.clear()", "({}|attr('clear'))()", "{}['clear']()"])
    def test_nothing_that_it_was_given(self, container: str, how: str) -> None:
        record = {"l": [0], "m": {"l": [1]}}
        known = variables(event(record=record))
        with pytest.raises(RenderingError, match="is unsafe"):
            Document("{{ " + how.format(container) + " }}").render(known)
        assert record == {"l": [0], "m": {"l": [1]}}

    def test_nothing_that_a_class_has(self) -> None:
        assert "is unsafe" in error({"v": "{{ utils.parsedate.parserinfo.JUMP.clear() }}"})
        assert text("{{ utils.parsedate.parserinfo.JUMP|length > 3 }}") == "True"
