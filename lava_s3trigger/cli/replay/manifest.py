"""Rows of manifests of S3 Batch Operations, which `lava_s3trigger.manifest` reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from lava_s3trigger.manifest import BEGIN, MARK, VERSION, event_time
from lava_s3trigger.units import shown

if TYPE_CHECKING:
    from lava_s3trigger.manifest import ListedObject

MAX_KEY_CHARACTERS: Final = 1024
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html"""


def manifest_row(bucket: str, listed: ListedObject) -> str:
    """Return the row of an object: its bucket, a comma, and the key column.

    A long key does not fit into the column together with size and time. Its row has only the
    percent-encoded key, and the function asks S3 for the rest.

    Raises:
        ValueError: The key does not fit, and without size and time it would be misread.
    """
    column = _encoded(_text(listed))
    if len(column) > MAX_KEY_CHARACTERS:
        if listed.key.startswith(BEGIN) or listed.version_id is not None:
            raise ValueError(f"the key {shown(listed.key)} does not fit into a manifest")
        column = _encoded(listed.key)
    return f"{bucket},{column}"


def _text(listed: ListedObject) -> str:
    fields = {
        MARK: VERSION,
        "key": listed.key,
        "size": listed.size,
        "time": event_time(listed.last_modified),
        "etag": listed.etag,
        "version": listed.version_id,
    }
    known = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(known, ensure_ascii=False, separators=(",", ":"))


def _encoded(text: str) -> str:
    # A space is not a plus, since not all readers decode that. Commas and quotes of CSV are
    # encoded too.
    return quote(text, safe="/")
