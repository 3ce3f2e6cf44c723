"""Pictures of what commands print on a terminal, as SVG. `make docs` writes them.

One line in `SCREENSHOTS` makes one more. Nothing in a command's output may change from run
to run, since a test compares the pictures.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

CHECKOUT: Final = Path(__file__).resolve().parents[1]
IMAGES: Final = CHECKOUT / "docs" / "images"
SCREENSHOTS: Final = {
    "explain": "lava-s3trigger explain 's3://shop-orders/orders/03-14/draft/second.csv'"
    " --triggers examples/triggers.yaml --jobs examples/jobs.yaml --time 2026-03-14T01:59:26Z",
}
"""Names of pictures, and the command lines that they show, run in the checkout."""
WIDTH: Final = 96
"""Columns of the terminal."""
_PROMPT: Final = "$ "
_FONT: Final = re.compile(r"@font-face \{.*?\}\n*", re.DOTALL)
"""`rich` names fonts on other servers, which no page should ask for."""


def screenshots() -> dict[Path, str]:
    """Return the pictures as they should be."""
    return {IMAGES / f"{name}.svg": picture(name, command) for name, command in SCREENSHOTS.items()}


def picture(name: str, command: str) -> str:
    """Return the picture of a terminal in which a command was run.

    Args:
        name: Name of the picture; the SVG's ids begin with it.
        command: The command line.
    """
    console = Console(
        file=io.StringIO(), record=True, width=WIDTH, force_terminal=True, color_system="truecolor"
    )
    console.print(Text(f"{_PROMPT}{command}", style="bold"))
    console.print(Text.from_ansi(output(command)))
    made = console.export_svg(title="lava-s3trigger", unique_id=name)
    return "\n".join(line.rstrip() for line in _FONT.sub("", made).splitlines()) + "\n"


def output(command: str) -> str:
    """Return what a command prints on a terminal with colours."""
    program, *arguments = shlex.split(command)
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    done = subprocess.run(
        [Path(sys.executable).parent / program, *arguments],
        cwd=CHECKOUT,
        env={**kept, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "LANG": "C.UTF-8"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.stdout


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for path, text in screenshots().items():
        path.write_text(text)
