"""Elements of JSON payloads: each reader takes a value, and its path for the error."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

from .errors import PayloadError
from .units import shown


def mapping(value: Any) -> dict[str, Any]:
    """Return an element that is an object, or an empty one."""
    return value if isinstance(value, dict) else {}


def text_of(value: Any, path: str) -> str:
    """Return an element that is a string.

    Raises:
        PayloadError: It is empty, or of another type.
    """
    if not isinstance(value, str) or not value:
        raise unreadable(value, path, "it must be a non-empty string")
    return value


def optional_text(value: Any, path: str) -> str | None:
    """Return an element that is a string, or None where it is absent or empty.

    MinIO sends an empty region where none is configured.

    Raises:
        PayloadError: It is of another type.
    """
    return None if value is None or value == "" else text_of(value, path)


def form_decoded(value: Any, path: str) -> str:
    """Decode a key that is form-encoded: a plus is a space, and ``%XX`` is UTF-8.

    S3 encodes keys so in notifications, once; EventBridge does not.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html

    Raises:
        PayloadError: It is empty, of another type, or not form-encoded.
    """
    text = text_of(value, path)
    if "%" not in text and "+" not in text:
        return text
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise unreadable(value, path, "not form-encoded UTF-8") from None


def size(value: Any, path: str) -> int:
    """Return a number of bytes; 0 where it is absent, as in deletions and changes of tags.

    Raises:
        PayloadError: It is negative, or of another type.
    """
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise unreadable(value, path, "it must be a number of bytes")
    return value


def unreadable(value: Any, path: str, why: str) -> PayloadError:
    """Return the error that an element cannot be read."""
    return PayloadError(f"{path} is {shown(value)}: {why}")
