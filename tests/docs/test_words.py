"""The command that counts the words of the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tools import words

from .pages import PAGES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("limit", "status"), [(5, 0), (4, 1)])
def test_words_and_pages_are_counted_and_limited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: int, status: int
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# One\n\ntwo\n")
    (tmp_path / "docs" / "a.md").write_text("- four\n")
    (tmp_path / "docs" / "a.txt").write_text("not a page\n")

    assert words.main(tmp_path, limit) == status

    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1].split(None, 1) == [
        "5",
        "words, on 1 pages in docs and 1 others",
    ]
    assert ("more than 4 words" in printed.err) == bool(status)


def test_it_counts_every_page_that_the_tests_read() -> None:
    assert len(words.words(words.CHECKOUT)) == len(PAGES)
