"""The ways of fuzzing: a target, and how a fuzzer's bytes become its cases."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hypothesis import given, settings
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.errors import HypothesisException

from . import entries, payloads, templates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

    Check = Callable[[Any], None]

TARGETS: Final[dict[str, ModuleType]] = {
    "payloads": payloads,
    "entries": entries,
    "templates": templates,
}
"""Each has ``check``, ``samples``, ``cases``; those fuzzed by bytes also ``read``, ``seeds``."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way of fuzzing a target."""

    target: str
    is_raw: bool
    """Whether the bytes are the case itself; otherwise hypothesis derives a case from them."""

    @property
    def name(self) -> str:
        """Its name in files and tables."""
        return f"{self.target}-{'bytes' if self.is_raw else 'structure'}"

    @property
    def words(self) -> Iterable[str]:
        """Words that a mutation of bytes may insert."""
        return TARGETS[self.target].WORDS if self.is_raw else ()

    def check(self, case: Any) -> None:
        """Check the properties of a case."""
        TARGETS[self.target].check(case)

    def seeds(self) -> Iterable[bytes]:
        """Return the seeds of fuzzing."""
        if self.is_raw:
            return list(TARGETS[self.target].seeds())
        # Hypothesis reads choices from the bytes, and needs enough of them.
        chance = random.Random(0)  # noqa: S311 - no secret
        return [chance.randbytes(size) for size in (256, 1024, 2048, 4096) for _ in range(8)]

    def runner(self, check: Check) -> Callable[[bytes], bool]:
        """Return what checks the case that bytes stand for, and returns whether there is one."""
        if self.is_raw:
            read = TARGETS[self.target].read

            def run(data: bytes) -> bool:
                try:
                    case = read(data)
                except ValueError:
                    return False
                check(case)
                return True

            return run

        @settings(database=None, deadline=None)
        @given(TARGETS[self.target].cases())
        def property_(case: Any) -> None:
            check(case)

        drive = property_.hypothesis.fuzz_one_input
        return lambda data: drive(data) is not None


WAYS: Final = {
    way.name: way
    for way in [
        Way("payloads", is_raw=False),
        Way("payloads", is_raw=True),
        Way("entries", is_raw=False),
        Way("templates", is_raw=False),
        Way("templates", is_raw=True),
    ]
}


def minimised(way: Way, data: bytes, is_failing: Callable[[Any], bool]) -> Any:
    """Return the smallest case that fails like the one that bytes stand for.

    Args:
        way: The way that found it.
        data: The bytes.
        is_failing: Returns whether a case fails in the same way.
    """
    return (_of_bytes if way.is_raw else _of_structure)(way, data, is_failing)


def _of_bytes(way: Way, data: bytes, is_failing: Callable[[Any], bool]) -> Any:
    """Replace the case by the first smaller one that fails, while there is one."""
    case = TARGETS[way.target].read(data)
    while (smaller := next(filter(is_failing, _smaller(case)), case)) is not case:
        case = smaller
    return case


def _smaller(value: Any) -> Iterator[Any]:
    """Yield smaller JSON values: parts of the value, or the value without some parts."""
    if isinstance(value, dict):
        yield from value.values()
        for name, inner in value.items():
            yield {other: value[other] for other in value if other != name}
            for smaller in _smaller(inner):
                yield value | {name: smaller}
    elif isinstance(value, list):
        yield from value
        yield from _shorter(value)
        for number, inner in enumerate(value):
            for smaller in _smaller(inner):
                yield [*value[:number], smaller, *value[number + 1 :]]
    elif isinstance(value, str):
        yield from _shorter(value)


def _shorter(value: Any) -> Iterator[Any]:
    """Yield the sequence without a slice, long slices first."""
    size = len(value)
    while size:
        for start in range(0, len(value), size):
            yield value[:start] + value[start + size :]
        size //= 2


def _of_structure(way: Way, data: bytes, is_failing: Callable[[Any], bool]) -> Any:
    """Let hypothesis shrink the case, as it does with examples in its database."""
    last: list[Any] = []

    class FailsError(Exception):
        pass

    def check(case: Any) -> None:
        if is_failing(case):
            last[:] = [case]
            raise FailsError

    @settings(database=InMemoryExampleDatabase(), deadline=None, derandomize=False)
    @given(TARGETS[way.target].cases())
    def property_(case: Any) -> None:
        check(case)

    for run in (lambda: property_.hypothesis.fuzz_one_input(data), property_):
        with contextlib.suppress(FailsError, HypothesisException):
            run()
    return last[0] if last else None
