"""The notes of a release, out of the changelog."""

from __future__ import annotations

import re
from typing import Final

UNRELEASED: Final = "Unreleased"
_SECTION: Final = re.compile(r"^## \[([^\]\n]+)\](.*)$", re.MULTILINE)
_RELATIVE_LINK: Final = re.compile(r"\[([^\]]+)\]\((?!\w+://)[^)]*\)")


class NotesError(Exception):
    """The changelog has no notes for the version; the message says what to do."""


def notes(changelog: str, version: str, *, is_released: bool) -> str:
    """Return the notes of a version, in Markdown.

    Links to files of the repository become plain text, since the notes are read elsewhere.

    Args:
        changelog: The text of the changelog, in the format of Keep a Changelog.
        version: The version.
        is_released: Whether the version must have a section of its own. Otherwise the
            section *Unreleased* serves where there is none.

    Raises:
        NotesError: There is no section, or nothing in it.
    """
    sections = _sections(changelog)
    name = version if version in sections or is_released else UNRELEASED
    if name not in sections:
        raise NotesError(
            f"CHANGELOG.md has no section [{name}]: name the changes under [{UNRELEASED}] so,"
            " with the date"
        )
    about, body = sections[name]
    if not body:
        raise NotesError(f"the section [{name}] of CHANGELOG.md is empty: add the changes")
    text = _RELATIVE_LINK.sub(r"\1", body)
    title = f"# lava-s3trigger {version}{about if name == version else ', not released'}"
    return f"{title}\n\n{text}\n"


def _sections(changelog: str) -> dict[str, tuple[str, str]]:
    """Return the rest of the heading of each section, and its text, by the section's name."""
    matches = list(_SECTION.finditer(changelog))
    ends = [*(match.start() for match in matches[1:]), len(changelog)]
    return {
        match[1]: (match[2].rstrip(), changelog[match.end() : end].strip())
        for match, end in zip(matches, ends, strict=True)
    }
