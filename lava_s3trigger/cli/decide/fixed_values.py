"""What templates take from outside the event, fixed: the time, UUIDs and random choices.

So a dispatch can be compared with one that was expected, or with another of the same object.
The function's own code is unchanged: what its templates know as ``utils`` is exchanged for
as long as a block runs.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import sys
import time
import types
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from lava_s3trigger.templates.utils import UTILS

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW: Final = dt.datetime(2026, 3, 14, 1, 59, 26, tzinfo=dt.UTC)
"""The time, where nothing else is said."""
_READS_CLOCK: Final = ("dateutil.parser._parser", "dateutil.rrule")
"""Modules of dateutil that know `datetime` as a module."""
_KNOWS_CLASS: Final = ("dateutil.utils",)
"""Modules of dateutil that know the class."""


def uuid(number: int) -> UUID:
    """Return the UUID that the templates of an event are given as their nth, from 1."""
    return UUID(int=number, version=4)


class _DateTime(type):
    """Has objects of the real class pass for objects of the fixed one, as dateutil asks."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, dt.datetime)


class FixedValues:
    """Fixes what templates take from outside the event, while `in_templates` runs.

    Every call of `restart` begins the same sequence anew.
    """

    def __init__(self) -> None:
        self.now = NOW
        self._uuids = 0
        self._random = random.getstate()
        self.datetime = self._class(dt.datetime, ("now", "utcnow", "today"), _DateTime)
        self.date = self._class(dt.date, ("today",), type)

    def restart(self, now: dt.datetime = NOW) -> None:
        """Begin with an event.

        Args:
            now: The time that its templates read, with a time zone.
        """
        self.now = now
        self._uuids = 0
        random.seed(0)

    def uuid(self) -> UUID:
        """Return the next UUID: `uuid` of 1, of 2, and so on."""
        self._uuids += 1
        return uuid(self._uuids)

    def _class(self, real: type, clocks: tuple[str, ...], metaclass: type) -> Any:
        """Make a class that is the real one, but for its clocks. Its objects are real ones."""

        def new(_cls: type, *args: Any, **kwargs: Any) -> Any:
            if args and isinstance(args[0], (str, bytes)):  # as the templates' environment does
                raise TypeError(f"{real.__name__} takes numbers, not text")
            return real(*args, **kwargs)

        members: dict[str, Any] = {name: classmethod(getattr(self, f"_{name}")) for name in clocks}
        if real is dt.date:
            members["today"] = classmethod(self._date_today)
        members |= {"__new__": new, "__module__": "datetime"}
        return metaclass(real.__name__, (real,), members)

    def _now(self, _cls: type, tz: dt.tzinfo | None = None) -> dt.datetime:
        return self.now.astimezone(tz) if tz else self._utcnow(_cls)

    def _utcnow(self, _cls: type) -> dt.datetime:
        return self.now.astimezone(dt.UTC).replace(tzinfo=None)

    _today = _utcnow

    def _date_today(self, cls: type) -> dt.date:
        return self._utcnow(cls).date()

    @contextlib.contextmanager
    def in_templates(self) -> Iterator[FixedValues]:
        """Fix the values for a block, in which the local time is UTC, as it is in Lambda."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(_utc())
            state = random.getstate()
            stack.callback(random.setstate, state)
            exchange = {"datetime": self.datetime, "date": self.date, "uuid": self.uuid}
            before = {name: UTILS[name] for name in exchange}
            stack.callback(UTILS.update, before)
            UTILS.update(exchange)
            module = types.ModuleType("datetime")
            module.__dict__.update({**dt.__dict__, "datetime": self.datetime})
            for name, value in [
                *((each, module) for each in _READS_CLOCK),
                *((each, self.datetime) for each in _KNOWS_CLASS),
            ]:
                stack.enter_context(_datetime_of(name, value))
            self.restart()
            yield self


@contextlib.contextmanager
def _datetime_of(module: str, value: Any) -> Iterator[None]:
    import importlib  # noqa: PLC0415 - start-up

    importlib.import_module(module)
    known = sys.modules[module]
    before = known.__dict__["datetime"]
    known.__dict__["datetime"] = value
    try:
        yield
    finally:
        known.__dict__["datetime"] = before


@contextlib.contextmanager
def _utc() -> Iterator[None]:
    before = os.environ.get("TZ")
    _set_zone("UTC")
    try:
        yield
    finally:
        _set_zone(before)


def _set_zone(name: str | None) -> None:
    if name is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = name
    time.tzset()
