"""Starts ministack, and has invocations wait while all instances of functions are busy.

Lambda keeps events that it cannot run yet, for hours; ministack throttles them, and drops those of
SNS and EventBridge. This file runs with the Python of ministack, which has nothing of this package.
"""

from __future__ import annotations

import time
from typing import Any

from ministack import app  # type: ignore[import-not-found]
from ministack.services import lambda_svc  # type: ignore[import-not-found]

_STEP_SECONDS = 0.05


def _waiting(acquire: Any) -> Any:
    """Return what acquires an instance, waiting for one where the whole account is busy."""

    def acquire_or_wait(func: Any, config: Any) -> tuple[str | None, str | None]:
        while True:
            slot, limit = acquire(func, config)
            if limit != "account":  # a function's own limit throttles, as on AWS
                return slot, limit
            time.sleep(_STEP_SECONDS)

    return acquire_or_wait


if __name__ == "__main__":
    lambda_svc._acquire_execution_slot = _waiting(lambda_svc._acquire_execution_slot)  # noqa: SLF001
    app.main()
