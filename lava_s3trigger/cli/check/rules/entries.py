"""Rules on entries that the function refuses, by its own reading of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.check.findings import Fix, Found
from lava_s3trigger.conditions import KINDS
from lava_s3trigger.units import shown

from .checked import KEYS
from .registry import nearest, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .checked import CheckedEntries, CheckedEntry

TRIGGER_FIELDS: Final = frozenset(
    """
    trigger_id bucket prefix enabled job_id parameters globals jinja delay description owner
    """.split()  # noqa: SIM905
)
_CONDITIONS: Final = [f"{start}{name}" for start in ("if_", "if_not_") for name in KINDS]
_SURE: Final = 0.85
"""Similarity from which a name is a typo of another for certain."""
_MAX_KEY_BYTES: Final = {"trigger_id": 2048, "job_id": 2048, "bucket": 2048, "prefix": 1024}
MAX_ITEM_BYTES: Final = 400 * 1024
_SIZE_UNITS: Final = "B K KB M MB G GB T TB P PB KiB MiB GiB TiB PiB".split()  # noqa: SIM905
_DURATION_UNITS: Final = "s m h d w".split()  # noqa: SIM905


@rule("LT101", "error", "Required field is missing", on="entry")
def missing_key(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A trigger lacks its `trigger_id`, `bucket` or `prefix`, or a job its `job_id`.

    These are keys of the table and of its index. DynamoDB refuses an entry without the id,
    and the function never finds a trigger without the others. Add the field. The
    [table of fields](triggers.md#fields) says what each takes.
    """
    for name in KEYS[checked.kind]:
        if name not in checked.item:
            yield Found(f"{name} is missing")


@rule("LT102", "error", "Invalid key field", on="entry")
def bad_key(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """`trigger_id`, `job_id` of a job, `bucket` or `prefix` is not a string, empty, or too long.

    DynamoDB refuses such keys. An id or a bucket may have 2,048 bytes. Put a number in quotes.
    For the length of a prefix see [LT204](#lt204-prefix-is-longer-than-a-key).
    """
    for name in KEYS[checked.kind]:
        if name not in checked.item:
            continue
        text = checked.entry.text(name)
        if text is None:
            value = checked.values.get(name)
            yield Found(
                f"{name}: {shown(value)} is not a string, which a key of the table must be", (name,)
            )
        elif not text:
            yield Found(f"{name} is empty, which a key of the table must not be", (name,))
        elif name != "prefix" and _bytes(text) > _MAX_KEY_BYTES[name]:
            yield Found(f"{name} is longer than {_MAX_KEY_BYTES[name]} bytes", (name,))


@rule("LT103", "error", "Unknown field", on="refusal", matches=r"trigger: unknown field ")
def unknown_field(checked: CheckedEntry, _all: CheckedEntries, reason: str, name: str) -> Any:
    """A trigger has a field that the function does not know, so it does not fire.

    Often it is a typo: `paramters` for `parameters`. Fields of your own begin with `x-`.
    `--fix` renames a field whose name is very similar to a known one.
    """
    known = TRIGGER_FIELDS - checked.item.keys()
    yield Found(reason, (name,), of_name=True, fix=_renamed(name, known))


@rule("LT104", "error", "Unknown condition", on="refusal", matches=r"trigger: unknown condition ")
def unknown_condition(checked: CheckedEntry, _all: CheckedEntries, reason: str, name: str) -> Any:
    """A trigger has a condition that does not exist.

    The [table of conditions](triggers.md#conditions) lists those that do. `--fix` renames a
    condition whose name is very similar to a known one.
    """
    known = {each for each in _CONDITIONS if each not in checked.item}
    close = nearest(name, known, cutoff=0.75)
    message = f"unknown condition {shown(name)}; did you mean {close}?" if close else reason
    yield Found(message, (name,), of_name=True, fix=_renamed(name, known))


@rule("LT105", "error", "enabled is missing", on="refusal", matches=r"trigger: enabled is missing$")
def enabled_missing(_c: CheckedEntry, _all: CheckedEntries, reason: str, _name: str) -> Any:
    """A trigger does not say whether it is enabled.

    There is no default. Add `enabled: true` or `enabled: false`.
    """
    yield Found(reason)


@rule("LT106", "error", "job_id is missing", on="refusal", matches=r"trigger: job_id is missing$")
def job_id_missing(_c: CheckedEntry, _all: CheckedEntries, reason: str, _name: str) -> Any:
    """A trigger names no job to dispatch.

    Add `job_id`, with the id of a job or a list of ids.
    """
    yield Found(reason)


@rule("LT107", "error", "Not a boolean", on="refusal", matches=r".*is not a boolean$")
def not_a_boolean(_c: CheckedEntry, _all: CheckedEntries, reason: str, name: str) -> Any:
    """`enabled` or `jinja` is neither a boolean nor anything that can stand for one.

    Write `true` or `false`.
    """
    yield Found(reason, (name,))


@rule("LT108", "error", "Not a map", on="refusal", matches=r"trigger: \w+: .*not a map$")
def not_a_map(_c: CheckedEntry, _all: CheckedEntries, reason: str, name: str) -> Any:
    """`parameters` or `globals` of a trigger is not a map of names and values.

    For arguments of a job, name them as the job's type does: `parameters: {args: [a, b]}`.
    """
    yield Found(reason, (name,))


@rule("LT109", "error", "Not a job id", on="refusal", matches=r"trigger: job_id: .*neither")
def not_a_job_id(_c: CheckedEntry, _all: CheckedEntries, reason: str, name: str) -> Any:
    """`job_id` is neither a string nor a list of strings, or it is empty.

    Write the id of a job, or a list with at least one id.
    """
    yield Found(reason, (name,))


@rule("LT110", "error", "Not a duration", on="refusal", matches=r"trigger: delay: .*not a duration")
def not_a_duration(checked: CheckedEntry, _all: CheckedEntries, reason: str, name: str) -> Any:
    """`delay` is not a duration.

    A duration is a number of seconds, or a number and a unit: `90`, `90s`, `1.5m`, `0.25h`.
    The units are `s`, `m`, `h`, `d` and `w`. `--fix` corrects the case of a unit.
    """
    fix = _with_unit(checked.values.get(name), _DURATION_UNITS, (name,))
    yield Found(reason, (name,), fix=fix)


@rule(
    "LT111", "error", "Delay out of range", on="refusal", matches=r"trigger: delay: .*not from 0 to"
)
def delay_out_of_range(_c: CheckedEntry, _all: CheckedEntries, reason: str, name: str) -> Any:
    """`delay` is negative, or longer than SQS can delay a message: 15 minutes.

    The function's `SQS_MAX_DELAY_MINS` may allow less. For a longer wait, let the job wait, or
    schedule it.
    """
    yield Found(reason, (name,))


@rule("LT112", "error", "Not a size", on="refusal", matches=r"trigger: if_\w+: .*not a size")
def not_a_size(checked: CheckedEntry, _all: CheckedEntries, reason: str, name: str) -> Any:
    """The argument of a size condition is not a size.

    A size is a number of bytes, or a number and a unit: `10`, `10KB`, `1.5MiB`. The case of
    units matters. `--fix` corrects it.
    """
    fix = _with_unit(checked.values.get(name), _SIZE_UNITS, (name,))
    yield Found(reason, (name,), fix=fix)


@rule(
    "LT113",
    "error",
    "Not a pattern",
    on="refusal",
    matches=r"trigger: if_\w+: (.*neither a pattern|\d+ patterns|a pattern of \d+ )",
)
def not_a_pattern(_c: CheckedEntry, _all: CheckedEntries, reason: str, name: str) -> Any:
    """The argument of a condition is neither a pattern nor a list of patterns.

    A list may have up to 1,000 patterns, each of up to 1,024 characters.
    """
    yield Found(reason, (name,))


@rule("LT114", "error", "Condition cannot be read", on="refusal", matches=r"trigger: reading cond")
def condition_aborted(_c: CheckedEntry, _all: CheckedEntries, reason: str, name: str) -> Any:
    """To read the conditions takes longer, or more memory, than the function allows.

    Patterns with very many wildcards do that. Use fewer, simpler patterns.
    """
    yield Found(reason, (name,) if name else ())


@rule("LT115", "error", "Binary value", on="refusal", matches=r".*is binary: ")
def binary(checked: CheckedEntry, _all: CheckedEntries, reason: str, name: str) -> Any:
    """A field holds a binary value, which no dispatch can hold: messages are JSON.

    Write the value as a string, for example in base64.
    """
    path = _path_of_binary(checked.item.get(name, {}), (name,))
    yield Found(reason, path or (name,))


@rule("LT116", "error", "Entry is larger than an item of DynamoDB", on="entry")
def too_large(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """The entry has more than 400 KiB, which is the most that DynamoDB holds in one item.

    Put long texts into S3, and let the job read them.
    """
    if (size := _size({"M": checked.item})) > MAX_ITEM_BYTES:
        yield Found(f"the entry has {size} bytes; DynamoDB holds at most {MAX_ITEM_BYTES}")


@rule(
    "LT121", "error", "Required field of a job is missing", on="refusal", matches=r"job: .*missing$"
)
def job_field_missing(_c: CheckedEntry, _all: CheckedEntries, reason: str, _name: str) -> Any:
    """A job lacks its `type`, `worker` or `payload`.

    The function needs all of them to dispatch the job, though it uses only `worker`.
    """
    yield Found(reason)


@rule(
    "LT122",
    "error",
    "Not the name of a worker",
    on="refusal",
    matches=r"job: worker: .*not the name",
)
def not_a_worker(_c: CheckedEntry, _all: CheckedEntries, reason: str, name: str) -> Any:
    """The `worker` of a job is not a string, or is empty.

    It names the queue `lava-<REALM>-<WORKER>`.
    """
    yield Found(reason, (name,))


@rule(
    "LT123", "error", "Reserved global of a job", on="refusal", matches=r"job: globals: .*reserved$"
)
def reserved_global_of_job(
    checked: CheckedEntry, _all: CheckedEntries, reason: str, name: str
) -> Any:
    """A job has a global whose name begins with `lava`, in any case.

    These names are lava's own. A job with one of them is not dispatched. Rename it.
    """
    globals_ = checked.values.get("globals")
    names = [each for each in globals_ or () if each.lower().startswith("lava")]
    yield Found(reason, (name, *names[:1]), of_name=bool(names))


@rule("LT139", "error", "The function refuses the entry", on="refusal", matches="")
def refused(_c: CheckedEntry, _all: CheckedEntries, reason: str, name: str) -> Any:
    """The function refuses the entry for a reason that no other rule has.

    The message is the function's own.
    """
    yield Found(reason, (name,) if name else ())


def _renamed(name: str, known: Any) -> Fix | None:
    close = nearest(name, known, cutoff=_SURE)
    return Fix(close, (name,), of_name=True) if close else None


def _with_unit(value: Any, units: list[str], path: tuple[str, ...]) -> Fix | None:
    """Return a number with the unit that differs only by its case, if there is one."""
    found = re.fullmatch(r"([0-9.]+)\s*([A-Za-z]+)", value.strip()) if type(value) is str else None
    named = [each for each in units if found and each.lower() == found[2].lower()]
    return Fix(f"{found[1]}{named[0]}", path) if found and len(named) == 1 else None


def _path_of_binary(attribute: Any, path: tuple[str | int, ...]) -> tuple[str | int, ...] | None:
    for kind, value in attribute.items():
        if kind in ("B", "BS"):
            return path
        members: Any = value.items() if kind == "M" else enumerate(value) if kind == "L" else ()
        for n, each in members:
            if found := _path_of_binary(each, (*path, n)):
                return found
    return None


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _size(attribute: dict[str, Any]) -> int:
    """Return about the bytes that DynamoDB counts for a value.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    ((kind, value),) = attribute.items()
    size = 1
    match kind:
        case "M":
            size = 3 + sum(_bytes(name) + 1 + _size(each) for name, each in value.items())
        case "L":
            size = 3 + sum(1 + _size(each) for each in value)
        case "S":
            size = _bytes(value)
        case "N":
            size = len(value) // 2 + 2
        case "SS" | "NS" | "BS":
            size = sum(map(len, value))
        case "B":
            size = len(value)
    return size
