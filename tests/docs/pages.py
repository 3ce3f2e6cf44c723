"""README and docs, read: their sections, fenced blocks, tables and examples."""

import json
import re
import textwrap
from pathlib import Path
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML

from lava_s3trigger.deliveries import deliveries
from lava_s3trigger.events import S3Event
from tests import build
from tools.local.server import CHECKOUT

DOCS: Final = CHECKOUT / "docs"
PAGES: Final = [*sorted(CHECKOUT.glob("*.md")), *sorted(DOCS.glob("*.md"))]
README: Final = CHECKOUT / "README.md"
DESIGN: Final = DOCS / "design.md"
DEPLOYING: Final = DOCS / "deploying.md"
CONNECTING: Final = DOCS / "connecting.md"
RENDERING: Final = DOCS / "rendering.md"
TRIGGERS: Final = DOCS / "triggers.md"
OPERATING: Final = DOCS / "operating.md"
_EXAMPLE: Final = re.compile(
    r"^```sh\n((?:(?!```).*\n)+)```\n\n```(text|json)\n((?:(?!```).*\n)*)```$", re.MULTILINE
)
_FILE: Final = re.compile(
    r"`([\w./-]+\.(?:yaml|txt))`:\n\n```(?:yaml|text)\n((?:(?!```).*\n)+)```$", re.MULTILINE
)


def fenced(text: str, language: str) -> list[str]:
    """Return the contents of the fenced blocks of a language, also of those in lists."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in found]


def prose(text: str) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)


def section(page: Path, heading: str) -> str:
    """Return the text under a heading, up to the next of the same or a higher level."""
    text = page.read_text()
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found, heading
    # A comment in a block of commands begins as a heading does.
    end = re.compile(rf"^#{{1,{len(found[1])}}} ", re.MULTILINE).search(text, found.end())
    return text[found.end() : end.start() if end else None]


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a text, each as rows of cells, without its head."""
    found: list[list[list[str]]] = []
    for block in re.findall(r"(?:^\|.*\|\n)+", prose(text), re.MULTILINE):
        rows = [[cell.strip() for cell in row[1:-1].split("|")] for row in block.splitlines()]
        found.append(rows[2:])
    return found


def codes(cell: str) -> list[str]:
    """Return the code spans of a cell."""
    return re.findall(r"`([^`]+)`", cell)


def code(cell: str) -> str:
    """Return the only code span of a cell."""
    [only] = codes(cell)
    return only


def slug(heading: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def options(text: str) -> set[str]:
    """Return the options of commands that a text names."""
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text))


class Example(NamedTuple):
    """Commands, and what the page shows as their output."""

    page: Path
    commands: str
    language: str
    output: str


def examples(page: Path) -> list[Example]:
    """Return the commands of a page that are followed by their output."""
    return [Example(page, *found) for found in _EXAMPLE.findall(page.read_text())]


def save_files(page: Path, folder: Path) -> None:
    """Save the files that a page names and shows."""
    for name, text in _FILE.findall(page.read_text()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def item(entry: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the DynamoDB item for an entry, which may be an item already."""
    return entry if isinstance(next(iter(entry.values())), dict) else build.item(entry)


def first_trigger() -> list[Any]:
    """Return the items of the first trigger and its job, and the dispatch shown."""
    text = section(README, "A first trigger")
    [trigger], [dispatch] = fenced(text, "yaml"), fenced(text, "json")
    [job] = fenced(section(TRIGGERS, "Jobs"), "json")
    return [item(YAML(typ="safe").load(trigger)), json.loads(job), json.loads(dispatch)]


def sample(name: str) -> S3Event:
    """Return the S3 event of a sample payload."""
    payload = deliveries(build.sample(name), "us-east-1")
    [event] = [found.event for each in payload for found in each.events]
    return event
