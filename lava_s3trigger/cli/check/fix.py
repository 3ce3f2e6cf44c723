"""Corrects the text of files, for findings of `check` that have only one correction.

It replaces only the wrong values, so comments, order and quotes stay.
"""

from __future__ import annotations

import codecs
import difflib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lava_s3trigger.cli.entries.load import STANDARD_INPUT, load_texts
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.streams import replacing

from .safety import written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lava_s3trigger.cli.entries.load import Loaded

    from .findings import Finding
    from .lint import Linted

MAX_ROUNDS: Final = 10
"""Rounds of correcting and checking again: after one correction another may be possible."""


class _Edit(NamedTuple):
    start: int
    end: int
    text: str


class Fixed(NamedTuple):
    """Corrected texts of files, and what `check` finds in them."""

    before: Linted
    """The findings before the corrections."""
    linted: Linted
    texts: dict[str, str]
    """The new texts of the files that changed."""
    corrected: int
    """Number of corrections."""


def fixed(loaded: Loaded, check: Callable[[Loaded], Linted], *, with_unsafe: bool = False) -> Fixed:
    """Make all corrections in memory, until there are no more.

    A correction is not made if the file could then not be read as before.

    Args:
        loaded: The entries.
        check: Checks entries.
        with_unsafe: Whether to make unsafe corrections too.
    """
    linted = first = check(loaded)
    texts = {name: file.text for name, file in loaded.files.items()}
    before = dict(texts)
    kept: set[str] = set()
    count = 0
    for _ in range(MAX_ROUNDS):
        edits = _edits(linted.findings, kept, with_unsafe=with_unsafe)
        if not edits:
            break
        changed = {
            name: _edited(texts[name], edits_of_file) for name, edits_of_file in edits.items()
        }
        new = load_texts((texts | changed).items())
        worse = _worse(loaded, new, changed)
        if worse:
            kept |= worse
            continue
        texts |= changed
        loaded, linted = new, check(new)
        count += sum(map(len, edits.values()))
    return Fixed(
        first, linted, {name: text for name, text in texts.items() if text != before[name]}, count
    )


def _worse(before: Loaded, after: Loaded, changed: Iterable[str]) -> set[str]:
    """Return the files that have more problems than before, or fewer entries."""

    def counts(loaded: Loaded) -> tuple[Counter[str], Counter[str]]:
        return (
            Counter(problem.file for problem in loaded.all_problems()),
            Counter(entry.file.name for entry in loaded.entries if entry.file),
        )

    problems, entries = counts(before)
    new_problems, new_entries = counts(after)
    return {
        name
        for name in changed
        if new_problems[name] > problems[name] or new_entries[name] < entries[name]
    }


def _edits(
    findings: Iterable[Finding], kept: set[str], *, with_unsafe: bool
) -> dict[str, list[_Edit]]:
    """Return the replacements, by file."""
    by_file: dict[str, list[_Edit]] = {}
    for finding in findings:
        fix, file, entry = finding.fix, finding.file, finding.entry
        if not (fix and file and entry) or file.name in kept:
            continue
        span = entry.span(*fix.path, of_name=fix.of_name)
        text = written(file.text, span.start, span.end, fix) if span else None
        if span and text is not None and (fix.is_safe or with_unsafe):
            by_file.setdefault(file.name, []).append(_Edit(span.start, span.end, text))
    return by_file


def _edited(text: str, edits: list[_Edit]) -> str:
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def diff(before: str, after: str, name: str) -> str:
    """Return the difference of two texts of a file, in the unified format."""
    lines = difflib.unified_diff(
        before.split("\n"), after.split("\n"), f"a/{name}", f"b/{name}", lineterm=""
    )
    return "".join(f"{safe(line.removesuffix(chr(13)), keep=chr(9))}\n" for line in lines)


def write(before: Mapping[str, Any], texts: Mapping[str, str]) -> None:
    """Write new texts of files. At any time, each file has either its old text or its new one.

    Args:
        before: The files as they were read, by name.
        texts: The new texts, by name.

    Raises:
        CommandError: A file cannot be written, or has changed since it was read.
    """
    for name, text in texts.items():
        if name == STANDARD_INPUT:
            continue
        try:
            _replace(Path(name).resolve(), before[name].text, text)
        except OSError as error:
            raise CommandError(f"{safe(name)}: {error.strerror}") from None


def _replace(path: Path, before: str, after: str) -> None:
    raw = path.read_bytes()
    encoding = "utf-8-sig" if raw.startswith(codecs.BOM_UTF8) else "utf-8"
    if raw != before.encode(encoding):
        raise CommandError(f"{safe(str(path))}: the file has changed meanwhile; check it again")
    with replacing(path, encoding) as file:
        file.write(after)
