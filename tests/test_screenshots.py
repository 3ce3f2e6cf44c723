"""The pictures of commands are what `make docs` makes of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tools import screenshots

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow("runs all commands of the pictures")

MADE = screenshots.screenshots()


class TestScreenshots:
    """They are current, and need nothing from elsewhere."""

    @pytest.mark.parametrize("path", MADE, ids=lambda path: path.name)
    def test_a_picture_is_current(self, path: Path) -> None:
        assert path.read_text() == MADE[path], "run: make docs"

    @pytest.mark.parametrize("path", MADE, ids=lambda path: path.name)
    def test_a_picture_asks_no_other_server(self, path: Path) -> None:
        text = path.read_text()
        root = ET.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert set(re.findall(r"https?://[^\s\"<)]+", text)) <= {
            "http://www.w3.org/2000/svg",
            "https://www.textualize.io",
        }

    def test_no_other_picture_lies_there(self) -> None:
        assert set(screenshots.IMAGES.glob("*.svg")) == set(MADE)

    def test_the_readme_shows_all_and_says_what_commands_print(self, tmp_path: Path) -> None:
        shown = screenshots.shown(tmp_path)
        assert [each.picture for each in shown if each.picture] == [
            "check",
            "test",
            "explain",
            "plan",
        ]
        for each in shown:
            if each.text is not None:
                printed = re.sub(r"\x1b\[[\d;]*m", "", each.output)
                assert printed == each.text, each.command
            else:
                assert each.picture, each.command
