"""Pictures of what commands print on a terminal, as SVG. `make docs` writes them.

They are of a section of the README: its files are saved, and its commands run, one after the
other, in a folder of their own. Nothing in a command's output may change from run to run, since
a test compares the pictures.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

CHECKOUT: Final = Path(__file__).resolve().parents[1]
README: Final = CHECKOUT / "README.md"
SECTION: Final = "Write and test a trigger before deploying"
IMAGES: Final = CHECKOUT / "docs" / "images"
WIDTH: Final = 96
"""Columns of the terminal."""
_PROMPT: Final = "$ "
_FONT: Final = re.compile(r"@font-face \{.*?\}\n*", re.DOTALL)
"""`rich` names fonts on other servers, which no page should ask for."""
_FILE: Final = re.compile(r"`([\w./-]+)`:\n\n```\w+\n(.*?)```", re.DOTALL)
"""A text that ends with the name of a file, and the file."""
_COMMAND: Final = re.compile(
    r"^```sh\n(?P<command>(?!pip ).*?)```\n"
    r"(?:\n```text\n(?P<text>.*?)```)?"
    r"(?:\n!\[[^\]]*\]\(docs/images/(?P<picture>\w+)\.svg\))?",
    re.DOTALL | re.MULTILINE,
)
"""A command, and the text or the picture of its output."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A command of the section, and what it printed."""

    command: str
    output: str
    """With the styles of a terminal."""
    text: str | None
    """The output that the section shows, if that is not a picture."""
    picture: str | None
    """Name of the picture."""


def shown(folder: Path) -> list[Shown]:
    """Run the commands of the section.

    Args:
        folder: Where to save its files; an empty folder.
    """
    section = README.read_text().partition(f"\n## {SECTION}\n")[2].partition("\n## ")[0]
    for name, text in _FILE.findall(section):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return [
        Shown(match["command"], output(match["command"], folder), match["text"], match["picture"])
        for match in _COMMAND.finditer(section)
    ]


def screenshots() -> dict[Path, str]:
    """Return the expected content of the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        return {
            IMAGES / f"{example.picture}.svg": picture(
                example.picture, example.command, example.output
            )
            for example in shown(Path(folder))
            if example.picture
        }


def picture(name: str, command: str, printed: str) -> str:
    """Return the picture of a terminal in which a command was run.

    Args:
        name: Name of the picture; the SVG's ids begin with it.
        command: The command line.
        printed: Its output.
    """
    console = Console(
        file=io.StringIO(), record=True, width=WIDTH, force_terminal=True, color_system="truecolor"
    )
    console.print(Text(f"{_PROMPT}{command.rstrip()}", style="bold"))
    console.print(Text.from_ansi(printed))
    svg = console.export_svg(title="lava-s3trigger", unique_id=name)
    return "\n".join(line.rstrip() for line in _FONT.sub("", svg).splitlines()) + "\n"


def output(command: str, folder: Path) -> str:
    """Return what a command prints on a terminal with colours, messages included."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={"PATH": programs, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "LANG": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for path, svg in screenshots().items():
        path.write_text(svg)
