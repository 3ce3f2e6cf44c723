"""The payloads of `tests.build`, by their former name."""

from __future__ import annotations

from tests.build import (
    BUCKET,
    NONSENSE,
    direct,
    eventbridge,
    failed,
    fifo,
    message,
    messages,
    record,
    s3_event,
    sns,
    sqs,
)

__all__ = [
    "BUCKET",
    "NONSENSE",
    "direct",
    "eventbridge",
    "failed",
    "fifo",
    "message",
    "messages",
    "record",
    "s3_event",
    "sns",
    "sqs",
]
