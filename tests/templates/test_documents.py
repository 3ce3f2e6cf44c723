"""Rendering of job ids, globals and parameters."""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime
from decimal import Decimal
from ipaddress import ip_address
from typing import Any, Final

import pytest
from dateutil.tz import tzutc
from jinja2 import Environment

from lava_s3trigger.events import S3Event
from lava_s3trigger.templates import documents as rendering
from lava_s3trigger.templates.documents import Document, RenderingError, variables
from lava_s3trigger.templates.environment import (
    MAX_OUTPUT_CHARACTERS,
    RESERVED_MARK,
    TemplateEnvironment,
)
from lava_s3trigger.templates.weighing import MAX_BITS, MAX_CHARACTERS, MAX_MEMBERS

KEY: Final = "in/orders/2026-03-14.csv"

# Each would leave its string, break the JSON or be decoded, if it were not data.
HOSTILE: Final = [
    pytest.param('x", "injected": "y', id="quotes-that-close-a-string"),
    pytest.param('"', id="quote"),
    pytest.param("\\", id="backslash"),
    pytest.param('\\"', id="backslash-and-quote"),
    pytest.param("\\\\", id="two-backslashes"),
    pytest.param(r"C:\new\table\u0041", id="what-looks-like-escapes"),
    pytest.param("a\nb\rc\td", id="line-ends-and-tab"),
    pytest.param("".join(map(chr, range(32))) + "\x7f", id="control-characters"),
    pytest.param("\x1b[2J\x1b]0;owned\x07", id="terminal-escapes"),
    pytest.param("\ufdd0\ufdd1\ufffe\uffff", id="noncharacters"),
    pytest.param("\u2028\u2029\x85\xa0\x0b\x0c\x1c", id="line-separators"),
    pytest.param("caf\u00e9/\u65e5\u672c/\U0001f600.csv", id="not-ascii"),
    pytest.param("\ud800x\udfff", id="surrogates-alone"),
    pytest.param("{{ 7 * 7 }}{% set x = 1 %}{# #}", id="a-template"),
    pytest.param("}}{%", id="ends-of-expressions"),
    pytest.param("{% endraw %}{{ utils }}", id="end-of-raw"),
    pytest.param("}, {", id="braces"),
    pytest.param("<&'>", id="what-html-escapes"),
    pytest.param(" leading and trailing ", id="spaces"),
    pytest.param("a+b%20c%2F", id="what-looks-form-encoded"),
]

KEYS: Final = [str(each.values[0]) for each in HOSTILE]


def event(key: str = KEY, **fields: Any) -> S3Event:
    some: dict[str, Any] = {
        "bucket": "my-bucket",
        "size": 1082,
        "event_time": datetime(2026, 3, 14, 1, 59, 26, tzinfo=tzutc()),
        "event_type": "ObjectCreated:Put",
        "source_ip": ip_address("203.0.113.7"),
        "aws_region": "ap-southeast-2",
        "record": {"eventVersion": "2.1", "s3": {"object": {"key": key}}},
    }
    return S3Event(key=key, **some | fields)


def render(value: Any, key: str = KEY, **options: Any) -> Any:
    return Document(value, **options).render(variables(event(key)))


def text(template: str, key: str = KEY) -> Any:
    """Render one string."""
    return render({"v": template}, key)["v"]


def error(value: Any, key: str = KEY, **options: Any) -> str:
    """Give what the error of rendering says."""
    with pytest.raises(RenderingError) as caught:
        render(value, key, **options)
    return str(caught.value)


class TestVariables:
    """Templates know `bucket`, `key`, `event`, `info` and `utils`."""

    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            pytest.param("{{ bucket }}", "my-bucket", id="bucket"),
            pytest.param("{{ key }}", KEY, id="key"),
            pytest.param("{{ event.eventVersion }}", "2.1", id="event"),
            pytest.param("{{ event.s3.object.key }}", KEY, id="event-nested"),
            pytest.param("{{ event['s3']['object']['key'] }}", KEY, id="event-by-item"),
            pytest.param("{{ info.bucket }}", "my-bucket", id="info-bucket"),
            pytest.param("{{ info.key }}", KEY, id="info-key"),
            pytest.param("{{ info['key'] }}", KEY, id="info-key-by-item"),
            pytest.param("{{ info.size }}", "1082", id="info-size"),
            pytest.param("{{ info.size + 1 }}", "1083", id="info-size-is-a-number"),
            pytest.param(
                "{{ info.event_time }}", "2026-03-14 01:59:26+00:00", id="info-event-time"
            ),
            pytest.param(
                "{{ info.event_time.isoformat() }}", "2026-03-14T01:59:26+00:00", id="iso"
            ),
            pytest.param("{{ info.event_time.strftime('%Y/%m/%d') }}", "2026/03/14", id="strftime"),
            pytest.param("{{ info.event_type }}", "ObjectCreated:Put", id="info-event-type"),
            pytest.param("{{ info.source_ip }}", "203.0.113.7", id="info-source-ip"),
            pytest.param("{{ info.source_ip.version }}", "4", id="info-source-ip-is-an-address"),
            pytest.param("{{ info.aws_region }}", "ap-southeast-2", id="info-aws-region"),
            pytest.param("{{ info|length }}", "7", id="info-has-seven"),
            pytest.param("{{ utils.s3key('b/k') }}", "k", id="utils"),
        ],
    )
    def test_a_variable(self, template: str, expected: str) -> None:
        assert text(template) == expected

    @pytest.mark.parametrize(
        "template",
        [
            pytest.param("{{ nothing }}", id="variable"),
            pytest.param("{{ info.nothing }}", id="element"),
            pytest.param("{{ event['nothing'] }}", id="item"),
            pytest.param("{{ nothing|upper }}", id="filtered"),
            pytest.param("{% for x in nothing %}x{% endfor %}", id="looped-over"),
            pytest.param("{% if nothing %}x{% endif %}", id="tested"),
            pytest.param("{{ 'x' if nothing }}", id="condition-without-else"),
            pytest.param("{{ info.source_ip.nothing }}", id="attribute"),
        ],
    )
    def test_what_is_undefined_renders_as_nothing(self, template: str) -> None:
        assert text(f"<{template}>") == "<>"

    def test_an_element_of_what_is_undefined_is_an_error(self) -> None:
        assert error({"v": "{{ nothing.more }}"}) == "UndefinedError: \"'nothing' is undefined\""

    def test_what_is_none_renders_as_jinja_does(self) -> None:
        document = Document({"v": "{{ info.source_ip }}"})

        assert document.render(variables(event(source_ip=None))) == {"v": "None"}


class TestUtils:
    """`utils` holds the classes and the public names of the modules that lava gives."""

    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            pytest.param("utils.date(2026, 3, 14)", "2026-03-14", id="date"),
            pytest.param(
                "utils.datetime(2026, 3, 14, 1, 59)", "2026-03-14 01:59:00", id="datetime"
            ),
            pytest.param(
                "utils.datetime.strptime('14.3.26', '%d.%m.%y').date()", "2026-03-14", id="strptime"
            ),
            pytest.param("utils.time(1, 59)", "01:59:00", id="time"),
            pytest.param("utils.timedelta(hours=1)", "1:00:00", id="timedelta"),
            pytest.param(
                "info.event_time - utils.timedelta(days=14)",
                "2026-02-28 01:59:26+00:00",
                id="timedelta-subtracted",
            ),
            pytest.param("utils.parsedate('14 March 2026').date()", "2026-03-14", id="parsedate"),
            pytest.param(
                "utils.parsedate.parse('14 March 2026').date()", "2026-03-14", id="parsedate-parse"
            ),
            pytest.param(
                "utils.parsedate('1/2/2026', dayfirst=true).date()", "2026-02-01", id="dayfirst"
            ),
            pytest.param(
                "utils.parsedate.isoparse('2026-03-14').date()", "2026-03-14", id="isoparse"
            ),
            pytest.param(
                "utils.dateutil.parser.parse('2026-03-14').date()", "2026-03-14", id="parser"
            ),
            pytest.param(
                "info.event_time.date() + utils.dateutil.relativedelta.relativedelta(months=1)",
                "2026-04-14",
                id="relativedelta",
            ),
            pytest.param("utils.dateutil.easter.easter(2026)", "2026-04-05", id="easter"),
            pytest.param(
                "info.event_time.astimezone(utils.dateutil.tz.gettz('Australia/Sydney'))",
                "2026-03-14 12:59:26+11:00",
                id="gettz",
            ),
            pytest.param("utils.dateutil.tz.UTC.tzname(none)", "UTC", id="tz-utc"),
            pytest.param(
                "utils.dateutil.rrule.rrule(utils.dateutil.rrule.DAILY, count=2,"
                " dtstart=utils.datetime(2026, 3, 14))|map('string')|map('truncate', 10, true, '')"
                "|join(' ')",
                "2026-03-14 2026-03-15",
                id="rrule",
            ),
            pytest.param("utils.path.basename(key)", "2026-03-14.csv", id="path-basename"),
            pytest.param("utils.path.dirname(key)", "in/orders", id="path-dirname"),
            pytest.param("utils.path.splitext(key)[1]", ".csv", id="path-splitext"),
            pytest.param("utils.path.join('a', 'b')", "a/b", id="path-join"),
            pytest.param("utils.path.normpath('a//b/../c')", "a/c", id="path-normpath"),
            pytest.param("utils.path.sep", "/", id="path-sep"),
            pytest.param(r"utils.re.sub('\d+', '#', key)", "in/orders/#-#-#.csv", id="re-sub"),
            pytest.param(r"utils.re.match('(\w+)/', key).group(1)", "in", id="re-match"),
            pytest.param(r"utils.re.search('(?P<y>\d{4})', key)['y']", "2026", id="re-search"),
            pytest.param(
                r"utils.re.findall('\d\d', key)|join(' ')", "20 26 03 14", id="re-findall"
            ),
            pytest.param("utils.re.split('[/.]', key)[-1]", "csv", id="re-split"),
            pytest.param("utils.re.sub('CSV', 'x', key, flags=utils.re.I)[-1]", "x", id="re-flags"),
            pytest.param("utils.re.compile('c.v').search(key).group()", "csv", id="re-compile"),
            pytest.param("utils.s3bucket('s3://b/k/l')", "b", id="s3bucket"),
            pytest.param("utils.s3key('s3://b/k/l')", "k/l", id="s3key"),
        ],
    )
    def test_a_utility(self, template: str, expected: str) -> None:
        assert text("{{ " + template + " }}") == expected

    @pytest.mark.parametrize("form", ["{}", "s3:{}", "s3://{}", "/{}"])
    @pytest.mark.parametrize(
        ("location", "bucket", "key"),
        [
            pytest.param("b/k", "b", "k", id="bucket-and-key"),
            pytest.param("b/k/l m", "b", "k/l m", id="longer-key"),
            pytest.param("b//k", "b", "/k", id="key-with-a-slash-in-front"),
            pytest.param("b/s3://c/d", "b", "s3://c/d", id="key-that-looks-like-a-location"),
            pytest.param("b/", "b", "", id="no-key"),
            pytest.param("b", "b", "", id="bucket-alone"),
            pytest.param("", "", "", id="nothing"),
        ],
    )
    def test_s3bucket_and_s3key_take_four_forms(
        self, form: str, location: str, bucket: str, key: str
    ) -> None:
        found = render(
            {"b": "{{ utils.s3bucket(key) }}", "k": "{{ utils.s3key(key) }}"}, form.format(location)
        )

        assert found == {"b": bucket, "k": key}

    def test_only_the_slashes_of_the_form_are_taken_off(self) -> None:
        found = render({"b": "{{ utils.s3bucket(key) }}", "k": "{{ utils.s3key(key) }}"}, "s3:///k")

        assert found == {"b": "", "k": "k"}

    def test_uuid_is_a_new_uuid4_each_time(self) -> None:
        found = {text("{{ utils.uuid() }}") for _ in range(3)}

        assert {uuid.UUID(each).version for each in found} == {4}
        assert len(found) == 3


class TestOneTemplate:
    """A map is one template: the JSON text of it, in its order."""

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            pytest.param(
                {"a": "{% set x = key %}", "b": "{{ x }}"}, {"a": "", "b": KEY}, id="set-then-use"
            ),
            pytest.param(
                {"b": "{{ x }}", "a": "{% set x = key %}"}, {"b": "", "a": ""}, id="use-then-set"
            ),
            pytest.param(
                {"{% set x = 'k' %}a": 1, "b": "{{ x }}"}, {"a": 1, "b": "k"}, id="set-in-a-name"
            ),
            pytest.param(
                {"a": ["{% set x = 1 %}", {"b": "{{ x }}"}]}, {"a": ["", {"b": "1"}]}, id="nested"
            ),
            pytest.param(
                {"a": "{% macro m(x) %}<{{ x }}>{% endmacro %}", "b": "{{ m(key) }}"},
                {"a": "", "b": f"<{KEY}>"},
                id="macro",
            ),
            pytest.param(
                {"a{% if false %}": 1, "b{% endif %}": 2},
                {"a": 2},
                id="condition-across-values",
            ),
            pytest.param(
                {"a": "{% if true %}", "b": 1, "c{% endif %}": 2},
                {"a": "", "b": 1, "c": 2},
                id="condition-that-holds-across-values",
            ),
            pytest.param(
                {"a": ["{% for x in [1, 2] %}{{ x }}", "{% endfor %}"]},
                {"a": ["1", "2", ""]},
                id="loop-across-values",
            ),
            pytest.param(
                {"a": "{# from here", "b": 1, "c": "to here #}d"}, {"a": "d"}, id="comment-across"
            ),
            pytest.param(
                {"a": "{% raw %}{{ key }}", "b": "{{ key }}{% endraw %}", "c": "{{ 1 }}"},
                {"a": "{{ key }}", "b": "{{ key }}", "c": "1"},
                id="raw-across-values",
            ),
        ],
    )
    def test_a_statement_reaches_across_values(
        self, value: dict[str, Any], expected: dict[str, Any]
    ) -> None:
        assert render(value) == expected

    def test_names_are_rendered_too(self) -> None:
        assert render({"{{ bucket }}": {"x-{{ info.size }}": "{{ key }}"}}) == {
            "my-bucket": {"x-1082": KEY}
        }

    def test_the_order_is_kept(self) -> None:
        assert list(render({"z": 1, "a": 2, "{{ 'm' }}": 3})) == ["z", "a", "m"]

    def test_documents_do_not_see_each_other(self) -> None:
        known = variables(event())

        Document({"a": "{% set x = 1 %}{{ x }}"}).render(known)

        assert Document({"b": "<{{ x }}>"}).render(known) == {"b": "<>"}

    def test_a_document_does_not_see_what_it_set_before(self) -> None:
        document = Document({"a": "<{{ x }}>", "b": "{% set x = 1 %}"})

        assert document.render(variables(event())) == document.render(variables(event()))

    def test_a_job_id_is_a_template_of_its_own(self) -> None:
        assert render("load-{{ key.split('/')[1] }}") == "load-orders"


class TestText:
    """Text outside of expressions comes out as it is."""

    @pytest.mark.parametrize(
        "written",
        [
            pytest.param('a "quoted" word', id="quotes"),
            pytest.param(r"back\slash \n \u0041 \" \\", id="backslashes"),
            pytest.param("line\nline\r\nline\rtab\t", id="line-ends"),
            pytest.param("\n", id="line-end-alone"),
            pytest.param("".join(map(chr, range(32))), id="control-characters"),
            pytest.param("caf\u00e9 \u65e5\u672c \U0001f600", id="not-ascii"),
            pytest.param("\ufdd0\ufffe\uffff\ud800", id="noncharacters-and-surrogates"),
            pytest.param("{ } {x} %} }} #} { { ", id="lone-braces"),
            pytest.param("<a href='x'>&amp;</a>", id="html"),
            pytest.param("  spaces  ", id="spaces"),
            pytest.param("\u2028\xa0\x85\x0b", id="unicode-spaces"),
            pytest.param("# hash ## %% -", id="what-other-settings-of-jinja-would-take"),
            pytest.param("", id="nothing"),
        ],
    )
    @pytest.mark.parametrize(
        "around",
        [
            pytest.param("{}{{{{ '' }}}}", id="before"),
            pytest.param("{{{{ '' }}}}{}", id="after"),
            pytest.param("{{{{ '' }}}}{}{{{{ '' }}}}", id="between"),
            pytest.param("{{% if true %}}{}{{% endif %}}", id="in-if"),
            pytest.param("{{% raw %}}{}{{% endraw %}}", id="in-raw"),
            pytest.param("{{% set x %}}{}{{% endset %}}{{{{ x }}}}", id="in-set"),
            pytest.param("{{% macro m() %}}{}{{% endmacro %}}{{{{ m() }}}}", id="in-macro"),
            pytest.param(
                "{{% macro m() %}}{{{{ caller() }}}}{{% endmacro %}}"
                "{{% call m() %}}{}{{% endcall %}}",
                id="in-call",
            ),
            pytest.param("{{% filter string %}}{}{{% endfilter %}}", id="in-filter"),
            pytest.param("{{% block b %}}{}{{% endblock %}}", id="in-block"),
            pytest.param("{{# c #}}{}{{# c #}}", id="between-comments"),
        ],
    )
    def test_text_is_kept(self, around: str, written: str) -> None:
        assert text(around.format(written)) == written

    @pytest.mark.parametrize("where", ["name", "value"])
    def test_text_beside_a_template_elsewhere_is_kept(self, where: str) -> None:
        written = 'a "b" \\ \n \u00e9'
        value = {written: "{{ 1 }}"} if where == "name" else {"{{ 1 }}": written}

        assert render(value) == ({written: "1"} if where == "name" else {"1": written})

    @pytest.mark.parametrize("value", [0, -7, 1.5, 10**30, True, False, None, [], {}, [[], [[]]]])
    def test_what_is_no_text_is_kept(self, value: Any) -> None:
        found = render({"a": "{{ 1 }}", "b": value, "c": [value]})

        assert found == {"a": "1", "b": value, "c": [value]}
        assert type(found["b"]) is type(value)


class TestData:
    """What an expression puts out is data, and arrives exactly."""

    @pytest.mark.parametrize(
        "template",
        [
            pytest.param("{{ key }}", id="expression"),
            pytest.param("{{ info.key }}", id="info"),
            pytest.param("{{ event.s3.object.key }}", id="event"),
            pytest.param("{{ key|string }}", id="filter"),
            pytest.param("{{ key|safe }}", id="safe"),
            pytest.param("{{ '' ~ key }}", id="concatenated"),
            pytest.param("{{ '%s' % key }}", id="percent-format"),
            pytest.param("{{ '{}'.format(key) }}", id="str-format"),
            pytest.param("{{ [key]|join }}", id="join"),
            pytest.param("{{ key|list|join }}", id="character-by-character"),
            pytest.param("{% for c in [key] %}{{ c }}{% endfor %}", id="loop"),
            pytest.param("{% set x = key %}{{ x }}", id="set"),
            pytest.param("{% set x %}{{ key }}{% endset %}{{ x }}", id="set-block"),
            pytest.param("{% set x | string %}{{ key }}{% endset %}{{ x }}", id="set-block-filter"),
            pytest.param(
                "{% set n = namespace() %}{% set n.x %}{{ key }}{% endset %}{{ n.x }}",
                id="set-block-of-a-namespace",
            ),
            pytest.param(
                "{% set x %}{% set y %}{{ key }}{% endset %}{{ y }}{% endset %}{{ x }}",
                id="set-block-in-set-block",
            ),
            pytest.param("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(key) }}", id="macro"),
            pytest.param(
                "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(m(m(key))) }}", id="macro-of-macro"
            ),
            pytest.param(
                "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ key }}{% endcall %}",
                id="call",
            ),
            pytest.param(
                "{% macro m() %}{{ caller(key) }}{% endmacro %}"
                "{% call(x) m() %}{{ x }}{% endcall %}",
                id="call-with-argument",
            ),
            pytest.param(
                "{% macro m() %}{% set c = caller() %}{{ c }}{% endmacro %}"
                "{% call m() %}{% filter string %}{{ key }}{% endfilter %}{% endcall %}",
                id="filter-in-call",
            ),
            pytest.param("{% filter string %}{{ key }}{% endfilter %}", id="filter-block"),
            pytest.param(
                "{% filter string %}{% filter string %}{{ key }}{% endfilter %}{% endfilter %}",
                id="filter-in-filter",
            ),
            pytest.param("{% block b %}{{ key }}{% endblock %}", id="block"),
            pytest.param(
                "{% if false %}{% block b %}{{ key }}{% endblock %}{% endif %}{{ self.b() }}",
                id="self-block",
            ),
            pytest.param(
                "{% set x %}{% block b %}{{ key }}{% endblock %}{% endset %}{{ x }}",
                id="block-in-set-block",
            ),
            pytest.param(
                "{% if false %}{% block b scoped %}{% filter string %}{{ key }}{% endfilter %}"
                "{% endblock %}{% endif %}{% set x %}{{ self.b() }}{% endset %}{{ x }}",
                id="filter-in-block-in-set-block",
            ),
            pytest.param("{% for x in [key] recursive %}{{ x }}{% endfor %}", id="recursive-loop"),
            pytest.param(
                "{% for x in [[key]] recursive %}{{ x if x is string else loop(x) }}{% endfor %}",
                id="recursive-loop-twice",
            ),
            pytest.param(
                "{% set y %}{% for x in [key] recursive %}{{ x }}{% endfor %}{% endset %}{{ y }}",
                id="recursive-loop-in-set-block",
            ),
            pytest.param("{% with x = key %}{{ x }}{% endwith %}", id="with"),
            pytest.param("{% if key == info.key %}{{ key }}{% endif %}", id="if"),
            pytest.param("{{ key if true else '' }}", id="inline-if"),
            pytest.param("{{ nothing|default(key) }}", id="default"),
            pytest.param("{%- if true -%}{{- key -}}{%- endif -%}", id="whitespace-control"),
            pytest.param("{% set j = joiner(key) %}{{ j() }}{{ j() }}", id="joiner"),
            pytest.param("{% set c = cycler(key) %}{{ c.next() }}", id="cycler"),
            pytest.param("{{ utils.re.sub('a', 'b', 'a') if false else key }}", id="not-taken"),
        ],
    )
    def test_a_key_arrives_exactly(self, template: str) -> None:
        document = Document({"a": 1, "v": [template, 2], "b": 3})

        for key in KEYS:
            assert document.render(variables(event(key))) == {"a": 1, "v": [key, 2], "b": 3}

    @pytest.mark.parametrize("key", HOSTILE)
    def test_a_key_arrives_exactly_in_a_name(self, key: str) -> None:
        assert render({"a": 1, "{{ key }}": {"{{ key }}": "{{ key }}"}, "b": 2}, key) == {
            "a": 1,
            key: {key: key},
            "b": 2,
        }

    @pytest.mark.parametrize("key", HOSTILE)
    def test_a_key_arrives_exactly_in_a_job_id(self, key: str) -> None:
        assert render("job-{{ key }}", key) == f"job-{key}"

    @pytest.mark.parametrize("key", HOSTILE)
    def test_a_key_arrives_exactly_beside_text(self, key: str) -> None:
        assert text('"\\{{ key }}\\"', key) == f'"\\{key}\\"'

    @pytest.mark.parametrize("key", HOSTILE)
    def test_a_captured_key_has_the_length_it_has(self, key: str) -> None:
        assert text("{% set x %}{{ key }}{% endset %}{{ x|length }}", key) == str(len(key))

    def test_characters_put_out_one_by_one_do_not_make_an_escape(self) -> None:
        assert text("{{ key[0] }}u0041{{ key[0] }}{{ key[0] }}n", "\\") == r"\u0041\\n"

    def test_captured_characters_do_not_make_an_escape(self) -> None:
        assert text("{% set x %}{{ key }}u0041\\n{% endset %}{{ x }}", "\\") == r"\u0041\n"

    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            pytest.param(r"{{ 'C:\tmp' }}", "C:\tmp", id="escape-is-a-tab"),
            pytest.param(r"{{ 'C:\\tmp' }}", r"C:\\tmp", id="a-pair-stays"),
            pytest.param("{{ (key|tojson)[1:-1] }}", r"a\"b", id="tojson-is-not-undone"),
            pytest.param("{{ [key] }}", "['a\"b']", id="text-of-a-list"),
            pytest.param("{{ {'k': key}|tojson }}", r'{"k": "a\"b"}', id="tojson"),
            pytest.param("{{ {'k': key}|xmlattr }}", ' k="a&#34;b"', id="xmlattr"),
            pytest.param("{{ key|e }}", "a&#34;b", id="escape"),
            pytest.param("{{ ['\"', \"'\"] }}", "['\"', \"'\"]", id="both-quotes"),
        ],
    )
    def test_output_is_not_decoded_once_more(self, template: str, expected: str) -> None:
        assert text(template, 'a"b') == expected

    def test_structure_that_was_captured_is_data_from_there_on(self) -> None:
        found = render({"a": "{% set x %}1", "b": "2{% endset %}", "c": "{{ x }}"})

        assert found == {"a": "", "c": '1", "b": "2'}


class TestLiterals:
    """String literals take either kind of quotes, and know four escapes."""

    @pytest.mark.parametrize(
        ("literal", "expected"),
        [
            pytest.param("'/'", "/", id="single"),
            pytest.param('"/"', "/", id="double"),
            pytest.param('"it\'s"', "it's", id="single-in-double"),
            pytest.param("'say \"x\"'", 'say "x"', id="double-in-single"),
            pytest.param("'caf\u00e9 \U0001f600'", "caf\u00e9 \U0001f600", id="not-ascii"),
            pytest.param("'\ufdd0\ufdd1\ufffe'", "\ufdd0\ufdd1\ufffe", id="noncharacters"),
            pytest.param("'a\nb\tc'", "a\nb\tc", id="written-line-end-and-tab"),
            pytest.param("''", "", id="empty"),
            pytest.param("'a' 'b'", "ab", id="side-by-side"),
            pytest.param("'{{ x }}'", "{{ x }}", id="braces"),
            pytest.param("'%}'", "%}", id="end-of-a-statement"),
            pytest.param(r"'\n'", "\n", id="newline"),
            pytest.param(r"'\t'", "\t", id="tab"),
            pytest.param(r"'\r'", "\r", id="return"),
            pytest.param(r"'\u0041'", "A", id="u"),
            pytest.param(r"'\u00e9\u65e5'", "\u00e9\u65e5", id="u-not-ascii"),
            pytest.param(r"'\ud83d\ude00'", "\U0001f600", id="u-pair"),
            pytest.param(r"'\u0000'", "\0", id="u-zero"),
            pytest.param(r"'\u0022'", '"', id="u-quote"),
            pytest.param(r"'\u005c'", "\\", id="u-backslash"),
            pytest.param(r"'\u005cn'", r"\n", id="u-backslash-begins-no-escape"),
            pytest.param(r"'\bword\b'", r"\bword\b", id="b"),
            pytest.param(r"'\d+\s*\w'", r"\d+\s*\w", id="classes"),
            pytest.param(r"'\1\2'", r"\1\2", id="groups"),
            pytest.param(r"'\0'", r"\0", id="zero"),
            pytest.param(r"'\x41'", r"\x41", id="x"),
            pytest.param(r"'\f\v\a'", r"\f\v\a", id="f-v-a"),
            pytest.param(r"'\u'", r"\u", id="u-alone"),
            pytest.param(r"'\u00'", r"\u00", id="u-too-short"),
            pytest.param(r"'\u00zz'", r"\u00zz", id="u-not-hex"),
            pytest.param(r"'\U0001F600'", r"\U0001F600", id="capital-u"),
            pytest.param(r"'\N{DIGIT ONE}'", r"\N{DIGIT ONE}", id="named"),
            pytest.param(r"'\/'", r"\/", id="slash"),
            pytest.param(r"'\.'", r"\.", id="point"),
            pytest.param(r"'\\'", r"\\", id="pair"),
            pytest.param(r"'\\n'", r"\\n", id="pair-begins-no-escape"),
            pytest.param(r"'\\\n'", "\\\\\n", id="pair-and-escape"),
            pytest.param(r"'\\d'", r"\\d", id="pair-and-letter"),
            pytest.param(r"'\''", r"\'", id="quote-inside-keeps-its-backslash"),
            pytest.param(r'"\""', r"\"", id="double-quote-inside-keeps-its-backslash"),
            pytest.param("'\\\n'", "\\\n", id="backslash-before-a-line-end"),
        ],
    )
    def test_a_literal(self, literal: str, expected: str) -> None:
        assert text("{{ " + literal + " }}") == expected
        assert text("{% set x = " + literal + " %}{{ x }}") == expected

    @pytest.mark.parametrize("quote", ["'", '"'])
    def test_either_quote_works_in_every_place(self, quote: str) -> None:
        found = render(
            {"{{ key.split(Q/Q)[0] }}".replace("Q", quote): f"{{{{ {quote}x{quote} }}}}"}
        )

        assert found == {"in": "x"}

    @pytest.mark.parametrize(
        ("call", "expected"),
        [
            pytest.param(r"utils.re.sub('(\w+)/(\w+)', '\2-\1', 'a/b')", "b-a", id="groups"),
            pytest.param(r"utils.re.sub('\bin\b', 'out', 'in inn in')", "out inn out", id="word"),
            pytest.param(r"utils.re.sub('\\', '/', key)", "a/b", id="one-backslash"),
            pytest.param(r"utils.re.split('\n', 'a\nb')|length", "2", id="newline"),
            pytest.param(r"key.split('\u005c')[1]", "b", id="split-at-a-backslash"),
        ],
    )
    def test_regular_expressions_work_as_written(self, call: str, expected: str) -> None:
        assert text("{{ " + call + " }}", "a\\b") == expected


class TestJinja:
    """Everything else is as in Jinja."""

    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            pytest.param("{% for i in range(3) %}{{ i }}{% endfor %}", "012", id="for"),
            pytest.param("{% for i in [] %}x{% else %}none{% endfor %}", "none", id="for-else"),
            pytest.param(
                "{% for i in range(5) if i is odd %}{{ i }}{% endfor %}", "13", id="for-if"
            ),
            pytest.param(
                "{% for i in 'ab' %}{{ loop.index }}{{ i }}{{ ',' if not loop.last }}{% endfor %}",
                "1a,2b",
                id="loop-variable",
            ),
            pytest.param("{% if 1 > 2 %}a{% elif 2 > 1 %}b{% else %}c{% endif %}", "b", id="if"),
            pytest.param("{# nothing #}x{#- nor this -#} y", "xy", id="comments"),
            pytest.param("a {%- if true %} b{% endif %}", "a b", id="control-before"),
            pytest.param("{% if true -%} b{% endif %}", "b", id="control-after"),
            pytest.param("a {{- 'b' -}} c", "abc", id="control-of-an-expression"),
            pytest.param("a {%+ if true +%} b{% endif %}", "a  b", id="control-off"),
            pytest.param("{% raw %}{{ key }}{% endraw %}", "{{ key }}", id="raw"),
            pytest.param("a {%- raw -%} b {%- endraw -%} c", "abc", id="raw-control"),
            pytest.param("{{ '{{' }}", "{{", id="literal-braces"),
            pytest.param("{{ 7 * 7 }} {{ 2 ** 10 }} {{ 7 // 2 }}", "49 1024 3", id="arithmetic"),
            pytest.param("{{ 'ab' * 2 }} {{ [1] * 2 }}", "abab [1, 1]", id="repetition"),
            pytest.param("{{ 'a' ~ 1 ~ none }}", "a1None", id="concatenation"),
            pytest.param("{{ key|upper|replace('IN', 'x')|length }}", "23", id="filters"),
            pytest.param("{{ key is string }} {{ 3 is odd }}", "True True", id="tests"),
            pytest.param(
                "{{ {'a': 1}.a }} {{ [1, 2][1] }} {{ (1, 2)[0] }}", "1 2 1", id="literals"
            ),
            pytest.param(
                "{{ true }} {{ none }} {{ 1.5 }} {{ 1e3 }}", "True None 1.5 1000.0", id="constants"
            ),
            pytest.param("{{ key[3:9] }} {{ key[-3:] }}", "orders csv", id="slices"),
            pytest.param("{% set a, b = 1, 2 %}{{ a }}{{ b }}", "12", id="unpacking"),
            pytest.param(
                "{% set n = namespace(x=0) %}{% for i in range(4) %}{% set n.x = n.x + i %}"
                "{% endfor %}{{ n.x }}",
                "6",
                id="namespace",
            ),
            pytest.param(
                "{% macro m(a, b='c') %}{{ a }}{{ b }}{{ varargs|join }}{% endmacro %}"
                "{{ m(1) }} {{ m(1, 2, 3) }}",
                "1c 123",
                id="macro-arguments",
            ),
            pytest.param("{% filter upper %}a{{ 'b' }}{% endfilter %}", "AB", id="filter-block"),
            pytest.param(
                "{% for x in [1, [2, [3]]] recursive %}"
                "{{ loop(x) if x is not number else x }}{% endfor %}",
                "123",
                id="recursive-loop",
            ),
            pytest.param(
                "{% set d = {'items': 1, 'n': 2} %}"
                "{{ d.items()|list|length }}{{ d['items'] }}{{ d.n }}",
                "212",
                id="methods-of-maps-before-items",
            ),
            pytest.param("{{ {'_a': 1}._a }}{{ {}._a }}{{ {}.b }}", "1", id="items-of-any-name"),
            pytest.param(
                "{% for k in ['a'] %}{{ key.split('/')[0] }}{{ ','.join(['x', k]) }}{% endfor %}",
                "inx,a",
                id="methods-in-a-loop",
            ),
        ],
    )
    def test_a_template(self, template: str, expected: str) -> None:
        assert text(template) == expected

    @pytest.mark.parametrize("space", ["\n", "\r\n", "\t", "\x0b", "\xa0", "\u2028"])
    def test_whitespace_control_removes_only_spaces(self, space: str) -> None:
        """In lava all other white space was escaped before Jinja saw it."""
        assert text(f"a{space} {{%- if true -%}} {space}b{{%- endif -%}}c") == f"a{space}{space}bc"
        assert text(f"a{space} {{{{- 'b' -}}}} {space}c") == f"a{space}b{space}c"
        assert text(f"a{space} {{#- x -#}} {space}b") == f"a{space}{space}b"
        assert text(f"{{%- raw -%}} {space}a{space} {{%- endraw -%}} {space}b") == (
            f"{space}a{space}{space}b"
        )

    @pytest.mark.parametrize("space", ["\n", "\r\n", "\t", " \n "])
    def test_expressions_may_run_over_lines(self, space: str) -> None:
        written = "{%@if@true@%}{{@key@|@upper@}}{%@endif@%}".replace("@", space)

        assert text(written, "k") == "K"


class TestReservedNames:
    """No name of a global begins with lava, but where the entry says so."""

    @pytest.mark.parametrize(
        "name",
        [
            "lava",
            "lava_",
            "lava_realm",
            "LAVA_X",
            "Lava",
            "lAvA.x",
            "lavatory",
            "lava\u00e9",
            'lava"',
        ],
    )
    @pytest.mark.parametrize(
        "template",
        [
            pytest.param("{{ key }}", id="alone"),
            pytest.param("{{ key[:2] }}{{ key[2:] }}", id="in-pieces"),
            pytest.param("{% set x %}{{ key }}{% endset %}{{ x }}", id="captured"),
            pytest.param("{% if false %}lava{% endif %}{{ key }}", id="after-nothing"),
            pytest.param("{# lava #}{{ key }}", id="after-a-comment"),
            pytest.param("{% raw %}{% endraw %}{{ key }}", id="after-raw"),
        ],
    )
    def test_a_key_cannot_make_one(self, template: str, name: str) -> None:
        said = error({"a": 1, template: "x"}, name, is_globals=True)

        assert said == f"it makes a global {name!a}, and lava begins those of lava's own"

    @pytest.mark.parametrize(
        ("value", "key"),
        [
            pytest.param({"l{{ key }}": 1}, "ava_x", id="letter-before"),
            pytest.param({"{{ key }}va_x": 1}, "la", id="letters-after"),
            pytest.param({"{{ key }}lava_x": 1}, "", id="nothing-before"),
            pytest.param({"{% if true %}lava_x{% endif %}": 1}, "", id="in-a-condition"),
            pytest.param({"{% raw %}lava_x{% endraw %}": 1}, "", id="in-raw"),
            pytest.param(
                {"{{ key }}{% if false %}": 1, "x{% endif %}": 1}, "lava", id="across-values"
            ),
        ],
    )
    def test_one_that_rendering_made_is_an_error(self, value: dict[str, Any], key: str) -> None:
        assert "lava begins those of lava's own" in error(value, key, is_globals=True)

    @pytest.mark.parametrize("name", ["lava", "lava_x", "LAVA_REALM", "Lava", "lavatory"])
    def test_one_that_is_written_is_passed_on(self, name: str) -> None:
        value = {name: "{{ key }}", "a": "{{ bucket }}"}

        assert render(value, is_globals=True) == {name: KEY, "a": "my-bucket"}

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            pytest.param("lava_{{ bucket }}", "lava_my-bucket", id="in-the-middle"),
            pytest.param("lava{{ key }}", "lavak", id="right-after"),
            pytest.param("Lava_{{ key }}_x", "Lava_k_x", id="other-case"),
            pytest.param("lava{% if false %}x{% endif %}", "lava", id="statement"),
            pytest.param("lava{# x #}y", "lavay", id="comment"),
        ],
    )
    def test_one_that_is_written_may_go_on_with_a_template(self, name: str, expected: str) -> None:
        assert render({name: 1}, "k", is_globals=True) == {expected: 1}

    def test_one_that_is_written_does_not_let_a_key_pass(self) -> None:
        value = {"lava_x": "mine", "{{ key }}": "forged"}

        assert "it makes a global 'lava_x'" in error(value, "lava_x", is_globals=True)

    def test_one_that_is_written_is_passed_on_without_any_template(self) -> None:
        assert render({"lava_x": 1, "LAVA": {"lava": 2}}, is_globals=True) == {
            "lava_x": 1,
            "LAVA": {"lava": 2},
        }

    def test_one_that_is_written_is_passed_on_where_jinja_is_off(self) -> None:
        assert render({"lava_{{ key }}": 1}, is_globals=True, jinja=False) == {"lava_{{ key }}": 1}

    def test_values_and_inner_names_may_be_any(self) -> None:
        value = {
            "a": "{{ key }}",
            "b": {"{{ key }}": "{{ key }}", "lava_y": "lava"},
            "c": [{"{{ key }}": 1, "LAVA": 2}],
            "lava": {"lava": "lava"},
        }

        assert render(value, "lava_x", is_globals=True) == {
            "a": "lava_x",
            "b": {"lava_x": "lava_x", "lava_y": "lava"},
            "c": [{"lava_x": 1, "LAVA": 2}],
            "lava": {"lava": "lava"},
        }

    def test_parameters_may_hold_any_name(self) -> None:
        assert render({"{{ key }}": 1, "lava_y": 2}, "lava_x") == {"lava_x": 1, "lava_y": 2}

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

    @pytest.mark.parametrize(
        ("before", "behind"),
        [
            pytest.param("{% set x %}", "{% endset %}{{ x }}", id="set"),
            pytest.param("{% macro m() %}", "{% endmacro %}{{ m() }}", id="macro"),
            pytest.param("{% block b %}", "{% endblock %}{{ self.b() }}", id="block"),
            pytest.param("{% filter upper|lower %}", "{% endfilter %}", id="filter"),
            pytest.param(
                "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}",
                "{% endcall %}",
                id="call",
            ),
            pytest.param("{% for a in [1] recursive %}", "{% endfor %}", id="loop"),
        ],
    )
    def test_what_tells_written_ones_apart_is_no_data(self, before: str, behind: str) -> None:
        found = render({"a": before, "lava_b": f"v{behind}"}, is_globals=True)

        assert RESERVED_MARK not in json.dumps(found)
        assert "lava_b" in json.dumps(found)


class TestAsItStands:
    """With `jinja` false, or without a template in it, a value renders as it stands."""

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param({"a": "{{ key }}", "{{ b }}": ["{% x", "{#"]}, id="templates"),
            pytest.param({"a": "{{ unclosed"}, id="what-is-no-template"),
            pytest.param("{{ key }}", id="job-id"),
        ],
    )
    def test_with_jinja_false(self, value: Any) -> None:
        assert render(value, jinja=False) is value

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param("load", id="job-id"),
            pytest.param({"a": ["b", 1, None, {"c": 'd"\\\n'}]}, id="map"),
            pytest.param({"a": "}} %} #} { } {x} %"}, id="ends-alone"),
            pytest.param({"a": {"b": {"c": {}}}, "d": [[{}]]}, id="braces-of-its-own"),
            pytest.param({"a{": "{b", "c": "{", "d": "%}"}, id="marks-across-values"),
            pytest.param({}, id="empty"),
        ],
    )
    def test_without_a_template(self, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(TemplateEnvironment, "lex", lambda *_: pytest.fail("it was compiled"))

        assert render(value) is value


class TestCompiling:
    """A template is compiled once for as long as its document is kept."""

    def test_it_is_compiled_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compiled: list[str] = []
        compiling = TemplateEnvironment.compile

        def counted(self: Any, source: Any, *args: Any, **options: Any) -> Any:
            compiled.append(source)
            return compiling(self, source, *args, **options)

        monkeypatch.setattr(TemplateEnvironment, "compile", counted)
        document = Document({"a": "{{ key }}", "b": "{{ bucket }}"})
        assert compiled == []

        found = [document.render(variables(event(key))) for key in ("x", "y", "z")]

        assert [each["a"] for each in found] == ["x", "y", "z"]
        assert len(compiled) == 1

    def test_nothing_is_evaluated_when_it_is_compiled(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Constants, too, are worked out within the bounds of rendering."""
        asked: list[str] = []
        monkeypatch.setitem(rendering._environment().filters, "upper", asked.append)  # noqa: SLF001 - it is shared

        with pytest.raises(RenderingError):
            Document({"a": "{{ 'x'|upper }}{{ 1|nofilter }}"}).render(variables(event()))

        assert asked == []

    def test_what_cannot_be_compiled_is_tried_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compiled: list[str] = []
        compiling = TemplateEnvironment.lex

        def counted(self: Any, source: Any, *args: Any, **options: Any) -> Any:
            compiled.append(source)
            return compiling(self, source, *args, **options)

        monkeypatch.setattr(TemplateEnvironment, "lex", counted)
        document = Document({"a": "{{ key"})

        said = set()
        for _ in range(3):
            with pytest.raises(RenderingError) as caught:
                document.render(variables(event()))
            said.add(str(caught.value))

        assert len(said) == 1
        assert len(compiled) == 1

    def test_what_is_rendered_is_each_time_its_own(self) -> None:
        document = Document({"a": ["{{ key }}"]})

        first, second = (document.render(variables(event())) for _ in range(2))
        first["a"].append("changed")

        assert second == {"a": [KEY]}


class TestErrors:
    """What cannot be rendered is an error that says what happened, on one line of ASCII."""

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            pytest.param(
                {"v": "{{ key"},
                "it cannot be compiled: TemplateSyntaxError: 'unexpected char ",
                id="expression-not-ended",
            ),
            pytest.param(
                {"v": "{% if key %}"},
                'it cannot be compiled: TemplateSyntaxError: "Unexpected end of template.',
                id="statement-not-ended",
            ),
            pytest.param(
                {"v": "{% nonsense %}"},
                "it cannot be compiled: TemplateSyntaxError: \"Encountered unknown tag 'nonsense'.",
                id="no-such-statement",
            ),
            pytest.param(
                {"v": "{{ key|nonsense }}"},
                "it cannot be compiled: TemplateAssertionError: \"No filter named 'nonsense'.",
                id="no-such-filter",
            ),
            pytest.param(
                {"v": "{{ 1 is nonsense }}"},
                "it cannot be compiled: TemplateAssertionError: \"No test named 'nonsense'.",
                id="no-such-test",
            ),
            pytest.param(
                {"v": "{# key"},
                "it cannot be compiled: TemplateSyntaxError: 'Missing end of comment tag",
                id="comment-not-ended",
            ),
            pytest.param(
                {"v": "{% raw %}"},
                "it cannot be compiled: TemplateSyntaxError: 'Missing end of raw directive",
                id="raw-not-ended",
            ),
            pytest.param(
                {"v": "{{ nothing.more }}"},
                "UndefinedError: \"'nothing' is undefined\"",
                id="undefined",
            ),
            pytest.param(
                {"v": "{{ nothing() }}"}, "UndefinedError: \"'nothing' is undefined\"", id="call"
            ),
            pytest.param({"v": "{{ 1 / 0 }}"}, "ZeroDivisionError: 'division by zero'", id="zero"),
            pytest.param({"v": "{{ 1 + 'a' }}"}, "TypeError: ", id="type"),
            pytest.param({"v": "{{ utils.date(1, 2) }}"}, "TypeError: ", id="arguments"),
            pytest.param(
                {"v": "{{ utils.date(0, 1, 1) }}"},
                "ValueError: 'year 0 is out of range'",
                id="value",
            ),
            pytest.param(
                {"v": "{{ utils.parsedate('nonsense') }}"}, "ParserError: ", id="parsedate"
            ),
            pytest.param({"v": "{% include 'x' %}"}, "TypeError: 'no loader", id="include"),
            pytest.param(
                {"v{% if false %}": 1, "w": "{% endif %}"},
                "what it renders to is not JSON: Expecting ':' delimiter",
                id="not-json",
            ),
            pytest.param(
                {"v": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"},
                "RecursionError: 'maximum recursion depth exceeded",
                id="endless-recursion",
            ),
        ],
    )
    def test_the_message_says_what_happened(self, value: dict[str, Any], expected: str) -> None:
        assert error(value).startswith(expected)

    @pytest.mark.parametrize("key", HOSTILE)
    def test_the_message_is_one_line_of_ascii(self, key: str) -> None:
        said = error({"v": "{{ utils.parsedate(key ~ 'nonsense') }}"}, key)

        assert said.isascii()
        assert said.isprintable()

    def test_the_message_is_not_long(self) -> None:
        assert len(error({"v": "{{ utils.parsedate(key) }}"}, "nonsense" * 1000)) < 500

    def test_an_error_of_one_event_is_not_one_of_the_next(self) -> None:
        document = Document({"v": "{{ 1 // key|int }}"})

        with pytest.raises(RenderingError):
            document.render(variables(event("0")))

        assert document.render(variables(event("1"))) == {"v": "1"}

    @pytest.mark.parametrize(
        ("value", "found"),
        [
            pytest.param("{# #}", "''", id="nothing"),
            pytest.param("{{ '' }}", "''", id="empty"),
        ],
    )
    def test_a_job_id_may_render_to_anything(self, value: str, found: str) -> None:
        assert repr(render(value)) == found


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

    def test_text_of_the_author_may_be_as_long(self) -> None:
        assert len(text("{{ '' }}" + "x" * 100_000)) == 100_000

    @pytest.mark.parametrize(
        "template",
        [
            pytest.param("{{ ('x' * N)|length }}", id="expression"),
            pytest.param("{% set x %}{{ 'x' * (N - 1) }}x{% endset %}{{ x|length }}", id="set"),
            pytest.param(
                "{% macro m() %}{{ 'x' * (N - 1) }}x{% endmacro %}{{ m()|length }}", id="macro"
            ),
            pytest.param(
                "{% filter length %}{{ 'x' * (N - 1) }}x{% endfilter %}", id="filter-block"
            ),
            pytest.param(
                "{% macro m() %}{{ caller()|length }}{% endmacro %}"
                "{% call m() %}{{ 'x' * (N - 1) }}x{% endcall %}",
                id="call-block",
            ),
            pytest.param(
                "{% if false %}{% block b %}{{ 'x' * (N - 1) }}x{% endblock %}{% endif %}"
                "{{ self.b()|length }}",
                id="block",
            ),
            pytest.param("{{ ('x' * (N - 1) ~ 'x')|length }}", id="concatenation"),
            pytest.param("{{ ('x' * (N - 1) + 'x')|length }}", id="addition"),
            pytest.param("{{ ('%Ns' % 'x')|length }}", id="format"),
            pytest.param("{{ 'x'.center(N)|length }}", id="method"),
            pytest.param("{{ ('x'|center(N))|length }}", id="filter"),
            pytest.param("{{ ('x'.encode() * N)|length }}", id="bytes"),
        ],
    )
    def test_a_value_has_at_most_so_much_text(self, template: str) -> None:
        assert text(template.replace("N", str(MAX_CHARACTERS))) == str(MAX_CHARACTERS)
        assert error({"v": template.replace("N", str(MAX_CHARACTERS + 1))}) == (
            f"the value of this expression has {MAX_CHARACTERS + 1} characters,"
            f" more than {MAX_CHARACTERS}"
        )

    @pytest.mark.parametrize(
        "template",
        [
            pytest.param("{{ (1,) * N }}", id="tuple"),
            pytest.param("{{ [1] * N }}", id="list"),
            pytest.param("{{ range(N) }}", id="range"),
            pytest.param("{{ ([1] * 1000 + [1] * (N - 1000)) }}", id="addition"),
            pytest.param("{{ ['a'] + 'x'.join(['a'] * N).split('x')[1:] }}", id="method"),
            pytest.param("{{ ('a' * N)|list }}", id="filter"),
            pytest.param("{{ ('a' * N)|map('upper') }}", id="generator"),
            pytest.param("{{ [[1] * (N - 1)] }}", id="nested"),
            pytest.param("{% set a = [1] * (N // 2 - 1) %}{{ [a, a] }}", id="shared"),
            pytest.param("{{ dict.fromkeys(range(N // 2)) }}", id="map"),
            pytest.param(
                "{% set a = [] %}{% for i in range(N) %}{% set _ = a.append(i) %}{% endfor %}",
                id="changed",
            ),
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

    def test_numbers_that_anyone_needs_are_not_too_large(self) -> None:
        assert text("{{ 2 ** 4096 == 2 ** 2048 * 2 ** 2048 }}") == "True"


def nested(depth: int) -> Any:
    """Make lists in each other, each with something beside the next."""
    value: Any = 1
    for _ in range(depth):
        value = [value, 1]
    return value


class TestGiven:
    """What goes in is weighed too; the event, only where a template names it."""

    @pytest.mark.parametrize("name", ["bucket", "key", "event_type", "aws_region"])
    def test_text_that_is_too_long_is_an_error(self, name: str) -> None:
        of = event(**{name: "x" * (MAX_CHARACTERS + 1)})

        with pytest.raises(RenderingError, match=rf"^{name} has 16385 characters, more than 16384"):
            Document("{{ 1 }}").render(variables(of))
        assert Document("plain").render(variables(of)) == "plain"

    @pytest.mark.parametrize(
        ("record", "reason"),
        [
            pytest.param({"a": nested(9000)}, "event is nested more than 50 deep", id="deep"),
            pytest.param({"a": [0] * 3000}, "event has more than 2000 members", id="many"),
            pytest.param(
                {"a": "x" * 20000}, "event has 20000 characters, more than 16384", id="long"
            ),
        ],
    )
    def test_so_is_an_event_that_a_template_names(
        self, record: dict[str, Any], reason: str
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
            pytest.param(
                "{% set p = [] %}{% for x in 'ab' %}{% set _ = p.append(x) %}{% endfor %}{{ p }}",
                "['a', 'b']",
                id="append",
            ),
            pytest.param("{% set p = [1] %}{{ p.extend([2]) }}{{ p }}", "None[1, 2]", id="extend"),
            pytest.param(
                "{% set p = key.split('/') %}{{ p.pop() }}{{ p }}", "3['1', '2']", id="pop"
            ),
            pytest.param("{% set p = [2, 1] %}{{ p.sort() or p }}", "[1, 2]", id="sort"),
            pytest.param(
                "{% set p = [2, 1] %}{{ p.sort(reverse=true) or p }}", "[2, 1]", id="sort-reverse"
            ),
            pytest.param("{% set p = [1, 2] %}{{ p.reverse() or p }}", "[2, 1]", id="reverse"),
            pytest.param("{% set p = [1, 2] %}{{ p.insert(0, 0) or p }}", "[0, 1, 2]", id="insert"),
            pytest.param("{% set p = [1, 2] %}{{ p.remove(1) or p }}", "[2]", id="remove"),
            pytest.param("{% set p = [1, 2] %}{{ p.clear() or p }}", "[]", id="clear"),
            pytest.param("{% set d = {} %}{{ d.update(a=1) or d }}", "{'a': 1}", id="update"),
            pytest.param("{% set d = {'a': 1} %}{{ d.pop('a') }}{{ d }}", "1{}", id="map-pop"),
            pytest.param("{% set d = {'a': 1} %}{{ d.popitem() }}", "('a', 1)", id="popitem"),
            pytest.param(
                "{% set d = {} %}{% for x in 'aba' %}{% set _ = d.setdefault(x, []).append(x) %}"
                "{% endfor %}{{ d }}",
                "{'a': ['a', 'a'], 'b': ['b']}",
                id="setdefault",
            ),
            pytest.param(
                "{% set n = namespace(p=[]) %}{% set _ = n.p.append(1) %}{{ n.p }}",
                "[1]",
                id="of-a-namespace",
            ),
            pytest.param("{% set p = [[]] %}{{ p[0].append(1) or p }}", "[[1]]", id="nested"),
            pytest.param("{% set p = [] %}{{ (p|attr('append'))(1) or p }}", "[1]", id="by-attr"),
            pytest.param("{% set p = [] %}{{ p['append'](1) or p }}", "[1]", id="by-item"),
            pytest.param("{% set i = dict(info) %}{{ i.pop('key') }}", "1/2/3", id="a-copy"),
            pytest.param("{% set p = event.l|list %}{{ p.append(1) or p }}", "[0, 1]", id="copied"),
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


class TestLikeLava:
    """What dispatches under lava's function dispatches the same here."""

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param({"bucket": "{{bucket}}", "key": "{{key}}"}, id="as-in-the-docs"),
            pytest.param(
                {
                    "env": {
                        "IP": "{{info.source_ip}}",
                        "EVENT_TIME": "{{info.event_time.isoformat()}}",
                        "N": 1,
                    },
                    "args": ["-f", "{{ utils.path.basename(key) }}", 7, None, True, 1.5],
                },
                id="nested",
            ),
            pytest.param({"a-{{ bucket }}": "{{ key.split('/')[0] }}"}, id="names"),
            pytest.param(
                {"a": "{% set p = key.split('/') %}{{ p[0] }}", "b": "{{ p[-1] }}"}, id="set"
            ),
            pytest.param({"a": 'x\ny\t{{ key }} "q" \\ \u00e9 \''}, id="text"),
            pytest.param(
                {"a": "{%- for x in key.split('/') %} {{ x }}, {%- endfor %}"}, id="whitespace"
            ),
            pytest.param(
                {"a": "{% set x %}{{ key }}{% endset %}{{ x|upper }}", "b": "{# c #}"},
                id="captured",
            ),
        ],
    )
    def test_an_entry(self, value: dict[str, Any]) -> None:
        known = variables(event())
        of_lava = json.loads(
            Environment(autoescape=False).from_string(json.dumps(value)).render(known),
            strict=False,
        )

        assert Document(value).render(known) == of_lava

    def test_numbers_of_the_table_are_those_of_the_dispatch(self) -> None:
        """DynamoDB's decimals are made integers or floats before they get here."""
        with pytest.raises(TypeError):
            Document({"a": Decimal(1), "b": "{{ 1 }}"})
