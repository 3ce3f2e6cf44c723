"""The ``utils`` of templates: classes and functions that give access to nothing else."""

from __future__ import annotations

import datetime as dt
import os.path
import re
import uuid
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from . import patterns
from .limits import compile_bounded

if TYPE_CHECKING:
    from collections.abc import Callable

_PATH: Final = """
    altsep basename commonpath commonprefix curdir defpath devnull dirname extsep isabs join
    normcase normpath pardir pathsep sep split splitdrive splitext supports_unicode_filenames
    """
_RE: Final = """
    A ASCII DOTALL I IGNORECASE L LOCALE M MULTILINE Match NOFLAG Pattern S U UNICODE
    VERBOSE X error escape
    """
_DATEUTIL: Final = {
    "easter": "easter EASTER_JULIAN EASTER_ORTHODOX EASTER_WESTERN",
    "parser": "parse parser parserinfo isoparse isoparser ParserError UnknownTimezoneWarning",
    "relativedelta": "relativedelta MO TU WE TH FR SA SU",
    "rrule": """
        rrule rruleset rrulestr YEARLY MONTHLY WEEKLY DAILY HOURLY MINUTELY SECONDLY
        MO TU WE TH FR SA SU
        """,
    "tz": """
        UTC datetime_ambiguous datetime_exists enfold gettz resolve_imaginary tzlocal tzoffset
        tzrange tzstr tzutc
        """,
    "utils": "default_tzinfo today within_delta",
}


def _members(module: Any, names: str) -> dict[str, Any]:
    return {name: getattr(module, name) for name in names.split()}


def s3bucket(location: str) -> str:
    """Return the bucket of bucket/key, s3:bucket/key, s3://bucket/key or /bucket/key."""
    return _location(location).partition("/")[0]


def s3key(location: str) -> str:
    """Return the key of bucket/key, s3:bucket/key, s3://bucket/key or /bucket/key."""
    return _location(location).partition("/")[2]


def _location(location: str) -> str:
    path = location.removeprefix("s3:")
    # Not all slashes: a key may begin with slashes.
    return path.removeprefix("//") if path.startswith("//") else path.removeprefix("/")


def _relpath(path: str, start: str = ".") -> str:
    """Return a path relative to another one, without reading the current folder."""
    return os.path.relpath(os.path.join("/", path), os.path.join("/", start))  # noqa: PTH118


# Regular expressions.

_FLAGS: Final = int(
    re.ASCII | re.IGNORECASE | re.LOCALE | re.MULTILINE | re.DOTALL | re.UNICODE | re.VERBOSE
)


def _compile(pattern: Any, flags: int = 0) -> re.Pattern[Any]:
    """Compile a pattern.

    Raises:
        WeightError: It is too long.
    """
    if isinstance(pattern, re.Pattern):
        return re.compile(pattern, flags)
    patterns.check_length(pattern, "pattern")
    return patterns.compiled(pattern, int(flags) & _FLAGS)  # one of the others prints


def _by_pattern(name: str) -> Callable[..., Any]:
    """Return the `re` function that wraps a method of compiled patterns."""
    most = {"split": 2, "sub": 3, "subn": 3}.get(name, 1)

    def function(pattern: Any, *args: Any, flags: int = 0, **kwargs: Any) -> Any:
        if len(args) > most:  # flags come last
            args, flags = args[:most], args[most]
        regex = _compile(pattern, flags)
        patterns.check_arguments(name, regex.pattern, args, kwargs)
        return getattr(regex, name)(*args, **kwargs)

    function.__name__ = name
    return function


def _expanding(method: Callable[..., Any]) -> Callable[..., Any]:
    def expand(template: Any) -> Any:
        patterns.check_replacement(template)
        return method(template)

    return expand


def _flags(value: Any = 0) -> re.RegexFlag:
    """Return flags of regular expressions, without unknown ones.

    Python keeps each value for ever, known or not.
    """
    return re.RegexFlag(int(value) & _FLAGS)


def _parsing(method: Callable[..., Any]) -> Callable[..., Any]:
    """Check the format of a date: Python compiles it to a pattern."""

    def parse(text: str, form: str) -> Any:
        patterns.check_length(form, "format")
        patterns.charge(form)
        return method(text, form)

    return parse


# Texts and bytes.

ENCODINGS: Final = frozenset(
    """
    ascii us-ascii latin-1 latin1 iso-8859-1 utf8 utf-8 utf-8-sig utf-16 utf-16-le utf-16-be
    """.split()  # noqa: SIM905
)
"""The allowed encodings of texts. Python keeps each name that it was ever asked for."""


def _transcoding(method: Callable[..., Any]) -> Callable[..., Any]:
    def transcode(encoding: str = "utf-8", errors: str = "strict") -> Any:
        name = encoding.lower().replace("_", "-") if len(encoding) <= _MAX_NAME else ""
        if name not in ENCODINGS:
            raise LookupError(f"unknown encoding; known ones: {', '.join(sorted(ENCODINGS))}")
        return method(name, errors)

    return transcode


_MAX_NAME: Final = 64

METHODS: Final[dict[str, tuple[Any, Callable[..., Any]]]] = {
    "encode": (str, _transcoding),
    "decode": (bytes, _transcoding),
    "expand": (re.Match, _expanding),
    "strptime": (object, _parsing),
}
"""Methods that leave something in memory: their type, and the function that is called instead."""


# Dates. The parts of dateutil are imported when they are first asked for.


class _Parser(SimpleNamespace):
    """``dateutil.parser``, which may also be called to parse a date."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.parse(*args, **kwargs)


_MAX_DATE_CHARACTERS: Final = 1000


def _bounded_parser(members: dict[str, Any]) -> _Parser:
    """Bound the length of the text that a date is parsed from.

    dateutil converts many digits to one number. The time grows with the square of their count,
    and no signal interrupts it.
    """

    def check(text: Any) -> None:
        if not isinstance(text, (str, bytes)):  # it also accepts an object with a method `read`
            raise TypeError(f"a date is read from text, not from {type(text).__name__}")
        if len(text) > _MAX_DATE_CHARACTERS:
            raise ValueError(f"a date of more than {_MAX_DATE_CHARACTERS} characters")

    def parse(timestr: Any, *args: Any, **kwargs: Any) -> Any:
        check(timestr)
        return members["parse"](timestr, *args, **kwargs)

    def method(parser: Any, timestr: Any, *args: Any, **kwargs: Any) -> Any:
        check(timestr)
        return members["parser"].parse(parser, timestr, *args, **kwargs)

    bounded = type("parser", (members["parser"],), {"parse": method})
    return _Parser(**{**members, "parse": parse, "parser": bounded})


def _gettz(name: str) -> dt.tzinfo | None:
    """Look a time zone up by name; a path would let a template probe the file system."""
    from dateutil.tz import gettz  # noqa: PLC0415 - few templates need it

    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+:,./-]*", name) or ".." in name:
        raise ValueError(f"{name!r} is not the name of a time zone")
    # Zones that the system lacks are in an archive; reading it takes long, once.
    return compile_bounded(lambda: gettz(name))


def _tzoffset(name: str | None, offset: Any) -> dt.tzinfo:
    """Return the time zone of an offset; dateutil caches the last few with their arguments."""
    from dateutil.tz import tzoffset  # noqa: PLC0415 - few templates need it

    if not isinstance(name, str | None):
        raise TypeError(f"the name of a time zone is text, not {type(name).__name__}")
    return tzoffset(name, offset)


def _tzstr(s: str, posix_offset: Any = False) -> dt.tzinfo:  # noqa: FBT002 - as dateutil's
    """Return the time zone of a POSIX rule; dateutil caches the last few with their arguments."""
    from dateutil.tz import tzstr  # noqa: PLC0415 - few templates need it

    return tzstr(s, bool(posix_offset))


def _rrulestr(s: str, **kwargs: Any) -> Any:
    """Parse a recurrence rule; its time zones are looked up by name."""
    from dateutil.rrule import rrulestr  # noqa: PLC0415 - few templates need it

    return rrulestr(s, **{**kwargs, "tzids": _gettz})


_BOUNDED: Final[dict[str, dict[str, Any]]] = {
    "rrule": {"rrulestr": _rrulestr},
    "tz": {"gettz": _gettz, "tzoffset": _tzoffset, "tzstr": _tzstr},
}
"""Replacements for members of its submodules."""


class _Dateutil(SimpleNamespace):
    """``dateutil`` with its submodules, each imported when it is first asked for."""

    def __getattr__(self, name: str) -> SimpleNamespace:
        if name not in _DATEUTIL:
            raise AttributeError(name)
        members = _members(import_module(f"dateutil.{name}"), _DATEUTIL[name])
        members.update(_BOUNDED.get(name, {}))
        module = _bounded_parser(members) if name == "parser" else SimpleNamespace(**members)
        setattr(self, name, module)
        return module


def _utils() -> dict[str, Any]:
    dateutil = _Dateutil()
    return {
        "date": dt.date,
        "datetime": dt.datetime,
        "dateutil": dateutil,
        "parsedate": dateutil.parser,
        "path": SimpleNamespace(**_members(os.path, _PATH), relpath=_relpath),
        "re": SimpleNamespace(
            **_members(re, _RE),
            compile=_compile,
            RegexFlag=_flags,
            **{name: _by_pattern(name) for name in patterns.FUNCTIONS},
        ),
        "s3bucket": s3bucket,
        "s3key": s3key,
        "time": dt.time,
        "timedelta": dt.timedelta,
        "uuid": uuid.uuid4,
    }


UTILS: Final = _utils()
"""The ``utils`` of templates."""
