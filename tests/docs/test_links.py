"""What the pages link, name and show exists: targets, files, commands, and current drawings."""

import re
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest

from tools import drawings
from tools.local.server import CHECKOUT

from .pages import PAGES, codes, fenced, prose, slug

MADE: Final = ("docs/new.md", "docs/page.md")
"""Pages that only a test makes."""
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def anchors(page: Path) -> list[str]:
    """Return the anchors that GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", prose(page.read_text()), re.MULTILINE)
    return [slug(heading) for heading in headings]


@each_page
def test_link_targets_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("folder", ["lava_s3trigger", "tools", "benchmarks", "fuzz", "tests"])
def test_pages_that_the_code_names_exist(folder: str) -> None:
    for module in (CHECKOUT / folder).rglob("*.py"):
        for name, anchor in re.findall(r"\b(docs/[\w-]+\.md)(?:#([\w-]+))?", module.read_text()):
            if name not in MADE:
                assert (CHECKOUT / name).exists(), f"{module}: {name}"
                assert not anchor or anchor in anchors(CHECKOUT / name), f"{module}: {anchor}"


@each_page
def test_named_files_exist(page: Path) -> None:
    # What a command writes between marks, it keeps current itself.
    marked = re.compile(r"<!-- (table of [a-z ]+) -->.*?<!-- end of \1 -->", re.DOTALL)
    text = marked.sub("", page.read_text())
    path = r"\.?[\w/-]+(\.[\w-]+)*\.(json|lock|md|py|sh|toml|txt|yaml)"
    named = {each for each in codes(prose(text)) if re.fullmatch(path, each)}
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


SVG: Final = "{http://www.w3.org/2000/svg}"
DRAWINGS: Final = drawings.drawings()
each_drawing = pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.stem)


@each_drawing
def test_a_drawing_is_current(path: Any) -> None:
    assert path.read_text() == DRAWINGS[path], "run: make docs"


@each_drawing
def test_a_page_shows_it_and_says_what_it_shows(path: Any) -> None:
    shown = re.compile(rf"!\[[^\]]{{20,}}\]\((docs/)?images/{path.name}\)")
    assert [page.name for page in PAGES if shown.search(page.read_text())]


@each_drawing
def test_it_has_a_description_and_colours_for_dark(path: Any) -> None:
    svg = ET.fromstring(DRAWINGS[path])
    assert all(svg.findtext(f"{SVG}{name}") for name in ("title", "desc"))
    assert "@media (prefers-color-scheme: dark)" in (svg.findtext(f"{SVG}style") or "")


@each_drawing
def test_nothing_reaches_over_the_edge(path: Any) -> None:
    svg = ET.fromstring(DRAWINGS[path])
    width, height = float(svg.attrib["width"]), float(svg.attrib["height"])
    boxes = svg.findall(f"{SVG}rect")
    assert len(boxes) > 3
    for box in boxes:
        x, y, wide, high = (float(box.get(name, 0)) for name in ("x", "y", "width", "height"))
        assert x + wide <= width
        assert y + high <= height
