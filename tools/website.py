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
SECTIONS: Final[dict[str, tuple[str, ...]]] = {
    "Start": ("README", "docs/deploying", "docs/deploying-as-code", "docs/glossary"),
    "Write triggers": ("docs/triggers", "docs/rendering", "docs/cookbook", "examples/README"),
    "Command line": (
        "docs/command-line",
        "docs/explain",
        "docs/check",
        "docs/rules",
        "docs/testing-entries",
        "docs/plan",
        "docs/event-and-schema",
        "docs/doctor",
        "docs/backfill",
        "docs/dead-letters",
        "docs/reading-the-log",
    ),
    "Connect buckets": ("docs/connecting", "events/README"),
    "Operate": (
        "docs/operations",
        "docs/troubleshooting",
        "docs/first-deployment",
        "docs/permissions",
        "docs/replacing",
        "docs/migrating",
        "docs/removing",
    ),
    "Reference": ("docs/design", "docs/duplicates", "CHANGELOG"),
    "Internals": (
        "CONTRIBUTING",
        "docs/extending",
        "docs/decisions",
        "docs/performance",
        "docs/faults",
        "SECURITY",
        "docs/security",
        "tests/findings/README",
    ),
}
"""The order of the pages, without the ``.md`` of their names."""
OTHERS: Final = "Reference"
"""The section of the pages that no section names."""

_LINK: Final = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def pages() -> list[str]:
    """Return the pages of the repository, without ``.md``."""
    paths = (path for folder in FOLDERS for path in ROOT.glob(f"{folder}/*.md"))
    return sorted({path.relative_to(ROOT).with_suffix("").as_posix() for path in paths})


def first_page(page_names: Iterable[str]) -> str:
    """Return the first page, which puts the pages in order.

    Raises:
        ValueError: A section names a page that does not exist.
    """
    rest = set(page_names)
    lines = ["# lava s3trigger", ""]
    lines += [
        "Dispatches lava jobs in response to S3 events. Begin with [the first page](README.md).",
        "",
    ]
    named = {name for section in SECTIONS.values() for name in section}
    if named - rest:
        raise ValueError(f"no such page: {', '.join(sorted(named - rest))}")
    for section, names in SECTIONS.items():
        others = sorted(rest - named) if section == OTHERS else []
        lines += ["```{toctree}", f":caption: {section}", ":maxdepth: 1", ""]
        lines += [*names, *others, "```", ""]
    return "\n".join(lines)


def prepare(folder: Path) -> None:
    """Copy the pages, and the files that they link to, and write the first page."""
    page_names = pages()
    for name in page_names:
        page = Path(f"{name}.md")
        text = (ROOT / page).read_text()
        _copy(page, folder)
        for target in _LINK.findall(text):
            if "://" not in target:
                _copy((ROOT / page.parent / target).resolve().relative_to(ROOT), folder)
    (folder / "index.md").write_text(first_page(page_names))


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
