"""The targets of links, files and commands that the pages name exist."""

import re
from pathlib import Path

import pytest

from tools.local.server import CHECKOUT

from .pages import PAGES, codes, fenced, prose, slug

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_link_targets_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", prose(file.read_text()), re.MULTILINE)
            assert anchor in [slug(each) for each in headings], target


@each_page
def test_named_files_exist(page: Path) -> None:
    # What a command writes between marks, it keeps current itself.
    text = re.sub(
        r"<!-- (table of [a-z ]+) -->.*?<!-- end of \1 -->",
        "",
        page.read_text(),
        flags=re.DOTALL,
    )
    named = {
        each
        for each in codes(prose(text))
        if re.fullmatch(r"\.?[\w/-]+(\.[\w-]+)*\.(json|lock|md|py|sh|toml|txt|yaml)", each)
    }
    made = set(re.findall(r"\bas\s+`([^`]+)`", text))
    folders = ("", "docs", "etc", "events", "lava_s3trigger")
    for name in named - made:
        assert any((CHECKOUT / folder / name).exists() for folder in folders), name


@each_page
def test_named_make_targets_exist(page: Path) -> None:
    text = page.read_text()
    commands = [*codes(prose(text)), *"\n".join(fenced(text, "sh")).splitlines()]
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    for command in commands:
        if command.startswith("make "):
            named = [word for word in command.split()[1:] if "=" not in word]
            assert set(named) <= targets, command


@each_page
def test_no_path_of_one_machine(page: Path) -> None:
    assert not re.search(r"/(home|root|tmp|work)/", page.read_text())
