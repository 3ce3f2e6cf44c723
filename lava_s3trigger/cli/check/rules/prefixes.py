"""Rules on buckets and prefixes, and on entries that affect each other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.check.findings import Fix, Found
from lava_s3trigger.triggers import WHOLE_BUCKET
from lava_s3trigger.units import shown

from .registry import rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .checked import CheckedEntries, CheckedEntry

MAX_KEY_BYTES: Final = 1024
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""
WILDCARDS: Final = re.compile(r"[*?\[]")
_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}")
# Names of the oldest buckets may have all these characters.
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


@rule("LT201", "warning", "Prefix ends with a slash")
def ends_with_slash(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A prefix ends with a slash, so it matches no object in the folder that it names.

    The prefix `incoming` matches `incoming/a.csv`; `incoming/` matches only the key `incoming/`.
    `--fix` removes the slash, unless the entry would then hide others.
    """
    prefix = checked.prefix or ""
    if prefix == "/":
        yield Found('"/" matches almost no key; the whole bucket is "*"', ("prefix",))
    elif prefix.endswith("/"):
        bare = prefix.removesuffix("/")
        is_plain = not bare.endswith("/")
        # "*" is the whole bucket, which is more than a folder.
        fix = Fix(bare, ("prefix",), is_safe=bare != WHOLE_BUCKET) if is_plain else None
        yield Found(
            f"the prefix {shown(prefix)} matches only an object of exactly this key; without"
            " the slash it matches what is below",
            ("prefix",),
            fix=fix,
        )


@rule("LT202", "warning", "Prefix begins with a slash")
def begins_with_slash(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A prefix begins with a slash, so it matches only keys that do.

    Remove the slash, or ignore this rule if keys do begin with one.
    """
    prefix = checked.prefix or ""
    if prefix.startswith("/") and prefix != "/":
        yield Found(f"the prefix {shown(prefix)} matches only keys with a / first", ("prefix",))


@rule("LT203", "warning", "Prefix has a wildcard")
def has_wildcard(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A prefix has `*`, `?` or `[`, which are not wildcards there.

    Write `logs`, not `logs/*`. For patterns, use `if_fnmatch`. Only the prefix `*` is special: it
    means the whole bucket.
    """
    prefix = checked.prefix or ""
    is_whole = prefix == WHOLE_BUCKET
    if is_whole or len(prefix) > MAX_KEY_BYTES or not WILDCARDS.search(prefix):
        return
    bare = re.sub(r"(/\*{1,2}/?)+$", "", prefix)
    is_folder = bare and not WILDCARDS.search(bare) and not bare.endswith("/")
    yield Found(
        f"the prefix {shown(prefix)} is matched literally, not as a pattern; "
        + (f"the folder is {shown(bare)}" if is_folder else "use if_fnmatch for patterns"),
        ("prefix",),
        fix=Fix(bare, ("prefix",)) if is_folder else None,
    )


@rule("LT204", "warning", "Prefix is longer than a key")
def longer_than_key(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A prefix has more than 1,024 bytes. No key in S3 is longer, and DynamoDB refuses the entry.

    Make it shorter.
    """
    size = len((checked.prefix or "").encode(errors="surrogatepass"))
    if size > MAX_KEY_BYTES:
        yield Found(f"the prefix has {size} bytes; a key has at most {MAX_KEY_BYTES}", ("prefix",))


@rule("LT205", "warning", "Another entry hides the entry")
def hidden(checked: CheckedEntry, every: CheckedEntries) -> Iterator[Found]:
    """Every key that could fire the entry belongs to entries at longer prefixes.

    An entry at `logs` with `if_fnmatch: logs/app/*` never fires while there is an entry at
    `logs/app`, even a disabled one. See [A broad and a narrow
    entry](triggers.md#a-broad-and-a-narrow-entry).
    """
    patterns = checked.patterns("if_fnmatch")
    if not (patterns and checked.bucket and checked.prefix):
        return
    levels = every.by_prefix[checked.bucket]
    hiding = [_hiding(pattern, checked.prefix, levels) for _, pattern in patterns]
    if all(hiding):
        other = levels[str(hiding[0])][0]
        yield Found(
            f"no key that matches if_fnmatch reaches this entry: they belong to"
            f" {_named(other)} at the longer prefix {shown(hiding[0])}"
            + ("" if other.is_enabled else ", which is disabled, but still hides it"),
            ("prefix",),
        )


def _hiding(pattern: str, prefix: str, levels: dict[str, Any]) -> str | None:
    """Return the longer prefix that has entries and gets every key that a pattern matches."""
    wildcard = WILDCARDS.search(pattern)
    literal = pattern[: wildcard.start()] if wildcard else f"{pattern}/"
    while "/" in literal:
        literal = literal.rpartition("/")[0]
        is_longer = prefix == WHOLE_BUCKET or literal.startswith(f"{prefix}/")
        if is_longer and literal in levels and literal != WHOLE_BUCKET:
            return literal
    return None


@rule("LT206", "warning", "Two entries with the same work")
def same_work(checked: CheckedEntry, every: CheckedEntries) -> Iterator[Found]:
    """Two enabled entries at one prefix have the same conditions and dispatch the same.

    Each event dispatches the jobs twice. Remove one entry.
    """
    if not (checked.bucket and checked.prefix and checked.is_enabled):
        return
    first = every.by_work[checked.work][0]
    if first is not checked and first.id != checked.id:
        yield Found(f"the same work as {_named(first)}: each event dispatches it twice")


@rule("LT207", "warning", "Duplicate id", on="entry")
def same_id(checked: CheckedEntry, every: CheckedEntries) -> Iterator[Found]:
    """Two triggers have the same `trigger_id`, or two jobs the same `job_id`.

    The one that is written last replaces the other. Rename one.
    """
    if checked.id:
        first = every.by_id[checked.kind, checked.id][0]
        if first is not checked:
            name = f"{checked.kind}_id"
            yield Found(
                f"{name} {shown(checked.id)} is also the id of {first.entry.source}: one replaces"
                " the other",
                (name,),
            )


@rule("LT208", "warning", "Not the name of a bucket")
def no_bucket(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """No bucket can have the name in `bucket`, so no event matches.

    Write only the name: `my-bucket`, without `s3://`, a path, an ARN or wildcards.
    """
    bucket = checked.bucket or ""
    if not bucket or _BUCKET.fullmatch(bucket):
        return
    name = re.sub(r"^(s3:/*|arn:aws[a-z-]*:s3:::)", "", bucket).partition("/")[0]
    is_meant = name != bucket and _BUCKET.fullmatch(name)
    yield Found(
        f"{shown(bucket)} cannot be the name of a bucket"
        + (f"; write {shown(name)}" if is_meant else ""),
        ("bucket",),
        # The text after a slash may be meant as the prefix.
        fix=Fix(name, ("bucket",)) if is_meant and bucket.rstrip("/").endswith(name) else None,
    )


@rule("LT209", "warning", "Percent-encoded key")
def encoded(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A prefix or a pattern is percent-encoded, as in `my%20folder`, but keys are not.

    Write the key as S3 shows it: `my folder`.
    """
    named: list[tuple[tuple[str | int, ...], str]] = [(("prefix",), checked.prefix or "")]
    for name in ("if_fnmatch", "if_not_fnmatch"):
        named += checked.patterns(name)
    for path, text in named:
        if match := _ENCODED.search(text):
            yield Found(
                f"{shown(text)} is percent-encoded, and keys are decoded before they are matched",
                path,
                text=match[0],
            )


_STRANGE: Final = (
    (re.compile(r"s3[an]?://|arn:aws|https?://"), "begins with an address; write only the key"),
    (re.compile(r"\.{1,2}/"), "begins with a relative path, which keys do not"),
    (re.compile(r"(?<=.)//"), "has two slashes in a row, which few keys have"),
    (re.compile(r"\\"), "has a backslash; folders of keys end with a slash"),
    (
        re.compile("[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]"),
        "has an invisible character, which keys do not have",
    ),
)
"""Parts of a prefix that keys do not have, each with what is wrong."""
_STRANGE_STARTS: Final = (
    *(known for known in _STRANGE if known[1].startswith("begins")),
    (re.compile("/"), "begins with a slash, which few keys do"),
)
"""Such parts of a pattern."""


@rule("LT210", "warning", "Prefix or pattern has what keys do not have")
def strange(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    r"""A prefix is an address, or has characters that are rare in keys.

    Examples are `s3://orders/incoming`, `incoming//daily`, or the bucket's name before the folder.
    At the prefix `*`, a pattern also must not begin with an address, the bucket's name or a slash.
    Write the key as S3 shows it, or ignore this rule if keys are like that.
    """
    prefix, bucket = checked.prefix or "", checked.bucket or ""
    if wrong := _strange(prefix, bucket, _STRANGE):
        yield Found(f"the prefix {shown(prefix)} {wrong[0]}", ("prefix",), text=wrong[1])
    if prefix == WHOLE_BUCKET:  # at others, LT301 finds these patterns
        for name in ("if_fnmatch", "if_not_fnmatch"):
            for path, text in checked.patterns(name):
                if wrong := _strange(text, bucket, _STRANGE_STARTS):
                    yield Found(f"{shown(text)} {wrong[0]}", path, text=wrong[1])


def _strange(
    text: str, bucket: str, known: Sequence[tuple[re.Pattern[str], str]]
) -> tuple[str, str] | None:
    """Return what is wrong with a prefix or a pattern, and the part of it; None if nothing is."""
    for pattern, wrong in known:
        match = pattern.match(text) if wrong.startswith("begins") else pattern.search(text)
        if match:
            return wrong, match[0]
    if bucket and (text == bucket or text.startswith(f"{bucket}/")):
        return "begins with the name of the bucket, which keys do not", bucket
    return None


@rule("LT211", "warning", "Upper case in the name of a bucket")
def upper_case(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A bucket's name has capital letters, which are not allowed since March 2018.

    See the [rules for names of
    buckets](https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html). Ignore
    this rule for an older bucket of the region us-east-1.
    """
    bucket = checked.bucket or ""
    if _BUCKET.fullmatch(bucket) and bucket != bucket.lower():
        yield Found(
            f"{shown(bucket)} has capital letters; did you mean {shown(bucket.lower())}?",
            ("bucket",),
        )


def _named(other: CheckedEntry) -> str:
    return f"trigger {shown(other.id)} ({other.entry.source})"
