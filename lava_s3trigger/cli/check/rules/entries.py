"""Rules on entries that the function's own reader refuses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.check.findings import Fix, Found
from lava_s3trigger.conditions import KINDS
from lava_s3trigger.units import shown

from .checked import KEYS
from .registry import nearest, rule, surely

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.errors import EntryError

    from .checked import CheckedEntries, CheckedEntry

TRIGGER_FIELDS: Final = frozenset(
    """
    trigger_id bucket prefix enabled job_id parameters globals jinja delay description owner
    """.split()  # noqa: SIM905
)
_CONDITIONS: Final = [f"{start}{name}" for start in ("if_", "if_not_") for name in KINDS]
_MEANT: Final = {
    **dict.fromkeys(
        ["if_size_lt", "if_size_le", "if_size_lte", "if_size_max", "if_max_size"], "if_not_size_gt"
    ),
    **dict.fromkeys(["if_size_ge", "if_size_gte", "if_size_min", "if_min_size"], "if_size_gt"),
    **dict.fromkeys(["if_match", "if_glob", "if_pattern", "if_key"], "if_fnmatch"),
}
"""Conditions that do not exist, with the existing ones that are nearest to their meaning."""
_MAX_SHORT_WORD: Final = 3
_MAX_KEY_BYTES: Final = {"trigger_id": 2048, "job_id": 2048, "bucket": 2048, "prefix": 1024}
MAX_ITEM_BYTES: Final = 400 * 1024
_SIZE_UNITS: Final = "B K KB M MB G GB T TB P PB KiB MiB GiB TiB PiB".split()  # noqa: SIM905
_DURATION_UNITS: Final = "s m h d w".split()  # noqa: SIM905


@rule("LT101", "error", "Required field is missing", on="entry")
def missing_key(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A trigger has no `trigger_id`, `bucket` or `prefix`, or a job has no `job_id`.

    See the [table of fields](triggers.md#fields).
    """
    for name in KEYS[checked.kind]:
        if name not in checked.item:
            yield Found(f"{name} is missing")


@rule("LT102", "error", "Invalid key field", on="entry")
def bad_key(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A trigger's `trigger_id`, `bucket` or `prefix`, or a job's `job_id`, is not valid.

    It is a string that is not empty; put a number in quotes. An id or a bucket may have 2,048
    bytes.
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


@rule("LT103", "error", "Unknown field", on="error", of="unknown_field")
def unknown_field(checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """A trigger has an unknown field, so it does not fire.

    Often the name has a typo, which `--fix` corrects. Custom fields begin with `x-`.
    """
    known = TRIGGER_FIELDS - checked.item.keys()
    fix = _renamed(error.field, known)
    yield Found(error.message, (error.field,), of_name=True, fix=fix)


@rule("LT104", "error", "Unknown condition", on="error", of="unknown_condition")
def unknown_condition(checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """A trigger has an unknown condition.

    See the [table of conditions](triggers.md#conditions). For `if_size_lt`, `--unsafe-fixes`
    writes `if_not_size_gt`, which also holds at exactly that size.
    """
    free = [name for name in _CONDITIONS if name not in checked.item]
    meant = _MEANT.get(error.field)
    close = meant or nearest(error.field, [name for name in free if _is_typo(error.field, name)])
    fix = _renamed(error.field, [close]) if close and not meant else None
    if meant in free:
        fix = Fix(meant, (error.field,), of_name=True, is_safe=False)
    message = f"unknown condition {shown(error.field)}; did you mean {close}?"
    yield Found(message if close else error.message, (error.field,), of_name=True, fix=fix)


def _is_typo(name: str, known: str) -> bool:
    """Return whether a name has the short words of another one: `lt` is not a typo of `gt`."""
    words, others = name.split("_"), known.split("_")
    return len(words) == len(others) and all(
        word == other or min(len(word), len(other)) > _MAX_SHORT_WORD
        for word, other in zip(words, others, strict=True)
    )


@rule("LT105", "error", "enabled is missing", on="error", of="missing_field")
def enabled_missing(_checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """A trigger does not say whether it is enabled.

    Add `enabled: true` or `enabled: false`.
    """
    if error.field == "enabled":
        yield Found(error.message)


@rule("LT106", "error", "job_id is missing", on="error", of="missing_field")
def job_id_missing(checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """A trigger names no job to dispatch.

    Add `job_id`, with the id of a job or a list of ids.
    """
    if checked.kind == "trigger" and error.field == "job_id":
        yield Found(error.message)


@rule("LT107", "error", "Not a boolean", on="error", of="not_a_boolean")
def not_a_boolean(_checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """`enabled` or `jinja` is not a boolean, and cannot be read as one.

    Write `true` or `false`.
    """
    yield Found(error.message, (error.field,))


@rule("LT108", "error", "Not a map", on="error", of="not_a_map")
def not_a_map(_checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """`parameters` or `globals` of a trigger is not a map.

    Write each value under the name that the job's type has for it: `parameters: {args: [a, b]}`.
    """
    yield Found(error.message, (error.field,))


@rule("LT109", "error", "Not a job id", on="error", of="not_a_job_id")
def not_a_job_id(_checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """`job_id` is empty, or is neither a string nor a list of strings.

    Write the id of a job, or a list of at least one id.
    """
    yield Found(error.message, (error.field,))


@rule("LT110", "error", "Not a duration", on="error", of="not_a_duration")
def not_a_duration(_checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """`delay` is not a duration.

    Write a number of seconds, or a number and a unit (`s`, `m`, `h`, `d`, `w`): `90`, `1.5m`.
    """
    fix = _with_unit(error.value, _DURATION_UNITS, (error.field,))
    yield Found(error.message, (error.field,), fix=fix)


@rule("LT111", "error", "Delay out of range", on="error", of="delay_out_of_range")
def delay_out_of_range(_checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """`delay` is negative, or longer than 15 minutes, the limit of SQS.

    The function's `SQS_MAX_DELAY_MINS` may be a lower limit.
    """
    yield Found(error.message, (error.field,))


@rule("LT112", "error", "Not a size", on="error", of="not_a_size")
def not_a_size(_checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """The argument of a size condition is not a size.

    Write a number of bytes, or a number and a unit: `10`, `10KB`, `1.5MiB`. Case matters.
    """
    fix = _with_unit(error.value, _SIZE_UNITS, (error.field,))
    yield Found(error.message, (error.field,), fix=fix)


@rule("LT113", "error", "Not a pattern", on="error", of="not_a_pattern")
def not_a_pattern(_checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """The argument of a condition is neither a pattern nor a list of patterns.

    A list may have up to 1,000 patterns. Each may have up to 1,024 characters.
    """
    yield Found(error.message, (error.field,))


@rule("LT114", "error", "Condition cannot be read", on="error", of="reading_aborted")
def condition_aborted(_checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """Reading the conditions takes more time or memory than the function allows.

    Use fewer and simpler patterns.
    """
    yield Found(error.message, (error.field,) if error.field else ())


@rule("LT115", "error", "Binary value", on="error", of="binary_value")
def binary(checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """A field has a binary value, which a dispatch cannot hold, because it is JSON.

    Write the value as a string, for example in base64.
    """
    path = _path_of_binary(checked.item[error.field], (error.field,))
    yield Found(error.message, path or (error.field,))


@rule("LT116", "error", "Entry is larger than an item of DynamoDB", on="entry")
def too_large(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """The entry is larger than 400 KiB, the limit of an item of DynamoDB.

    Put long texts into S3, and let the job read them.
    """
    if (size := _size({"M": checked.item})) > MAX_ITEM_BYTES:
        yield Found(f"the entry has {size} bytes; DynamoDB holds at most {MAX_ITEM_BYTES}")


@rule("LT121", "error", "Required field of a job is missing", on="error", of="missing_field")
def job_field_missing(checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """A job has no `type`, `worker` or `payload`.

    The function requires them all, but uses only `worker`.
    """
    if checked.kind == "job" and error.field not in KEYS["job"]:
        yield Found(error.message)


@rule("LT122", "error", "Not the name of a worker", on="error", of="not_a_worker")
def not_a_worker(_checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """The `worker` of a job is not a string, or is empty.

    It names the queue `lava-<REALM>-<WORKER>`.
    """
    yield Found(error.message, (error.field,))


@rule("LT123", "error", "Reserved global of a job", on="error", of="reserved_global")
def reserved_global_of_job(_checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """A job has a global whose name begins with `lava`, in any case.

    These names are reserved, so the job is not dispatched. Rename the global.
    """
    yield Found(error.message, (error.field, error.value), of_name=True)


@rule("LT139", "error", "The function refuses the entry", on="error", of="bad_argument")
def refused(_checked: CheckedEntry, error: EntryError) -> Iterator[Found]:
    """The function refuses the entry for a reason that no other rule has.

    The message is the function's own.
    """
    yield Found(error.message, (error.field,) if error.field else ())


def _renamed(name: str, known: Any) -> Fix | None:
    close = surely(name, known)
    return Fix(close, (name,), of_name=True) if close else None


def _with_unit(value: Any, units: list[str], path: tuple[str, ...]) -> Fix | None:
    """Return a number with the unit that differs only by its case, if there is one."""
    match = re.fullmatch(r"([0-9.]+)\s*([A-Za-z]+)", value.strip()) if type(value) is str else None
    named = [unit for unit in units if match and unit.lower() == match[2].lower()]
    return Fix(f"{match[1]}{named[0]}", path) if match and len(named) == 1 else None


def _path_of_binary(attribute: Any, path: tuple[str | int, ...]) -> tuple[str | int, ...] | None:
    for kind, value in attribute.items():
        if kind in ("B", "BS"):
            return path
        members: Any = value.items() if kind == "M" else enumerate(value) if kind == "L" else ()
        for n, member in members:
            if inner := _path_of_binary(member, (*path, n)):
                return inner
    return None


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _size(attribute: dict[str, Any]) -> int:
    """Return the approximate bytes that DynamoDB counts for a value.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    ((kind, value),) = attribute.items()
    size = 1
    match kind:
        case "M":
            size = 3 + sum(_bytes(name) + 1 + _size(member) for name, member in value.items())
        case "L":
            size = 3 + sum(1 + _size(member) for member in value)
        case "S":
            size = _bytes(value)
        case "N":
            size = len(value) // 2 + 2
        case "SS" | "NS" | "BS":
            size = sum(map(len, value))
        case "B":
            size = len(value)
    return size
