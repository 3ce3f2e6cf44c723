"""Shim until the real one is merged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lava_s3trigger.errors import UserError

from .limits import COMPILING, SECONDS, bounded

T = TypeVar("T")
MAX_RUN_SECONDS = SECONDS + COMPILING


class Confinement:
    def __init__(self) -> None:
        self._aborts = 0

    def read(self, read: Callable[[], T]) -> T:
        with bounded(COMPILING):
            return read()

    def run(self, test: Callable[[], bool], render: Callable[[], T]) -> T | None:
        try:
            with bounded():
                return render() if test() else None
        except (TimeoutError, MemoryError) as error:
            raise UserError(f"rendering aborted: {error}", "aborted") from None
