"""The site has every page, in the order of the sections, with what its links lead to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.test_docs import PAGES
from tools.website import OTHERS, ROOT, SECTIONS, first_page, pages, prepare

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow("`make check` makes the site")


def listed(text: str) -> list[str]:
    """Return the pages of a first page, in order."""
    found: list[str] = []
    for block in re.findall(r"^```\{toctree\}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        found += [line for line in block.splitlines() if line and line[0] != ":"]
    return found


def test_the_sections_stand_in_the_order_of_a_newcomers_needs() -> None:
    captions = re.findall(r"^:caption: (.*)$", first_page(pages()), re.MULTILINE)
    assert captions == [
        *("Start", "Write triggers", "Command line", "Connect buckets"),
        *("Operate", "Reference", "Internals"),
    ]


def test_every_page_is_listed_once() -> None:
    found = listed(first_page(pages()))
    assert sorted(found) == pages()
    assert {path.relative_to(ROOT).with_suffix("").as_posix() for path in PAGES} <= set(found)


def test_a_page_that_no_section_names_is_part_of_the_reference() -> None:
    found = listed(first_page([*pages(), "docs/new"]))
    assert found.index("docs/new") == found.index(SECTIONS[OTHERS][-1]) + 1


def test_a_section_cannot_name_a_page_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="no such page: README"):
        first_page(name for name in pages() if name != "README")


def test_the_copies_have_the_files_that_they_link_to(tmp_path: Path) -> None:
    prepare(tmp_path)
    assert (tmp_path / "index.md").exists()
    assert (tmp_path / "examples" / "try-trigger.json").exists()
    for name in pages():
        assert (tmp_path / f"{name}.md").read_text() == (ROOT / f"{name}.md").read_text()
