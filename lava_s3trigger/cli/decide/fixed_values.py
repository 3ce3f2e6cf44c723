"""Fixes the values that templates take from outside the event: time, UUIDs, random choices.

So a dispatch can be compared with an expected one, or with another one of the same object.
The function's own code is unchanged: members of its templates' ``utils`` are replaced while a
block runs.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib
import os
import random
import time
import types
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from lava_s3trigger.templates.utils import UTILS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW: Final = dt.datetime(2026, 3, 14, 1, 59, 26, tzinfo=dt.UTC)
"""The default time."""
_READS_CLOCK: Final = ("dateutil.parser._parser", "dateutil.rrule")
"""Modules of dateutil that import `datetime` as a module."""
_KNOWS_CLASS: Final = "dateutil.utils"
"""The module of dateutil that imports the class."""


def uuid(number: int) -> UUID:
    """Return the nth UUID for the templates of an event, from 1."""
    return UUID(int=number, version=4)


class _DateTime(type):
    """Makes objects of the real class instances of the fixed one, since dateutil tests that."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, dt.datetime)


class FixedValues:
    """Fixes the values that templates take from outside the event, during `in_templates`.

    Every call of `restart` begins the same sequence again.
    """

    def __init__(self) -> None:
        self.now = NOW
        self._uuids = 0
        clocks = {"now": self._now, "utcnow": self._utcnow, "today": self._utcnow}
        self.datetime = _class(dt.datetime, clocks, _DateTime)
        self.date = _class(dt.date, {"today": self._today}, type)

    def restart(self, now: dt.datetime = NOW) -> None:
        """Begin with an event.

        Args:
            now: The current time for its templates, with a time zone.
        """
        self.now = now
        self._uuids = 0
        random.seed(0)

    def uuid(self) -> UUID:
        """Return the next UUID: `uuid` of 1, of 2, and so on."""
        self._uuids += 1
        return uuid(self._uuids)

    def _now(self, _cls: type, tz: dt.tzinfo | None = None) -> dt.datetime:
        return self.now.astimezone(tz) if tz else self._utcnow(_cls)

    def _utcnow(self, _cls: type) -> dt.datetime:
        return self.now.astimezone(dt.UTC).replace(tzinfo=None)

    def _today(self, cls: type) -> dt.date:
        return self._utcnow(cls).date()

    @contextlib.contextmanager
    def in_templates(self) -> Iterator[FixedValues]:
        """Fix the values for a block, in which the local time is UTC, as in Lambda."""
        module = types.ModuleType("datetime")
        module.__dict__.update({**dt.__dict__, "datetime": self.datetime})
        with contextlib.ExitStack() as stack:
            stack.enter_context(_utc())
            stack.callback(random.setstate, random.getstate())
            own = {"datetime": self.datetime, "date": self.date, "uuid": self.uuid}
            stack.enter_context(_exchanged(UTILS, own))
            for name in _READS_CLOCK:
                known = vars(importlib.import_module(name))
                stack.enter_context(_exchanged(known, {"datetime": module}))
            known = vars(importlib.import_module(_KNOWS_CLASS))
            stack.enter_context(_exchanged(known, {"datetime": self.datetime}))
            self.restart()
            yield self


def _class(real: type, clocks: dict[str, Callable[..., Any]], metaclass: type) -> Any:
    """Return a class like the real one, with fixed clocks. Its objects are of the real class."""

    def new(_cls: type, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], (str, bytes)):  # as the templates' environment does
            raise TypeError(f"{real.__name__} takes numbers, not text")
        return real(*args, **kwargs)

    members = {name: classmethod(clock) for name, clock in clocks.items()}
    return metaclass(real.__name__, (real,), {**members, "__new__": new, "__module__": "datetime"})


@contextlib.contextmanager
def _exchanged(known: dict[str, Any], new: dict[str, Any]) -> Iterator[None]:
    """Replace values of a dict during a block."""
    before = {name: known[name] for name in new}
    known.update(new)
    try:
        yield
    finally:
        known.update(before)


@contextlib.contextmanager
def _utc() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()
