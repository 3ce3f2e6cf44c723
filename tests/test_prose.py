"""The check of words: what it finds, and what it leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from tools.prose import read_words

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
    document = {"variables": ["each"], "pending": entry.pop("pending", ())}
    words = read_words(document | {"words": [WORD | entry]})
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


def test_code_in_pages_is_left_out() -> None:
    page = "Start `anew`.\n\n```sh\nstart anew\n```\n\n[Start](anew.md)\nanew.\n"
    assert search("docs/page.md", page)[0] == [(8, "doc", "anew")]


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


@pytest.mark.parametrize(("most", "kind", "number"), [(5, "*", 0), (4, "*", 1), (1, "comment", 4)])
def test_pending_hits_may_not_become_more(most: int, kind: str, number: int) -> None:
    pending = [{"in": "lava_s3trigger/*", "kind": kind, "most": most}]
    assert len(search("lava_s3trigger/module.py", CODE, pending=pending)[1]) == number
