"""Starts ministack, with two corrections.

Invocations wait while all instances of functions are busy. Lambda keeps events that it cannot run
yet, for hours; ministack throttles them, and drops those of SNS and EventBridge.

Filters of notifications are compared with encoded keys, as in S3.

This file runs with the Python of ministack, which has nothing of this package.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote_plus

from ministack import app  # type: ignore[import-not-found]
from ministack.services import lambda_svc, s3  # type: ignore[import-not-found]

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


def _of_encoded_keys(matches: Any) -> Any:
    """Return what compares the encoded form of a key with a prefix and a suffix.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
    """
    return lambda key, *affixes: matches(quote_plus(key, safe="/!-_.*'()"), *affixes)


if __name__ == "__main__":
    s3._key_matches_filter = _of_encoded_keys(s3._key_matches_filter)  # noqa: SLF001
    lambda_svc._acquire_execution_slot = _waiting(lambda_svc._acquire_execution_slot)  # noqa: SLF001
    app.main()
