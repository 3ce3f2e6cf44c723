"""The drawings of the pages: `make docs` writes them from their sources, and a page shows each."""

from __future__ import annotations

import re
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest

from tools import drawings

from .pages import PAGES

SVG: Final = "{http://www.w3.org/2000/svg}"
MADE: Final = drawings.drawings()
each_drawing = pytest.mark.parametrize("path", MADE, ids=lambda path: path.stem)


@each_drawing
def test_a_drawing_is_current(path: Any) -> None:
    assert path.read_text() == MADE[path], "run: make docs"


@each_drawing
def test_a_page_shows_it_and_says_what_it_shows(path: Any) -> None:
    shown = re.compile(rf"!\[[^\]]{{20,}}\]\((docs/)?images/{path.name}\)")
    assert [page.name for page in PAGES if shown.search(page.read_text())]


@each_drawing
def test_it_has_a_description_and_colours_for_dark(path: Any) -> None:
    svg = ET.fromstring(MADE[path])
    assert all(svg.findtext(f"{SVG}{name}") for name in ("title", "desc"))
    assert "@media (prefers-color-scheme: dark)" in (svg.findtext(f"{SVG}style") or "")


@each_drawing
def test_nothing_reaches_over_the_edge(path: Any) -> None:
    svg = ET.fromstring(MADE[path])
    width, height = float(svg.attrib["width"]), float(svg.attrib["height"])
    boxes = svg.findall(f"{SVG}rect")
    assert len(boxes) > 3
    for box in boxes:
        x, y, wide, high = (float(box.get(name, 0)) for name in ("x", "y", "width", "height"))
        assert x + wide <= width
        assert y + high <= height
