"""Which templates are rendered in the function's own process: docs/rendering.md."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from lava_s3trigger.templates.documents import Document, RenderingError
from lava_s3trigger.templates.environment import UTILS, TemplateEnvironment
from lava_s3trigger.templates.harmless import MOST_OPERATIONS, is_harmless
from lava_s3trigger.triggers import Trigger, read_trigger

ROOT: Final = Path(__file__).parents[2]

HARMLESS: Final = [
    # What names, and what is no template at all.
    "plain text",
    "{# a comment #}",
    "{% raw %}{{ {% endraw %}",
    "{{ key }}",
    "s3://{{ bucket }}/{{ key }}",
    "{{ info.size }}",
    "{{ info.colour }}",
    "{{ event['s3'].object.eTag }}",
    "{{ event.responseElements['x-amz-request-id'] }}",
    "{{ 'a' }}{{ 1 }}{{ 1.5 }}{{ true }}{{ none }}",
    # Parts.
    "{{ key[3] }}",
    "{{ key[:10] }}",
    "{{ key[1:9:2] }}",
    "{{ key.split('/')[1] }}",
    "{{ key.split('/')[0].upper().lower() }}",
    "{{ event[key] }}",
    # Decisions.
    "{% if info.size > 1000 %}large{% elif key == 'x' %}x{% else %}small{% endif %}",
    "{{ 'csv' if key.endswith('.csv') else 'other' }}",
    "{{ 'csv' if key.endswith('.csv') }}",
    "{{ key < bucket <= 'x' and not info.source_ip or info.size != 0 }}",
    "{{ key in ['a', 'b'] }}",
    "{{ key not in ('a', 'b') }}",
    "{{ 'a' in key }}",
    # Names and loops.
    "{% set parts = key.split('/') %}{{ parts[0] }}",
    "{% for part in key.split('/') %}{{ loop.index }}{{ part }}{% endfor %}",
    "{% for p in key.split('/') if p != 'x' %}{{ p }}{% else %}none{% endfor %}",
    "{% for name, value in event.items() %}{{ name }}{{ value }}{% endfor %}",
    # Constants in lists.
    "{{ ['a', ['b', 1], ('c', 2.5)] }}",
    "{{ [] }}",
    "{{ [-1, 50, -50.0] }}",
    "{{ ['" + "x" * 50 + "'] }}",
    # Sums, of which one side is a constant or a timedelta.
    "{{ info.size + 1 }}",
    "{{ 1 + info.size }}",
    "{{ info.size - 1 }}",
    "{{ key + '.done' }}",
    "{{ info.size + 1 + event.x }}",
    "{{ key + ('a' ~ bucket) }}",
    "{{ key ~ '/' ~ bucket }}",
    "{{ info.event_time + utils.timedelta(hours=1) }}",
    "{{ utils.timedelta(1) + info.event_time }}",
    "{{ (info.event_time - utils.timedelta(days=1)).date() }}",
    # Functions of utils.
    "{{ utils.path.basename(key) }}",
    "{{ utils.path.dirname(key) }}",
    "{{ utils.path.join('a', bucket, key) }}",
    "{{ utils.path.split(key)[1] }}",
    "{{ utils.path.splitext(utils.path.basename(key))[0] }}",
    "{{ utils.s3bucket(key) }}/{{ utils.s3key(key) }}",
    "{{ utils.uuid() }}",
    "{{ utils.uuid().hex }}",
    "{{ utils.datetime.now() }}",
    "{{ utils.date.today().isoformat() }}",
    # Functions that make something of constants.
    "{{ utils.timedelta(days=50) }}",
    "{{ utils.timedelta(days=-50, hours=1.5) }}",
    # Times.
    "{{ info.event_time.strftime('%Y/%m/%d') }}",
    "{{ info.event_time.strftime('%Y-%m-%dT%H:%M:%SZ') }}",
    "{{ info.event_time.strftime('100%%') }}",
    "{{ info.event_time.replace(hour=0, minute=0) }}",
    "{{ info.event_time.timestamp()|int }}",
    "{{ info.event_time.year }}",
    # What is long, but no argument.
    "{{ '" + "x" * 51 + "' }}",
    "{{ info.size > 1000000 }}",
]
NOT_HARMLESS: Final = [
    # Calls of anything but a method.
    "{{ key() }}",
    "{{ range(3) }}",
    "{{ lipsum() }}",
    "{{ cycler('a') }}",
    "{{ dict(a=1) }}",
    "{{ key['split']('/') }}",
    "{{ key.split('/')() }}",
    "{{ (key.split if key else key.upper)() }}",
    # Methods that are not listed, or of what is not harmless.
    "{{ key.format(1) }}",
    "{{ key.encode() }}",
    "{{ key.join('a') }}",
    "{{ key.center(50) }}",
    "{{ key.ljust(50) }}",
    "{{ key.expandtabs(50) }}",
    "{{ key.translate('a') }}",
    "{{ (key * 2).upper() }}",
    "{{ info.event_time.astimezone() }}",
    # Arguments that are no constants, or large ones.
    "{{ key.replace(key, 'x') }}",
    "{{ key.replace('x', key) }}",
    "{{ key.split(bucket) }}",
    "{{ key.split(sep=bucket) }}",
    "{{ key.split(*['/']) }}",
    "{{ key.split(**event) }}",
    "{{ key.startswith(('a', key)) }}",
    "{{ key.startswith(['a', [key]]) }}",
    "{{ key.zfill(51) }}",
    "{{ key.zfill(-51) }}",
    "{{ key.zfill(50.5) }}",
    "{{ key.find('" + "x" * 51 + "') }}",
    "{{ key.startswith(('a', '" + "x" * 51 + "')) }}",
    "{{ key.find('a' ~ 'b') }}",
    "{{ key.zfill(25 + 25) }}",
    "{{ info.event_time.strftime('%99999999Y') }}",
    "{{ info.event_time.strftime('%-d') }}",
    "{{ info.event_time.strftime('%%%5Y') }}",
    "{{ info.event_time.strftime('%_5Y') }}",
    "{{ info.event_time.strftime('%Y' ~ key) }}",
    # Functions of utils that are not listed, or not so.
    "{{ utils.re.sub('a', 'b', key) }}",
    "{{ utils.re.search('a', key).group() }}",
    "{{ utils['path'].join(key) }}",
    "{{ utils.path['join'](key) }}",
    "{{ utils.path.commonprefix(key) }}",
    "{{ utils.path.relpath(key) }}",
    "{{ utils.path.get('a') }}",
    "{{ utils.items() }}",
    "{{ utils.keys() }}",
    "{{ utils.date(2026, 3, 14) }}",
    "{{ utils.datetime(2026, 3, 14) }}",
    "{{ utils.dateutil.tz.gettz('UTC') }}",
    "{{ utils.dateutil.parser.parse(key) }}",
    "{{ utils.parsedate(key) }}",
    "{{ utils.parsedate.parse(key) }}",
    "{{ utils.parsedate(key, fuzzy=true) }}",
    "{{ utils.path.join(*key) }}",
    "{{ utils.path.join(**event) }}",
    "{{ utils.path.join(key * 2) }}",
    "{{ utils.s3key([key]) }}",
    "{{ utils.timedelta(info.size) }}",
    "{{ utils.timedelta(days=info.size) }}",
    "{{ utils.timedelta(days=51) }}",
    "{{ key.timedelta(1) }}",
    "{{ key.uuid() }}",
    "{{ bucket.basename(key) }}",
    # Containers of anything but constants.
    "{{ [key] }}",
    "{{ (key, key) }}",
    "{{ ['a', ['b', key]] }}",
    "{{ [51] }}",
    "{{ ['" + "x" * 51 + "'] }}",
    "{{ {} }}",
    "{{ {'a': 1}[key] }}",
    # Arithmetic.
    "{{ key * 2 }}",
    "{{ 2 ** 3 }}",
    "{{ info.size / 2 }}",
    "{{ info.size // 2 }}",
    "{{ info.size % 2 }}",
    "{{ '%s' % key }}",
    "{{ info.size + info.size }}",
    "{{ event.x + event.x }}",
    "{{ event.x - event.x }}",
    "{{ (event.x + event.x) + 1 }}",
    "{{ event.x + ['a'] }}",
    "{{ key + key.upper() }}",
    # In whichever part.
    "{{ key[[key]|length:] }}",
    "{{ key[key * 2] }}",
    "{{ key ~ [key] }}",
    "{{ 'a' + [key] }}",
    "{{ [key] == 1 }}",
    "{{ 1 == [key] }}",
    "{{ not [key] }}",
    "{{ key or [key] }}",
    "{{ key and [key] }}",
    "{{ [key] if key else 1 }}",
    "{{ 1 if [key] else 1 }}",
    "{{ 1 if key else [key] }}",
    "{{ [key].x }}",
    "{% if [key] %}x{% endif %}",
    "{% if key %}{{ [key] }}{% endif %}",
    "{% if key %}{% elif [key] %}{% endif %}",
    "{% if key %}{% else %}{{ [key] }}{% endif %}",
    "{% set x = [key] %}",
    "{% for x in [key] %}{% endfor %}",
    "{% for x in key %}{{ [x] }}{% endfor %}",
    "{% for x in key %}{% else %}{{ [key] }}{% endfor %}",
    "{% for x in key if [x] %}{% endfor %}",
    # Statements.
    "{% for x in key recursive %}{{ x }}{% endfor %}",
    "{% set ns = namespace(x=1) %}",
    "{% set ns.x = key %}",
    "{% set a, b = key, key %}",
    "{% set x %}{{ key }}{% endset %}",
    "{% set x | upper %}{{ key }}{% endset %}",
    "{% filter upper %}{{ key }}{% endfilter %}",
    "{% macro m() %}{% endmacro %}",
    "{% call key() %}{% endcall %}",
    "{% block b %}{{ key }}{% endblock %}",
    "{% with x = key %}{{ x }}{% endwith %}",
    "{% autoescape true %}{{ key }}{% endautoescape %}",
    "{% include 'x' %}",
    "{% import 'x' as x %}",
    "{% from 'x' import x %}",
    "{% extends 'x' %}",
]


def _is_harmless(source: str) -> bool:
    return is_harmless(TemplateEnvironment().parse(source))


class TestTemplates:
    """What is not known to be harmless is not."""

    @pytest.mark.parametrize("source", HARMLESS)
    def test_harmless(self, source: str) -> None:
        assert _is_harmless(source)

    @pytest.mark.parametrize("source", NOT_HARMLESS)
    def test_not_harmless(self, source: str) -> None:
        assert not _is_harmless(source)

    @pytest.mark.parametrize("source", NOT_HARMLESS)
    def test_not_harmless_beside_what_is(self, source: str) -> None:
        if "extends" not in source:
            assert not _is_harmless("{{ key }}{% if key %}a" + source + "{% endif %}{{ bucket }}")


FILTERS: Final = {
    "abs": "", "attr": "('x')", "batch": "(2)", "capitalize": "!", "center": "(50)",
    "count": "!", "d": "!", "default": "!('x')", "dictsort": "", "e": "!", "escape": "!",
    "filesizeformat": "", "first": "!", "float": "!", "forceescape": "", "format": "(1)",
    "groupby": "('x')", "indent": "(2)", "int": "!", "items": "", "join": "!('-')",
    "last": "!", "length": "!", "list": "", "lower": "!", "map": "('upper')", "max": "",
    "min": "", "pprint": "", "random": "", "reject": "", "rejectattr": "('x')",
    "replace": "!('a', 'b')", "reverse": "", "round": "!(2)", "safe": "", "select": "",
    "selectattr": "('x')", "slice": "(2)", "sort": "", "string": "!", "striptags": "",
    "sum": "", "title": "!", "tojson": "!", "trim": "!('/')", "truncate": "(9)",
    "unique": "", "upper": "!", "urlencode": "!", "urlize": "", "wordcount": "",
    "wordwrap": "(9)", "xmlattr": "",
}  # fmt: skip
"""All filters of Jinja, with arguments; the harmless ones with a mark before those."""
TESTS: Final = {
    "!=": "", "<": "", "<=": "", "==": "", ">": "", ">=": "", "boolean": "", "callable": "",
    "defined": "!", "divisibleby": "(3)", "eq": "!(1)", "equalto": "(1)", "escaped": "",
    "even": "", "false": "!", "filter": "", "float": "", "ge": "!(1)", "greaterthan": "(1)",
    "gt": "!(1)", "in": "!('a')", "integer": "", "iterable": "", "le": "!(1)",
    "lessthan": "(1)", "lower": "!", "lt": "!(1)", "mapping": "", "ne": "!(1)", "none": "!",
    "number": "!", "odd": "", "sameas": "(1)", "sequence": "", "string": "!", "test": "",
    "true": "!", "undefined": "!", "upper": "!",
}  # fmt: skip
"""All tests of Jinja, likewise; signs cannot be written as tests."""


class TestFiltersAndTests:
    """Each of Jinja's is known to be harmless, or is taken not to be."""

    def test_these_are_all(self) -> None:
        environment = TemplateEnvironment()

        assert set(FILTERS) == set(environment.filters)
        assert set(TESTS) == set(environment.tests)

    @pytest.mark.parametrize("name", FILTERS)
    def test_a_filter(self, name: str) -> None:
        arguments = FILTERS[name]

        found = _is_harmless(f"{{{{ key|{name}{arguments.removeprefix('!')} }}}}")

        assert found is arguments.startswith("!")

    @pytest.mark.parametrize("name", [each for each in TESTS if each.isalpha()])
    def test_a_test(self, name: str) -> None:
        arguments = TESTS[name]

        found = _is_harmless(f"{{{{ key is {name}{arguments.removeprefix('!')} }}}}")

        assert found is arguments.startswith("!")

    @pytest.mark.parametrize(
        "expression",
        [
            "key|join(bucket)",
            "key|join('" + "x" * 51 + "')",
            "key|replace(key, 'x')",
            "key|replace('x', key)",
            "info.size|round(info.size)",
            "info.size|round(51)",
            "key|trim(key)",
            "key|join(*['-'])",
            "key|join(**event)",
            "key|upper|sort|first",
            "[key]|first",
            "key|default([key])",
            "key is eq([key])",
            "[key] is defined",
            "key is sameas(key)",
        ],
    )
    def test_not_of_just_anything(self, expression: str) -> None:
        assert not _is_harmless(f"{{{{ {expression} }}}}")

    @pytest.mark.parametrize(
        "expression", ["key|default(bucket)", "key is eq(bucket)", "key|upper|lower|first"]
    )
    def test_of_what_is_harmless(self, expression: str) -> None:
        assert _is_harmless(f"{{{{ {expression} }}}}")


METHODS: Final = """
    capitalize casefold lower swapcase title upper strip lstrip rstrip split rsplit
    splitlines partition rpartition replace removeprefix removesuffix startswith endswith
    find index count zfill isdigit isalpha isalnum isnumeric date time timetz timestamp
    isoformat weekday isoweekday isocalendar strftime get keys values items
"""


class TestMethods:
    """The usual ones are harmless, with constants as arguments."""

    @pytest.mark.parametrize("name", METHODS.split())
    def test_with_a_constant(self, name: str) -> None:
        arguments = "'ab', 'a', 1" if name == "replace" else "'a', 1, b=2"
        assert _is_harmless(f"{{{{ event.x.{name}({arguments}) }}}}")

    @pytest.mark.parametrize("name", METHODS.split())
    def test_with_a_variable(self, name: str) -> None:
        assert not _is_harmless(f"{{{{ event.x.{name}(key) }}}}")
        assert not _is_harmless(f"{{{{ event.x.{name}(a=key) }}}}")

    @pytest.mark.parametrize("name", METHODS.split())
    def test_of_what_is_not_harmless(self, name: str) -> None:
        assert not _is_harmless(f"{{{{ [event].{name}() }}}}")

    @pytest.mark.parametrize("of", [str, bytes, list, dict, set, int, float])
    def test_no_others_are(self, of: type) -> None:
        others = [each for each in dir(of) if each not in METHODS.split()]

        assert [each for each in others if _is_harmless(f"{{{{ x.{each}('a') }}}}")] == []


def _examples() -> list[Any]:
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / "examples/triggers.yaml").read_text())
    return [
        pytest.param(entry[field], id=f"{entry['trigger_id']}-{field}")
        for entry in found
        for field in ("job_id", "parameters", "globals")
        if field in entry
    ]


class TestDocuments:
    """A document is harmless where its template is, and that is short."""

    @pytest.mark.parametrize("value", _examples())
    def test_those_of_the_demo_are(self, value: Any) -> None:
        assert Document(value).is_harmless

    @pytest.mark.parametrize("rendered", [False, True])
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            pytest.param({"a": "plain"}, True, id="no-template"),
            pytest.param({"a": "{{ key }}", "b": [1, None]}, True, id="harmless"),
            pytest.param({"a": "{{ key }}", "b": "{{ [key] }}"}, False, id="in-a-value"),
            pytest.param({"{{ [key] }}": "x", "b": "{{ key }}"}, False, id="in-a-name"),
            pytest.param({"a": ["{{ key }}", ["{{ [key] }}"]]}, False, id="in-a-list"),
            pytest.param("{{ key * 2 }}", False, id="job-id"),
        ],
    )
    def test_all_of_it_counts(self, value: Any, *, expected: bool, rendered: bool) -> None:
        document = Document(value)
        if rendered:
            document.render({"key": "k"})

        assert [document.is_harmless, document.is_harmless] == [expected, expected]

    def test_without_jinja_it_is(self) -> None:
        assert Document({"a": "{{ [key] }}"}, jinja=False).is_harmless

    @pytest.mark.parametrize("value", ["{% if %}", "{{ key|nothing }}", "{{ [key]", "{{ ((("])
    def test_one_that_cannot_be_compiled_is(self, value: str) -> None:
        document = Document(value)

        assert [document.is_harmless, document.is_harmless] == [True, True]

    def test_one_that_is_nested_too_deep_is(self) -> None:
        # It fails at once wherever it is rendered.
        assert Document("{{ " + "(" * 5000 + ")" * 5000 + " }}").is_harmless

    @pytest.mark.parametrize(
        ("length", "expected"),
        [pytest.param(16 * 1024, True, id="up-to"), pytest.param(16 * 1024 + 1, False, id="more")],
    )
    def test_a_long_one_is_not(self, length: int, *, expected: bool) -> None:
        template = "{{ key }}"
        value = "x" * (length - len(f'"{template}"')) + template

        assert Document(value).is_harmless is expected

    def test_a_long_one_without_templates_is(self) -> None:
        assert Document("x" * 100_000).is_harmless

    def test_a_long_one_is_not_even_compiled(self) -> None:
        document = Document("x" * 16 * 1024 + "{% if %}")

        assert not document.is_harmless


class TestGrowth:
    """Text may be put together, but not doubled line by line."""

    HARMLESS: Final = (
        "{{ bucket ~ '/' ~ key }}",
        "{{ bucket + '/' + key }}",
        "{% set a = bucket ~ '/' ~ key %}{{ a }}{{ a ~ a }}",
        "{% set a = key.split('/') %}{% set b = a[0] %}{{ b ~ a[1] }}",
        "{% for a in key.split('/') %}{{ a ~ '-' }}{% endfor %}",
        "{{ key ~ key" + " ~ key" * 30 + " }}",
        "{{ key|replace('ab', 'a') }}{{ key|replace('a', 'b') }}{{ key|replace('a', '') }}",
        "{{ key.replace('ab', 'a') }}{{ key.replace('a', 'b', 1) }}{{ key.replace('a', '') }}",
        "{{ info.event_time.replace(hour=0) }}",
        "{{ key|tojson }}{{ key|urlencode }}{{ key.split('/')|join('-') }}",
    )
    GROWING: Final = (
        "{% set a = key %}{% set a = a ~ a %}{{ a }}",
        "{% set a = key %}{% set b = bucket ~ a %}{{ b }}",
        "{% set a = key %}{% set a = a + '' + a %}{{ a }}",
        "{% set a = key %}{% set a = a|tojson %}{{ a }}",
        "{% for a in key %}{% set b = a ~ a %}{{ b }}{% endfor %}",
        "{{ key ~ key" + " ~ key" * 31 + " }}",
        "{{ 'a' + key" + " + key" * 16 + " }}",
        "{{ key|replace('a', 'ab') }}",
        "{{ key|replace('', 'a') }}",
        "{{ key|replace(old='a', new='ab') }}",
        "{{ key|replace('a') }}",
        "{{ key.replace('a', 'ab') }}",
        "{{ key.replace('', 'a') }}",
        "{{ key.replace('a', 1) }}",
        "{{ key|urlencode|urlencode }}",
        "{{ (key|e ~ key)|tojson }}",
        "{% set a = key %}{% set a = utils.path.join(a, a) %}{{ a }}",
    )

    @pytest.mark.parametrize("source", HARMLESS)
    def test_harmless(self, source: str) -> None:
        assert _is_harmless(source)

    @pytest.mark.parametrize("source", GROWING)
    def test_growing(self, source: str) -> None:
        assert not _is_harmless(source)


class TestNames:
    """A name is what it is taken for."""

    @pytest.mark.parametrize("name", ["bucket", "event", "info", "key", "loop", "utils"])
    @pytest.mark.parametrize(
        "source",
        [
            "{{% set {} = info.x %}}{{{{ key }}}}",
            "{{% for {} in key %}}{{{{ key }}}}{{% endfor %}}",
            "{{% for a, {} in key %}}{{{{ key }}}}{{% endfor %}}",
        ],
    )
    def test_one_that_is_given_is_not_given_anew(self, source: str, name: str) -> None:
        assert _is_harmless(source.format("other"))
        assert not _is_harmless(source.format(name))

    @pytest.mark.parametrize("name", ["cycler", "dict", "joiner", "lipsum", "namespace", "range"])
    def test_functions_of_jinja_are_not_harmless(self, name: str) -> None:
        assert not _is_harmless(f"{{{{ {name}[key] }}}}")

    @pytest.mark.parametrize(
        "expression",
        ["utils.path.uuid()", "utils.join(key)", "utils.re.split('a', 'b')", "a.s3key(key)"],
    )
    def test_functions_of_utils_stand_in_their_place(self, expression: str) -> None:
        assert not _is_harmless(f"{{{{ {expression} }}}}")


class TestLight:
    """What makes little text is rendered without bounds, once it is compiled."""

    LIGHT: Final = (
        "{{ key.split('/')[1] }}",
        "{% set a = key.split('/') %}{% if a[1] %}{{ a[1] }}{% endif %}",
        "{% set a = key.split('/') %}{% set b = a[1]|upper %}{{ b }}/{{ a[0] ~ '-' ~ b }}",
        "{{ info.event_time.strftime('%Y') }}",
        "{{ info.source_ip }}",
        "{{ key|upper|lower|title }}",
        "{{ ((key.split('~')|string).split('~')|lower) }}",
        "{{ utils.path.splitext(utils.path.basename(key))[0] }}",
        "{{ utils.s3key(key) }}",
        "{{ key ~ '/' ~ bucket }}",
        "{{ info }}",
        "{% if key %}{% set a = key|lower %}{% else %}{% set a = key %}{% endif %}{{ a }}",
        "{{ key }}" * 100,
    )
    HEAVY: Final = (
        "{% for a in key %}{{ a }}{% endfor %}",
        "{{ event.s3.object.key }}",
        "{{ key }}" + "x" * 4096,
        "{{ (key ~ '/' ~ bucket)|urlencode }}",
        "{{ key.split('/')|join('-') }}",
        "{{ key|e }}",
        "{{ key.replace('ab', 'a') }}",
        "{{ key + 'x' }}",
        "{{ (key ~ bucket).upper() }}",
        "{% set a = key ~ bucket %}{{ a }}",
        "{{ key|lower|lower|lower|lower|lower }}",
        "{{ key.lower().lower().lower().lower().lower() }}",
        "{% set a = key|lower|lower|lower %}{{ a|lower|lower }}",
        "{% if key %}{% set a = key|lower|lower|lower %}{% endif %}{{ a|lower|lower }}",
        "{{ key|default(key|lower|lower|lower|lower|lower) }}",
        "{{ key[key|lower|lower|lower|lower|length] }}",
        # Made longer, and that longer again: by names, by texts of lists, by what is put between,
        # by what is escaped.
        "{% set a = key %}" + "{% set a = utils.path.join(a, a) %}" * 18 + "{{ a|length }}",
        "{{ utils.path.join(key, key) }}",
        "{{ " + "(" * 18 + "key" + ".split('~')|string)" * 18 + "|length }}",
        "{{ " + "(" * 9 + "key" + ".split('~')|upper)" * 9 + "|length }}",
        "{{ " + "(" * 9 + "key" + ".partition('~')|string)" * 9 + "|length }}",
        "{{ " + "(" * 9 + "key" + ".split('~') ~ '')" * 9 + "|length }}",
        "{{ key|upper(" + "(" * 9 + "key" + ".split('~')|string)" * 9 + ") }}",
        "{% set a = key|join('" + "x" * 50 + "') %}{{ a|join('" + "x" * 50 + "')|length }}",
        "{% set a = key|join(['x', 'y']) %}{{ a|join(['" + "x" * 50 + "'])|length }}",
        "{% if key|join('', 'z') %}{% endif %}",
        "{{ (key|e).replace('a', '&').replace('m', '&')|length }}",
        "{{ utils.path.join('x'|e, key).replace('amp;', '&&') }}",
        # Functions that are not what they are called as.
        "{{ utils['re'].split('(a+)+b', 'a') }}",
        "{% set r = utils.re %}{{ r.split('(a+)+b', 'a') }}",
        "{{ (utils.re or 1).split('(a+)+b', 'a') }}",
        "{{ (utils.re if key else key).split('(a+)+b', 'a') }}",
        "{{ (utils|default(1)).re.split('(a+)+b', 'a') }}",
    )
    KEYS: Final = {
        "backslashes": "\\" * 1024,
        "quotes": "'" * 1024,
        "astral": "\U0001f600" * 256,
        "unprintable": "\U000e0001" * 256,
        "controls": "\x01" * 1024,
        "cases": "\u0390" * 512,
        "slashes": "/" * 1024,
        "markup": "<&" * 512,
    }
    MOST_MADE: Final = 8 * 1024 * 1024
    EVENT: Final = {"bucket": "b" * 63, "info": {"size": 1, "event_time": datetime.now(UTC)}}

    @pytest.mark.parametrize("source", LIGHT)
    def test_light(self, source: str) -> None:
        document = Document({"x": source})
        assert document.operations > MOST_OPERATIONS  # until that is known
        assert document.is_harmless
        assert document.operations <= MOST_OPERATIONS

    @pytest.mark.parametrize("source", HEAVY)
    def test_heavy(self, source: str) -> None:
        document = Document({"x": source})
        document.is_harmless  # noqa: B018 - it compiles
        assert document.operations > MOST_OPERATIONS

    def test_what_is_no_template_takes_none(self) -> None:
        assert Document({"x": "y"}).operations == 0

    @pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
    @pytest.mark.parametrize("source", dict.fromkeys([*HARMLESS, *LIGHT, *TestGrowth.HARMLESS]))
    def test_no_key_makes_much_of_it(self, source: str, key: str) -> None:
        document = Document({"x": source})
        if not document.is_harmless or document.operations > MOST_OPERATIONS:
            return
        known = self.EVENT | {"key": key, "utils": UTILS}
        info = {**self.EVENT["info"], "key": key}  # type: ignore[dict-item]
        with suppress(RenderingError):
            document.render(known | {"info": info})
        tracemalloc.start()
        try:
            with suppress(RenderingError):
                document.render(known | {"info": info})
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < self.MOST_MADE

    def test_the_operations_of_a_trigger_count_together(self) -> None:
        def is_brief(count: int) -> bool:
            trigger = read_trigger(
                {
                    "trigger_id": {"S": "t"},
                    "prefix": {"S": "*"},
                    "enabled": {"BOOL": True},
                    "job_id": {"L": [{"S": "{{ key.split('/') }}"}] * count},
                }
            )
            assert isinstance(trigger, Trigger)
            assert trigger.is_harmless
            return trigger.is_brief

        assert is_brief(10)
        assert not is_brief(1000)
