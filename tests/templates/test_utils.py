"""What templates know as `utils`, and what the functions in it leave behind."""

import re
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any, Final

import pytest

from lava_s3trigger.templates import patterns
from lava_s3trigger.templates.documents import Document
from lava_s3trigger.templates.limits import run_bounded
from lava_s3trigger.templates.patterns import MAX_CACHED_BYTES, MAX_PATTERN_CHARACTERS
from lava_s3trigger.templates.utils import UTILS
from tests.tables import cases
from tests.templates.test_documents import error, text


class TestMembers:
    """`utils` has these members, whatever another version of Python or dateutil adds."""

    PATH: Final = """
        altsep basename commonpath commonprefix curdir defpath devnull dirname extsep isabs join
        normcase normpath pardir pathsep relpath sep split splitdrive splitext
        supports_unicode_filenames
        """
    RE: Final = """
        A ASCII DOTALL I IGNORECASE L LOCALE M MULTILINE Match NOFLAG Pattern RegexFlag S U UNICODE
        VERBOSE X compile error escape findall finditer fullmatch match search split sub subn
        """

    def test_utils(self) -> None:
        assert sorted(UTILS) == (
            "date datetime dateutil parsedate path re s3bucket s3key time timedelta uuid".split()  # noqa: SIM905
        )

    @pytest.mark.parametrize(("of", "names"), [("path", PATH), ("re", RE)])
    def test_its_names(self, of: str, names: str) -> None:
        assert set(vars(UTILS[of])) == set(names.split())

    @pytest.mark.parametrize("of", ["easter", "parser", "relativedelta", "rrule", "tz", "utils"])
    def test_dateutil(self, of: str) -> None:
        members = vars(getattr(UTILS["dateutil"], of))
        assert len(members) >= 3
        assert not any(isinstance(member, types.ModuleType) for member in members.values())

    @pytest.mark.parametrize("of", ["os", "zoneinfo", "_common", "sys"])
    def test_dateutil_has_no_others(self, of: str) -> None:
        assert not hasattr(UTILS["dateutil"], of)


class TestRegularExpressions:
    """Functions of `re` are as in Python, for patterns that are not too long."""

    @pytest.mark.parametrize(
        ("call", "expected"),
        [
            *(("findall('B', 'abab', 2)", ["b", "b"]), ("findall('b', string='abab')", ["b", "b"])),
            *(("match('b', 'abab')", None), ("split('b', 'abab', 1)", ["a", "ab"])),
            ("split('B', 'abab', maxsplit=1, flags=2)", ["a", "ab"]),
            *(("split('B', 'abab', 1, 2)", ["a", "ab"]), ("sub('b', 'c', 'abab')", "acac")),
            *(("sub('b', 'c', 'abab', 1)", "acab"), ("sub('B', 'c', 'abab', 1, 2)", "acab")),
            ("sub('B', repl='c', string='abab', count=1, flags=2)", "acab"),
            ("sub(pattern='B', repl='c', string='abab', flags=2)", "acac"),
            *(("subn('(b)', r'[\\1]', 'ab')", ("a[b]", 1)), ("sub(compile('b'), 'c', 'ab')", "ac")),
            ("search(compile('b'), 'ab').span()", (1, 2)),
            *(("fullmatch('a.', 'ab').group()", "ab"), ("findall(b'b', b'ab')", [b"b"])),
            ("[m.group() for m in finditer('.b', 'abab')]", ["ab", "ab"]),
            *(("compile('B', I).findall('ab')", ["b"]), ("RegexFlag(2)", re.IGNORECASE)),
        ],
    )
    @pytest.mark.filterwarnings("ignore:.* positional argument:DeprecationWarning")
    def test_it_agrees_with_python(self, call: str, expected: Any) -> None:
        assert eval(call, dict(vars(re))) == expected
        assert eval(call, dict(vars(UTILS["re"]))) == expected

    def test_a_pattern_given_with_flags_is_an_error_as_in_python(self) -> None:
        with pytest.raises(ValueError, match="flags"):
            UTILS["re"].sub(re.compile("b"), "c", "ab", flags=re.IGNORECASE)

    @pytest.mark.parametrize(
        "template",
        [
            "utils.re.compile('x' * N).pattern",
            "utils.re.search('x' * N, 'x' * N).group()",
            "utils.re.search(('x' * N).encode(), ('x' * N).encode()).group().decode()",
            "utils.re.sub('a', '\\\\' * (N // 2), 'a') * 2",
            "utils.re.compile('a').sub('\\\\' * (N // 2), 'a') * 2",
            "utils.re.match('a', 'a').expand('\\\\' * (N // 2)) * 2",
            "utils.datetime.strptime('x' * N, 'x' * N).year|string * (N // 4)",
        ],
    )
    def test_a_pattern_has_at_most_so_many_characters(self, template: str) -> None:
        longest = MAX_PATTERN_CHARACTERS
        written = "{{ (" + template + ")|length }}"

        assert int(text(written.replace("N", str(longest)))) >= longest
        assert f"has {longest + 2} characters, more than {longest}" in error(
            {"v": written.replace("N", str(longest + 2))}
        )

    def test_a_replacement_that_is_kept_by_nobody_may_be_longer(self) -> None:
        assert text("{{ utils.re.sub('a', 'x' * 9999, 'a')|length }}") == "9999"

    def test_a_pattern_is_compiled_once(self) -> None:
        assert UTILS["re"].compile("once") is UTILS["re"].compile("once", 0)

    @cases(
        "use",
        {
            "patterns": lambda n: UTILS["re"].compile(
                f"[{chr(300 + n)}a\uffff{chr(999 + n)}]" * 100, re.IGNORECASE
            ),
            "replacements": lambda n: text(
                f"{{{{ utils.re.sub('(a)', '\\1' * 500 ~ '-' ~ {n}, 'a') }}}}"
            ),
        },
    )
    def test_what_is_kept_is_bounded(
        self, use: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(patterns, "MAX_CACHED_BYTES", MAX_CACHED_BYTES // 10)

        for n in range(60):
            use(n)

        kept = sum(sys.getsizeof(pattern) for pattern in patterns._compiled.values())  # noqa: SLF001 - what is asked for
        assert kept <= MAX_CACHED_BYTES // 10 + 200_000
        assert len(re._cache) < 60  # type: ignore[attr-defined] # noqa: SLF001

    def test_flags_that_there_are_not_leave_nothing(self) -> None:
        before = len(re.RegexFlag._value2member_map_)
        text("{{ utils.re.RegexFlag(2 ** 77) }}{{ utils.re.compile('a', 2 ** 78).flags }}")
        assert len(re.RegexFlag._value2member_map_) == before


@pytest.mark.parametrize(
    "template",
    [
        "{{ utils.parsedate('10:00 ' ~ key) }}",
        "{{ utils.dateutil.parser.parser().parse('10:00 ' ~ key) }}",
        "{{ utils.dateutil.tz.tzstr('GMT0' ~ key ~ ',3,0,30,3600,10,0,26,7200') }}",
        "{{ utils.re.compile('[[' ~ key ~ ']') }}",
        "{{ utils.re.compile('x' * key|length ~ '[[' ~ key ~ '||]') }}",
        "{{ utils.datetime.strptime('14', '%d') }}{{ utils.datetime.utcnow() }}",
        "{{ utils.dateutil.relativedelta.relativedelta(day=1.5) }}",
        "{{ utils.dateutil.rrule.rrule(3, count=1, until=utils.datetime.now()) }}",
        "{{ [1[0:1] if key == '' else 1] }}",
    ],
)
def test_a_warning_leaves_nothing_and_prints_nothing(template: str) -> None:
    def kept() -> int:
        return sum(len(vars(m).get("__warningregistry__", ())) for m in [*sys.modules.values()])

    def render(key: str) -> None:
        document = Document({"v": template})  # one of its own, which is compiled
        run_bounded(lambda: document.render({"key": key, "utils": UTILS}))

    render("AAAAA")
    before = kept()
    with warnings.catch_warnings(record=True, action="default") as seen:
        for letter in "BCDEFGHIJKLMNOPQRSTUVWXYZ":
            render("AAAA" + letter)

    assert seen == []
    # One module may have got a registry, which has the version of the filters in it.
    assert kept() <= before + 1


class TestEncodings:
    """Text is encoded in some encodings; Python never forgets a name."""

    @pytest.mark.parametrize(
        "name", ["utf-8", "UTF-8", "utf8", "utf_8", "latin-1", "ascii", "utf-16", "iso-8859-1"]
    )
    def test_it_is(self, name: str) -> None:
        assert text("{{ 'a'.encode('NAME').decode('NAME') }}".replace("NAME", name)) == "a"

    def test_by_default_it_is_utf_8(self) -> None:
        written = "{{ '\\u00e9'.encode().hex() }}{{ '\\u00e9'.encode().decode() }}"
        assert text(written) == "c3a9\u00e9"

    @pytest.mark.parametrize("name", ["idna", "punycode", "hex", "utf-7", "x" * 10000, "..", ""])
    def test_by_another_name_it_is_an_error(self, name: str) -> None:
        assert "unknown encoding" in error({"v": "{{ 'a'.encode('" + name + "') }}"})
        assert "unknown encoding" in error({"v": "{{ 'a'.encode().decode('" + name + "') }}"})
