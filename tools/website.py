"""Build the docs site from the pages of the repository, with warnings as errors.

The pages stay as GitHub shows them. A copy of them gets a first page, which puts them in
order; Sphinx reads that copy. Run it by ``make site``, with the Python of its own environment.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).resolve().parents[1]
SETTINGS: Final = ROOT / "tools" / "website"
FOLDERS: Final = (".", "docs", "docs/*", "events", "examples", "tests/findings")
"""Where pages are."""
SECTIONS: Final[dict[str, dict[str, str]]] = {
    "Try": {
        "README": "what it is, and when not to use it",
        "README#try-it": "one command, on your machine",
        "README#write-and-test-a-trigger-before-deploying": "without AWS",
        "README#a-first-trigger": "on a local server, or in a realm",
    },
    "Write": {
        "docs/triggers": "the fields of an entry, and which entries fire",
        "docs/rendering": "templates: what they know, and what is missing",
        "docs/cookbook": "entries for common tasks, with their tests",
        "docs/explain": "what would happen to an object, and why",
        "docs/workbench": "the entries of a realm in the browser",
        "docs/check": "find mistakes in entries, and run their cases",
        "docs/rules": "what each rule of check means",
        "docs/apply": "plan a change, put it into the table, and undo it",
        "examples/README": "a repository of entries",
    },
    "Deploy": {
        "docs/deploying": "install, check, update and remove the stack; permissions",
        "docs/connecting": "connect buckets to the function",
        "docs/migrating": "move from lava's own function",
    },
    "Operate": {
        "docs/operating": "runbook, alarms, the log, dead letters",
        "docs/troubleshooting": "nothing happens, or the wrong thing",
        "docs/doctor": "find what is wrong with a realm",
        "docs/backfill": "events for objects that are already there",
        "docs/duplicates": "events that AWS delivers twice",
    },
    "Look up": {
        "docs/command-line": "all commands, and what they have in common",
        "docs/design": "what the function guarantees; configuration; words",
        "events/README": "sample payloads",
        "docs/performance": "speed and cost",
        "CHANGELOG": "what has changed",
    },
    "Change": {
        "CONTRIBUTING": "build, test and change it",
        "docs/decisions": "why things are as they are",
        "docs/faults": "what happens if an AWS call fails",
        "SECURITY": "report a vulnerability",
        "docs/security": "attacks, and what stops them",
        "tests/findings/README": "inputs that fuzzing found",
    },
}
"""What a reader wants to do, with its pages (without ``.md``) and headings, and what they are for.
A page that does not exist is left out, and one that no section names is an error."""
_SEARCH: Final = """\
<form class="find" action="search.html" role="search">
<input type="search" name="q" placeholder="Search" aria-label="Search"><button>Search</button>
</form>"""
"""The theme's own field is in a menu on a phone."""

_LINK: Final = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def pages() -> list[str]:
    """Return the pages of the repository, without ``.md``."""
    paths = (path for folder in FOLDERS for path in ROOT.glob(f"{folder}/*.md"))
    return sorted({path.relative_to(ROOT).with_suffix("").as_posix() for path in paths})


def first_page(names: Iterable[str]) -> str:
    """Return the first page: what a reader may want to do, and the pages for it.

    Raises:
        ValueError: No section names a page, or a heading that is named does not exist.
    """
    rest = set(names)
    named = {name for section in SECTIONS.values() for name in section}
    if rest - named:
        raise ValueError(f"no section names these pages: {', '.join(sorted(rest - named))}")
    lines = ["# lava s3trigger", "", "Starts lava jobs when objects in S3 change.", "", _SEARCH, ""]
    lines += ["::::{container} doors", ""]
    contents = []
    for section, texts in SECTIONS.items():
        lines += [":::{container} door", f"**{section}**", ""]
        lines += [_link(name, text) for name, text in texts.items() if _page(name) in rest]
        lines += [":::", ""]
        listed = [name for name in texts if name in rest]
        contents += ["```{toctree}", ":hidden:", f":caption: {section}", ":maxdepth: 1", ""]
        contents += [*listed, "```", ""]
    return "\n".join([*lines, "::::", "", *contents])


def _page(name: str) -> str:
    return name.partition("#")[0]


def _link(name: str, text: str) -> str:
    """Return the item of a list that leads to a page, or to a heading of it."""
    page, mark, anchor = name.partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / f"{page}.md").read_text(), re.MULTILINE)
    titles = [heading for heading in headings if not mark or _anchor(heading) == anchor]
    if not titles:
        raise ValueError(f"no such heading: {name}")
    return f"- [{titles[0]}](/{page}.md{mark}{anchor}): {text}"


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def prepare(folder: Path) -> None:
    """Copy the pages, and the files that they link to, and write the first page."""
    names = pages()
    for name in names:
        page = Path(f"{name}.md")
        text = (ROOT / page).read_text()
        _copy(page, folder)
        for target in _LINK.findall(text):
            if "://" not in target:
                _copy((ROOT / page.parent / target).resolve().relative_to(ROOT), folder)
    (folder / "index.md").write_text(first_page(names))


def _copy(path: Path, folder: Path) -> None:
    if (ROOT / path).is_file():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)


def main() -> None:
    """Build the site in the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder to create; replaces an existing one")
    target = parser.parse_args().folder.resolve()
    with tempfile.TemporaryDirectory() as folder:
        source, new = Path(folder, "source"), Path(folder, "site")
        source.mkdir()
        prepare(source)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "sphinx", "--builder", "html", "--quiet"),
                *("--fail-on-warning", "--conf-dir", str(SETTINGS)),
                *("--doctree-dir", str(Path(folder, "doctrees")), str(source), str(new)),
            ],
            cwd=ROOT,
            check=False,
        )
        if done.returncode == 0:
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(new, target)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
