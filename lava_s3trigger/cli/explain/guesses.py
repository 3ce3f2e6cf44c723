"""Guesses at what was meant by what people often write wrong; the decider must confirm them.

Each function yields values to try in place of one that is in an entry, the likeliest
first. None knows whether a value helps.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, unquote_plus

from lava_s3trigger import units
from lava_s3trigger.cli.objects.sample_keys import can_match
from lava_s3trigger.triggers import WHOLE_BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

_GLOB: Final = re.compile(r"[*?\[{]")
_BRACES: Final = re.compile(r"\{([^{}]*,[^{}]*)\}")
_SCHEME: Final = re.compile(r"s3[an]?://|arn:[\w-]+:s3:[^:/]*:[^:/]*:|https?://")
_MEANT_OTHERWISE: Final = re.compile(r"[\\{}^$|\"'()%,;]|^\s|\s$|\.\*|\*\*/")
"""What is in patterns that are meant as something else, so that they are replaced."""
_MAX_WRITTEN: Final = 200
"""Characters of a pattern or a name that is looked into; longer ones are not written by hand."""
_MAX_PREFIX_CHARACTERS: Final = 1024
_MAX_EXPANDED: Final = 100
_SAME_KINDS: Final = (
    ("objectcreated", "put", "post", "copy", "completemultipartupload"),
    ("objectremoved", "objectdeleted", "lifecycleexpiration", "delete"),
    ("objectrestore",),
    ("objecttagging", "objecttags"),
    ("objectacl",),
    ("objectannotation",),
)


def buckets(text: str) -> Iterator[str]:
    """Yield names of buckets for one written as a URI, an ARN, a host name, or otherwise wrong."""
    stripped = text[:_MAX_WRITTEN].strip()
    scheme = _SCHEME.match(stripped)
    bare = stripped[scheme.end() if scheme else 0 :].partition("/")[0]
    host, mark, domain = bare.partition(".s3")
    for name in (stripped, bare, host if mark and "amazonaws" in domain else bare):
        yield name
        yield name.lower()


def prefixes(text: str, bucket: str, tried: Collection[str]) -> Iterator[str]:
    """Yield prefixes for one that is none of those tried.

    Args:
        text: The prefix.
        bucket: Name of the bucket.
        tried: The prefixes of the key, the longest first.
    """
    if len(text) > _MAX_PREFIX_CHARACTERS:
        return
    by_likeness = {_likeness(prefix): prefix for prefix in reversed(list(tried))}
    for form in _chained(text, (*_CORRECTIONS, lambda text: _without_bucket(text, bucket))):
        stripped = form.strip("/")
        for candidate in (
            form,
            stripped,
            f"/{stripped}",
            _without_glob(form),
            _without_glob(stripped),
        ):
            prefix = candidate if candidate in tried else by_likeness.get(_likeness(candidate))
            if prefix:
                yield prefix
    longer = [prefix for prefix in tried if text and prefix.startswith(text)]
    yield from longer[:0:-1]  # folders, the shortest first; the first is the key
    if longer and (folder := text.rpartition("/")[0]):
        yield folder
    if not _without_glob(text).strip("/ ."):
        yield WHOLE_BUCKET


def patterns(written: list[str], value: str, bucket: str, prefix: str) -> Iterator[list[str]]:
    """Yield lists of patterns in place of those written, for a value that they do not match.

    Each list has those written that may fire for other keys.

    Args:
        written: The patterns.
        value: The key.
        bucket: Name of the bucket.
        prefix: That of the entry.
    """
    kept = [
        pattern
        for pattern in written
        if not _MEANT_OTHERWISE.search(pattern) and can_match(pattern, prefix)
    ]
    for guess in _patterns(written, value, bucket):
        yield [*dict.fromkeys([*kept, *guess])]


def _patterns(written: list[str], value: str, bucket: str) -> Iterator[list[str]]:
    if any(len(pattern) > _MAX_WRITTEN for pattern in written):
        return
    singles: tuple[Callable[[str], str], ...] = (
        *_CORRECTIONS,
        lambda pattern: pattern.strip("\"'"),
        lambda pattern: _without_bucket(pattern, bucket),
        lambda pattern: pattern.removeprefix("/"),
        lambda pattern: pattern.replace("**/", "*"),
        lambda pattern: pattern.replace("%", "*"),
        lambda pattern: pattern.replace("[^", "[!"),
        _of_regular_expression,
    )
    for single in singles:
        corrected = [single(pattern) for pattern in written]
        if corrected != written:
            yield corrected
            yield [_in_case(pattern, value) for pattern in corrected]
    yield [_in_case(pattern, value) for pattern in written]
    yield [pattern for written_one in written for pattern in _expanded(written_one)]
    yield [part for written_one in written for part in re.split(r"[,;|\s]\s*", written_one) if part]
    yield [_of_bytes(pattern, value) for pattern in written]
    for before, after in (("*/", ""), ("*", ""), ("*.", ""), ("", "*"), ("", "/*"), ("*", "*")):
        yield [f"{before}{pattern}{after}" for pattern in written]


def event_types(written: list[str], value: str) -> Iterator[list[str]]:
    """Yield lists of patterns of event types, for a type that they do not match."""
    if any(len(pattern) > _MAX_WRITTEN for pattern in written):
        return
    yield [pattern.removeprefix("s3:") for pattern in written]
    yield [_in_case(pattern.strip().removeprefix("s3:"), value) for pattern in written]
    yield [part for written_one in written for part in re.split(r"[,;|\s]\s*", written_one) if part]
    yield [f"{pattern.removeprefix('s3:').removesuffix(':')}:*" for pattern in written]
    kind = next(
        (beginnings for beginnings in _SAME_KINDS if value.lower().startswith(beginnings)), None
    )
    if kind and any(word in pattern.lower() for pattern in written for word in kind):
        yield [*written, f"{value.partition(':')[0]}*"]


def sizes(written: Any) -> Iterator[str]:
    """Yield sizes for one whose unit is written wrong."""
    yield from _quantities(written, units._BYTES, {"BYTES": "B", "BYTE": "B"})  # noqa: SLF001 - the one list of units


def durations(written: Any) -> Iterator[str]:
    """Yield durations for one whose unit is written wrong."""
    words = {"SEC": "s", "SECS": "s", "SECOND": "s", "SECONDS": "s", "MIN": "m", "MINS": "m"}
    words |= {"MINUTE": "m", "MINUTES": "m"}
    yield from _quantities(written, units._SECONDS, words)  # noqa: SLF001 - as above
    yield "15m"


def names(written: str, known: Collection[str]) -> Iterator[str]:
    """Yield known names that are close to one that is not known."""
    from lava_s3trigger.cli.output.suggestions import near  # noqa: PLC0415 - start-up

    folded = {name.casefold(): name for name in known}
    if written.casefold() in folded:
        yield folded[written.casefold()]
    yield from near(written[:_MAX_WRITTEN], known, most=3)


def keys(key: str) -> Iterator[str]:
    """Yield keys for one that was percent-encoded by hand, or begins with a slash."""
    for guess in (unquote(key), unquote_plus(key), key.lstrip("/")):
        if guess != key and "\ufffd" not in guess:
            yield guess


_CORRECTIONS: Final[tuple[Callable[[str], str], ...]] = (
    str.strip,
    unquote,
    unquote_plus,
    lambda text: text.removeprefix("./"),
    lambda text: unicodedata.normalize("NFC", text),
    lambda text: unicodedata.normalize("NFD", text),
)
"""Corrections of what may be wrong in a prefix and in a pattern."""


def _chained(text: str, changes: Iterable[Callable[[str], str]]) -> list[str]:
    """Return what changes make of a text, each separately and one after another."""
    forms = dict.fromkeys([text])
    for _ in range(2):
        for form in list(forms):
            forms |= dict.fromkeys(change(form) for change in changes)
    return list(forms)


def _likeness(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _without_bucket(text: str, bucket: str) -> str:
    scheme = _SCHEME.match(text)
    return text[scheme.end() if scheme else 0 :].removeprefix(f"{bucket}/")


def _without_glob(text: str) -> str:
    """Return the folders before the first that has a wildcard."""
    wildcard = _GLOB.search(text)
    return text[: wildcard.start()].rpartition("/")[0] if wildcard else text


def _in_case(pattern: str, value: str) -> str:
    """Return a pattern in the case of a value that it matches in another case."""
    folded = value.lower()
    if "?" in pattern or "[" in pattern or len(folded) != len(value):
        return pattern
    *firsts, last = pattern.lower().split("*")
    cased, start = [], 0
    for number, piece in enumerate(firsts):
        at = folded.find(piece, start)
        if at < 0 or (number == 0 and at):
            return pattern
        start = at + len(piece)
        cased.append(value[at:start])
    at = len(value) - len(last)
    if at < start or (not firsts and at) or not folded.endswith(last):
        return pattern
    return "*".join([*cased, value[at:]])


def _of_regular_expression(pattern: str) -> str:
    """Return the pattern that a simple regular expression was likely meant as."""
    for expression, glob in (
        (r"^\^", ""),
        (r"\$$", ""),
        (r"\(\?:|[()]", ""),
        (r"(?<!\\)\.[*+]\??", "*"),
        (r"(?:\\[dwsS]|\[[^\]]+\])(?:[*+]|\{\d+(?:,\d*)?\})", "*"),
        (r"\\[dwsS]", "?"),
        (r"\\(.)", r"\1"),
    ):
        pattern = re.sub(expression, glob, pattern)
    return pattern


def _of_bytes(pattern: str, value: str) -> str:
    """Return a pattern in the form of Unicode that a value has."""
    is_composed = unicodedata.is_normalized("NFC", value)
    return unicodedata.normalize("NFC" if is_composed else "NFD", pattern)


def _expanded(pattern: str) -> list[str]:
    """Return the patterns that a shell makes of braces."""
    expanded = [pattern]
    while len(expanded) < _MAX_EXPANDED and (braces := _BRACES.search(expanded[0])):
        before, after = expanded[0][: braces.start()], expanded[0][braces.end() :]
        expanded[:1] = []
        expanded += [f"{before}{word.strip()}{after}" for word in braces[1].split(",")]
    return expanded


def _quantities(written: Any, known: Collection[str], words: dict[str, str]) -> Iterator[str]:
    match = isinstance(written, str) and re.fullmatch(r"\s*([\d.]+)\s*([A-Za-z]*)\s*", written)
    if match:
        number, unit = match.groups()
        folded = {name.upper(): name for name in known} | words
        if unit.upper() in folded:
            yield f"{number}{folded[unit.upper()]}"
