"""Our own tools, where no run of them shows what they do with what is bad."""

from typing import Any, Final

import pytest

from tests.test_template import TEMPLATE, TEXT, _read
from tools.audit import report
from tools.checkov import with_all_parts
from tools.prose import read_words

GOOD: Final = {"name": "good", "version": "1", "vulns": []}
UNKNOWN: Final = {"name": "new", "version": "4", "skip_reason": "not found"}
VULNERABILITY: Final = {"id": "PYSEC-2026-1", "fix_versions": ["3"]}
BAD: Final = {"name": "bad", "version": "2", "vulns": [VULNERABILITY]}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([GOOD], 0, "audited 1 packages: no known vulnerability"),
        ([UNKNOWN, BAD], 1, "bad 2: PYSEC-2026-1, fixed in 3"),
        ([GOOD, UNKNOWN], 0, "NOT AUDITED, unknown to the"),
        ([UNKNOWN], 0, "AUDIT SKIPPED"),
        (None, 0, "AUDIT SKIPPED"),
    ],
    ids=["good", "bad and unknown", "unknown", "all unknown", "unreachable"],
)
def test_the_audit_fails_on_a_known_vulnerability(
    capsys: pytest.CaptureFixture[str], packages: Any, status: int, said: str
) -> None:
    assert report(packages) == status
    assert said in capsys.readouterr().out


def test_checkov_sees_every_part_of_the_template_and_each_skip_has_a_reason() -> None:
    conditions: dict[str, Any] = _read(with_all_parts(TEXT))["Conditions"]
    assert conditions.keys() == TEMPLATE["Conditions"].keys()
    assert all(each == {"Fn::Equals": ["", ""]} for each in conditions.values())
    for resource in TEMPLATE["Resources"].values():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", ()):
            assert skip["comment"].endswith("."), skip


WORD: dict[str, Any] = {"find": "come to|anew", "write": "result in, again"}
CODE = '''\
"""Started anew."""
# What it may come
# to.
LIMIT = 1
"""Counted anew."""
for each in range(LIMIT):
    print("It began anew:", each, "anew")
'''


def search(file: str, source: str, **entry: Any) -> tuple[list[tuple[int, str, str]], list[str]]:
    """Return the hits, and the failures, with a list of one word."""
    words = read_words({"variables": ["each"], "pending": (), "words": [WORD | entry]})
    hits = list(words.hits(file, source))
    return [(hit.line, hit.kind, hit.word) for hit in hits], list(words.failures(hits))


def test_every_kind_of_text_of_a_module_is_searched() -> None:
    hits, failures = search("lava_s3trigger/module.py", CODE)
    assert sorted(hits) == [
        (1, "docstring", "anew"),
        (2, "comment", "come to"),
        (5, "docstring", "anew"),
        (6, "variable", "each"),
        (7, "message", "anew"),
    ]
    assert "lava_s3trigger/module.py:1: docstring: 'anew': write 'result in, again'" in failures


@pytest.mark.parametrize(
    ("place", "failure"),
    [
        pytest.param({"in": "tests/*", "line": "Started"}, None, id="its line"),
        pytest.param({"in": "tests/*", "line": "Ended"}, "remove the place", id="another line"),
        pytest.param({"in": "tools/*"}, "remove the place", id="another file"),
    ],
)
def test_a_word_stays_only_where_it_is_allowed(place: dict[str, str], failure: str | None) -> None:
    _, failures = search("tests/test_it.py", '"""Started anew."""\n', allow=[place])
    assert any(failure in line for line in failures) if failure else not failures
